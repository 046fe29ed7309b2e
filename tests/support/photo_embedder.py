"""A folder of one-colored photographs and a function that embeds it like the asset, and counts the work."""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.embedding import KnownVectors, embed_missing, encoded_batches
from tac_pipeline.sources import FolderSource
from tac_pipeline.store.shards import EmbeddedBatch

ENCODER = "the mean color"


class MeanColor:
    """An encoder with vectors that are known beforehand."""

    fingerprint, dim, image_size = ENCODER, 4, 8
    resize_mode, interpolation = "shortest", "bicubic"

    def __init__(self) -> None:
        self.encoded = 0

    def encode_images(self, pixels: np.ndarray) -> FloatMatrix:
        self.encoded += len(pixels)
        means = pixels.reshape(len(pixels), 3, -1).mean(axis=2) / 255
        return unit_rows(np.concatenate([means, np.full((len(pixels), 1), 0.5)], axis=1))


def png(color: tuple[int, int, int], size: tuple[int, int] = (12, 10)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format="png")
    return buffer.getvalue()


def color_vector(color: tuple[int, int, int]) -> FloatMatrix:
    """What MeanColor makes of it, float32 (4,)."""
    return unit_rows(np.array([[*color, 127.5]]))[0]


def write_photos(folder: Path) -> Path:
    """Ten photographs, each redder than the one before."""
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.png").write_bytes(png((number * 20, 0, 0)))
    return folder


class Embedder:
    """What the asset does, with a count of what it took."""

    def __init__(self, folder: Path, shards: Path) -> None:
        self.source, self.shards, self.encoder = FolderSource(folder), shards, MeanColor()
        self.read: list[str] = []
        self.max_bytes, self.max_pixels = 10**6, 10**6

    def __call__(self, *, batch_size: int = 3) -> pl.DataFrame:
        self.read, self.encoder.encoded = [], 0
        return embed_missing(self.source.list_images(), self._embed(batch_size), shards=self.shards, encoder=ENCODER)

    def _embed(self, batch_size: int) -> Callable[[pl.DataFrame, KnownVectors], Iterator[EmbeddedBatch]]:
        def embed(missing: pl.DataFrame, known: KnownVectors) -> Iterator[EmbeddedBatch]:
            self.read = missing["image_id"].to_list()
            return encoded_batches(
                missing,
                self.source,
                self.encoder,
                known=known,
                batch_size=batch_size,
                max_pixels=self.max_pixels,
                max_bytes=self.max_bytes,
                threads=2,
            )

        return embed


def shards_of(views: Iterable[pl.DataFrame]) -> set[str]:
    """The shards that some views name."""
    return {name for view in views for name in view["shard"]}
