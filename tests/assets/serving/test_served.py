"""The guard before a real Dagster web server, as `tac ui` starts it: its table, a foreign page in a browser, one owner.

All cases share one server. What acts starts a run of the job that edits the settings: at the end there must be none.
"""

import http.server
import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chromium import PAGE_MS, find_chromium
from command_line import tac, told
from guard_cases import ACT, CASES, Case, at
from ui_server import TAU, Ui, tac_ui, write_store
from waiting import PATIENCE, wait_for
from websockets.sync.client import connect

from assets.orchestration.webserver import find_ui

MESSAGES = """
query Messages($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on LogMessageEvent { message }
} } } }
"""
RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`tac ui` on a small store in which nothing happens but what a test does."""
    with tac_ui(write_store(tmp_path_factory.mktemp("store"))) as running:
        yield running


def home(ui: Ui) -> Path:
    return ui.settings.parent / "data" / ".dagster"


def runs(ui: Ui) -> list[Any]:
    found: list[Any] = ui.ask(RUNS)["runsOrError"]["results"]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table_through_a_real_server(ui: Ui, case: Case) -> None:
    headers = {"accept": "*/*", **at(case, f"127.0.0.1:{ui.port}")}
    answer = ui.client.request(case.method, case.path, params=case.query or None, headers=headers, content=case.body)
    assert answer.status_code == case.status, answer.text
    if case.reached and case.headers.get("accept") != "text/html":
        assert answer.json()["data"]["version"]
    elif not case.reached and case.method != "HEAD":
        assert answer.text.count("\n") == 1 and len(answer.text) > 20, "one plain sentence"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert runs(ui) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Host": "rebound.example", "Origin": "http://rebound.example"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 101),
        ({}, 101),
    ],
    ids=["foreign Origin", "another name", "own Origin", "no Origin"],
)
def test_websockets_through_a_real_server(ui: Ui, headers: dict[str, str], status: int) -> None:
    fields = {
        "Host": f"127.0.0.1:{ui.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "graphql-ws",
        **{name: value.format(port=ui.port) for name, value in headers.items()},
    }
    lines = ["GET /graphql HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    with socket.create_connection(("127.0.0.1", ui.port), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = connection.recv(4096).decode()
    assert answer.startswith(f"HTTP/1.1 {status} "), answer


def test_a_websocket_takes_no_mutation(ui: Ui) -> None:
    """It carries subscriptions: the one way to act is the POST that the guard looks at."""
    with connect(f"ws://127.0.0.1:{ui.port}/graphql", subprotocols=["graphql-ws"]) as opened:  # type: ignore[list-item]
        opened.send(json.dumps({"type": "connection_init"}))
        assert json.loads(opened.recv(timeout=PATIENCE)) == {"type": "connection_ack"}
        opened.send(json.dumps({"type": "start", "id": "1", "payload": {"query": ACT}}))
        assert json.loads(opened.recv(timeout=PATIENCE))["type"] == "error"
    assert runs(ui) == []


# What a page may try without leave of the server that it asks.
HOSTILE = """
<!doctype html><title>hostile</title><iframe id="sink" name="sink"></iframe>
<form id="plain" method="post" target="sink" enctype="text/plain" action="UI/graphql">
<input name='BODY' value=''></form>
<form id="form" method="post" target="sink" action="UI/graphql?query=ACT"><input name="a"></form>
<script>
const tried = [];
async function attempt(name, go) {
  try { tried.push(name + ": " + await go()); } catch (error) { tried.push(name + ": " + error.name); }
}
const asked = "UI/graphql", act = decodeURIComponent("ACT"), body = JSON.stringify({query: act});
const json = {"content-type": "application/json"}, plain = {"content-type": "text/plain"};
const send = options => fetch(asked, {method: "POST", body, ...options});
const picture = () => new Promise(done => {
  const image = new Image(); image.onload = image.onerror = event => done(event.type); image.src = asked + "?query=ACT";
});
const socket = () => new Promise(done => {
  const opened = new WebSocket(asked.replace("http", "ws"), "graphql-ws");
  opened.onopen = () => done("open"); opened.onerror = () => done("error");
});
(async () => {
  await attempt("GET", () => fetch(asked + "?query=ACT", {mode: "no-cors"}).then(answer => answer.type));
  await attempt("GET as a picture", picture);
  await attempt("POST as text", () => send({mode: "no-cors", headers: plain}).then(answer => answer.type));
  await attempt("POST as JSON", () => send({headers: json}).then(answer => answer.status));
  await attempt("WebSocket", socket);
  document.querySelector("#form").submit();
  await new Promise(done => document.querySelector("#sink").onload = done);
  document.querySelector("#plain").submit();
  await new Promise(done => document.querySelector("#sink").onload = done);
  window.open("UI/graphql?query=ACT");
  document.title = "done";
})();
</script>
"""


@pytest.fixture
def foreign_page(ui: Ui) -> Iterator[str]:
    """The address of a page of another origin that tries everything."""
    from urllib.parse import quote

    # The form's one field becomes "name=value": together they are JSON.
    body = json.dumps({"query": ACT, "x": ""}).replace("'", "&#39;")[:-2]
    page = HOSTILE.replace("BODY", body).replace("value=''", "value='\"}'").replace("UI", ui.url)
    page = page.replace("ACT", quote(ACT, safe=""))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.browser
def test_a_foreign_page_tries_everything_and_nothing_happens(ui: Ui, foreign_page: str) -> None:
    from playwright.sync_api import sync_playwright

    before = ui.settings.read_bytes()
    answered: dict[str, set[int]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        context = browser.new_context()
        context.on("response", lambda got: answered.setdefault(got.request.method, set()).add(got.status))
        page = context.new_page()
        page.goto(foreign_page)
        page.wait_for_function("document.title === 'done'", timeout=PAGE_MS)
        page.wait_for_timeout(300)  # the window that it opened
        tried = dict(line.split(": ") for line in page.evaluate("tried"))
        browser.close()
    # An answer that may not be read tells nothing of whether something was done.
    assert tried == {
        "GET": "TypeError",
        "GET as a picture": "error",
        "POST as text": "TypeError",
        "POST as JSON": "TypeError",
        "WebSocket": "error",
    }
    assert answered["POST"] <= {403, 415} and answered["GET"] <= {200, 403, 405}, "200 is its own page"
    assert runs(ui) == []
    assert ui.settings.read_bytes() == before


@pytest.mark.browser
def test_the_same_from_our_own_page_acts(ui: Ui) -> None:
    """So that the tests above can fail."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{ui.url}/server_info")
        post = "query => fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json'}, body: "
        said = page.evaluate(f"{post}JSON.stringify({{query}})}}).then(answer => answer.json())", ACT)
        browser.close()
    assert said == {"data": {"launchRun": {"__typename": "LaunchRunSuccess"}}}
    [run] = runs(ui)
    assert ui.wait_for_run(run["runId"])["status"] == "SUCCESS"
    assert "seed: 7" in ui.settings.read_text()
    # Our own commands are let in: the job asked the server to read the settings again.
    events = ui.ask(MESSAGES, run=run["runId"])["logsForRun"]["events"]
    assert f"the UI at {ui.url} has read the settings again" in [event.get("message") for event in events]


def test_the_note_of_the_ui_is_its_users_alone(ui: Ui) -> None:
    for name in ("ui.json", "ui.lock"):
        assert stat.S_IMODE((home(ui) / name).stat().st_mode) == 0o600
    found = find_ui(home(ui))
    assert found is not None and found.key
    assert found.key not in ui.log.read_text(encoding="utf-8")


def test_a_second_ui_tells_the_first_and_starts_nothing(ui: Ui) -> None:
    running = find_ui(home(ui))
    assert running is not None
    second = tac("ui", "--settings", ui.settings, "--port", ui.port)
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout == f"Dagster UI on {ui.url} (it runs already, as process {running.pid})\n"


@pytest.mark.parametrize("option", ["--read-only", "--token"])
def test_a_second_ui_is_never_taken_for_one_with_what_it_asks_for(ui: Ui, option: str) -> None:
    second = tac("ui", "--settings", ui.settings, "--port", "0", option)
    assert second.exit_code == 1
    assert f"and it was started without {option}. Stop it and start it again with that" in told(second)


def test_a_store_of_the_same_name_elsewhere_is_told_apart(
    ui: Ui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one home: a second store of that name must not take the first one's place in the UI."""
    monkeypatch.setenv("DAGSTER_HOME", str(home(ui)))
    located = (home(ui) / "locations" / "small.py").read_text()
    other = tac("ui", "--settings", write_store(tmp_path), "--port", "0")
    assert other.exit_code == 1
    assert f"the UI on {ui.url}" in told(other) and f"serves {ui.settings}. Stop it and start one" in told(other)
    assert (home(ui) / "locations" / "small.py").read_text() == located


def test_a_taken_port_is_refused_before_anything_starts(ui: Ui, tmp_path: Path) -> None:
    taken = tac("ui", "--settings", write_store(tmp_path), "--port", ui.port)
    assert taken.exit_code == 1
    assert f"port {ui.port} of 127.0.0.1 is taken by another program. Choose another with --port" in told(taken)
    assert not (tmp_path / "data/.dagster/ui.json").exists()


def test_a_run_that_is_started_with_broken_settings_says_what_is_wrong(ui: Ui) -> None:
    good = ui.settings.read_text(encoding="utf-8")
    ui.settings.write_text(good.replace(TAU, "tau: -1"), encoding="utf-8")
    try:
        run = ui.materialize(["image_manifest"])
    finally:
        ui.settings.write_text(good, encoding="utf-8")
    assert run["status"] == "FAILURE"
    [failure] = ui.failures(run["runId"]).values()
    assert failure["failureMetadata"]["description"].startswith("retrieval.tau must be > 0; got -1 (tac.yaml, line ")


def test_a_ui_that_is_killed_takes_everything_with_it(ui: Ui) -> None:
    """The last test of this file: also the daemon and the code servers end, and the home is free again."""
    running = find_ui(home(ui))
    assert running is not None and running.pid is not None
    family = descendants(running.pid)
    assert len(family) >= 4, "server, daemon, code server and its proxy"
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: all(not alive(pid) for pid in family) or None, what="the processes of the UI to end")
    with pytest.raises(httpx.TransportError):
        ui.client.get("/server_info")


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    lists = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    children = [int(name) for listed in lists for name in listed.read_text().split()]
    return children + [other for child in children for other in descendants(child)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
