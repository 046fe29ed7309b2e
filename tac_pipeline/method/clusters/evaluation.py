"""Agreement of a clustering with true labels: NMI, ACC and ARI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import InputError


@dataclass(frozen=True)
class Scores:
    """Agreement of an assignment with the labels, each a fraction of 1.

    Attributes
    ----------
    nmi : float
        Normalized mutual information, arithmetic mean of the two entropies.
    acc : float
        Share of the rows on the diagonal under the best one-to-one matching of clusters and classes.
    ari : float
        Adjusted Rand index; 0 is chance, and below 0 is possible.
    rows : int
        How many rows were compared.
    """

    nmi: float
    acc: float
    ari: float
    rows: int


def score(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> Scores:
    """Compare an assignment with labels; neither the names nor the numbers of the clusters matter.

    Parameters
    ----------
    labels, assignment : integers or strings (n_rows,)

    Raises
    ------
    InputError
        The two differ in length, are empty, or are not one-dimensional.
    """
    truth, found = np.asarray(labels), np.asarray(assignment)
    if truth.ndim != 1 or truth.shape != found.shape or len(truth) == 0:
        raise InputError(
            "labels and assignment must be two equally long lists with at least one entry; "
            f"got shapes {truth.shape} and {found.shape}"
        )
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return Scores(
        nmi=float(normalized_mutual_info_score(truth, found, average_method="arithmetic")),
        acc=float(matched_rows(truth, found).mean()),
        ari=float(adjusted_rand_score(truth, found)),
        rows=len(truth),
    )


def matched_rows(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which rows are in the cluster of their class under the best one-to-one matching, bool (n_rows,).

    Parameters
    ----------
    labels, assignment : integers or strings (n_rows,)
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    shared = contingency_matrix(labels, assignment)  # (n_classes, n_clusters)
    partners = np.zeros(shared.shape, dtype=np.bool_)
    partners[linear_sum_assignment(shared, maximize=True)] = True
    truth, found = (np.unique(values, return_inverse=True)[1] for values in (labels, assignment))
    matched: npt.NDArray[np.bool_] = partners[truth, found]
    return matched
