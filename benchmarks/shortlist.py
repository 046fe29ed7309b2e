"""Does the shortlist of nouns hold what all nouns in all templates would give, and what does it save?

    python -m benchmarks.shortlist [--tables food10 oxford_pets caltech101] [--demo 1500] [--cosine 0.91]

For drawn pictures, the packaged encoder hears WordNet's nouns in the published templates. It hardly hears a template,
which flatters any shortlist. For the reference tables, whose nouns are few, 100,000 nouns are made by blending real
ones, and prompts by noise, so that one prompt of a noun has a cosine of about 0.9 to the mean of its seven.

Prints for each store the share of the full vocabulary that is found, the prompts that are encoded of those that a full
table needs, the agreement (NMI) of the groups found with both, and each one's agreement with the labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from sklearn.metrics import normalized_mutual_info_score

from benchmarks.reference_data import read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.embedding.nouns import ONE_PROMPT
from tac_pipeline.first_run.cost import machine
from tac_pipeline.method import load_method
from tac_pipeline.method.recipe import CHOICES, Walk
from tac_pipeline.method.words.noun_shortlist import CandidateVectors, choose_list_length, shortlist_nouns
from tac_pipeline.method.words.noun_vocabulary import choose_noun_vocabulary
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES

MADE_NOUNS = 100_000
NOUNS_PER_CENTER = 5
HEADER = ("store", "one/seven", "centers", "vocabulary", "nouns", "prompts", "NMI", "full", "short")
CHOSEN = {"images_per_center": 300, "nouns_per_center": NOUNS_PER_CENTER, "balance_weight": 5.0, "learning_rate": 1e-3}


@dataclass
class Case:
    """A store: its images, its nouns in one prompt and in all, and what encodes some nouns in some templates."""

    name: str
    images: FloatMatrix
    labels: np.ndarray
    one: FloatMatrix
    full: FloatMatrix
    encode: Callable[[IntVector, int], FloatMatrix]


def reference_case(name: str, *, cosine: float, seed: int = 0) -> Case:
    """A reference table with made nouns and made prompts."""
    folder, generator = reference_folder(), np.random.default_rng(seed)
    table, (_, real) = read_table(folder, name), read_nouns(folder)
    parts = generator.integers(0, len(real), (MADE_NOUNS, 3))
    shares = generator.dirichlet([1, 1, 1], MADE_NOUNS).astype(np.float32)
    meaning = unit_rows(np.concatenate([real, np.einsum("nk,nkd->nd", shares, real[parts])]))
    # The mean of seven has a seventh of the noise's square, so that one prompt is nearer to it than to the meaning.
    noise = np.sqrt(1 / cosine**2 - 1).astype(np.float32)

    def prompt() -> FloatMatrix:
        apart = unit_rows(meaning[generator.permutation(len(meaning))] - meaning.mean(axis=0))
        return unit_rows(meaning + noise * apart)

    one, each = prompt(), [prompt() for _ in PUBLISHED_TEMPLATES]
    encode = lambda rows, count: unit_rows(np.mean([heard[rows] for heard in each[:count]], axis=0))  # noqa: E731
    return Case(name, table.image_embeddings, table.labels, one, encode(np.arange(len(one)), len(each)), encode)


def demo_case(n_pictures: int) -> Case:
    """Drawn pictures and WordNet's nouns, by the packaged encoder; the prompts are really encoded."""
    import io

    from PIL import Image

    from tac_pipeline.demo.picture_store import picture_bytes, picture_path
    from tac_pipeline.encoders import open_clip_encoder
    from tac_pipeline.nouns import load_candidate_nouns

    encoder = open_clip_encoder("tac-small", "drawn", device="cpu")
    kinds = [picture_path(n).parent.name for n in range(n_pictures)]
    pixels = [
        np.asarray(
            Image.open(io.BytesIO(picture_bytes(kind, n))).resize((encoder.image_size,) * 2, Image.Resampling.BICUBIC)
        ).transpose(2, 0, 1)
        for n, kind in enumerate(kinds)
    ]
    images = np.concatenate(
        [encoder.encode_images(np.stack(pixels[start : start + 64])) for start in range(0, n_pictures, 64)]
    )
    nouns = load_candidate_nouns("wordnet", exclude_offensive=True).table["noun"].to_list()

    def encode(rows: IntVector, count: int) -> FloatMatrix:
        chosen = [nouns[row] for row in rows]
        return encoder.encode_nouns(chosen, templates=PUBLISHED_TEMPLATES[:count], batch_size=64)

    one = encoder.encode_nouns(nouns, templates=[ONE_PROMPT], batch_size=64)
    full = encode(np.arange(len(nouns)), len(PUBLISHED_TEMPLATES))
    return Case("drawn pictures", images, np.array(kinds), one, full, encode)


def measure(case: Case) -> tuple[str, ...]:
    """One row of the table."""
    n_clusters = len(np.unique(case.labels))
    method = load_method("robust")
    whole = _walk(case, CandidateVectors.whole(case.full), n_clusters)
    centers = whole.result("semantic_centers")
    asked = {"prompts": 0}
    heard = np.zeros(len(case.one), dtype=int)

    def encode(rows: IntVector, count: int) -> FloatMatrix:
        asked["prompts"] += int((count - heard[rows]).sum())
        heard[rows] = count
        return case.encode(rows, count)

    per_center = choose_list_length(
        len(case.one), len(centers), nouns_per_center=NOUNS_PER_CENTER, factor=method.shortlist_factor
    )
    assert per_center is not None
    rows, candidates = shortlist_nouns(
        case.one, centers, per_center=per_center, n_templates=len(PUBLISHED_TEMPLATES), encode=encode
    )
    wanted = choose_noun_vocabulary(case.full, centers, nouns_per_center=NOUNS_PER_CENTER).rows
    found = rows[choose_noun_vocabulary(candidates.vectors, centers, nouns_per_center=NOUNS_PER_CENTER).rows]
    short = _walk(case, candidates, n_clusters)
    groups = [each.result("training_free_clusters") for each in (whole, short)]
    truth = [100 * normalized_mutual_info_score(case.labels, each) for each in groups]
    share = (asked["prompts"] + len(case.one)) / (len(case.one) * len(PUBLISHED_TEMPLATES))
    return (
        case.name,
        f"{(case.one * case.full).sum(axis=1).mean():.3f}",
        f"{len(centers)}",
        f"{100 * np.isin(wanted, found).mean():.1f} %",
        f"{len(rows):,}",
        f"{100 * share:.0f} %",
        f"{100 * normalized_mutual_info_score(*groups):.1f}",
        f"{truth[0]:.1f}",
        f"{truth[1]:.1f}",
    )


def _walk(case: Case, candidates: CandidateVectors, n_clusters: int) -> Walk:
    given = {"training_set": case.images, "noun_shortlist": candidates, "cluster_count": n_clusters}
    choices = dict.fromkeys(CHOICES) | CHOSEN | {"seed": 0, "device": "cpu"}
    return Walk(load_method("robust"), given=given, choices=choices)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", default=["food10", "oxford_pets", "caltech101"])
    parser.add_argument("--demo", type=int, default=1500, help="drawn pictures; 0 leaves them out")
    parser.add_argument("--cosine", type=float, default=0.91, help="between a made prompt and a noun's meaning")
    asked = parser.parse_args(arguments)
    console = Console()
    console.print(f"all nouns in all templates, and the shortlist; {machine()}")
    console.print(_line(HEADER), soft_wrap=True)
    for name in asked.tables:
        console.print(_line(measure(reference_case(name, cosine=asked.cosine))), soft_wrap=True)
    if asked.demo:
        console.print(_line(measure(demo_case(asked.demo))), soft_wrap=True)


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<16}" + "".join(f"{cell:>11}" for cell in cells[1:])


if __name__ == "__main__":
    main()
