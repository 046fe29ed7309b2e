"""The encoder against open_clip's own way, image by image and prompt by prompt."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from small_models import ODD_NOUNS, TEMPLATES, build, save_model, small_config

from tac_pipeline.arrays import unit_rows
from tac_pipeline.encoders import Encoder, loaded_model, open_clip_encoder
from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
from tac_pipeline.encoders.model_choice import RANDOM
from tac_pipeline.errors import EncoderError, InputError, TacWarning
from tac_pipeline.sources.decoding import decode_image

TOKENIZER = open_clip.get_tokenizer("ViT-B-32")
NOT_CAUSAL = {"custom_text": True, "text_cfg": {"no_causal_mask": True}}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> OpenClipEncoder:
    return in_dtype(torch.float32, tmp_path_factory.mktemp("float32"))


def in_dtype(dtype: torch.dtype, folder: Path, **changes: Any) -> OpenClipEncoder:
    """An encoder on the CPU in the given precision, even if this CPU is slow at it."""
    made = open_clip_encoder(*save_model(folder, **changes), device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded_model, "fastest_dtype", lambda device: dtype)
        assert made._loaded is not None
    return made


def images(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def plain_noun_vectors(model: Any, nouns: list[str], templates: list[str]) -> np.ndarray:
    """Step 2 as the method says it, one prompt at a time."""
    with torch.inference_mode():
        rows = [
            sum(model.encode_text(TOKENIZER([template.replace("{}", noun)]))[0] for template in templates)
            for noun in nouns
        ]
    return unit_rows(torch.stack(rows).numpy() / len(templates))


def assert_unit_rows(vectors: np.ndarray, shape: tuple[int, int]) -> None:
    assert vectors.dtype == np.float32
    assert vectors.shape == shape
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


# --- images -----------------------------------------------------------------------------------------------------------


def test_images_as_open_clip_encodes_them(encoder: OpenClipEncoder) -> None:
    files = []
    for wide, high in ((50, 40), (32, 64), (33, 33)):
        noise = np.random.default_rng(wide).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((wide, high), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    transform = image_transform_v2(PreprocessCfg(size=32), is_train=False)
    with torch.inference_mode():
        batch = torch.stack([transform(Image.open(io.BytesIO(data))) for data in files])
        expected = unit_rows(build().encode_image(batch).numpy())
    decoded = np.stack([decode_image(data, size=32, max_pixels=10_000).pixels for data in files])
    found = encoder.encode_images(decoded)
    assert_unit_rows(found, (3, 24))
    np.testing.assert_allclose((found * expected).sum(axis=1), 1, atol=1e-4)


def test_an_image_has_its_vector_in_any_batch(encoder: OpenClipEncoder) -> None:
    together = encoder.encode_images(images(5))
    alone = np.concatenate([encoder.encode_images(image[None]) for image in images(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_images(torch.from_numpy(images(5))), together)
    assert not np.allclose(together[0], together[1], atol=1e-3)
    assert encoder.encode_images(images(0)).shape == (0, 24)


@pytest.mark.parametrize(
    "pixels", [images(2)[:, :, :31], images(2)[0], images(2).astype(np.float32), images(2).transpose(0, 2, 3, 1)]
)
def test_other_pixels_are_refused(encoder: OpenClipEncoder, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"images must be uint8 \(n_images, 3, 32, 32\); got "):
        encoder.encode_images(pixels)


# --- texts ------------------------------------------------------------------------------------------------------------


def test_nouns_as_the_method_says(encoder: OpenClipEncoder) -> None:
    found = encoder.encode_nouns(ODD_NOUNS, templates=TEMPLATES, batch_size=16)
    assert_unit_rows(found, (len(ODD_NOUNS), 24))
    np.testing.assert_allclose(found, plain_noun_vectors(build(), ODD_NOUNS, TEMPLATES), atol=1e-5)


def test_the_mean_is_taken_before_normalizing(encoder: OpenClipEncoder) -> None:
    templates = ["{}", "a bad photo of the {} in a video game, seen from far above."]
    with torch.inference_mode():
        each = [build().encode_text(TOKENIZER([template.replace("{}", "dog")])).numpy() for template in templates]
    before, after = unit_rows(sum(each)), unit_rows(sum(map(unit_rows, each)))
    assert np.abs(before - after).max() > 1e-3, "the two orders must differ here"
    np.testing.assert_allclose(encoder.encode_nouns(["dog"], templates=templates, batch_size=1), before, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(ODD_NOUNS[:12]), batch_size=st.integers(1, 14))
def test_neither_order_nor_batch_size_changes_a_noun(
    encoder: OpenClipEncoder, order: list[str], batch_size: int
) -> None:
    whole = encoder.encode_nouns(ODD_NOUNS[:12], templates=TEMPLATES[:2], batch_size=64)
    found = encoder.encode_nouns(order, templates=TEMPLATES[:2], batch_size=batch_size)
    np.testing.assert_allclose(found, whole[[ODD_NOUNS.index(noun) for noun in order]], atol=1e-5)


def test_texts_as_they_are(encoder: OpenClipEncoder) -> None:
    found = encoder.encode_texts(ODD_NOUNS, batch_size=7)
    assert_unit_rows(found, (len(ODD_NOUNS), 24))
    with torch.inference_mode():
        expected = unit_rows(build().encode_text(TOKENIZER(ODD_NOUNS)).numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_texts_longer_than_the_context_are_told(encoder: OpenClipEncoder) -> None:
    # A word is a token here, and two more say where a text begins and ends.
    fits, cut = " ".join(["dog"] * 75), " ".join(["dog"] * 76)
    assert encoder.cut_texts([cut, "", fits, "a dog"]) == [cut]
    assert encoder.cut_texts([]) == []


def test_nothing_gives_nothing(encoder: OpenClipEncoder) -> None:
    assert encoder.encode_nouns([], templates=TEMPLATES, batch_size=4).shape == (0, 24)
    assert encoder.encode_texts([], batch_size=4).shape == (0, 24)


def test_progress_counts_nouns(encoder: OpenClipEncoder) -> None:
    told: list[tuple[int, int]] = []
    encoder.encode_nouns(ODD_NOUNS[:10], templates=TEMPLATES, batch_size=4, progress=lambda *now: told.append(now))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_templates_are_checked_first(tmp_path: Path) -> None:
    unloaded = open_clip_encoder(save_model(tmp_path)[0], RANDOM)
    with pytest.raises(InputError, match="exactly once"):
        unloaded.encode_nouns(["dog"], templates=["a photo"], batch_size=4)


def test_a_model_that_is_not_causal_takes_the_plain_way(tmp_path: Path) -> None:
    plain = in_dtype(torch.float32, tmp_path, **NOT_CAUSAL)
    assert plain._loaded.short_way is None
    nouns = ODD_NOUNS[:12]
    found = plain.encode_nouns(nouns, templates=TEMPLATES, batch_size=5)
    np.testing.assert_allclose(found, plain_noun_vectors(build(**NOT_CAUSAL), nouns, TEMPLATES), atol=1e-5)
    with torch.inference_mode():
        expected = unit_rows(build(**NOT_CAUSAL).encode_text(TOKENIZER(nouns)).numpy())
    np.testing.assert_allclose(plain.encode_texts(nouns, batch_size=5), expected, atol=1e-5)


def test_a_short_way_that_leads_elsewhere_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_model.CausalTextTower, "encode", lambda self, tokens: torch.randn(len(tokens), 24))
    wary = in_dtype(torch.float32, tmp_path)
    assert wary._loaded.short_way is None
    np.testing.assert_allclose(
        wary.encode_nouns(["dog"], templates=["a {}"], batch_size=1),
        plain_noun_vectors(build(), ["dog"], ["a {}"]),
        atol=1e-5,
    )


# --- precision --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_vectors(
    dtype: torch.dtype, encoder: OpenClipEncoder, tmp_path: Path
) -> None:
    halved = in_dtype(dtype, tmp_path)
    assert halved._loaded.dtype == dtype
    for found, expected in (
        (halved.encode_images(images(8)), encoder.encode_images(images(8))),
        (
            halved.encode_nouns(ODD_NOUNS, templates=TEMPLATES, batch_size=16),
            encoder.encode_nouns(ODD_NOUNS, templates=TEMPLATES, batch_size=16),
        ),
        (halved.encode_texts(ODD_NOUNS, batch_size=16), encoder.encode_texts(ODD_NOUNS, batch_size=16)),
    ):
        assert_unit_rows(found, expected.shape)
        assert (found * expected).sum(axis=1).min() >= 0.999
    assert halved.fingerprint == encoder.fingerprint, "precision is execution"


def test_half_precision_that_disagrees_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_model, "MIN_AGREEMENT", 1.1)
    full = in_dtype(torch.bfloat16, tmp_path)
    assert full._loaded.dtype == torch.float32
    np.testing.assert_allclose(
        full.encode_nouns(["dog"], templates=["a {}"], batch_size=1),
        plain_noun_vectors(build(), ["dog"], ["a {}"]),
        atol=1e-5,
    )


def test_vectors_beyond_half_precision_are_made_in_float32(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    halved = in_dtype(torch.float16, tmp_path)
    nouns = ["dog", "cat", "bee", "owl", "ox"]
    halved.encode_nouns(nouns, templates=["a photo of a {}"], batch_size=8)
    # Vectors of 1e5 do not fit float16; unit length removes the factor again.
    halved._loaded.model.visual.proj.data.mul_(100_000)
    assert halved._loaded.model.encode_image(torch.randn(1, 3, 32, 32).half() * 3).isinf().any()
    found = halved.encode_images(images(8))
    assert halved._loaded.dtype == torch.float32
    assert (found * encoder.encode_images(images(8))).sum(axis=1).min() >= 0.999
    again = halved.encode_nouns(nouns, templates=["a photo of a {}"], batch_size=8)
    assert (again * encoder.encode_nouns(nouns, templates=["a photo of a {}"], batch_size=8)).sum(axis=1).min() >= 0.999


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    broken = in_dtype(torch.float32, tmp_path)
    broken._loaded.model.visual.proj.data[0, 0] = float("nan")
    with pytest.raises(EncoderError, match="NaN or infinity"):
        broken.encode_images(images(2))


# --- loading ----------------------------------------------------------------------------------------------------------


def test_an_encoder_loads_only_when_it_is_used(tmp_path: Path) -> None:
    config, weights = save_model(tmp_path)
    Path(weights).write_bytes(b"damaged")
    made: Encoder = open_clip_encoder(config, weights)
    assert (made.dim, made.image_size, made.resize_mode, made.interpolation) == (24, 32, "shortest", "bicubic")
    assert made.encode_images(images(0)).shape == (0, 24)
    with pytest.raises(EncoderError, match="cannot be read"):
        made.encode_images(images(1))


def test_random_weights_warn_and_work(tmp_path: Path) -> None:
    made = open_clip_encoder(save_model(tmp_path)[0], RANDOM)
    with pytest.warns(TacWarning, match="are random"):
        vectors = made.encode_images(images(2))
    assert_unit_rows(vectors, (2, 24))


def test_a_vocabulary_too_small_for_the_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.json"
    path.write_text(json.dumps(small_config(text_cfg={"vocab_size": 100})))
    with pytest.warns(TacWarning), pytest.raises(EncoderError, match="vocab_size must be at least 49408"):
        open_clip_encoder(str(path), RANDOM).encode_texts(["dog"], batch_size=1)
