"""The ways of grouping that an experiment compares.

Labels are never given to them; zero-shot alone is told the names of the classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
    learned : float32 (n_learned, dim), unit rows
        The images to learn from.
    scored : float32 (n_scored, dim), unit rows
        The images to group; the same array where these are learned from.
    n_classes : int
        K.
    nouns : list of str
    noun_vectors : float32 (n_nouns, dim), unit rows
    class_names : list of list of str, optional
        Words for each class, for zero-shot alone.
    class_vectors : float32 (n_classes, dim), unit rows, optional
        Of class_names; without them, the first word of each class that is among the nouns stands for it.
    """

    learned: FloatMatrix
    scored: FloatMatrix
    n_classes: int
    nouns: list[str]
    noun_vectors: FloatMatrix
    class_names: list[list[str]] | None = None
    class_vectors: FloatMatrix | None = None

    @property
    def two(self) -> bool:
        """Whether other images are scored than are learned from."""
        return self.learned is not self.scored


@dataclass(frozen=True)
class Found:
    """The groups of a way, and what they took.

    Attributes
    ----------
    groups : int64 (n_scored,)
    seconds : float
    is_class : bool
        Whether a group is a class by its number: accuracy is then a plain one.
    unnamed : list of str
        Classes that could not be told by name: no image is in their groups.
    """

    groups: IntVector
    seconds: float
    is_class: bool = False
    unnamed: list[str] = field(default_factory=list)


def k_means(seen: Vectors, seed: int) -> dict[str, Found]:
    """Spherical k-means on the scored images alone."""
    started = time.perf_counter()
    found = image_kmeans(seen.scored, n_clusters=seen.n_classes, restarts=RESTARTS, seed=seed)
    return {"k-means": Found(found.assignment, time.perf_counter() - started)}


def training_free(seen: Vectors, seed: int) -> dict[str, Found]:
    """The paper's result before training, on the scored images: as the authors have it, like k-means."""
    if not seen.two:
        return by_method("published")(seen, seed)
    # The heads are not read: one epoch is the least that the method takes.
    fitted = TextAidedClustering(seen.n_classes, method="published", random_state=seed, epochs=1)
    started = time.perf_counter()
    fitted.fit(seen.scored, nouns=seen.nouns, noun_embeddings=seen.noun_vectors)
    seconds = time.perf_counter() - started - fitted.training_seconds_
    return {"training-free": Found(fitted.training_free_labels_, seconds)}


def by_method(method: str) -> Callable[[Vectors, int], dict[str, Found]]:
    """A method of the product; the paper's also has its result before training."""

    def fit(seen: Vectors, seed: int) -> dict[str, Found]:
        started = time.perf_counter()
        fitted = TextAidedClustering(seen.n_classes, method=method, random_state=seed)
        fitted.fit(seen.learned, nouns=seen.nouns, noun_embeddings=seen.noun_vectors)
        groups = fitted.predict(seen.scored) if seen.two else fitted.labels_
        seconds = time.perf_counter() - started
        found = {method: Found(groups, seconds)}
        if method == "published" and not seen.two:
            before = seconds - fitted.training_seconds_
            found["training-free"] = Found(fitted.training_free_labels_, before)
        return found

    return fit


def zero_shot(seen: Vectors, _: int) -> dict[str, Found]:
    """The nearest class name of each image: what somebody gets who knows the classes.

    A class without a vector gets no image, so that its images count as wrong.

    Raises
    ------
    InputError
        The class names are not given, one noun stands for two of them, or fewer than two are among the nouns.
    """
    if seen.class_names is None:
        raise InputError("zero-shot needs class_names")
    started = time.perf_counter()
    vectors, named = seen.class_vectors, np.arange(len(seen.class_names))
    if vectors is None:
        rows = class_rows(seen.class_names, seen.nouns)
        named = np.flatnonzero(rows >= 0)
        nouns = [seen.nouns[row] for row in rows[named]]
        if twice := [noun for noun in nouns if nouns.count(noun) > 1]:
            raise InputError(f"zero-shot needs a noun of its own for each class; {twice[0]} stands for two")
        vectors = seen.noun_vectors[rows[named]]
    unnamed = [words[0] for number, words in enumerate(seen.class_names) if number not in named]
    if len(named) < 2:
        raise InputError(
            f"zero-shot needs the names of two classes among the nouns; {len(unnamed)} of {len(seen.class_names)} are "
            f"not among them: {first_few(unnamed, 3)}"
        )
    groups = named[(seen.scored @ vectors.T).argmax(axis=1)]
    return {"zero-shot": Found(groups, time.perf_counter() - started, is_class=True, unnamed=unnamed)}


def class_rows(names: Sequence[Sequence[str]], nouns: Sequence[str]) -> IntVector:
    """The row of each class among the nouns, by the first of its words that is there, whatever the case.

    Returns
    -------
    int64 (n_classes,), -1 for a class that has no word there
    """
    rows = {noun.casefold(): row for row, noun in reversed(list(enumerate(nouns)))}
    found = [[rows[word.casefold()] for word in words if word.casefold() in rows] for words in names]
    return np.array([first[0] if first else -1 for first in found], dtype=np.int64)


Way = Callable[[Vectors, int], dict[str, Found]]
# Beside the methods.
WAYS: dict[str, Way] = {"k-means": k_means, "training-free": training_free, "zero-shot": zero_shot}


def way_names() -> tuple[str, ...]:
    """All ways that can be compared."""
    return (*WAYS, *method_names())


def load_way(name: str) -> Way:
    """What computes a way; one fit may give two."""
    return WAYS[name] if name in WAYS else by_method(name)


def learns(name: str) -> bool:
    """Whether a way learns from some images and groups others by it; the others see the scored images alone."""
    return name not in WAYS


def told_names(name: str) -> bool:
    """Whether a way is told the names of the classes; the others do not change with them."""
    return name == "zero-shot"
