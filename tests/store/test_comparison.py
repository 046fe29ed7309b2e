"""The comparison of two versions against dictionaries."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.store.comparison import compare_assignments

ClusterOf = dict[str, int | None]


def table(cluster_of: ClusterOf) -> pl.DataFrame:
    schema = {"image_id": pl.String, "cluster_id": pl.Int32}
    return pl.DataFrame({"image_id": list(cluster_of), "cluster_id": list(cluster_of.values())}, schema=schema)


assignments = st.dictionaries(st.sampled_from("abcdefghij"), st.none() | st.integers(0, 3))


@given(old=assignments, new=assignments)
def test_every_image_and_cluster_that_differs_is_there_and_no_other(old: ClusterOf, new: ClusterOf) -> None:
    found = compare_assignments(table(old), table(new))
    images = [(image, old.get(image), new.get(image)) for image in sorted({*old, *new})]
    differ = [(image, was, now) for image, was, now in images if was != now]
    assert found.images.rows() == differ
    assert found.known == sum(was is not None and now is not None for _, was, now in images)
    assert found.moved == sum(was is not None and now is not None for _, was, now in differ)
    assert found.came == sum(was is None for _, was, _ in differ)
    assert found.gone == sum(now is None for _, _, now in differ)
    assert found.moved_share == pytest.approx(found.moved / found.known if found.known else 0)
    clusters = []
    for cluster in range(4):
        before, after = ({image for image in side if side[image] == cluster} for side in (old, new))
        if before != after:
            counts = len(before), len(after), len(before & after), len(after - before), len(before - after)
            clusters.append((cluster, *counts))
    assert found.clusters.rows() == sorted(clusters, key=lambda row: (-row[4] - row[5], row[0]))


@given(old=assignments, new=assignments)
def test_the_other_way_round_everything_is_turned(old: ClusterOf, new: ClusterOf) -> None:
    there, back = compare_assignments(table(old), table(new)), compare_assignments(table(new), table(old))
    assert (there.known, there.moved, there.came, there.gone) == (back.known, back.moved, back.gone, back.came)
    turned = back.images.select("image_id", old_cluster_id="new_cluster_id", new_cluster_id="old_cluster_id")
    assert there.images.equals(turned)


def test_the_order_of_rows_and_other_columns_say_nothing() -> None:
    old, new = table({"a": 0, "b": 1, "c": None}), table({"a": 1, "b": 1, "c": 0})
    plain = compare_assignments(old, new)
    found = compare_assignments(old.reverse().with_columns(confidence=0.5), new.cast({"cluster_id": pl.Int64}))
    assert found.images.equals(plain.images)
    assert found.clusters.equals(plain.clusters)


def test_columns_have_the_types_that_are_published() -> None:
    found = compare_assignments(table({}), table({"a": 0}))
    ids = {"old_cluster_id": pl.Int32, "new_cluster_id": pl.Int32}
    assert found.images.schema == {"image_id": pl.String} | ids
    counts = dict.fromkeys(["old_size", "new_size", "stayed", "came", "left"], pl.Int64)
    assert found.clusters.schema == {"cluster_id": pl.Int32} | counts
