"""What the parameters of the clusterer may be, and what the method's choices are called there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from tac_pipeline.encoders.devices import choose_device
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.estimator.running import require_jobs
from tac_pipeline.method import load_method, method_names
from tac_pipeline.method.clusters.known_classes import KnownClasses, find_classes
from tac_pipeline.method.grouping.ward import count_known
from tac_pipeline.method.words.text_counterparts import require_tau

# What n_clusters may be beside a number, as clusters.count of the settings file.
FOUND = ("auto", "fine", "coarse")
# The least value of each parameter that is a whole number, and of those that may be any number.
_WHOLE = {
    "n_clusters": 2,
    "min_clusters": 2,
    "max_clusters": 2,
    "nouns_per_center": 1,
    "images_per_center": 1,
    "n_semantic_centers": 1,
    "n_neighbors": 1,
    "n_members": 1,
    "epochs": 1,
    "batch_size": 2,
}
_ANY = {"text_weight": 0, "balance_weight": 0}
_POSITIVE = ("tau", "temperature", "learning_rate")
_REQUIRED = (
    "n_clusters",
    "min_clusters",
    "max_clusters",
    "nouns_per_center",
    "images_per_center",
    "balance_weight",
    "learning_rate",
)
# The parameters by the names of the method's choices.
_CHOICES = {
    "images_per_center": "images_per_center",
    "n_centers": "n_semantic_centers",
    "nouns_per_center": "nouns_per_center",
    "tau": "tau",
    "text_weight": "text_weight",
    "neighbors": "n_neighbors",
    "members": "n_members",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "temperature": "temperature",
    "balance_weight": "balance_weight",
    "learning_rate": "learning_rate",
}
# How many repeated nouns a message names.
SHOWN = 5


def require_parameters(given: Mapping[str, Any], *, n_images: int) -> None:
    """Before the first long step, refuse everything that a later step would refuse."""
    is_found = isinstance(given["n_clusters"], str) and given["n_clusters"] in FOUND
    for name in (*_WHOLE, *_ANY, *_POSITIVE):
        if not (is_found and name == "n_clusters"):
            _require_kind(name, given[name])
    _require_count(given, n_images=n_images, is_found=is_found)
    if not isinstance(given["method"], str) or given["method"] not in method_names():
        raise InputError(f"method must be one of {', '.join(method_names())}; got {given['method']!r}")
    if given["tau"] is not None:
        require_tau(given["tau"])
    for name, least in (_WHOLE | _ANY).items():
        value = given[name]
        if value is not None and not isinstance(value, str) and not value >= least:
            raise InputError(f"{name} must be at least {least}; got {value}")
    for name in _POSITIVE:
        if given[name] is not None and not given[name] > 0:
            raise InputError(f"{name} must be > 0; got {given[name]}")
    require_jobs(given["n_jobs"])
    _require_device(given["device"])


def _require_count(given: Mapping[str, Any], *, n_images: int, is_found: bool) -> None:
    fewest, most = given["min_clusters"], given["max_clusters"]
    if not is_found:
        if not 2 <= given["n_clusters"] <= n_images:
            raise InputError(
                f"n_clusters must be from 2 to the number of images, {n_images}; got {given['n_clusters']} "
                f"(n_samples={n_images})"
            )
    elif not 2 <= fewest <= min(most, n_images):
        raise InputError(
            "min_clusters must be from 2 to max_clusters, and at most the number of images; "
            f"got {fewest}, {most} and {n_images} images"
        )


def require_known(known: Sequence[str | None], *, method: str, n_images: int) -> KnownClasses:
    """The known classes, which the method must be able to keep."""
    able = [name for name in method_names() if load_method(name).takes_known]
    if method not in able:
        raise InputError(f"known classes are kept by method {' or '.join(able)} alone; got {method!r}")
    labels = [] if isinstance(known, str) else list(known)
    if len(labels) != n_images or not all(label is None or isinstance(label, str) for label in labels):
        raise InputError(
            f"known must be a list of {n_images} entries, one for each image: the name of its class, or None; got "
            f"{len(labels) if labels else repr(known)[:60]}"
        )
    return find_classes(labels)


def require_known_count(classes: KnownClasses | None, *, n_clusters: int) -> None:
    """Raise InputError when there are more known classes than clusters."""
    if classes is not None:
        count_known(classes.classes, n_clusters=n_clusters)


def require_alone(method: str, text_weight: float | None) -> None:
    """Raise InputError where images cannot be grouped without nouns."""
    able = [name for name in method_names() if load_method(name).groups_without_words]
    if method not in able:
        raise InputError(
            f"method {method!r} needs nouns and noun_embeddings; without them, method {' or '.join(able)} groups by "
            "images alone"
        )
    if text_weight:
        raise InputError(f"text_weight must be 0 or None where no nouns are given; got {text_weight}")


def seed_of(random_state: Any) -> int:
    """The seed that a random_state gives."""
    try:
        if isinstance(random_state, bool | np.bool_):
            raise ValueError(random_state)
        generator = check_random_state(random_state)
    except ValueError as error:
        raise InputError(
            f"random_state must be a seed, from 0 to 2**32 - 1, a RandomState or None; got {random_state!r}"
        ) from error
    return int(random_state) if isinstance(random_state, int | np.integer) else int(generator.randint(2**31))


def choices_of(given: Mapping[str, Any], *, seed: int) -> dict[str, Any]:
    """The parameters by the names of the method's choices, as Python's own numbers: faiss takes no others."""
    numbers = {}
    for choice, name in _CHOICES.items():
        value, kind = given[name], int if name in _WHOLE else float
        numbers[choice] = None if value is None else kind(value)
    return {**numbers, "device": given["device"], "seed": seed}


def _require_kind(name: str, value: object) -> None:
    """Refuse a number parameter that is no number, before it is compared with one."""
    kind, what = (Integral, "a whole number") if name in _WHOLE else (Real, "a number")
    optional = name not in _REQUIRED
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, kind):
        other = f", or {' or '.join(FOUND)}" if name == "n_clusters" else " or None" if optional else ""
        raise InputError(f"{name} must be {what}{other}; got {value!r}")


def _require_device(device: object) -> None:
    there = isinstance(device, str) and re.fullmatch(r"cpu|mps|cuda(:\d+)?", device) is not None
    if there:
        try:
            choose_device(str(device))
        except TacError:
            there = False
    if not there:
        raise InputError(f"device must be cpu, or cuda, cuda:N or mps where torch has it; got {device!r}")


def require_nouns(nouns: Sequence[str], *, n_rows: int) -> list[str]:
    """The nouns as a list, each once and one for each embedding.

    Raises
    ------
    InputError
        A noun is not text or is there twice, or the numbers of nouns and embeddings differ.
    """
    words: list[str] = [] if isinstance(nouns, str) or not isinstance(nouns, Iterable) else list(nouns)
    if not words or not all(isinstance(word, str) for word in words):
        raise InputError("nouns must be a list of strings, one for each row of noun_embeddings")
    if len(words) != n_rows:
        raise InputError(f"nouns must have one entry for each row of noun_embeddings; got {len(words)} for {n_rows}")
    repeated = [word for word, count in Counter(words).items() if count > 1]
    if repeated:
        raise InputError(
            f"nouns must not repeat; {len(repeated)} are there more than once, such as "
            f"{', '.join(map(repr, repeated[:SHOWN]))}. Keep one of each, with its embedding."
        )
    return words
