"""Sets of pictures: they are encoded once for each encoder, and what was encoded is kept beside the results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.digest import digest
from tac_pipeline.embedding import KnownVectors, embed_missing, encoded_batches, given_batches
from tac_pipeline.embedding.nouns import embed_nouns, seed_from_package
from tac_pipeline.encoders import encoder_of_settings
from tac_pipeline.errors import InputError
from tac_pipeline.experiments.plan import DataSet
from tac_pipeline.progress import RateLog
from tac_pipeline.settings.keys import EncoderSettings, Images
from tac_pipeline.sources import ImageSource, Rules, VectorSource, open_source
from tac_pipeline.sources.layouts.imagenet import imagenet_subset, subset_patterns
from tac_pipeline.sources.listing import require_splits
from tac_pipeline.sources.many import SingleSource
from tac_pipeline.store.prompted_nouns import PromptedNouns
from tac_pipeline.store.shards import EmbeddedBatch, gather_vectors

Say = Callable[[str], None]
# The column of a source that says which image is in which split.
SPLIT = "split"
SYNSET = "synset"
# As many problems of a source are said.
MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Pictures:
    """The images that a set learns from or scores.

    Attributes
    ----------
    source : SingleSource
    place : Path
    exclude : list of str
        Patterns of what is left out.
    table : DataFrame
        Columns image_id, uri, size, version, label (null where there is none) and split, if the set names any.
    problems : list of str
        Sentences about what could not be looked at, or not be read.
    """

    source: SingleSource
    place: Path
    exclude: list[str]
    table: pl.DataFrame
    problems: list[str]


def list_pictures(one: DataSet, place: Path, problems: list[str]) -> Pictures:
    """Look through the source of a set; reads no image. Adds to `problems` even where it refuses.

    Raises
    ------
    InputError
        A split has no image.
    """
    synsets = () if one.subset is None else imagenet_subset(one.subset)
    exclude = [*one.exclude, *(subset_patterns(synsets, flat_val=True) if synsets else [])]
    source = open_source(str(place), rules=Rules(exclude))
    listing = source.listing()
    problems += [f"{one.name}: {below}: {reason}" for below, reason in listing.problems.head(MOST_PROBLEMS).iter_rows()]
    if len(listing.problems) > MOST_PROBLEMS:
        problems.append(f"{one.name}: {len(listing.problems) - MOST_PROBLEMS:,} more problems like these")
    listed = listing.images
    if synsets:
        listed = _with_column(listed, source, SYNSET, SYNSET, where=f"{one.name}: subset")
        listed = listed.filter(pl.col(SYNSET).is_in(synsets))
    listed = _with_column(listed, source, one.label, "label", where=f"{one.name}: label")
    if one.splits:
        listed = _with_column(listed, source, SPLIT, SPLIT, where=f"{one.name}: split")
        require_splits(one.splits, listed[SPLIT], key=f"{one.name}: split")
        listed = listed.filter(pl.col(SPLIT).is_in(one.splits))
    return Pictures(source, place, exclude, listed, problems)


class Encoding:
    """An encoder, and the folder where its vectors are kept.

    Parameters
    ----------
    settings : EncoderSettings
        Files of weights start at the current folder.
    templates : sequence of str
        Prompts for nouns and names of classes.
    kept : Path
    say : callable
        Takes a line about the progress.
    """

    def __init__(self, settings: EncoderSettings, templates: Sequence[str], kept: Path, say: Say) -> None:
        self._settings, self._templates, self._kept, self._say = settings, list(templates), kept, say
        self._encoder = encoder_of_settings(settings)

    @property
    def name(self) -> str:
        """The encoder's fingerprint."""
        return self._encoder.fingerprint

    def words(self, words: Sequence[str]) -> FloatMatrix:
        """Vectors of nouns or names of classes in all templates, float32 (n_words, dim), unit rows."""
        table = PromptedNouns(
            self._kept / "nouns",
            encoder=self._encoder.text_fingerprint,
            templates=self._templates,
            dim=self._encoder.dim,
        )
        if not table:
            seed_from_package(table, templates=self._templates)
        batch = self._settings.batch_size
        progress = RateLog(self._say, "nouns")
        return embed_nouns(words, self._encoder, table, templates=self._templates, batch_size=batch, progress=progress)

    def images(self, one: DataSet, pictures: Pictures) -> tuple[pl.DataFrame, FloatMatrix]:
        """The images of a set that can be read, with their vectors; holds all of them.

        Returns
        -------
        table : DataFrame
            Columns image_id, content_hash, and those of the set's pictures.
        vectors : float32 (n_images, dim), unit rows

        Raises
        ------
        InputError
            No image can be read.
        """
        source, place, listed = pictures.source, pictures.place, pictures.table
        limits = Images(source=str(place))

        def embed(missing: pl.DataFrame, known: KnownVectors) -> Iterator[EmbeddedBatch]:
            if isinstance(source, VectorSource):
                return given_batches(missing, source)
            self._say(f"{one.name}: {len(missing):,} images to encode with {self.name}")
            return encoded_batches(
                missing,
                source.reader,
                self._encoder,
                known=known,
                batch_size=self._settings.batch_size,
                max_pixels=limits.max_pixels,
                max_bytes=limits.max_bytes,
                any_order=True,
            )

        # One set may be had in two ways of labeling: its images are encoded once.
        shards = self._kept / "images" / digest([str(place), pictures.exclude])[:16]
        name = source.encoder or self.name
        view = embed_missing(
            listed, embed, shards=shards, encoder=name, progress=RateLog(self._say, f"images of {one.name}")
        )
        readable = view.filter(pl.col("error").is_null())
        if readable.is_empty():
            raise InputError(f"{one.name}: no image of {place} can be read: {view['error'][0]}")
        if len(readable) < len(view):
            pictures.problems.append(
                f"{one.name}: {len(view) - len(readable):,} of {len(view):,} images cannot be read, and are left out"
            )
        table = readable.select("image_id", "content_hash").join(
            listed.select("image_id", "label", *([SPLIT] if one.splits else [])), on="image_id", maintain_order="left"
        )
        return table, gather_vectors(readable, shards, encoder=name)


def _with_column(listed: pl.DataFrame, source: ImageSource, column: str, name: str, *, where: str) -> pl.DataFrame:
    """A listing with a column of its source as another one, null where the source says nothing."""
    found = source.labels(listed["image_id"].to_list(), "column", column=column, key=where)
    return listed.join(found.rename({"label": name}), on="image_id", how="left", maintain_order="left")


def words_of(label: str) -> str:
    """A label as a phrase: apply_eye_makeup and ApplyEyeMakeup are "apply eye makeup"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label)
    spaced = " ".join(spaced.replace("_", " ").split())
    return spaced.lower() if spaced != label else label
