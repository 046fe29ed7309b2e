"""Lloyd's rounds of spherical k-means from given centers: choose the nearest center, take means, again.

What must stay out: what they start from (spherical_kmeans.py, ward.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import SHORTEST_ROW, FloatMatrix, IntVector, row_chunks, unit_rows
from tac_pipeline.tensors import group_sums_on, multiplies_bfloat16, tensor_of

if TYPE_CHECKING:
    import torch

# A restart ends once fewer than this share of the rows move: what later rounds still gain is a tenth of what separates
# one restart from the next (docs/decisions/0010-fast-k-means.md).
MOVING_SHARE = 1e-3
# Products held at once, in elements; bounds memory and never changes the result.
CHUNK_ELEMENTS = 2**21
# On a GPU small products would wait for their launches: 256 MB in float32.
GPU_CHUNK_ELEMENTS = 2**26


@dataclass(frozen=True)
class KMeansResult:
    """The best restart of spherical k-means.

    Attributes
    ----------
    centers : float32 (n_clusters, dim), unit rows
    assignment : int64 (n_rows,)
        The nearest center of each row, the first of several equally near.
    objective : float
        Mean cosine of a row to its center; at most 1, more is better.
    iterations : int
        Rounds of assignment and update that this restart took.
    """

    centers: FloatMatrix
    assignment: IntVector
    objective: float
    iterations: int


def used_device(device: str) -> str:
    """The device where k-means computes: CUDA's cards alone are tried."""
    return device if device.startswith("cuda") else "cpu"


def chunk_elements(rows: torch.Tensor) -> int:
    """Products held at once on the device of the rows, in elements."""
    return GPU_CHUNK_ELEMENTS if rows.is_cuda else CHUNK_ELEMENTS


@dataclass(frozen=True)
class Rows:
    """The rows in full precision, and as a draft in the precision that this device multiplies fastest."""

    exact: torch.Tensor  # float32 (n_rows, dim)
    draft: torch.Tensor  # float16, bfloat16 or float32 (n_rows, dim)
    mean: torch.Tensor  # float32 (dim,)
    apart: torch.Tensor  # float32 (n_rows, 1): 1 - product with the mean

    def distances(self, to_rows: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """1 - cosine of every row to some of them, by chunks: float32 (chunk, len(to_rows)), never negative."""
        # Of the targets less the mean, the products are small and lose little to rounding (see nearest_center).
        targets = (self.exact[to_rows] - self.mean).to(self.draft.dtype).T
        for chunk in row_chunks(len(self.exact), max(1, chunk_elements(self.exact) // len(to_rows))):
            yield chunk, (self.apart[chunk] - self.draft[chunk] @ targets).clamp_(min=0)


def prepare(rows: FloatMatrix, device: str) -> Rows:
    """The rows, float32 (n_rows, dim), on a device."""
    import torch

    exact = tensor_of(rows).to(device)
    mean = exact.mean(dim=0)
    on_cpu = torch.bfloat16 if multiplies_bfloat16() else torch.float32
    draft = exact.to(torch.float16 if exact.is_cuda else on_cpu)
    return Rows(exact, draft, mean, 1 - (exact @ mean)[:, None])


def improve(
    rows: torch.Tensor,
    draft: torch.Tensor,
    centers: FloatMatrix,
    *,
    max_iterations: int,
    known: IntVector | None = None,
) -> KMeansResult:
    """Lloyd's rounds from the given centers: choices by the draft's products, means and the result by the rows.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    draft : float (n_rows, dim)
        The same in the precision of the rounds.
    centers : float32 (n_clusters, dim), unit rows
    max_iterations : int
    known : int64 (n_rows,), optional
        The cluster that a row is in, whatever is near; -1 where nobody knows.
    """
    centers, rounds = move_centers(
        rows, draft, centers, max_iterations=max_iterations, nearest=nearest_center, known=known
    )
    assignment = _held(nearest_center(rows, centers), known)
    objective = float(own_cosine(rows, assignment, centers).mean(dtype=np.float64))
    return KMeansResult(centers, assignment, objective, rounds)


def move_centers(
    rows: torch.Tensor,
    draft: torch.Tensor,
    centers: FloatMatrix,
    *,
    max_iterations: int,
    nearest: Callable[[torch.Tensor, FloatMatrix], IntVector],
    known: IntVector | None = None,
) -> tuple[FloatMatrix, int]:
    """The centers after the rounds of improve, and how many rounds there were.

    Parameters
    ----------
    nearest : callable (draft, centers) -> int64 (n_rows,)
        The center of each row.
    """
    import torch

    pinned = np.empty(0, dtype=np.int64) if known is None else np.flatnonzero(known >= 0)
    previous = np.full(len(rows), -1)
    rounds = 0
    while rounds < max_iterations:
        assignment = _held(nearest(draft, centers), known)
        moved = np.count_nonzero(assignment != previous)
        empty = np.flatnonzero(np.bincount(assignment, minlength=len(centers)) == 0)
        if moved == 0 or (moved < MOVING_SHARE * len(rows) and len(empty) == 0):
            break
        means = unit_means(rows, assignment, centers)
        if len(empty):
            # The rows farthest from their centers become centers; the sort is stable: equal rows go by number.
            nearness = own_cosine(rows, assignment, centers)
            nearness[pinned] = np.inf  # they would not stay
            worst = np.argsort(nearness, kind="stable")[: len(empty)]
            means[empty] = rows[torch.from_numpy(worst).to(rows.device)].cpu().numpy()
        centers, previous = means, assignment
        rounds += 1
    return centers, rounds


def _held(assignment: IntVector, known: IntVector | None) -> IntVector:
    """The assignment, with known rows in the clusters that they are known to be in."""
    return assignment if known is None else np.where(known >= 0, known, assignment)


def nearest_center(rows: torch.Tensor, centers: FloatMatrix) -> IntVector:
    """The nearest center of each row, the first of several equally near."""
    import torch

    # Subtracting the same vector from all centers changes no choice, and the products become small. CLIP's vectors are
    # in a narrow cone, where bfloat16 could not distinguish cosines of 0.90 and 0.901.
    targets = torch.from_numpy(centers - centers.mean(axis=0)).to(rows.device, rows.dtype).T
    chunks = row_chunks(len(rows), max(1, chunk_elements(rows) // len(centers)))
    # max, not argmax: the same choice, and several times faster on a CPU.
    nearest = torch.cat([(rows[chunk] @ targets).max(dim=1).indices for chunk in chunks])
    assignment: IntVector = nearest.cpu().numpy()
    return assignment


def own_cosine(rows: torch.Tensor, assignment: IntVector, centers: FloatMatrix) -> npt.NDArray[np.float32]:
    """Cosine of each row to its own center, float32 (n_rows,)."""
    chunks = row_chunks(len(rows), max(1, chunk_elements(rows) // centers.shape[1]))
    if rows.is_cuda:
        import torch

        near, own = torch.from_numpy(centers).to(rows.device), torch.from_numpy(assignment).to(rows.device)
        found = torch.cat([(rows[chunk] * near[own[chunk]]).sum(dim=1) for chunk in chunks])
        cosines: npt.NDArray[np.float32] = found.cpu().numpy()
        return cosines
    exact = rows.numpy()
    cosine = np.empty(len(rows), dtype=np.float32)
    for chunk in chunks:
        cosine[chunk] = np.einsum("ij,ij->i", exact[chunk], centers[assignment[chunk]])
    return cosine


def unit_means(rows: torch.Tensor, assignment: IntVector, centers: FloatMatrix) -> FloatMatrix:
    """The unit mean of each cluster's rows; a cluster without rows, or whose rows cancel out, keeps its center."""
    totals: FloatMatrix = group_sums_on(rows, tensor_of(assignment), n_groups=len(centers)).cpu().numpy()
    vanished = np.linalg.norm(totals, axis=1) < SHORTEST_ROW
    return np.where(vanished[:, np.newaxis], centers, unit_rows(totals))
