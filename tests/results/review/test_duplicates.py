"""Groups of duplicates: pairs of contents as pairs of images, numbers that stay, and the image that stands for each."""

import polars as pl

from tac_pipeline.embedding.known_bytes import hash_keys
from tac_pipeline.results.review.duplicates import numbered_as_before, pairs_of_images, with_representatives


def grouped(**groups: int) -> pl.DataFrame:
    rows = {"image_id": list(groups), "duplicate_group": list(groups.values())}
    return pl.DataFrame(rows, schema_overrides={"duplicate_group": pl.Int32})


def test_the_largest_stands_for_a_group_then_the_most_typical_then_the_first() -> None:
    groups = grouped(small=0, large=0, far=1, near=1, b=2, a=2, unknown=3, known=3)
    sizes = {"small": 8, "large": 9} | dict.fromkeys(["far", "near", "b", "a", "unknown", "known"], 5)
    images = pl.DataFrame(
        {"image_id": list(sizes), "width": list(sizes.values()), "height": 4},
        schema_overrides={"width": pl.Int32, "height": pl.Int32},
    )
    cosine = {"small": 0.9, "large": 0.1, "far": 0.2, "near": 0.3, "b": 0.5, "a": 0.5, "unknown": None, "known": 0.1}
    similarities = pl.DataFrame(
        {"image_id": list(cosine), "similarity": list(cosine.values())}, schema_overrides={"similarity": pl.Float32}
    )
    found = with_representatives(groups, images, similarities)
    assert found.columns == ["image_id", "duplicate_group", "duplicate_of"]
    assert dict(found.select("image_id", "duplicate_of").iter_rows()) == {
        "small": "large",
        "large": None,
        "far": "near",
        "near": None,
        "b": "a",
        "a": None,
        "unknown": "known",
        "known": None,
    }


def test_pairs_of_contents_that_are_gone_are_left_out() -> None:
    hashes = [f"{number:064x}" for number in (16**60, 16**61, 16**62)]
    images = pl.DataFrame({"image_id": ["a", "b"], "content_hash": hashes[:2]})
    first, second, gone = hash_keys(pl.Series(hashes)).tolist()
    pairs = pl.DataFrame({"left": [first, first, gone], "right": [second, gone, second]})
    assert pairs_of_images(images, pairs).rows() == [("a", "b")]


def test_numbers_stay_and_new_groups_get_free_ones() -> None:
    before = grouped(a=0, b=0, c=3, d=3).with_columns(duplicate_of=pl.lit(None, pl.String))
    now = grouped(x=0, y=0, c=1, d=1, e=1, b=2, z=2)
    found = dict(numbered_as_before(now, before).iter_rows())
    assert found == {"x": 1, "y": 1, "c": 3, "d": 3, "e": 3, "b": 0, "z": 0}
