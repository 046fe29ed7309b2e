"""Places where published versions are written: a folder, or a prefix of an object store.

In both, a file appears whole under its name or not at all. Every question to an object store ends in bounded time, and
what may pass is tried again (sources/remote.py). What must stay out: what the files are (bringing.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from tac_pipeline.digest import file_sha256
from tac_pipeline.errors import MissingDependency, StoreError
from tac_pipeline.files import is_leftover, replacing, sweep
from tac_pipeline.sources.remote import split_url, tried
from tac_pipeline.sources.streaming import LONGEST, GaveUp, read_part, run_on_loop

# Of a file that is read back, so that memory holds no whole table.
CHUNK = 16 * 2**20  # bytes
PARTS_AT_ONCE = 2
# A file may take so long to get there as at this pace, but never more than LONGEST timeouts: a server that stops in the
# middle is then given up. botocore has no bound of its own while it sends.
SLOWEST = 2**18  # bytes a second
LOCAL = "file"

Answer = TypeVar("Answer")


class Place(Protocol):
    """Files by names such as versions/7/version.json; a method that cannot be done raises OSError with the reason."""

    url: str

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file; None where there is none."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file in a folder and below, by name; empty where there is none."""
        ...

    def sha256(self, name: str) -> str:
        """The digest of the bytes of a file, as they are read back from there."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, or put it in the place of another."""
        ...

    def put(self, path: Path, name: str) -> None:
        """Write a file of this machine, or put it in the place of another."""
        ...

    def copy(self, name: str, target: str, *, size: int) -> None:
        """Copy a file of `size` bytes there, without bringing it here."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is removed."""
        ...

    def sweep(self) -> None:
        """Remove what a killed writer left half-written."""
        ...


def open_place(url: str, *, options: Mapping[str, Any], timeout: float) -> Place:
    """The place of a URL, or of a folder of this machine.

    Raises
    ------
    MissingDependency
        The package for its filesystem is not installed.
    StoreError
        It cannot be opened.
    """
    folder = local_folder(url)
    if folder is not None:
        return FolderPlace(folder)
    # s3fs sends ten parts of a large file at once, each of 50 MB.
    fewer = {"max_concurrency": PARTS_AT_ONCE} if urlsplit(url).scheme in ("s3", "s3a") else {}
    try:
        filesystem, root = split_url(url, timeout=timeout, options={**fewer, **options})
    except ImportError as error:
        raise MissingDependency(f"publication.to {url} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise StoreError(f"publication.to {url} cannot be opened: {error}") from error
    return BucketPlace(url, filesystem, root.rstrip("/"), timeout=timeout)


def local_folder(url: str) -> Path | None:
    """The folder that a path or a URL names; None where it is elsewhere than in this machine's files."""
    if "://" not in url:
        return Path(url)
    return Path(unquote(urlsplit(url).path)) if urlsplit(url).scheme == LOCAL else None


class FolderPlace:
    """A folder that readers share, such as a mounted one.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, str(folder)

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file; None where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file in a folder and below, by name."""
        found = (path for path in (self.folder / folder).rglob("*") if path.is_file() and not is_leftover(path))
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found}

    def sha256(self, name: str) -> str:
        """The digest of the bytes of a file."""
        return file_sha256(self.folder / name)

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        with replacing(self.folder / name) as aside:
            aside.write_bytes(data)

    def put(self, path: Path, name: str) -> None:
        """Write a file of this machine."""
        with replacing(self.folder / name) as aside:
            shutil.copyfile(path, aside)

    def copy(self, name: str, target: str, *, size: int) -> None:
        """Copy a file of the folder."""
        self.put(self.folder / name, target)

    def remove(self, name: str) -> None:
        """Remove a file, and its folder where that was the last one in it."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()

    def sweep(self) -> None:
        """Remove what a killed writer left half-written."""
        sweep(self.folder)


class BucketPlace:
    """A prefix of an object store.

    Parameters
    ----------
    url : str
    filesystem : fsspec's, of the asynchronous kind
    root : str
        The path of the place in it.
    timeout : float
        Seconds after which an answer counts as missing.
    """

    def __init__(self, url: str, filesystem: Any, root: str, *, timeout: float) -> None:
        self.url, self.timeout = url, timeout
        self._files, self._root = filesystem, root

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file; None where there is none."""
        try:
            return bytes(self._ask(lambda: self._files._cat_file(self._path(name)), what="read there"))
        except OSError as error:
            if isinstance(error.__cause__, FileNotFoundError) and not _no_bucket(error.__cause__):
                return None
            raise

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by name; one question lists them."""
        path = self._path(folder)
        # What another process wrote since is not in this one's cache of listings.
        self._files.invalidate_cache()
        found = self._ask(lambda: self._files._find(path, detail=True), what="list what is there")
        cut = len(self._root) + 1
        return {name[cut:]: int(entry["size"]) for name, entry in found.items() if entry["type"] == "file"}

    def sha256(self, name: str) -> str:
        """The digest of the bytes of a file, read back in parts."""
        digest, start, path = hashlib.sha256(), 0, self._path(name)
        while True:
            part = tried(
                lambda: read_part(self._files, path, start, CHUNK, timeout=self.timeout),  # noqa: B023 - called at once
                timeout=self.timeout,
            )
            digest.update(part)
            start += len(part)
            if len(part) < CHUNK:
                return digest.hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        self._ask(lambda: self._files._pipe_file(self._path(name), data), size=len(data))

    def put(self, path: Path, name: str) -> None:
        """Write a file of this machine."""
        self._ask(lambda: self._files._put_file(str(path), self._path(name)), size=path.stat().st_size)

    def copy(self, name: str, target: str, *, size: int) -> None:
        """Have the store copy a file."""
        self._ask(lambda: self._files._cp_file(self._path(name), self._path(target)), size=size)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is removed."""
        try:
            self._ask(lambda: self._files._rm_file(self._path(name)), what="delete there")
        except OSError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    def sweep(self) -> None:
        """An object store shows nothing that is half-written."""

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _ask(self, make: Callable[[], Coroutine[Any, Any, Any]], *, size: int = 0, what: str = "write there") -> Any:
        """The answer to a question that takes `size` bytes there; tried again where that may help."""
        seconds = min(self.timeout + size / SLOWEST, LONGEST * self.timeout)

        async def bounded() -> Any:
            try:
                async with asyncio.timeout(seconds):
                    return await make()
            except TimeoutError as error:
                raise GaveUp(
                    f"did not answer within {round(seconds, 1):g} s (publication.timeout)",
                    final=seconds > 2 * self.timeout,
                ) from error

        return tried(lambda: run_on_loop(self._files, bounded()), timeout=self.timeout, what=what)


def _no_bucket(error: BaseException) -> bool:
    """Whether the bucket itself is missing; fsspec tells it like a missing file."""
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") == "NoSuchBucket" or "bucket does not exist" in str(error)
