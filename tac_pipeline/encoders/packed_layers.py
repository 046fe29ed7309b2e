"""The linear layers of an image tower, with weights packed for the processor or in 8 bits.

torch multiplies by weights as they lie in memory. oneDNN's own layout saves a quarter of the time, and takes GELU into
the product. torch.compile uses the same operators, but needs a C++ compiler. What must stay out: when a way of running
is taken (loaded_model.py), and the arithmetic of 8 bits (int8_layers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from tac_pipeline.encoders.text_tower import attends_plainly

# Weight (n_out, n_in), bias and activation of a layer, to the layer that takes its place.
MakeLayer = Callable[[Tensor, Tensor | None, str], nn.Module]

# oneDNN's x * sigmoid(x), of an input scaled by 1.702, is QuickGELU scaled by 1.702.
_QUICK = 1.702
_ROWS = 1600  # of a packed weight's expected input: 32 images of 50 patches


class PackedLinear(nn.Module):
    """An nn.Linear of packed float32 or bfloat16 weights, with an optional activation.

    Parameters
    ----------
    weight : (n_out, n_in)
    bias : (n_out,), optional
    activation : {"none", "gelu", "gelu_tanh", "quick_gelu"}
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, activation: str = "none") -> None:
        super().__init__()
        self._divisor = _QUICK if activation == "quick_gelu" else None
        scale = _QUICK if activation == "quick_gelu" else 1.0
        self._post = {"none": ("none", ""), "quick_gelu": ("swish", ""), "gelu": ("gelu", "none")}.get(
            activation, ("gelu", "tanh")
        )
        self._weight = torch.ops.mkldnn._reorder_linear_weight((weight * scale).contiguous(), _ROWS)
        self._bias = None if bias is None else bias * scale

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., n_in) to (..., n_out)."""
        name, algorithm = self._post
        found: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, self._weight, self._bias, name, [], algorithm)
        return found if self._divisor is None else found.div_(self._divisor)


class SelfAttention(nn.Module):
    """nn.MultiheadAttention of one sequence with itself, its two products made by given layers."""

    def __init__(self, project: nn.Module, out: nn.Module, *, heads: int) -> None:
        super().__init__()
        self._project, self._out, self._heads = project, out, heads

    def forward(self, hidden: Tensor, *_: Tensor, **__: Any) -> tuple[Tensor, None]:
        """(n_images, n_tokens, width) to the same; the other arguments of nn.MultiheadAttention are not used."""
        images, tokens, width = hidden.shape
        split = (images, tokens, 3, self._heads, width // self._heads)
        queries, keys, values = self._project(hidden).view(split).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self._out(mixed.transpose(1, 2).reshape(images, tokens, width)), None


def swap_linears(module: nn.Module, make: MakeLayer) -> int:
    """Replace the linear layers within a module, those of attention included; returns how many.

    Layers with parameters that other code reads (attention between sequences, a tied weight) stay as they are.
    """
    # ResNet's pooling reads the parameters of its layers.
    if isinstance(module, AttentionPool2d):
        return 0
    swapped = 0
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            setattr(module, name, make(child.weight, child.bias, "none"))
            swapped += 1
        elif name == "attn" and attends_plainly(module) and type(child) is nn.MultiheadAttention and child.batch_first:
            setattr(module, name, _swapped_attention(child, make))
            swapped += 2
        elif not isinstance(child, nn.MultiheadAttention):
            swapped += _swap_mlp(child, make) + swap_linears(child, make)
    return swapped


def _swapped_attention(attention: Any, make: MakeLayer) -> nn.Module:
    project = make(attention.in_proj_weight, attention.in_proj_bias, "none")
    out = make(attention.out_proj.weight, attention.out_proj.bias, "none")
    return SelfAttention(project, out, heads=attention.num_heads)


def _swap_mlp(mlp: Any, make: MakeLayer) -> int:
    """Open_clip's MLP (c_fc, gelu, c_proj) and timm's (fc1, act, fc2): the activation goes into the first layer."""
    for first, between, second in (("c_fc", "gelu", "c_proj"), ("fc1", "act", "fc2")):
        into, out = getattr(mlp, first, None), getattr(mlp, second, None)
        activation = _activation(getattr(mlp, between, None))
        if activation is None or type(into) is not nn.Linear or type(out) is not nn.Linear:
            continue
        setattr(mlp, first, make(into.weight, into.bias, activation))
        setattr(mlp, between, nn.Identity())
        setattr(mlp, second, make(out.weight, out.bias, "none"))
        return 2
    return 0


def _activation(layer: object) -> str | None:
    if type(layer) is QuickGELU:
        return "quick_gelu"
    if type(layer) is nn.GELU:
        return "gelu" if layer.approximate == "none" else "gelu_tanh"
    return None
