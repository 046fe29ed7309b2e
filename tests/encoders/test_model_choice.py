"""What the two settings name, what is refused before any weights are loaded, and what the fingerprint says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import open_clip
import pytest
from small_models import save_model, small_config

from tac_pipeline.arrow import INT8_MARK
from tac_pipeline.digest import file_sha256
from tac_pipeline.encoders import encoder_fingerprint, open_clip_encoder
from tac_pipeline.encoders.model_choice import HUB_CONFIG, choose_model
from tac_pipeline.errors import EncoderError
from tac_pipeline.settings.presets import PRESETS


def write_hub_config(folder: Path, **preprocess: object) -> Path:
    path = folder / HUB_CONFIG
    path.write_text(json.dumps({"model_cfg": small_config(), "preprocess_cfg": preprocess}))
    return path


def checkpoint(folder: Path, name: str = "some.safetensors", content: bytes = b"weights") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# --- activation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model,pretrained,remedy",
    [
        ("ViT-B-32", "openai", "Set encoder.model to ViT-B-32-quickgelu"),
        ("ViT-L-14", "dfn2b", "Set encoder.model to ViT-L-14-quickgelu"),
        ("ViT-B-32-quickgelu", "laion2b_s34b_b79k", r"Set encoder.model to ViT-B-32\."),
    ],
)
def test_an_activation_that_does_not_fit_is_refused(model: str, pretrained: str, remedy: str) -> None:
    with pytest.raises(EncoderError, match=remedy):
        encoder_fingerprint(model, pretrained)


@pytest.mark.parametrize(
    "model,pretrained",
    [
        ("ViT-B-32-quickgelu", "openai"),
        ("ViT-B-32", "laion2b_s34b_b79k"),
        ("RN50-quickgelu", "cc12m"),
        ("roberta-ViT-B-32", "laion2b_s12b_b32k"),
    ],
)
def test_an_activation_that_fits_is_taken(model: str, pretrained: str) -> None:
    activation = "gelu" if model == "ViT-B-32" else "quick_gelu"
    assert f":{model}:{pretrained}:{activation}:" in encoder_fingerprint(model, pretrained)


def test_every_tag_of_open_clip_is_taken_or_refused_for_its_activation() -> None:
    taken = 0
    for model, tag in open_clip.list_pretrained():
        try:
            choice = choose_model(model, tag)
        except EncoderError as error:
            assert "activation" in str(error) or "resized by" in str(error)
            continue
        taken += 1
        wanted = open_clip.get_pretrained_cfg(model, tag)
        assert choice.preprocessing.resize_mode == wanted["resize_mode"]
        assert choice.preprocessing.mean == tuple(wanted["mean"])
    assert taken > 150


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model,pretrained,said",
    [
        ("vit-b-32-quickgelu", "openai", "did you mean ViT-B-32-quickgelu"),
        ("ViT-B-32-quickgelu", "opnai", "did you mean openai"),
        ("ViT-B-32-quickgelu", "zzz", "known are "),
        ("ViT-B-32-quickgelu", None, "got nothing"),
        ("hf-hub:org/model", "openai", "Fetch its open_clip_config.json"),
        ("ViT-B-32", "/nowhere/weights.safetensors", "there is no /nowhere/weights.safetensors"),
        ("/nowhere/config.json", "random", "cannot be read"),
    ],
)
def test_unknown_names_are_refused_with_what_was_meant(model: str, pretrained: str | None, said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        encoder_fingerprint(model, pretrained)


def test_spellings_of_a_name_share_a_fingerprint() -> None:
    assert encoder_fingerprint("ViT-B/32-quickgelu", "openai") == encoder_fingerprint("ViT-B-32-quickgelu", "OpenAI")


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", '{"embed_dim": 3}', '{"embed_dim": "3", "vision_cfg": {}, "text_cfg": {}}']
)
def test_configs_that_are_none(content: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(EncoderError, match=r"model\.json must be a "):
        encoder_fingerprint(str(path), "random")


def test_a_model_of_ones_own_has_no_tags(tmp_path: Path) -> None:
    model, _ = save_model(tmp_path)
    with pytest.raises(EncoderError, match="takes a checkpoint file or `random`"):
        encoder_fingerprint(model, "openai")


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"must end in \.safetensors"):
        encoder_fingerprint("ViT-B-32", str(checkpoint(tmp_path, "weights.npz")))


# --- fingerprint ------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_short_stable_text() -> None:
    assert encoder_fingerprint("ViT-B-32-quickgelu", "openai") == (
        "open_clip:ViT-B-32-quickgelu:openai:quick_gelu:224-shortest-bicubic-c4fe87ab:decoding-1"
    )
    assert open_clip_encoder("ViT-B-32-quickgelu", "openai").fingerprint == encoder_fingerprint(
        "ViT-B-32-quickgelu", "openai"
    )


def test_the_fingerprint_tells_models_weights_and_preprocessing_apart(tmp_path: Path) -> None:
    model, weights = save_model(tmp_path)
    (tmp_path / "gelu").mkdir()
    gelu, same_weights = save_model(tmp_path / "gelu", quick_gelu=False)
    named = [
        ("ViT-B-32-quickgelu", "random"),
        ("ViT-B-16-quickgelu", "random"),
        ("ViT-B-16-SigLIP", "random"),
        ("ViT-B-16-SigLIP", "webli"),
        (model, "random"),
        (gelu, "random"),
        (model, weights),
    ]
    assert len({encoder_fingerprint(*pair) for pair in named}) == len(named)
    assert file_sha256(Path(weights))[:16] in encoder_fingerprint(model, weights)
    assert Path(weights).read_bytes() == Path(same_weights).read_bytes()
    assert encoder_fingerprint(gelu, weights) == encoder_fingerprint(gelu, same_weights), "a path is no content"


def test_a_checkpoint_is_digested_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights = save_model(tmp_path)
    read: list[Path] = []

    def counting(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    monkeypatch.setattr("tac_pipeline.encoders.model_choice.file_sha256", counting)
    first = encoder_fingerprint(model, weights)
    assert encoder_fingerprint(model, weights) == first
    assert len(read) == 1
    changed = bytearray(Path(weights).read_bytes())
    changed[-1] ^= 1
    before = Path(weights).stat().st_mtime_ns
    Path(weights).write_bytes(changed)
    os.utime(weights, ns=(before, before + 1))
    assert encoder_fingerprint(model, weights) != first
    assert len(read) == 2


# --- preprocessing ----------------------------------------------------------------------------------------------------


def test_preprocessing_is_the_models_own(tmp_path: Path) -> None:
    siglip = open_clip_encoder("ViT-B-16-SigLIP", "webli")
    assert (siglip.image_size, siglip.resize_mode, siglip.interpolation) == (224, "squash", "bicubic")
    by_file = open_clip_encoder("ViT-B-16-SigLIP", str(checkpoint(tmp_path)))
    assert by_file.resize_mode == "squash"
    own = open_clip_encoder(str(write_hub_config(tmp_path, interpolation="bilinear", mean=0.5)), "random")
    assert (own.image_size, own.dim, own.interpolation) == (32, 24, "bilinear")


def test_a_checkpoint_takes_the_config_beside_it(tmp_path: Path) -> None:
    write_hub_config(tmp_path, mean=[0.1, 0.2, 0.3])
    weights = checkpoint(tmp_path, "open_clip_model.safetensors")
    assert choose_model("ViT-B-32-quickgelu", str(weights)).preprocessing.mean == (0.1, 0.2, 0.3)
    with pytest.raises(EncoderError, match=r"open_clip_config\.json, the weights beside it are for QuickGELU"):
        choose_model("ViT-B-32", str(weights))
    assert choose_model("ViT-B-32", str(checkpoint(tmp_path, "other.safetensors"))).preprocessing.mean[0] > 0.4


def test_a_checkpoint_that_could_be_preprocessed_in_two_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="2 ways to preprocess"):
        choose_model("ViT-L-14", str(checkpoint(tmp_path)))


@pytest.mark.parametrize("asked", [{"resize_mode": "longest"}, {"interpolation": "nearest"}])
def test_preprocessing_that_cannot_be_done_is_refused(asked: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="images are resized by shortest or squash, bicubic or bilinear"):
        choose_model(str(write_hub_config(tmp_path, **asked)), "random")


def test_images_are_square(tmp_path: Path) -> None:
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(small_config(vision_cfg={"image_size": [32, 64]})))
    with pytest.raises(EncoderError, match="must be square"):
        choose_model(str(path), "random")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_models_and_tags_of_open_clip(preset: str) -> None:
    model, pretrained = PRESETS[preset]
    assert f":{model}:{pretrained}:" in encoder_fingerprint(model, pretrained)
    assert (
        encoder_fingerprint(model, pretrained, precision="int8") == encoder_fingerprint(model, pretrained) + INT8_MARK
    )
