"""Chosen images as a zip that is made while it is sent: the folders of image_folder.py, with one file in memory.

sea_horse-3/0001.jpg
images.csv       file, image_id, cluster_id, cluster_name, confidence: links files to the store's images
left_out.csv     image_id, uri, reason: only where an image could not be read
export.json      how many images there are, and how many were left out
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator

import polars as pl

from tac_pipeline.export.destination import RECORD_NAME
from tac_pipeline.export.formats import Format
from tac_pipeline.export.image_files import UNLISTED, why_unread
from tac_pipeline.export.image_folder import LIST_NAME, files_in_folders
from tac_pipeline.export.result import ExportResult
from tac_pipeline.export.tables import mapped
from tac_pipeline.sources import ByteReader

LEFT_OUT_NAME = "left_out.csv"
UNPLACED = "has no group: it could not be read when the store was grouped"


class _Sent(io.RawIOBase):
    """A file that only grows, and hands out what was written since the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def stream_zip(result: ExportResult, *, max_bytes: int) -> Iterator[bytes]:
    """The zip, in parts of one image each.

    Parameters
    ----------
    result : ExportResult
        Its source must have image files.
    max_bytes : int
        A larger file is left out.

    Raises
    ------
    ValueError
        The store has only vectors.
    """
    if result.source is None:
        raise ValueError("a store of only vectors has no image files")
    return _parts(result, result.source, max_bytes)


def _parts(result: ExportResult, source: ByteReader, max_bytes: int) -> Iterator[bytes]:
    images, sent = result.placed, _Sent()
    files = files_in_folders(images)
    reasons: list[str | None] = []
    # Pictures are compressed already.
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as archive:
        for file, uri in zip(files, images["uri"], strict=True):
            data, reason = _read(uri, source, max_bytes)
            reasons.append(reason)
            if data is not None:
                archive.writestr(_entry(file), data)
                yield sent.take()
        for name, text in _lists(result, files, reasons).items():
            archive.writestr(_entry(name), text, zipfile.ZIP_DEFLATED)
    yield sent.take()


def _read(uri: str | None, source: ByteReader, max_bytes: int) -> tuple[bytes | None, str | None]:
    if uri is None:
        return None, UNLISTED
    try:
        return source.read(uri, limit=max_bytes), None
    except (OSError, ValueError) as error:
        return None, why_unread(error)


def _lists(result: ExportResult, files: list[str], reasons: list[str | None]) -> dict[str, str]:
    fine = pl.Series([reason is None for reason in reasons], dtype=pl.Boolean)
    unplaced = result.images.filter(pl.col("cluster_id").is_null()).select("image_id", "uri", reason=pl.lit(UNPLACED))
    unread = result.placed.select("image_id", "uri", reason=pl.Series(reasons, dtype=pl.String)).filter(~fine)
    left_out = pl.concat([unread, unplaced])
    record = {
        "format": Format.IMAGEFOLDER.value,
        "images": int(fine.sum()),
        "left_out": len(left_out),
        **result.facts,
    }
    found = {LIST_NAME: mapped(result.placed, files).filter(fine).write_csv(quote_style="non_numeric")}
    if len(left_out):
        found[LEFT_OUT_NAME] = left_out.write_csv(quote_style="non_numeric")
    return {**found, RECORD_NAME: json.dumps(record, indent=1, ensure_ascii=False)}


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry of one time, so that equal images make equal zips; readable by whoever unpacks it."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry
