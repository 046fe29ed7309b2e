"""Tars behind servers that send only whole files: each is streamed once into a temporary file, and read there.

The temporary files have no name, so they are gone when the process ends, however it ends. They take the bytes of the
KEPT tars that are in use, each at most SPOOL_BYTES and at most half of what is free. What must stay out: single reads
(streaming.py).
"""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

SPOOL_BYTES = 64 * 2**30
# The tar that is being read, and the one before it, of which some members may still be asked for.
KEPT = 2


class Spool:
    """A file that arrives once, from its beginning; what has arrived can be read at any place.

    Parameters
    ----------
    name : str
        For messages.
    stream : callable
        Takes the spool and gives its `take` the bytes as they arrive; raises OSError when they cannot be had.
    """

    def __init__(self, name: str, stream: Callable[[Spool], None]) -> None:
        self.users = 0
        self._name, self._stream = name, stream
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when nobody reads any more
        self._arrived = self._at = 0
        self._done = self._stopped = False
        self._error: OSError | None = None
        self._news = threading.Condition()
        # A daemon, so that a tar that still arrives never holds up the end of the process.
        threading.Thread(target=self._fill, name="spool", daemon=True).start()

    def read(self, offset: int, size: int) -> bytes:
        """Size bytes from an offset, as soon as they are there; fewer if the file ends before."""
        with self._news:
            self._news.wait_for(lambda: self._done or self._error or self._arrived >= offset + size)
            if self._error is not None and self._arrived < offset + size:
                raise self._error
            self._file.seek(offset)
            return self._file.read(min(size, max(0, self._arrived - offset)))

    def length(self) -> int:
        """How many bytes the file has, once all are there."""
        with self._news:
            self._news.wait_for(lambda: self._done or self._error)
            if self._error is not None:
                raise self._error
            return self._arrived

    def stop(self) -> None:
        """End the stream; nothing more arrives."""
        with self._news:
            self._stopped = True

    def _fill(self) -> None:
        error: OSError | None = None
        try:
            self._stream(self)
        except OSError as failed:
            error = failed
        except Exception as failed:  # noqa: BLE001 - a waiting reader must hear of it, whatever it is
            error = OSError(f"{self._name}: {failed}")
        with self._news:
            self._done, self._error = error is None, error
            self._news.notify_all()

    def begin(self) -> None:
        """The stream begins again at the first byte; bytes that have arrived stay readable."""
        self._at = 0

    def take(self, chunk: bytes, size: int | None) -> None:
        """The next bytes, and the size of the whole if it is known."""
        with self._news:
            if self._stopped:
                raise OSError(f"{self._name}: no longer wanted")
            if self._at == 0:
                self._require_room(size or 0)
            self._at += len(chunk)
            if self._at <= self._arrived:
                return
            self._require_room(self._at)
            new = chunk[self._arrived - self._at :]
            self._file.seek(self._arrived)
            self._file.write(new)
            self._arrived = self._at
            self._news.notify_all()

    def _require_room(self, size: int) -> None:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        most = min(SPOOL_BYTES, self._arrived + free // 2)
        if size > most:
            raise OSError(
                f"the server sends no parts of {self._name}, and the whole, {size:,} bytes or more, is too large to "
                f"keep in {tempfile.gettempdir()} meanwhile (at most {most:,}): set TMPDIR to a larger disk"
            )


class SpooledFile(io.RawIOBase):
    """A spool as a file that can be read and sought."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._at = spool, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from where the file is."""
        data = self._spool.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = (self._spool.length() if start is None else start) + offset
        return self._at

    def tell(self) -> int:
        """Where the file is."""
        return self._at


class Spools:
    """The tars that are kept meanwhile: those that are in use, and the KEPT last used."""

    def __init__(self) -> None:
        self._kept: dict[str, Spool] = {}
        self._lock = threading.Lock()

    def __contains__(self, path: str) -> bool:
        return path in self._kept

    def read(self, path: str, offset: int, size: int, stream: Callable[[Spool], None]) -> bytes:
        """Size bytes from an offset of the tar at a path; fewer if it ends before."""
        with self._used(path, stream) as spool:
            return spool.read(offset, size)

    def open(self, path: str, stream: Callable[[Spool], None]) -> IO[bytes]:
        """The whole tar at a path as a file."""
        with self._used(path, stream) as spool:
            spool.length()
            return io.BufferedReader(SpooledFile(spool))

    def stop(self) -> None:
        """End all streams."""
        with self._lock:
            for spool in self._kept.values():
                spool.stop()

    @contextmanager
    def _used(self, path: str, stream: Callable[[Spool], None]) -> Iterator[Spool]:
        with self._lock:
            spool = self._kept.pop(path, None) or Spool(path, stream)
            self._kept[path] = spool  # the last used at the end
            spool.users += 1
            idle = [kept for kept, other in self._kept.items() if not other.users]
            for old in idle[: len(self._kept) - KEPT] if len(self._kept) > KEPT else []:
                self._kept.pop(old).stop()
        try:
            yield spool
        finally:
            with self._lock:
                spool.users -= 1
