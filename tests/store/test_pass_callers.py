"""Everything that reads a store's vectors does so in the one pass: an executor can move it, and it holds one shard."""

import re
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from reference import random_unit_rows
from small_store import REPOSITORY
from stored_shards import DIM, ENCODER, sent, write_view

from assets.map import Layout, _places
from tac_pipeline.export.embedding_atlas import write_embedding_atlas
from tac_pipeline.export.result import ExportOptions, ExportResult, StoredVectors
from tac_pipeline.method.heads.cluster_head import build_head
from tac_pipeline.results.assigning import assign_shards
from tac_pipeline.results.map_layout import placing_index
from tac_pipeline.results.search import nearest_images
from tac_pipeline.sources import FolderSource
from tac_pipeline.store import shards as shards_module
from tac_pipeline.store.shards import InProcess, ShardPart, gather_vectors, map_shards

Caller = Callable[[pl.DataFrame, Path, Path], Any]
SIZES = [3, 8, 1, 5]


def gather(view: pl.DataFrame, shards: Path, _: Path) -> list[Any]:
    return gather_vectors(view, shards, encoder=ENCODER).tolist()


def search(view: pl.DataFrame, shards: Path, _: Path) -> list[Any]:
    query = random_unit_rows(1, DIM, 77)[0]
    return nearest_images(query, view, shards, encoder=ENCODER, count=5).rows()


def assign(view: pl.DataFrame, shards: Path, out: Path) -> list[Any]:
    head = build_head(DIM, 3, generator=torch.Generator().manual_seed(0))
    head.settle(torch.from_numpy(random_unit_rows(50, DIM, 5)))
    centers = random_unit_rows(3, DIM, 9)
    found = assign_shards(view, shards, encoder=ENCODER, head=head.eval, centers=centers, kept=out / "kept")
    assert found.computed == len(view)
    return found.rows.rows()


def place_on_map(view: pl.DataFrame, shards: Path, _: Path) -> list[Any]:
    sample, positions = random_unit_rows(6, DIM, 3), np.random.default_rng(0).random((6, 2)).astype(np.float32)
    work = partial(_places, layout=Layout(placing_index(sample, n_images=6), positions))
    return [places.tolist() for _, places in map_shards(work, view, shards, encoder=ENCODER)]


def export(view: pl.DataFrame, shards: Path, out: Path) -> list[Any]:
    images = view.select(
        "image_id",
        cluster_id=pl.lit(0, pl.Int32),
        cluster_name=pl.lit("sea horse"),
    )
    places = view.select("image_id", x=pl.lit(0.5), y=pl.lit(0.5))
    out.mkdir(exist_ok=True)
    stored = StoredVectors(view, shards, ENCODER)
    write_embedding_atlas(
        out / "points.parquet",
        ExportResult({}, images, FolderSource(out), places, stored),
        ExportOptions(vectors=True),
    )
    return pl.read_parquet(out / "points.parquet").rows()


CALLERS = pytest.mark.parametrize("caller", [gather, search, assign, place_on_map, export])


@CALLERS
def test_the_work_can_be_sent_elsewhere_and_comes_back_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: Caller
) -> None:
    view, _ = write_view(tmp_path / "shards", SIZES)
    here, taken = caller(view, tmp_path / "shards", tmp_path / "here"), list[str]()

    def send(_: InProcess, function: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
        for part in parts:
            taken.append(part.name)
            yield sent(sent(function)(sent(part)))

    monkeypatch.setattr(InProcess, "map", send)
    assert caller(view, tmp_path / "shards", tmp_path / "elsewhere") == here
    assert taken == [f"e/{number}.parquet" for number in range(len(SIZES))]


class Watch:
    """Notes arrays and what owns their memory, and tells which of them are still held."""

    def __init__(self) -> None:
        self._arrays: list[weakref.ref[np.ndarray]] = []

    def note(self, array: np.ndarray) -> np.ndarray:
        owner: object = array
        while isinstance(owner, np.ndarray):
            self._arrays.append(weakref.ref(owner))
            owner = owner.base
        return array

    def held(self) -> list[tuple[int, ...]]:
        arrays = [array() for array in self._arrays]
        return [array.shape for array in arrays if array is not None]


@CALLERS
def test_no_vectors_of_one_shard_are_held_while_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: Caller
) -> None:
    view, _ = write_view(tmp_path / "shards", SIZES)
    read_shard, read_vectors = shards_module.read_shard, ShardPart.read_vectors
    watch, read = Watch(), list[str]()

    def reading(path: Path, *, encoder: str) -> tuple[pl.DataFrame, np.ndarray]:
        assert watch.held() == []
        read.append(path.name)
        rows, vectors = read_shard(path, encoder=encoder)
        return rows, watch.note(vectors)

    monkeypatch.setattr(shards_module, "read_shard", reading)
    monkeypatch.setattr(ShardPart, "read_vectors", lambda part: watch.note(read_vectors(part)))
    caller(view, tmp_path / "shards", tmp_path / "out")
    assert read == [f"{number}.parquet" for number in range(len(SIZES))]


def test_no_other_code_goes_over_shards() -> None:
    # A sum over shards reads none of them.
    loop = re.compile(r"read_shard\(|(?:group|partition)_by\(\[?\"shard\"(?![^)]*\)\.agg\()")
    found = [
        (path.relative_to(REPOSITORY).as_posix(), text)
        for package in ("tac_pipeline", "assets")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for text in loop.findall(path.read_text(encoding="utf-8"))
    ]
    home = "tac_pipeline/store/shards.py"
    # The definition of read_shard, the one call of it, and the one loop.
    assert found == [(home, "read_shard("), (home, "read_shard("), (home, 'group_by(["shard"')]
