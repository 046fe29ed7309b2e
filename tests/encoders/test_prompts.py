"""Spliced prompts equal the tokenizer's own, with any characters at the borders."""

from __future__ import annotations

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from small_models import ODD_NOUNS, ODD_TEMPLATES, TEMPLATES

from tac_pipeline.encoders.prompts import PromptTokenizer, pad_rows, require_templates
from tac_pipeline.errors import InputError

TOKENIZER = open_clip.get_tokenizer("ViT-B-32")
PROMPTS = PromptTokenizer.of(TOKENIZER, context_length=77)


def up_to_end(tokens: torch.Tensor) -> list[list[int]]:
    """The tokenizer's rows up to the first end-of-text token, where the text tower looks."""
    ends = tokens.argmax(dim=1).tolist()
    return [row[: end + 1] for row, end in zip(tokens.tolist(), ends, strict=True)]


def assert_as_tokenized(template: str, nouns: list[str]) -> None:
    expected = up_to_end(TOKENIZER([template.replace("{}", noun) for noun in nouns]))
    assert PROMPTS.prompt_rows(template, nouns, PROMPTS.noun_pieces(nouns)) == expected


@pytest.mark.parametrize("template", [*TEMPLATES, *ODD_TEMPLATES])
def test_odd_nouns_and_odd_seams(template: str) -> None:
    assert_as_tokenized(template, ODD_NOUNS)


SEAM_CHARACTERS = st.text(" ab1'.-&;#<>_sté5m™\t!", max_size=6)


@settings(max_examples=300, deadline=None)
@given(before=SEAM_CHARACTERS, noun=st.one_of(SEAM_CHARACTERS, st.text(max_size=8)), after=SEAM_CHARACTERS)
def test_any_seam(before: str, noun: str, after: str) -> None:
    assert_as_tokenized(before + "{}" + after, [noun])


def test_plain_nouns_are_spliced(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: PromptTokenizer, texts: list[str]) -> None:
        raise AssertionError(f"tokenized whole: {texts}")

    nouns = ["dog", "St. Bernard", "24-karat gold", "jack-in-the-box", "rock 'n' roll"]
    pieces = PROMPTS.noun_pieces(nouns)
    monkeypatch.setattr(PromptTokenizer, "text_rows", refuse)
    for template in TEMPLATES:
        assert len(PROMPTS.prompt_rows(template, nouns, pieces)) == len(nouns)
    with pytest.raises(AssertionError, match="tokenized whole"):
        PROMPTS.prompt_rows("a {}.", ["Ph.D."], [[1]])


@pytest.mark.parametrize("words", range(66, 76))
def test_prompts_about_as_long_as_the_context(words: int) -> None:
    assert_as_tokenized("a photo of the {}.", [" ".join(["dog"] * words)])


def test_a_short_context_cuts_as_the_tokenizer_does() -> None:
    prompts = PromptTokenizer.of(SimpleTokenizer(context_length=8), context_length=8)
    nouns = ["dog", "dog house", "dog house in the garden"]
    expected = up_to_end(TOKENIZER([f"a photo of {noun}." for noun in nouns], context_length=8))
    assert prompts.prompt_rows("a photo of {}.", nouns, prompts.noun_pieces(nouns)) == expected


def test_padded_rows_are_the_tokenizers_tensor() -> None:
    texts = ["a dog", "a photo of a dog", "naïve"]
    padded = pad_rows(PROMPTS.text_rows(texts))
    assert padded.shape == (3, 7)
    torch.testing.assert_close(padded, TOKENIZER(texts)[:, :7])
    assert PROMPTS.text_rows([]) == []


def test_other_tokenizers_are_left_alone() -> None:
    assert PromptTokenizer.of(SimpleTokenizer(clean="canonicalize"), context_length=77) is None
    assert PromptTokenizer.of(SimpleTokenizer(reduction_mask="simple"), context_length=77) is None
    assert PromptTokenizer.of(object.__new__(HFTokenizer), context_length=77) is None


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "{} {0}", "{noun}", "{{}}", "a } {}"])
def test_templates_hold_the_noun_once(template: str) -> None:
    with pytest.raises(InputError, match=r"must hold \{\} exactly once"):
        require_templates(["a {}.", template])


def test_no_templates() -> None:
    with pytest.raises(InputError, match="must not be empty"):
        require_templates([])
