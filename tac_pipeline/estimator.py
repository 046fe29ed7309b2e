"""The method as a scikit-learn clusterer, for users with vectors in memory who need no pipeline.

What must stay out: any step of its own. It calls the same functions as the Dagster assets.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, require_same_width, require_unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.semantic_centers import count_semantic_centers, find_semantic_centers
from tac_pipeline.method.grouping.training_free import image_kmeans, training_free_clusters
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.robust_heads import RobustHeads, learn_robust_heads
from tac_pipeline.method.heads.training import TrainedHeads, train_cluster_heads
from tac_pipeline.method.values.published import NEIGHBORS, TRAINING_FREE_RESTARTS, training_schedule
from tac_pipeline.method.values.robust import ASKED_NEIGHBORS, count_members, count_neighbors, robust_schedule
from tac_pipeline.method.words.names import label, name_clusters, noun_profiles
from tac_pipeline.method.words.noun_vocabulary import choose_noun_vocabulary
from tac_pipeline.method.words.text_counterparts import require_tau, retrieve_text_counterparts
from tac_pipeline.method.words.text_weight import (
    TextWeight,
    choose_text_weight,
    given_text_weight,
    published_text_weight,
)
from tac_pipeline.wordnet import noun_kinds

_LEAST = {
    "nouns_per_center": 1,
    "images_per_center": 1,
    "n_semantic_centers": 1,
    "n_neighbors": 1,
    "n_members": 1,
    "text_weight": 0,
    "epochs": 1,
    "batch_size": 2,
    "balance_weight": 0,
}
METHODS = ("robust", "published")
# How many repeated nouns a message names.
SHOWN = 5


class TextAidedClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster image embeddings with the help of nouns, and name the clusters.

    Parameters
    ----------
    n_clusters : int
        K, from 2 to the number of images.
    method : {"robust", "published"}
        robust: text counts as far as it helps; published: the paper's recipe.
    tau : float > 0
        Softmax temperature of the retrieval; 0.005 fits OpenAI's ViT-B/32, other encoders need 0.008 to 0.1.
    nouns_per_center : int
        Nouns that each semantic center may keep.
    images_per_center : int
        One semantic center for this many images, or three per cluster when clusters are smaller than that.
    n_semantic_centers : int, optional
        The number of semantic centers, instead of the rule of images_per_center.
    text_weight : float >= 0, optional
        Weight of the text in the robust method; the image has 1. None is chosen from the images.
    n_neighbors : int, optional
        Neighbors of each image, at most the number of images less one; None is the method's value.
    n_members : int, optional
        Heads that the robust method joins; None is chosen by the number of images.
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
    text_weight_ : TextWeight
        How much the text counts, and why.
    image_kmeans_labels_ : int64 (n_images,)
        Robust method: the clusters of k-means on the images alone.
    training_seconds_ : float
        Of the heads.
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
        tau: float = 0.005,
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
        self, image_embeddings: npt.ArrayLike, y: object = None, *, nouns: Sequence[str], noun_embeddings: npt.ArrayLike
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

        Raises
        ------
        InputError
            The vectors, the nouns or a parameter cannot be used; the message says which and why.
        """
        images = require_unit_rows(image_embeddings, name="image_embeddings")
        candidates = require_unit_rows(noun_embeddings, name="noun_embeddings")
        require_same_width(images, candidates, names=("image_embeddings", "noun_embeddings"))
        words = _require_nouns(nouns, n_rows=len(candidates))
        self._require_parameters(n_images=len(images))
        seed = self._seed()
        self.n_features_in_ = images.shape[1]
        self._retrieve(images, candidates, seed=seed)
        self._cluster(images, seed=seed)
        self._name(images, candidates, words)
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

    def _require_parameters(self, *, n_images: int) -> None:
        """Before the first long step, refuse everything that a later step would refuse."""
        if not 2 <= self.n_clusters <= n_images:
            raise InputError(f"n_clusters must be from 2 to the number of images, {n_images}; got {self.n_clusters}")
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}")
        require_tau(self.tau)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(f"{name} must be at least {least}; got {value}")
        for name in ("temperature", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be > 0; got {value}")

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            check_random_state(self.random_state)  # refuses invalid seeds
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _retrieve(self, images: FloatMatrix, candidates: FloatMatrix, *, seed: int) -> None:
        """Steps 3 to 5: from the candidates to a text counterpart for each image."""
        n_centers = count_semantic_centers(
            len(images), self.n_clusters, images_per_center=self.images_per_center, count=self.n_semantic_centers
        )
        self.semantic_centers_ = find_semantic_centers(images, n_centers=n_centers, seed=seed).centers
        self.vocabulary_rows_ = choose_noun_vocabulary(
            candidates, self.semantic_centers_, nouns_per_center=self.nouns_per_center
        ).rows
        self.text_counterparts_ = retrieve_text_counterparts(images, candidates[self.vocabulary_rows_], tau=self.tau)

    def _cluster(self, images: FloatMatrix, *, seed: int) -> None:
        """Steps 6 to 10: the training-free clusters, the heads, and the clusters by the image head."""
        robust = self.method == "robust"
        wanted = self.n_neighbors
        if wanted is None:
            wanted = count_neighbors(len(images), self.n_clusters) if robust else NEIGHBORS
        neighbors = nearest_neighbors(images, count=wanted)
        self.text_weight_ = self._weigh_text(images, neighbors, seed=seed)
        self.training_free_labels_ = training_free_clusters(
            images,
            self.text_counterparts_,
            text_weight=self.text_weight_.training_free,
            n_clusters=self.n_clusters,
            restarts=TRAINING_FREE_RESTARTS,
            seed=seed,
        ).assignment
        if robust:
            self.image_kmeans_labels_ = image_kmeans(
                images, n_clusters=self.n_clusters, restarts=TRAINING_FREE_RESTARTS, seed=seed
            ).assignment
        train = self._train_robust if robust else self._train_published
        started = time.perf_counter()
        trained = train(images, neighbors, count=wanted, seed=seed)
        self.training_seconds_ = time.perf_counter() - started
        self.image_head_, self.text_head_ = trained.image_head, trained.text_head
        self.loss_history_ = trained.history
        self.labels_ = assign(soft_assignment(self.image_head_, images)).column

    def _weigh_text(self, images: FloatMatrix, neighbors: IntMatrix, *, seed: int) -> TextWeight:
        if self.method != "robust":
            return published_text_weight()
        if self.text_weight is not None:
            return given_text_weight(self.text_weight)
        return choose_text_weight(
            images, self.text_counterparts_, neighbors[:, :ASKED_NEIGHBORS], n_clusters=self.n_clusters, seed=seed
        )

    def _train_published(self, images: FloatMatrix, neighbors: IntMatrix, *, count: int, seed: int) -> TrainedHeads:
        schedule = training_schedule(
            self.n_clusters, epochs=self.epochs, batch_size=self.batch_size, temperature=self.temperature
        )
        return train_cluster_heads(
            images,
            self.text_counterparts_,
            neighbors,
            nearest_neighbors(self.text_counterparts_, count=count),
            schedule=schedule,
            **self._training(seed),
        )

    def _train_robust(self, images: FloatMatrix, neighbors: IntMatrix, *, count: int, seed: int) -> RobustHeads:
        rows = blend_rows(images, self.text_counterparts_, text_weight=self.text_weight_.heads)
        schedule = robust_schedule(
            len(images), self.n_clusters, epochs=self.epochs, batch_size=self.batch_size, temperature=self.temperature
        )
        return learn_robust_heads(
            images,
            rows,
            neighbors,
            nearest_neighbors(rows, count=count),
            kmeans=self.image_kmeans_labels_,
            members=count_members(len(images), members=self.n_members),
            schedule=schedule,
            **self._training(seed),
        )

    def _training(self, seed: int) -> dict[str, Any]:
        """The training values that both methods share."""
        return {
            "n_clusters": self.n_clusters,
            "balance_weight": self.balance_weight,
            "learning_rate": self.learning_rate,
            "seed": seed,
            "device": self.device,
        }

    def _name(self, images: FloatMatrix, candidates: FloatMatrix, words: list[str]) -> None:
        self.noun_vocabulary_ = [words[row] for row in self.vocabulary_rows_]
        profiles = noun_profiles(
            images, candidates[self.vocabulary_rows_], self.labels_, n_clusters=self.n_clusters, tau=self.tau
        )
        sizes = np.bincount(self.labels_, minlength=self.n_clusters)
        self.cluster_words_ = name_clusters(profiles, sizes, noun_kinds(self.noun_vocabulary_))
        self.cluster_names_ = [label(found, column) for column, found in enumerate(self.cluster_words_)]


def _require_nouns(nouns: Sequence[str], *, n_rows: int) -> list[str]:
    """The nouns as a list, each once and one for each embedding.

    Raises
    ------
    InputError
        A noun is not text or is there twice, or the numbers of nouns and embeddings differ.
    """
    words = list(nouns)
    if isinstance(nouns, str) or not all(isinstance(word, str) for word in words):
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
