"""The encoder inside the package: found, checked, and as good as its card says."""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors import safe_open
from small_store import REPOSITORY

from tac_pipeline.demo.pictures import draw_picture
from tac_pipeline.demo.split import SEEN_KINDS, SEEN_STYLES
from tac_pipeline.encoders import encoder_fingerprint, open_clip_encoder, small
from tac_pipeline.encoders.model_choice import DEFAULT_PREPROCESSING
from tac_pipeline.encoders.small.nouns import packaged_noun_vectors
from tac_pipeline.errors import EncoderError
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.sources.decoding import decode_image
from tac_pipeline.wordnet import load_nouns


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's folder, to be damaged."""
    for name in ("WEIGHTS_FILE", "CHECKSUM_FILE"):
        copy = tmp_path / getattr(small, name).name
        shutil.copy(getattr(small, name), copy)
        monkeypatch.setattr(small, name, copy)
    small.require_weights.cache_clear()
    yield tmp_path
    small.require_weights.cache_clear()


def test_the_weights_are_small_and_half_precision() -> None:
    assert small.require_weights().stat().st_size <= 20_000_000
    with safe_open(small.WEIGHTS_FILE, framework="pt") as file:
        dtypes = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert dtypes <= {torch.float16, torch.int64}


def test_the_fingerprint_says_which_weights_and_needs_no_open_clip() -> None:
    fingerprint = encoder_fingerprint(small.NAME, small.PRETRAINED)
    assert fingerprint.startswith("open_clip:tac-small:sha256-")
    code = (
        "import sys; from tac_pipeline.encoders import encoder_fingerprint as f; "
        "print(f('tac-small', 'drawn')); assert not {'open_clip', 'torch'} & set(sys.modules)"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint


def test_the_preprocessing_assumed_is_open_clips() -> None:
    for name, value in DEFAULT_PREPROCESSING.items():
        assert getattr(PreprocessCfg(), name) == value


def test_missing_weights_are_told_with_the_remedy(package: Path) -> None:
    small.WEIGHTS_FILE.unlink()
    with pytest.raises(EncoderError, match=r"cannot be read: .*No such file.*Install tac-pipeline again"):
        encoder_fingerprint(small.NAME, small.PRETRAINED)


def test_a_missing_checksum_is_told(package: Path) -> None:
    small.CHECKSUM_FILE.write_text("")
    with pytest.raises(EncoderError, match="must be beside their checksum"):
        encoder_fingerprint(small.NAME, small.PRETRAINED)


@pytest.mark.parametrize("damage", ["cut", "changed", "pointer"])
def test_damaged_weights_are_never_used(package: Path, damage: str) -> None:
    whole = small.WEIGHTS_FILE.read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "changed": whole[:-1] + bytes([whole[-1] ^ 1]),
        "pointer": b"version https://git-lfs.github.com/spec/v1\n",
    }
    small.WEIGHTS_FILE.write_bytes(broken[damage])
    with pytest.raises(EncoderError, match=r"must have the SHA-256 .* damaged or not the packaged one"):
        open_clip_encoder(small.NAME, small.PRETRAINED)


def test_other_weights_for_the_same_model_are_named_by_file(tmp_path: Path) -> None:
    copy = tmp_path / "mine.safetensors"
    shutil.copy(small.WEIGHTS_FILE, copy)
    assert encoder_fingerprint(small.NAME, str(copy)) == encoder_fingerprint(small.NAME, small.PRETRAINED)


def test_an_unknown_tag_is_told_with_the_known_one() -> None:
    with pytest.raises(EncoderError, match="takes `drawn`, a checkpoint file or `random`; got 'openai'"):
        encoder_fingerprint(small.NAME, "openai")


def test_it_tells_drawn_kinds_apart_among_all_nouns() -> None:
    """On seeds that nothing else uses: the kind's noun is nearest among the kinds, and near the top of WordNet."""
    encoder = open_clip_encoder(small.NAME, small.PRETRAINED, device="cpu")
    pictures = [(kind, 700_000_000 + n) for kind in SEEN_KINDS for n in range(4)]
    pixels = np.stack([encoded(kind, seed, encoder.image_size) for kind, seed in pictures])
    vectors = encoder.encode_images(pixels)
    kinds = encoder.encode_nouns(list(SEEN_KINDS), templates=PUBLISHED_TEMPLATES, batch_size=64)
    right = np.array([SEEN_KINDS.index(kind) for kind, _ in pictures])
    assert ((vectors @ kinds.T).argmax(axis=1) == right).mean() >= 0.85

    nouns = load_nouns()["noun"].to_list()
    packaged = packaged_noun_vectors(nouns, encoder=encoder.fingerprint, templates=PUBLISHED_TEMPLATES)
    assert packaged is not None
    same = packaged[[nouns.index(kind) for kind in SEEN_KINDS]]
    assert np.einsum("nd,nd->n", same, kinds).min() >= 0.998

    # Nouns without any relation to the pictures do not win.
    own = np.einsum("nd,nd->n", vectors, kinds[right])
    assert (own > (vectors @ packaged[::40].T).max(axis=1)).mean() >= 0.8


def encoded(kind: str, seed: int, size: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(draw_picture(kind, seed, styles=SEEN_STYLES).pixels()).save(file, "PNG")
    return decode_image(file.getvalue(), size=size, max_pixels=1_000_000).pixels
