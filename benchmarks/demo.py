"""How good is the demo: the small encoder on pictures it has never seen, and the groups made with it?

    python -m benchmarks.demo [--settings tac.yaml] [--seeds 0 1 2] [--json FILE]

Runs the assets that are not fresh (`tac demo` draws the pictures), then prints

    zero-shot     pictures recognized by only the nouns of the kinds
    clustering    k-means on pixels and on image vectors, training-free and trained, over seeds
    names         each group's name compared with the kind of most of its pictures, by WordNet
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sklearn.cluster import KMeans

from assets.engine.execute import open_store
from assets.engine.step import Inputs
from assets.images import image_labels, training_set
from assets.lookups.status import steps_to_run
from assets.nouns import noun_embeddings
from assets.orchestration.in_process import run_steps
from assets.results import assignments, clusters
from assets.text_space import cluster_count
from benchmarks.naming import Naming, judge, right_share, true_kind
from benchmarks.parity import RESULTS, SeedScores, run_seed
from benchmarks.reference_data import ReferenceTable
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.demo import PICTURE_SIZE
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.pictures import draw_picture
from tac_pipeline.demo.split import SEEN_STYLES, UNSEEN_KINDS, UNSEEN_STYLES
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.clusters.evaluation import Scores, score
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.sources.decoding import decode_image
from tac_pipeline.wordnet import open_wordnet

PIXEL_SIDE = 32


def materialize(project: Project, console: Console) -> None:
    """Run everything that is not fresh, in this process."""
    if not run_steps(project, steps_to_run(project, recluster=False), listener=lambda told: None):
        console.print("the pipeline failed; `tac run` says where", style="red")
        raise SystemExit(1)


def table_of(project: Project, step: Any) -> pl.DataFrame:
    """The main table of an asset's current artifact."""
    return artifact_of(project, step).table(step)


def artifact_of(project: Project, step: Any) -> Inputs:
    """An asset's current artifact, as its readers see it."""
    return Inputs(project, {step.name: open_store(project).require_current(step.name).artifact})


def zero_shot(vectors: FloatMatrix, pictures: pl.DataFrame, nouns: FloatMatrix) -> list[tuple[str, int, float]]:
    """Name of a part of the pictures, how many, and the share with their own noun as the nearest of all kinds'."""
    kinds = np.array(list(KINDS))
    right = kinds[(vectors @ nouns.T).argmax(axis=1)] == pictures["label"].to_numpy()
    seen_kind = ~np.isin(pictures["label"].to_numpy(), UNSEEN_KINDS)
    seen_style = ~np.isin(pictures["style"].to_numpy(), UNSEEN_STYLES)
    parts = {
        "trained kinds": seen_kind,
        f"  in trained styles ({', '.join(SEEN_STYLES)})": seen_kind & seen_style,
        f"  in a style never trained on ({', '.join(UNSEEN_STYLES)})": seen_kind & ~seen_style,
        f"kinds never trained on ({', '.join(UNSEEN_KINDS)})": ~seen_kind,
    }
    return [(name, int(part.sum()), float(right[part].mean())) for name, part in parts.items()]


def pixel_kmeans(paths: Sequence[Path], labels: npt.NDArray[Any], n_clusters: int) -> Scores:
    """Plain k-means on the pixels themselves."""
    pixels = np.stack(
        [
            decode_image(path.read_bytes(), size=PIXEL_SIDE, max_pixels=PICTURE_SIZE**2 * 64).pixels.reshape(-1)
            for path in paths
        ]
    )
    return score(labels, KMeans(n_clusters, n_init=3, random_state=0).fit_predict(pixels.astype(np.float32)))


def namings(found: pl.DataFrame, assigned: pl.DataFrame, labels: pl.DataFrame) -> list[Naming]:
    """Every group with pictures in it, the largest first."""
    wordnet = open_wordnet()
    kinds = {name: true_kind(name, kind.synset, wordnet) for name, kind in KINDS.items()}
    known = assigned.join(labels, on="image_id").drop_nulls("cluster_id")
    names = dict(found.select("cluster_id", "name").iter_rows())
    return judge(names, known["cluster_id"].to_numpy(), known["label"].to_list(), kinds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print all figures; 0 unless the pipeline fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=Path, default=Path("tac.yaml"), metavar="FILE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    asked = parser.parse_args(arguments)
    console = Console(width=120)
    project = load_project(asked.settings)
    settings = project.settings
    materialize(project, console)

    learned = artifact_of(project, training_set)
    images = learned.table(training_set, columns=["image_id"])
    labels = table_of(project, image_labels)
    pictures = images.join(labels, on="image_id", how="left", maintain_order="left").with_columns(
        style=pl.col("image_id").map_elements(style_of, return_dtype=pl.String)
    )
    vectors = learned.vectors(training_set)
    encoder = open_clip_encoder(*project.encoder_files)
    kinds = encoder.encode_nouns(list(KINDS), templates=settings.nouns.templates, batch_size=64)
    shots = zero_shot(vectors, pictures, kinds)
    shown = Table("zero-shot, among all kinds", "pictures", "right", title_justify="left", box=None)
    for part, n_pictures, share in shots:
        shown.add_row(part, f"{n_pictures:,}", f"{share:.1%}")
    console.print(shown)

    source = Path(project.resolve(settings.images.places[0]))
    on_pixels = pixel_kmeans([source / name for name in images["image_id"]], pictures["label"].to_numpy(), len(KINDS))
    candidates = artifact_of(project, noun_embeddings)
    table = ReferenceTable("demo", vectors, pictures["label"].to_numpy())
    words = candidates.table(noun_embeddings, columns=["noun"])["noun"].to_list()
    runs = [
        run_seed(table, words, candidates.vectors(noun_embeddings), seed, estimator(project)) for seed in asked.seeds
    ]
    console.print()
    console.print(show_scores(on_pixels, runs))

    found = namings(table_of(project, clusters), table_of(project, assignments), labels)
    console.print()
    console.print(show_names(found))
    console.print(f"{right_share(found):.1%} of {len(found)} groups named by the kind, a synonym or a direct hypernym")
    if asked.json is not None:
        tree = {
            "zero_shot": shots,
            "pixels": asdict(on_pixels),
            "runs": [asdict(run) for run in runs],
            "names": [asdict(naming) for naming in found],
        }
        asked.json.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    return 0


def style_of(image_id: str) -> str:
    """The style of a drawn picture, from the kind and the seed that its path holds."""
    kind, _, name = image_id.partition("/")
    return draw_picture(kind, int(Path(name).stem)).style


def estimator(project: Project) -> TextAidedClustering:
    """The method with the values of the settings."""
    settings = project.settings
    return TextAidedClustering(
        int(artifact_of(project, cluster_count).fact(cluster_count, "count")),
        method=settings.method,
        tau=settings.retrieval.tau,
        text_weight=settings.blend.text_weight,
        nouns_per_center=settings.vocabulary.nouns_per_center,
        images_per_center=settings.semantic_centers.images_per_center,
        n_semantic_centers=settings.semantic_centers.count,
        n_neighbors=settings.neighbors.count,
        n_members=settings.heads.members,
        epochs=settings.heads.epochs,
        batch_size=settings.heads.batch_size,
        temperature=settings.heads.temperature,
        balance_weight=settings.heads.balance_weight,
        learning_rate=settings.heads.learning_rate,
    )


def show_scores(on_pixels: Scores, runs: Sequence[SeedScores]) -> Table:
    """Means over seeds and their spread, in %."""
    seeds = " ".join(str(run.seed) for run in runs)
    shown = Table(f"against the kinds, in %, seeds {seeds}", "NMI", "ACC", "ARI", title_justify="left", box=None)
    shown.add_row(
        "k-means on pixels", *(f"{100 * value:.1f}" for value in (on_pixels.nmi, on_pixels.acc, on_pixels.ari))
    )
    for result in RESULTS:
        rows = 100 * np.array(
            [[run.scores[result].nmi, run.scores[result].acc, run.scores[result].ari] for run in runs]
        )
        shown.add_row(result, *(f"{mean:.1f} ± {std:.1f}" for mean, std in zip(rows.mean(0), rows.std(0), strict=True)))
    return shown


def show_names(found: Sequence[Naming]) -> Table:
    """One row per group."""
    shown = Table("id", "name", "pictures", "most are", "share", "the name is", title_justify="left", box=None)
    for naming in found:
        verdict = {
            "kind": "right",
            "synonym": "right (synonym)",
            "hypernym": "right (hypernym)",
            "hyponym": "[red]narrower",
            "other": "[red]another",
        }
        shown.add_row(
            str(naming.cluster_id),
            escape(naming.name),
            f"{naming.size:,}",
            naming.kind,
            f"{naming.purity:.0%}",
            verdict[naming.relation],
        )
    return shown


if __name__ == "__main__":
    sys.exit(main())
