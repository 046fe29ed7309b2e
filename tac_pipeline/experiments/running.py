"""Running an experiment: each way on each set with each seed. A result is a line of a file, and is never made twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, require_unit_rows
from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.experiments.plan import DataSet, Experiment
from tac_pipeline.experiments.ways import Vectors, load_way
from tac_pipeline.method.clusters.evaluation import score

RESULTS_NAME = "results.jsonl"
# Raised by hand when a way gives something else: older lines are then made again.
VERSION = 1


@dataclass(frozen=True)
class Result:
    """One way on one set with one seed.

    Attributes
    ----------
    key : str
        Digest of what it depends on.
    data, way : str
    seed, images, classes : int
    nmi, acc, ari, seconds : float
    """

    key: str
    data: str
    way: str
    seed: int
    images: int
    classes: int
    nmi: float
    acc: float
    ari: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """All results of an experiment, and what could not be run, in words."""

    results: list[Result]
    missing: list[str]


def run_experiment(
    experiment: Experiment, data: Path, out: Path, *, seeds: int | None = None, say: Callable[[str], None]
) -> Outcome:
    """Run what has not been run, and give all results. Holds one set at a time.

    Parameters
    ----------
    data : Path
        The folder that the paths of the experiment start at.
    out : Path
        The folder of the results.
    seeds : int, optional
        Instead of the experiment's: 0, 1, ...
    say : callable
        Takes a line about each run.

    Raises
    ------
    InputError
        The nouns cannot be read.
    """
    nouns, noun_vectors = read_nouns(data / experiment.nouns)
    noun_digest, kept = file_sha256(data / experiment.nouns), _Kept(out / RESULTS_NAME)
    results, missing = list[Result](), list[str]()
    for one in experiment.sets:
        try:
            seen, labels = read_set(one, data, nouns, noun_vectors)
        except TacError as error:
            missing.append(str(error))
            continue
        known = digest([VERSION, file_sha256(data / one.images), noun_digest, one.label, one.split, one.class_names])
        for seed in range(experiment.seeds if seeds is None else seeds):
            try:
                results += _run_ways(experiment, one, seen, labels, seed, known, kept, say)
            except InputError as error:
                missing.append(f"{one.name}: {error}")
    return Outcome(results, list(dict.fromkeys(missing)))


def _run_ways(
    experiment: Experiment,
    one: DataSet,
    seen: Vectors,
    labels: np.ndarray,
    seed: int,
    known: str,
    kept: _Kept,
    say: Callable[[str], None],
) -> Iterator[Result]:
    refused: InputError | None = None
    for way in experiment.ways:
        key = digest([known, way, seed])
        if kept.find(key) is None:
            try:
                found = load_way(way)(seen, seed)
            except InputError as error:
                # The other ways go on.
                refused = error
                continue
            for name, groups in found.items():
                scores = score(labels, groups.groups)
                acc = float((labels == groups.groups).mean()) if groups.is_class else scores.acc
                kept.add(
                    Result(
                        digest([known, name, seed]),
                        one.name,
                        name,
                        seed,
                        len(labels),
                        seen.n_classes,
                        scores.nmi,
                        acc,
                        scores.ari,
                        groups.seconds,
                    )
                )
                say(f"{one.name}, {name}, seed {seed}: NMI {scores.nmi:.3f}, ACC {acc:.3f}, {groups.seconds:.1f} s")
        result = kept.find(key)
        if result is not None:
            yield result
    if refused is not None:
        raise refused


class _Kept:
    """The results of before, one JSON object a line; a last line that was cut short is made again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Result] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self._cut = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                found = Result(**json.loads(line))
            except (ValueError, TypeError):
                continue
            self._known[found.key] = found

    def find(self, key: str) -> Result | None:
        return self._known.get(key)

    def add(self, result: Result) -> None:
        if result.key in self._known:
            return
        self._known[result.key] = result
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._cut else "") + json.dumps(asdict(result)) + "\n")
        self._cut = False


def read_nouns(path: Path) -> tuple[list[str], FloatMatrix]:
    """Nouns and their vectors, float32 (n_nouns, dim), unit rows.

    Raises
    ------
    InputError
        The table cannot be read, or has no such columns.
    """
    table = _read(path, ["noun", "embedding"])
    return table["noun"].to_list(), _unit(table, path)


def read_set(one: DataSet, data: Path, nouns: list[str], noun_vectors: FloatMatrix) -> tuple[Vectors, np.ndarray]:
    """A set's vectors, and its labels as numbers from 0, int64 (n_images,).

    Raises
    ------
    InputError
        The table cannot be read, its split is empty, labels are missing, or classes and class_names differ in number.
    """
    path = data / one.images
    table = _read(path, ["embedding", one.label, *(["split"] if one.split is not None else [])])
    if one.split is not None:
        table = table.filter(pl.col("split") == one.split)
        if table.is_empty():
            raise InputError(f"{one.name}: {path} has no row of the split {one.split!r}")
    bare = table[one.label].null_count()
    if bare:
        raise InputError(f"{one.name}: {bare:,} of {len(table):,} rows of {path} have no {one.label}")
    names, labels = np.unique(table[one.label].to_numpy(), return_inverse=True)
    if one.class_names is not None and len(one.class_names) != len(names):
        raise InputError(
            f"{one.name}: class_names must name each of the {len(names)} classes of {path}; it has "
            f"{len(one.class_names)} names"
        )
    seen = Vectors(_unit(table, path), len(names), nouns, noun_vectors, one.class_names)
    return seen, labels.astype(np.int64)


def _read(path: Path, columns: list[str]) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
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
