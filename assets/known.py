"""The examples of known classes that the settings name: found, and checked against the store and the groups."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from tac_pipeline.errors import InputError
from tac_pipeline.settings.project import Project


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
    from tac_pipeline.method.clusters.known_classes import require_names
    from tac_pipeline.sources.tables.examples import folder_examples, in_store, read_examples

    known = project.settings.known
    if known.folder is not None:
        where, written = "known.folder", folder_examples(view["image_id"].to_list(), known.folder)
    elif project.known_file is not None:
        where, written = "known.file", read_examples(project.known_file, column=known.column)
    else:
        where, written = "known.column", of_column(str(known.column))
    found = in_store(written, view.filter(pl.col("error").is_null())["image_id"], where=where)
    names = found["label"].unique().sort().to_list()
    require_names(names)
    _require_room(project, len(names), examples=len(found))
    return Examples(found, len(written) - len(found))


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
