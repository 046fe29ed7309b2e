"""Known classes beside corrections: what people write in the file goes before what their examples say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl


def names_of_classes(
    names: Sequence[str], ids: Sequence[int], shown: Sequence[int], given: Mapping[int, str]
) -> dict[int, str]:
    """The name of each cluster id that people gave one: in the file, or by the examples of a known class.

    Parameters
    ----------
    names : sequence of str
        Of the known classes: the first columns.
    ids, shown : sequence of int
        The id of each column, and the one that it is shown as after merges.
    given : mapping of id to name
        From the file. A class with a name that the file gives to another cluster has none from its examples.
    """
    found, taken = dict(given), {name.lower() for name in given.values()}
    columns = range(len(names))
    # Of classes that are merged, the one that stays gives the name.
    for column in sorted(columns, key=lambda column: (ids[column] != shown[column], column)):
        if names[column].lower() not in taken:
            found.setdefault(shown[column], names[column])
    return found


def with_examples(pins: pl.DataFrame, examples: pl.DataFrame | None, ids: Mapping[str, int]) -> pl.DataFrame:
    """Pins, and the examples of known classes as pins to these; a pin of the file goes before an example.

    Parameters
    ----------
    pins : DataFrame with image_id, cluster_id
    examples : DataFrame with image_id, label, optional
    ids : mapping of label to cluster id
    """
    if examples is None:
        return pins
    places = pl.DataFrame(
        {"label": list(ids), "cluster_id": list(ids.values())}, schema={"label": pl.String, "cluster_id": pl.Int32}
    )
    more = examples.join(places, on="label").select("image_id", "cluster_id").join(pins, on="image_id", how="anti")
    return pl.concat([pins, more]).sort("image_id")
