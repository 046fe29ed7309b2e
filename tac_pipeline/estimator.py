"""The method as a scikit-learn clusterer, for users with vectors in memory who need no pipeline.

What must stay out: any step of its own. It calls the same functions as the Dagster assets.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from tac_pipeline.arrays import FloatMatrix, IntVector, require_same_width, require_unit_rows
from tac_pipeline.encoders.devices import choose_device
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.method import load_method, method_names
from tac_pipeline.method.clusters.known_classes import KnownClasses, find_classes
from tac_pipeline.method.grouping.ward import count_known
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.recipe import Walk
from tac_pipeline.method.words.names import TEMPERATURE, label
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.text_counterparts import require_tau
from tac_pipeline.results.naming import name_groups

# The least value of each parameter that is a whole number, and of those that may be any number.
_WHOLE = {
    "n_clusters": 2,
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
_REQUIRED = ("n_clusters", "nouns_per_center", "images_per_center", "balance_weight", "learning_rate")
# How many repeated nouns a message names.
SHOWN = 5


class TextAidedClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster image embeddings with the help of nouns, and name the clusters.

    Parameters
    ----------
    n_clusters : int
        K, from 2 to the number of images.
    method : {"robust", "published", "trained"}
        robust: groups by image and text in whitened spaces, without training; published: the paper's recipe;
        trained: heads trained and joined.
    tau : float > 0, optional
        Softmax temperature of the retrieval; None is the method's: a rule that follows the vectors, or 0.005 as
        published.
    nouns_per_center : int
        Nouns that each semantic center may keep.
    images_per_center : int
        One semantic center for this many images, or three per cluster when clusters are smaller than that.
    n_semantic_centers : int, optional
        The number of semantic centers, instead of the rule of images_per_center.
    text_weight : float >= 0, optional
        Weight of the text, not in the published method; the image has 1. None is the method's.
    n_neighbors : int, optional
        Neighbors of each image, at most the number of images less one; None is the method's value.
    n_members : int, optional
        Heads that the trained method joins; None is chosen by the number of images.
    epochs, batch_size, temperature : optional
        Of the training; None is the method's value for the numbers of images and clusters.
    balance_weight : float
        Weight of the term that keeps clusters equally large.
    learning_rate : float
        Of Adam.
    device : str
        Where torch trains: cpu, cuda, mps.
    random_state : int, RandomState or None
        An int gives what the pipeline gives for that seed.

    Attributes
    ----------
    labels_ : int64 (n_images,)
        The cluster of each fitted image.
    cluster_names_ : list of str or None, n_clusters long
        The name of each cluster, no two alike; None for a cluster without members.
    cluster_words_ : list of ClusterName
        The same with alternatives, weights and confidence.
    training_free_labels_ : int64 (n_images,)
        Step 6: the clusters without trained heads, numbered independently of labels_.
    semantic_centers_ : float32 (n_centers, n_features_in_), unit rows
    noun_vocabulary_ : list of str
        The chosen nouns, in the given order.
    vocabulary_rows_ : int64 (n_chosen,)
        Their positions among the given nouns.
    text_counterparts_ : float32 (n_images, n_features_in_), unit rows
    tau_ : float
        The temperature that they were blended at.
    text_weight_ : TextWeight
        How much the text counts, and why.
    image_kmeans_labels_ : int64 (n_images,)
        The clusters of k-means on the images alone, where the method asks for them.
    training_seconds_ : float
        Of the heads, and of what they alone need.
    image_head_, text_head_ : ClusterHead
    loss_history_ : tuple of EpochLosses
    n_features_in_ : int
        Width of the embeddings.

    Examples
    --------
    >>> clusters = TextAidedClustering(n_clusters=10)
    >>> labels = clusters.fit_predict(image_embeddings, nouns=nouns, noun_embeddings=noun_embeddings)  # doctest: +SKIP
    >>> clusters.cluster_names_[labels[0]]  # doctest: +SKIP
    'guacamole'
    """

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        method: str = "robust",
        tau: float | None = None,
        text_weight: float | None = None,
        nouns_per_center: int = 5,
        images_per_center: int = 300,
        n_semantic_centers: int | None = None,
        n_neighbors: int | None = None,
        n_members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        temperature: float | None = None,
        balance_weight: float = 5.0,
        learning_rate: float = 1e-3,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.tau = tau
        self.text_weight = text_weight
        self.nouns_per_center = nouns_per_center
        self.images_per_center = images_per_center
        self.n_semantic_centers = n_semantic_centers
        self.n_neighbors = n_neighbors
        self.n_members = n_members
        self.epochs = epochs
        self.batch_size = batch_size
        self.temperature = temperature
        self.balance_weight = balance_weight
        self.learning_rate = learning_rate
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        image_embeddings: npt.ArrayLike,
        y: object = None,
        *,
        nouns: Sequence[str],
        noun_embeddings: npt.ArrayLike,
        known: Sequence[str | None] | None = None,
    ) -> Self:
        """Find the clusters and their names.

        Parameters
        ----------
        image_embeddings : (n_images, dim), rows of any length but zero
        y : ignored
        nouns : sequence of str, each once
            Candidates: nouns for what the images may show.
        noun_embeddings : (n_nouns, dim)
            From the same encoder, in the order of nouns.
        known : sequence of str or None, n_images long, optional
            The class of each image that is an example of one, and None for all others. The first clusters are these
            classes, in the order of their sorted names, and are called so; the rest are new. Only method="robust".

        Raises
        ------
        InputError
            The vectors, the nouns, the examples or a parameter cannot be used; the message says which and why.
        """
        images = require_unit_rows(image_embeddings, name="image_embeddings")
        candidates = require_unit_rows(noun_embeddings, name="noun_embeddings")
        require_same_width(images, candidates, names=("image_embeddings", "noun_embeddings"))
        words = _require_nouns(nouns, n_rows=len(candidates))
        self._require_parameters(n_images=len(images))
        seed = self._seed()
        classes = None if known is None else self._require_known(known, n_images=len(images))
        shortlist = CandidateVectors.whole(candidates)
        given: dict[str, Any] = {
            "training_set": images,
            "noun_shortlist": shortlist,
            "cluster_count": int(self.n_clusters),
        }
        if classes is not None:
            given["known_labels"] = classes.classes
        found = _found(Walk(load_method(self.method), given=given, choices=self._choices(seed)))
        found |= _named(found, images, shortlist, words, n_clusters=int(self.n_clusters), classes=classes)
        kept = {name: value for name, value in vars(self).items() if not name.endswith("_")}
        # In one move, so that a fit that is interrupted leaves the one before whole.
        self.__dict__ = kept | found | {"n_features_in_": images.shape[1]}
        return self

    def predict(self, image_embeddings: npt.ArrayLike) -> IntVector:
        """The cluster of each image, int64 (n_images,), also of new ones, from the image head (paper step 10)."""
        return assign(self.predict_proba(image_embeddings)).column

    def predict_proba(self, image_embeddings: npt.ArrayLike) -> FloatMatrix:
        """Soft assignments, float32 (n_images, n_clusters), rows sum to 1.

        Raises
        ------
        NotFittedError
            fit has not been called.
        InputError
            The embeddings are not as wide as the fitted ones, or hold NaN or zero rows.
        """
        check_is_fitted(self)
        return soft_assignment(self.image_head_, require_unit_rows(image_embeddings, name="image_embeddings"))

    def predict_confidence(self, image_embeddings: npt.ArrayLike) -> FloatMatrix:
        """How sure each image's cluster is, float32 (n_images,), from 0 to 1.

        The highest of its probabilities, and no more than its cluster itself is sure to be one.
        """
        soft, ceilings = self.predict_proba(image_embeddings), self.image_head_.ceilings
        return assign(soft, ceilings=None if ceilings is None else ceilings.numpy()).confidence

    def _require_parameters(self, *, n_images: int) -> None:
        """Before the first long step, refuse everything that a later step would refuse."""
        for name in (*_WHOLE, *_ANY, *_POSITIVE):
            _require_kind(name, getattr(self, name))
        if not 2 <= self.n_clusters <= n_images:
            raise InputError(f"n_clusters must be from 2 to the number of images, {n_images}; got {self.n_clusters}")
        if not isinstance(self.method, str) or self.method not in method_names():
            raise InputError(f"method must be one of {', '.join(method_names())}; got {self.method!r}")
        if self.tau is not None:
            require_tau(self.tau)
        for name, least in (_WHOLE | _ANY).items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(f"{name} must be at least {least}; got {value}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be > 0; got {value}")
        _require_device(self.device)

    def _require_known(self, known: Sequence[str | None], *, n_images: int) -> KnownClasses:
        """The known classes, which the method must be able to keep."""
        able = [name for name in method_names() if load_method(name).takes_known]
        if self.method not in able:
            raise InputError(f"known classes are kept by method {' or '.join(able)} alone; got {self.method!r}")
        labels = [] if isinstance(known, str) else list(known)
        if len(labels) != n_images or not all(label is None or isinstance(label, str) for label in labels):
            raise InputError(
                f"known must be a list of {n_images} entries, one for each image: the name of its class, or None"
            )
        classes = find_classes(labels)
        count_known(classes.classes, n_clusters=int(self.n_clusters))
        return classes

    def _seed(self) -> int:
        given = self.random_state
        try:
            if isinstance(given, bool | np.bool_):
                raise ValueError(given)
            generator = check_random_state(given)
        except ValueError as error:
            raise InputError(
                f"random_state must be a seed, from 0 to 2**32 - 1, a RandomState or None; got {given!r}"
            ) from error
        return int(given) if isinstance(given, int | np.integer) else int(generator.randint(2**31))

    def _choices(self, seed: int) -> dict[str, Any]:
        """The parameters by the names of the method's choices, as Python's own numbers: faiss takes no others."""
        names = {
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
        given = {choice: (getattr(self, name), int if name in _WHOLE else float) for choice, name in names.items()}
        numbers = {choice: None if value is None else kind(value) for choice, (value, kind) in given.items()}
        return {**numbers, "device": self.device, "seed": seed}


def _found(walk: Walk) -> dict[str, Any]:
    """What the method found, by the names of the attributes."""
    counterparts = walk.result("text_counterparts")
    found = {
        "semantic_centers_": walk.result("semantic_centers"),
        "vocabulary_rows_": walk.outcome("noun_vocabulary").rows,
        "text_counterparts_": counterparts.rows,
        "tau_": counterparts.tau,
        "text_weight_": walk.result("text_weight"),
        "training_free_labels_": walk.result("training_free_clusters"),
    }
    started = time.perf_counter()
    trained = walk.result("cluster_heads")
    found["training_seconds_"] = time.perf_counter() - started
    if walk.has("image_kmeans"):
        found["image_kmeans_labels_"] = walk.result("image_kmeans")
    labels = assign(soft_assignment(trained.image_head, walk.result("training_set"))).column
    return found | {
        "image_head_": trained.image_head,
        "text_head_": trained.text_head,
        "loss_history_": trained.history,
        "labels_": labels,
    }


def _named(
    found: dict[str, Any],
    images: FloatMatrix,
    candidates: CandidateVectors,
    words: list[str],
    *,
    n_clusters: int,
    classes: KnownClasses | None,
) -> dict[str, Any]:
    """The names of the clusters, by the names of the attributes."""
    given = None if classes is None else dict(enumerate(classes.names))
    named = name_groups(
        images, candidates, words, found["labels_"], n_groups=n_clusters, temperature=TEMPERATURE, given=given
    )
    return {
        "noun_vocabulary_": [words[row] for row in found["vocabulary_rows_"]],
        "cluster_words_": named,
        "cluster_names_": [label(name, column) for column, name in enumerate(named)],
    }


def _require_kind(name: str, value: object) -> None:
    """Refuse a number parameter that is no number, before it is compared with one."""
    kind, what = (Integral, "a whole number") if name in _WHOLE else (Real, "a number")
    optional = name not in _REQUIRED
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, kind):
        raise InputError(f"{name} must be {what}{' or None' if optional else ''}; got {value!r}")


def _require_device(device: object) -> None:
    there = isinstance(device, str) and re.fullmatch(r"cpu|mps|cuda(:\d+)?", device) is not None
    if there:
        try:
            choose_device(str(device))
        except TacError:
            there = False
    if not there:
        raise InputError(f"device must be cpu, or cuda, cuda:N or mps where torch has it; got {device!r}")


def _require_nouns(nouns: Sequence[str], *, n_rows: int) -> list[str]:
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
