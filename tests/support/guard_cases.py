"""What is asked of the guard of the UI, and what it answers: one table for the guard alone and for a real server.

HOST stands for the address of the server. `reached` says whether Dagster gets the request: what it answers is its own.
"""

import json
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1:3000"
JSON = {"content-type": "application/json"}
FOREIGN = "http://elsewhere.example"
# Starts the job that edits the settings.
CONFIG = json.dumps({"ops": {"edit": {"config": {"changes": {"seed": 7}}}}})
ACT = (
    'mutation { launchRun(executionParams: {selector: {repositoryName: "__repository__", '
    'repositoryLocationName: "small", jobName: "set_settings"}, mode: "default", '
    f"runConfigData: {json.dumps(CONFIG)}}}) {{ __typename }} }}"
)
LOOK = "{ version }"


@dataclass(frozen=True)
class Case:
    """A request and its answer."""

    name: str
    status: int
    method: str = "POST"
    path: str = "/graphql"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    reached: bool = False


def posted(name: str, status: int, query: str = ACT, *, reached: bool = False, **headers: str) -> Case:
    """A POST with JSON and more headers, written with underscores."""
    more = {key.replace("_", "-"): value for key, value in headers.items()}
    return Case(name, status, headers={**JSON, **more}, body=json.dumps({"query": query}), reached=reached)


def visit(name: str, status: int, path: str = "/", *, reached: bool = False, **headers: str) -> Case:
    """A GET of a page."""
    more = {key.replace("_", "-"): value for key, value in headers.items()}
    return Case(name, status, "GET", path, {"accept": "text/html", **more}, reached=reached)


ACTING = {"query": ACT}
CASES = [
    # How something may be asked.
    posted("POST, JSON, no Origin (curl)", 200, LOOK, reached=True),
    posted("POST, JSON, own Origin", 200, LOOK, reached=True, origin=f"http://{HOST}", sec_fetch_site="same-origin"),
    posted("POST, JSON with a charset", 200, LOOK, reached=True, content_type="application/json; charset=utf-8"),
    Case(
        "POST, JSON in capitals, which Dagster does not know",
        415,
        headers={"content-type": "Application/JSON"},
        query=ACTING,
        body="{}",
    ),
    Case("GET with a mutation", 405, "GET", query=ACTING),
    Case("GET with a mutation, foreign Origin", 403, "GET", query=ACTING, headers={"origin": FOREIGN}),
    Case("GET with a query", 405, "GET", query={"query": LOOK}),
    Case(
        "GET of the page for queries, a mutation in it",
        200,
        "GET",
        query=ACTING,
        headers={"accept": "text/html"},
        reached=True,
    ),
    *(
        Case(f"POST, JSON that is no object: {body}", 400, headers=JSON, body=body)
        for body in ("[]", "null", "7", "", "{", '[{"query": "{ version }"}]')
    ),
    Case("HEAD with a mutation", 405, "HEAD", query=ACTING, headers={"accept": "text/html"}),
    Case("POST, form", 415, headers={"content-type": "application/x-www-form-urlencoded"}, query=ACTING, body="a=1"),
    Case(
        "POST, multipart form",
        415,
        headers={"content-type": "multipart/form-data; boundary=x"},
        query=ACTING,
        body="--x--",
    ),
    Case("POST, text/plain", 415, headers={"content-type": "text/plain"}, query=ACTING, body=json.dumps(ACTING)),
    Case(
        "POST, text/plain that names JSON",
        415,
        headers={"content-type": "text/plain; application/json"},
        body=json.dumps(ACTING),
    ),
    Case("POST, application/graphql", 415, headers={"content-type": "application/graphql"}, body=ACT),
    Case("POST, no content type", 415, query=ACTING, body=b""),
    Case("PUT", 405, "PUT", headers=JSON, body="{}"),
    Case("OPTIONS (a preflight)", 403, "OPTIONS", headers={"origin": FOREIGN, "access-control-request-method": "POST"}),
    Case("OPTIONS, own Origin", 405, "OPTIONS", headers={"origin": f"http://{HOST}"}),
    Case("DELETE", 405, "DELETE"),
    Case(
        "a report of an asset by form",
        415,
        path="/report_asset_materialization/small/clusters",
        query={"data_version": "1"},
    ),
    # From where.
    posted("POST, foreign Origin", 403, origin=FOREIGN),
    posted("POST, Origin null", 403, origin="null"),
    posted("POST, Origin of another port", 403, origin="http://127.0.0.1:3001"),
    posted("POST, Origin with https", 403, origin=f"https://{HOST}"),
    posted("POST, Origin of another name of this machine", 403, origin="http://localhost:3000"),
    posted("POST, from another site, no Origin", 403, sec_fetch_site="cross-site"),
    posted("POST, from another port, no Origin", 403, sec_fetch_site="same-site"),
    visit("a page", 200, reached=True),
    visit(
        "a link from another site to a page",
        200,
        reached=True,
        sec_fetch_site="cross-site",
        sec_fetch_mode="navigate",
        sec_fetch_dest="document",
    ),
    visit(
        "a frame in a page of another site",
        403,
        sec_fetch_site="cross-site",
        sec_fetch_mode="navigate",
        sec_fetch_dest="iframe",
    ),
    visit(
        "a script in a page of another site",
        403,
        "/server_info",
        sec_fetch_site="cross-site",
        sec_fetch_mode="no-cors",
        sec_fetch_dest="script",
    ),
    visit(
        "a link from another site to GraphQL",
        403,
        "/graphql",
        sec_fetch_site="cross-site",
        sec_fetch_mode="navigate",
        sec_fetch_dest="document",
    ),
    # To whom.
    posted(
        "Host of another name (DNS rebinding)", 403, host="rebound.example:3000", origin="http://rebound.example:3000"
    ),
    visit("a page at another name", 403, host="rebound.example:3000"),
    visit("Host of another port", 403, host="127.0.0.1:3001"),
    visit("Host without a port", 403, host="127.0.0.1"),
    visit("Host that only begins like ours", 403, host="127.0.0.1.example:3000"),
    visit("Host of another address", 403, host="127.0.0.2:3000"),
    visit("Host localhost", 200, reached=True, host="LocalHost:3000"),
    visit("Host [::1]", 200, reached=True, host="[::1]:3000"),
    # How much.
    Case("a body of 10 MB", 413, headers=JSON, body=json.dumps({"query": "#" + "x" * 10_000_000})),
    Case("a query of 1 MB", 200, headers=JSON, body=json.dumps({"query": LOOK + "#" + "x" * 1_000_000}), reached=True),
]


def at(case: Case, host: str) -> dict[str, str]:
    """The headers of a case for a server at another address; names stay as they are, ports follow."""
    port = host.rpartition(":")[2]
    other = str(int(port) + 1)
    swap = {":3000": f":{port}", ":3001": f":{other}"}
    found = {}
    for name, value in case.headers.items():
        for old, new in swap.items():
            if value.endswith(old):
                value = value.removesuffix(old) + new
                break
        found[name] = value
    return found
