"""Writing an export to its destination: it is built beside it, then moved there, and replaces only another export.

What must stay out: how the formats look (their own files).
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tac_pipeline.errors import InputError, StoreError
from tac_pipeline.export.embedding_atlas import write_embedding_atlas
from tac_pipeline.export.fiftyone import write_fiftyone
from tac_pipeline.export.formats import FILES, FOLDERS, WITH_VECTORS, Format, Link
from tac_pipeline.export.image_folder import write_image_folder
from tac_pipeline.export.result import Exported, ExportOptions, ExportResult
from tac_pipeline.export.tables import write_csv, write_parquet
from tac_pipeline.files import LEFTOVER_SECONDS
from tac_pipeline.progress import Progress

_ASIDE = re.compile(r"\.export-[0-9a-f]{12}")

WRITERS: Mapping[Format, Callable[[Path, ExportResult, ExportOptions], Exported]] = {
    Format.CSV: write_csv,
    Format.PARQUET: write_parquet,
    Format.IMAGEFOLDER: write_image_folder,
    Format.FIFTYONE: write_fiftyone,
    Format.EMBEDDING_ATLAS: write_embedding_atlas,
}

# Tells a folder that an export made from any other: only such a one is replaced.
RECORD_NAME = "export.json"


@dataclass(frozen=True)
class Forbidden:
    """A place that an export must stay away from, and what it is."""

    path: Path
    meaning: str


def export_to(
    destination: Path,
    result: ExportResult,
    form: Format,
    *,
    overwrite: bool = False,
    link: Link | None = None,
    vectors: bool = False,
    forbidden: Sequence[Forbidden] = (),
    progress: Progress | None = None,
) -> Exported:
    """Write a result to a file (csv, parquet, embedding-atlas) or a folder (imagefolder, fiftyone-json).

    Parameters
    ----------
    destination : Path
    overwrite : bool
        Replace a file, or a folder that an earlier export made.
    link : Link, optional
        Put links to local image files into a folder instead of copies.
    vectors : bool
        Put each image's vector into the table; only for embedding-atlas.
    forbidden : sequence of Forbidden
        Places that must neither contain the destination nor be inside it, by whatever name.

    Raises
    ------
    InputError
        The destination is taken, forbidden or of the wrong kind, an option is not this format's, or the store has no
        image files for a format that needs them.
    StoreError
        The destination cannot be written, or no image could be read.
    """
    _require_options(form, result, link=link, vectors=vectors)
    target = Path(destination).absolute()
    _require_free(target, form, overwrite=overwrite)
    _require_allowed(target, result, forbidden)
    aside = target.with_name(f".export-{uuid.uuid4().hex[:12]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        done = WRITERS[form](aside, result, ExportOptions(link=link, vectors=vectors, progress=progress))
        if form.holds_images:
            record = {"format": form.value, "images": done.images, **result.facts}
            (aside / RECORD_NAME).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
        if done.failed and not done.images:
            raise StoreError(f"none of the {len(done.failed):,} images could be read; the first: {done.failed[0][1]}")
        _swap(aside, target)
    except OSError as error:
        raise StoreError(f"cannot write the export to {target}: {error}") from error
    finally:
        _remove(aside)
    return done


def _sweep(folder: Path) -> None:
    """Remove what exports that were killed left there a day ago or earlier."""
    for path in folder.glob(".export-*"):
        if _ASIDE.fullmatch(path.name) and path.lstat().st_mtime < time.time() - LEFTOVER_SECONDS:
            _remove(path)


def _require_options(form: Format, result: ExportResult, *, link: Link | None, vectors: bool) -> None:
    if link is not None and not form.holds_images:
        raise InputError(f"--link is for the formats with image files, {FOLDERS}; got {form}")
    if vectors and not form.holds_vectors:
        raise InputError(f"--vectors is only for {WITH_VECTORS}; got {form}")
    if form.holds_images and result.source is None:
        others = f"{', '.join(FILES[:-1])} or {FILES[-1]}"
        raise InputError(f"{form} holds image files, but this store has only vectors; take {others}")
    if not form.holds_unplaced and result.placed.is_empty():
        raise InputError(f"no image of this result has a cluster: there is nothing to export as {form}")


def _require_free(target: Path, form: Format, *, overwrite: bool) -> None:
    folder = form.holds_images
    if not target.name:
        raise InputError(f"an export must have a place of its own; got {target}")
    if not target.exists() and not target.is_symlink():
        return
    if folder != target.is_dir():
        kind, found = ("folder", "a file") if folder else ("file", "a folder")
        raise InputError(f"{form} is written to a {kind}, and {target} is {found}; name another place")
    empty = folder and not any(target.iterdir())
    if empty and not target.is_symlink():
        return
    if not overwrite:
        raise InputError(f"{target} already holds something; name another place, or add --overwrite to replace it")
    if folder and not empty and not (target / RECORD_NAME).is_file():
        raise InputError(
            f"--overwrite replaces only exports, and {target} is not one (it holds no {RECORD_NAME}); remove it "
            "yourself, or name another place"
        )


def _require_allowed(target: Path, result: ExportResult, forbidden: Sequence[Forbidden]) -> None:
    for place in forbidden:
        where = _meeting(target, place.path)
        if where is not None:
            raise InputError(
                f"an export must stay apart from {place.meaning}; {target} {where} {place.path}. Name another place."
            )
    # A table may list images anywhere; a member of an archive is behind a #.
    files = result.images["uri"].str.split("#").list.first()
    if files.is_in([str(target), str(target.resolve())]).any():
        raise InputError(f"an export must not replace an image of the store, and {target} is one. Name another place.")


def _meeting(target: Path, taken: Path) -> str | None:
    """How a destination meets a place, in words; None when they are apart.

    A link counts as itself and as what it leads to, and a file by whatever name: another spelling on a disk that does
    not tell them apart, or a hard link.
    """
    for one in (_real(target), target.resolve()):
        for other in (_real(taken), taken.resolve()):
            if _same(one, other):
                return "is"
            if any(_same(parent, other) for parent in one.parents):
                return "is in"
            if any(_same(one, parent) for parent in other.parents):
                return "holds"
    return None


def _real(path: Path) -> Path:
    """The path with every link followed but the last part's."""
    return path.parent.resolve() / path.name


def _same(one: Path, other: Path) -> bool:
    try:
        if one.samefile(other):
            return True
    except OSError:  # one of them is not there yet
        pass
    # The same name in other case could be the same file on the next machine.
    return one == other or (one.parent == other.parent and one.name.casefold() == other.name.casefold())


def _swap(aside: Path, target: Path) -> None:
    """Replace what is there with the built export: a file in one move, a folder in two."""
    if not target.is_dir() or target.is_symlink():
        aside.replace(target)
        return
    old = target.with_name(f".export-{uuid.uuid4().hex[:12]}")
    target.rename(old)
    try:
        aside.rename(target)
    except OSError:
        old.rename(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
