"""Images outside every store: found by the paths that a user names, read, encoded, and assigned by the image head.

Nothing is written. Reading and decoding run ahead of the encoder, as when a store is embedded (embedding/). Memory
holds one small row per image and three batches of decoded images. What must stay out: artifacts (assets/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.errors import SourceError
from tac_pipeline.results.assigning import assign_vectors
from tac_pipeline.sources import IMAGE_SUFFIXES, ByteReader, FolderSource, RemoteFolderSource
from tac_pipeline.sources.remote import read_url
from tac_pipeline.sources.rules import ARCHIVE_SUFFIX
from tac_pipeline.sources.streaming import OverLimit, read_local
from tac_pipeline.store.shards import EmbeddedBatch

if TYPE_CHECKING:
    from tac_pipeline.encoders import Encoder
    from tac_pipeline.method.heads.cluster_head import ClusterHead
    from tac_pipeline.method.words.criterion import View


# Vectors, float32 (n_images, dim), to the most similar learned image of each and the cosine to it, float32 (n_images,).
Nearest = Callable[[FloatMatrix], tuple[Sequence[str], FloatMatrix]]


class NamedFiles:
    """Reads a file by its path or URL; its name may have any ending."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader."""
        return read_url(uri, limit=limit) if "://" in uri else read_local(Path(uri), limit)


class _Given:
    """Bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        if limit is not None and len(self._data) > limit:
            raise OverLimit(len(self._data), limit)
        return self._data


@dataclass(frozen=True)
class NamedImage:
    """An image that a user named, or that is in a folder or tar that a user named.

    Attributes
    ----------
    name : str
        The name to show: the path as the user gave it; for an image in a folder, with the path below it.
    uri : str
        Where `reader` finds it.
    error : str, optional
        Why it cannot be read.
    """

    name: str
    uri: str
    reader: ByteReader
    error: str | None = None


def find_images(places: Sequence[str]) -> list[NamedImage]:
    """The images at paths and URLs, for a folder or tar all images in it; a place without images has an error."""
    return [image for place in places for image in _images_at(place)]


def named_images(places: Sequence[str]) -> list[NamedImage]:
    """Files at paths and URLs, one image each."""
    return [NamedImage(_text(place), place, NamedFiles()) for place in places]


def given_image(name: str, data: bytes) -> NamedImage:
    """An image that somebody has sent."""
    return NamedImage(_text(name), "", _Given(data))


def _images_at(place: str) -> Iterator[NamedImage]:
    remote, is_tar = "://" in place, place.lower().endswith(ARCHIVE_SUFFIX)
    if not is_tar and not (not place.lower().endswith(IMAGE_SUFFIXES) if remote else Path(place).is_dir()):
        yield NamedImage(_text(place), place, NamedFiles())
        return
    source = RemoteFolderSource(place) if remote else FolderSource(Path(place))
    try:
        listing = source.list_images()
    except (SourceError, OSError) as error:
        yield NamedImage(_text(place), place, source, error=_text(str(error)))
        return
    # The ids of a tar's members begin with its name.
    whole = place.rstrip("/")
    above = whole.rpartition("/")[0] if is_tar and not Path(place).is_dir() else whole
    for image_id, uri in listing.select("image_id", "uri").iter_rows():
        yield NamedImage(f"{_text(above)}/{image_id}" if above else image_id, uri, source)


def _text(path: str) -> str:
    # A path may hold bytes that are not UTF-8. Python keeps them as lone surrogates, which tables refuse.
    return path.encode("utf-8", "backslashreplace").decode()


class _ByNumber:
    """Reads named images by their place in the list, so that images of several sources share a batch."""

    def __init__(self, images: Sequence[NamedImage]) -> None:
        self._images = images

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        image = self._images[int(uri)]
        if image.error is not None:
            raise OSError(image.error)
        return image.reader.read(image.uri, limit=limit)


def embed_images(
    images: Sequence[NamedImage], encoder: Encoder, *, batch_size: int, max_pixels: int, max_bytes: int
) -> Iterator[EmbeddedBatch]:
    """Read, decode and encode images in their order; an image that cannot be read becomes a row with an error."""
    count = len(images)
    rows = pl.DataFrame(
        {
            "image_id": [image.name for image in images],
            "uri": [str(number) for number in range(count)],
            "size": [None] * count,
            "version": [""] * count,
        },
        schema={"image_id": pl.String, "uri": pl.String, "size": pl.Int64, "version": pl.String},
    )
    known = NoKnownVectors()
    for batch in encoded_batches(
        rows,
        _ByNumber(images),
        encoder,
        known=known,
        batch_size=batch_size,
        max_pixels=max_pixels,
        max_bytes=max_bytes,
    ):
        yield batch
        known.forget()


def assign_images(
    batches: Iterator[EmbeddedBatch],
    head: ClusterHead,
    ids: Sequence[int],
    centers: FloatMatrix,
    *,
    groups: IntVector | None = None,
    seen_by: View | None = None,
    nearest: Nearest | None = None,
) -> pl.DataFrame:
    """The cluster of each image (paper step 10).

    Parameters
    ----------
    batches : iterator of EmbeddedBatch
        From the encoder that the head was trained with.
    head : ClusterHead
        The image head.
    ids : sequence of int
        The lasting cluster id of each column of the head, or of each group.
    centers : float32 (n_clusters, dim), unit rows
        By column of the head, or by group.
    groups : int64 (n_columns,), optional
        See assign_shards.
    seen_by : View, optional
        See assign_shards.
    nearest : callable, optional
        Finds the learned image that is most like each image.

    Returns
    -------
    DataFrame with image, error, cluster_id, confidence, runner_up, similarity (the cosine to the cluster's center),
    nearest, nearest_similarity (the image_id of that learned image and the cosine to it; null if nobody finds it), one
    row per image in its order; all but image and error are null when an image cannot be read
    """
    lasting = np.asarray(ids, dtype=np.int32)
    parts = [pl.DataFrame(schema=_ASSIGNED)]
    for batch in batches:
        found = assign_vectors(batch.vectors, head, centers, groups, seen_by=seen_by)
        none = [None] * len(batch.rows)
        like, cosines = (none, none) if nearest is None else nearest(batch.vectors)
        table = pl.DataFrame(
            {
                "image": [row.image_id for row in batch.rows],
                "error": [row.error for row in batch.rows],
                "cluster_id": lasting[found["column"].to_numpy()],
                "confidence": found["confidence"],
                "runner_up": lasting[found["runner_up"].to_numpy()],
                "similarity": found["similarity"],
                "nearest": like,
                "nearest_similarity": cosines,
            },
            schema=_ASSIGNED,
        )
        readable = pl.col("error").is_null()
        values = [name for name in _ASSIGNED if name not in ("image", "error")]
        parts.append(table.with_columns(pl.when(readable).then(pl.col(name)).alias(name) for name in values))
    return pl.concat(parts)


_ASSIGNED = {
    "image": pl.String,
    "error": pl.String,
    "cluster_id": pl.Int32,
    "confidence": pl.Float32,
    "runner_up": pl.Int32,
    "similarity": pl.Float32,
    "nearest": pl.String,
    "nearest_similarity": pl.Float32,
}
