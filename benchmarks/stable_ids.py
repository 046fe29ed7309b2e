"""Do cluster ids stay the same when a store grows and is clustered again?

    python -m benchmarks.stable_ids [--pictures 2000] [--times 10] [--growth 0.1] [--folder FOLDER] [--json FILE]

A store of drawn pictures grows by a tenth and is clustered again with another seed, ten times. After each re-clustering
it looks at the images that kept their meaning: they were in the majority cluster of their true kind before, and are in
it now (the majority cluster of a kind holds most of its images). It prints the share of these images that kept their
cluster id, and for comparison the share that kept the head's own column. The exit code is 1 if fewer than 95 % kept
their id over all re-clusterings.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from assets.engine.execute import open_store
from assets.lookups.status import steps_to_run
from benchmarks.drawn_store import run, write_settings
from tac_pipeline.demo.picture_store import draw_store
from tac_pipeline.method.clusters.evaluation import score
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.project import Project, load_project

MIN_KEPT = 0.95


@dataclass(frozen=True)
class Clustering:
    """One re-clustering: image_id, cluster_id, column (of the head), kind."""

    images: pl.DataFrame
    events: dict[str, int]
    nmi: float


@dataclass(frozen=True)
class Comparison:
    """A re-clustering compared with the one before it.

    Attributes
    ----------
    known : int
        Images in both clusterings.
    same_meaning : int
        Images in the majority cluster of their kind before and after.
    kept : int
        How many of these kept their id.
    kept_columns : int
        How many of these kept their column of the head: ids without the ledger.
    """

    pictures: int
    nmi: float
    known: int
    same_meaning: int
    kept: int
    kept_columns: int
    events: dict[str, int]


def clustering_of(project: Project) -> Clustering:
    """The current result of a store, with the true kinds."""
    store = open_store(project)
    assigned = pl.read_parquet(store.require_current("assignments").artifact.file("assignments.parquet"))
    ids = store.require_current("cluster_ids").artifact
    columns = pl.read_parquet(ids.file("cluster_ids.parquet")).select("cluster_id", "column")
    images = (
        assigned.select("image_id", "cluster_id")
        .join(columns, on="cluster_id")
        .with_columns(kind=pl.col("image_id").str.split("/").list.first())
    )
    events = {name: int(ids.facts[name]) for name in ("kept", "grown", "split", "merged", "born", "retired")}
    return Clustering(images, events, score(images["kind"].to_list(), images["cluster_id"].to_numpy()).nmi)


def compare(before: Clustering, after: Clustering) -> Comparison:
    """The outcome for the images that kept their meaning."""
    both = _with_majority(before.images).join(_with_majority(after.images), on="image_id", suffix="_after")
    same = both.filter(
        (pl.col("cluster_id") == pl.col("majority")) & (pl.col("cluster_id_after") == pl.col("majority_after"))
    )
    return Comparison(
        pictures=len(after.images),
        nmi=after.nmi,
        known=len(both),
        same_meaning=len(same),
        kept=len(same.filter(pl.col("cluster_id") == pl.col("cluster_id_after"))),
        kept_columns=len(same.filter(pl.col("column") == pl.col("column_after"))),
        events=after.events,
    )


def _with_majority(images: pl.DataFrame) -> pl.DataFrame:
    """The images with the majority cluster of their kind."""
    majority = (
        images.group_by("kind", "cluster_id")
        .len()
        .sort("len", "cluster_id", descending=[True, False])
        .group_by("kind", maintain_order=True)
        .agg(majority=pl.col("cluster_id").first())
    )
    return images.join(majority, on="kind")


def show(found: Sequence[Comparison]) -> Table:
    """One row per re-clustering."""
    shown = Table(
        "re-clustering",
        "images",
        "NMI",
        "known before",
        "same meaning",
        "kept their id",
        "ids as they come",
        "what became of ids",
        box=None,
        pad_edge=False,
    )
    for number, row in enumerate(found, start=1):
        events = ", ".join(f"{count} {name}" for name, count in row.events.items() if count)
        shown.add_row(
            str(number),
            f"{row.pictures:,}",
            f"{row.nmi:.1%}",
            f"{row.known:,}",
            f"{row.same_meaning:,}",
            f"{row.kept / row.same_meaning:.1%}",
            f"{row.kept_columns / row.same_meaning:.1%}",
            events,
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if enough images kept their id."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stable_ids", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2_000, metavar="N")
    parser.add_argument("--times", type=int, default=10, metavar="N")
    parser.add_argument("--growth", type=float, default=0.1, metavar="SHARE")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="kept; a temporary one if not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    asked = parser.parse_args(arguments)
    console, found = Console(width=150), []
    with tempfile.TemporaryDirectory(prefix="tac-ids-") as scratch:
        folder, count = (asked.folder or Path(scratch)).absolute(), asked.pictures
        project = write_settings(folder, store="stable-ids")
        clusterings = []
        for seed in range(asked.times + 1):
            draw_store(folder / "pictures", count)
            edit_settings(project.path, {"seed": seed})
            project = load_project(project.path)
            done = run(project, steps_to_run(project, recluster=True))
            if not done.ok:
                raise SystemExit(f"re-clustering {seed} failed: {done.failures}")
            clusterings.append(clustering_of(project))
            if seed:
                found.append(compare(clusterings[-2], clusterings[-1]))
                console.print(f"{seed}: {count:,} images, {found[-1].kept / found[-1].same_meaning:.1%} kept their id")
            count = round(count * (1 + asked.growth))
        whole = compare(clusterings[0], clusterings[-1])
    console.print(show(found))
    kept, same = sum(row.kept for row in found), sum(row.same_meaning for row in found)
    console.print(f"{kept / same:.1%} of {same:,} kept their id over {len(found)} re-clusterings")
    console.print(
        f"from the first to the last: {whole.kept / whole.same_meaning:.1%} of {whole.same_meaning:,} images of the "
        f"same meaning have the id that they began with"
    )
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(row) for row in (*found, whole)], indent=2) + "\n", encoding="utf-8")
    return 0 if kept / same >= MIN_KEPT else 1


if __name__ == "__main__":
    sys.exit(main())
