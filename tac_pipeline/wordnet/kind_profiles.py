"""The kinds of things that a group's nouns are, from the synsets above them in WordNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.wordnet import WordNet


def kind_profiles(profiles: FloatMatrix, nouns: Sequence[str], *, wordnet: WordNet) -> FloatMatrix:
    """Spread each noun's weight over its synset and all synsets above it; narrower ones count more.

    A noun is a unit vector over synsets: the square root of the information content (Resnik, 1995) at its synset and
    at those above. The cosine of two nouns grows with the information in the kinds that they share, as in Lin's
    measure (1998). A noun that WordNet does not hold adds nothing.

    Parameters
    ----------
    profiles : float32 (n_clusters, n_nouns)
        Weight of each noun in each cluster.
    nouns : sequence of str, n_nouns long
    wordnet : WordNet

    Returns
    -------
    float32 (n_clusters, n_kinds), unit rows; a zero row for a cluster when none of its nouns is of a known kind
    """
    from scipy.sparse import csr_array

    column: dict[str, int] = {}
    rows, columns = [], []
    for row, noun in enumerate(nouns):
        meaning = wordnet.meaning(noun)
        for kind in () if meaning is None else (meaning[0], *wordnet.ancestors(meaning[0])):
            rows.append(row)
            columns.append(column.setdefault(kind, len(column)))
    if not column:
        return np.zeros((len(profiles), 1), dtype=np.float32)
    telling = np.sqrt([-np.log(wordnet.share_below(kind)) for kind in column])
    told = csr_array((telling[columns], (rows, columns)), shape=(len(nouns), len(column)))
    lengths = np.sqrt(np.maximum((told * told).sum(axis=1), np.finfo(np.float32).tiny))
    return unit_rows((profiles / lengths) @ told)
