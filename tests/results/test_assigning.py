"""The whole store's assignment: equal to assigning all at once, and no shard is read twice for the same heads."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from reference import random_unit_rows

from tac_pipeline.errors import ArtifactDamaged, InputError
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import ClusterHead, build_head, soft_assignment
from tac_pipeline.method.words.criterion import View, find_view
from tac_pipeline.results.assigning import StoreAssignment, assign_shards, drop_unused, group_ceilings
from tac_pipeline.store.parquet import place_table, read_table, vectors_of
from tac_pipeline.store.schemas import EMBEDDING_SHARD

DIM, N_CLUSTERS, ENCODER = 6, 4, "the encoder"
VALUES = ["column", "confidence", "runner_up", "similarity", "margin"]


def some_head(seed: int = 0, *, dim: int = DIM) -> ClusterHead:
    head = build_head(dim, N_CLUSTERS, generator=torch.Generator().manual_seed(seed))
    head.settle(torch.from_numpy(random_unit_rows(50, dim, seed)))
    with torch.no_grad():
        head.output.weight *= 50  # so that it is sure of some
    return head.eval()


class SmallStore:
    """Shards of random vectors, the view of them, and what a head assigns; every seventh image cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.shards, self.kept = folder / "shards", folder / "assigned" / "some heads"
        self.head, self.centers = some_head(), random_unit_rows(N_CLUSTERS, DIM, 99)
        self.view = pl.DataFrame()
        self.progress: list[tuple[int, int]] = []

    def add_shard(self, name: str, n_rows: int) -> None:
        rows = list(range(len(self.view), len(self.view) + n_rows))
        errors = ["broken" if row % 7 == 3 else None for row in rows]
        vectors = random_unit_rows(n_rows, DIM, rows[0])
        vectors[[error is not None for error in errors]] = 0
        ids, zeros = [f"image {row:03d}" for row in rows], [0] * n_rows
        columns = {
            "image_id": ids,
            "version": ids,
            "content_hash": ids,
            "width": zeros,
            "height": zeros,
            "error": errors,
            "note": [None] * n_rows,
            "embedding": vectors,
        }
        place_table(self.shards / name, EMBEDDING_SHARD, columns, encoder=ENCODER)
        placed = {"image_id": ids, "error": pl.Series(errors, dtype=pl.String), "row": range(n_rows)}
        added = pl.DataFrame(placed).with_columns(shard=pl.lit(name))
        self.view = pl.concat([self.view, added]) if len(self.view) else added

    def assign(self, *, encoder: str = ENCODER, seen_by: View | None = None) -> StoreAssignment:
        self.progress = []
        return assign_shards(
            self.view,
            self.shards,
            encoder=encoder,
            head=lambda: self.head,
            centers=self.centers,
            kept=self.kept,
            seen_by=seen_by,
            progress=lambda done, total: self.progress.append((done, total)),
        )

    def at_once(self, *, seen_by: View | None = None) -> pl.DataFrame:
        """The head's assignment of every image of the view, computed at once."""
        tables = {name: vectors_of(read_table(self.shards / name, EMBEDDING_SHARD)) for name in self.view["shard"]}
        vectors = np.stack([tables[name][row] for name, row in self.view.select("shard", "row").iter_rows()])
        vectors = vectors if seen_by is None else seen_by.apply(vectors)
        found = assign(soft_assignment(self.head, vectors))
        similarity = (vectors * self.centers[found.column]).sum(axis=1)
        table = pl.DataFrame(
            {
                "image_id": self.view["image_id"],
                "column": found.column,
                "confidence": found.confidence,
                "runner_up": found.runner_up,
                "similarity": similarity,
                "margin": found.margin,
            }
        )
        readable = pl.lit(self.view["error"].is_null())
        return table.with_columns(pl.when(readable).then(pl.col(name)).alias(name) for name in VALUES)


@pytest.fixture
def store(tmp_path: Path) -> SmallStore:
    store = SmallStore(tmp_path)
    for name, n_rows in (("e/one.parquet", 20), ("e/two.parquet", 1), ("f/three.parquet", 9)):
        store.add_shard(name, n_rows)
    return store


def require_equal(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    found, expected = found.sort("image_id"), expected.sort("image_id")
    assert found.columns == ["image_id", *VALUES]
    for name in ("image_id", "column", "runner_up"):
        assert found[name].to_list() == expected[name].to_list()
    for name in ("confidence", "similarity", "margin"):
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), atol=1e-5)


def test_images_are_seen_as_the_head_learned_them(store: SmallStore) -> None:
    view = find_view(random_unit_rows(20, DIM, 5), random_unit_rows(4, DIM, 6)).view
    store.head, store.centers = some_head(dim=3), random_unit_rows(N_CLUSTERS, 3, 99)
    require_equal(store.assign(seen_by=view).rows, store.at_once(seen_by=view))
    store.kept = store.kept.with_name("as the encoder sees them")
    with pytest.raises(InputError, match="this head takes vectors of width 3; got width 6"):
        store.assign()


@pytest.mark.parametrize("seed", range(4))
def test_shard_by_shard_equals_all_at_once(store: SmallStore, seed: int) -> None:
    # A view has its rows in any order, and not all rows of every shard.
    store.view = store.view.sample(25, shuffle=True, seed=seed)
    found = store.assign()
    assert found.computed == 25
    require_equal(found.rows, store.at_once())
    assert found.rows["column"].n_unique() > 2
    assert store.progress[-1] == (25, 25)
    assert store.progress == sorted(store.progress)


def test_images_that_cannot_be_read_are_in_no_cluster(store: SmallStore) -> None:
    unreadable = store.view.filter(pl.col("error").is_not_null())["image_id"]
    for found in (store.assign().rows, store.assign().rows):  # computed, and kept
        nothing = found.filter(pl.all_horizontal(pl.col(VALUES).is_null()))["image_id"]
        assert sorted(nothing) == sorted(unreadable)
        assert len(found.drop_nulls()) == len(found) - len(unreadable) == 26


def test_shards_that_these_heads_assigned_are_not_read_again(store: SmallStore) -> None:
    first = store.assign()
    (store.shards / "e/one.parquet").write_bytes(b"no shard any more")
    (store.shards / "e/two.parquet").unlink()
    again = store.assign()
    assert (again.computed, store.progress[-1]) == (0, (30, 30))
    assert again.rows.equals(first.rows)
    store.add_shard("f/four.parquet", 5)
    grown = store.assign()
    assert grown.computed == 5
    assert grown.rows.head(30).equals(first.rows)


def test_fewer_rows_of_a_shard_are_taken_from_what_is_kept(store: SmallStore) -> None:
    first = store.assign().rows
    store.view = store.view.filter(pl.col("row") % 2 == 1)
    again = store.assign()
    assert again.computed == 0
    assert again.rows.equals(first.join(store.view, on="image_id", how="semi", maintain_order="left"))


def test_other_heads_read_every_shard(store: SmallStore) -> None:
    first = store.assign()
    store.head, store.kept = some_head(1), store.kept.with_name("other heads")
    found = store.assign()
    assert found.computed == 30
    require_equal(found.rows, store.at_once())
    assert not found.rows.equals(first.rows)


@pytest.mark.parametrize("damage", ["cut", "empty", "another table"])
def test_what_is_kept_and_damaged_is_worked_out_again(store: SmallStore, damage: str) -> None:
    first = store.assign()
    path = store.kept / "e/one.parquet"
    whole = path.read_bytes()
    spoiled = {"cut": whole[:-20], "empty": b"", "another table": (store.shards / "e/one.parquet").read_bytes()}
    path.write_bytes(spoiled[damage])
    again = store.assign()
    assert again.computed == 20
    assert again.rows.equals(first.rows)
    assert store.assign().computed == 0


@pytest.mark.parametrize("gone", [True, False])
def test_a_damaged_shard_is_told_and_what_was_assigned_before_it_stays(store: SmallStore, gone: bool) -> None:
    path = store.shards / "f/three.parquet"
    whole = path.read_bytes()
    path.unlink() if gone else path.write_bytes(whole[:100])
    with pytest.raises(ArtifactDamaged, match=r"three\.parquet.*only its images are encoded again"):
        store.assign()
    path.write_bytes(whole)
    assert store.assign().computed == 9


def test_shards_of_another_encoder_are_refused(store: SmallStore) -> None:
    with pytest.raises(ArtifactDamaged, match="must hold vectors of another; it says the encoder"):
        store.assign(encoder="another")


def test_what_nobody_uses_any_more_is_dropped(store: SmallStore) -> None:
    store.assign()
    store.kept = store.kept.with_name("other heads")
    store.assign()
    (store.shards / "e/one.parquet").unlink()
    assigned = store.kept.parent
    drop_unused(assigned, {"other heads", "heads that assigned nothing"}, store.shards)
    left = sorted(path.relative_to(assigned).as_posix() for path in assigned.rglob("*.parquet"))
    assert left == ["other heads/e/two.parquet", "other heads/f/three.parquet"]
    assert [path.name for path in assigned.iterdir()] == ["other heads"]
    drop_unused(assigned.with_name("never made"), set(), store.shards)


def test_a_group_of_columns_is_as_sure_as_the_surest_of_them() -> None:
    head = build_head(4, 3, generator=torch.Generator().manual_seed(0))
    assert group_ceilings(head, None) is None
    head.ceilings = torch.tensor([0.5, 0.9, 0.25])
    np.testing.assert_allclose(group_ceilings(head, None), [0.5, 0.9, 0.25])
    np.testing.assert_allclose(group_ceilings(head, np.array([0, 1, 0])), [0.5, 0.9])
