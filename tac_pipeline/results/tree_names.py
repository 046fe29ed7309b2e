"""The tree of a result's clusters, and names for its nodes: what their clusters have in common, in WordNet or in nouns.

What must stay out: the shape of the tree (method/clusters/cluster_tree.py) and the names of the clusters
(method/words/names.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.method.clusters.cluster_tree import ClusterTree, join_clusters
from tac_pipeline.method.words.names import UNNAMED, without_brackets
from tac_pipeline.wordnet import Wording, WordNet, open_wordnet
from tac_pipeline.wordnet.kind_profiles import kind_profiles

# A hypernym names a node when it is above at least this share of the clusters with names that WordNet knows, and
# when these are at least this share of all: one exception must not turn "dog" into "entity"
# (docs/decisions/0071-the-cluster-tree.md).
COMMON_SHARE = 0.8
# A synset above more than a tenth of WordNet's nouns (entity, object, organism, artifact, ...) says nothing.
WIDEST_SHARE = 0.1
NAMES_SHOWN = 2
# The weight of the kinds of nouns beside the centers (docs/decisions/0071-the-cluster-tree.md).
KIND_WEIGHT = 0.5


def join_groups(
    centers: FloatMatrix, profiles: FloatMatrix | None, noun_vectors: FloatMatrix, nouns: Sequence[str]
) -> ClusterTree:
    """Join clusters by their images, by the nouns that these retrieve, and by the kinds of these nouns.

    Parameters
    ----------
    centers : float32 (n_clusters, dim), unit rows
    profiles : float32 (n_clusters, n_nouns), optional
        Weight of each noun in each cluster; None where there are no nouns.
    noun_vectors : float32 (n_nouns, dim), unit rows
    nouns : sequence of str, n_nouns long
    """
    if profiles is None:
        nothing = np.zeros((len(centers), 1), dtype=np.float32)
        return join_clusters(centers, nothing, nothing, kind_weight=0)
    return join_clusters(
        centers,
        unit_rows(profiles @ noun_vectors),
        kind_profiles(profiles, nouns, wordnet=open_wordnet()),
        kind_weight=KIND_WEIGHT,
    )


def name_nodes(
    tree: ClusterTree,
    names: Sequence[str | None],
    alternatives: Sequence[Sequence[str]],
    sizes: Sequence[int],
    *,
    wording: Wording,
) -> list[str | None]:
    """Name every node of a tree; the clusters keep their names.

    An inner node gets the nearest common hypernym of its clusters' names. If there is none that says anything, it gets
    a noun that all of its clusters have as name or alternative; else the names of its two largest clusters. When
    another node that is not below it has the same name, the names of its largest clusters follow, so that a reader
    never sees two inner nodes with one name.

    Parameters
    ----------
    tree : ClusterTree
    names : sequence of str or None, n_leaves long
        None for a cluster without a name.
    alternatives : sequence of sequence of str, n_leaves long
    sizes : sequence of int, n_leaves long
        Images of each cluster.
    wording : Wording
        What kinds are called.

    Returns
    -------
    list of str or None, n_nodes long; None for a node when its clusters have no names
    """
    below = [sorted(leaves, key=lambda leaf: (-sizes[leaf], leaf)) for leaves in tree.leaves_below()]
    wordnet = open_wordnet()
    meanings = [None if name is None else wording.meaning(name) for name in names]
    synsets = [None if meaning is None else meaning[0] for meaning in meanings]
    nouns = [set() if name is None else {name, *others} for name, others in zip(names, alternatives, strict=True)]
    found: list[str | None] = list(names)
    plain: dict[int, str] = {}
    for node in range(tree.n_leaves, tree.n_nodes):
        leaves = below[node]
        common = common_hypernym([synsets[leaf] for leaf in leaves], wordnet)
        word = wording.name(common) if common else None
        word = word or shared_noun([nouns[leaf] for leaf in leaves], names, leaves)
        if word is not None:
            plain[node] = word
        found.append(word if word is not None else _listed(names, leaves))
    for node in _repeated(plain, tree):
        listed = _listed(names, below[node])
        found[node] = f"{plain[node]} ({listed})" if listed else plain[node]
    return found


def common_hypernym(synsets: Sequence[str | None], wordnet: WordNet) -> str | None:
    """The narrowest synset that is, or is above, enough of the synsets; None when it would say nothing.

    Parameters
    ----------
    synsets : sequence of str or None
        None for a noun that WordNet does not hold.
    wordnet : WordNet
    """
    known = [synset for synset in synsets if synset is not None]
    if not known or len(known) < COMMON_SHARE * len(synsets):
        return None
    above = Counter(synset for one in known for synset in {one, *wordnet.ancestors(one)})
    common = [synset for synset, count in above.items() if count >= COMMON_SHARE * len(known)]
    # Among equally narrow ones the one above more synsets, then by name, so the order of clusters has no effect.
    best = min(common, key=lambda synset: (wordnet.share_below(synset), -above[synset], synset), default=None)
    return best if best is not None and wordnet.share_below(best) <= WIDEST_SHARE else None


def shared_noun(nouns: Sequence[set[str]], names: Sequence[str | None], leaves: Sequence[int]) -> str | None:
    """The noun that is among the nouns of every cluster: the name of most of them, else the first by alphabet."""
    shared = set.intersection(*nouns)
    called = Counter(names[leaf] for leaf in leaves)
    return min(shared, key=lambda noun: (-called[noun], noun), default=None)


def _repeated(plain: Mapping[int, str], tree: ClusterTree) -> list[int]:
    """The nodes that share their name with another node that is not below them."""
    parents = tree.parents
    topmost: Counter[str] = Counter()
    repeated = []
    for node, name in plain.items():
        above = int(parents[node])
        while above >= 0 and plain.get(above) != name:
            above = int(parents[above])
        if above >= 0:
            repeated.append(node)
        else:
            topmost[name] += 1
    return sorted({*repeated, *(node for node, name in plain.items() if node not in repeated and topmost[name] > 1)})


def _listed(names: Sequence[str | None], leaves: Sequence[int]) -> str | None:
    """The names of the two largest clusters that are called differently, without what tells those of one name apart."""
    called = [without_brackets(name) for leaf in leaves if (name := names[leaf]) is not None]
    distinct = sorted(dict.fromkeys(called), key=lambda name: name.startswith(UNNAMED))
    return " and ".join(distinct[:NAMES_SHOWN]) or None
