"""The precision that each device is fast at."""

from __future__ import annotations

import pytest
import torch

from tac_pipeline.encoders import precision
from tac_pipeline.encoders.precision import fastest_dtype

CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))


@pytest.mark.parametrize(
    "flags,expected",
    [
        ({"fpu", "amx_bf16"}, torch.bfloat16),
        ({"avx512_bf16"}, torch.bfloat16),
        ({"avx2", "avx512f"}, torch.float32),
        (set(), torch.float32),
    ],
)
def test_bfloat16_where_the_cpu_multiplies_it(
    flags: set[str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", lambda: frozenset(flags))
    assert fastest_dtype(CPU) == expected
    assert fastest_dtype(CUDA) == torch.float16
    assert fastest_dtype(MPS) == torch.float32
