"""The precision that each device is fast at."""

from __future__ import annotations

import pytest
import torch

from tac_pipeline.encoders import precision
from tac_pipeline.encoders.precision import fastest_dtype

CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))


@pytest.mark.parametrize("instructions,expected", [(True, torch.bfloat16), (False, torch.float32)])
def test_half_where_the_device_multiplies_it(
    instructions: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: instructions)
    assert fastest_dtype(CPU) == expected
    assert fastest_dtype(CUDA) == torch.float16
    assert fastest_dtype(MPS) == torch.float32
