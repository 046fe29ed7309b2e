"""Which segments of a list of images must be looked at again for their vectors, and which stay as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from assets.engine.step import Output
from tac_pipeline.digest import digest
from tac_pipeline.embedding.known_bytes import KnownInSegments
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.schemas import IMAGE_EMBEDDINGS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows, Segment, segments
from tac_pipeline.store.segments.sums import shard_counts
from tac_pipeline.store.shards import small_shards

SHOWN_ROWS = 20


@dataclass(frozen=True)
class Changed:
    """The part of a list of images for which vectors are looked for.

    Attributes
    ----------
    every, parts : list of Segment
        The segments of image_manifest, and those of them that changed.
    shards : set of str or None
        The shards in which their images may be, by their names in the encoder's folder; None = all.
    small : Series of String or None
        The shards to join, all of whose images are in `parts`; None = as the images tell.
    """

    every: Sequence[Segment]
    parts: Sequence[Segment]
    shards: set[str] | None
    small: pl.Series | None
    _before: Sequence[Segment] | None
    _known: Sequence[Segment] = ()

    def known_bytes(self, derived: Derived) -> Callable[[], KnownInSegments] | None:
        """What finds the vectors of known bytes, made when somebody asks; None where all shards are read anyway."""
        return partial(KnownInSegments, self._known, derived) if self._known else None

    def manifest(self) -> pl.DataFrame:
        """The rows of `parts`."""
        return pl.concat([self.every[0].frame().clear(), *(part.frame() for part in self.parts)])

    def before(self) -> pl.DataFrame | None:
        """Columns image_id, content_hash of the images that were in place of these; None before the first version."""
        if self._before is None:
            return None
        none = pl.DataFrame(schema={"image_id": pl.String, "content_hash": pl.String})
        return pl.concat([none, *(part.frame(["image_id", "content_hash"]) for part in self._before)])


def find_changed(parts: Sequence[Segment], out: Output, store: Store, asset: str, *, encoder: str) -> Changed:
    """Compare the segments of a list of images with those that the version before was made from.

    Parameters
    ----------
    parts : sequence of Segment
        Of the table image_manifest.
    asset : str
        The asset whose version before has the view of the images.
    """
    current = store.whole_current(asset)
    if current is None or len(parts) == 1 or current.artifact.facts.get("encoder") != encoder:
        before = None if current is None else segments(current.artifact, IMAGE_EMBEDDINGS)
        return Changed(parts, parts, None, None, before)
    before = segments(current.artifact, IMAGE_EMBEDDINGS)
    named = dict(zip((part.digest for part in before), shard_counts(before, store.derived), strict=True))
    small = small_shards(pl.concat(named.values()).group_by("shard").agg(pl.col("count").sum()))
    joins = {key for key, counts in named.items() if counts["shard"].is_in(small.implode()).any()}
    stays = {part.digest: found for part in parts if (found := out.shared(part, key=encoder)) is not None}
    kept = {found for found in stays.values() if found not in joins}
    changed = [part for part in parts if stays.get(part.digest) not in kept]
    rest = [part for part in before if part.digest not in kept]
    # A shard that only unchanged segments name has no image that could be new or changed.
    folder = store.shards_folder / digest(encoder)
    needed = {path.name for path in folder.glob("*.parquet")}
    needed -= {name for key in kept for name in _names(named[key])}
    needed |= {name for part in rest for name in _names(named[part.digest])}
    return Changed(parts, changed, needed, pl.Series(sorted(_last(small)), dtype=pl.String), rest, before)


def _names(counts: pl.DataFrame) -> list[str]:
    return _last(counts["shard"])


def _last(shards: pl.Series) -> list[str]:
    """Names in the encoder's folder."""
    return shards.str.split("/").list.last().to_list()


def first_rows(parts: Sequence[Rows], counts: pl.Series, wanted: pl.Expr, *, most: int = SHOWN_ROWS) -> pl.DataFrame:
    """The first rows of a table that are wanted; counts says how many each segment has."""
    found = [parts[0].frame().clear()]
    for part, count in zip(parts, counts, strict=True):
        if count and sum(map(len, found)) < most:
            found.append(part.frame().filter(wanted).head(most))
    return pl.concat(found).head(most)
