"""Reading the settings encoder.model and encoder.pretrained: which model to build, and the encoder's fingerprint.

Everything that can be refused without loading weights is refused here: unknown names, an activation that does not fit
the weights, preprocessing that is not supported. What must stay out: downloads and tensors (weights.py). open_clip
takes seconds to import, so it is imported only for its own models.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tac_pipeline.arrow import INT8_MARK
from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.encoders import small
from tac_pipeline.errors import EncoderError
from tac_pipeline.sources.decoding import DECODING_VERSION, Interpolation, ResizeMode

RANDOM = "random"
RANDOM_SEED = 0
CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
Precision = Literal["float", "int8"]
HUB_CONFIG = "open_clip_config.json"
# What open_clip does when neither weights nor config say otherwise (its PreprocessCfg).
DEFAULT_PREPROCESSING: Mapping[str, Any] = {
    "size": 224,
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "resize_mode": "shortest",
    "interpolation": "bicubic",
}


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of an image: the square (sources/decoding.py), then (pixel / 255 - mean) / std."""

    size: int
    resize_mode: ResizeMode
    interpolation: Interpolation
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelChoice:
    """An open_clip model and its weights, named but not loaded.

    Attributes
    ----------
    name : str
        The name in open_clip, or the path of the user's own config file.
    config : dict
        open_clip's configuration of both towers.
    built_in : bool
        Whether open_clip knows the name.
    weights : {"tag", "file", "random"}
        Where the weights come from.
    pretrained : str
        The tag, the path of the file, or "random".
    precision : {"float", "int8"}
        Of the image tower.
    resize : int, optional
        The side that an image's shorter side is brought to before the center is cut out, where that is not the
        model's own.
    """

    name: str
    config: Mapping[str, Any]
    built_in: bool
    weights: Literal["tag", "file", "random"]
    pretrained: str
    preprocessing: Preprocessing
    precision: Precision = "float"
    resize: int | None = None

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.config["embed_dim"])

    @property
    def fingerprint(self) -> str:
        """Of image vectors: the text's fingerprint, and the resize and the precision where they are not the usual."""
        resize = "" if self.resize is None else f":resize-{self.resize}"
        return self.text_fingerprint + resize + (INT8_MARK if self.precision == "int8" else "")

    @property
    def text_fingerprint(self) -> str:
        """Model, weights, activation and preprocessing; a checkpoint is identified by its content, not its path.

        Texts are always encoded in float: nouns serve images of either precision.
        """
        named = self.built_in or self.name == small.NAME
        model = self.name if named else f"config-{digest(self.config)[:12]}"
        if self.weights == "file":
            weights = f"sha256-{_checkpoint_sha256(Path(self.pretrained))[:16]}"
        else:
            weights = f"random-{RANDOM_SEED}" if self.weights == "random" else self.pretrained
        activation = "quick_gelu" if uses_quick_gelu(self.config) else "gelu"
        seen = self.preprocessing
        pixels = f"{seen.size}-{seen.resize_mode}-{seen.interpolation}-{digest([seen.mean, seen.std])[:8]}"
        return f"open_clip:{model}:{weights}:{activation}:{pixels}:decoding-{DECODING_VERSION}"


class ChosenModel:
    """What is known of an encoder before its weights are loaded; a base of encoders."""

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice

    @property
    def fingerprint(self) -> str:
        """Of image vectors: model, weights, activation, preprocessing and precision."""
        return self._choice.fingerprint

    @property
    def text_fingerprint(self) -> str:
        """Of text vectors: the same, without the precision of images."""
        return self._choice.text_fingerprint

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._choice.dim

    @property
    def image_size(self) -> int:
        """Side of the square that encode_images takes; the tower may see the center of it alone."""
        return self._choice.resize or self._choice.preprocessing.size

    @property
    def resize_mode(self) -> ResizeMode:
        """How decode_image must make that square."""
        return self._choice.preprocessing.resize_mode

    @property
    def interpolation(self) -> Interpolation:
        """The filter with which decode_image must resize."""
        return self._choice.preprocessing.interpolation


def choose_model(
    model: str, pretrained: str | None, *, precision: Precision = "float", resize: int | None = None
) -> ModelChoice:
    """Check a model and its weights without loading the weights; raises EncoderError with the remedy."""
    if not pretrained:
        raise EncoderError(
            "encoder.pretrained must name a tag of open_clip, a checkpoint file, or `random`; got nothing"
        )
    if model == small.NAME:
        config, preprocess = _read_config(small.CONFIG_FILE)
        name, built_in = model, False
        pretrained = str(small.require_weights()) if pretrained == small.PRETRAINED else pretrained
    elif model.endswith(".json"):
        config, preprocess = _read_config(Path(model))
        name, built_in = model, False
    else:
        name, built_in = model.replace("/", "-"), True
        config, preprocess = _built_in_config(name), None
    weights, label, stated = _choose_weights(name, config, pretrained, built_in)
    preprocessing = _preprocessing(name, config, preprocess if stated is None else stated)
    return ModelChoice(
        name=name,
        config=config,
        built_in=built_in,
        weights=weights,
        pretrained=label,
        preprocessing=preprocessing,
        precision=precision,
        resize=_other_resize(resize, name, preprocessing),
    )


def _other_resize(resize: int | None, name: str, own: Preprocessing) -> int | None:
    """The wanted side of the resize; None where it is what the model does anyway."""
    if resize is None or (resize == own.size and own.resize_mode == "shortest"):
        return None
    if own.resize_mode != "shortest":
        raise EncoderError(f"encoder.resize cannot be had with {name}, which sees whole images: leave it out")
    if resize < own.size or (resize - own.size) % 2:
        raise EncoderError(
            f"encoder.resize must be {own.size}, the side that {name} sees, or an even number of pixels more; got "
            f"{resize}"
        )
    return resize


def uses_quick_gelu(config: Mapping[str, Any]) -> bool:
    """Whether a model, or the weights of a tag, use x * sigmoid(1.702 x) for GELU."""
    return bool(config.get("quick_gelu", False))


def near_matches(wanted: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the names that may be meant."""
    lowered = {name.lower(): name for name in known}
    close = [lowered[name] for name in difflib.get_close_matches(wanted.lower(), lowered, n=4, cutoff=0.5)]
    return f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(sorted(lowered.values())[:8])}, ..."


def _built_in_config(name: str) -> Mapping[str, Any]:
    if ":" in name:
        raise EncoderError(
            f"encoder.model must be a name of open_clip's list or a config file; got {name!r}. Fetch its {HUB_CONFIG} "
            "and its weights, and set encoder.model and encoder.pretrained to the two paths."
        )
    import open_clip

    config: Mapping[str, Any] | None = open_clip.get_model_config(name)
    if config is None:
        raise EncoderError(
            f"encoder.model must be a name of open_clip's list or a config file (.json); {name!r} is neither: "
            f"{near_matches(name, [*open_clip.list_models(), small.NAME])}"
        )
    return config


def _read_config(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A config file in either form that open_clip uses: the model's alone, or the hub's with its preprocessing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path} must be a model config in JSON; it cannot be read: {error}") from error
    whole = found if isinstance(found, dict) else {}
    config = whole.get("model_cfg", whole)
    kinds = {"embed_dim": int, "vision_cfg": dict, "text_cfg": dict}
    amiss = [
        key for key, kind in kinds.items() if not isinstance(config, dict) or not isinstance(config.get(key), kind)
    ]
    if amiss:
        raise EncoderError(f"{path} must be a config of open_clip, with {', '.join(kinds)}; look at {amiss[0]}")
    return config, whole.get("preprocess_cfg") or {}


def _choose_weights(
    name: str, config: Mapping[str, Any], pretrained: str, built_in: bool
) -> tuple[Literal["tag", "file", "random"], str, Mapping[str, Any] | None]:
    """Kind, label, and the preprocessing that the weights ask for; None when they do not say."""
    if pretrained == RANDOM:
        return "random", RANDOM, None
    path = Path(pretrained)
    is_file = path.suffix.lower() in CHECKPOINT_SUFFIXES or path.is_file()
    if not built_in:
        if is_file:
            return "file", str(path), _of_checkpoint(name, config, path, built_in)
        own = f"`{small.PRETRAINED}`, " if name == small.NAME else ""
        raise EncoderError(
            f"{name} is not in open_clip's list and takes {own}a checkpoint file or `random`; got {pretrained!r}"
        )
    import open_clip

    if tag := open_clip.get_pretrained_cfg(name, pretrained):
        # When a tag does not say, the config of its model does.
        _require_activation(name, config, uses_quick_gelu({**config, **tag}), f"the weights `{pretrained}`")
        return "tag", pretrained.lower().replace("-", "_"), tag
    if is_file:
        return "file", str(path), _of_checkpoint(name, config, path, built_in)
    plain = name.removesuffix("-quickgelu")
    if plain != name and (tag := open_clip.get_pretrained_cfg(plain, pretrained)):
        _require_activation(name, config, uses_quick_gelu(tag), f"the weights `{pretrained}`")
    tags = open_clip.list_pretrained_tags_by_model(name)
    raise EncoderError(
        f"encoder.pretrained must be a tag of {name}, a checkpoint file or `random`; {pretrained!r} is none: "
        f"{near_matches(pretrained, [*tags, RANDOM])}"
    )


def _require_activation(name: str, config: Mapping[str, Any], wanted: bool, what: str) -> None:
    """Refuse the wrong activation: with it, the same weights give vectors that look right but are not."""
    if wanted == uses_quick_gelu(config):
        return
    import open_clip

    other = f"{name}-quickgelu" if wanted else name.removesuffix("-quickgelu")
    if other != name and other in open_clip.list_models():
        remedy = f"Set encoder.model to {other}."
    else:
        remedy = f'Give the model as a config file with "quick_gelu": {str(wanted).lower()}.'
    kinds = ("GELU", "QuickGELU")
    raise EncoderError(
        f"the activation must be the one that the weights were trained with; {what} are for {kinds[wanted]}, "
        f"and {name} is built with {kinds[not wanted]}. {remedy}"
    )


def _of_checkpoint(name: str, config: Mapping[str, Any], path: Path, built_in: bool) -> Mapping[str, Any] | None:
    """The preprocessing of a checkpoint file: from the config beside it, else from the tags of its model."""
    if path.suffix.lower() not in CHECKPOINT_SUFFIXES:
        raise EncoderError(f"a checkpoint must end in {', '.join(CHECKPOINT_SUFFIXES)}; encoder.pretrained is {path}")
    if not path.is_file():
        raise EncoderError(
            f"encoder.pretrained must be a file that exists; there is no {path}. Put the checkpoint there, or name "
            "another place, or a tag of open_clip."
        )
    beside = path.with_name(HUB_CONFIG)
    # These are the hub's names: files with these names belong together; with other names they may not.
    if path.name.startswith("open_clip_") and beside.is_file():
        trained, preprocess = _read_config(beside)
        _require_activation(name, config, uses_quick_gelu(trained), f"by {beside}, the weights beside it")
        return preprocess
    if not built_in:
        return None
    import open_clip

    fitting = [
        tag
        for tag in map(
            functools.partial(open_clip.get_pretrained_cfg, name), open_clip.list_pretrained_tags_by_model(name)
        )
        if uses_quick_gelu({**config, **tag}) == uses_quick_gelu(config)
    ]
    ways = {json.dumps(_known_fields(tag), sort_keys=True): tag for tag in fitting}
    if len(ways) > 1:
        raise EncoderError(
            f"weights of {name} come with {len(ways)} ways to preprocess images, and {path.name} does not say which is "
            f"its own. Put its {HUB_CONFIG} beside it and name it open_clip_model{path.suffix}."
        )
    return fitting[0] if fitting else None


def _known_fields(stated: Mapping[str, Any]) -> dict[str, Any]:
    return {key: stated[key] for key in ("mean", "std", "resize_mode", "interpolation") if stated.get(key) is not None}


def _preprocessing(name: str, config: Mapping[str, Any], stated: Mapping[str, Any] | None) -> Preprocessing:
    fields = {**DEFAULT_PREPROCESSING, **_known_fields(stated or {})}
    sizes = config["vision_cfg"].get("image_size", fields["size"])
    sides = set(sizes) if isinstance(sizes, list | tuple) else {sizes}
    mode, interpolation = fields["resize_mode"], fields["interpolation"]
    if len(sides) != 1:
        raise EncoderError(f"the images of an encoder must be square; {name} takes {sizes}")
    if mode not in get_args(ResizeMode) or interpolation not in get_args(Interpolation):
        raise EncoderError(
            f"images are resized by {' or '.join(get_args(ResizeMode))}, {' or '.join(get_args(Interpolation))}; "
            f"{name} asks for {mode}, {interpolation}. Choose another model."
        )
    mean, std = (_three(fields[key]) for key in ("mean", "std"))
    return Preprocessing(int(sides.pop()), mode, interpolation, mean, std)


def _three(stated: Any) -> tuple[float, ...]:
    """One number for all channels, or one for each."""
    return tuple(float(value) for value in (stated if isinstance(stated, list | tuple) else [stated] * 3))


def _checkpoint_sha256(path: Path) -> str:
    found = path.stat()
    return _sha256_of_version(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _sha256_of_version(path: Path, size: int, mtime_ns: int) -> str:
    """Cached until the file changes: the digest of a checkpoint of 600 MB takes most of a second."""
    return file_sha256(path)
