"""The settings file: the only place where parameters live.

Every key is marked *result* (it can change the results, so it enters code versions and recipes) or *execution*
(it changes speed, place or upkeep, and never marks anything stale). What must stay out: values of the methods that
users do not set (method/values/).
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tac_pipeline.errors import SettingsError
from tac_pipeline.method import METHODS, method_names
from tac_pipeline.settings.criterion import require_criterion
from tac_pipeline.settings.groupings import overlaid, require_groupings
from tac_pipeline.settings.outside import AlertSettings, PublicationSettings
from tac_pipeline.settings.presets import fill_preset
from tac_pipeline.settings.section import Section as Section
from tac_pipeline.settings.section import added_result, execution, refusal, result

PUBLISHED_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)

Place = Annotated[str, Field(min_length=1)]


def _require_labels(value: object) -> object:
    """One of three words, or the names of columns. One sentence refuses anything else; a union would give two."""
    if value in ("none", "folder", "column"):
        return value
    if isinstance(value, list) and value and all(isinstance(name, str) and name for name in value):
        if len(set(value)) < len(value):
            raise PydanticCustomError("label_columns", "{sentence}", {"sentence": "must name each column once"})
        return value
    sentence = "must be none, folder, column or a list of columns"
    raise PydanticCustomError("label_columns", "{sentence}", {"sentence": sentence})


class Images(Section):
    """Where the images are."""

    source: Place | list[Place] = result(
        min_length=1,
        description="folder, tar, fsspec URL, manifest (.csv, .tsv, .jsonl, .txt, .parquet with the images' places or "
        "bytes), or vector tables (.parquet, .npy); or a list of such, whose images get the place's name as a prefix",
    )
    labels: Annotated[str | list[str], BeforeValidator(_require_labels)] = result(
        "none",
        description="true labels, for evaluation only: folder = the name of an image's folder, column = the column "
        "`label`, or a list of columns such as [label, coarse], of which each is scored",
    )
    max_pixels: int = result(
        200_000_000, ge=1, description="an image with more pixels is kept as unreadable, never decoded"
    )
    max_bytes: int = result(
        500_000_000, ge=1, description="an image file with more bytes is kept as unreadable, never read"
    )
    timeout: float = execution(
        30.0,
        gt=0,
        description="seconds after which reading a remote image is given up when nothing, or hardly anything, arrives; "
        "it is tried 3 times",
    )
    concurrent_reads: int = execution(
        32, ge=1, le=1024, description="images that are read at once; at most 256 MB wait to be decoded"
    )
    compare: Literal["folders", "listing", "content"] = execution(
        "listing",
        description="how changed images are found: by the listing's size and time (or etag); by the same, but only in "
        "local folders of changed time (in all at a re-clustering, and by `tac run --full`); or by reading all images",
    )
    exclude: list[str] = execution(
        [],
        description="patterns as in a .gitignore, of paths below the source that are passed over; hidden files, and "
        "folders that systems keep for themselves, are so without a pattern",
    )
    follow_links: bool = execution(False, description="whether linked folders are looked through; loops end")
    max_loss: float = execution(
        0.5, ge=0, le=1, description="a run stops when more than this share of the known images is gone from the source"
    )

    @property
    def places(self) -> list[str]:
        """The places of the source, at least one."""
        return [self.source] if isinstance(self.source, str) else self.source

    @property
    def label_columns(self) -> list[str]:
        """The columns with true labels; none where folders have them, or nothing."""
        if isinstance(self.labels, str):
            return ["label"] if self.labels == "column" else []
        return self.labels


class SecondEncoder(Section):
    """A second image model beside that of `encoder`: groups see both, words know the first alone."""

    model: str | None = added_result(
        None, min_length=1, description="a model of timm, such as vit_base_patch14_dinov2.lvd142m; null = none"
    )
    pretrained: str | None = added_result(
        None, min_length=1, description="its checkpoint file, or `random`; null = the weights of the tag in its name"
    )
    weight: float = added_result(
        0.5, gt=0, lt=1, description="its share of the squared length of an image's vector; CLIP's has the rest"
    )


class EncoderSettings(Section):
    """What turns images and nouns into vectors."""

    preset: Literal["fast", "balanced", "best"] | None = execution(
        None, description="a name for model and pretrained, which are then left out; see the guide to encoders"
    )
    model: str = result(
        "ViT-B-32-quickgelu", min_length=1, description="an open_clip model name or its config file, or `tac-small`"
    )
    pretrained: str = result(
        "openai", min_length=1, description="an open_clip tag, a checkpoint file, or `random` to try the pipeline"
    )
    precision: Literal["float", "int8"] = result(
        "float",
        description="of the image tower; int8 is faster where there is no bfloat16; its vectors differ a bit",
    )
    resize: int | None = added_result(
        None,
        ge=1,
        description="pixels that an image's shorter side gets before its center is cut out, such as 256 where "
        "the model sees 224; null = the model's own side",
    )
    batch_size: int = execution(
        64, ge=1, description="images or prompts encoded at once; on CUDA at least 1,024 prompts"
    )
    device: str = execution("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N, mps")
    second: SecondEncoder = SecondEncoder()

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, written: object) -> object:
        return fill_preset(written)


class Nouns(Section):
    """The nouns that the groups are described with."""

    source: Place | list[Place] = result(
        "wordnet",
        min_length=1,
        description="wordnet, a text file with one noun per line, or a table with noun and optional embedding, weight "
        "and never; or a list of such; see the guide to own words",
    )
    templates: list[Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]] = result(
        list(PUBLISHED_TEMPLATES), min_length=1, description="prompts; the noun takes the place of {}"
    )
    exclude_offensive: bool = result(True, description="drop nouns that must not name a group of photographs")
    language: str | None = added_result(
        None,
        pattern=r"^[a-z]{2,3}$",
        description="language of the names, such as deu or de; English where it has no word; null = English",
    )
    language_data: str | None = added_result(
        None,
        min_length=1,
        description="file, folder or zip with that language's words, of the Open Multilingual WordNet; null = nltk's",
    )

    @property
    def places(self) -> list[str]:
        """The sources, at least one."""
        return [self.source] if isinstance(self.source, str) else self.source

    @property
    def files(self) -> list[str]:
        """The sources that are files."""
        return [place for place in self.places if place != "wordnet"]


def _require_splits(value: object) -> object:
    """A name, several, or none."""
    names = value if isinstance(value, list) else [value]
    if value is not None and (not names or not all(isinstance(name, str) and name for name in names)):
        raise PydanticCustomError("splits", "must be the name of a split, a list of names, or null")
    return value


Splits = Annotated[str | list[str] | None, BeforeValidator(_require_splits)]


def _as_list(split: str | list[str] | None) -> list[str]:
    return [split] if isinstance(split, str) else split or []


class TrainingSet(Section):
    """The images that the groups are learned from."""

    max_images: int = result(200_000, ge=2, description="a larger store is sampled down to this many")
    split: Splits = added_result(
        None,
        description="learn from the images of this split alone, such as train, or of a list of splits; the source says "
        "which image is in which",
    )
    sampling: Literal["uniform", "balanced"] = added_result(
        "uniform",
        description="of a larger store: every image as likely as the next, or balanced, so that rare kinds of images "
        "have more",
    )

    @property
    def splits(self) -> list[str]:
        """The splits to learn from; none where that is all images."""
        return _as_list(self.split)


class Evaluation(Section):
    """Which images the result is scored on, where there are true labels."""

    split: Splits = added_result(
        None,
        description="the split to score, such as test, or a list of which each is scored; null = all images",
    )

    @property
    def splits(self) -> list[str]:
        """The splits to score; none where all images are."""
        return _as_list(self.split)


# Words for a number of groups that is found; auto is another word for fine.
FOUND_COUNTS = ("auto", "fine", "coarse")


def _require_shortlist(value: object) -> object:
    """A number of nouns, all of them, or the method's own."""
    if value is None or value == "all" or (type(value) is int and value >= 1):
        return value
    raise PydanticCustomError("shortlist_kind", "must be a whole number from 1, all or null")


def _require_count(value: object) -> object:
    """A whole number of at least 2, or a word. One sentence refuses anything else; a union would give two."""
    if (isinstance(value, str) and value in FOUND_COUNTS) or (type(value) is int and value >= 2):
        return value
    if type(value) is int:
        raise PydanticCustomError("greater_than_equal", "must be >= {ge}", {"ge": 2})
    raise PydanticCustomError("cluster_count", "must be a whole number, auto, fine or coarse")


class KnownSettings(Section):
    """Classes that people know already, each with a few examples; `method: robust` keeps them, and finds new groups."""

    file: str | None = result(
        None, min_length=1, description="a table of examples with the columns image_id and label; null = none"
    )
    folder: str | None = result(
        None,
        min_length=1,
        description="a folder in the image source; the images in each of its folders are examples of the class that "
        "the folder is named by",
    )
    column: str | None = result(
        None,
        min_length=1,
        description="the column with the class: of the file, or of the table of images where there is no file; "
        "null = label, class or category of the file",
    )

    @model_validator(mode="after")
    def _require_one_place(self) -> KnownSettings:
        if self.folder is not None and (self.file is not None or self.column is not None):
            raise PydanticCustomError("known_places", "must have either folder, or file and column")
        return self

    @property
    def asked(self) -> bool:
        """Whether there are known classes."""
        return (self.file, self.folder, self.column) != (None, None, None)


class Clusters(Section):
    """The groups."""

    count: Annotated[int | Literal["auto", "fine", "coarse"], BeforeValidator(_require_count)] = result(
        description="K, the number of groups; auto or fine = found from the image vectors, between min and max; "
        "coarse = found too, at most half of that"
    )
    min: int = result(2, ge=2, description="the fewest groups that may be found")
    max: int = result(200, ge=2, description="the most groups that may be found, at most the training images")

    @model_validator(mode="after")
    def _require_order(self) -> Clusters:
        if self.min > self.max:
            raise PydanticCustomError("cluster_bounds", "must have min <= max")
        return self


class SemanticCenters(Section):
    """Step 3: k-means centers that pick the nouns."""

    images_per_center: int = result(300, ge=1, description="k = N / this, or 3 K when N / K is less than this")
    count: int | None = result(None, ge=1, description="k itself; null = the rule above")


class Vocabulary(Section):
    """Step 4: which nouns are kept."""

    nouns_per_center: int = result(5, ge=1, description="the most confident nouns of each center")
    shortlist: Annotated[int | Literal["all"] | None, BeforeValidator(_require_shortlist)] = result(
        None,
        description="nouns around each center that are encoded in all templates; all = every candidate noun; "
        "null = 12 times nouns_per_center, more where centers or nouns are few, all in `method: published`",
    )

    @model_validator(mode="after")
    def _require_enough(self) -> Vocabulary:
        if isinstance(self.shortlist, int) and self.shortlist < self.nouns_per_center:
            raise PydanticCustomError("shortlist", "must have shortlist >= nouns_per_center")
        return self


class Retrieval(Section):
    """Step 5: a text counterpart for every image."""

    tau: float | None = result(
        None,
        gt=0,
        description="softmax temperature on the cosine; null = by a rule that follows the encoder's vectors, "
        "or 0.005 in `method: published`",
    )


class Names(Section):
    """What groups are called."""

    tau: float | None = result(
        None,
        gt=0,
        description="softmax temperature at which nouns are weighed for names, on cosines of centered vectors; "
        "null = 0.03",
    )


class Blend(Section):
    """How much the text counts when image and text vectors are joined (not in `method: published`)."""

    text_weight: float | None = result(
        None, ge=0, description="of the text; the image has 1; 0 leaves the text out; null = chosen from the store"
    )


class Neighbors(Section):
    """Step 7: which images learn from each other."""

    count: int | None = result(
        None, ge=1, description="nearest images, by image vector and by text; null = the method's value (published: 50)"
    )


class HeadSettings(Section):
    """Steps 8 and 9: the training of cluster heads, which `method: robust` does without; null = the method's value."""

    members: int | None = result(
        None,
        ge=1,
        description="heads trained from different seeds and joined, with `method: trained`",
    )

    epochs: int | None = result(None, ge=1, description="passes over the training set")
    batch_size: int | None = result(None, ge=2, description="images in one step, at most N")
    temperature: float | None = result(None, gt=0, description="of the distillation loss")
    balance_weight: float = result(5.0, ge=0, description="weight of the balance term")
    learning_rate: float = result(
        0.001,
        gt=0,
        description="of Adam; with `method: trained` of the heads that are joined, not of the one that learns "
        "their answer",
    )


class Review(Section):
    """Which images are worth a look: the thresholds behind the columns of the asset review."""

    border_margin: float = result(
        0.4,
        ge=0,
        le=1,
        description="an image is on the border when (p1 - p2) / (p1 + p2) of its two best clusters is below this; "
        "0.2 suits `method: published`, because its heads are less sure",
    )
    outlier_deviations: float = result(
        3.5, gt=0, description="an image this many robust deviations below its cluster's median nearness is an outlier"
    )
    duplicate_similarity: float = result(
        0.98,
        gt=0,
        le=1,
        description="cosine from which two images are near-duplicates; images with equal bytes always are",
    )


class Report(Section):
    """The page that `tac report` opens."""

    images_per_cluster: int = result(24, ge=1, le=500, description="the most pictures shown for a cluster")
    map_images: int = result(50_000, ge=2, description="points on the map; a larger store shows a sample")


class ComputeSettings(Section):
    """Where images are encoded: on this machine, or by a Ray cluster; see the guide to clusters."""

    engine: Literal["local", "ray", "auto"] = execution(
        "local", description="local, ray, or auto: ray where a cluster answers at compute.address, else local"
    )
    address: str | None = execution(
        None, min_length=1, description="of a running cluster, such as head:6379; null = Ray on this machine"
    )
    workers: int | None = execution(None, ge=1, description="how many; null = one for each machine, or for each GPU")
    gpus_per_worker: float = execution(0.0, ge=0, description="GPUs that a worker gets; a part of one is possible")

    @model_validator(mode="after")
    def _require_address(self) -> ComputeSettings:
        if self.engine == "auto" and self.address is None:
            raise PydanticCustomError("compute_address", "must have address where engine is auto")
        return self


class Schedule(Section):
    """What happens automatically while the UI and its daemon run; null = only by hand."""

    observe: str | None = execution(
        "*/15 * * * *", description="cron: look for new, removed and changed images, and assign them"
    )
    recluster: str | None = execution(
        "0 3 * * 0", description="cron: learn the groups again from the images of that time"
    )
    timezone: str = execution("UTC", description="of both schedules, such as Europe/Berlin")
    refresh: bool = execution(True, description="materialize automatically what new images or settings make stale")


# The method that keeps known classes.
ABLE_METHOD = "robust"


def _require_method(value: object) -> object:
    """One of the methods there are."""
    # Those of other packages are looked for where it is none of ours.
    if isinstance(value, str) and (value in METHODS or value in method_names()):
        return value
    raise PydanticCustomError("method", "must be {expected}", {"expected": " or ".join(map(repr, method_names()))})


def _require_local(value: object) -> object:
    """A folder of this machine: a URL would become a folder that is called like it."""
    if isinstance(value, str) and "://" in value:
        raise PydanticCustomError("local_folder", "must be a local folder")
    return value


class Settings(Section):
    """The whole file."""

    store: str = execution(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="names the store: its data folder and its asset keys"
    )
    images: Images
    encoder: EncoderSettings = EncoderSettings()
    nouns: Nouns = Nouns()
    training_set: TrainingSet = TrainingSet()
    evaluation: Evaluation = Evaluation()
    clusters: Clusters
    group_by: Annotated[str | list[str] | None, BeforeValidator(require_criterion)] = added_result(
        None,
        description="what the groups tell apart: style, place, color, material, action, mood, time of day, or a list "
        "of your own words; null = whatever sets the images apart most",
    )
    known: KnownSettings = KnownSettings()
    semantic_centers: SemanticCenters = SemanticCenters()
    vocabulary: Vocabulary = Vocabulary()
    retrieval: Retrieval = Retrieval()
    names: Names = Names()
    blend: Blend = Blend()
    neighbors: Neighbors = Neighbors()
    heads: HeadSettings = HeadSettings()
    method: Annotated[str, BeforeValidator(_require_method)] = result(
        next(iter(METHODS)),
        description="robust: groups by image and words in whitened spaces; published: the paper's recipe; "
        "trained: heads trained and joined, the robust method until version 0.1",
    )
    review: Review = Review()
    report: Report = Report()
    schedule: Schedule = Schedule()
    compute: ComputeSettings = ComputeSettings()
    corrections: str | None = result(
        None, min_length=1, description="a file of people's corrections: names, merges and pins; null = none"
    )
    learn_from_corrections: bool = added_result(
        True, description="the next learning goes on from the groups as people corrected them; false = it starts anew"
    )
    publication: PublicationSettings = PublicationSettings()
    publish: Literal["auto", "manual"] | None = execution(
        None, description="the older name of publication.mode; null = as that says"
    )
    alerts: AlertSettings = AlertSettings()
    seed: int = result(0, ge=0, le=2**31 - 1, description="seed of every random choice")
    groupings: Annotated[dict[str, dict[str, Any]], BeforeValidator(require_groupings)] = execution(
        {},
        description="further groupings of the same images, by name, each with the settings that differ, such as "
        "{style: {group_by: style}}",
    )
    data: Annotated[str, BeforeValidator(_require_local)] = execution(
        "data", min_length=1, description="folder of all artifacts, on this machine"
    )
    history_days: int = execution(
        30, ge=1, description="days that Dagster's history of runs is kept; the last run of each asset always is"
    )
    keep_versions: int = execution(5, ge=1, description="kept versions of each artifact; going back to one is free")
    keep_days: int = execution(
        0, ge=0, description="days that every version is kept, with its vectors, however many; 0 = only keep_versions"
    )

    @field_validator("method")
    @classmethod
    def _require_able(cls, method: str, others: ValidationInfo) -> str:
        known = others.data.get("known")
        # The method itself is not asked: that would import it for every command.
        if method != ABLE_METHOD and known is not None and known.asked:
            raise PydanticCustomError("known_method", "must be {able} where `known` is set", {"able": ABLE_METHOD})
        return method

    @field_validator("publish")
    @classmethod
    def _require_one_mode(cls, publish: str | None, others: ValidationInfo) -> str | None:
        section = others.data.get("publication")
        if publish is not None and section is not None and section.mode not in (None, publish):
            raise refusal(f"must be left out where publication.mode is {section.mode}: it is the older name of that")
        return publish

    @property
    def publishes(self) -> Literal["auto", "manual"]:
        """When readers get a new version, by either name of the key."""
        return self.publication.mode or self.publish or "auto"

    def grouping(self, name: str) -> Settings:
        """The settings of one of the groupings; its store is called by both names.

        Raises
        ------
        ValidationError
            A value cannot be used.
        """
        whole = Settings.model_validate(overlaid(self, name))
        # A store's own name has no dot, so the two kinds never meet.
        return whole.model_copy(update={"store": f"{self.store}.{name}"})


@dataclass(frozen=True)
class SettingsKey:
    """One leaf of the settings: its dotted name, what it affects, its meaning and its default.

    With `added`, the default enters no version: stores from before the key are as they were. With `secret`, the value
    is never printed.
    """

    name: str
    affects: Literal["result", "execution"]
    description: str
    default: object
    required: bool
    added: bool = False
    secret: bool = False


@functools.cache
def settings_keys(section: type[Section] = Settings, prefix: str = "") -> tuple[SettingsKey, ...]:
    """Every leaf key in file order.

    Raises
    ------
    TypeError
        A key is marked neither result nor execution: a mistake in this module.
    """
    keys: list[SettingsKey] = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            keys += settings_keys(kind, f"{prefix}{name}.")
            continue
        extra = field.json_schema_extra
        affects: Any = extra.get("affects") if isinstance(extra, dict) else None
        if affects not in ("result", "execution"):
            raise TypeError(f"settings key {prefix}{name} must be marked result or execution")
        marks = {mark: isinstance(extra, dict) and bool(extra.get(mark)) for mark in ("added", "secret")}
        described = field.description or ""
        keys.append(SettingsKey(f"{prefix}{name}", affects, described, field.default, field.is_required(), **marks))
    return tuple(keys)


def result_slice(settings: Settings, reads: Iterable[str]) -> dict[str, object]:
    """The result keys under the named sections or keys, as written in the file: {dotted name: value}.

    Added keys are left out while they have their default.
    """
    values: dict[str, object] = {}
    for key in _result_keys(tuple(reads)):
        value = value_at(settings, key.name)
        if not key.added or value != key.default:
            values[key.name] = value
    return values


@functools.cache
def _result_keys(names: tuple[str, ...]) -> tuple[SettingsKey, ...]:
    """The result keys that are named, or are under a named section."""
    return tuple(
        key
        for key in settings_keys()
        if key.affects == "result" and any(key.name == name or key.name.startswith(f"{name}.") for name in names)
    )


def is_secret(name: str) -> bool:
    """Whether a key, or anything in or around it, has a value that is never printed."""
    key = split_grouping(name)[1]
    known = (entry.name for entry in settings_keys() if entry.secret)
    return any(key == one or key.startswith(f"{one}.") or one.startswith(f"{key}.") for one in known)


def value_at(settings: Settings, name: str) -> object:
    """The value at a dotted name; below `groupings.NAME` it is the one that holds there, which may be the store's."""
    grouping, key = split_grouping(name)
    if grouping is not None:
        return value_at(settings.grouping(grouping), key) if grouping in settings.groupings else None
    value: object = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def split_grouping(name: str) -> tuple[str | None, str]:
    """The grouping that a dotted name is about, None for the store's own, and the key in it."""
    first, _, rest = name.partition(".")
    grouping, _, key = rest.partition(".")
    return (grouping, key) if first == "groupings" and key else (None, name)


def require_key(key: str, *, place: str) -> None:
    """Raise SettingsError, with the nearest key as a suggestion, when no settings key has this dotted name."""
    _, key = split_grouping(key)
    if key not in {entry.name for entry in settings_keys()}:
        section = any(entry.name.startswith(f"{key}.") for entry in settings_keys())
        what = "is a section: name one of its keys" if section else f"is not a settings key{suggestion(key)}"
        raise SettingsError(f"{key} {what} ({place})")


def suggestion(key: str) -> str:
    """The settings key nearest to an unknown one, as the end of a sentence; empty when no key is near."""
    known = [entry.name for entry in settings_keys()]
    sections = {entry.rsplit(".", 1)[0] for entry in known if "." in entry}
    near = difflib.get_close_matches(key, [*known, *sections], n=1, cutoff=0.6)
    if not near:
        # A key written without its section, or under the wrong one.
        near = [entry for entry in known if entry.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]][:1]
    return f"; did you mean {near[0]}?" if near else ""
