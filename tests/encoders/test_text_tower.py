"""The short text tower against open_clip's own pass over the whole context."""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ODD_NOUNS, TEMPLATES, build

from tac_pipeline.encoders.prompts import PromptTokenizer, pad_rows
from tac_pipeline.encoders.text_tower import MAX_PREFIXES, CausalTextTower

TOKENIZER = open_clip.get_tokenizer("ViT-B-32")
PROMPTS = PromptTokenizer.of(TOKENIZER, context_length=77)
MODEL = build()
TOWER = CausalTextTower.of(MODEL)

LIKE_CLIP: dict[str, dict[str, Any]] = {
    "GELU": {"quick_gelu": False},
    "text tower of its own": {"custom_text": True},
    "layer scale": {"text_cfg": {"ls_init_value": 0.3}},
    "projection with bias": {"custom_text": True, "text_cfg": {"proj_bias": True}},
    "no projection": {"custom_text": True, "text_cfg": {"proj_type": "none"}},
}
UNLIKE_CLIP: dict[str, dict[str, Any]] = {
    "not causal": {"custom_text": True, "text_cfg": {"no_causal_mask": True}},
    "pooled at the last position": {"text_cfg": {"pool_type": "last"}},
    "class token": {"custom_text": True, "text_cfg": {"embed_cls": True}},
    "other blocks": {"text_cfg": {"qk_norm": True}},
    "two outputs": {"custom_text": True, "text_cfg": {"output_tokens": True}},
}


def assert_same_vectors(tower: CausalTextTower, model: Any, texts: list[str]) -> None:
    with torch.inference_mode():
        plain = model.encode_text(TOKENIZER(texts))
        short = tower.encode(pad_rows(PROMPTS.text_rows(texts)))
    assert plain.std() > 0.1, "vectors all alike would prove nothing"
    torch.testing.assert_close(short, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("template", TEMPLATES)
def test_odd_prompts(template: str) -> None:
    texts = [template.replace("{}", noun) for noun in ODD_NOUNS]
    assert_same_vectors(TOWER, MODEL, texts)


@pytest.mark.parametrize("kind", LIKE_CLIP)
def test_models_that_take_the_short_way(kind: str) -> None:
    model = build(**LIKE_CLIP[kind])
    texts = ["a photo of a dog.", "a photo of a dog house.", "a photo of nobody, really.", "a photo of x", "a photo"]
    assert_same_vectors(CausalTextTower.of(model), model, texts)


@pytest.mark.parametrize("kind", UNLIKE_CLIP)
def test_models_that_do_not(kind: str) -> None:
    assert CausalTextTower.of(build(**UNLIKE_CLIP[kind])) is None


def test_coca_does_not() -> None:
    config = {"context_length": 76, "vocab_size": 49408, "width": 48, "heads": 3, "layers": 1}
    coca = build(custom_text=True, multimodal_cfg=config, text_cfg={"embed_cls": True, "output_tokens": True})
    assert CausalTextTower.of(coca) is None


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 60), max_size=9), min_size=1, max_size=9),
    st.lists(st.integers(1, 60), max_size=5),
)
def test_any_rows_of_tokens(rows: list[list[int]], shared: list[int]) -> None:
    tokens = pad_rows([[49406, *shared, *row, 49407] for row in rows])
    whole = torch.zeros(len(rows), 77, dtype=torch.long)
    whole[:, : tokens.shape[1]] = tokens
    with torch.inference_mode():
        torch.testing.assert_close(TOWER.encode(tokens), MODEL.encode_text(whole), atol=1e-5, rtol=1e-5)


def test_prefixes_are_kept_but_not_forever() -> None:
    tower = CausalTextTower.of(MODEL)
    with torch.inference_mode():
        for word in range(1, MAX_PREFIXES + 9):
            tower.encode(torch.tensor([[49406, word, end, 49407] for end in range(1, 6)]))
            assert len(tower._prefixes) <= MAX_PREFIXES
        tower.forget()
    assert not tower._prefixes


def test_new_weights_after_forgetting() -> None:
    model = build()
    tower = CausalTextTower.of(model)
    texts = [f"a photo of the large {noun}." for noun in ("dog", "cat", "horse", "owl", "bee")]
    assert_same_vectors(tower, model, texts)
    for weights in model.parameters():
        weights.mul_(1.1)
    tower.forget()
    assert_same_vectors(tower, model, texts)
