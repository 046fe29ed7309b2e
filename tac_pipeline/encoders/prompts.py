"""Turning nouns and templates into the tokens of prompts.

CLIP's tokenizer first cuts a text into words and ignores a word's surroundings, so a noun's tokens are the same in
every prompt. The noun is tokenized once, and its tokens are put between the tokens of a template's two halves. When a
word could cross the border, or a prompt is longer than the model's context, the whole prompt is tokenized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer, get_clean_fn
from torch import Tensor

from tac_pipeline.errors import InputError

SLOT = "{}"

# Printable ASCII without & and <: the tokenizer may read these together with the next characters (entities).
_PLAIN = r"[ -%'-;=-~]"
_PLAIN_NOUN = re.compile(rf"[A-Za-z0-9](?:{_PLAIN}*[A-Za-z0-9])?")
_PLAIN_BEFORE = re.compile(rf"(?:{_PLAIN}* )?")
_PLAIN_AFTER = re.compile(rf"(?:[ -%'-/:;=-@\[-`{{-~]{_PLAIN}*)?")


def require_templates(templates: Sequence[str]) -> None:
    """Raise InputError unless there are templates, each with exactly one {} and no other brace."""
    if not templates:
        raise InputError("templates must not be empty; give at least one, such as `a photo of a {}.`")
    for template in templates:
        if template.count(SLOT) != 1 or re.search("[{}]", template.replace(SLOT, "")):
            raise InputError(
                f"a template must hold {SLOT} exactly once, where the noun goes, and no other brace; got {template!r}"
            )


class PromptTokenizer:
    """Rows of token ids, from the start-of-text token to the end-of-text token, not padded."""

    def __init__(self, tokenizer: SimpleTokenizer, *, context_length: int) -> None:
        self._tokenizer = tokenizer
        self._context_length = context_length

    @classmethod
    def of(cls, tokenizer: Any, *, context_length: int) -> PromptTokenizer | None:
        """For CLIP's own tokenizer; None for any other, because its words may depend on their surroundings."""
        if type(tokenizer) is not SimpleTokenizer or tokenizer.reduction_fn is not None:
            return None
        if tokenizer.clean_fn is not get_clean_fn("lower"):
            return None
        return cls(tokenizer, context_length=context_length)

    def noun_pieces(self, nouns: Sequence[str]) -> list[list[int]]:
        """The tokens of each noun alone."""
        return [self._tokenizer.encode(noun) for noun in nouns]

    def prompt_rows(self, template: str, nouns: Sequence[str], pieces: Sequence[list[int]]) -> list[list[int]]:
        """The tokens of template.format(noun) for each noun, built from pieces when that is exact."""
        before, _, after = template.partition(SLOT)
        seams = bool(_PLAIN_BEFORE.fullmatch(before) and _PLAIN_AFTER.fullmatch(after))
        head = [self._tokenizer.sot_token_id, *self._tokenizer.encode(before)]
        tail = [*self._tokenizer.encode(after), self._tokenizer.eot_token_id]
        longest = self._context_length - len(head) - len(tail)
        return [
            [*head, *piece, *tail]
            if seams and len(piece) <= longest and _PLAIN_NOUN.fullmatch(noun)
            else self.text_rows([template.replace(SLOT, noun)])[0]
            for noun, piece in zip(nouns, pieces, strict=True)
        ]

    def text_rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of whole texts, cut by the tokenizer when they are longer than the context."""
        if not texts:
            return []
        tokens = self._tokenizer(list(texts), context_length=self._context_length)
        return [row[: end + 1] for row, end in zip(tokens.tolist(), tokens.argmax(dim=1).tolist(), strict=True)]


def pad_rows(rows: Sequence[list[int]]) -> Tensor:
    """Join rows of tokens into one int64 (n_rows, longest), padded with 0 as the tokenizer pads."""
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long)
