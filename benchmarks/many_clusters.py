"""k-means with thousands of clusters: flat and on two levels, from k-means++ and from Ward's cut.

    python -m benchmarks.many_clusters [--clusters 1000 2000 5000] [--rows-each 20] [--rows N] [--width 64]
        [--device cuda] [--starts k-means++ Ward] [--levels 1 2] [--nouns 300 700]

All ways of a comparison run one after the other in one process. Vectors are made up: groups of unequal size around
centers that lie around fewer kinds, in a narrow cone as CLIP's do, so near that some rows are nearer to another group.
NMI is against these groups. A row is missed if the search in the nearest cells finds another center for it than the
search of all, for the centers of the result. `--nouns` adds the noun vectors of $TAC_REFERENCE_DATA, which have no
groups, with so many clusters.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from tac_pipeline.arrays import FloatMatrix, IntVector, row_chunks, unit_rows
from tac_pipeline.method.grouping.lloyd import two_levels
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, spherical_kmeans
from tac_pipeline.method.grouping.ward import ward_kmeans

ROUNDS = 100
CHUNK_ROWS = 20_000
GROUPS_PER_KIND = 20
# Of a cone, of kinds around it, of groups around these, and of rows around their group: in each dimension.
CONE, SPREAD = 3.0, 1.6


def made_up(n_rows: int, n_groups: int, width: int, seed: int = 0) -> tuple[FloatMatrix, IntVector]:
    """Unit rows, float32 (n_rows, width), and the group of each, int64 (n_rows,)."""
    generator = np.random.default_rng(seed)
    kinds = generator.normal(size=(max(n_groups // GROUPS_PER_KIND, 1), width))
    centers = CONE * generator.normal(size=width) + kinds[generator.integers(len(kinds), size=n_groups)]
    centers = (centers + generator.normal(size=centers.shape)).astype(np.float32)
    weights = generator.gamma(4.0, size=n_groups)
    groups = generator.choice(n_groups, size=n_rows, p=weights / weights.sum())
    rows = np.empty((n_rows, width), dtype=np.float32)
    for part in row_chunks(n_rows, CHUNK_ROWS):
        noise = generator.standard_normal(size=(part.stop - part.start, width), dtype=np.float32)
        rows[part] = unit_rows(centers[groups[part]] + SPREAD * noise)
    return rows, groups


def from_random(rows: FloatMatrix, *, n_clusters: int, seed: int, levels: int = 1, device: str = "cpu") -> KMeansResult:
    """k-means++, one restart."""
    asked = {"n_clusters": n_clusters, "restarts": 1, "max_iterations": ROUNDS, "seed": seed}
    return spherical_kmeans(rows, **asked, levels=levels, device=device)


STARTS: dict[str, Callable[..., KMeansResult]] = {"k-means++": from_random, "Ward": ward_kmeans}


def missed(rows: FloatMatrix, found: KMeansResult, start: Callable[..., KMeansResult], count: int) -> float:
    """The share of the rows that the search in so many nearest cells puts elsewhere."""
    cells = two_levels.find_cells(rows, n_clusters=len(found.centers), flat=start, seed=0)
    near = two_levels.nearest_cells(rows, cells, count=count, device="cpu")
    search = two_levels.NearSearch(near, cells, device="cpu")
    return float((search(torch.from_numpy(rows), found.centers) != found.assignment).mean())


def compare(rows: FloatMatrix, groups: IntVector | None, n_clusters: int, asked: argparse.Namespace) -> None:
    """One line for each way."""
    print(f"\n{len(rows):,} rows of {rows.shape[1]}, {n_clusters:,} clusters, {asked.device}", flush=True)
    for name in asked.starts:
        for levels in asked.levels:
            start = STARTS[name]
            started, computed = time.perf_counter(), time.process_time()
            found = start(rows, n_clusters=n_clusters, seed=0, levels=levels, device=asked.device)
            seconds = time.perf_counter() - started
            told = [
                f"{seconds:8.1f} s, {time.process_time() - computed:8.1f} CPU s",
                f"cosine {found.objective:.5f}",
                f"{found.iterations:3} rounds",
            ]
            told.append(f"{np.count_nonzero(np.bincount(found.assignment, minlength=n_clusters) == 0)} empty")
            if groups is not None:
                from sklearn.metrics import normalized_mutual_info_score

                told.append(f"NMI {normalized_mutual_info_score(groups, found.assignment):.4f}")
            if levels == 2 and asked.missed:
                told += [f"missed by {n} cells {missed(rows, found, start, n):.2%}" for n in asked.missed]
            print(f"  {name + ',':10} {levels} level{'s' * (levels > 1):1} ", ", ".join(told), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="*", default=[1000, 2000, 5000])
    parser.add_argument("--rows", type=int, help="of each comparison, instead of --rows-each")
    parser.add_argument("--rows-each", type=int, default=20, help="rows for each cluster")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--starts", nargs="+", choices=list(STARTS), default=list(STARTS))
    parser.add_argument("--levels", type=int, nargs="+", choices=[1, 2], default=[1, 2])
    parser.add_argument("--missed", type=int, nargs="*", default=[2, 4, 8, 16])
    parser.add_argument("--nouns", type=int, nargs="*", default=[])
    asked = parser.parse_args()
    for n_clusters in asked.clusters:
        rows, groups = made_up(asked.rows or asked.rows_each * n_clusters, n_clusters, asked.width)
        compare(rows, groups, n_clusters, asked)
    if asked.nouns:
        from benchmarks.reference_data import read_nouns, reference_folder

        vectors = read_nouns(reference_folder())[1]
        for n_clusters in asked.nouns:
            compare(vectors, None, n_clusters, asked)


if __name__ == "__main__":
    main()
