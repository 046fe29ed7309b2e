"""The ways of grouping that an experiment compares; labels are never given to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method import method_names
from tac_pipeline.method.grouping.training_free import image_kmeans

# The paper's baseline: the best of so many starts.
RESTARTS = 20


@dataclass(frozen=True)
class Vectors:
    """What a way sees of a set.

    Attributes
    ----------
    images : float32 (n_images, dim), unit rows
    n_classes : int
        K.
    nouns : list of str
    noun_vectors : float32 (n_nouns, dim), unit rows
    class_names : list of str, optional
        For zero-shot alone.
    """

    images: FloatMatrix
    n_classes: int
    nouns: list[str]
    noun_vectors: FloatMatrix
    class_names: list[str] | None = None


@dataclass(frozen=True)
class Found:
    """The groups of a way, and what they took.

    Attributes
    ----------
    groups : int64 (n_images,)
    seconds : float
    is_class : bool
        Whether a group is a class by its number: accuracy is then a plain one.
    """

    groups: IntVector
    seconds: float
    is_class: bool = False


def k_means(seen: Vectors, seed: int) -> dict[str, Found]:
    """Spherical k-means on the images alone."""
    started = time.perf_counter()
    found = image_kmeans(seen.images, n_clusters=seen.n_classes, restarts=RESTARTS, seed=seed)
    return {"k-means": Found(found.assignment, time.perf_counter() - started)}


def by_method(method: str) -> Callable[[Vectors, int], dict[str, Found]]:
    """A method of the product; the paper's also has its result before training."""

    def fit(seen: Vectors, seed: int) -> dict[str, Found]:
        started = time.perf_counter()
        fitted = TextAidedClustering(seen.n_classes, method=method, random_state=seed)
        fitted.fit(seen.images, nouns=seen.nouns, noun_embeddings=seen.noun_vectors)
        seconds = time.perf_counter() - started
        found = {method: Found(fitted.labels_, seconds)}
        if method == "published":
            before = seconds - fitted.training_seconds_
            found["training-free"] = Found(fitted.training_free_labels_, before)
        return found

    return fit


def zero_shot(seen: Vectors, _: int) -> dict[str, Found]:
    """The nearest class name of each image: what somebody gets who knows the classes.

    Raises
    ------
    InputError
        The class names are not given, or their vectors are not among the nouns.
    """
    if seen.class_names is None:
        raise InputError("zero-shot needs class_names")
    started = time.perf_counter()
    rows = class_rows(seen.class_names, seen.nouns)
    groups = (seen.images @ seen.noun_vectors[rows].T).argmax(axis=1)
    return {"zero-shot": Found(groups, time.perf_counter() - started, is_class=True)}


def class_rows(names: Sequence[str], nouns: Sequence[str]) -> IntVector:
    """The row of each class name among the nouns, whatever the case, int64 (n_classes,).

    Raises
    ------
    InputError
        Some are not among them.
    """
    rows = {noun.casefold(): row for row, noun in reversed(list(enumerate(nouns)))}
    missing = [name for name in names if name.casefold() not in rows]
    if missing:
        raise InputError(f"{len(missing)} of {len(names)} class names are not among the nouns: {first_few(missing, 3)}")
    return np.array([rows[name.casefold()] for name in names], dtype=np.int64)


Way = Callable[[Vectors, int], dict[str, Found]]
# Beside the methods.
WAYS: dict[str, Way] = {"k-means": k_means, "training-free": by_method("published"), "zero-shot": zero_shot}


def way_names() -> tuple[str, ...]:
    """All ways that can be compared."""
    return (*WAYS, *method_names())


def load_way(name: str) -> Way:
    """What computes a way; one fit may give two."""
    return WAYS[name] if name in WAYS else by_method(name)
