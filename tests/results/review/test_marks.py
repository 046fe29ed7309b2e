"""Images that are worth a look: typicality, borders, outliers, and groups of near-duplicates."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.errors import InputError
from tac_pipeline.results.review.marks import MAD_TO_DEVIATION, duplicate_groups, review_images

NO_GROUPS = pl.DataFrame(schema={"image_id": pl.String, "duplicate_group": pl.Int32, "duplicate_of": pl.String})


def assigned(rows: list[tuple[str, int | None, float | None, float | None]]) -> pl.DataFrame:
    names = {"image_id": pl.String, "cluster_id": pl.Int32, "similarity": pl.Float32, "margin": pl.Float32}
    return pl.DataFrame(rows, schema=names, orient="row")


def reviewed(rows: list[tuple[str, int | None, float | None, float | None]], **changes: float) -> dict[str, dict]:
    found = review_images(assigned(rows), NO_GROUPS, **{"border_margin": 0.2, "outlier_deviations": 3.0, **changes})
    return {row["image_id"]: row for row in found.iter_rows(named=True)}


def test_typicality_is_the_share_that_is_no_nearer() -> None:
    found = reviewed([("a", 0, 0.9, 1), ("b", 0, 0.5, 1), ("c", 0, 0.7, 1), ("d", 0, 0.7, 1), ("e", 1, 0.1, 1)])
    assert {name: row["typicality"] for name, row in found.items()} == {"a": 1, "b": 0.25, "c": 0.75, "d": 0.75, "e": 1}


def test_unreadable_images_stay_as_rows_and_are_nothing_special() -> None:
    row = reviewed([("a", 0, 0.9, 1), ("broken", None, None, None), ("worse", None, None, None)])["broken"]
    assert row == {
        "image_id": "broken",
        "cluster_id": None,
        "typicality": None,
        "margin": None,
        "border": False,
        "outlier": False,
        "duplicate_group": None,
        "duplicate_of": None,
    }


def test_the_border_is_below_the_margin() -> None:
    found = reviewed([("a", 0, 0.9, 0.19), ("b", 0, 0.9, 0.2), ("c", 0, 0.9, 0.21)])
    assert [row["border"] for row in found.values()] == [True, False, False]


@given(seed=st.integers(0, 999), deviations=st.floats(0.5, 5))
def test_outliers_by_the_plain_formula(seed: int, deviations: float) -> None:
    generator = np.random.default_rng(seed)
    cosine = generator.normal(0.7, 0.1, 40).astype(np.float32)
    clusters = np.sort(generator.integers(0, 3, 40))
    rows = [(f"{i:02d}", int(clusters[i]), float(cosine[i]), 1.0) for i in range(40)]
    found = reviewed(rows, outlier_deviations=deviations)
    for cluster in set(clusters.tolist()):
        own = cosine[clusters == cluster]
        deviation = MAD_TO_DEVIATION * np.median(np.abs(own - np.median(own)))
        expected = own < np.median(own) - deviations * deviation
        assert [row["outlier"] for row in found.values() if row["cluster_id"] == cluster] == expected.tolist()


def test_a_cluster_of_equal_images_has_no_outliers() -> None:
    assert not any(row["outlier"] for row in reviewed([(str(i), 0, 0.5, 1) for i in range(9)]).values())


def groups_of(hashes: dict[str, str], pairs: list[tuple[str, str]]) -> list[set[str]]:
    images = pl.DataFrame(
        {"image_id": list(hashes), "content_hash": list(hashes.values())},
        schema={"image_id": pl.String, "content_hash": pl.String},
    )
    edges = pl.DataFrame(pairs, schema={"left": pl.String, "right": pl.String}, orient="row")
    found = duplicate_groups(images, edges)
    assert found["duplicate_group"].dtype == pl.Int32
    return [set(rows["image_id"]) for _, rows in found.group_by(["duplicate_group"], maintain_order=True)]


def test_equal_bytes_and_near_vectors_join_and_are_closed() -> None:
    hashes = {"a": "1", "b": "1", "c": "2", "d": "3", "e": "4", "f": "5", "g": "5", "lost": "", "gone": ""}
    assert groups_of(hashes, [("b", "c"), ("d", "c"), ("e", "not there")]) == [{"a", "b", "c", "d"}, {"f", "g"}]
    assert groups_of({"a": "1", "b": "2"}, []) == []
    assert groups_of({}, []) == []


@given(
    hashes=st.lists(st.sampled_from("abcdefgh"), max_size=12),
    pairs=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=8),
)
def test_groups_by_plain_union(hashes: list[str], pairs: list[tuple[int, int]]) -> None:
    n = len(hashes)
    root = list(range(n))
    for i, j in [(i, j) for i in range(n) for j in range(n) if hashes[i] == hashes[j]] + pairs:
        if i < n and j < n:
            root = [root[i] if root[k] == root[j] else root[k] for k in range(n)]
    plain: dict[int, set[str]] = {}
    for k in range(n):
        plain.setdefault(root[k], set()).add(f"{k:02d}")
    expected = sorted((g for g in plain.values() if len(g) > 1), key=lambda group: (-len(group), min(group)))
    named = [(f"{i:02d}", f"{j:02d}") for i, j in pairs]
    assert groups_of({f"{k:02d}": hash_ for k, hash_ in enumerate(hashes)}, named) == expected


def test_ids_that_repeat_are_refused() -> None:
    images = pl.DataFrame({"image_id": ["a", "a"], "content_hash": ["1", "2"]})
    with pytest.raises(InputError, match="must be unique"):
        duplicate_groups(images, pl.DataFrame(schema={"left": pl.String, "right": pl.String}))
