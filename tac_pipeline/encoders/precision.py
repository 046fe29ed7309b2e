"""Choosing a model's precision: half precision when the hardware is fast at it and the vectors agree."""

from __future__ import annotations

import torch

from tac_pipeline.tensors import multiplies_bfloat16

# Cosine between half and float32 vectors of the same input, below which half precision is not taken.
MIN_AGREEMENT = 0.999


def fastest_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA, bfloat16 on a CPU with instructions for it, else float32."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and multiplies_bfloat16() else torch.float32
