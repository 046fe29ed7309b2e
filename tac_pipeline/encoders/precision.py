"""In which precision a model runs: half where the hardware is fast at it and the vectors agree."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

# Cosine between half and float32 vectors of the same input, below which half precision is not taken.
LEAST_AGREEMENT = 0.999

# What a Linux kernel calls the instructions that multiply bfloat16 matrices faster than float32 ones.
_FAST_BFLOAT16 = {"amx_bf16", "avx512_bf16"}


def fastest_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA, bfloat16 on a CPU with instructions for it, else float32."""
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and _FAST_BFLOAT16 & _cpu_flags():
        return torch.bfloat16
    return torch.float32


@functools.cache
def _cpu_flags() -> frozenset[str]:
    """What /proc/cpuinfo lists; empty where there is none. torch's own answer differs from version to version."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
