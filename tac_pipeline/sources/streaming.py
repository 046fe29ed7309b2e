"""One read of one remote file: bounded in bytes and in time while it arrives.

A read runs as a coroutine on fsspec's own loop, so that it can be given up at any moment. What must stay out: trying
again (remote.py), and tars that cannot be read in parts (spools.py).
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

CHUNK = 1 << 18
# A read that is slower than this for the length of its timeout is given up.
SLOWEST = 1024  # bytes a second
# A read may take this many times its timeout, however steadily it goes on.
LONGEST = 20

Answer = TypeVar("Answer")


class OverLimit(OSError):
    """The file has more bytes than were asked for at most.

    Attributes
    ----------
    size : int or None
        How many it has, where that is known without reading it.
    """

    def __init__(self, size: int | None, limit: int) -> None:
        super().__init__(f"{'more' if size is None else f'{size:,} bytes, more'} than the limit of {limit:,} bytes")
        self.size, self.limit = size, limit


class GaveUp(OSError):
    """The file did not arrive in time.

    Attributes
    ----------
    final : bool
        Trying again would take as long again.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class NoParts(OSError):
    """The server answers a question for a part of the file with the whole file."""


@dataclass
class Pace:
    """Says when a read is given up: nothing arrives, hardly anything arrives, or it takes too long."""

    timeout: float
    total: int = 0
    _began: float = field(default_factory=time.monotonic)
    _window: float = field(default_factory=time.monotonic)
    _in_window: int = 0

    async def bytes_of(self, coming: Awaitable[bytes]) -> bytes:
        """The next bytes; GaveUp when they are too late."""
        chunk = await self.answer_of(coming)
        self.total += len(chunk)
        self._in_window += len(chunk)
        if self._in_window >= SLOWEST * self.timeout:
            self._window, self._in_window = time.monotonic(), 0
        return chunk

    async def answer_of(self, coming: Awaitable[Answer], *, expected: int = 0) -> Answer:
        """An answer of that many bytes; GaveUp when it is too late."""
        ends = min(self._window + self.timeout + expected / SLOWEST, self._began + LONGEST * self.timeout)
        try:
            async with asyncio.timeout(ends - time.monotonic()):
                return await coming
        except TimeoutError as error:
            raise self._gave_up() from error

    def _gave_up(self) -> GaveUp:
        seconds = f"{self.timeout:g} s"
        if time.monotonic() - self._began >= LONGEST * self.timeout:
            return GaveUp(f"was not whole within {LONGEST * self.timeout:g} s ({self.total:,} bytes)", final=True)
        if not self.total:
            return GaveUp(f"did not answer within {seconds}")
        if not self._in_window:
            return GaveUp(f"stopped after {self.total:,} bytes and sent nothing for {seconds}")
        return GaveUp(f"sent only {self._in_window:,} bytes within {seconds}")


def run_on_loop(filesystem: Any, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """What a coroutine returns, run on the filesystem's loop; it is canceled when the caller is interrupted."""
    future = asyncio.run_coroutine_threadsafe(coroutine, filesystem.loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def is_http(filesystem: Any) -> bool:
    """Whether the filesystem speaks plain HTTP."""
    return "http" in (filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,))


def read_file(filesystem: Any, path: str, *, limit: int | None, timeout: float) -> bytes:
    """The bytes of a whole file.

    Raises
    ------
    OverLimit
        It has more than limit bytes; at most one more is read.
    GaveUp
        It does not arrive in time.
    """
    if not filesystem.async_impl:
        with filesystem.open(path, "rb") as file:
            return read_at_most(file, limit)

    async def read() -> bytes:
        pace = Pace(timeout)
        try:
            async with _opened(filesystem, path, pace) as file:
                return await _collect(file, pace, limit)
        except NotImplementedError:
            # Some filesystems stream nothing; their ranges are bounded.
            end = None if limit is None else limit + 1
            data = bytes(await pace.answer_of(filesystem._cat_file(path, start=None, end=end), expected=limit or 0))
            if limit is not None and len(data) > limit:
                raise OverLimit(None, limit) from None
            return data

    return run_on_loop(filesystem, read())


def read_part(filesystem: Any, path: str, start: int, size: int, *, timeout: float) -> bytes:
    """Size bytes from start, fewer if the file ends before.

    Raises
    ------
    NoParts
        The server sends only whole files, and start is not its beginning.
    GaveUp
        They do not arrive in time.
    """
    if not size:
        return b""
    if not filesystem.async_impl:
        with filesystem.open(path, "rb") as file:
            file.seek(start)
            return bytes(file.read(size))

    async def read() -> bytes:
        pace = Pace(timeout)
        if not is_http(filesystem):
            part = filesystem._cat_file(path, start=start, end=start + size)
            return bytes(await pace.answer_of(part, expected=size))
        try:
            async with _opened(filesystem, path, pace, Range=f"bytes={start}-{start + size - 1}") as file:
                if file.r.status != 206 and start:
                    raise NoParts(f"{path}: the server sends only whole files")
                return await _collect(file, pace, size, cut=True)
        except OSError:
            raise
        except Exception as error:
            if getattr(error, "status", None) == 416:  # the file ends before
                return b""
            raise

    return run_on_loop(filesystem, read())


def stream_file(filesystem: Any, path: str, take: Callable[[bytes, int | None], None], *, timeout: float) -> None:
    """Give the bytes of a whole file to a function as they arrive, each time with the file's size if it is known.

    The function is called on the filesystem's loop. What it raises ends the read. There is no bound on the whole time,
    only on how slowly the bytes may come.
    """

    async def read() -> None:
        pace = Pace(timeout)
        async with _opened(filesystem, path, pace) as file:
            size = told_size(file.r)
            while chunk := await pace.bytes_of(file.read(CHUNK)):
                take(chunk, size)
                pace._began = time.monotonic()

    run_on_loop(filesystem, read())


def read_at_most(file: Any, limit: int | None, *, size: int = 0) -> bytes:
    """The rest of an opened file; OverLimit when that is more than limit bytes, of which one more is read at most.

    Parameters
    ----------
    size : int
        How many bytes are expected.
    """
    if limit is None:
        return bytes(file.read())
    if size > limit:
        raise OverLimit(size, limit)
    found = file.read(size + 1)
    if len(found) <= size:
        return bytes(found)
    # It grows in place, so that memory holds the bytes once.
    grown = io.BytesIO()
    grown.write(found)
    while grown.tell() <= limit and (chunk := file.read(min(CHUNK, limit + 1 - grown.tell()))):
        grown.write(chunk)
    if grown.tell() > limit:
        raise OverLimit(None, limit)
    return grown.getvalue()


def read_local(path: Path, limit: int | None) -> bytes:
    """The bytes of a local file; OverLimit when it has more than limit."""
    with path.open("rb") as file:
        return read_at_most(file, limit, size=os.fstat(file.fileno()).st_size)


@asynccontextmanager
async def _opened(filesystem: Any, path: str, pace: Pace, **headers: str) -> AsyncIterator[Any]:
    """The file, opened for streaming; its first bytes are on the way, its connection is closed at the end."""
    if is_http(filesystem):
        # The size is given so that the server is not asked for it.
        file = await pace.answer_of(filesystem.open_async(path, "rb", size=0))
        # fsspec drops request options that are given to open_async. Images are compressed already.
        headers = {"Accept-Encoding": "identity", **filesystem.kwargs.get("headers", {}), **headers}
        file.kwargs = {**filesystem.kwargs, "headers": headers}
    else:
        file = await pace.answer_of(filesystem.open_async(path, "rb"))
    try:
        # Nothing is asked before the first read: this one asks and takes no bytes.
        await pace.answer_of(file.read(0))
        yield file
    finally:
        answer = getattr(file, "r", None)
        if answer is not None:
            answer.close()
        await file.close()


async def _collect(file: Any, pace: Pace, limit: int | None, *, cut: bool = False) -> bytes:
    """The bytes of an answer; with cut the first `limit` of them, else OverLimit when there are more."""
    size = told_size(file.r)
    if limit is not None and size is not None and size > limit and not cut:
        raise OverLimit(size, limit)
    most = None if limit is None else limit if cut else limit + 1
    # It grows in place, so that memory holds the bytes once.
    found = io.BytesIO()
    while most is None or found.tell() < most:
        chunk = await pace.bytes_of(file.read(CHUNK if most is None else min(CHUNK, most - found.tell())))
        if not chunk:
            break
        found.write(chunk)
    if limit is not None and not cut and found.tell() > limit:
        raise OverLimit(None, limit)
    return found.getvalue()


def told_size(answer: Any) -> int | None:
    """The size that an answer's headers tell; None if they tell none, or that of its compressed form."""
    headers = getattr(answer, "headers", None)
    if headers is None:
        headers = getattr(getattr(answer, "_raw_stream", None), "headers", None) or {}
    told = str(headers.get("Content-Length", ""))
    return int(told) if told.isdigit() and "Content-Encoding" not in headers else None
