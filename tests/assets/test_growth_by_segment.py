"""A store that is large enough for segments beside one with the same images in single files: the same tables."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize, table
from colored_store import colored_store, draw  # noqa: F401 - a fixture
from polars.testing import assert_frame_equal
from small_store import DIM, write_nouns, write_vectors

from assets.engine.execute import Outcome, open_store
from assets.graph import GROWTH
from assets.orchestration.publishing import publish
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.segments import cutting

MOST = 32
TABLES = ("image_manifest", "image_embeddings", "assignments", "image_map", "clusters", "review")
SETTINGS = """\
store: {name}
images: {{source: images}}
nouns: {{source: nouns.parquet}}
clusters: {{count: 3}}
semantic_centers: {{images_per_center: 10}}
neighbors: {{count: 5}}
training_set: {{max_images: 60}}
"""
GROWN = [step.name for step in GROWTH]


@contextmanager
def small_segments(most: int = MOST) -> Iterator[None]:
    """So that a few hundred images are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SEGMENT_ROWS", most)
        patch.setattr(cutting, "MEAN_ROWS", most // 2)
        yield


def vectors(count: int, seed: int) -> np.ndarray:
    """Around three centers."""
    generator = np.random.default_rng(seed)
    found = np.eye(DIM)[generator.integers(3, size=count)] + 0.1 * generator.normal(size=(count, DIM))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write(folder: Path, name: str, ids: list[str], seed: int = 0) -> None:
    """A file of the source."""
    write_vectors(folder / "images" / f"{name}.parquet", ids, vectors(len(ids), seed).astype(np.float32))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The settings of a store in segments, and of one with the same source in single files; both were run."""
    folder = tmp_path_factory.mktemp("twins")
    (folder / "images").mkdir()
    write(folder, "first", [f"p/{number:04d}" for number in range(200)])
    write(folder, "second", [f"p/{number:04d}" for number in range(200, 260)], seed=1)
    write_nouns(folder / "nouns.parquet")
    for name in ("many", "one"):
        (folder / f"{name}.yaml").write_text(SETTINGS.format(name=name))
    many, one = folder / "many.yaml", folder / "one.yaml"
    with small_segments():
        materialize(many)
    materialize(one)
    return many, one


def grow(stores: tuple[Path, Path]) -> dict[str, Outcome]:
    """A run of each; what the store in segments did."""
    many, one = stores
    with small_segments():
        outcomes = materialize(many, GROWN)
        publish(load_project(many), by_hand=True)
    materialize(one, GROWN)
    publish(load_project(one), by_hand=True)
    return outcomes


def segments_of(outcome: Outcome) -> dict[str, int]:
    """The inodes of an artifact's segments by the digests in their names."""
    name = outcome.artifact.asset
    return {path.stem.split("-")[2]: path.stat().st_ino for path in outcome.artifact.folder.glob(f"{name}-*.parquet")}


def same(stores: tuple[Path, Path]) -> None:
    """Both stores hold the same."""
    for name in TABLES:
        found, wanted = (table(settings, name) for settings in stores)
        for column in ("shard", "row", "lineage"):
            found, wanted = (side.drop(column, strict=False) for side in (found, wanted))
        if name == "review":
            assert twins(found) == twins(wanted)
            # Who is just beyond the limit hangs on the width of the counts.
            assert (found["outlier"] != wanted["outlier"]).sum() <= len(found) / 100
            found, wanted = (side.drop("duplicate_group", "outlier") for side in (found, wanted))
        # A place on the map is computed beside others, which changes its last bits; typicality is counted.
        tolerance = {"image_map": 1e-5, "review": 0.06}.get(name)
        assert_frame_equal(found, wanted, check_exact=tolerance is None, abs_tol=tolerance or 0)


def published_alike(stores: tuple[Path, Path]) -> None:
    """Readers of both have the same."""
    many, one = (Publication(open_store(load_project(settings)).published_folder) for settings in stores)
    found, wanted = many.latest(), one.latest()
    assert found is not None and wanted is not None
    assert found.number == wanted.number
    assert len(found.assigned) > 4
    assert_frame_equal(found.assignments, wanted.assignments, check_exact=True)
    assert_frame_equal(found.table("changes"), wanted.table("changes"))


def twins(review: pl.DataFrame) -> set[tuple[str, ...]]:
    """The groups of duplicates, whatever their numbers."""
    groups = review.drop_nulls("duplicate_group").group_by("duplicate_group").agg("image_id")
    return {tuple(sorted(members)) for members in groups["image_id"].to_list()}


def test_a_first_run_gives_the_same_tables(stores: tuple[Path, Path]) -> None:
    same(stores)


def copy_some(folder: Path) -> None:
    """The first two vectors of the second file, which was written anew, and almost the third and fourth."""
    copies = vectors(60, 9)[:4]
    copies[2:] += 0.01 * np.random.default_rng(0).normal(size=(2, DIM))
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    ids = [f"p/900{number}" for number in range(4)]
    write_vectors(folder / "images" / "twice.parquet", ids, copies.astype(np.float32))


def remove(folder: Path, name: str) -> None:
    (folder / "images" / f"{name}.parquet").unlink()


CHANGES: dict[str, Callable[[Path], None]] = {
    "a new file at the end": lambda folder: write(folder, "third", ["p/0999"], seed=2),
    "a new file at the front": lambda folder: write(folder, "front", ["a/0001", "a/0002"], seed=3),
    "ids between others": lambda folder: write(folder, "between", [f"p/{n:04d}x" for n in range(0, 250, 9)], seed=4),
    "a file with other vectors": lambda folder: write(
        folder, "second", [f"p/{number:04d}" for number in range(200, 260)], seed=9
    ),
    "a file that lost rows": lambda folder: write(folder, "first", [f"p/{n:04d}" for n in range(200) if n % 7]),
    "a file that is gone": lambda folder: remove(folder, "between"),
    "nothing": lambda folder: None,
    "images that are there twice": lambda folder: copy_some(folder),
    "ids that move to another file": lambda folder: (
        remove(folder, "third"),
        write(folder, "last", ["p/0999", "q/1"], seed=2),
    )[0],
}


@pytest.mark.parametrize("change", CHANGES)
def test_growth_gives_what_single_files_have(stores: tuple[Path, Path], change: str) -> None:
    """The changes come one after the other to the same stores."""
    CHANGES[change](stores[0].parent)
    grow(stores)
    same(stores)
    published_alike(stores)


def test_near_duplicates_need_not_have_been_learned_from(stores: tuple[Path, Path]) -> None:
    for settings in stores:
        found = {row["image_id"]: row for row in table(settings, "review").iter_rows(named=True)}
        learned = table(settings, "training_set").select("image_id", "content_hash")
        there = table(settings, "image_embeddings")
        assert (
            there.filter(pl.col("image_id").str.contains(r"p/(020|900)\d"))
            .join(learned, on=["image_id", "content_hash"])
            .is_empty()
        )
        for number in range(4):
            pair = [found[f"p/020{number}"], found[f"p/900{number}"]]
            assert pair[0]["duplicate_group"] == pair[1]["duplicate_group"] != None  # noqa: E711
            stands = max(pair, key=lambda row: (row["typicality"], row["image_id"] < "p/9"))
            assert [row["duplicate_of"] for row in pair if row is not stands] == [stands["image_id"]]
            assert stands["duplicate_of"] is None


def test_it_is_as_if_it_had_always_been_so(stores: tuple[Path, Path], tmp_path: Path) -> None:
    """After all these changes the segments are those of a store that begins with the same images."""
    many, _ = stores
    shutil.copytree(many.parent / "images", tmp_path / "images")
    shutil.copyfile(many.parent / "nouns.parquet", tmp_path / "nouns.parquet")
    (tmp_path / "many.yaml").write_text(many.read_text())
    with small_segments():
        new = materialize(tmp_path / "many.yaml", ["image_manifest", "image_embeddings"])
        old = grow(stores)
    assert segments_of(new["image_manifest"]).keys() == segments_of(old["image_manifest"]).keys()
    assert new["image_embeddings"].artifact.content == old["image_embeddings"].artifact.content


@pytest.mark.filterwarnings("ignore::tac_pipeline.errors.TacWarning")
def test_pictures_that_moved_are_known_by_their_bytes(store: Path) -> None:
    """Of a store in segments too, and what cannot be read is told of all its segments."""
    photos = store.parent / "photos"
    with small_segments(8):
        materialize(store)
        shutil.copyfile(photos / "group0/1.png", photos / "group1/again.png")
        (photos / "group2/5.png").rename(photos / "moved.png")
        draw(photos / "group0/new.png", (220, 30, 30), 99)
        facts = materialize(store, GROWN)["image_embeddings"].artifact.facts
    assert (facts["computed"], facts["copied"], facts["readable"], facts["unreadable"]) == (3, 2, 29, 3)
    assert facts["changes"] == {"unchanged": 29, "new": 3, "replaced": 0, "gone": 1}
    assert len(list(open_store(load_project(store)).folder.glob("image_embeddings/*/image_embeddings-*.parquet"))) > 4
