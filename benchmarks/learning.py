"""How long the learning of many images takes, step by step, and how much memory: no labels, made-up vectors.

    python -m benchmarks.learning [--images 5000 50000 200000] [--clusters 100] [--methods robust trained] [--threads 2]
        [--device cuda]

Vectors of width 512 lie around as many centers as clusters in a narrow cone, as CLIP's do; nouns lie around the same
centers and elsewhere. Each size and method is a process of its own, so that the peak of memory is its own. The figures
are those of this machine: compare the methods of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.method.words.noun_shortlist import CandidateVectors

DIM, NOUNS = 512, 20_000
STEPS = (
    "whitening",
    "semantic_centers",
    "noun_vocabulary",
    "text_counterparts",
    "image_neighbors",
    "text_weight",
    "text_neighbors",
    "image_kmeans",
    "training_free_clusters",
    "cluster_heads",
)
CHOICES: dict[str, Any] = {
    "images_per_center": 300,
    "n_centers": None,
    "nouns_per_center": 5,
    "tau": None,
    "text_weight": None,
    "neighbors": None,
    "members": None,
    "epochs": None,
    "batch_size": None,
    "temperature": None,
    "balance_weight": 5.0,
    "learning_rate": 1e-3,
    "seed": 0,
    "device": "cpu",
}


def made_up(n_images: int, n_clusters: int, seed: int = 0) -> tuple[FloatMatrix, FloatMatrix]:
    """Image and noun vectors, float32 (n_images, 512) and (20,000, 512), unit rows, in a narrow cone."""
    generator = np.random.default_rng(seed)
    cone = 3 * generator.normal(size=DIM).astype(np.float32)
    centers = generator.normal(size=(n_clusters, DIM)).astype(np.float32)
    images = np.empty((n_images, DIM), dtype=np.float32)
    for start in range(0, n_images, 10_000):
        part = slice(start, min(start + 10_000, n_images))
        own = centers[generator.integers(n_clusters, size=part.stop - part.start)]
        images[part] = unit_rows(cone + own + generator.normal(size=own.shape).astype(np.float32))
    near = centers[generator.integers(n_clusters, size=NOUNS // 2)]
    scattered = generator.normal(size=(NOUNS - len(near), DIM)).astype(np.float32)
    nouns = np.concatenate([near, scattered]) + 0.5 * generator.normal(size=(NOUNS, DIM)).astype(np.float32)
    return images, unit_rows(cone + nouns)


def measure(method: str, n_images: int, n_clusters: int, device: str) -> dict[str, float]:
    """Seconds of every step, in all, and the peak of memory in GB."""
    from tac_pipeline.method import load_method
    from tac_pipeline.method.recipe import Walk

    images, nouns = made_up(n_images, n_clusters)
    given = {"training_set": images, "noun_shortlist": CandidateVectors.whole(nouns), "cluster_count": n_clusters}
    walk = Walk(load_method(method), given=given, choices=CHOICES | {"device": device})
    found: dict[str, float] = {}
    for step in STEPS:
        started = time.perf_counter()
        walk.outcome(step)
        found[step] = time.perf_counter() - started
    return found | {"all": sum(found.values()), "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def in_a_process(method: str, n_images: int, n_clusters: int, threads: int, device: str) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.learning", "--one", method, str(n_images), str(n_clusters), device]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[5_000, 50_000, 200_000])
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--methods", nargs="+", default=["robust"])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        method, n_images, n_clusters, device = asked.one
        print(json.dumps(measure(method, int(n_images), int(n_clusters), device)))
        return
    table = Table("step", *(f"{method} {count:,}" for count in asked.images for method in asked.methods))
    columns = [
        in_a_process(method, count, asked.clusters, asked.threads, asked.device)
        for count in asked.images
        for method in asked.methods
    ]
    for name in (*STEPS, "all", "GB"):
        table.add_row(name, *(f"{column[name]:.1f}" for column in columns))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
