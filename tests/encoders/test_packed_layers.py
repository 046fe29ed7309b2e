"""Packed and rounded layers against the plain ones."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from small_models import build, save_model
from torch import nn

from tac_pipeline.encoders import int8_layers, loaded_model, open_clip_encoder, small
from tac_pipeline.encoders.int8_layers import INPUT_STEPS, WEIGHT_STEPS, Int8Linear, multiplies_int8
from tac_pipeline.encoders.packed_layers import PackedLinear, SelfAttention, swap_linears
from tac_pipeline.errors import EncoderError

ACTIVATIONS = {
    "none": lambda x: x,
    "gelu": nn.functional.gelu,
    "gelu_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}
needs_packing = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def settled(weight: torch.Tensor, inputs: torch.Tensor, activation: str = "none") -> Int8Linear:
    layer = Int8Linear(weight, random(len(weight), seed=9), activation=activation)
    layer(inputs)
    layer.settle()
    return layer


@needs_packing
@torch.inference_mode()
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_packed_weights_give_the_plain_products(activation: str) -> None:
    weight, bias, hidden = random(24, 40), random(24, seed=1), random(3, 5, 40, seed=2)
    expected = ACTIVATIONS[activation](nn.functional.linear(hidden, weight, bias))
    found = PackedLinear(weight, bias, activation=activation)(hidden)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    unbiased = PackedLinear(weight, None)(hidden)
    torch.testing.assert_close(unbiased, hidden @ weight.t(), rtol=1e-5, atol=1e-5)


@needs_packing
@torch.inference_mode()
def test_every_layer_of_a_tower_is_swapped() -> None:
    model = build()
    tower = deepcopy(model.visual)
    assert swap_linears(tower, lambda weight, bias, kind: PackedLinear(weight, bias, activation=kind)) == 8
    assert all(isinstance(block.attn, SelfAttention) for block in tower.transformer.resblocks)
    assert not any(isinstance(layer, nn.Linear) for layer in tower.modules())
    images = random(3, 3, 32, 32)
    torch.testing.assert_close(tower(images), model.visual(images), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_whole_numbers_as_the_formula_says(activation: str) -> None:
    weight, inputs = random(16, 32), random(6, 32, seed=3)
    scale = weight.abs().amax(1) / WEIGHT_STEPS
    rows = inputs.abs().amax(1, keepdim=True) / INPUT_STEPS
    product = (inputs / rows).round().double() @ (weight / scale[:, None]).round().double().t()
    expected = ACTIVATIONS[activation]((product * rows * scale).float() + random(16, seed=9))
    found = settled(weight, inputs, activation)(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_without_fast_products_the_vectors_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, inputs = random(16, 256), random(6, 256, seed=3)
    if not multiplies_int8():
        pytest.skip("torch has no exact product of whole numbers here")
    fast = settled(weight, inputs)(inputs)
    monkeypatch.setattr(int8_layers, "multiplies_int8", lambda: False)
    torch.testing.assert_close(settled(weight, inputs)(inputs), fast, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_outlier_channels_stay_in_float(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, inputs = random(16, 32), random(20, 32, seed=3)
    inputs[:, 5] *= 100
    expected = nn.functional.linear(inputs, weight, random(16, seed=9))
    kept = (settled(weight, inputs)(inputs) - expected).abs().max()
    monkeypatch.setattr(int8_layers, "MAX_OUTLIERS", 0)
    rounded = (settled(weight, inputs)(inputs) - expected).abs().max()
    assert kept * 5 < rounded


# --- the encoder ------------------------------------------------------------------------------------------------------


def test_int8_images_and_float_texts(tmp_path_factory: pytest.TempPathFactory) -> None:
    files = save_model(tmp_path_factory.mktemp("int8"))
    plain = open_clip_encoder(*files, device="cpu")
    rounded = open_clip_encoder(*files, device="cpu", precision="int8")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    found = rounded.encode_images(pixels)
    cosine = (found * plain.encode_images(pixels)).sum(axis=1)
    assert 0.98 < cosine.min() < 1 - 1e-7, "close, and not float's"
    alone = np.concatenate([rounded.encode_images(image[None]) for image in pixels])
    np.testing.assert_allclose(alone, found, atol=1e-3)
    texts = ["a dog", "two cats"]
    np.testing.assert_array_equal(rounded.encode_texts(texts, batch_size=2), plain.encode_texts(texts, batch_size=2))
    assert rounded.fingerprint == plain.fingerprint + ":int8-1"
    assert rounded.text_fingerprint == plain.fingerprint == plain.text_fingerprint


def test_int8_is_refused_where_nothing_can_be_rounded() -> None:
    encoder = open_clip_encoder(small.NAME, small.PRETRAINED, device="cpu", precision="int8")
    pixels = np.zeros((1, 3, encoder.image_size, encoder.image_size), dtype=np.uint8)
    with pytest.raises(EncoderError, match=r"tac-small has none .* Set encoder\.precision to float"):
        encoder.encode_images(pixels)


def test_int8_that_differs_much_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    encoder = open_clip_encoder(*save_model(tmp_path_factory.mktemp("far")), device="cpu", precision="int8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded_model, "_image_agreement", lambda *_: float("nan"))
        with pytest.raises(EncoderError, match=r"agree by only nan on trial images"):
            encoder.encode_images(np.zeros((1, 3, 32, 32), dtype=np.uint8))


@needs_packing
def test_packed_weights_that_differ_are_not_used(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loaded_model, "fastest_dtype", lambda device: torch.float32)
    files = save_model(tmp_path_factory.mktemp("packed"))
    packed = open_clip_encoder(*files, device="cpu")._loaded.model.visual
    assert any(isinstance(layer, PackedLinear) for layer in packed.modules())
    monkeypatch.setattr(loaded_model, "_image_agreement", lambda *_: 0.5)
    plain = open_clip_encoder(*files, device="cpu")._loaded.model.visual
    assert not any(isinstance(layer, PackedLinear) for layer in plain.modules())
    assert "agree by only 0.5" in caplog.text
