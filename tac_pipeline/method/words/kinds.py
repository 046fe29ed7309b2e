"""Nouns as kinds, with the wider kinds above them: names are chosen with these.

What must stay out: where the kinds come from (wordnet/noun_kinds.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatVector, IntVector


@dataclass(frozen=True)
class NounKinds:
    """Nouns as kinds in WordNet's graph; a noun that WordNet does not hold is a kind of its own.

    People's own words of one meaning are kinds of their own below it: they were written apart.

    Attributes
    ----------
    names : tuple of str, n_kinds long
        The kind's name in people's language (Wording), an own word before WordNet's; empty when it has no name. A noun
        that WordNet does not hold is unchanged.
    meant : int64 (n_nouns,)
        The kind that each noun means.
    spelled : tuple of str, n_nouns long
        The noun in the number and case of WordNet, or in people's language; an own word as it was written.
    below, above : int64 (n_pairs,)
        Every noun (below) with every kind that it is (above), including its own kind.
    children, parents : int64 (n_steps,)
        Kinds directly below another kind, and that other kind.
    own : bool (n_nouns,), optional
        Whether a noun is people's own word; None when none is.
    weight : float32 (n_nouns,), optional
        How much people prefer a noun as a name, over 0; None when all weigh 1.
    apart : mapping of kind to str
        For kinds with one name: what tells each from the others, to be shown in brackets.
    """

    names: tuple[str, ...]
    meant: IntVector
    spelled: tuple[str, ...]
    below: IntVector
    above: IntVector
    children: IntVector
    parents: IntVector
    own: npt.NDArray[np.bool_] | None = None
    weight: FloatVector | None = None
    apart: Mapping[int, str] = field(default_factory=dict)

    def sums(self, weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The weight of each kind, float64 (n_rows, n_kinds): the sum over the nouns (n_rows, n_nouns) of this kind."""
        from scipy.sparse import csr_array

        shape = (len(self.spelled), len(self.names))
        membership = csr_array((np.ones(len(self.below)), (self.below, self.above)), shape=shape)
        return np.asarray(weights.astype(np.float64) @ membership)
