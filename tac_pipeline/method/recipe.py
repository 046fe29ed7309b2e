"""What a method is: named pieces, each with the values that it takes and how it is computed.

Assets and the estimator walk the same Method. An asset computes one piece from artifacts; the estimator asks a Walk for
what it wants, and what that needs is computed on the way. What must stay out: the pieces themselves (paper.py,
robust.py), and anything that a store is (assets/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from tac_pipeline.progress import Progress

Values = dict[str, Any]


class Known(Protocol):
    """What a piece may ask for: what was chosen, and the results of the pieces before it."""

    @property
    def choices(self) -> Mapping[str, Any]:
        """What a person may set, by the names of CHOICES; None stands for the method's value."""
        ...

    def rows(self, name: str) -> int:
        """Rows of a result, without loading it."""
        ...

    def result(self, name: str) -> Any:
        """What another piece passes on, or what was given: training_set, noun_shortlist, cluster_count."""
        ...

    def optional(self, name: str) -> Any:
        """What only some people give, or None.

        known_labels, int64 (n_images,): the known class or -1. lessons, Lessons: corrections of the groups before.
        """
        ...

    def progress(self, what: str) -> Progress | None:
        """A callback for a long loop over so many of these."""
        ...


CHOICES = (
    "images_per_center",
    "n_centers",
    "nouns_per_center",
    "tau",
    "text_weight",
    "neighbors",
    "members",
    "epochs",
    "batch_size",
    "temperature",
    "balance_weight",
    "learning_rate",
    "seed",
    "device",
)


def _whole_outcome(_: Known, outcome: Any) -> Any:
    return outcome


@dataclass(frozen=True)
class Piece:
    """One step of a method.

    Attributes
    ----------
    compute : callable (known, values) -> outcome
    values : callable (known) -> dict, optional
        What the outcome hangs on beside its inputs, defaults worked out; it enters the asset's recipe. None stands for
        the choices as they are.
    passes_on : callable (known, outcome) -> result
        What later pieces read of the outcome. By default all of it.
    """

    compute: Callable[[Known, Values], Any]
    values: Callable[[Known], Values] | None = None
    passes_on: Callable[[Known, Any], Any] = _whole_outcome

    def run(self, known: Known) -> Any:
        """Work out the values, and compute the outcome."""
        return self.compute(known, {} if self.values is None else self.values(known))


@dataclass(frozen=True)
class Method:
    """Every piece of a method, by the name of the asset that stores its outcome.

    Attributes
    ----------
    name : str
        What the settings file calls it.
    takes_known : bool
        Whether it can keep classes that are known beforehand.
    takes_lessons : bool
        Whether it learns from corrections of the groups before.
    groups_without_words : bool
        Whether it groups images alone where nobody gives nouns: with a text weight of 0 it then reads none.
    shortlist_factor : int, optional
        How many times the nouns that a center gets are encoded in all templates; None stands for all nouns.
    naming_tau : float
        The temperature of noun profiles, which compare clusters: they want the few nouns that an image is nearest to.
    whitening : Piece of a Whitening, or None
    semantic_centers : Piece of a KMeansResult; passes on float32 (n_centers, dim), unit rows
    noun_vocabulary : Piece of a NounVocabulary; passes on the chosen nouns' vectors, float32 (n_chosen, dim), unit rows
    text_counterparts : Piece of Counterparts
    image_neighbors : Piece of Neighbors; passes on int64 (n_images, count)
    text_weight : Piece of a TextWeight
    text_rows : Piece of float32 (n_images, dim or 2 dim), unit rows: what a trained text head sees; not stored
    text_neighbors : the same, nearest by text_rows
    image_kmeans, training_free_clusters : Piece of a KMeansResult; passes on int64 (n_images,)
    cluster_heads : Piece of TrainedHeads
    """

    name: str
    takes_known: bool
    takes_lessons: bool
    groups_without_words: bool
    shortlist_factor: int | None
    naming_tau: float
    whitening: Piece
    semantic_centers: Piece
    noun_vocabulary: Piece
    text_counterparts: Piece
    image_neighbors: Piece
    text_weight: Piece
    text_rows: Piece
    text_neighbors: Piece
    image_kmeans: Piece
    training_free_clusters: Piece
    cluster_heads: Piece

    def piece(self, name: str) -> Piece:
        """The piece of a name."""
        found: Piece = getattr(self, name)
        return found

    @classmethod
    def piece_names(cls) -> tuple[str, ...]:
        """The names of all pieces."""
        return tuple(field.name for field in fields(cls) if field.type == "Piece")


class Walk:
    """A Known in memory: each piece is computed once, when it is first asked for, after what it reads.

    Parameters
    ----------
    method : Method
    given : mapping
        training_set, float32 (n_images, dim), unit rows; noun_shortlist, CandidateVectors; cluster_count, int; and
        known_labels, int64 (n_images,), if there are known classes. With lessons, Lessons, the groups before are
        learned again as people corrected them; cluster_count is then the number of groups that these leave.
    choices : mapping
        See Known.
    told : callable, optional
        Gives the callback of a long loop over so many of these; by default nobody is told.
    """

    def __init__(
        self,
        method: Method,
        *,
        given: Mapping[str, Any],
        choices: Mapping[str, Any],
        told: Callable[[str], Progress | None] = lambda _: None,
    ) -> None:
        self._method, self._given, self.choices, self._told = method, given, choices, told
        self._outcomes: dict[str, Any] = {}

    def outcome(self, name: str) -> Any:
        """All that a piece found."""
        if name not in self._outcomes:
            self._outcomes[name] = self._method.piece(name).run(self)
        return self._outcomes[name]

    def has(self, name: str) -> bool:
        """Whether a piece was asked for."""
        return name in self._outcomes

    def result(self, name: str) -> Any:
        """See Known."""
        if name in self._given:
            return self._given[name]
        return self._method.piece(name).passes_on(self, self.outcome(name))

    def rows(self, name: str) -> int:
        """See Known."""
        return len(self.result(name))

    def optional(self, name: str) -> Any:
        """See Known."""
        return self._given.get(name)

    def progress(self, what: str) -> Progress | None:
        """See Known."""
        return self._told(what)
