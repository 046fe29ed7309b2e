"""encoder.resize: the shorter side is brought to it, and the tower sees the center, as torchvision's two steps do."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import save_model
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from tac_pipeline.arrow import require_same_space
from tac_pipeline.encoders import encoder_fingerprint, open_clip_encoder
from tac_pipeline.errors import EncoderError
from tac_pipeline.sources.decoding import decode_image


@pytest.mark.parametrize(("width", "height"), [(90, 61), (61, 90), (64, 64), (200, 41)])
def test_the_tower_sees_what_torchvision_gives(tmp_path: Path, width: int, height: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    image, file = Image.fromarray(pixels).resize((width, height)), io.BytesIO()
    image.save(file, "PNG")
    config, weights = save_model(tmp_path)
    plain, resized = (open_clip_encoder(config, weights, device="cpu", resize=resize) for resize in (None, 40))
    steps = Compose([Resize(40, interpolation=InterpolationMode.BICUBIC), CenterCrop(plain.image_size), PILToTensor()])
    seen = decode_image(file.getvalue(), size=resized.image_size, max_pixels=10**6).pixels
    expected = steps(image).numpy()
    margin = (resized.image_size - plain.image_size) // 2
    middle = seen[:, margin:-margin, margin:-margin]
    assert np.abs(middle.astype(int) - expected.astype(int)).max() <= 20
    assert np.abs(middle.astype(int) - expected.astype(int)).mean() < 1
    np.testing.assert_array_equal(resized.encode_images(seen[None]), plain.encode_images(middle[None].copy()))


def test_it_is_in_the_name_of_images_and_not_of_texts(tmp_path: Path) -> None:
    config, weights = save_model(tmp_path)
    plain, resized = open_clip_encoder(config, weights), open_clip_encoder(config, weights, resize=40)
    assert resized.fingerprint == f"{plain.fingerprint}:resize-40"
    assert resized.text_fingerprint == plain.text_fingerprint == plain.fingerprint
    both = encoder_fingerprint(config, weights, precision="int8", resize=40)
    assert both == f"{plain.fingerprint}:resize-40:int8-1"
    for name in (resized.fingerprint, both):
        require_same_space(name, plain.text_fingerprint)
    assert encoder_fingerprint(config, weights, resize=plain.image_size) == plain.fingerprint


@pytest.mark.parametrize(("resize", "got"), [(30, "30"), (33, "33")])
def test_a_side_that_cannot_be_is_refused(tmp_path: Path, resize: int, got: str) -> None:
    with pytest.raises(EncoderError, match=f"must be 32, the side that .* sees, or an even number .*; got {got}"):
        open_clip_encoder(*save_model(tmp_path), resize=resize)


def test_a_model_that_sees_whole_images_is_refused() -> None:
    with pytest.raises(EncoderError, match=r"encoder\.resize cannot be had with ViT-B-16-SigLIP"):
        open_clip_encoder("ViT-B-16-SigLIP", "webli", resize=256)
