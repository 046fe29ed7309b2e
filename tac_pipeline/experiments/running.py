"""Running an experiment: each way on each set with each seed. A result is a line of a file, and is never made twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tac_pipeline.arrays import IntVector
from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.experiments.opening import OpenedSet, Shelf
from tac_pipeline.experiments.plan import DataSet, Experiment
from tac_pipeline.experiments.ways import load_way, told_names
from tac_pipeline.first_run.cost import machine
from tac_pipeline.method.clusters.evaluation import score

RESULTS_NAME = "results.jsonl"
SCORES = ("nmi", "acc", "ari", "ami", "homogeneity", "many_to_one", "recall")


@dataclass(frozen=True)
class Result:
    """One way on one set with one seed.

    Attributes
    ----------
    key : str
        Digest of what it depends on.
    data, way : str
    seed : int
    learned, images : int
        Images that were learned from, and that were scored.
    learn, split : str or None
        The splits that these are of.
    classes : int
    nmi, acc, ari, ami, homogeneity, many_to_one, recall : float
        See Scores. ACC of zero-shot, whose groups are classes, is the plain one.
    seconds : float
    encoder, encoder_name, machine : str
        What made the vectors, where that is known, what the experiment calls it, and where the seconds were taken.
    unnamed : list of str
        Of zero-shot: the classes without a vector.
    """

    key: str
    data: str
    way: str
    seed: int
    learned: int
    images: int
    learn: str | None
    split: str | None
    classes: int
    nmi: float
    acc: float
    ari: float
    ami: float
    homogeneity: float
    many_to_one: float
    recall: float
    seconds: float
    encoder: str
    encoder_name: str
    machine: str
    unnamed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """All results of an experiment, and in words what could not be run, and what of a set could not be read."""

    results: list[Result]
    missing: list[str]
    problems: list[str] = field(default_factory=list)


def run_experiment(
    experiment: Experiment, data: Path, out: Path, *, seeds: int | None = None, say: Callable[[str], None]
) -> Outcome:
    """Run what has not been run, and give all results. Holds one set at a time, and the nouns.

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
    shelf, kept = Shelf(experiment, data, out, say), _Kept(out / RESULTS_NAME)
    results, missing = list[Result](), list[str]()
    for one in experiment.sets:
        try:
            for opened in shelf.open(one):
                for seed in range(experiment.seeds if seeds is None else seeds):
                    results += _run_ways(experiment, one, opened, seed, kept, say, missing)
        except TacError as error:
            missing.append(str(error))
    return Outcome(results, list(dict.fromkeys(missing)), list(dict.fromkeys(shelf.problems)))


def _run_ways(
    experiment: Experiment,
    one: DataSet,
    opened: OpenedSet,
    seed: int,
    kept: _Kept,
    say: Callable[[str], None],
    missing: list[str],
) -> Iterator[Result]:
    for way in experiment.ways:
        key = _key(opened, way, seed)
        if kept.find(key) is None:
            try:
                found = load_way(way)(opened.seen, seed)
            except InputError as error:
                # The other ways go on.
                missing.append(f"{one.name}: {error}")
                continue
            for name, groups in found.items():
                scores = score(opened.labels, groups.groups)
                figures = {each: getattr(scores, each) for each in SCORES}
                if groups.is_class:
                    figures |= _plain_figures(opened.labels, groups.groups)
                kept.add(
                    Result(
                        key=_key(opened, name, seed),
                        data=one.name,
                        way=name,
                        seed=seed,
                        learned=len(opened.seen.learned),
                        images=len(opened.labels),
                        learn=" and ".join(one.learned) or None,
                        split=one.split,
                        classes=opened.seen.n_classes,
                        seconds=groups.seconds,
                        encoder=opened.encoder,
                        encoder_name=opened.encoder_name,
                        machine=machine(),
                        unnamed=groups.unnamed,
                        **figures,
                    )
                )
                shown = f"NMI {figures['nmi']:.3f}, ACC {figures['acc']:.3f}, {groups.seconds:.1f} s"
                say(f"{one.name}, {name}, seed {seed}: {shown}")
        result = kept.find(key)
        if result is not None:
            yield result


def _key(opened: OpenedSet, way: str, seed: int) -> str:
    return digest([opened.content, way, seed, *([opened.seen.class_names] if told_names(way) else [])])


def _plain_figures(labels: IntVector, groups: IntVector) -> dict[str, float]:
    """ACC, and recall as the mean over classes, of groups that are classes by their number."""
    right = labels == groups
    recalls = [right[labels == each].mean() for each in np.unique(labels)]
    return {"acc": float(right.mean()), "recall": float(np.mean(recalls))}


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
