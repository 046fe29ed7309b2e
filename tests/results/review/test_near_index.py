"""Near-duplicates that are kept: only what is new is compared, and what is lost is made again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from reference import random_unit_rows

from tac_pipeline.embedding.known_bytes import hash_keys
from tac_pipeline.results.review import near, near_index
from tac_pipeline.results.review.near_index import View, near_pairs
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import HeldRows
from tac_pipeline.store.shards import EmbeddedBatch, ImageRow, write_shards

ENCODER, DIM = "the encoder", 12


class Images:
    """A store that is only shards and views."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.compared = 0

    def part(self, vectors: np.ndarray, *, errors: Sequence[str | None] | None = None) -> HeldRows:
        """A segment of the view, in shards of its own."""
        numbers = range(self.count, self.count + len(vectors))
        told = errors or [None] * len(vectors)
        rows = [ImageRow(f"{n}", "1", key_text(n), error=error) for n, error in zip(numbers, told, strict=True)]
        batch = EmbeddedBatch(rows, vectors.astype(np.float32))
        placed = pl.concat(write_shards([batch], self.folder / "shards", ENCODER, len(rows), None))
        self.count += len(vectors)
        return HeldRows(placed, f"digest {numbers}", alone=True)

    def pairs(self, *parts: HeldRows, similarity: float = 0.98) -> pl.DataFrame:
        """What is found, without cosines; `compared` says of how many images codes were made."""
        self.compared = 0
        rows = sum(len(part.table) for part in parts)

        def count(done: int, _: int) -> None:
            self.compared = done

        view = View(parts, rows, Derived(self.folder / "derived"), self.folder / "shards", ENCODER, progress=count)
        return near_pairs(view, self.folder / "near", similarity=similarity).select("left", "right")


def key_text(number: int) -> str:
    return f"{number + 1:015x}{number:049x}"


def keys(*pairs: tuple[int, int]) -> pl.DataFrame:
    of = [hash_keys(pl.Series([key_text(number) for number in side])) for side in zip(*pairs, strict=True)]
    return pl.DataFrame({"left": of[0], "right": of[1]}).sort("left", "right")


def nearly(vectors: np.ndarray, seed: int = 9) -> np.ndarray:
    found = vectors + 0.05 * random_unit_rows(len(vectors), vectors.shape[1], seed)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path)


def test_new_images_are_compared_with_all_and_nothing_else_is(images: Images) -> None:
    vectors = random_unit_rows(40, DIM, 0)
    first, second = images.part(vectors), images.part(nearly(vectors[:2]))
    assert images.pairs(first).is_empty()
    assert images.compared == 40
    assert_frame_equal(images.pairs(first, second), keys((0, 40), (1, 41)))
    assert images.compared == 2
    assert_frame_equal(images.pairs(first, second), keys((0, 40), (1, 41)))
    assert images.compared == 0
    # A segment with other rows of the same images: nothing is new.
    other = HeldRows(first.table.sort("image_id"), "another digest", alone=True)
    assert_frame_equal(images.pairs(other, second), keys((0, 40), (1, 41)))
    assert images.compared == 0


@pytest.mark.parametrize("cells", [1, 5])
def test_growth_gives_what_one_look_at_all_gives(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    """Also in several runs of codes, and when small files are joined."""
    monkeypatch.setattr(near, "cell_count", lambda n_images: cells)
    monkeypatch.setattr(near_index, "SMALL_FILES", 3)
    vectors = random_unit_rows(60, DIM, 1)
    parts = [images.part(vectors)]
    images.pairs(*parts)
    for number in range(7):
        parts.append(images.part(nearly(vectors[number * 8 : number * 8 + 8], seed=number)))
        grown = images.pairs(*parts)
        assert images.compared == 8
    assert_frame_equal(grown, keys(*((n, 60 + n) for n in range(56))))
    assert len(list((tmp_path / "near").glob("*/*.parquet"))) < 8
    monkeypatch.setattr(near_index, "RUN_IMAGES", 10)
    monkeypatch.setattr(near_index, "BATCH_ROWS", 16)
    (tmp_path / "near").rename(tmp_path / "before")
    assert_frame_equal(images.pairs(*parts), grown)
    assert images.compared == 116


@pytest.mark.parametrize("what", ["*.parquet", "*.npz", "record.json"])
@pytest.mark.parametrize("cut", [True, False])
def test_what_is_damaged_or_lost_is_made_again(images: Images, what: str, cut: bool) -> None:
    vectors = random_unit_rows(30, DIM, 0)
    first, second = images.part(vectors), images.part(nearly(vectors[:3]))
    images.pairs(first)
    path = next((images.folder / "near").glob(f"*/{what}"))
    if cut:
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    assert_frame_equal(images.pairs(first, second), keys((0, 30), (1, 31), (2, 32)))
    assert images.compared == 33


def test_what_an_interrupted_run_left_does_not_count(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = random_unit_rows(30, DIM, 0)
    first, second = images.part(vectors), images.part(nearly(vectors[:3]))
    images.pairs(first)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(near_index._Index, "_compare", killed)
        with pytest.raises(KeyboardInterrupt):
            images.pairs(first, second)
    assert_frame_equal(images.pairs(first, second), keys((0, 30), (1, 31), (2, 32)))
    assert images.compared == 3
    assert len(list((images.folder / "near").glob("*/*"))) == 5  # record, cells, two runs, pairs


def test_images_that_cannot_be_read_are_left_out(images: Images) -> None:
    vectors = random_unit_rows(4, DIM, 0)
    vectors[:2] = 0
    broken = images.part(vectors[:2], errors=["damaged", "damaged"])
    assert images.pairs(broken).is_empty()
    assert images.pairs(broken, images.part(vectors[2:])).is_empty()
    assert images.compared == 2


def test_cells_are_made_again_for_a_store_that_has_grown(images: Images) -> None:
    vectors = random_unit_rows(50, DIM, 0)
    first, second, third = images.part(vectors[:10]), images.part(vectors[10:40]), images.part(vectors[40:])
    images.pairs(first)
    images.pairs(first, second)
    assert images.compared == 30
    images.pairs(first, second, third)
    assert images.compared == 50
    # And for one that has lost most of its images.
    images.pairs(first)
    assert images.compared == 10


def test_each_limit_has_its_own_pairs(images: Images) -> None:
    vectors = random_unit_rows(10, DIM, 0)
    part = images.part(np.concatenate([vectors, nearly(vectors[:1])]))
    assert len(images.pairs(part)) == 1
    assert images.pairs(part, similarity=0.9999).is_empty()
    assert len(images.pairs(part)) == 1
    assert images.compared == 0
