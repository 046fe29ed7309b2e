"""Whether a confidence means what it says: of the images with 0.9, are nine in ten right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.evaluation import commonest_rows, matched_rows

SURE = 0.9
BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Confidence beside what labels say, in bins of equal width from 0 to 1; empty bins are left out.

    Attributes
    ----------
    confidence, right, pure : float64 (n_bins,)
        The mean confidence of a bin's images; the share of them in the cluster of their class under the best one-to-one
        matching; the share whose class is the commonest of their cluster, so that a class may fill several clusters.
    images : int64 (n_bins,), at least 1
    sure : float
        The share of all images with a confidence of 0.9 or more.
    sure_right, sure_pure : float
        Of these; NaN where there are none.
    """

    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    pure: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]
    sure: float
    sure_right: float
    sure_pure: float

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: the mean distance of confidence and share right, by images."""
        return float(np.average(np.abs(self.confidence - self.right), weights=self.images))


def measure_reliability(
    labels: npt.ArrayLike, assignment: npt.ArrayLike, confidence: npt.NDArray[np.floating]
) -> Reliability:
    """Compare confidences with labels.

    Parameters
    ----------
    labels, assignment : integers or strings (n_rows,), at least one
    confidence : float (n_rows,), from 0 to 1

    Raises
    ------
    InputError
        The lengths differ, or there are no rows.
    """
    if not len(confidence) or not len(np.asarray(labels)) == len(np.asarray(assignment)) == len(confidence):
        raise InputError(
            "labels, assignment and confidence must be equally long, with at least one entry; got "
            f"{len(np.asarray(labels))}, {len(np.asarray(assignment))} and {len(confidence)}"
        )
    right, pure = matched_rows(labels, assignment), commonest_rows(labels, assignment)
    numbers = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    filled, bins, images = np.unique(numbers, return_inverse=True, return_counts=True)

    def means(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = np.bincount(bins, weights=values, minlength=len(filled)) / images
        return found

    sure = confidence >= SURE
    return Reliability(
        means(confidence),
        means(right),
        means(pure),
        images,
        sure=float(sure.mean()),
        sure_right=float(right[sure].mean()) if sure.any() else float("nan"),
        sure_pure=float(pure[sure].mean()) if sure.any() else float("nan"),
    )
