"""Where arrays become tensors, and what this processor multiplies fast.

What must stay out: anything that computes a step of the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def tensor_of(array: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> torch.Tensor:
    """The array as a tensor that shares its memory where it can; a read-only array is copied."""
    import torch

    # torch warns of a read-only array, such as one mapped from a file, because it could write through the tensor.
    return torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products; without them float32 is the faster one."""
    import torch

    # Absent from older torch versions: then float32 it is.
    ask = getattr(torch.cpu, "get_capabilities", None)
    capabilities: dict[str, object] = ask() if ask is not None else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
