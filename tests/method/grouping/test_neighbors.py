"""The neighbor table against brute force, and the index's file."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import plain_neighbor_cosines, random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError, MissingDependency
from tac_pipeline.method.grouping import neighbors as module
from tac_pipeline.method.grouping.neighbors import (
    build_index,
    exact_index,
    find_neighbors,
    nearest_neighbors,
    write_index,
)


def require_neighbor_table(neighbors: np.ndarray, n_rows: int, count: int) -> None:
    assert neighbors.shape == (n_rows, count)
    assert neighbors.dtype == np.int64
    assert neighbors.min() >= 0
    assert neighbors.max() < n_rows
    for own, line in enumerate(neighbors):
        assert own not in line
        assert len(set(line)) == count


@given(n_rows=st.integers(2, 30), count=st.integers(1, 35), chunk_rows=st.integers(1, 40), seed=st.integers(0, 99))
def test_it_equals_brute_force_in_any_chunks(n_rows, count, chunk_rows, seed) -> None:
    rows = random_unit_rows(n_rows, 6, seed)
    found = nearest_neighbors(rows, count=count, chunk_rows=chunk_rows)
    count = min(count, n_rows - 1)
    require_neighbor_table(found, n_rows, count)
    cosines = np.einsum("id,ijd->ij", rows.astype(np.float64), rows[found].astype(np.float64))
    np.testing.assert_allclose(cosines, plain_neighbor_cosines(rows, count), atol=1e-6)


@given(copies=st.lists(st.integers(1, 8), min_size=1, max_size=5), count=st.integers(1, 6), seed=st.integers(0, 20))
def test_no_row_is_its_own_neighbor_among_exact_duplicates(copies, count, seed) -> None:
    rows = np.repeat(random_unit_rows(len(copies), 6, seed), copies, axis=0)
    if len(rows) < 2:
        return
    found = nearest_neighbors(rows, count=count)
    count = min(count, len(rows) - 1)
    require_neighbor_table(found, len(rows), count)
    cosines = np.einsum("id,ijd->ij", rows, rows[found])
    np.testing.assert_allclose(cosines, plain_neighbor_cosines(rows, count), atol=1e-6)


def test_more_duplicates_than_neighbors() -> None:
    rows = np.repeat(random_unit_rows(1, 6, 0), 200, axis=0)
    require_neighbor_table(nearest_neighbors(rows, count=50), 200, 50)


def test_a_given_index_is_searched_and_must_hold_the_same_rows() -> None:
    rows = random_unit_rows(20, 6, 0)
    index = exact_index(rows)
    np.testing.assert_array_equal(nearest_neighbors(rows, count=4, index=index), nearest_neighbors(rows, count=4))
    with pytest.raises(InputError, match="the index must hold the rows searched"):
        nearest_neighbors(rows[:10], count=4, index=index)
    with pytest.raises(InputError, match="the index must hold the rows searched"):
        nearest_neighbors(random_unit_rows(20, 5, 0), count=4, index=index)


def test_one_image_has_no_neighbors() -> None:
    with pytest.raises(InputError, match="neighbors need at least two images; got 1"):
        nearest_neighbors(random_unit_rows(1, 6, 0), count=4)
    with pytest.raises(InputError, match="must be at least 1; got 0"):
        nearest_neighbors(random_unit_rows(3, 6, 0), count=0)


def test_progress_counts_rows() -> None:
    told: list[tuple[int, int]] = []
    nearest_neighbors(random_unit_rows(5, 4, 0), count=2, chunk_rows=3, progress=lambda *at: told.append(at))
    assert told == [(3, 5), (5, 5)]


def test_a_gpu_is_used_where_faiss_has_one(monkeypatch) -> None:
    import faiss

    moved = []

    def index_cpu_to_gpu(resources: object, device: int, index: object) -> object:
        moved.append((resources, device))
        return index

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: "resources", raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", index_cpu_to_gpu, raising=False)
    rows = random_unit_rows(6, 4, 0)
    require_neighbor_table(nearest_neighbors(rows, count=3), 6, 3)
    assert moved == [("resources", 0)]


def test_without_faiss_the_message_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependency, match=r"tac-pipeline\[cpu\], or tac-pipeline\[gpu\].*never both"):
        nearest_neighbors(random_unit_rows(3, 4, 0), count=2)


def test_the_index_survives_its_file(tmp_path) -> None:
    import faiss

    rows = random_unit_rows(20, 6, 0)
    write_index(tmp_path / "index.faiss", exact_index(rows))
    index = replace(exact_index(rows), faiss=faiss.read_index(str(tmp_path / "index.faiss")))
    np.testing.assert_array_equal(nearest_neighbors(rows, count=4, index=index), nearest_neighbors(rows, count=4))


def blobs(n_rows: int, n_blobs: int, spread: float = 0.3) -> np.ndarray:
    generator = np.random.default_rng(0)
    centers = random_unit_rows(n_blobs, 16, 1)
    rows = centers[generator.integers(n_blobs, size=n_rows)] + spread * generator.normal(size=(n_rows, 16)) / 4
    return unit_rows(rows)


def test_many_rows_are_searched_in_lists_that_find_nearly_all() -> None:
    rows = blobs(6000, 40)
    index = build_index(rows, count=10, exact_rows=1000)
    assert 0.99 <= index.recall <= 1
    assert "lists were searched for each row" in index.sentence
    found = nearest_neighbors(rows, count=10, index=index)
    require_neighbor_table(found, 6000, 10)
    exact = nearest_neighbors(rows, count=10, index=exact_index(rows))
    assert np.mean([len(set(own) & set(true)) / 10 for own, true in zip(found, exact, strict=True)]) > 0.98


def test_rows_without_groups_need_too_many_lists_and_are_compared_with_all() -> None:
    index = build_index(random_unit_rows(3000, 64, 0), count=10, exact_rows=1000)
    assert index.recall == 1
    assert index.sentence.startswith("exact")


def test_a_row_alone_in_its_lists_gets_its_neighbors_all_the_same() -> None:
    rows = np.concatenate([blobs(2000, 5, spread=0.01), -blobs(2, 1)])
    index = build_index(rows, count=10, exact_rows=1000)
    assert not index.sentence.startswith("exact")
    found = nearest_neighbors(rows, count=500, index=index)
    require_neighbor_table(found, 2002, 500)
    np.testing.assert_array_equal(np.sort(found[2000:2001, :1]), [[2001]])


def test_equal_rows_count_as_found() -> None:
    rows = np.repeat(random_unit_rows(40, 16, 0), 100, axis=0)
    assert build_index(rows, count=10, exact_rows=1000).recall == 1
    require_neighbor_table(nearest_neighbors(rows, count=10, index=build_index(rows, count=10, exact_rows=9)), 4000, 10)


def test_the_neighbors_of_some_rows_are_their_lines_of_the_whole_table() -> None:
    rows = random_unit_rows(50, 6, 0)
    some = np.array([3, 4, 40])
    np.testing.assert_array_equal(nearest_neighbors(rows, count=5, of=some), nearest_neighbors(rows, count=5)[some])


def test_neighbors_come_with_their_index() -> None:
    rows = random_unit_rows(30, 6, 0)
    found = find_neighbors(rows, count=3, exact=True)
    assert found.index is not None
    assert found.index.recall == 1
    np.testing.assert_array_equal(found.table, nearest_neighbors(rows, count=3))


@given(n_rows=st.integers(2, 30), count=st.integers(1, 35), products=st.integers(1, 200), seed=st.integers(0, 99))
def test_products_on_a_device_give_the_table_of_every_pair(n_rows, count, products, seed) -> None:
    rows, count = random_unit_rows(n_rows, 6, seed), min(count, n_rows - 1)
    some = np.arange(0, n_rows, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PRODUCTS", products)
        found = module._compared_on("cpu", rows, some, count=count, progress=None)
    cosines = np.einsum("id,ijd->ij", rows[some].astype(np.float64), rows[found].astype(np.float64))
    np.testing.assert_allclose(cosines, plain_neighbor_cosines(rows, count)[some], atol=1e-6)
    assert all(own not in line and len(set(line)) == count for own, line in zip(some, found, strict=True))


def test_without_an_index_a_card_is_asked_and_a_full_one_is_not_the_end(monkeypatch, caplog) -> None:
    asked = []

    def full(device: str, *_: object, **__: object) -> None:
        asked.append(device)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "_compared_on", full)
    rows = random_unit_rows(20, 6, 0)
    expected = nearest_neighbors(rows, count=4)
    np.testing.assert_array_equal(nearest_neighbors(rows, count=4, device="cuda:1"), expected)
    assert asked == ["cuda:1"]
    assert "the search for neighbors does not fit the memory of cuda:1" in caplog.text
    nearest_neighbors(rows, count=4, index=exact_index(rows), device="cuda")
    nearest_neighbors(rows, count=4, device="mps")
    assert asked == ["cuda:1"]


def test_more_hits_than_a_gpu_gives_are_searched_on_the_cpu(monkeypatch) -> None:
    import faiss

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(module, "GPU_HITS", 4)
    # Moving the index would fail: this faiss has no such functions, or no GPU.
    monkeypatch.delattr(faiss, "index_cpu_to_gpu", raising=False)
    rows = random_unit_rows(20, 6, 0)
    require_neighbor_table(nearest_neighbors(rows, count=4), 20, 4)
    with pytest.raises(AttributeError):
        nearest_neighbors(rows, count=3)


def test_a_gpu_that_takes_no_copy_leaves_the_search_to_the_cpu(monkeypatch, caplog) -> None:
    import faiss

    def refuse(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: None, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", refuse, raising=False)
    require_neighbor_table(nearest_neighbors(random_unit_rows(20, 6, 0), count=4), 20, 4)
    assert "searched on the CPU, because the GPU takes no copy of the index: out of memory" in caplog.text


@pytest.mark.parametrize("there", [True, False], ids=["a GPU", "no GPU"])
def test_a_gpu_without_its_faiss_is_told_once(there, monkeypatch, caplog) -> None:
    import faiss

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    module._tell_of_a_gpu.cache_clear()
    for _ in range(2):
        nearest_neighbors(random_unit_rows(20, 6, 0), count=4)
    assert caplog.text.count("install tac-pipeline[gpu]") == there
    module._tell_of_a_gpu.cache_clear()
