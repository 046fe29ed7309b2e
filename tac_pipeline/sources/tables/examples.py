"""Examples of known classes: from a table of them, a column, or the folders that images are in.

Every class must have an example in the store, and an image at most one class. Examples that are not in the store are
counted. What must stay out: what a method makes of them (method/grouping/ward.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tac_pipeline.errors import InputError, SourceError, first_few
from tac_pipeline.method.clusters.known_classes import require_names
from tac_pipeline.settings.project import Project
from tac_pipeline.sources.listing import LABEL
from tac_pipeline.sources.tables.columns import LINES_SUFFIX, TABLE_SUFFIXES, TextTable, table_kind
from tac_pipeline.sources.tables.reading import read_text_table

SCHEMA = {"image_id": pl.String, "label": pl.String}
SHOWN = 3


def read_examples(path: Path, *, column: str | None = None) -> pl.DataFrame:
    """The examples of a table: columns image_id and label, without blank ones, each once.

    Parameters
    ----------
    path : Path
        A table in any form that a manifest may have; an image is named by its image_id, or by its path.
    column : str, optional
        The column with the class; None stands for label, class or category.

    Raises
    ------
    SourceError
        The file cannot be read, has not the columns, is empty, or gives an image two classes.
    """
    kind, name = table_kind(path), LABEL if column is None else column
    if kind is None or kind == LINES_SUFFIX:
        raise SourceError(
            f"known.file must be a table ({', '.join(suffix for suffix in TABLE_SUFFIXES if '.txt' not in suffix)}) "
            f"with the columns image_id and label; got {path}"
        )
    table = read_text_table(path, wanted=("image_id", "uri", name), required=(name,))
    ids = table.values.get("image_id", table.values.get("uri"))
    if ids is None:
        raise SourceError(f"{path} must have a column image_id; it has {table.names}. Name the column image_id.")
    rows = pl.DataFrame({"image_id": ids, "label": table.values[name]}, schema=SCHEMA).with_row_index("row")
    rows = rows.with_columns(pl.col("label").str.strip_chars()).drop_nulls().filter(pl.col("label") != "")
    if rows.is_empty():
        raise SourceError(f"{path} must have at least one row with an image_id and a class; it has none")
    _refuse_disagreement(rows, table)
    return rows.unique("image_id", keep="first", maintain_order=True).select("image_id", "label").sort("image_id")


def _refuse_disagreement(rows: pl.DataFrame, table: TextTable) -> None:
    """Raise SourceError when an image has two classes."""
    torn = rows.filter(pl.col("label").n_unique().over("image_id") > 1)
    if torn.is_empty():
        return
    image = torn["image_id"][0]
    said = torn.filter(pl.col("image_id") == image).unique("label", keep="first", maintain_order=True)
    places = " and ".join(f"{label!r} ({table.place(row)})" for row, _, label in said.head(2).iter_rows())
    more = torn["image_id"].n_unique() - 1
    others = f", and {more:,} more images disagree" if more else ""
    raise SourceError(f"{table.path}: an image must have one class; {image!r} has {places}{others}. Keep one of them.")


def folder_examples(image_ids: Sequence[str], folder: str) -> pl.DataFrame:
    """The images below the folders of a folder, with that folder's name: columns image_id and label.

    Parameters
    ----------
    folder : str
        A path in the image source; "." is the source itself.

    Raises
    ------
    SourceError
        No image is below a folder of it.
    """
    parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".")]
    begin = "".join(f"{part}/" for part in parts)
    rest = [(image_id, image_id[len(begin) :].split("/")) for image_id in image_ids if image_id.startswith(begin)]
    found = [(image_id, below[0]) for image_id, below in rest if len(below) > 1]
    if not found:
        raise SourceError(
            f"known.folder must be a folder of the image source that has folders with images, one for each class; "
            f"no image is below a folder of {folder!r}"
        )
    return pl.DataFrame(found, schema=SCHEMA, orient="row").sort("image_id")


def in_store(examples: pl.DataFrame, readable: pl.Series, *, where: str) -> pl.DataFrame:
    """The examples that are images of the store and can be read, without blank classes and spaces around them.

    Parameters
    ----------
    examples : DataFrame with image_id, label
    readable : Series of String
        The image_ids of the store that have a vector.
    where : str
        What messages call the place of the examples.

    Raises
    ------
    SourceError
        None is, or a class is left without an example.
    """
    examples = examples.with_columns(pl.col("label").str.strip_chars()).filter(pl.col("label") != "")
    if examples.is_empty():
        raise SourceError(f"{where} must give at least one image a class; it gives none")
    found = examples.filter(pl.col("image_id").is_in(readable.implode()))
    if found.is_empty():
        shown = first_few([repr(image_id) for image_id in examples["image_id"].head(SHOWN).to_list()], SHOWN)
        raise SourceError(
            f"{where} must name images of the store; none of its {len(examples):,} is there or can be read, such as "
            f"{shown}. The store's image_ids are in the table image_embeddings (`tac path image_embeddings`)."
        )
    bare = sorted(set(examples["label"]) - set(found["label"]))
    if bare:
        raise SourceError(
            f"{where}: each known class must have an example that is in the store and can be read; "
            f"{first_few([repr(label) for label in bare], SHOWN)} {'has' if len(bare) == 1 else 'have'} none. "
            "Add one, or take the class out."
        )
    return found


@dataclass(frozen=True)
class Examples:
    """Columns image_id and label, by image_id; and how many more are not in the store, or cannot be read there."""

    table: pl.DataFrame
    strangers: int


def find_examples(project: Project, view: pl.DataFrame, of_column: Callable[[str], pl.DataFrame]) -> Examples:
    """The examples that are in the store.

    Parameters
    ----------
    view : DataFrame with image_id, error
        The images of the store; those with an error cannot be examples.
    of_column : callable (column) -> DataFrame with image_id, label
        Reads a column of the table of images.

    Raises
    ------
    InputError
        There is none, a class has none, a name cannot be shown, or there is no room for all.
    """
    known = project.settings.known
    if known.folder is not None:
        where, written = "known.folder", folder_examples(view["image_id"].to_list(), known.folder)
    elif project.known_file is not None:
        where, written = "known.file", read_examples(project.known_file, column=known.column)
    else:
        where, written = "known.column", of_column(str(known.column))
    found = in_store(written, view.filter(pl.col("error").is_null())["image_id"], where=where)
    _require_possible(project, found)
    return Examples(found, len(written) - len(found))


def require_examples(project: Project) -> None:
    """Refuse a file of examples that cannot be used, before any image is read.

    Raises
    ------
    InputError
        As in find_examples, but for what only the store's images tell.
    """
    if project.known_file is not None:
        _require_possible(project, read_examples(project.known_file, column=project.settings.known.column))


def _require_possible(project: Project, examples: pl.DataFrame) -> None:
    names = examples["label"].unique().sort().to_list()
    require_names(names)
    _require_room(project, len(names), examples=len(examples))


def _require_room(project: Project, classes: int, *, examples: int) -> None:
    """Refuse known classes that the groups, or the training set, have no room for."""
    clusters, most = project.settings.clusters, project.settings.training_set.max_images
    key, fewest = ("count", clusters.count) if isinstance(clusters.count, int) else ("min", clusters.min)
    if classes > fewest:
        raise InputError(
            f"clusters.{key} must be at least the number of known classes; got {fewest} and {classes} classes. "
            f"Raise clusters.{key}, or take classes out."
        )
    if examples > most:
        raise InputError(
            f"training_set.max_images must be at least the number of examples of known classes; got {most:,} and "
            f"{examples:,} examples. Raise it, or give fewer examples: ten of a class do."
        )
