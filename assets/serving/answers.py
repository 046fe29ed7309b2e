"""What the guard answers itself: a sentence, the page that asks for the token, the page that takes it away."""

from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">{head}<title>tac ui</title></head>
<body style="font: 16px/1.5 sans-serif; max-width: 34em; margin: 4em auto; padding: 0 1em">{body}</body>
</html>
"""
_LOGIN = """
<h1>This UI needs its token</h1>
<p>{said}Open the link that <code>{command}</code> printed, or enter the token at its end.</p>
<form method="get">
<label>Token <input type="password" name="token" autocomplete="off" required autofocus></label> <button>Open</button>
</form>
"""


async def answer(
    send: Send, status: int, text: str, *, html: bool = False, cookie: str | None = None, kind: str = "http.response"
) -> None:
    """Answer a request, or a handshake of a websocket, with a text that ends the connection."""
    body = text.encode() if html else f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8" if html else b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    headers += [(b"set-cookie", cookie.encode())] if cookie else []
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def login_page(command: str, *, wrong: bool) -> str:
    """The page that asks for the token."""
    return _PAGE.format(
        head="", body=_LOGIN.format(command=escape(command), said="This token is wrong. " if wrong else "")
    )


def entry_page(path: str, query: str) -> str:
    """The page that leads on to the same address without the token.

    A redirect would not do: the browser counts it to the site that the visitor came from, and keeps the cookie back.
    """
    rest = urlencode([(name, value) for name, value in parse_qsl(query) if name != "token"])
    # One slash alone: "//name" would be another server.
    place = escape("/" + quote(path.lstrip("/\\")) + (f"?{rest}" if rest else ""))
    return _PAGE.format(
        head=f'<meta http-equiv="refresh" content="0; url={place}">', body=f'<p><a href="{place}">To the UI</a></p>'
    )
