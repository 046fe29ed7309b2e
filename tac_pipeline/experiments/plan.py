"""The file of an experiment: which sets, which ways, how many seeds.

    name: vectors
    nouns: nouns.parquet                   # noun, embedding
    ways: [k-means, training-free, published, robust, zero-shot]
    seeds: 3
    sets:
      - name: food10
        images: food10.parquet             # label, embedding; and split, if one is asked for
        split: test
        class_names: [apple pie, ...]      # in the order of the labels: for zero-shot
        published: {robust: [89.6, 94.0, 88.0]}      # NMI, ACC, ARI in %

Paths start at the folder of the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tac_pipeline.errors import SettingsError
from tac_pipeline.experiments.ways import way_names
from tac_pipeline.settings.reading import line_of, read_text, read_yaml, shown

LARGEST_FILE = 5_000_000  # bytes
Figures = tuple[float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSet(_Strict):
    """One set with labels.

    Attributes
    ----------
    name : str
    images : str
        A Parquet table with a column `embedding`, and the labels.
    label : str
        The column of the labels: text, or numbers from 0 in the order of class_names.
    split : str, optional
        Only rows that have this in their column `split`.
    class_names : list of str, optional
    published : dict of way to (NMI, ACC, ARI) in %
    """

    name: Annotated[str, Field(min_length=1)]
    images: Annotated[str, Field(min_length=1)]
    label: str = "label"
    split: str | None = None
    class_names: list[str] | None = None
    published: dict[str, Figures] = {}


class Experiment(_Strict):
    """What is compared; see the module."""

    name: Annotated[str, Field(min_length=1)]
    nouns: Annotated[str, Field(min_length=1)]
    ways: Annotated[list[str], Field(min_length=1)] = ["k-means", "training-free", "published", "robust"]
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    sets: Annotated[list[DataSet], Field(min_length=1)]


def load_experiment(path: Path) -> Experiment:
    """Read and validate the file of an experiment.

    Raises
    ------
    SettingsError
        It cannot be read, is not YAML, or does not say what it must; names the line.
    """
    tree, written = read_yaml(read_text(path, max_bytes=LARGEST_FILE, what="the file of an experiment"), name=path.name)
    try:
        found = Experiment.model_validate(written)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        parts = tuple(problem["loc"])
        key, line = ".".join(map(str, parts)) or path.name, line_of(tree, parts)
        raise SettingsError(
            f"{key}: {problem['msg'].lower()}; got {shown(problem['input'])} ({path.name}, line {line})"
        ) from None
    unknown = [way for way in found.ways if way not in way_names()]
    if unknown:
        line = line_of(tree, ("ways", found.ways.index(unknown[0])))
        raise SettingsError(
            f"ways must be some of {', '.join(way_names())}; got {unknown[0]!r} ({path.name}, line {line})"
        )
    names = [one.name for one in found.sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{path.name}: each set must have a name of its own; {twice[0]} is there twice")
    return found
