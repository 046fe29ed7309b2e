"""The guard alone, before a small application that tells what reached it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from guard_cases import ACT, CASES, HOST, JSON, Case, posted, visit

from assets.serving.guard import BODY_BYTES, OWNER, App, Guard, Message, Receive, Rules, Scope, Send

LOCAL = Rules(frozenset({"localhost", "127.0.0.1", "[::1]"}), 3000, key="the-owners-key")
SHARED = replace(LOCAL, names=frozenset({"box.local"}), token="the-token")


class Inner:
    """Answers 200 to everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Scope, bytes]] = []
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.asked.append((scope, body))
        headers = [(b"content-type", b"text/plain"), (b"referrer-policy", b"unsafe-url")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture
def inner() -> Inner:
    return Inner()


def ask(app: App, case: Case, *, host: str = HOST, cookies: str = "") -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            headers = {"accept": "*/*", **case.headers, **({"cookie": cookies} if cookies else {})}
            return await client.request(
                case.method, case.path, params=case.query or None, headers=headers, content=case.body
            )

    return asyncio.run(go())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table(inner: Inner, case: Case) -> None:
    answer = ask(Guard(inner, LOCAL), case)
    assert (answer.status_code, bool(inner.asked)) == (case.status, case.reached), answer.text
    if not case.reached and case.method != "HEAD":
        assert answer.text.count("\n") == 1 and len(answer.text) > 20, "one plain sentence"
        assert answer.headers["content-type"].startswith("text/plain")


def test_a_query_by_get_reaches_nobody_even_where_a_page_is_wanted(inner: Inner) -> None:
    case = Case("", 200, "GET", query={"query": ACT}, headers={"accept": "text/html"})
    ask(Guard(inner, LOCAL), case)
    assert [scope["query_string"] for scope, _ in inner.asked] == [b""]


def test_every_answer_makes_the_browser_careful(inner: Inner) -> None:
    for case in (visit("let in", 200), visit("refused", 403, host="rebound.example")):
        headers = ask(Guard(inner, LOCAL), case).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["content-security-policy"] == "frame-ancestors 'self'"


TOKENS = [
    (posted("no token", 401), ""),
    (posted("a wrong token", 401, authorization="Bearer the-tokem"), ""),
    (posted("a token of another scheme", 401, authorization="Basic the-token"), ""),
    (posted("an empty token", 401, authorization="Bearer "), ""),
    (posted("the token", 200, reached=True, authorization="Bearer the-token"), ""),
    (posted("the owner's key", 200, reached=True, authorization="bearer the-owners-key"), ""),
    (posted("the cookie", 200, reached=True), "a=b; tac_ui_3000=the-token"),
    (posted("the cookie of another port", 401), "tac_ui_3001=the-token"),
    (posted("the cookie, from a foreign page", 403, origin="http://elsewhere.example"), "tac_ui_3000=the-token"),
    (posted("the token, to another name", 403, host="rebound.example:3000", authorization="Bearer the-token"), ""),
    (replace(posted("the token in the address of a POST", 401), query={"token": "the-token"}), ""),
    (visit("a page", 401), ""),
    (visit("a page with the cookie", 200, reached=True), "tac_ui_3000=the-token"),
    (replace(visit("a page with a wrong token", 401), query={"token": "wrong"}), ""),
    (replace(visit("a page with the token", 200), query={"token": "the-token"}), ""),
    (replace(visit("a page with the owner's key", 401), query={"token": "the-owners-key"}), ""),
    (visit("a file without a token", 401, "/_next/static/x.js"), ""),
]


@pytest.mark.parametrize(("case", "cookies"), TOKENS, ids=[case.name for case, _ in TOKENS])
def test_beyond_this_machine_a_token_is_asked_for(inner: Inner, case: Case, cookies: str) -> None:
    answer = ask(Guard(inner, SHARED), case, host="box.local:3000", cookies=cookies)
    assert (answer.status_code, bool(inner.asked)) == (case.status, case.reached), answer.text
    assert ("www-authenticate" in answer.headers) == (case.status == 401)
    assert "the-token" not in answer.text and "the-owners-key" not in answer.text


def test_the_first_visit_leaves_the_token_in_a_cookie_and_leads_on(inner: Inner) -> None:
    guard = Guard(inner, SHARED)
    case = Case("", 200, "GET", "/runs/1", {"accept": "text/html"}, {"token": "the-token", "view": "a b&c"})
    answer = ask(guard, case, host="box.local:3000")
    assert answer.headers["set-cookie"] == "tac_ui_3000=the-token; Path=/; HttpOnly; SameSite=Strict"
    assert 'content="0; url=/runs/1?view=a+b%26c"' in answer.text
    assert not inner.asked


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/evil.example"),
        ('/"><script>alert(1)</script>', "/%22%3E%3Cscript%3Ealert%281%29%3C/script%3E"),
    ],
    ids=["another server", "another server, backslash", "script"],
)
def test_the_page_that_leads_on_stays_here(inner: Inner, path: str, leads_to: str) -> None:
    scope = get_scope(path, b"token=the-token")
    sent = call(Guard(inner, SHARED), scope)
    assert f'url={leads_to}"'.encode() in sent[1]["body"]
    assert b"<script" not in sent[1]["body"]


def test_the_page_that_asks_for_the_token_repeats_nothing_of_the_request(inner: Inner) -> None:
    sent = call(Guard(inner, SHARED), get_scope("/<script>", b"token=<script>"))
    assert sent[0]["status"] == 401
    assert b"This token is wrong" in sent[1]["body"]
    assert b"<script" not in sent[1]["body"]


def test_where_no_token_is_needed_an_old_link_still_opens_the_page(inner: Inner) -> None:
    assert ask(Guard(inner, LOCAL), replace(visit("", 200), query={"token": "old"})).text == "reached"


@pytest.mark.parametrize(("sent", "owner"), [("the-owners-key", True), ("", False), ("the-owners-kex", False)])
def test_requests_of_the_owners_commands_are_known(inner: Inner, sent: str, owner: bool) -> None:
    ask(Guard(inner, LOCAL), posted("", 200, authorization=f"Bearer {sent}"))
    assert inner.asked[0][0][OWNER] is owner


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("192.0.2.7:3000", True),
        ("[2001:db8::7]:3000", True),
        ("box.local:3000", True),
        ("192.0.2.7:3001", False),
        ("rebound.example:3000", False),
        ("1.2.3.4.example:3000", False),
        ("", False),
        (":3000", False),
    ],
)
def test_on_all_addresses_every_address_is_ours_and_no_other_name(host: str, served: bool) -> None:
    assert replace(SHARED, any_address=True).serves(host) is served


FORWARDED = replace(LOCAL, forwarded=frozenset({"photos.example.org", "localhost:8001"}))


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("Photos.example.org", "https://photos.example.org", 200),
        ("photos.example.org", "http://photos.example.org", 200),
        ("localhost:8001", "http://localhost:8001", 200),
        (HOST, f"http://{HOST}", 200),
        (HOST, f"https://{HOST}", 403),
        ("photos.example.org", "https://elsewhere.example", 403),
        ("photos.example.org", f"http://{HOST}", 403),
        ("photos.example.org:8001", "http://photos.example.org:8001", 403),
        ("localhost:8002", "http://localhost:8002", 403),
    ],
)
def test_a_proxy_brings_visitors_by_the_names_that_were_given(
    inner: Inner, host: str, origin: str, status: int
) -> None:
    assert ask(Guard(inner, FORWARDED), posted("", status, host=host, origin=origin)).status_code == status


def test_at_port_80_browsers_leave_the_port_out() -> None:
    rules = replace(LOCAL, port=80)
    assert rules.serves("localhost") and rules.serves("[::1]") and rules.serves("127.0.0.1:80")
    assert not rules.serves("localhost:3000")


def get_scope(path: str = "/", query: bytes = b"", headers: Any = (), *, kind: str = "http") -> Scope:
    named = [(b"host", b"box.local:3000"), (b"accept", b"text/html"), *headers]
    scope: Scope = {"type": kind, "path": path, "query_string": query, "headers": named}
    return {**scope, "method": "GET"} if kind == "http" else scope


def call(app: App, scope: Scope, received: Any = ()) -> list[Any]:
    """What an application sends; it is given these messages, and then that the client is gone."""
    left: Iterator[Message] = iter(received)
    sent: list[Any] = []

    async def receive() -> Message:
        return next(left, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent


def post_scope(*headers: tuple[bytes, bytes]) -> Scope:
    named = [(b"host", HOST.encode()), (b"content-type", b"application/json"), *headers]
    return {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": named}


def test_a_body_without_an_end_is_given_up_and_never_held(inner: Inner) -> None:
    given = 0

    def endless() -> Iterator[Message]:
        nonlocal given
        while True:
            given += 1
            yield {"type": "http.request", "body": b"x" * 1_000_000, "more_body": True}

    sent = call(Guard(inner, LOCAL), post_scope(), endless())
    assert sent[0]["status"] == 413 and not inner.asked
    assert given < 40


def test_a_body_in_parts_reaches_the_application_whole(inner: Inner) -> None:
    parts = [{"type": "http.request", "body": b'{"a"', "more_body": True}, {"type": "http.request", "body": b":1}"}]
    call(Guard(inner, LOCAL), post_scope(), parts)
    assert [body for _, body in inner.asked] == [b'{"a":1}']


def test_a_body_of_the_limit_is_let_in_and_one_byte_more_is_not(inner: Inner) -> None:
    for size, status in ((BODY_BYTES, 200), (BODY_BYTES + 1, 413)):
        sent = call(Guard(inner, LOCAL), post_scope(), [{"type": "http.request", "body": b"{}" + b" " * (size - 2)}])
        assert sent[0]["status"] == status


def test_two_hosts_or_content_types_are_none(inner: Inner) -> None:
    assert call(Guard(inner, LOCAL), post_scope((b"host", HOST.encode())))[0]["status"] == 403
    assert call(Guard(inner, LOCAL), post_scope((b"content-type", b"application/json")))[0]["status"] == 415
    assert not inner.asked


SOCKETS = [
    ("own Origin", [(b"origin", b"http://box.local:3000"), (b"cookie", b"tac_ui_3000=the-token")], None),
    ("no Origin, token", [(b"authorization", b"Bearer the-token")], None),
    ("foreign Origin", [(b"origin", b"http://elsewhere.example"), (b"cookie", b"tac_ui_3000=the-token")], 403),
    ("no token", [(b"origin", b"http://box.local:3000")], 401),
    ("another site", [(b"sec-fetch-site", b"cross-site"), (b"authorization", b"Bearer the-token")], 403),
]


@pytest.mark.parametrize(("headers", "status"), [row[1:] for row in SOCKETS], ids=[row[0] for row in SOCKETS])
@pytest.mark.parametrize("tells", [True, False], ids=["a sentence", "a code"])
def test_a_websocket_is_opened_for_own_pages_only(headers: Any, status: int | None, tells: bool) -> None:
    opened: list[Scope] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        opened.append(scope)

    scope = get_scope("/graphql", headers=headers, kind="websocket")
    if tells:
        scope["extensions"] = {"websocket.http.response": {}}
    sent = call(Guard(inner, SHARED), scope, [{"type": "websocket.connect"}])
    assert bool(opened) is (status is None)
    if status is not None and tells:
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", status)
    elif status is not None:
        assert (sent[0]["type"], sent[0]["code"]) == ("websocket.close", 1008)


def test_a_websocket_at_another_name_is_refused(inner: Inner) -> None:
    scope = get_scope("/graphql", kind="websocket")
    scope["headers"] = [(b"host", b"rebound.example:3000"), (b"authorization", b"Bearer the-token")]
    assert call(Guard(inner, SHARED), scope, [{"type": "websocket.connect"}])[0]["type"] == "websocket.close"


def test_what_is_no_request_is_passed_on() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    call(Guard(inner, LOCAL), {"type": "lifespan"})
    assert seen == ["lifespan"]


def test_the_method_of_a_case_is_the_one_that_is_sent(inner: Inner) -> None:
    """So that the table above can fail."""
    ask(inner, Case("", 200, "DELETE", headers=JSON))
    assert inner.asked[0][0]["method"] == "DELETE"
