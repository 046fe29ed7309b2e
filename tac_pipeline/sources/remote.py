"""Files behind a URL, through the filesystem that fsspec has for it: opened, listed, and read with bounds and patience.

A name may hold any character: a URL is split into filesystem and path here alone, and `::` chains filesystems only
where every part names one. What must stay out: how the bytes of one read arrive (streaming.py).
"""

from __future__ import annotations

import errno
import html
import io
import random
import time
import weakref
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.rules import is_archive
from tac_pipeline.sources.spools import Spool, Spools
from tac_pipeline.sources.streaming import GaveUp, NoParts, OverLimit, is_http, read_file, read_part, stream_file

TIMEOUT = 30.0  # seconds, as long as a setting says nothing else
TRIES = 3
# Before the second try, at most; twice as long before the third.
PAUSE = 1.0  # seconds
LONGEST_PAUSE = 10.0  # however long a server asks for
# The readers bound how many connections there are (images.concurrent_reads); botocore's own limit is 10.
CONNECTIONS = 1024

Answer = TypeVar("Answer")


class RemoteFiles:
    """Reads files behind URLs; what fails for a reason that may pass is tried TRIES times. Safe in threads.

    Parameters
    ----------
    timeout : float
        Seconds after which a read that brings nothing, or hardly anything, is given up.
    """

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._spools = Spools()
        # Tars that still arrive are not wanted any more when their reader is gone.
        weakref.finalize(self, self._spools.stop)

    def read(self, filesystem: Any, path: str, *, limit: int | None = None) -> bytes:
        """The bytes of a file.

        Raises
        ------
        OverLimit
            It has more than limit bytes; at most one more is read.
        OSError
            It cannot be read; the message is the reason.
        """
        return self._tried(lambda: read_file(filesystem, path, limit=limit, timeout=self.timeout))

    def read_part(self, filesystem: Any, path: str, start: int, size: int) -> bytes:
        """Size bytes of a file from start, fewer if it ends before; OSError when they cannot be read.

        From a server that sends only whole files, the file is streamed once into a temporary file (spools.py).
        """
        if path not in self._spools:
            try:
                return self._tried(lambda: read_part(filesystem, path, start, size, timeout=self.timeout))
            except NoParts:
                pass
        return self._spools.read(path, start, size, self._stream_of(filesystem, path))

    def open(self, filesystem: Any, path: str) -> IO[bytes]:
        """A file to seek in; OSError when it cannot be opened."""
        if is_http(filesystem):
            try:
                if not self._tried(lambda: read_part(filesystem, path, 1, 1, timeout=self.timeout)):
                    return io.BytesIO(self.read(filesystem, path))
            except NoParts:
                return self._spools.open(path, self._stream_of(filesystem, path))
        file: IO[bytes] = filesystem.open(path, "rb")
        return file

    def _stream_of(self, filesystem: Any, path: str) -> Callable[[Spool], None]:
        # The spool must not keep this object, whose end ends the stream.
        timeout = self.timeout

        def stream(spool: Spool) -> None:
            def once() -> None:
                spool.begin()
                stream_file(filesystem, path, spool.take, timeout=timeout)

            tried(once, timeout=timeout)

        return stream

    def _tried(self, read: Callable[[], Answer]) -> Answer:
        return tried(read, timeout=self.timeout)


def tried(read: Callable[[], Answer], *, timeout: float, what: str = "read it") -> Answer:
    """What a read returns, tried again after a pause where that may help; OSError with the reason when it fails.

    `what` says what credentials must allow.
    """
    number = 1
    while True:
        try:
            return read()
        except (OverLimit, NoParts):
            raise
        except Exception as error:
            if number == TRIES or not _may_pass(error):
                reason = _reason(error, timeout, what) + (f" ({number} tries)" if number > 1 else "")
                raise (GaveUp if isinstance(error, GaveUp | TimeoutError) else OSError)(reason) from error
            pause = _pause(error, number, timeout)
        time.sleep(pause)
        number += 1


def _pause(error: Exception, number: int, timeout: float) -> float:
    """Seconds before the next try: as long as the server asks for, within bounds, else longer from try to try."""
    asked = str((getattr(error, "headers", None) or {}).get("Retry-After", ""))
    longest = min(PAUSE, timeout) * 2 ** (number - 1)
    # Spread, so that many readers do not all come back at once.
    spread: float = longest * random.uniform(0.5, 1)
    return max(min(float(asked), LONGEST_PAUSE), spread) if asked.isdigit() else spread


def _may_pass(error: Exception) -> bool:
    if isinstance(error, GaveUp):
        return not error.final
    status = _status(error)
    if status is not None:
        return status in (408, 429) or status >= 500
    lost = getattr(error, "errno", None) in (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT)
    return lost or isinstance(error, TimeoutError) or bool(_kinds(error) & _PASSING)


# By name, because these packages may not be installed.
_PASSING = {"ServerDisconnectedError", "ClientPayloadError", "IncompleteRead", "HTTPClientError"}
_REFUSED = {"EndpointConnectionError", "ProxyConnectionError", "SSLError", "ClientConnectorError"}


def _kinds(error: BaseException) -> set[str]:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return set() if kinds & _REFUSED else kinds


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells, None if it tells none."""
    for told in (error, error.__cause__):
        status = getattr(told, "status", None)
        response = getattr(told, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status, int) and status:
            return status
    return None


def _reason(error: Exception, timeout: float, what: str = "read it") -> str:
    status, words = _status(error), _words(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file" if "://" in words else words
    if isinstance(error, GaveUp):
        return words
    if isinstance(error, TimeoutError) or any("Timeout" in kind for kind in _kinds(error)):
        return f"did not answer within {timeout:g} s"
    if "ClientPayloadError" in _kinds(error):
        return "the answer was cut short"
    if "TooManyRedirects" in _kinds(error):
        return "is redirected without end"
    if "ContentEncodingError" in _kinds(error):
        return "the answer's compression is damaged"
    remedy = _remedy(error, what)
    if status is not None and getattr(error, "message", None) is not None:
        words = f"HTTP {status} {getattr(error, 'message', '')}".strip()
    return f"{words}: {remedy}" if remedy else words


def _remedy(error: Exception, what: str) -> str:
    kinds = _kinds(error)
    if kinds & {"NoCredentialsError", "PartialCredentialsError"}:
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if isinstance(error, PermissionError) or _status(error) in (401, 403):
        return f"the credentials that are in use may not {what}"
    return ""


def open_filesystem(url: str, *, timeout: float = TIMEOUT) -> tuple[Any, str]:
    """The filesystem of a URL, and the URL's path in it.

    Raises
    ------
    SourceError
        There is no filesystem for it, or it cannot be opened.
    """
    try:
        filesystem, root = split_url(url, timeout=timeout)
    except ImportError as error:
        raise SourceError(f"images.source {url} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise SourceError(f"images.source {url} cannot be opened: {error}") from error
    return filesystem, root.rstrip("/")


def split_url(url: str, *, timeout: float = TIMEOUT, options: Mapping[str, Any] | None = None) -> tuple[Any, str]:
    """The filesystem of a URL, and the URL's path in it; raises whatever the filesystem raises.

    Options are those of fsspec's filesystem, beside what it is told of patience.
    """
    from fsspec.core import filesystem, get_filesystem_class, split_protocol, url_to_fs
    from fsspec.registry import known_implementations

    parts = url.split("::")
    if len(parts) > 1 and all("://" in part or part in known_implementations for part in parts):
        protocols = {split_protocol(part)[0] or part for part in parts}
        chained, path = url_to_fs(
            url, **{name: _options(name, timeout) for name in protocols if _options(name, timeout)}
        )
        return chained, str(path)
    protocol = split_protocol(url)[0] or "file"
    kind = get_filesystem_class(protocol)
    found = {**kind._get_kwargs_from_urls(url), **_merged(_options(protocol, timeout), options or {})}
    return filesystem(protocol, **found), str(kind._strip_protocol(url))


def _options(protocol: str, timeout: float) -> dict[str, Any]:
    """What a filesystem is told of patience and connections; what fsspec's own configuration says comes first."""
    from fsspec.config import conf

    own: dict[str, Any] = {}
    if protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        patience = ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        own = {"client_kwargs": {"timeout": patience}, "get_client": _http_client}
    elif protocol in ("s3", "s3a"):
        waits = {"connect_timeout": timeout, "read_timeout": timeout, "max_pool_connections": CONNECTIONS}
        own = {"config_kwargs": {**waits, "retries": {"total_max_attempts": 1}}}
    elif protocol in ("gs", "gcs"):
        own = {"requests_timeout": timeout}
    elif protocol == "ftp":
        own = {"timeout": timeout}
    configured = conf.get(protocol, {})
    return _merged(own, {name: configured[name] for name in own if name in configured})


def _merged(options: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Options, and those that come first; of dictionaries, key by key."""
    return {
        name: {**options[name], **others[name]}
        if isinstance(options.get(name), dict) and isinstance(others.get(name), Mapping)
        else others.get(name, options.get(name))
        for name in {**options, **others}
    }


async def _http_client(**options: Any) -> Any:
    from aiohttp import ClientSession, TCPConnector

    return ClientSession(connector=TCPConnector(limit=CONNECTIONS), **options)


def list_files(filesystem: Any, root: str, url: str) -> dict[str, dict[str, Any]]:
    """Every file at a path and below it: {path: what the filesystem says of it}.

    Raises
    ------
    SourceError
        Nothing is there, or it cannot be listed (credentials, network): a source that cannot be read is not empty.
    """
    try:
        # Filesystems cache listings within a process; a second run must see new files.
        filesystem.invalidate_cache()
        # Else HTTP takes a server that does not answer for a file that is not there.
        strict = {"strict": True} if is_http(filesystem) else {}
        if not filesystem.exists(root, **strict):
            raise FileNotFoundError(root)
        if strict and is_archive(root):
            # Else fsspec would read all of it, to look for links.
            single = filesystem.info(root)
            if single.get("mimetype") != "text/html":
                return {root: single}
        found = filesystem.find(root, detail=True)
    except FileNotFoundError as error:
        raise SourceError(
            f"images.source must be an existing folder; nothing is at {url}. Check its name"
            + (", and AWS_ENDPOINT_URL if the bucket is not at AWS." if url.startswith("s3") else ".")
        ) from error
    except Exception as error:
        reason = _reason(error, TIMEOUT)
        raise SourceError(f"cannot list {url}: {reason}. A source that cannot be read is not empty.") from error
    files = {path: entry for path, entry in found.items() if entry.get("type") == "file"}
    # A page's links are text of HTML, which fsspec leaves as it is.
    return {html.unescape(path): entry for path, entry in files.items()} if is_http(filesystem) else files


def read_url(url: str, *, limit: int | None = None, timeout: float = TIMEOUT) -> bytes:
    """The bytes of a file.

    Raises
    ------
    OverLimit
        It has more than limit bytes; at most one more is read.
    OSError
        It cannot be read; the message is the reason.
    """
    try:
        filesystem, path = split_url(url, timeout=timeout)
    except Exception as error:
        raise OSError(_words(error)) from error
    return tried(lambda: read_file(filesystem, path, limit=limit, timeout=timeout), timeout=timeout)


def changed_mark(entry: dict[str, Any]) -> str | None:
    """The etag of a listed file if the filesystem gives one, else its time of change, else None."""
    for name in (
        "ETag",
        "etag",
        "mtime",
        "LastModified",
        "Last-Modified",
        "last_modified",
        "modified",
        "updated",
        "created",
    ):
        if entry.get(name):
            return str(entry[name]).strip('"')
    return None


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the answer lacks {error}"
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
