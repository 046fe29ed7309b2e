"""Where arrays become tensors, what tensors add up faster, and what this processor multiplies fast.

What must stay out: anything that computes a step of the method.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)

_Float = TypeVar("_Float", np.float32, np.float64)
_Result = TypeVar("_Result")

# Elements of the matrix of ones and zeros that adds up groups on a GPU; 256 MB in float32.
ONES_AT_ONCE = 2**26
# Of more groups than this, a GPU adds up rows in the order of their groups, so many at once.
MANY_GROUPS, ORDERED_ROWS = 1000, 4096


def tensor_of(array: npt.NDArray[np.floating] | npt.NDArray[np.int64]) -> torch.Tensor:
    """The array as a tensor that shares its memory where it can; a read-only array is copied."""
    import torch

    # torch warns about read-only arrays, such as memory-mapped files, because the tensor could write to them.
    return torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


def group_sums(rows: npt.NDArray[_Float], groups: npt.NDArray[np.int64], *, n_groups: int) -> npt.NDArray[_Float]:
    """The sum of each group's rows, (n_groups, dim) in the float type of the rows; zero for a group without rows.

    Rows are added one after the other in their order, so that the same rows give the same bits.
    """
    sums: npt.NDArray[_Float] = group_sums_on(tensor_of(rows), tensor_of(groups), n_groups=n_groups).numpy()
    return sums


def group_sums_on(rows: torch.Tensor, groups: torch.Tensor, *, n_groups: int) -> torch.Tensor:
    """The same on the device of the rows; there too, the same rows give the same bits."""
    import torch

    sums = torch.zeros((n_groups, rows.shape[1]), dtype=rows.dtype, device=rows.device)
    if not rows.is_cuda:
        # Like np.add.at, and several times faster.
        return sums.index_add_(0, groups, rows)
    # CUDA's index_add_ adds in any order. Products with ones and zeros do not, and are as fast.
    if n_groups > MANY_GROUPS:
        return _add_in_order(sums, rows, groups)
    chunk_rows = max(1, ONES_AT_ONCE // n_groups)
    groups = groups.to(rows.device)
    numbers = torch.arange(n_groups, device=rows.device)[:, None]
    for start in range(0, len(rows), chunk_rows):
        chunk = slice(start, start + chunk_rows)
        sums += (numbers == groups[chunk]).to(rows.dtype) @ rows[chunk]
    return sums


def _add_in_order(sums: torch.Tensor, rows: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """The same by products of few rows and their own groups alone: the time does not grow with the groups."""
    import torch

    order = groups.cpu().argsort(stable=True)
    sorted_groups = groups.cpu()[order]
    for start in range(0, len(rows), ORDERED_ROWS):
        part = sorted_groups[start : start + ORDERED_ROWS]
        first, last = int(part[0]), int(part[-1])
        numbers = torch.arange(first, last + 1, device=rows.device)[:, None]
        ones = (numbers == part.to(rows.device)).to(rows.dtype)
        sums[first : last + 1] += ones @ rows[order[start : start + ORDERED_ROWS].to(rows.device)]
    return sums


def or_on_the_cpu(compute: Callable[[str], _Result], *, device: str, what: str) -> _Result:
    """What compute(device) returns; where that device's memory is too small, a warning and compute("cpu")."""
    import torch

    try:
        return compute(device)
    except torch.cuda.OutOfMemoryError:
        _LOG.warning("%s does not fit the memory of %s that is free: it runs on the CPU instead", what, device)
    # Outside the except clause: the error holds the frames, and these the tensors on the device.
    torch.cuda.empty_cache()
    return compute("cpu")


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products; without them float32 is faster."""
    import torch

    # Older torch versions do not have it: then float32 is used.
    ask = getattr(torch.cpu, "get_capabilities", None)
    capabilities: dict[str, object] = ask() if ask is not None else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
