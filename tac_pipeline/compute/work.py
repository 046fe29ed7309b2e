"""What a worker does: it reads, decodes and encodes some images, and gives back their rows and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.embedding import KnownVectors, NoKnownVectors, encoded_batches
from tac_pipeline.embedding.known_bytes import KEY_DIGITS, hash_keys
from tac_pipeline.encoders import Encoder, encoder_of_settings
from tac_pipeline.errors import TacError
from tac_pipeline.settings.keys import EncoderSettings, Images
from tac_pipeline.sources import ByteReader, Rules, open_source, open_sources
from tac_pipeline.store.shards import EmbeddedBatch
from tac_pipeline.version import installed_version


@dataclass(frozen=True)
class ImageWork:
    """What a worker must know to read and encode the images of a store; it can be pickled.

    Attributes
    ----------
    places : list of str
        Absolute paths and URLs of the source.
    is_list : bool
        Whether the settings have a list of places, whose images have prefixes.
    images : Images
        The limits.
    encoder : EncoderSettings
        With absolute paths.
    """

    places: list[str]
    is_list: bool
    images: Images
    encoder: EncoderSettings

    def open_reader(self) -> ByteReader | None:
        """What reads the image files."""
        rules, timeout = Rules(), self.images.timeout
        if self.is_list:
            return open_sources(self.places, rules=rules, timeout=timeout).reader
        return open_source(self.places[0], rules=rules, timeout=timeout).reader


@dataclass(frozen=True)
class KnownImages:
    """The bytes whose vectors the store has already, by their content hashes, with width and height.

    Attributes
    ----------
    keys, more_keys : int64 (n_known,)
        The first digits of each hash, sorted, and the next ones: together too many for two images to share.
    sizes : int32 (n_known, 2)
    """

    keys: IntVector
    more_keys: IntVector
    sizes: npt.NDArray[np.int32]

    @classmethod
    def of(cls, known: KnownVectors) -> KnownImages:
        """Those of a store."""
        table = known.sizes()
        keys, more = (hash_keys(table["content_hash"], part=part) for part in (0, 1))
        order = np.argsort(keys, kind="stable")
        sizes = table.select("width", "height").to_numpy().astype(np.int32).reshape(-1, 2)
        return cls(keys[order], more[order], sizes[order])

    def find(self, content_hash: str) -> tuple[int, int] | None:
        """Width and height of the image with these bytes; None when its vector is not known."""
        key, more = (int(content_hash[start : start + KEY_DIGITS], 16) for start in (0, KEY_DIGITS))
        first, end = np.searchsorted(self.keys, key), np.searchsorted(self.keys, key, side="right")
        same = np.flatnonzero(self.more_keys[first:end] == more)
        if not len(same):
            return None
        width, height = self.sizes[first + same[-1]]
        return int(width), int(height)


class _KnownElsewhere(NoKnownVectors):
    """What the store knows, told to a worker, which has none of the vectors: those rows get zeros."""

    def __init__(self, known: KnownImages, dim: int) -> None:
        super().__init__()
        self._known, self._zero = known, np.zeros(dim, dtype=np.float32)

    def find(self, content_hash: str) -> tuple[int, int] | None:  # type: ignore[override]
        return self._known.find(content_hash)

    def vectors(self, content_hashes: Sequence[str]) -> list[FloatMatrix]:
        made = {key: vector for key, (vector, _, _) in self._pending.items()}
        return [made.get(bytes.fromhex(each[:32]), self._zero) for each in content_hashes]


class ImageWorker:
    """One worker: its source and encoder are opened once.

    Parameters
    ----------
    work : ImageWork
    """

    def __init__(self, work: ImageWork) -> None:
        self._work = work

    def greet(self, uri: str) -> dict[str, str]:
        """Who the worker is, and whether it can work: version, encoder, and a problem in words or "".

        `uri` is of an image that the worker must be able to read.
        """
        said = {"version": installed_version(), "encoder": "", "problem": ""}
        try:
            said["encoder"] = self._encoder.fingerprint
            self._reader.read(uri, limit=self._work.images.max_bytes)
        except TacError as error:
            said["problem"] = str(error)
        except OSError as error:
            said["problem"] = f"{uri}: {error.strerror or error}"
        return said

    def encode(self, rows: pl.DataFrame, known: KnownImages) -> list[EmbeddedBatch]:
        """The batches of some rows of a manifest, in their order.

        Rows whose bytes the store knows are marked as copied, and have zeros in place of their vectors.
        """
        elsewhere = _KnownElsewhere(known, self._encoder.dim)
        made = encoded_batches(
            rows,
            self._reader,
            self._encoder,
            known=elsewhere,
            batch_size=self._work.encoder.batch_size,
            max_pixels=self._work.images.max_pixels,
            max_bytes=self._work.images.max_bytes,
            concurrent_reads=self._work.images.concurrent_reads,
        )
        return list(made)

    @cached_property
    def _encoder(self) -> Encoder:
        return encoder_of_settings(self._work.encoder)

    @cached_property
    def _reader(self) -> ByteReader:
        reader = self._work.open_reader()
        if reader is None:
            raise TacError(f"{', '.join(self._work.places)} holds vectors: there is nothing to encode")
        return reader


def settle(batch: EmbeddedBatch, known: KnownVectors) -> EmbeddedBatch:
    """A worker's batch as the store's one writer has it: bytes that are known by now get the vector that is known."""
    for place, row in enumerate(batch.rows):
        if row.error is not None:
            continue
        copied = known.find(row.content_hash) is not None
        if copied:
            # Two workers may have encoded equal bytes: the first counts.
            batch.vectors[place] = known.vectors([row.content_hash])[0]
        else:
            known.remember(row, batch.vectors[place])
        batch.rows[place] = replace(row, copied=copied)
    return batch
