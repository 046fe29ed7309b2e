"""A second image model: both in an image's vector, zeros in a word's, and nothing loaded before it is needed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from small_models import save_model

from tac_pipeline.arrow import require_same_space
from tac_pipeline.encoders import encoder_of_settings, second
from tac_pipeline.errors import EncoderError, TacWarning
from tac_pipeline.settings.keys import EncoderSettings

TINY = "test_vit"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny timm model, as people fetch them."""
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(timm.create_model(TINY, img_size=160).state_dict(), path)
    return path


@pytest.fixture
def encoder_of(tmp_path: Path) -> Callable[..., object]:
    config, pretrained = save_model(tmp_path)

    def make(**second: object) -> object:
        written = {"model": config, "pretrained": pretrained, "device": "cpu", "second": second}
        return encoder_of_settings(EncoderSettings.model_validate(written))

    return make


def test_images_have_both_vectors_and_words_the_first(encoder_of, weights: Path) -> None:
    first, joined = encoder_of(), encoder_of(model=TINY, pretrained=str(weights), weight=0.3)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 3, 32, 32), dtype=np.uint8)
    images, alone = joined.encode_images(pixels), first.encode_images(pixels)
    assert images.shape == (3, joined.dim)
    assert joined.dim == first.dim + timm.create_model(TINY, num_classes=0).num_features
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((images[:, first.dim :] ** 2).sum(axis=1), 0.3, atol=1e-6)
    words = joined.encode_nouns(["dog", "cat"], templates=["a {}"], batch_size=2)
    assert not words[:, first.dim :].any()
    expected = alone @ first.encode_nouns(["dog", "cat"], templates=["a {}"], batch_size=2).T
    np.testing.assert_allclose(images @ words.T, 0.7**0.5 * expected, atol=1e-6)
    assert not joined.encode_texts(["a dog"], batch_size=1)[:, first.dim :].any()
    # Other images have other second vectors, and equal ones the same.
    assert np.abs(images[0] - images[1])[first.dim :].max() > 1e-4
    np.testing.assert_array_equal(joined.encode_images(pixels), images)


def test_a_convolutional_model_takes_any_size(encoder_of) -> None:
    joined = encoder_of(model="test_resnet", pretrained="random")
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 32), dtype=np.uint8)
    with pytest.warns(TacWarning, match="are random"):
        assert joined.encode_images(pixels).shape == (2, joined.dim)


def test_both_models_and_their_share_are_in_the_name(encoder_of, weights: Path) -> None:
    first, joined = encoder_of(), encoder_of(model=TINY, pretrained=str(weights))
    names = {joined.text_fingerprint, encoder_of(model=TINY, pretrained=str(weights), weight=0.4).text_fingerprint}
    names |= {encoder_of(model=TINY, pretrained="random").text_fingerprint, first.text_fingerprint}
    assert len(names) == 4
    require_same_space(joined.fingerprint, joined.text_fingerprint)
    with pytest.raises(EncoderError):
        require_same_space(joined.fingerprint, first.text_fingerprint)


def test_a_name_imports_neither_torch_nor_timm(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tac_pipeline.encoders import encoder_of_settings\n"
        "from tac_pipeline.settings.keys import EncoderSettings\n"
        "second = {'model': 'vit_small_patch14_dinov2.lvd142m'}\n"
        "settings = EncoderSettings.model_validate({'model': 'tac-small', 'pretrained': 'drawn', 'second': second})\n"
        "assert '+timm:vit_small_patch14_dinov2.lvd142m:tag:0.5' in encoder_of_settings(settings).fingerprint\n"
        "assert not {'torch', 'timm'} & set(sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ({"model": "dinov9"}, r"must be a model of timm; 'dinov9' is none"),
        (
            {"model": TINY, "pretrained": "no.pth"},
            r"\.second\.pretrained must be a checkpoint file .*got no\.pth",
        ),
        ({"model": TINY, "pretrained": "damaged"}, r"the weights of test_vit .* cannot be had"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(encoder_of, tmp_path: Path, second: dict, sentence: str) -> None:
    if second.get("pretrained") == "damaged":
        second["pretrained"] = str(tmp_path / "damaged.safetensors")
        Path(second["pretrained"]).write_bytes(b"damaged")
    with pytest.raises(EncoderError, match=sentence):
        encoder_of(**second).encode_images(np.zeros((1, 3, 32, 32), dtype=np.uint8))


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ({"model": "dinov9"}, "must be a model of timm; 'dinov9' is none"),
        ({"model": TINY, "pretrained": "other"}, "must hold the tensors of test_vit; .* holds some.weight"),
        ({"model": TINY, "pretrained": "damaged"}, "must be a whole safetensors file"),
        (
            {"model": TINY},
            r"weights of test_vit \(encoder\.second\) must be on this .* HF_HUB_OFFLINE .*model\.safetens",
        ),
        ({"model": "vit_base_patch32_plus_256"}, "timm has no weights for vit_base_patch32_plus_256"),
    ],
)
def test_a_second_model_is_asked_for_before_any_work(
    encoder_of, tmp_path: Path, second: dict, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    if second.get("pretrained"):
        path = tmp_path / "file.safetensors"
        path.write_bytes(b"damaged")
        if second["pretrained"] == "other":
            save_file({"some.weight": torch.zeros(1)}, path)
        second = {**second, "pretrained": str(path)}
    with pytest.raises(EncoderError, match=sentence):
        encoder_of(**second).require_second()


def test_what_is_there_is_asked_for_without_reading_it(encoder_of, weights: Path, monkeypatch) -> None:
    monkeypatch.setattr(second, "_load", lambda *_: pytest.fail("the weights were loaded"))
    encoder_of(model=TINY, pretrained=str(weights)).require_second()
    encoder_of(model=TINY, pretrained="random").require_second()
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(weights))
    encoder_of(model=TINY).require_second()
