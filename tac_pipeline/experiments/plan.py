"""The file of an experiment: which sets, which ways, how many seeds.

    name: mine
    encoder: {model: ViT-B-32-quickgelu, pretrained: openai}       # for sets of pictures; or encoders: {name: {...}}
    nouns: wordnet                         # or a file: words, or noun and embedding for sets of vectors
    ways: [k-means, training-free, published, robust, zero-shot]
    seeds: 3
    sets:
      - name: CIFAR-20
        images: [cifar-100-python, cifar-100-binary]     # the first that is there: pictures, or a table of vectors
        label: coarse                      # the column with the truth
        learn: train                       # the split to learn from; left out: the one that is scored
        split: test                        # the split that is scored; left out: all images
        classes: 20
        class_names: [fish, [omelette, omelet], ...]     # for zero-shot, by sorted labels; of several, the first there
        published: {published: [61.1, 60.7, 44.8]}       # NMI, ACC, ARI in %

Paths start at the folder of the data.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml.nodes import Node

from tac_pipeline.errors import InputError, SettingsError
from tac_pipeline.experiments.ways import way_names
from tac_pipeline.first_run.settings_text import short_name
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES, EncoderSettings
from tac_pipeline.settings.reading import line_of, read_text, read_yaml, shown
from tac_pipeline.sources.layouts.imagenet import imagenet_subset, subset_patterns

LARGEST_FILE = 5_000_000  # bytes
Figures = tuple[float, float, float]
Text = Annotated[str, Field(min_length=1)]
# One word may be written without its brackets.
Words = Annotated[
    list[Text], Field(min_length=1), BeforeValidator(lambda named: [named] if isinstance(named, str) else named)
]
PRESETS = ("paper", "more")
# What pydantic calls the kinds of a union's parts: no line of a file has them.
_KINDS = ("str", "list[constrained-str]")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSet(_Strict):
    """One set with labels.

    Attributes
    ----------
    name : str
    images : str or list of str
        A Parquet table with a column `embedding`, or pictures: anything that `images.source` can be. Of a list, the
        first place that is there.
    label : str
        The column of the labels.
    learn : str or list of str, optional
        The splits that are learned from: the scored one, where this is left out.
    split : str, optional
        The split that is scored; without it, all images are.
    subset : str, optional
        A subset of ImageNet by its synsets: imagenet-10 or imagenet-dogs.
    classes : int, optional
        How many classes the scored images must have.
    class_names : list of list of str, optional
        Words for each class, in the order of their sorted labels, for zero-shot: the first that is among the nouns
        stands for it. Of pictures, the labels themselves where this is left out.
    exclude : list of str
        Patterns as in images.exclude.
    resize : int, optional
        See encoder.resize.
    page : str, optional
        Where people get the set.
    published : dict of way to (NMI, ACC, ARI) in %
    """

    name: Text
    images: Text | list[Text]
    label: Text = "label"
    learn: Text | list[Text] | None = None
    split: Text | None = None
    subset: Text | None = None
    classes: Annotated[int, Field(ge=2)] | None = None
    class_names: Annotated[list[Words], Field(min_length=2)] | None = None
    exclude: list[str] = []
    resize: Annotated[int, Field(ge=1)] | None = None
    page: str | None = None
    published: dict[str, Figures] = {}

    @property
    def learned(self) -> list[str]:
        """The splits that are learned from; none where all images are."""
        named = self.learn if self.learn is not None else self.split
        return [named] if isinstance(named, str) else named or []

    @property
    def scored(self) -> list[str]:
        """The split that is scored; none where all images are."""
        return [] if self.split is None else [self.split]

    @property
    def splits(self) -> list[str]:
        """All splits that it names, each once."""
        return list(dict.fromkeys([*self.learned, *self.scored]))

    @property
    def places(self) -> list[str]:
        """The places that its images may be at."""
        return [self.images] if isinstance(self.images, str) else self.images

    def settings(self) -> dict[str, object]:
        """The settings of a store of this set by the paper's method, by dotted keys."""
        labels = list(dict.fromkeys([self.label, "label"]))
        exclude = [*self.exclude, *(subset_patterns(imagenet_subset(self.subset)) if self.subset else [])]
        found = {
            "images.labels": "column" if labels == ["label"] else labels,
            "images.exclude": exclude,
            "encoder.resize": self.resize,
            "training_set.split": self.learn,
            "evaluation.split": self.split,
            "clusters.count": self.classes,
            "method": "published",
        }
        return {key: value for key, value in found.items() if value not in (None, [])}

    def place(self, data: Path) -> Path:
        """The place that its images are at.

        Raises
        ------
        InputError
            None of them is there.
        """
        found = [data / place for place in self.places if (data / place).exists()]
        # Or the folder itself, as it was unpacked.
        found += [data] if data.name in self.places and data.exists() else []
        if not found:
            had = f"; it can be had at {self.page}" if self.page else ""
            raise InputError(f"{self.name}: there is no {' or '.join(self.places)} in {data}{had}")
        return found[0]


class Experiment(_Strict):
    """What is compared; see the module.

    `encoders` are several by their names, each with rows of its own; without them, `encoder` is the one.
    """

    name: Text
    encoder: EncoderSettings = EncoderSettings()
    encoders: dict[Text, EncoderSettings] = {}
    nouns: Text = "wordnet"
    templates: Annotated[list[str], Field(min_length=1)] = list(PUBLISHED_TEMPLATES)
    ways: Annotated[list[str], Field(min_length=1)] = ["k-means", "training-free", "published", "robust"]
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    sets: Annotated[list[DataSet], Field(min_length=1)]

    @property
    def by_name(self) -> dict[str, EncoderSettings]:
        """The encoders by their names; "" for the only one."""
        return self.encoders or {"": self.encoder}


def load_experiment(path: Path) -> Experiment:
    """Read and validate the file of an experiment; `paper` and `more` are files that come with the package.

    Raises
    ------
    SettingsError
        It cannot be read, is not YAML, or does not say what it must; names the line.
    """
    if not path.exists() and (name := _preset_name(path)) is not None:
        return load_preset(name)
    return _parsed(read_text(path, max_bytes=LARGEST_FILE, what="the file of an experiment"), name=path.name)


def _preset_name(path: Path) -> str | None:
    """`paper`, `paper.yaml` and `presets/paper.yaml` name the same."""
    named = path.parent.name in ("", "presets") and path.suffix in ("", ".yaml")
    return path.stem if named and path.stem in PRESETS else None


@cache
def load_preset(name: str) -> Experiment:
    """An experiment that comes with the package: `paper` or `more`."""
    file = resources.files("tac_pipeline.experiments").joinpath(f"presets/{name}.yaml")
    return _parsed(file.read_text(encoding="utf-8"), name=f"{name}.yaml")


def preset_sets() -> dict[str, DataSet]:
    """The data sets of all presets by their short names: small letters and digits alone, such as cifar10."""
    sets = (one for name in PRESETS for one in load_preset(name).sets)
    return {short_name(one.name): one for one in sets}


def _parsed(text: str, *, name: str) -> Experiment:
    tree, written = read_yaml(text, name=name)
    try:
        found = Experiment.model_validate(written)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        parts = tuple(part for part in problem["loc"] if part not in _KINDS)
        key, line = ".".join(map(str, parts)) or name, line_of(tree, parts)
        raise SettingsError(
            f"{key}: {problem['msg'].lower()}; got {shown(problem['input'])} ({name}, line {line})"
        ) from None
    _require_known_ways(found, tree, name)
    names = [one.name for one in found.sets]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise SettingsError(f"{name}: each set must have a name of its own; {twice[0]} is there twice")
    return found


def _require_known_ways(found: Experiment, tree: Node | None, name: str) -> None:
    unknown = [way for way in found.ways if way not in way_names()]
    if unknown:
        line = line_of(tree, ("ways", found.ways.index(unknown[0])))
        raise SettingsError(f"ways must be some of {', '.join(way_names())}; got {unknown[0]!r} ({name}, line {line})")
