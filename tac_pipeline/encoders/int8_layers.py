"""Linear layers in 8 bits: whole numbers are multiplied, and scaled back.

Each row of the input has its own scale, so an image's vector does not depend on the images beside it. Weights have a
scale for each output, and 7 bits: with 8, processors without VNNI overflow their 16-bit sums, and give other vectors.
The few input channels with by far the largest values stay in float32, since they would take the steps from the others.

The result is defined by these whole numbers. Where there is no fast product of them, float32 multiplies the same
numbers, so the vectors are the same on every machine up to rounding.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_STEPS, WEIGHT_STEPS = 127, 63
# A channel is an outlier when its largest value is this many times the layer's median one.
OUTLIER_TIMES, MAX_OUTLIERS = 6.0, 16
_LEAST = 1e-12  # keeps a row of zeros from a division by zero


class Int8Linear(nn.Module):
    """An nn.Linear that multiplies rounded inputs and weights; float32 goes in and comes out.

    Parameters
    ----------
    weight : float32 (n_out, n_in)
    bias : float32 (n_out,), optional
    activation : {"none", "gelu", "gelu_tanh", "quick_gelu"}
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, activation: str = "none") -> None:
        super().__init__()
        self._float = weight.detach()
        self._bias = torch.zeros(len(weight), device=weight.device) if bias is None else bias.detach()
        self._activation = activation
        self._largest = torch.zeros(weight.shape[1], device=weight.device)
        self._measuring = True

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., n_in) to (..., n_out)."""
        rows = hidden.reshape(-1, hidden.shape[-1])
        found = self._measured(rows) if self._measuring else self._product(rows)
        return _activated(found, self._activation).view(*hidden.shape[:-1], -1)

    def settle(self) -> None:
        """Round the weights, after a pass over trial images that measured the inputs."""
        outliers = self._largest > OUTLIER_TIMES * self._largest.median()
        place = torch.topk(self._largest * outliers, min(MAX_OUTLIERS, len(self._largest))).indices
        self._outliers = place[outliers[place]].sort().values
        rounded = self._float.clone()
        rounded[:, self._outliers] = 0
        self._scale = rounded.abs().amax(dim=1).clamp_min_(_LEAST).div_(WEIGHT_STEPS)
        whole = rounded.div_(self._scale[:, None]).round_()
        self._kept = self._float[:, self._outliers].t().contiguous()  # (n_outliers, n_out)
        self._keep = torch.ones(whole.shape[1], device=whole.device).index_fill_(0, self._outliers, 0)
        self._fast = whole.device.type == "cpu" and multiplies_int8()
        if self._fast:
            # The transpose of a contiguous matrix: torch multiplies by it as it lies.
            self._weight = whole.to(torch.int8).t()
        else:
            self._weight = whole.t()
        self._measuring = False
        del self._float, self._largest

    def _measured(self, rows: Tensor) -> Tensor:
        self._largest = torch.maximum(self._largest, rows.abs().amax(dim=0))
        return F.linear(rows, self._float, self._bias)

    def _product(self, rows: Tensor) -> Tensor:
        rest = rows * self._keep if len(self._outliers) else rows
        low, high = torch.aminmax(rest, dim=1, keepdim=True)
        scale = torch.maximum(high, -low).clamp_min_(_LEAST).div_(INPUT_STEPS)  # (n_rows, 1)
        steps = torch.div(rest, scale).round_()
        whole = torch._int_mm(steps.to(torch.int8), self._weight) if self._fast else steps @ self._weight
        found = torch.addcmul(self._bias, whole * scale, self._scale)
        return torch.addmm(found, rows[:, self._outliers], self._kept) if len(self._outliers) else found


def _activated(found: Tensor, activation: str) -> Tensor:
    if activation == "quick_gelu":
        return found.mul_((found * 1.702).sigmoid_())
    if activation != "none":
        return F.gelu(found, approximate="tanh" if activation == "gelu_tanh" else "none")
    return found


@functools.cache
def multiplies_int8() -> bool:
    """Whether torch is fast at products of whole numbers here, and they are exact at the largest numbers."""
    # Without oneDNN, torch multiplies whole numbers one by one.
    if not torch._C._has_mkldnn:
        return False
    rows = torch.full((8, 256), INPUT_STEPS, dtype=torch.int8)
    rows[1::2] = -INPUT_STEPS
    weight = torch.full((256, 64), WEIGHT_STEPS, dtype=torch.int8)
    weight[:, 1::2] = -WEIGHT_STEPS
    try:
        found = torch._int_mm(rows, weight.t().contiguous().t())
    except (RuntimeError, AttributeError, TypeError):  # torch does not promise to keep this function
        return False
    return torch.equal(found.float(), rows.float() @ weight.float())
