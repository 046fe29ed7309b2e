"""Opening a set: its vectors, the classes of its images, and the nouns in the same space."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector, require_unit_rows
from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.experiments.pictures import SPLIT, Encoding, Pictures, list_pictures, words_of
from tac_pipeline.experiments.plan import DataSet, Experiment
from tac_pipeline.experiments.ways import Vectors
from tac_pipeline.nouns import CandidateNouns, load_candidate_nouns
from tac_pipeline.sources.listing import require_splits
from tac_pipeline.sources.tables.parquet import parquet_schema
from tac_pipeline.sources.tables.vectors import is_vector_table

# Where the vectors of pictures are kept, beside the results.
VECTORS_FOLDER = "vectors"
# Raised by hand when a way gives something else, or a result says more: older lines are then made again.
VERSION = 2


@dataclass(frozen=True)
class OpenedSet:
    """A set as it is run.

    Attributes
    ----------
    seen : Vectors
    labels : int64 (n_scored,)
        The class of each scored image, from 0.
    content : str
        Digest of all that a result depends on, beside way, seed and the names of the classes.
    encoder : str
        What made the vectors; "" where a table does not say.
    encoder_name : str
        What the experiment calls it.
    """

    seen: Vectors
    labels: IntVector
    content: str
    encoder: str = ""
    encoder_name: str = ""


class Shelf:
    """Opens the sets of an experiment; the nouns are read, or encoded, once.

    Attributes
    ----------
    problems : list of str
        Sentences about the sets opened until now: what could not be looked at, or not be read.
    """

    def __init__(self, experiment: Experiment, data: Path, out: Path, say: Callable[[str], None]) -> None:
        self._experiment, self._data, self._out, self._say = experiment, data, out, say
        self._encodings: dict[tuple[str, int | None], Encoding] = {}
        self.problems: list[str] = []
        self._heard: tuple[str | None, FloatMatrix] = None, np.empty((0, 0), dtype=np.float32)

    def open(self, one: DataSet) -> Iterator[OpenedSet]:
        """A set with its vectors, labels and nouns: once of vectors, and for each encoder of pictures.

        Raises
        ------
        InputError
            It is not there or cannot be read, a split is empty, labels are missing, classes and what is said of them
            differ in number, or the nouns have no vectors of its encoder.
        TacError
            The encoder cannot be had.
        """
        place = one.place(self._data)
        if place.is_file() and place.suffix == ".parquet" and is_vector_table(parquet_schema(place)):
            yield self._open_vectors(one, place)
            return
        pictures = list_pictures(one, place, self.problems)
        # What does not fit is refused before anything is encoded.
        _Parts(one, pictures.table, place)
        for name in self._experiment.by_name:
            yield self._open_pictures(one, pictures, name)

    def _open_vectors(self, one: DataSet, place: Path) -> OpenedSet:
        table = _read(place, ["embedding", one.label, *([SPLIT] if one.splits else [])])
        parts = _Parts(one, table, place)
        vectors = _unit(table, place)
        if self._nouns.embeddings is None:
            raise InputError(
                f"{one.name}: {self._experiment.nouns} must have a column embedding of the encoder that made {place}"
            )
        words = self._nouns.table["noun"].to_list()
        seen = parts.seen(vectors, words, self._nouns.embeddings, one.class_names)
        content = [VERSION, file_sha256(place), digest(words), one.label, one.learn, one.split]
        return OpenedSet(seen, parts.labels, digest([*content, *self._of_nouns]))

    def _open_pictures(self, one: DataSet, pictures: Pictures, name: str) -> OpenedSet:
        encoding = self._encoding(name, one.resize)
        table, vectors = encoding.images(one, pictures)
        parts = _Parts(one, table, pictures.place)
        names = one.class_names or [[words_of(name)] for name in parts.names]
        # Each can be encoded: the first word of each class is its name.
        class_vectors = encoding.words([first for first, *_ in names]) if "zero-shot" in self._experiment.ways else None
        words = self._nouns.table["noun"].to_list()
        seen = parts.seen(vectors, words, self._noun_vectors(name), names, class_vectors)
        content = [VERSION, encoding.name, table.rows(), one.learn, one.split, self._experiment.templates]
        return OpenedSet(seen, parts.labels, digest([*content, *self._of_nouns]), encoding.name, name)

    @cached_property
    def _nouns(self) -> CandidateNouns:
        named = self._experiment.nouns
        # All of WordNet, as in the paper: nothing is shown to anybody.
        return load_candidate_nouns(named if named == "wordnet" else self._data / named, exclude_offensive=False)

    @cached_property
    def _of_nouns(self) -> list[str]:
        vectors = self._nouns.embeddings
        read = "" if vectors is None else hashlib.sha256(vectors.tobytes()).hexdigest()
        return [digest(self._nouns.table["noun"].to_list()), read]

    def _encoding(self, name: str, resize: int | None) -> Encoding:
        encoder, kept = self._experiment.by_name[name], self._out / VECTORS_FOLDER
        if resize is not None:
            encoder = encoder.model_copy(update={"resize": resize})
        if (name, resize) not in self._encodings:
            # A model stays loaded for the sets of one encoder.
            self._encodings = {key: found for key, found in self._encodings.items() if key[0] == name}
            self._encodings[name, resize] = Encoding(encoder, self._experiment.templates, kept, self._say)
        return self._encodings[name, resize]

    def _noun_vectors(self, name: str) -> FloatMatrix:
        """Of the encoder of the pictures, whatever vectors a table of nouns has for others."""
        if self._heard[0] != name:
            # Those of one encoder at a time.
            self._heard = name, self._encoding(name, None).words(self._nouns.table["noun"].to_list())
        return self._heard[1]


class _Parts:
    """The rows of a set that are learned from and scored, and the classes of the scored ones.

    Raises
    ------
    InputError
        A split is empty, labels are missing, or the classes are not as many as the plan says.
    """

    def __init__(self, one: DataSet, table: pl.DataFrame, place: Path) -> None:
        self._learned = self._rows(one, table, one.learned)
        self._scored = self._rows(one, table, one.scored)
        column = "label" if "label" in table.columns else one.label
        truth = table[column].gather(self._scored)
        bare = truth.null_count()
        if bare:
            raise InputError(
                f"{one.name}: each scored image must have a label; {bare:,} of {len(truth):,} of {place} have no "
                f"{one.label}: leave them out, or put them in a split that is not scored"
            )
        names, labels = np.unique(_sortable(truth), return_inverse=True)
        self.names: list[str] = [str(name) for name in names]
        self.labels: IntVector = labels.astype(np.int64)
        if one.class_names is not None and len(one.class_names) != len(names):
            raise InputError(
                f"{one.name}: class_names must name each of the {len(names)} classes of {place}; it has "
                f"{len(one.class_names)} names"
            )
        if one.classes is not None and one.classes != len(names):
            raise InputError(
                f"{one.name}: the scored images of {place} must have {one.classes} classes, and they have "
                f"{len(names)}: {first_few(self.names, 3)}"
            )

    @staticmethod
    def _rows(one: DataSet, table: pl.DataFrame, splits: list[str]) -> IntVector:
        if not splits:
            return np.arange(len(table))
        require_splits(splits, table[SPLIT], key=f"{one.name}: split")
        return table[SPLIT].is_in(splits).fill_null(value=False).arg_true().to_numpy().astype(np.int64)

    def seen(
        self,
        vectors: FloatMatrix,
        nouns: list[str],
        noun_vectors: FloatMatrix,
        class_names: list[list[str]] | None,
        class_vectors: FloatMatrix | None = None,
    ) -> Vectors:
        """What the ways see, with the vectors of the table's rows."""
        scored = vectors[self._scored]
        same = np.array_equal(self._learned, self._scored)
        learned = scored if same else vectors[self._learned]
        return Vectors(learned, scored, len(self.names), nouns, noun_vectors, class_names, class_vectors)


def _sortable(labels: pl.Series) -> np.ndarray:
    """Labels that are numbers in their order: 2 before 10."""
    numbers = labels.cast(pl.Int64, strict=False)
    return (labels if numbers.null_count() else numbers).to_numpy()


def _read(path: Path, columns: list[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path} must be a Parquet table with {', '.join(columns)}: {str(error).splitlines()[0]}"
        ) from error


def _unit(table: pl.DataFrame, path: Path) -> FloatMatrix:
    rows = table["embedding"]
    if isinstance(rows.dtype, pl.List):
        widths = rows.list.len()
        if widths.n_unique() != 1:
            raise InputError(f"{path}: all vectors of embedding must have one width")
        rows = rows.list.to_array(int(widths[0]))
    return require_unit_rows(rows.to_numpy().astype(np.float32), name=f"the vectors of {path.name}")
