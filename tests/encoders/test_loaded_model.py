"""A model on a device whose memory ends: fewer at once, and a sentence."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from tac_pipeline.encoders.clip_encoder import GPU_PROMPTS, prompts_at_once
from tac_pipeline.encoders.loaded_model import LoadedModel
from tac_pipeline.encoders.model_choice import Preprocessing
from tac_pipeline.errors import EncoderError

PREPROCESSING = Preprocessing(4, "shortest", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Small:
    """A model whose device holds so many inputs."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.seen: list[int] = []

    def encode(self, batch: torch.Tensor, *, normalize: bool = False) -> torch.Tensor:
        self.seen.append(len(batch))
        if len(batch) > self.holds:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return batch.reshape(len(batch), -1)[:, :5].float()

    encode_image = encode_text = encode


def loaded(model: Small) -> LoadedModel:
    return LoadedModel(
        model=model,
        tokenizer=lambda texts: torch.arange(len(texts) * 6).view(-1, 6),
        short_way=None,
        preprocessing=PREPROCESSING,
        device=torch.device("cpu"),
        dtype=torch.float32,
        image_dtype=torch.float32,
    )


def test_a_full_device_encodes_fewer_images_at_once_and_keeps_to_it(caplog: pytest.LogCaptureFixture) -> None:
    pixels = torch.randint(0, 256, (20, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = loaded(Small(100)).image_vectors(pixels)
    model = Small(5)
    made = loaded(model)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(made.image_vectors(pixels), expected)
    assert model.seen == [20, 10, 5, 5, 5, 5]
    assert "20 images at once do not fit the memory of cpu that is free: continuing with 10" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(made.image_vectors(pixels), expected)
    assert model.seen[6:] == [5, 5, 5, 5]
    assert not caplog.text


def test_prompts_have_a_size_of_their_own() -> None:
    model = Small(3)
    made = loaded(model)
    assert made.plain_vectors(["a"] * 7).shape == (7, 5)
    assert model.seen == [7, 3, 3, 1]
    assert made.at_once == {"prompts": 3}


def test_a_device_too_small_for_one_image_is_refused_with_the_remedy() -> None:
    with pytest.raises(EncoderError, match=r"must hold the model and one of the images.*set encoder.device to cpu"):
        loaded(Small(0)).image_vectors(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))


def test_a_card_takes_many_prompts_whatever_is_asked() -> None:
    cpu, cuda = map(torch.device, ("cpu", "cuda"))
    assert prompts_at_once(64, cpu) == 64
    assert prompts_at_once(64, cuda) == GPU_PROMPTS
    assert prompts_at_once(4096, cuda) == 4096
