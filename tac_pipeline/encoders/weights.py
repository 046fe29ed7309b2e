"""Building a model and loading its weights: from the hub, from a file, or random ones.

Nothing here unpickles arbitrary objects: checkpoints are read as safetensors or with weights_only.
"""

from __future__ import annotations

import pickle
import re
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import torch
from huggingface_hub import constants as hub
from safetensors import SafetensorError, safe_open

from tac_pipeline.encoders.model_choice import RANDOM_SEED, ModelChoice
from tac_pipeline.errors import EncoderError, TacWarning, first_few
from tac_pipeline.sources.formats import HEAD_BYTES, HTML, sniff

REACH_SECONDS = 5.0
HTML_ANSWER = "an HTML page instead of the file, as a proxy or a login page does"
_FETCH_AGAIN = "Delete it, and fetch it again."

_POSITIONS = ("visual.positional_embedding", "positional_embedding", "text.positional_embedding")


def load_model(choice: ModelChoice) -> torch.nn.Module:
    """Build the model of a choice with its weights, float32 on the CPU, in evaluation mode.

    Raises
    ------
    EncoderError
        The weights cannot be found or read, or do not fit the model.
    """
    path = None
    if choice.weights == "tag":
        path = _fetched(choice)
    elif choice.weights == "file":
        path = Path(choice.pretrained)
    model = _build(choice)
    if path is None:
        warnings.warn(
            f"the weights of {choice.name} are random: good for trying the pipeline, not for finding groups",
            TacWarning,
            stacklevel=2,
        )
    else:
        _fill(model, path, choice)
    return model.eval().requires_grad_(False)


def _build(choice: ModelChoice) -> torch.nn.Module:
    """The model with initial weights from a fixed seed; the caller's random state does not change."""
    config = deepcopy(dict(choice.config))
    hf_text = bool(config["text_cfg"].get("hf_model_name"))
    custom_text = config.pop("custom_text", False) or hf_text
    # Both towers' weights come from one checkpoint, never from a download of a tower.
    if config["vision_cfg"].get("timm_model_name"):
        config["vision_cfg"]["timm_model_pretrained"] = False
    if hf_text:
        config["text_cfg"]["hf_model_pretrained"] = False
    kind = open_clip.CLIP
    if custom_text:
        kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    try:
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: it would seed the accelerators too, which are not forked.
            torch.default_generator.manual_seed(RANDOM_SEED)
            model: torch.nn.Module = kind(**config)
    except (TypeError, ValueError, KeyError, AssertionError, RuntimeError, ImportError, OSError) as error:
        raise EncoderError(f"{choice.name} cannot be built from its config: {error}") from error
    return model


@dataclass(frozen=True)
class WantedFile:
    """The file of a tag's weights: its name, where people find it, and the address that a download asks."""

    name: str
    page: str
    url: str


class WeightsOutOfReach(EncoderError):
    """The weights of a tag are neither on this machine nor to be had from here; `file` and `reason` say more."""

    def __init__(self, choice: ModelChoice, file: WantedFile, reason: str) -> None:
        super().__init__(
            f"the weights `{choice.pretrained}` of {choice.name} must be on this machine or within reach; they are not "
            f"in the cache, and {file.page} gave: {reason}. Fetch {file.name} from there where there is a connection, "
            f"and set `encoder.pretrained: /path/to/{file.name}`."
        )
        self.file, self.reason = file, reason


def wanted_file(choice: ModelChoice) -> WantedFile:
    """The file that the tag of a choice stands for."""
    tag = open_clip.get_pretrained_cfg(choice.name, choice.pretrained)
    repo, _, name = str(tag.get("hf_hub", "")).rpartition("/")
    if not repo:
        url = str(tag.get("url", ""))
        return WantedFile(url.rpartition("/")[2], url, url)
    safe = Path(name).with_suffix(".safetensors").name if name else "open_clip_model.safetensors"
    page = f"{hub.ENDPOINT}/{repo}"
    return WantedFile(safe, page, f"{page}/resolve/main/{safe}")


def weights_at_hand(choice: ModelChoice) -> Path | None:
    """The file of the weights, if it is on this machine; None for random ones, and for a tag that is not fetched."""
    if choice.weights == "random":
        return None
    return Path(choice.pretrained) if choice.weights == "file" else _cached(choice)


def require_weights(choice: ModelChoice) -> None:
    """Check, without loading or fetching anything, that the weights are there and whole, or within reach.

    Raises
    ------
    EncoderError
        The file is damaged or cut short, or a tag is neither on this machine nor within reach; with the remedy.
    """
    path = weights_at_hand(choice)
    if path is not None:
        tensor_shapes(path)
    elif choice.weights == "tag":
        wanted = wanted_file(choice)
        reason = unreachable(wanted.url)
        if reason is not None:
            raise WeightsOutOfReach(choice, wanted, reason)


def _cached(choice: ModelChoice) -> Path | None:
    tag = open_clip.get_pretrained_cfg(choice.name, choice.pretrained)
    repo, _, name = str(tag.get("hf_hub", "")).rpartition("/")
    names = [wanted_file(choice).name, name or "open_clip_pytorch_model.bin"]
    for candidate in names if repo else []:
        cached = huggingface_hub.try_to_load_from_cache(repo, candidate)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _fetched(choice: ModelChoice) -> Path:
    """The file of a tag: from the hub's cache if it is there, else downloaded."""
    cached = _cached(choice)
    if cached is not None:
        return cached
    wanted = wanted_file(choice)
    # Asked once, because the hub's client retries for most of a minute when there is no connection.
    reason = unreachable(wanted.url)
    if reason is None:
        try:
            path = Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(choice.name, choice.pretrained)))
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
        else:
            if _is_html(path):
                # It would be taken from the cache the next time.
                path.unlink(missing_ok=True)
                raise WeightsOutOfReach(choice, wanted, HTML_ANSWER)
            return path
    raise WeightsOutOfReach(choice, wanted, reason)


def unreachable(url: str) -> str | None:
    """Why a file cannot be had from a server; None if it seems to be there. Proxies of the environment are used."""
    if hub.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=REACH_SECONDS) as answer:
            return HTML_ANSWER if answer.headers.get_content_type() == "text/html" else None
    except urllib.error.HTTPError:
        # It answered, even if with a refusal: the download will say more.
        return None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _is_html(path: Path) -> bool:
    with path.open("rb") as file:
        return sniff(file.read(HEAD_BYTES)) == HTML


def _fill(model: torch.nn.Module, path: Path, choice: ModelChoice) -> None:
    shapes = tensor_shapes(path)
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in _POSITIONS:
        # open_clip would stretch these silently: the vectors look right, but nobody trained this model.
        if name in shapes and shapes[name] != own.get(name, own.get(f"text.{name}", shapes[name])):
            raise _unfit(path, choice, [f"{name} {shapes[name]}"])
    try:
        open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    except (RuntimeError, KeyError, AttributeError) as error:
        # open_clip's loader looks for names of many models, and torch's message lists every one that is wrong.
        raise _unfit(path, choice, re.findall(r'"([\w.]+)"|size mismatch for ([\w.]+)', str(error))) from error


def _unfit(path: Path, choice: ModelChoice, keys: list[Any]) -> EncoderError:
    named = ["".join(key) for key in keys]
    shown = first_few(named, 3)
    return EncoderError(
        f"the checkpoint must hold exactly the tensors of {choice.name}; {path} does not fit it"
        f"{f' (look at {shown})' if shown else ''}. Set encoder.model to the model that it was saved from."
    )


def tensor_shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a checkpoint, without their data.

    Raises
    ------
    EncoderError
        The file is damaged, cut short, or holds something else than tensors.
    """
    if _is_html(path):
        raise EncoderError(
            f"{path} must be a checkpoint; it holds {HTML.name}, as a proxy or a login page sends it. {_FETCH_AGAIN}"
        )
    if path.suffix.lower() == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise EncoderError(
                f"{path} must be a whole safetensors file; it cannot be read: {error}. {_FETCH_AGAIN}"
            ) from error
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise EncoderError(
                    f"a checkpoint must hold tensors alone; {path} is a TorchScript archive, which holds code. Fetch "
                    "open_clip's copy of these weights (open_clip_model.safetensors), or save its state_dict()."
                )
    try:
        found = torch.load(path, map_location="meta", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError, KeyError) as error:
        # Torch's own message advises to run whatever code the file holds.
        message = "" if "weights_only" in str(error) else f": {str(error).strip().partition(chr(10))[0]}"
        raise EncoderError(
            f"{path} must hold tensors alone; it is cut short, damaged, or holds something else{message}. "
            f"{_FETCH_AGAIN} If it is yours, save its state_dict() as .safetensors."
        ) from error
    tensors = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(tensors, dict) or not any(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise EncoderError(f"{path} must hold a state_dict of named tensors; it holds {type(found).__name__}")
    return {
        name.removeprefix("module."): tuple(value.shape)
        for name, value in tensors.items()
        if isinstance(value, torch.Tensor)
    }
