"""Turning arrays into tensors, and asking whether this processor multiplies bfloat16 fast.

What must stay out: anything that computes a step of the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def tensor_of(array: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> torch.Tensor:
    """The array as a tensor that shares its memory if possible; a read-only array is copied."""
    import torch

    # torch warns about read-only arrays, such as memory-mapped files, because the tensor could write to them.
    return torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products; without them float32 is faster."""
    import torch

    # Older torch versions do not have it: then float32 is used.
    ask = getattr(torch.cpu, "get_capabilities", None)
    capabilities: dict[str, object] = ask() if ask is not None else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
