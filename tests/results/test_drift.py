"""Drift: equality with a plain reference, and the result for few images."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.results.drift import OUTLIER_QUANTILE, Drift, measure_drift, unchanged
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import HeldRows

Row = tuple[int | None, bool, float, float]  # cluster, learned from, similarity, confidence
ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 3), st.booleans(), st.floats(-1, 1, width=32), st.floats(0, 1, width=32))
)


def tables(rows: list[Row]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The assignments of these rows, and the training set."""
    ids = [f"image-{number}" for number in range(len(rows))]
    assigned = pl.DataFrame(
        {
            "image_id": ids,
            "content_hash": ids,
            "cluster_id": [row[0] for row in rows],
            "similarity": [row[2] for row in rows],
            "confidence": [row[3] for row in rows],
        },
        schema={
            "image_id": pl.String,
            "content_hash": pl.String,
            "cluster_id": pl.Int32,
            "similarity": pl.Float32,
            "confidence": pl.Float32,
        },
    )
    learned = [id_ for id_, row in zip(ids, rows, strict=True) if row[1]]
    return assigned, pl.DataFrame(
        {"image_id": learned, "content_hash": learned}, schema={"image_id": pl.String, "content_hash": pl.String}
    )


def drift(assigned: pl.DataFrame, learned: pl.DataFrame) -> Drift:
    """Of assignments in one file, which keep no sums."""
    known = assigned.join(learned, on="image_id", how="semi")
    return measure_drift([HeldRows(assigned, "", alone=True)], known, Derived(Path("nowhere")))


def plain_drift(rows: list[Row]) -> Drift:
    """The same by loops."""
    known = [row for row in rows if row[0] is not None and row[1]]
    new = [row for row in rows if row[0] is not None and not row[1]]

    def floor(of: list[Row]) -> float:
        return sorted(row[2] for row in of)[math.floor(OUTLIER_QUANTILE * (len(of) - 1))] if of else -1.0

    outliers = [row for row in new if row[2] < floor([other for other in known if other[0] == row[0]] or known)]

    def mean(of: list[Row]) -> float:
        return sum(row[3] for row in of) / len(of) if of else 0.0

    return Drift(
        known=len(known),
        new=len(new),
        new_share=len(new) / max(len(known) + len(new), 1),
        outlier_share=len(outliers) / max(len(new), 1),
        new_confidence=pytest.approx(mean(new)),
        known_confidence=pytest.approx(mean(known)),
    )


@given(rows=ROWS)
def test_it_equals_the_plain_reference(rows: list[Any]) -> None:
    assert drift(*tables(rows)) == plain_drift(rows)


def test_one_in_a_hundred_training_images_is_an_outlier_of_its_own_cluster() -> None:
    known: list[Row] = [(0, True, number / 200, 0.5) for number in range(200)]
    inside: list[Row] = [(0, False, 0.005, 0.5)]
    outside: list[Row] = [(0, False, 0.004, 0.5)]
    assert drift(*tables(known + inside)).outlier_share == 0
    assert drift(*tables(known + outside)).outlier_share == 1


def test_each_cluster_has_its_own_floor() -> None:
    rows: list[Row] = [(0, True, 0.9, 0.5), (1, True, 0.2, 0.5), (0, False, 0.5, 0.5), (1, False, 0.5, 0.5)]
    assert drift(*tables(rows)).outlier_share == 0.5


def test_where_no_training_image_is_left_nothing_is_an_outlier() -> None:
    found = drift(*tables([(0, False, -1.0, 0.4), (1, False, 0.5, 0.6)]))
    assert (found.known, found.new, found.new_share, found.outlier_share) == (0, 2, 1.0, 0.0)


def test_without_new_images_nothing_drifts() -> None:
    assert drift(*tables([(0, True, 0.5, 0.75), (None, True, 0.0, 0.0)])) == Drift(1, 0, 0.0, 0.0, 0.0, 0.75)
    assert drift(*tables([])) == Drift(0, 0, 0.0, 0.0, 0.0, 0.0)


def test_new_images_that_lie_as_the_old_ones_do_are_as_seldom_outliers() -> None:
    rows: list[Row] = [(0, learned, number / 200, 0.5) for learned in (True, False) for number in range(200)]
    assert drift(*tables(rows)).outlier_share == 1 / 200
    far = [(0, False, -0.5, 0.5) for _ in range(200)]
    assert drift(*tables([*rows, *far])).outlier_share == 201 / 400


def test_an_image_that_was_replaced_in_place_is_new() -> None:
    assigned, learned = tables([(0, True, 0.9, 0.5), (0, True, 0.8, 0.5)])
    replaced = assigned.with_columns(content_hash=pl.Series(["image-0", "other bytes"]))
    found = drift(assigned, unchanged(learned, replaced))
    assert (found.known, found.new, found.outlier_share) == (1, 1, 1.0)


def test_a_cluster_without_training_images_goes_by_all_of_them() -> None:
    rows: list[Row] = [(0, True, 0.5, 0.5), (7, False, 0.4, 0.5), (7, False, 0.6, 0.5)]
    assert drift(*tables(rows)).outlier_share == 0.5


@given(rows=ROWS, weights=st.lists(st.integers(1, 4), min_size=1))
def test_a_training_image_of_weight_w_is_as_sure_as_w_images(rows: list[Any], weights: list[int]) -> None:
    assigned, learned = tables(rows)
    known = assigned.join(learned, on="image_id", how="semi")
    own = [weights[number % len(weights)] for number in range(len(known))]
    found = drift_of(assigned, known.with_columns(weight=pl.Series(own, dtype=pl.Float32)))
    repeated = known.select(pl.all().repeat_by(pl.Series(own, dtype=pl.UInt32)).explode())
    assert found.known_confidence == pytest.approx(drift_of(assigned, repeated).known_confidence)
    assert found.known == len(known.drop_nulls("cluster_id"))


def drift_of(assigned: pl.DataFrame, known: pl.DataFrame) -> Drift:
    return measure_drift([HeldRows(assigned, "", alone=True)], known, Derived(Path("nowhere")))


@given(rows=ROWS)
def test_equal_weights_change_nothing(rows: list[Any]) -> None:
    assigned, learned = tables(rows)
    known = assigned.join(learned, on="image_id", how="semi")
    found = drift_of(assigned, known.with_columns(weight=pl.lit(2.5, pl.Float32)))
    assert found == plain_drift(rows)


def test_a_sample_with_many_of_a_rare_kind_has_the_floor_of_the_store() -> None:
    """Half of the sample is of a loose kind that is 1 in 1,000 images of the store: it must not lower the floor."""
    learned = [(0, True, 0.9, 0.9)] * 100 + [(0, True, 0.1, 0.2)] * 100
    assigned, ids = tables([*learned, *[(0, False, 0.5, 0.9)] * 10])
    known = assigned.join(ids, on="image_id", how="semi")
    assert drift_of(assigned, known).outlier_share == 0
    weight = [1000.0] * 100 + [1.0] * 100
    found = drift_of(assigned, known.with_columns(weight=pl.Series(weight, dtype=pl.Float32)))
    assert found.outlier_share == 1
    assert found.known_confidence == pytest.approx(0.9, abs=1e-3)
