"""Are the groups what was asked for? Pictures of the demo by kind, style, ground and color; photographs by species.

    python -m benchmarks.group_by [--pictures 1500] [--seeds 0 1 2] [--asked style ground] [--json FILE]

Prints for every question, with K given, ACC and NMI against the truth as means over seeds, of

    k-means                spherical k-means on the image vectors
    method                 the robust method as it is without group_by
    k-means by the words   spherical k-means on the vectors as group_by shows them
    group_by               the robust method on these, with the words as its vocabulary

and how many groups it finds by itself. The words of a question are those of a set that ships, or written down here
without a look at the truth. Labels are used only for the scores. All images are fitted and scored.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.reference_data import read_class_names, read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.demo.picture_store import picture_bytes, picture_path
from tac_pipeline.demo.pictures import draw_picture
from tac_pipeline.embedding.nouns import packaged_nouns
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.clusters.evaluation import score
from tac_pipeline.method.grouping.cluster_count import estimate_cluster_count
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.values.criteria import criterion_words
from tac_pipeline.method.words.criterion import find_view
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.sources.decoding import decode_image

WAYS = ("k-means", "method", "k-means by the words", "group_by")
BATCH = 64
# Things that a child would draw; the kinds of the demo are among them.
THINGS = """
cat dog rabbit elephant fish snake turtle butterfly snail duck bird horse car bus locomotive bicycle sailboat
ship airplane tractor truck tree flower cactus mushroom palm house castle lighthouse church bridge tower apple
pear banana cake bread cup teapot chair table lamp clock umbrella hammer key book sun moon star cloud hat shoe
ball bottle
"""
# Questions about the drawn pictures, by the fact that is the truth.
DRAWN: dict[str, tuple[str, ...]] = {
    "kind": tuple(THINGS.split()),
    "style": criterion_words("style"),
    "ground": ("dark background", "light background"),
    "color": criterion_words("color"),
}
FELINES = {
    *("Abyssinian", "Bengal", "Birman", "Bombay", "British Shorthair", "Egyptian Mau", "Maine Coon", "Persian"),
    *("Ragdoll", "Russian Blue", "Siamese", "Sphynx"),
}
MACHINES = {"airplane", "automobile", "ship", "truck"}
# Questions about photographs: the table, the words, and the classes that are on one side.
PHOTOGRAPHED: dict[str, tuple[str, tuple[str, ...], set[str]]] = {
    "cat or dog": ("oxford_pets", ("cat", "dog"), FELINES),
    "animal or vehicle": ("cifar10_500", ("cat", "dog", "bird", "horse", "truck", "airplane"), MACHINES),
}


@dataclass(frozen=True)
class Question:
    """Images, what was asked of them, and the truth.

    Attributes
    ----------
    images, words : float32 (n_images, dim), (n_words, dim), unit rows
    labels : (n_images,)
    nouns, noun_vectors : the candidates of the method without group_by
    """

    name: str
    images: FloatMatrix
    labels: npt.NDArray[Any]
    asked: tuple[str, ...]
    words: FloatMatrix
    nouns: list[str]
    noun_vectors: FloatMatrix


@dataclass(frozen=True)
class Answer:
    """ACC and NMI of every way and seed, K, the number of groups that is found, and the names of the first seed."""

    count: int
    found: int
    acc: dict[str, list[float]]
    nmi: dict[str, list[float]]
    names: list[str | None]


def drawn_questions(n_pictures: int, asked: Sequence[str]) -> Iterator[Question]:
    """The demo's pictures, drawn and encoded here."""
    encoder = open_clip_encoder("tac-small", "drawn")
    packaged = packaged_nouns(encoder.text_fingerprint, templates=PUBLISHED_TEMPLATES)
    if packaged is None:
        raise SystemExit("the packaged nouns are not of the packaged encoder")
    facts: dict[str, list[object]] = {name: [] for name in DRAWN}
    pixels, rows = [], []
    for n in range(n_pictures):
        kind = picture_path(n).parent.name
        picture = draw_picture(kind, n)
        truth = {"kind": kind, "style": picture.style, "ground": picture.dark_ground, "color": picture.color}
        for name, fact in truth.items():
            facts[name].append(fact)
        pixels.append(decode_image(picture_bytes(kind, n), size=encoder.image_size, max_pixels=10**8).pixels)
        if len(pixels) == BATCH or n == n_pictures - 1:
            rows.append(encoder.encode_images(np.stack(pixels)))
            pixels = []
    images = np.concatenate(rows)
    for name in (name for name in DRAWN if name in asked):
        words = encoder.encode_nouns(DRAWN[name], templates=PUBLISHED_TEMPLATES, batch_size=BATCH)
        yield Question(name, images, np.array([str(fact) for fact in facts[name]]), DRAWN[name], words, *packaged)


def photographed_questions(asked: Sequence[str]) -> Iterator[Question]:
    """The reference tables, with the vectors of their nouns."""
    folder = reference_folder()
    nouns, vectors = read_nouns(folder)
    for name in (name for name in PHOTOGRAPHED if name in asked):
        table, words, side = PHOTOGRAPHED[name]
        rows, classes = read_table(folder, table), read_class_names(folder.parent, table)
        labels = np.array([classes[label] in side for label in rows.labels])
        own = vectors[[nouns.index(word) for word in words]]
        yield Question(name, rows.image_embeddings, labels, words, own, nouns, vectors)


def answer(question: Question, seeds: Sequence[int]) -> Answer:
    """Every way of grouping, with the true number of groups."""
    count = len(np.unique(question.labels))
    seen = find_view(question.images, question.words)
    images = seen.view.apply(question.images)
    acc: dict[str, list[float]] = {way: [] for way in WAYS}
    nmi: dict[str, list[float]] = {way: [] for way in WAYS}
    names: list[str | None] = []
    for seed in seeds:
        plain = TextAidedClustering(count, random_state=seed)
        plain.fit(question.images, nouns=question.nouns, noun_embeddings=question.noun_vectors)
        asked = TextAidedClustering(count, random_state=seed)
        asked.fit(images, nouns=question.asked, noun_embeddings=seen.words)
        names = names or list(asked.cluster_names_)
        groups: dict[str, IntVector] = {
            "k-means": ward_kmeans(question.images, n_clusters=count, seed=seed).assignment,
            "method": plain.labels_,
            "k-means by the words": ward_kmeans(images, n_clusters=count, seed=seed).assignment,
            "group_by": asked.labels_,
        }
        for way, assignment in groups.items():
            found = score(question.labels, assignment)
            acc[way].append(100 * found.acc)
            nmi[way].append(100 * found.nmi)
    # Two words leave nothing to find.
    sides = len(seen.view.directions) == 1
    estimated = 2 if sides else estimate_cluster_count(images, fewest=2, most=200, seed=seeds[0]).count
    return Answer(count, estimated, acc, nmi, names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    every = [*DRAWN, *PHOTOGRAPHED]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.group_by", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1500, metavar="N", help="drawn pictures")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--asked", nargs="+", choices=every, default=every, metavar="NAME", help=", ".join(every))
    parser.add_argument("--json", type=Path, metavar="FILE", help="every seed's scores")
    given = parser.parse_args(arguments)
    console = Console(width=140)
    title = f"ACC / NMI in %, K given, means over seeds {' '.join(map(str, given.seeds))}"
    shown = Table("by", "words", "images", "K", *WAYS, "K found", title=title, title_justify="left", box=None)
    answers: dict[str, Answer] = {}

    def questions() -> Iterator[Question]:
        if set(given.asked) & set(PHOTOGRAPHED):
            yield from photographed_questions(given.asked)
        if set(given.asked) & set(DRAWN):
            yield from drawn_questions(given.pictures, given.asked)

    for question in questions():
        found = answers[question.name] = answer(question, given.seeds)
        cells = [f"{np.mean(found.acc[way]):.1f} / {np.mean(found.nmi[way]):.1f}" for way in WAYS]
        counts = (str(len(question.asked)), f"{len(question.images):,}", str(found.count))
        shown.add_row(question.name, *counts, *cells, str(found.found))
    console.print(shown)
    for name, found in answers.items():
        console.print(f"{name}: {', '.join(map(str, found.names))}")
    if given.json is not None:
        tree = {name: asdict(found) for name, found in answers.items()}
        given.json.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
