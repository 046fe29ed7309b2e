"""What a GPU gains and what it changes: encoding, k-means, neighbors and heads on CUDA against the CPU's cores.

    python -m benchmarks.gpu [--parts images nouns kmeans neighbors heads labels] [--rows 100000 1000000] [--quick]

All ways of a comparison take turns in one run, and the figures are medians of clock time. Weights are random, because
rates do not depend on them; vectors are made up, but for the part `labels`, which needs $TAC_REFERENCE_DATA. The CPU
computes in all its cores. Without a CUDA device, only the CPU's figures are printed.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_encoding import MODELS, measure_images, measure_nouns
from benchmarks.gpu_ways import CUDA, HALVES, Size, devices, in_turn, line
from benchmarks.learning import made_up
from benchmarks.reference_data import read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntMatrix, unit_rows
from tac_pipeline.errors import TacWarning
from tac_pipeline.method.clusters.evaluation import matched_rows, score
from tac_pipeline.method.grouping import neighbors as neighbors_room
from tac_pipeline.method.grouping.lloyd import rounds as kmeans_room
from tac_pipeline.method.grouping.neighbors import build_index, exact_index, nearest_neighbors
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, refine_centers, spherical_kmeans
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.heads import training as training_room
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.training import TrainedHeads, train_blended_heads
from tac_pipeline.method.values.published import TrainingSchedule, training_schedule

TABLES = ("cifar10_500", "food10", "oxford_pets", "caltech101", "ucf101")


def measure_kmeans(size: Size) -> None:
    """One restart from k-means++, and from centers that both are given."""
    for n_rows in size.rows:
        for n_groups in size.groups:
            rounds = 1 if n_rows > 200_000 else size.rounds
            rows, _ = made_up(n_rows, n_groups)
            starts = rows[np.random.default_rng(1).choice(n_rows, n_groups, replace=False)]
            print(f"\nk-means, {n_rows:,} rows of {rows.shape[1]}, {n_groups:,} groups: seconds, objective")
            asked: dict[str, Any] = {"n_clusters": n_groups, "restarts": 1, "max_iterations": 20, "seed": 0}
            report_kmeans("from k-means++", lambda each, a=asked, x=rows: spherical_kmeans(x, device=each, **a), rounds)
            refine = partial(refine_centers, rows, starts, max_iterations=20)
            report_kmeans("from given centers", lambda each, run=refine: run(device=each), rounds)


def report_kmeans(what: str, run: Callable[[str], KMeansResult], rounds: int) -> None:
    """Seconds, objective, rounds, and how many rows are in the same group as by the CPU."""
    if CUDA:
        run("cuda")
    timed = in_turn({each: partial(run, each) for each in devices()}, rounds, warm=False)
    for device, (seconds, found) in timed.items():
        same = matched_rows(timed["cpu"][1].assignment, found.assignment).mean()
        line(
            f"{what}, {device}", f"{seconds:.2f} s", f"{found.objective:.6f} in {found.iterations}", f"{same:.2%} same"
        )
    if CUDA:
        again = run("cuda")
        equal = np.array_equal(again.centers, timed["cuda"][1].centers)
        line(f"{what}, cuda again", "equal bits" if equal else "other bits")


def brute_force(rows: FloatMatrix, wanted: np.ndarray, count: int, dtype: torch.dtype) -> IntMatrix:
    """The nearest rows by products in torch on the card, the row itself among them."""
    held = torch.from_numpy(rows).to("cuda", dtype)
    chunks = torch.from_numpy(wanted).to("cuda").split(max(1, 2**31 // len(rows)))
    return torch.cat([(held[chunk] @ held.T).topk(count + 1, dim=1).indices for chunk in chunks]).cpu().numpy()


def measure_neighbors(size: Size, count: int = 50) -> None:
    """The neighbors of all rows, or of some where all pairs are too many."""
    import faiss

    cards = getattr(faiss, "get_num_gpus", lambda: 0)()
    on_gpu = neighbors_room._on_gpu
    print("" if cards else "\nthis faiss has no GPU: its rows are the CPU's")
    for n_rows in size.rows:
        rows, _ = made_up(n_rows, 100)
        own = np.arange(0, n_rows, max(1, n_rows // size.searched))
        print(f"\n{count} neighbors of {len(own):,} rows among {n_rows:,}: seconds, recall of the CPU's exact ones")

        def search(index: Any, *, gpu: bool, rows: FloatMatrix = rows, own: np.ndarray = own) -> IntMatrix:
            neighbors_room._on_gpu = on_gpu if gpu else lambda index, **_: index
            try:
                return nearest_neighbors(rows, count=count, index=index, of=own)
            finally:
                neighbors_room._on_gpu = on_gpu

        started = time.perf_counter()
        lists = build_index(rows, count=count, exact_rows=0)
        line("lists are made, cpu", f"{time.perf_counter() - started:.2f} s", f"measured recall {lists.recall:.4f}")
        exact = exact_index(rows)
        ways: dict[str, Callable[[], IntMatrix]] = {
            "faiss exact, cpu": partial(search, exact, gpu=False),
            "faiss lists, cpu": partial(search, lists, gpu=False),
        }
        if cards:
            ways["faiss exact, gpu"] = partial(search, exact, gpu=True)
            ways["faiss lists, gpu"] = partial(search, lists, gpu=True)
        if CUDA:
            ways["nearest_neighbors, cuda"] = partial(nearest_neighbors, rows, count=count, of=own, device="cuda")
            for name in ("float32", "float16"):
                ways[f"torch, cuda, {name}"] = partial(brute_force, rows, own, count, HALVES[name])
        timed = in_turn(ways, 1, warm=CUDA and n_rows <= 100_000)
        true = timed["faiss exact, cpu"][1]
        for name, (seconds, found) in timed.items():
            shared = np.mean([len(np.intersect1d(a, b)) / count for a, b in zip(found[::7], true[::7], strict=True)])
            line(name, f"{seconds:.2f} s", f"recall {shared:.5f}")


def train(rows: FloatMatrix, near: IntMatrix, schedule: TrainingSchedule, n_groups: int, device: str) -> TrainedHeads:
    """Both heads, the text head with rows of twice the width."""
    texts = unit_rows(np.concatenate([rows, rows], axis=1))
    asked = {"n_clusters": n_groups, "schedule": schedule, "balance_weight": 5.0, "learning_rate": 1e-3, "seed": 0}
    return train_blended_heads(rows, texts, near, near, device=device, **asked)


def measure_heads(size: Size, epochs: int = 2) -> None:
    """Seconds an epoch."""
    n_rows = size.rows[0]
    for n_groups in (10, 100):
        rows, _ = made_up(n_rows, n_groups)
        near = np.random.default_rng(0).integers(n_rows, size=(n_rows, 10))
        schedule = training_schedule(n_groups, epochs=epochs)
        print(f"\nheads, {n_rows:,} rows, {n_groups} groups, batches of {schedule.batch_size:,}: seconds an epoch")
        run = partial(train, rows, near, schedule, n_groups)
        timed = in_turn({each: partial(run, each) for each in devices()}, size.rounds)
        mine = {device: soft_assignment(found.image_head, rows) for device, (_, found) in timed.items()}
        for device, (seconds, found) in timed.items():
            same = (mine[device].argmax(axis=1) == mine["cpu"].argmax(axis=1)).mean()
            line(device, f"{seconds / epochs:.2f} s", f"loss {found.history[-1].total:.5f}", f"{same:.2%} same")
        if CUDA:
            equal = np.array_equal(soft_assignment(run("cuda").image_head, rows), mine["cuda"])
            line("cuda again", "equal bits" if equal else "other bits")


def in_float32(run: Callable[[], np.ndarray]) -> np.ndarray:
    """The same on a processor without bfloat16."""
    asked = kmeans_room.multiplies_bfloat16
    rooms = (kmeans_room, training_room)
    try:
        for room in rooms:
            room.multiplies_bfloat16 = lambda: False
        return run()
    finally:
        for room in rooms:
            room.multiplies_bfloat16 = asked


def measure_labels(_: Size) -> None:
    """Real vectors with labels: NMI and ACC of the same steps on each device."""
    folder = reference_folder()
    print("\nreal vectors with labels: NMI / ACC / share of the images in the same group as by the CPU")
    print("  (the CPU twice: as it is, and without its bfloat16 products, to see what rounding alone changes)")
    for name in TABLES:
        table = read_table(folder, name)
        rows, n_groups = table.image_embeddings, table.n_clusters
        near = nearest_neighbors(rows, count=10)
        schedule = training_schedule(n_groups, epochs=20)
        steps: dict[str, Callable[[str], np.ndarray]] = {
            "k-means": lambda each, x=rows, k=n_groups: (
                spherical_kmeans(x, n_clusters=k, restarts=10, max_iterations=300, seed=0, device=each).assignment
            ),
            "k-means from Ward's start": lambda each, x=rows, k=n_groups: (
                ward_kmeans(x, n_clusters=k, seed=0, device=each).assignment
            ),
            "heads": lambda each, x=rows, k=n_groups, n=near, s=schedule: soft_assignment(
                train(x, n, s, k, each).image_head, x
            ).argmax(axis=1),
        }
        for step, run in steps.items():
            found = {"cpu": run("cpu"), "cpu float32": in_float32(partial(run, "cpu"))}
            if CUDA:
                found["cuda"] = run("cuda")
            told = []
            for way, groups in found.items():
                agreed, same = score(table.labels, groups), matched_rows(found["cpu"], groups).mean()
                told.append(f"{way} {agreed.nmi:.4f} / {agreed.acc:.4f} / {same:.1%}")
            line(f"{name}, {step}", *told)


PARTS: dict[str, Callable[[Size], None]] = {
    "images": measure_images,
    "nouns": measure_nouns,
    "kmeans": measure_kmeans,
    "neighbors": measure_neighbors,
    "heads": measure_heads,
    "labels": measure_labels,
}


def machine() -> Iterable[str]:
    """What computes."""
    info = Path("/proc/cpuinfo")
    names = [row.split(":")[1].strip() for row in info.read_text().splitlines() if row.startswith("model name")]
    yield f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    yield f"torch {torch.__version__}"
    yield torch.cuda.get_device_name() if CUDA else "there is no CUDA device here: the figures are the CPU's alone"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--groups", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", TacWarning)
    logging.basicConfig(format="  %(message)s")
    size = Size(asked.rows, asked.groups, tuple(asked.models), asked.rounds, 128, 2048, 4096, 20_000)
    if asked.quick:
        size = Size([2000], [10], MODELS[:1], 1, 32, 64, 64, 1000)
    print("\n".join(machine()))
    for part in asked.parts:
        started = time.perf_counter()
        PARTS[part](size)
        print(f"  ({part}: {time.perf_counter() - started:.0f} s in all)", flush=True)


if __name__ == "__main__":
    main()
