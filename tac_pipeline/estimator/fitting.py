"""What fit finds, by the names of the attributes: the method's pieces are asked for, and computed on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.estimator.running import Told
from tac_pipeline.method import load_method
from tac_pipeline.method.clusters.known_classes import KnownClasses
from tac_pipeline.method.grouping.cluster_count import CountEstimate, estimate_cluster_count
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import ClusterHead, soft_assignment
from tac_pipeline.method.recipe import Walk
from tac_pipeline.method.words.names import TEMPERATURE, ClusterName, label
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.text_counterparts import Counterparts
from tac_pipeline.method.words.text_weight import given_text_weight
from tac_pipeline.results.naming import name_groups
from tac_pipeline.tensors import group_sums

Found = dict[str, Any]


class Fitted(Protocol):
    """What later calls read of a fitted clusterer; see TextAidedClustering for what each is."""

    method: str
    n_clusters_: int
    labels_: IntVector
    image_head_: ClusterHead
    column_groups_: IntVector
    cluster_centers_: FloatMatrix
    cluster_words_: list[ClusterName]
    cluster_names_: list[str | None]
    given_names_: dict[int, str]
    # The strips of the last contact sheet, WebP, by cluster.
    cluster_pictures_: dict[int, bytes]

    def get_params(self) -> dict[str, Any]:
        """The parameters by their names."""
        ...

    def __sklearn_is_fitted__(self) -> bool: ...


def count_clusters(
    images: FloatMatrix, wanted: int | str, *, fewest: int, most: int, seed: int, told: Told
) -> tuple[int, CountEstimate | None]:
    """K, and why where it was found: `auto` and `fine` are the finest level, `coarse` at most half of it."""
    if not isinstance(wanted, str):
        return int(wanted), None
    found = estimate_cluster_count(
        images,
        fewest=int(fewest),
        most=min(int(most), len(images)),
        seed=seed,
        progress=told("numbers of clusters tried"),
    )
    return found.at_level(wanted), found


def find_groups(
    images: FloatMatrix,
    nouns: FloatMatrix | None,
    *,
    method: str,
    n_clusters: int,
    classes: KnownClasses | None,
    choices: Mapping[str, Any],
    told: Told,
) -> Found:
    """The groups and all that was found on the way; without nouns, of the images alone."""
    given: Found = {"training_set": images, "cluster_count": n_clusters}
    if nouns is None:
        # At weight 0 no noun is read, and the images stand for what nouns would say of them.
        given |= {
            "noun_shortlist": CandidateVectors(images[:0], np.zeros(images.shape[1], dtype=np.float32)),
            "text_counterparts": Counterparts(images, 1.0),
            "text_weight": given_text_weight(0.0),
        }
    else:
        given["noun_shortlist"] = CandidateVectors.whole(nouns)
    if classes is not None:
        given["known_labels"] = classes.classes
    walk = Walk(load_method(method), given=given, choices=choices, told=told)
    found = _of_words(walk) if nouns is not None else {"text_weight_": given["text_weight"]}
    found["training_free_labels_"] = walk.result("training_free_clusters")
    started = time.perf_counter()
    trained = walk.result("cluster_heads")
    found["training_seconds_"] = time.perf_counter() - started
    if walk.has("image_kmeans"):
        found["image_kmeans_labels_"] = walk.result("image_kmeans")
    labels = assign(soft_assignment(trained.image_head, images)).column
    return found | {
        "image_head_": trained.image_head,
        "text_head_": trained.text_head,
        "loss_history_": trained.history,
        "column_groups_": np.arange(n_clusters),
        "labels_": labels,
        "cluster_centers_": centers_of(images, labels, n_clusters=n_clusters),
    }


def _of_words(walk: Walk) -> Found:
    counterparts = walk.result("text_counterparts")
    return {
        "semantic_centers_": walk.result("semantic_centers"),
        "vocabulary_rows_": walk.outcome("noun_vocabulary").rows,
        "vocabulary_embeddings_": walk.result("noun_vocabulary"),
        "text_counterparts_": counterparts.rows,
        "tau_": counterparts.tau,
        "text_weight_": walk.result("text_weight"),
    }


def centers_of(images: FloatMatrix, labels: IntVector, *, n_clusters: int) -> FloatMatrix:
    """The unit mean of each cluster's images, float32 (n_clusters, dim); zero for a cluster without images."""
    return unit_rows(group_sums(images, labels, n_groups=n_clusters))


def find_names(
    images: FloatMatrix,
    labels: IntVector,
    words: Sequence[str],
    nouns: FloatMatrix,
    *,
    n_clusters: int,
    given: Mapping[int, str],
) -> Found:
    """The names of the clusters; `given` are those that people gave, by cluster."""
    named = name_groups(
        images,
        CandidateVectors.whole(nouns),
        words,
        labels,
        n_groups=n_clusters,
        temperature=TEMPERATURE,
        given=given or None,
    )
    return called(named)


def no_names(n_clusters: int, *, given: Mapping[int, str]) -> Found:
    """Clusters that nobody gave nouns for: they have the names that people gave, or none."""
    nothing = ClusterName(None, (), (), 0.0)
    named = [
        ClusterName(given[cluster], (), (1.0,), 1.0) if cluster in given else nothing for cluster in range(n_clusters)
    ]
    return {"cluster_words_": named, "cluster_names_": [words.name for words in named]}


def called(named: list[ClusterName]) -> Found:
    """Names as the attributes have them."""
    return {"cluster_words_": named, "cluster_names_": [label(name, column) for column, name in enumerate(named)]}
