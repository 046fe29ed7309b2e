"""Search: equal to looking at every vector, over any shards, and the noun that a text names."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.results.description import with_cluster_names
from tac_pipeline.results.search import LONGEST_TEXT, beside_clusters, find_noun, nearest_images, require_text
from tac_pipeline.store.parquet import place_table
from tac_pipeline.store.schemas import EMBEDDING_SHARD

ENCODER, DIM = "the encoder", 8


def write_shards(folder: Path, sizes: list[int], *, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Shards of these many rows, the first of each unreadable; the view of all, and the vectors in its order."""
    rows, vectors = [], []
    for number, size in enumerate(sizes):
        own = random_unit_rows(size, DIM, seed + number).astype(np.float16).astype(np.float32)
        own[0] = 0
        ids = [f"{row:02d}-{number}" for row in range(size)]  # the shards' rows are mixed in the view
        errors = ["damaged", *[None] * (size - 1)]
        place_table(
            folder / f"e/{number}.parquet",
            EMBEDDING_SHARD,
            {
                "image_id": ids,
                "version": ids,
                "content_hash": ids,
                "width": [1] * size,
                "height": [1] * size,
                "error": errors,
                "note": [None] * size,
                "embedding": own,
            },
            encoder=ENCODER,
        )
        rows += [
            (id_, error, f"e/{number}.parquet", row) for row, (id_, error) in enumerate(zip(ids, errors, strict=True))
        ]
        vectors.append(own)
    view = pl.DataFrame(rows, schema=["image_id", "error", "shard", "row"], orient="row")
    order = view["image_id"].arg_sort()
    return view[order], np.concatenate(vectors)[order.to_numpy()]


@pytest.mark.parametrize("count", [1, 4, 7, 100])
@pytest.mark.parametrize("sizes", [[12], [5, 9, 2, 30], [2] * 10])
def test_the_nearest_of_all_shards_are_those_of_brute_force(tmp_path: Path, sizes: list[int], count: int) -> None:
    view, vectors = write_shards(tmp_path, sizes)
    query = random_unit_rows(1, DIM, 77)[0]
    found = nearest_images(query, view, tmp_path, encoder=ENCODER, count=count)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    readable = view["error"].is_null().to_numpy()
    scores = np.where(readable, unit @ query, -np.inf)
    best = np.argsort(-scores)[: min(count, readable.sum())]
    assert found["image_id"].to_list() == view["image_id"][best].to_list()
    np.testing.assert_allclose(found["score"], scores[best], atol=1e-5)


def test_rows_of_a_shard_that_are_no_longer_in_the_store_are_not_found(tmp_path: Path) -> None:
    view, vectors = write_shards(tmp_path, [20])
    kept = view.filter(pl.col("image_id") != "05-0")
    query = vectors[view["image_id"].to_list().index("05-0")]
    assert nearest_images(query, view, tmp_path, encoder=ENCODER, count=1)["image_id"].to_list() == ["05-0"]
    found = nearest_images(query, kept, tmp_path, encoder=ENCODER, count=50)
    assert len(found) == 18
    assert "05-0" not in found["image_id"].to_list()


def test_what_cannot_be_searched_is_told(tmp_path: Path) -> None:
    view, vectors = write_shards(tmp_path, [4])
    with pytest.raises(InputError, match="at least 1 image; got 0"):
        nearest_images(vectors[1], view, tmp_path, encoder=ENCODER, count=0)
    with pytest.raises(InputError, match="as wide as the store's, 8; got 3"):
        nearest_images(np.ones(3, np.float32), view, tmp_path, encoder=ENCODER, count=1)
    with pytest.raises(InputError, match="no image of the store can be read"):
        nearest_images(vectors[1], view.with_columns(error=pl.lit("x")), tmp_path, encoder=ENCODER, count=1)


NOUNS = ["ship", "boat", "Turkey", "turkey", "crisp (potato chip)", "berry", "wolf", "polar_bear", "犬", "glasses"]


@pytest.mark.parametrize(
    ("text", "noun", "whole"),
    [
        ("boat", "boat", True),
        ("A Boat", "boat", True),
        ("boats.", "boat", True),
        ("a red boat", "boat", False),
        ("Turkey", "Turkey", True),
        ("turkey", "turkey", True),
        ("crisps", "crisp (potato chip)", True),
        ("berries", "berry", True),
        ("wolves", "wolf", True),
        ("two polar bears", "polar_bear", False),
        ("犬", "犬", True),
        ("glasses", "glasses", True),
    ],
)
def test_a_text_names_a_noun(text: str, noun: str, whole: bool) -> None:
    found = find_noun(text, NOUNS)
    assert (found.noun, found.whole) == (noun, whole)
    assert NOUNS[found.row] == noun


def test_a_text_that_names_none_is_told_what_is_near() -> None:
    with pytest.raises(InputError, match=r"'boot' names none of the 10 candidate nouns; near are boat"):
        find_noun("boot", NOUNS)
    with pytest.raises(InputError, match="none of them has a similar spelling"):
        find_noun("$(rm -rf ~)", NOUNS)


@given(text=st.text(max_size=40))
def test_any_text_names_a_noun_or_is_refused(text: str) -> None:
    try:
        assert find_noun(text, NOUNS).noun in NOUNS
    except InputError as error:
        assert "candidate nouns" in str(error)


def test_a_search_text_is_words() -> None:
    assert require_text("  a red\n boat ") == "a red boat"
    for text in ("", " \n", "x" * (LONGEST_TEXT + 1), "\udc80"):
        with pytest.raises(InputError, match="a search"):
            require_text(text)


def test_hits_keep_their_order_and_get_their_clusters() -> None:
    found = pl.DataFrame({"image_id": ["b", "a", "c"], "score": [0.9, 0.8, 0.7], "uri": ["/b", "/a", "/c"]})
    placed = pl.DataFrame(
        {"image_id": ["a", "b"], "cluster_id": [7, 9], "confidence": [0.5, 0.75], "margin": [0.1, 0.2]},
        schema_overrides={"cluster_id": pl.Int32, "confidence": pl.Float32},
    )
    names = pl.DataFrame({"cluster_id": [9], "cluster_name": ["boat"]}, schema_overrides={"cluster_id": pl.Int32})
    assert beside_clusters(found, placed, names).rows() == [
        ("b", 0.9, "/b", 9, "boat", 0.75),
        ("a", 0.8, "/a", 7, None, 0.5),
        ("c", 0.7, "/c", None, None, None),
    ]
    alone = beside_clusters(found)
    assert alone.schema == beside_clusters(found, placed, names).schema
    assert alone.select("cluster_id", "cluster_name", "confidence").rows() == [(None, None, None)] * 3


def test_clusters_and_runners_up_get_names() -> None:
    rows = pl.DataFrame({"cluster_id": [2, 1, None], "runner_up": [1, None, None]})
    names = pl.DataFrame({"cluster_id": [1, 2], "cluster_name": ["boat", None]})
    assert with_cluster_names(rows, names).rows() == [(2, 1, None, "boat"), (1, None, "boat", None), (None,) * 4]
