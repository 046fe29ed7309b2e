"""Files behind a URL, through the filesystem that fsspec has for it."""

from __future__ import annotations

from typing import Any

from tac_pipeline.errors import SourceError


def open_filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of a URL, and the URL's path in it.

    Raises
    ------
    SourceError
        There is no filesystem for it, or it cannot be opened.
    """
    from fsspec.core import url_to_fs

    try:
        filesystem, root = url_to_fs(url)
    except ImportError as error:
        raise SourceError(f"images.source {url} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise SourceError(f"images.source {url} cannot be opened: {error}") from error
    return filesystem, str(root).rstrip("/")


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
        if not filesystem.exists(root):
            raise SourceError(f"images.source must be an existing folder; nothing is at {url}")
        found = filesystem.find(root, detail=True)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"cannot list {url}: {_words(error)}. A source that cannot be read is not empty.") from error
    return {path: entry for path, entry in found.items() if entry.get("type") == "file"}


def read_url(url: str, *, start: int | None = None, end: int | None = None) -> bytes:
    """The bytes of a file, or those from start to end; OSError when they cannot be read."""
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(url)
        return bytes(filesystem.cat_file(path, start=start, end=end))
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise OSError(_words(error)) from error


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
    return str(error) or type(error).__name__
