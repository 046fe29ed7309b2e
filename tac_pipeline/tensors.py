"""Where arrays become tensors, what tensors add up faster, and what this processor multiplies fast.

What must stay out: anything that computes a step of the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_Float = TypeVar("_Float", np.float32, np.float64)


def tensor_of(array: npt.NDArray[np.floating] | npt.NDArray[np.int64]) -> torch.Tensor:
    """The array as a tensor that shares its memory where it can; a read-only array is copied."""
    import torch

    # torch warns about read-only arrays, such as memory-mapped files, because the tensor could write to them.
    return torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


def group_sums(rows: npt.NDArray[_Float], groups: npt.NDArray[np.int64], *, n_groups: int) -> npt.NDArray[_Float]:
    """The sum of each group's rows, (n_groups, dim) in the float type of the rows; zero for a group without rows.

    Rows are added one after the other in their order, so that the same rows give the same bits.
    """
    import torch

    # Like np.add.at, and several times faster.
    tensor = tensor_of(rows)
    sums: npt.NDArray[_Float] = (
        torch.zeros((n_groups, rows.shape[1]), dtype=tensor.dtype).index_add_(0, tensor_of(groups), tensor).numpy()
    )
    return sums


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products; without them float32 is faster."""
    import torch

    # Older torch versions do not have it: then float32 is used.
    ask = getattr(torch.cpu, "get_capabilities", None)
    capabilities: dict[str, object] = ask() if ask is not None else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
