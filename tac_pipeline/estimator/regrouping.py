"""Merging clusters after the fit, by hand or along their tree: the probabilities of their columns add up."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.estimator.fitting import Fitted, Found, called, centers_of
from tac_pipeline.method import load_method
from tac_pipeline.method.clusters.cluster_tree import ClusterTree
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.words.names import ClusterName
from tac_pipeline.method.words.noun_profiles import noun_profiles
from tac_pipeline.results.corrections.merging import groups_of, sum_groups
from tac_pipeline.results.tree_names import join_groups, name_nodes
from tac_pipeline.wordnet import Wording


def merged(fitted: Fitted, groups: Sequence[Sequence[int]], images: FloatMatrix) -> Found:
    """All attributes after a merge by hand (see TextAidedClustering.merge_clusters)."""
    count = fitted.n_clusters_
    lists = [] if isinstance(groups, str) else [list(group) for group in groups if isinstance(group, Sequence)]
    members = [cluster for group in lists for cluster in group]
    if len(lists) != len(groups) or not all(isinstance(cluster, Integral) for cluster in members):
        raise InputError(f"groups must be lists of clusters, such as [[0, 3]]; got {groups!r}")
    wrong = [cluster for cluster in members if not 0 <= cluster < count or members.count(cluster) > 1]
    if wrong or count - sum(len(group) - 1 for group in lists if group) < 2:
        raise InputError(f"groups must have clusters from 0 to {count - 1}, each once, and leave two; got {groups!r}")
    into = {cluster: min(group) for group in lists for cluster in group}
    kept, places = groups_of(range(count), into)
    sizes = np.bincount(fitted.labels_, minlength=count)
    words = []
    for place in range(len(kept)):
        inside = np.flatnonzero(places == place)
        words.append(fitted.cluster_words_[inside[sizes[inside].argmax()]])
    return _joined(fitted, places, words, images)


def reduced(fitted: Fitted, k: int, images: FloatMatrix) -> Found:
    """All attributes with k clusters along the tree (see TextAidedClustering.reduce_to)."""
    count = fitted.n_clusters_
    if isinstance(k, bool) or not isinstance(k, Integral) or not 2 <= k <= count:
        raise InputError(f"k must be a whole number from 2 to the number of clusters, {count}; got {k!r}")
    tree = tree_of(fitted, images)
    below, named = tree.leaves_below(), _node_words(fitted, tree)
    nodes = sorted(tree.cut(int(k)).tolist(), key=lambda node: min(below[node]))
    places = np.empty(count, dtype=np.int64)
    for place, node in enumerate(nodes):
        places[below[node]] = place
    return _joined(fitted, places, [named[node] for node in nodes], images)


def tree_of(fitted: Fitted, images: FloatMatrix) -> ClusterTree:
    """The clusters joined two by two, as the pipeline's step cluster_tree joins them."""
    nouns = getattr(fitted, "vocabulary_embeddings_", None)
    if nouns is None:
        return join_groups(fitted.cluster_centers_, None, images[:0], [])
    profiles = noun_profiles(
        images, nouns, fitted.labels_, n_clusters=fitted.n_clusters_, tau=load_method(fitted.method).naming_tau
    )
    return join_groups(fitted.cluster_centers_, profiles.clusters, nouns, vars(fitted)["noun_vocabulary_"])


def _node_words(fitted: Fitted, tree: ClusterTree) -> list[ClusterName]:
    """The name of every node of the tree; a cluster keeps its own."""
    sizes = np.bincount(fitted.labels_, minlength=fitted.n_clusters_)
    words = fitted.cluster_words_
    names = [word.name for word in words]
    alternatives = [list(word.alternatives) for word in words]
    every = name_nodes(tree, names, alternatives, sizes.tolist(), wording=Wording())
    found = list(words)
    for node in range(tree.n_leaves, tree.n_nodes):
        leaves = sorted(tree.leaves_below()[node], key=lambda leaf: -sizes[leaf])
        others = tuple(name for leaf in leaves if (name := names[leaf]) is not None and name != every[node])
        confidence = min((words[leaf].confidence for leaf in leaves), default=0.0)
        weights = () if every[node] is None else (1.0, *(0.0 for _ in others))
        found.append(ClusterName(every[node], others, weights, confidence))
    return found


def _joined(fitted: Fitted, places: IntVector, words: list[ClusterName], images: FloatMatrix) -> Found:
    """All attributes when cluster c is at places[c]; the clusters' words are given."""
    columns, count = places[fitted.column_groups_], len(words)
    labels = assign(sum_groups(soft_assignment(fitted.image_head_, images), columns)).column
    given = {int(places[cluster]): name for cluster, name in fitted.given_names_.items()}
    kept = {name: value for name, value in vars(fitted).items() if name.endswith("_") and name != "cluster_pictures_"}
    return kept | {
        "n_clusters_": count,
        "column_groups_": columns,
        "labels_": labels,
        "cluster_centers_": centers_of(images, labels, n_clusters=count),
        "given_names_": {cluster: name for cluster, name in given.items() if words[cluster].name == name},
        **called(words),
    }
