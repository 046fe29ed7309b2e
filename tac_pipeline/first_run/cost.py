"""What the first run costs on this machine: measured on a few images and prompts, in seconds of a clock.

What must stay out: which encoder and which nouns (settings), and printing.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.errors import InputError, TacWarning
from tac_pipeline.method.grouping.semantic_centers import count_semantic_centers
from tac_pipeline.settings.keys import Settings
from tac_pipeline.sources import Source

if TYPE_CHECKING:
    from tac_pipeline.encoders import Encoder

SAMPLE_IMAGES = 32
SAMPLE_NOUNS = 512
# From 95,000 prompts for lists of 60 around 135 centers (docs/EXPERIMENTS.md).
PROMPTS_A_PLACE = 11.7
# When their number is to be found.
EXPECTED_CLUSTERS = 30
# Learning, results and the page, with `clusters.count: auto`: a start, and so much for each image of the training set.
# Two cores of an AMD EPYC at 1,000 and 4,000 given vectors of width 512 (docs/how-to/know-the-cost.md).
LEARNING_SECONDS = 10.0
LEARNING_SECONDS_AN_IMAGE = 0.0064


@dataclass(frozen=True)
class Speed:
    """How fast an encoder is here.

    Attributes
    ----------
    seconds : float
        An image: reading, decoding and encoding.
    unreadable : int
        Of the images that were tried.
    tried : int
    """

    seconds: float
    unreadable: int
    tried: int


def measure_images(images: pl.DataFrame, source: Source, encoder: Encoder, *, settings: Settings) -> Speed:
    """Read and encode SAMPLE_IMAGES images, from all parts of a listing.

    Parameters
    ----------
    images : DataFrame with image_id, uri, size, version
        The listing of a source.
    """
    places = np.unique(np.linspace(0, len(images) - 1, num=min(SAMPLE_IMAGES, len(images))).astype(np.int64))
    sample = images[places]
    reader = source.reader
    if reader is None:
        raise InputError("images must be files to be measured; the source holds vectors")
    side, batch_size = encoder.image_size, settings.encoder.batch_size

    def embed(rows: pl.DataFrame) -> int:
        batches = encoded_batches(
            rows,
            reader,
            encoder,
            known=NoKnownVectors(),
            batch_size=batch_size,
            max_pixels=settings.images.max_pixels,
            max_bytes=settings.images.max_bytes,
        )
        return sum(row.error is not None for batch in batches for row in batch.rows)

    with warnings.catch_warnings():
        # That weights are random is said elsewhere.
        warnings.simplefilter("ignore", TacWarning)
        # Loading, of decoders too, and what is prepared at the first batch happen once in a run.
        encoder.encode_images(np.zeros((min(batch_size, len(sample)), 3, side, side), dtype=np.uint8))
        embed(sample[:1])
    started = time.perf_counter()
    unreadable = embed(sample)
    return Speed((time.perf_counter() - started) / len(sample), unreadable, len(sample))


def seconds_a_prompt(nouns: Sequence[str], encoder: Encoder, *, template: str, batch_size: int) -> float:
    """Encode SAMPLE_NOUNS nouns, of all lengths, in one prompt; 0 for no nouns."""
    if not nouns:
        return 0.0
    sample = nouns[:: max(1, len(nouns) // SAMPLE_NOUNS)][:SAMPLE_NOUNS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TacWarning)
        encoder.encode_nouns(sample[:batch_size], templates=[template], batch_size=batch_size)
    # All at once, because prompts of similar length are put together, as in a run.
    started = time.perf_counter()
    encoder.encode_nouns(sample, templates=[template], batch_size=batch_size)
    return (time.perf_counter() - started) / len(sample)


def expected_centers(settings: Settings, *, images: int) -> int:
    """About how many semantic centers so many images get."""
    wanted = settings.clusters.count
    return count_semantic_centers(
        min(images, settings.training_set.max_images),
        wanted if isinstance(wanted, int) else EXPECTED_CLUSTERS,
        images_per_center=settings.semantic_centers.images_per_center,
        count=settings.semantic_centers.count,
    )


def shortlisted_prompts(*, centers: int, per_center: int, nouns: int, templates: int) -> int:
    """About how many prompts the shortlist encodes beside the first of each noun.

    Lists of neighboring centers overlap, and are narrowed prompt by prompt: about PROMPTS_A_PLACE for each place on the
    last list, with seven templates.
    """
    return min(round(centers * per_center * PROMPTS_A_PLACE * templates / 7), nouns * templates)


def learning_seconds(n_images: int) -> float:
    """About how long learning, results and the page take for that many images to learn from."""
    return LEARNING_SECONDS + LEARNING_SECONDS_AN_IMAGE * n_images


def machine() -> str:
    """The processor's name, and how many cores there are, as a table of figures should name them."""
    lines: list[str] = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{os.cpu_count()} cores of {next(names, platform.processor() or 'an unknown processor')}"
