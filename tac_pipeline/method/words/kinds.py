"""Nouns as kinds, with the wider kinds above them: names are chosen with these.

What must stay out: where the kinds come from (wordnet/noun_kinds.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import IntVector


@dataclass(frozen=True)
class NounKinds:
    """Nouns as kinds in WordNet's graph; a noun that WordNet does not hold is a kind of its own.

    Attributes
    ----------
    names : tuple of str, n_kinds long
        WordNet's first noun of the kind that is not offensive; a noun that WordNet does not hold is unchanged.
    meant : int64 (n_nouns,)
        The kind that each noun means.
    spelled : tuple of str, n_nouns long
        The noun in the number and case of WordNet.
    below, above : int64 (n_pairs,)
        Every noun (below) with every kind that it is (above), including its own kind.
    children, parents : int64 (n_steps,)
        Kinds directly below another kind, and that other kind.
    """

    names: tuple[str, ...]
    meant: IntVector
    spelled: tuple[str, ...]
    below: IntVector
    above: IntVector
    children: IntVector
    parents: IntVector

    def sums(self, weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The weight of each kind, float64 (n_rows, n_kinds): the sum over the nouns (n_rows, n_nouns) of this kind."""
        from scipy.sparse import csr_array

        shape = (len(self.spelled), len(self.names))
        membership = csr_array((np.ones(len(self.below)), (self.below, self.above)), shape=shape)
        return np.asarray(weights.astype(np.float64) @ membership)
