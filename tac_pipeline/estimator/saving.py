"""The file of a fitted clusterer: arrays as safetensors, everything else as JSON in its metadata; never a pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import torch

from tac_pipeline.errors import InputError
from tac_pipeline.estimator.fitting import Fitted
from tac_pipeline.files import replacing
from tac_pipeline.method.grouping.cluster_count import CountEstimate
from tac_pipeline.method.heads.cluster_head import ClusterHead, head_of, head_tensors
from tac_pipeline.method.heads.training import EpochLosses
from tac_pipeline.method.words.criterion import View
from tac_pipeline.method.words.names import ClusterName
from tac_pipeline.method.words.noun_fit import NounFit
from tac_pipeline.method.words.text_weight import TextWeight, Trial

Arrays = dict[str, npt.NDArray[Any]]

# Raised when an older version could not read the file.
VERSION = 1
METADATA = "tac_pipeline"
# What a file may hold beside plain values: nothing else is made from it.
_KINDS = {kind.__name__: kind for kind in (ClusterName, CountEstimate, EpochLosses, NounFit, TextWeight, Trial, View)}
# The fitted vectors, and what is as long as they are.
_OF_IMAGES = ("image_embeddings_", "text_counterparts_")
# Pictures are for looking at.
_NEVER = ("cluster_pictures_",)


def write(fitted: Fitted, path: Path, *, with_images: bool) -> None:
    """Write all attributes that fit gave (see TextAidedClustering.save)."""
    left_out = _NEVER if with_images else (*_NEVER, *_OF_IMAGES)
    arrays: Arrays = {}
    found = {
        name: _packed(value, name, arrays)
        for name, value in sorted(vars(fitted).items())
        if name.endswith("_") and name not in left_out
    }
    params = {name: _packed(value, f"parameter {name}", arrays) for name, value in fitted.get_params().items()}
    told = {"version": VERSION, "arrays": _digest(arrays), "params": params, "found": found}
    text = json.dumps(told, ensure_ascii=False)
    try:
        with replacing(path) as aside:
            aside.write_bytes(safetensors.numpy.save(arrays, metadata={METADATA: text}))
    except OSError as error:
        raise InputError(f"{path} must be a place where a file can be written: {error.strerror or error}") from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the attributes that write wrote (see TextAidedClustering.load)."""
    if not path.is_file():
        raise InputError(f"there is no file at {path}; TextAidedClustering.save writes one")
    try:
        with safetensors.safe_open(path, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path} must be a whole file of TextAidedClustering.save; it is cut short or something else ({error}). "
            "Save it again"
        ) from error
    if METADATA not in metadata:
        raise InputError(f"{path} is a safetensors file that TextAidedClustering.save did not write")
    try:
        told = json.loads(metadata[METADATA])
        if told["version"] > VERSION:
            raise InputError(
                f"{path} has version {told['version']} of the file, and this tac-pipeline reads up to {VERSION}: "
                "install a newer one"
            )
        if told["arrays"] != _digest(arrays):
            raise InputError(f"{path} has not the bytes that were saved: copy it again, or save it again")
        return tuple({name: _unpacked(value, arrays) for name, value in told[part].items()} for part in _PARTS)  # type: ignore[return-value]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} must be a file of TextAidedClustering.save; it holds something else ({error})"
        ) from error


_PARTS = ("params", "found")


def _digest(arrays: Arrays) -> str:
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(name.encode() + arrays[name].tobytes())
    return whole.hexdigest()


def _packed(value: Any, name: str, arrays: Arrays) -> Any:
    """A value as JSON; arrays are put aside under their names."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, np.ndarray):
        return {"strings": value.tolist()}
    if isinstance(value, ClusterHead):
        arrays |= {f"{name}.{key}": tensor.numpy() for key, tensor in head_tensors(value).items()}
        return {"head": name}
    if is_dataclass(value) and type(value).__name__ in _KINDS:
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"kind": type(value).__name__, "of": _packed(parts, name, arrays)["dict"]}
    if isinstance(value, list | tuple):
        packed = [_packed(part, f"{name}.{place}", arrays) for place, part in enumerate(value)]
        return packed if isinstance(value, list) else {"tuple": packed}
    if isinstance(value, dict):
        return {"dict": [[key, _packed(part, f"{name}.{key}", arrays)] for key, part in value.items()]}
    if isinstance(value, np.random.RandomState):
        return None  # where its stream is belongs to the session that drew from it
    raise InputError(f"{name} cannot be saved: it is a {type(value).__name__}")


def _unpacked(value: Any, arrays: Arrays) -> Any:
    """What _packed made of a value."""
    if isinstance(value, list):
        return [_unpacked(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "strings" in value:
        return np.array(value["strings"], dtype=object)
    if "head" in value:
        prefix = f"{value['head']}."
        own = {key: array for key, array in arrays.items() if key.startswith(prefix)}
        return head_of({key.removeprefix(prefix): torch.from_numpy(array) for key, array in own.items()})
    if "tuple" in value:
        return tuple(_unpacked(part, arrays) for part in value["tuple"])
    parts = {key: _unpacked(part, arrays) for key, part in value["of" if "kind" in value else "dict"]}
    return _KINDS[value["kind"]](**parts) if "kind" in value else parts
