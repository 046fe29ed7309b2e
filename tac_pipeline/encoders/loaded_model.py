"""A model ready to run: loaded, on its device, in its fastest precision, with the short text tower (text_tower.py).

Precision and short tower are tried on a few inputs when the model is loaded. A saving that changes the vectors is not
used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import Tensor, nn

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.encoders.model_choice import ModelChoice, Preprocessing
from tac_pipeline.encoders.precision import MIN_AGREEMENT, fastest_dtype
from tac_pipeline.encoders.prompts import PromptTokenizer, pad_rows
from tac_pipeline.encoders.text_tower import CausalTextTower
from tac_pipeline.encoders.weights import load_model
from tac_pipeline.errors import EncoderError

_LOG = logging.getLogger(__name__)

_TRIAL_TEXTS = ("a photo of a dog.", "a photo of a dog house, seen from above", "a photo of x", "itap of 17 boats.")
_TRIAL_AGREEMENT = 1 - 1e-5  # cosine in float32


@dataclass(frozen=True)
class ShortWay:
    """Turns prompts into rows of tokens, and the text tower that runs only these tokens."""

    prompts: PromptTokenizer
    tower: CausalTextTower


@dataclass
class LoadedModel:
    """An open_clip model that gives finite float32 vectors, not yet of unit length."""

    model: Any
    tokenizer: Any
    short_way: ShortWay | None
    preprocessing: Preprocessing
    device: torch.device
    dtype: torch.dtype

    def image_vectors(self, pixels: Tensor) -> FloatMatrix:
        """Uint8 (n_images, 3, size, size) to float32 (n_images, dim)."""
        normalized = normalize(pixels.to(self.device), self.preprocessing)
        return self._finite(lambda: self.model.encode_image(normalized.to(self.dtype), normalize=False))

    def token_vectors(self, tower: CausalTextTower, rows: Sequence[list[int]]) -> FloatMatrix:
        """Rows of tokens through the short tower, float32 (n_rows, dim)."""
        tokens = pad_rows(rows).to(self.device)
        return self._finite(lambda: tower.encode(tokens))

    def plain_vectors(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts through the model's own tower and its whole context, float32 (n_texts, dim)."""
        tokens = self.tokenizer(list(texts)).to(self.device)
        return self._finite(lambda: self.model.encode_text(tokens, normalize=False))

    def _finite(self, encode: Callable[[], Tensor]) -> FloatMatrix:
        vectors = encode().float()
        if not vectors.isfinite().all() and self.dtype != torch.float32:
            # float16 ends at 65,504. A model trained in wider numbers may exceed it on some inputs.
            _LOG.warning("vectors leave the range of %s: continuing with float32", self.dtype)
            self.model, self.dtype = self.model.float(), torch.float32
            if self.short_way is not None:
                self.short_way.tower.forget()
            vectors = encode().float()
        if not vectors.isfinite().all():
            raise EncoderError(
                "vectors must be finite; the model gives NaN or infinity. Its weights are damaged: fetch them again."
            )
        found: FloatMatrix = vectors.cpu().numpy()
        return found


def load(choice: ModelChoice, device: torch.device) -> LoadedModel:
    """Load a model and find the fastest way to run it; raises EncoderError when the weights cannot be loaded."""
    plain = load_model(choice)
    tokenizer = _tokenizer_of(choice, plain)
    prompts = PromptTokenizer.of(tokenizer, context_length=tokenizer.context_length)
    with torch.inference_mode():
        shortened = prompts is not None and _short_way_agrees(plain, tokenizer, prompts)
        model = _in_fastest_dtype(plain.to(device), tokenizer, choice.preprocessing, device)
    tower = CausalTextTower.of(model)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        short_way=ShortWay(prompts, tower) if shortened and prompts and tower else None,
        preprocessing=choice.preprocessing,
        device=device,
        dtype=next(model.parameters()).dtype,
    )


def normalize(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(pixel / 255 - mean) / std in float32, on the pixels' device."""
    channels = [torch.tensor(values, device=pixels.device) for values in (preprocessing.mean, preprocessing.std)]
    mean, std = (values.view(1, 3, 1, 1) * 255 for values in channels)
    return pixels.float().sub_(mean).div_(std)


def _tokenizer_of(choice: ModelChoice, model: Any) -> Any:
    text = choice.config["text_cfg"]
    try:
        if choice.built_in:
            tokenizer = open_clip.get_tokenizer(choice.name)
        else:
            named = text.get("hf_tokenizer_name")
            options = dict(text.get("tokenizer_kwargs") or {}, context_length=text.get("context_length", 77))
            tokenizer = HFTokenizer(named, **options) if named else SimpleTokenizer(**options)
    except (ImportError, OSError, ValueError, TypeError) as error:
        raise EncoderError(f"the tokenizer of {choice.name} cannot be loaded: {error}") from error
    vocabulary = getattr(model, "vocab_size", None)
    if isinstance(tokenizer, SimpleTokenizer) and vocabulary is not None and vocabulary < tokenizer.vocab_size:
        raise EncoderError(
            f"vocab_size must be at least {tokenizer.vocab_size}, the tokenizer's; {choice.name} has {vocabulary}"
        )
    return tokenizer


def _short_way_agrees(model: Any, tokenizer: Any, prompts: PromptTokenizer) -> bool:
    tower = CausalTextTower.of(model)
    if tower is None:
        return False
    plain = model.encode_text(tokenizer(list(_TRIAL_TEXTS)), normalize=False)
    short = tower.encode(pad_rows(prompts.text_rows(_TRIAL_TEXTS)))
    agreement = torch.cosine_similarity(plain, short).min().item()
    if agreement < _TRIAL_AGREEMENT:
        _LOG.warning("the short text tower is not used: its vectors agree by only %.6f", agreement)
    return agreement >= _TRIAL_AGREEMENT


def _in_fastest_dtype(
    model: nn.Module, tokenizer: Any, preprocessing: Preprocessing, device: torch.device
) -> nn.Module:
    """The model in half precision when the device is fast at it and the vectors agree, else unchanged."""
    fastest = fastest_dtype(device)
    if fastest == torch.float32:
        return model
    shape = (2, 3, preprocessing.size, preprocessing.size)
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = normalize(noise.to(device), preprocessing)
    tokens = tokenizer(list(_TRIAL_TEXTS)).to(device)

    def vectors(of: Any, dtype: torch.dtype) -> Tensor:
        seen, read = of.encode_image(images.to(dtype), normalize=False), of.encode_text(tokens, normalize=False)
        return torch.cat([seen, read]).float()

    full = vectors(model, torch.float32)
    halved = deepcopy(model).to(fastest)
    agreement = torch.cosine_similarity(full, vectors(halved, fastest)).min().item()
    if agreement >= MIN_AGREEMENT:  # not so for NaN
        return halved
    _LOG.warning("vectors in %s agree with float32 by only %.4f: using float32", fastest, agreement)
    return model
