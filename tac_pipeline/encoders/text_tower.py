"""The text half of CLIP, run on as few tokens as a batch needs.

The plain pass runs all 77 positions of every prompt. With a causal mask and end-of-text pooling, two savings are exact.
Positions after the longest prompt's end change nothing. And when all prompts of a batch begin with the same tokens ("a
photo of the large"), these give every prompt the same keys and values, so they are run once.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip import CLIP, CustomTextCLIP
from open_clip.transformer import ResidualAttentionBlock, TextTransformer
from torch import Tensor, nn

KeysAndValues = tuple[Tensor, Tensor]

# A prefix takes a pass of its own, once; batches of few rows would not win it back.
MIN_ROWS_WITH_PREFIX = 4
MAX_PREFIXES = 64


class CausalTextTower:
    """open_clip's text transformer; `encode` gives what the model's encode_text gives, up to rounding."""

    def __init__(self, text: Any) -> None:
        self._text = text
        self._prefixes: dict[tuple[int, ...], list[KeysAndValues]] = {}

    @classmethod
    def of(cls, model: nn.Module) -> CausalTextTower | None:
        """The tower of a model; None when the savings would not be exact."""
        if type(model) not in (CLIP, CustomTextCLIP):
            return None
        text: Any = getattr(model, "text", model)
        if not isinstance(text, CLIP | TextTransformer):
            return None
        pooling = getattr(text, "text_pool_type", None) or getattr(text, "pool_type", None)
        plain = (
            pooling == "argmax"
            and getattr(text, "cls_emb", None) is None
            and not getattr(text, "output_tokens", False)
            and all(attends_plainly(block) for block in text.transformer.resblocks)
        )
        return cls(text) if plain and _is_causal(text.attn_mask) else None

    def forget(self) -> None:
        """Forget the kept prefixes; call it when the weights change."""
        self._prefixes.clear()

    def encode(self, tokens: Tensor) -> Tensor:
        """Vectors of prompts, not yet normalized.

        Parameters
        ----------
        tokens : int64 (n_prompts, n_tokens)
            Best on the CPU, wherever the model is. Each row ends with the end-of-text token, which is the highest; any
            lower tokens may follow.

        Returns
        -------
        (n_prompts, dim), in the model's dtype
        """
        text = self._text
        device = text.positional_embedding.device
        # What is asked of the tokens is asked where they are: a GPU would be waited for three times a batch.
        ends = tokens.argmax(dim=1)
        tokens = tokens[:, : int(ends.max()) + 1]
        shared = _shared_prefix(tokens, ends)
        pasts: list[KeysAndValues | None] = [None] * len(text.transformer.resblocks)
        if shared:
            pasts[:] = self._prefix(tokens[0, :shared])
        hidden = text.token_embedding(tokens[:, shared:].to(device))
        hidden = hidden + text.positional_embedding[shared : tokens.shape[1]]
        for block, past in zip(text.transformer.resblocks, pasts, strict=True):
            hidden, _ = _run_block(block, hidden, past)  # (n_prompts, n_tokens - shared, width)
        pooled: Tensor = text.ln_final(hidden[torch.arange(len(tokens), device=device), (ends - shared).to(device)])
        projection: nn.Linear | Tensor | None = text.text_projection
        if projection is None:
            return pooled
        projected: Tensor = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
        return projected

    def _prefix(self, tokens: Tensor) -> list[KeysAndValues]:
        """Keys and values of every layer for the tokens of a prefix, each (1, heads, n_tokens, head width)."""
        key = tuple(tokens.tolist())
        if key not in self._prefixes:
            if len(self._prefixes) >= MAX_PREFIXES:
                self.forget()
            text, kept = self._text, []
            places = text.positional_embedding[: len(tokens)]
            hidden = text.token_embedding(tokens[None].to(places.device)) + places
            for block in text.transformer.resblocks:
                hidden, keys_and_values = _run_block(block, hidden, None)
                kept.append(keys_and_values)
            self._prefixes[key] = kept
        return self._prefixes[key]


def attends_plainly(block: Any) -> bool:
    """Whether a block is open_clip's ResidualAttentionBlock of one sequence with itself, without extras."""
    return (
        type(block) is ResidualAttentionBlock
        and not hasattr(block, "ln_1_kv")
        and block.attn.in_proj_weight is not None
        and block.attn.bias_k is None
        and not block.attn.add_zero_attn
    )


def _is_causal(mask: Tensor | None) -> bool:
    if mask is None:
        return False
    expected = torch.full_like(mask, float("-inf")).triu_(1)
    return bool(torch.equal(mask, expected))


def _shared_prefix(tokens: Tensor, ends: Tensor) -> int:
    """How many tokens all rows begin with, short of the first row's end."""
    if len(tokens) < MIN_ROWS_WITH_PREFIX:
        return 0
    differs = (tokens != tokens[0]).any(dim=0).tolist()
    return min(differs.index(True) if True in differs else len(differs), int(ends.min()))


def _run_block(block: Any, hidden: Tensor, past: KeysAndValues | None) -> tuple[Tensor, KeysAndValues]:
    """One ResidualAttentionBlock over the tokens after `past`, and the keys and values of all tokens up to them."""
    rows, length, width = hidden.shape
    attention = block.attn
    projected = F.linear(block.ln_1(hidden), attention.in_proj_weight, attention.in_proj_bias)
    heads = (rows, length, 3, attention.num_heads, width // attention.num_heads)
    queries, keys, values = projected.view(heads).permute(2, 0, 3, 1, 4)  # each (n, heads, n_tokens, head width)
    if past is not None:
        pairs = zip(past, (keys, values), strict=True)
        keys, values = (torch.cat([old.expand(rows, -1, -1, -1), new], dim=2) for old, new in pairs)
    before = keys.shape[2] - length
    hidden_from = torch.ones(length, before + length, dtype=torch.bool, device=hidden.device).triu_(before + 1)
    # Written out, because torch's fused attention takes two to three times as long on so few tokens.
    scores = (queries @ keys.transpose(2, 3)) * (width // attention.num_heads) ** -0.5
    mixed = scores.masked_fill_(hidden_from, float("-inf")).softmax(dim=3) @ values
    mixed = mixed.transpose(1, 2).reshape(rows, length, width)
    hidden = hidden + block.ls_1(attention.out_proj(mixed))
    return hidden + block.ls_2(block.mlp(block.ln_2(hidden))), (keys, values)
