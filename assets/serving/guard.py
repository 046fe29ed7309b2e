"""The guard before Dagster's web server: it refuses what a foreign page, a foreign name or a stranger asks.

Dagster's own server takes a mutation by GET from anywhere, and answers to any Host. So any page that somebody visits
could start the job that edits the settings. The guard is an ASGI layer; nothing of Dagster's is imported here.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from assets.serving.answers import answer, entry_page, login_page

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

GRAPHQL = "/graphql"
BODY_BYTES = 5_000_000
# So much of a body that is too large is read and thrown away: a client that is still sending cannot read an answer.
DISCARDED_BYTES = 20_000_000
# What the guard tells Dagster's side of a request: whether it comes from the owner's own commands.
OWNER = "tac.owner"
# Not no-referrer: under that policy a browser may blank the Origin of a page's own requests.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# In addition to the policy of Dagster's own page: a browser obeys both.
FRAMES = (b"content-security-policy", b"frame-ancestors 'self'")


@dataclass(frozen=True)
class Rules:
    """Whom the guard lets in.

    Parameters
    ----------
    names : frozenset of str
        The names and addresses at which the server was bound, in lower case; IPv6 addresses in brackets.
    port : int
    any_address : bool
        Whether it listens on all addresses: then every literal address is one of its names.
    forwarded : frozenset of str
        Host headers, in lower case and with their port if they have one, that a proxy or a forwarded port brings.
    key : str
        What the owner's own commands send.
    command : str
        What started the server, and printed the link with the token.
    token : str, optional
        What people must show; None lets everybody in who can reach the server.
    """

    names: frozenset[str]
    port: int
    key: str
    token: str | None = None
    any_address: bool = False
    forwarded: frozenset[str] = frozenset()
    command: str = "tac ui"

    @property
    def cookie(self) -> str:
        """The name of the token's cookie: cookies know hosts and not ports, and two servers must not share one."""
        return f"tac_ui_{self.port}"

    def serves(self, host: str) -> bool:
        """Whether a Host header names this server."""
        if host.lower() in self.forwarded:
            return True
        name, colon, port = host.lower().rpartition(":")
        if not colon or host.endswith("]"):
            name, port = host.lower(), "80"
        if port != str(self.port):
            return False
        return name in self.names or (self.any_address and _is_address(name))

    def origins(self, host: str) -> tuple[str, ...]:
        """The origins of our own pages at a Host that names this server."""
        # A proxy may have taken the encryption off.
        schemes = ("http", "https") if host.lower() in self.forwarded else ("http",)
        return tuple(f"{scheme}://{host.lower()}" for scheme in schemes)


@dataclass(frozen=True)
class Refusal:
    """A status code, and one plain sentence."""

    status: int
    sentence: str


class Guard:
    """An application behind the rules.

    Parameters
    ----------
    app : ASGI application
    rules : Rules
    body_bytes : int
        Larger bodies are refused; they are never held whole.
    larger : mapping of path to int, optional
        What the bodies at some addresses may have instead.
    """

    def __init__(
        self, app: App, rules: Rules, *, body_bytes: int = BODY_BYTES, larger: Mapping[str, int] | None = None
    ) -> None:
        self._app, self._rules, self._body_bytes, self._larger = app, rules, body_bytes, dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request, or pass on what is none."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        request = _Request(scope)
        refusal = _refuse_place(request, self._rules) or _refuse_form(request)
        if refusal is not None:
            await self._tell(refusal, request, receive, send)
        elif not self._knows(request):
            await self._ask_for_token(request, receive, send)
        elif request.shown_token and self._rules.token is not None:
            # Out of the address bar, and into a cookie.
            cookie = f"{self._rules.cookie}={self._rules.token}; Path=/; HttpOnly; SameSite=Strict"
            await answer(send, 200, entry_page(request.path, request.query), html=True, cookie=cookie)
        else:
            scope[OWNER] = _same(request.bearer, self._rules.key)
            await self._pass_on(request, receive, send)

    def _knows(self, request: "_Request") -> bool:
        """Whether a request shows the token, or needs none."""
        token = self._rules.token
        shown = (request.bearer, request.cookie(self._rules.cookie), request.shown_token)
        return token is None or _same(request.bearer, self._rules.key) or any(_same(text, token) for text in shown)

    async def _ask_for_token(self, request: "_Request", receive: Receive, send: Send) -> None:
        if request.kind == "http" and request.method in ("GET", "HEAD") and "text/html" in request.header("accept"):
            await answer(send, 401, login_page(self._rules.command, wrong=bool(request.shown_token)), html=True)
            return
        printed = f"the link that `{self._rules.command}` printed"
        sentence = f"this UI needs its token: open {printed}, or send `Authorization: Bearer TOKEN`"
        await self._tell(Refusal(401, sentence), request, receive, send)

    async def _pass_on(self, request: "_Request", receive: Receive, send: Send) -> None:
        if request.kind == "websocket" or request.method != "POST":
            await self._app(request.scope, receive, send)
            return
        most = self._larger.get(request.path, self._body_bytes)
        body = await _read(request, receive, most)
        if body is None:
            sentence = f"a request may have {most:,} bytes at most"
            await self._tell(Refusal(413, sentence), request, receive, send)
            return
        if request.path == GRAPHQL and not _is_object(body):
            await self._tell(Refusal(400, "a question of GraphQL must be one JSON object"), request, receive, send)
            return
        await self._app(request.scope, _replay(body, receive), send)

    async def _tell(self, refusal: Refusal, request: "_Request", receive: Receive, send: Send) -> None:
        if request.kind == "http":
            await answer(send, refusal.status, refusal.sentence)
        elif "websocket.http.response" in request.scope.get("extensions", {}):
            await receive()  # the handshake
            await answer(send, refusal.status, refusal.sentence, kind="websocket.http.response")
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.sentence})


class _Request:
    """What the rules look at."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.kind: str = scope["type"]
        self.path: str = scope["path"]
        self.method: str = scope.get("method", "GET")
        self.query: str = scope["query_string"].decode("latin-1")

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value.decode("latin-1").strip() for key, value in self.scope["headers"] if key.decode() == name]

    def header(self, name: str) -> str:
        """The first value of a header; an empty text when it is absent."""
        return next(iter(self.all(name)), "")

    def cookie(self, name: str) -> str:
        """The value of a cookie; an empty text when it is absent."""
        pairs = (pair.strip().partition("=") for line in self.all("cookie") for pair in line.split(";"))
        return next((value for found, _, value in pairs if found == name), "")

    @property
    def bearer(self) -> str:
        """The token of the Authorization header."""
        scheme, _, value = self.header("authorization").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""

    @property
    def shown_token(self) -> str:
        """The token in the address of a page."""
        if self.kind != "http" or self.method != "GET" or self.path == GRAPHQL:
            return ""
        return parse_qs(self.query).get("token", [""])[-1]

    @property
    def visits(self) -> bool:
        """Whether a browser opens a page in a window: a link from anywhere may do that."""
        document = (self.header("sec-fetch-mode"), self.header("sec-fetch-dest")) == ("navigate", "document")
        return document and self.method in ("GET", "HEAD") and self.path != GRAPHQL


def _refuse_place(request: _Request, rules: Rules) -> Refusal | None:
    """Refuse what comes to another name than ours (DNS rebinding), or from another page than ours."""
    hosts, origins = request.all("host"), request.all("origin")
    if len(hosts) != 1 or not rules.serves(hosts[0]):
        known = sorted({f"{name}:{rules.port}" for name in rules.names} | rules.forwarded)
        return Refusal(403, f"the Host header must be one of {', '.join(known)}: open the UI at its own address")
    if any(origin.lower() not in rules.origins(hosts[0]) for origin in origins):
        return Refusal(403, "a page of another origin asked; only pages of this UI may")
    site = request.header("sec-fetch-site").lower()
    if site not in ("", "same-origin", "none") and not request.visits:
        return Refusal(403, "a page of another site asked; it may only link to pages of this UI")
    return None


def _refuse_form(request: _Request) -> Refusal | None:
    """Refuse every way of acting but the one that a foreign page cannot take unasked: POST with JSON."""
    if request.kind == "websocket":
        return None
    if request.path == GRAPHQL:
        # Dagster falls back on it where a body has a content type that it does not know.
        request.scope["query_string"] = b""
    if request.method == "POST":
        # In lower case: Dagster knows it in no other.
        kinds = [kind.partition(";")[0].strip() for kind in request.all("content-type")]
        if kinds != ["application/json"]:
            return Refusal(415, "a POST must have the content type application/json")
    elif request.method not in ("GET", "HEAD"):
        return Refusal(405, f"the method {request.method} is not allowed; the UI takes GET, HEAD and POST")
    elif request.path == GRAPHQL and (request.method == "HEAD" or "text/html" not in request.header("accept")):
        # Where HTML is accepted, Dagster shows a page for typing queries.
        return Refusal(405, "GraphQL is asked by POST with the content type application/json")
    return None


async def _read(request: _Request, receive: Receive, most: int) -> bytes | None:
    """A body; None when it is too large, or its sender has gone."""
    declared = request.header("content-length")
    too_large = declared.isdecimal() and int(declared) > most
    parts, size, more = list[bytes](), 0, True
    while more and size <= most + DISCARDED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        too_large = too_large or size > most
        if too_large:
            parts.clear()
        else:
            parts.append(part)
    return None if too_large else b"".join(parts)


def _is_object(body: bytes) -> bool:
    """Whether a body is a JSON object: Dagster ends in an error for anything else."""
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _same(shown: str, secret: str) -> bool:
    """Whether two texts are equal, in a time that does not tell how much of them is."""
    return bool(shown) and hmac.compare_digest(shown.encode("utf-8", "replace"), secret.encode())


def _is_address(name: str) -> bool:
    try:
        ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, then whatever comes."""
    left: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def give() -> Message:
        return next(left, None) or await receive()

    return give


def _with_headers(send: Send) -> Send:
    """Add what makes a browser careful to every answer, in place of what the answer says."""
    ours = {name for name, _ in HEADERS}

    async def add(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in ours]
            message = {**message, "headers": [*kept, *HEADERS, FRAMES]}
        await send(message)

    return add
