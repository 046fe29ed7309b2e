"""Find the like: images of a kind are proposed from a few of them, over shards as over arrays."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_store import grouped_vectors

from tac_pipeline.errors import ArtifactDamaged, InputError
from tac_pipeline.results.alike import PROPOSED, alike_images, learn_likeness
from tac_pipeline.store.shards import EmbeddedBatch, ImageRow, write_shards

ROWS, TRUTH = grouped_vectors(groups=6, per_group=30)
ENCODER = "the encoder"


def written_store(folder: Path, *, shards: int, bad: int | None = None) -> pl.DataFrame:
    """The rows in shards, mixed, one of them unreadable; the view of all."""
    views, ids = [], np.array([f"{row:03d}" for row in range(len(ROWS))])
    for part in range(shards):
        rows = np.arange(part, len(ROWS), shards)
        errors = ["damaged" if row == bad else None for row in rows]
        images = [
            ImageRow(str(id_), str(id_), str(id_), error=error) for id_, error in zip(ids[rows], errors, strict=True)
        ]
        vectors = np.where(np.array([[error is None] for error in errors]), ROWS[rows], 0).astype(np.float32)
        views += list(write_shards([EmbeddedBatch(images, vectors)], folder, ENCODER, len(rows), None))
    return pl.concat(views).sort("image_id")


# One image says little of its kind: few others are proposed, and these are right.
@pytest.mark.parametrize(("picked", "least"), [(1, 0.2), (2, 0.5), (8, 0.7)])
def test_the_rest_of_a_kind_is_proposed_and_little_else(picked: int, least: float) -> None:
    members = np.flatnonzero(TRUTH == 2)
    inside, rest = members[:picked], np.setdiff1d(np.arange(len(ROWS)), members[:picked])
    scores = learn_likeness(ROWS[inside], ROWS[rest]).score(ROWS)
    # All of the kind come before all others, whatever is proposed.
    assert scores[TRUTH == 2].min() > scores[TRUTH != 2].max()
    proposed = scores >= PROPOSED
    assert not proposed[TRUTH != 2].any()
    assert proposed[members].mean() > least


def test_pictures_of_its_kind_in_the_sample_do_not_hide_it() -> None:
    # Half of the sample is of the kind: even odds alone would propose hardly any.
    members, others = np.flatnonzero(TRUTH == 2), np.flatnonzero(TRUTH != 2)
    scores = learn_likeness(ROWS[members[:10]], ROWS[np.concatenate([members[10:], others[:20]])]).score(ROWS)
    assert (scores[members[10:]] >= PROPOSED).mean() > 0.7


def test_shards_give_what_the_array_gives(tmp_path: Path) -> None:
    picked = pl.Series([f"{row:03d}" for row in range(60, 70)])
    one = alike_images(picked, written_store(tmp_path / "one", shards=1), tmp_path / "one", encoder=ENCODER, seed=0)
    many = alike_images(picked, written_store(tmp_path / "many", shards=7), tmp_path / "many", encoder=ENCODER, seed=0)
    assert one["image_id"].to_list() == many["image_id"].to_list()
    np.testing.assert_allclose(one["score"], many["score"], atol=1e-5)
    plain = learn_likeness(ROWS[60:70], np.delete(ROWS, range(60, 70), axis=0)).score(ROWS)
    by_row = dict(zip(one["image_id"], one["score"], strict=True))
    np.testing.assert_allclose([by_row["075"], by_row["000"]], plain[[75, 0]], atol=1e-3)  # shards hold float16
    assert one.columns == ["image_id", "score", "proposed"]
    assert one["proposed"].to_list() == (one["score"] >= PROPOSED).to_list()
    assert set(one.filter("proposed")["image_id"]) <= {f"{row:03d}" for row in range(70, 90)}


def test_picked_and_unreadable_images_are_not_proposed(tmp_path: Path) -> None:
    view = written_store(tmp_path, shards=3, bad=75)
    found = alike_images(pl.Series(["060", "061", "gone"]), view, tmp_path, encoder=ENCODER, seed=0)
    assert len(found) == len(ROWS) - 3
    assert not {"060", "061", "075"} & set(found["image_id"])


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    view = written_store(tmp_path, shards=1, bad=75)
    with pytest.raises(InputError, match="got 0 of 2 picked ones and 179 others"):
        alike_images(pl.Series(["075", "gone"]), view, tmp_path, encoder=ENCODER, seed=0)
    with pytest.raises(InputError, match="and 0 others"):
        alike_images(view["image_id"], view, tmp_path, encoder=ENCODER, seed=0)
    with pytest.raises(InputError, match="got 0 picked ones and 180 others"):
        learn_likeness(ROWS[:0], ROWS)
    with pytest.raises(InputError, match="same width"):
        learn_likeness(ROWS[:3, :4], ROWS)
    with pytest.raises(ArtifactDamaged):
        alike_images(pl.Series(["060"]), view, tmp_path, encoder="another", seed=0)
