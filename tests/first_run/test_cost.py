"""What the first run costs is measured with the encoder itself, on images of the source."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_store import grouped_vectors, write_vectors

from tac_pipeline.errors import InputError
from tac_pipeline.first_run.cost import (
    SAMPLE_IMAGES,
    expected_centers,
    learning_seconds,
    machine,
    measure_images,
    seconds_a_prompt,
    shortlisted_prompts,
)
from tac_pipeline.settings.reading import parse_settings
from tac_pipeline.sources import open_source

SETTINGS = parse_settings("store: a\nimages: {source: x}\nclusters: {count: 2}\n", name="tac.yaml")


class CountingEncoder:
    """Counts what it is given."""

    dim, image_size, resize_mode, interpolation, fingerprint = 4, 8, "squash", "bicubic", "counting"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.nouns: list[str] = []

    def encode_images(self, pixels: Any) -> Any:
        self.batches.append(len(pixels))
        return np.full((len(pixels), self.dim), 0.5, dtype=np.float32)

    def encode_nouns(self, nouns: Sequence[str], **_: Any) -> Any:
        self.nouns += nouns
        return np.full((len(nouns), self.dim), 0.5, dtype=np.float32)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int) -> Any:
        raise AssertionError("no texts are measured")


def test_a_few_images_from_all_parts_are_read_and_encoded(tmp_path: Path) -> None:
    for number in range(100):
        Image.new("RGB", (10, 10), (number, 0, 0)).save(tmp_path / f"{number:03}.png")
    (tmp_path / "099.png").write_bytes(b"no picture")
    source, encoder = open_source(str(tmp_path)), CountingEncoder()
    speed = measure_images(source.list_images(), source, encoder, settings=SETTINGS)
    assert encoder.batches == [SAMPLE_IMAGES, 1, SAMPLE_IMAGES - 1], "to warm up encoder and decoder, then to measure"
    assert (speed.tried, speed.unreadable) == (SAMPLE_IMAGES, 1)
    assert speed.seconds > 0


def test_nouns_are_taken_from_all_parts_of_the_list() -> None:
    encoder, nouns = CountingEncoder(), [f"noun {number}" for number in range(10_000)]
    assert seconds_a_prompt(nouns, encoder, template="a {}", batch_size=64) > 0
    assert "noun 0" in encoder.nouns
    assert any(noun > "noun 9800" for noun in encoder.nouns)
    assert seconds_a_prompt([], encoder, template="a {}", batch_size=64) == 0


def test_vectors_are_not_measured(tmp_path: Path) -> None:
    vectors, labels = grouped_vectors()
    write_vectors(
        tmp_path / "v.parquet", [str(number) for number in range(len(vectors))], vectors, list("x" * len(labels))
    )
    source = open_source(str(tmp_path / "v.parquet"))
    with pytest.raises(InputError, match="holds vectors"):
        measure_images(source.list_images(), source, CountingEncoder(), settings=SETTINGS)


def test_learning_takes_longer_for_more_images_and_the_processor_has_a_name() -> None:
    assert learning_seconds(100) < learning_seconds(100_000)
    assert re.fullmatch(r"\d+ cores of \S.*", machine())


def test_the_shortlist_costs_about_what_was_measured_and_never_more_than_every_prompt() -> None:
    settings = parse_settings("store: a\nimages: {source: x}\nclusters: {count: 45}\n", name="tac.yaml")
    centers = expected_centers(settings, images=3_000)
    assert centers == 135
    few = shortlisted_prompts(centers=centers, per_center=60, nouns=117_377, templates=7)
    assert few == pytest.approx(95_000, rel=0.01)
    assert shortlisted_prompts(centers=centers, per_center=60, nouns=12, templates=7) == 12 * 7
