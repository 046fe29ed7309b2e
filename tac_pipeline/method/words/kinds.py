"""Nouns as kinds, with the kinds that they are of: what names are chosen by.

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
        As WordNet's first noun of the kind that is not offensive; of a noun that WordNet does not hold, as it came.
    meant : int64 (n_nouns,)
        The kind that each noun means.
    spelled : tuple of str, n_nouns long
        The noun in number and case as WordNet has it.
    below, above : int64 (n_pairs,)
        Every noun (below) with every kind that it is of (above), its own kind included.
    children, parents : int64 (n_steps,)
        Kinds that stand right below another kind, and that other kind.
    """

    names: tuple[str, ...]
    meant: IntVector
    spelled: tuple[str, ...]
    below: IntVector
    above: IntVector
    children: IntVector
    parents: IntVector

    def sums(self, weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The weight of each kind, float64 (n_rows, n_kinds): of all nouns (n_rows, n_nouns) that are of it."""
        from scipy.sparse import csr_array

        shape = (len(self.spelled), len(self.names))
        membership = csr_array((np.ones(len(self.below)), (self.below, self.above)), shape=shape)
        return np.asarray(weights.astype(np.float64) @ membership)
