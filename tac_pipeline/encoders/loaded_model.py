"""A model ready to run: loaded, on its device, in its fastest precision, with the short text tower (text_tower.py).

Precision, packed weights and short tower are tried on a few inputs when the model is loaded. A saving that changes the
vectors is not used; 8 bits, which somebody asked for, are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import Tensor, nn

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.encoders.int8_layers import Int8Linear
from tac_pipeline.encoders.model_choice import ModelChoice, Preprocessing
from tac_pipeline.encoders.packed_layers import PackedLinear, swap_linears
from tac_pipeline.encoders.precision import MIN_AGREEMENT, fastest_dtype
from tac_pipeline.encoders.prompts import PromptTokenizer, pad_rows
from tac_pipeline.encoders.text_tower import CausalTextTower
from tac_pipeline.encoders.weights import load_model
from tac_pipeline.errors import EncoderError

_LOG = logging.getLogger(__name__)

_TRIAL_TEXTS = ("a photo of a dog.", "a photo of a dog house, seen from above", "a photo of x", "itap of 17 boats.")
_TRIAL_AGREEMENT = 1 - 1e-5  # cosine in float32
MIN_INT8_AGREEMENT = 0.98
# Larger batches leave the processor's caches between two layers.
CPU_IMAGES = 32


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
    image_dtype: torch.dtype
    # The most of each kind that runs at once; a GPU whose memory ends lowers it.
    at_once: dict[str, int] = field(default_factory=dict)

    def image_vectors(self, pixels: Tensor) -> FloatMatrix:
        """Uint8 (n_images, 3, size, size) to float32 (n_images, dim)."""
        if self.device.type == "cpu":
            self.at_once.setdefault("images", CPU_IMAGES)

        def encode(part: Tensor) -> Tensor:
            seen = normalize(_moved(part, self.device), self.preprocessing).to(self.image_dtype)
            found: Tensor = self.model.encode_image(seen, normalize=False)
            return found

        return self._in_parts(encode, pixels, what="images")

    def token_vectors(self, tower: CausalTextTower, rows: Sequence[list[int]]) -> FloatMatrix:
        """Rows of tokens through the short tower, float32 (n_rows, dim)."""
        return self._in_parts(tower.encode, pad_rows(rows), what="prompts")

    def plain_vectors(self, texts: Sequence[str]) -> FloatMatrix:
        """Texts through the model's own tower and its whole context, float32 (n_texts, dim)."""

        def encode(part: Tensor) -> Tensor:
            found: Tensor = self.model.encode_text(part.to(self.device), normalize=False)
            return found

        return self._in_parts(encode, self.tokenizer(list(texts)), what="prompts")

    def cut_texts(self, texts: Sequence[str]) -> list[str]:
        """Those of some texts that have more tokens than the context."""
        if not texts:
            return []
        context = self.tokenizer.context_length
        # The empty text shows what a row is filled up with.
        *rows, empty = self.tokenizer([*texts, ""], context_length=2 * context)
        return [text for text, row in zip(texts, rows, strict=True) if (row[context:] != empty[-1]).any()]

    def _in_parts(self, encode: Callable[[Tensor], Tensor], rows: Tensor, *, what: str) -> FloatMatrix:
        """encode(rows), in as many parts as the memory of the device needs; later batches keep to their size."""
        while True:
            size = min(self.at_once.get(what, len(rows)), len(rows))
            found = self._unless_full(encode, torch.split(rows, size))
            if found is not None:
                return found
            if size == 1:
                raise EncoderError(
                    f"the memory of {self.device} must hold the model and one of the {what}; it does not. Free it, or "
                    "set encoder.device to cpu."
                )
            self.at_once[what] = size // 2
            _LOG.warning(
                "%d %s at once do not fit the memory of %s that is free: continuing with %d",
                *(size, what, self.device, size // 2),
            )
            # Here, where the error is gone: it holds the frames, and these the tensors on the device.
            torch.cuda.empty_cache()

    def _unless_full(self, encode: Callable[[Tensor], Tensor], parts: Sequence[Tensor]) -> FloatMatrix | None:
        try:
            return self._finite(lambda: torch.cat([encode(part) for part in parts]))
        except torch.cuda.OutOfMemoryError:
            return None

    def _finite(self, encode: Callable[[], Tensor]) -> FloatMatrix:
        vectors = encode().float()
        if not vectors.isfinite().all() and self.dtype == torch.float16:
            # float16 ends at 65,504. A model trained in wider numbers may exceed it on some inputs.
            _LOG.warning("vectors leave the range of %s: continuing with float32", self.dtype)
            self.model, self.dtype, self.image_dtype = self.model.float(), torch.float32, torch.float32
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
    # Not inference_mode: tensors made within it cannot be changed or copied outside.
    with torch.no_grad():
        shortened = prompts is not None and _short_way_agrees(plain, tokenizer, prompts)
        model = _in_fastest_dtype(plain.to(device), tokenizer, choice.preprocessing, device)
        dtype = image_dtype = next(model.parameters()).dtype
        if choice.precision == "int8":
            model.visual, image_dtype = int8_tower(plain, choice), torch.float32
        elif device.type == "cpu":
            model.visual = packed_tower(model, choice.preprocessing, dtype)
    tower = CausalTextTower.of(model)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        short_way=ShortWay(prompts, tower) if shortened and prompts and tower else None,
        preprocessing=choice.preprocessing,
        device=device,
        dtype=dtype,
        image_dtype=image_dtype,
    )


def packed_tower(model: Any, preprocessing: Preprocessing, dtype: torch.dtype) -> nn.Module:
    """The image tower with packed weights where torch has them and the vectors agree, else as it is."""
    plain: nn.Module = model.visual
    tower = deepcopy(plain)
    try:
        swapped = swap_linears(tower, lambda weight, bias, kind: PackedLinear(weight, bias, activation=kind))
        agreement = _image_agreement(model, tower, _trial_images(preprocessing).to(dtype)) if swapped else 1.0
    except (RuntimeError, AttributeError, NotImplementedError) as error:  # a torch without oneDNN, as on ARM
        _LOG.info("image weights are not packed: %s", error)
        return plain
    # Two ways of bfloat16 differ from each other as much as from float32.
    if agreement >= (_TRIAL_AGREEMENT if dtype == torch.float32 else MIN_AGREEMENT):  # not so for NaN
        return tower if swapped else plain
    _LOG.warning("packed image weights are not used: their vectors agree by only %.6f", agreement)
    return plain


def int8_tower(model: Any, choice: ModelChoice) -> nn.Module:
    """The float32 model's image tower in 8 bits; raises EncoderError when it has no linear layers or differs much."""
    tower: nn.Module = deepcopy(model.visual)
    if not swap_linears(tower, lambda weight, bias, kind: Int8Linear(weight, bias, activation=kind)):
        raise EncoderError(
            "encoder.precision: int8 is for image towers of linear layers; that of "
            f"{choice.name} has none that can be rounded. Set encoder.precision to float."
        )
    images = _trial_images(choice.preprocessing).to(next(model.parameters()).device)
    tower(images)
    for layer in tower.modules():
        if isinstance(layer, Int8Linear):
            layer.settle()
    agreement = _image_agreement(model, tower, images)
    if agreement >= MIN_INT8_AGREEMENT:
        return tower
    raise EncoderError(
        f"vectors in 8 bits must agree with float32 by a cosine of at least {MIN_INT8_AGREEMENT}; those of "
        f"{choice.name} agree by only {agreement:.3f} on trial images. Set encoder.precision to float."
    )


def _image_agreement(model: Any, tower: nn.Module, images: Tensor) -> float:
    """The lowest cosine between the vectors of a model's image tower and of another."""
    plain = model.visual
    expected = model.encode_image(images, normalize=False)
    try:
        model.visual = tower
        found = model.encode_image(images, normalize=False)
    finally:
        model.visual = plain
    return float(torch.cosine_similarity(expected.float(), found.float()).min())


def _trial_images(preprocessing: Preprocessing) -> Tensor:
    """Eight images with coarse and fine shapes as photographs have them, float32 and normalized."""
    generator, size = torch.Generator().manual_seed(0), preprocessing.size
    total = torch.zeros(8, 3, size, size)
    for side in (2, 4, 8, 16, 32, size):
        noise = torch.randn(8, 3, side, side, generator=generator)
        total += F.interpolate(noise, size=(size, size), mode="bilinear") / side**0.5
    return normalize((total * 60 + 128).clamp_(0, 255).byte(), preprocessing)


def normalize(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(pixel / 255 - mean) / std in float32, on the pixels' device."""
    channels = [torch.tensor(values, device=pixels.device) for values in (preprocessing.mean, preprocessing.std)]
    mean, std = (values.view(1, 3, 1, 1) * 255 for values in channels)
    return pixels.float().sub_(mean).div_(std)


def _moved(pixels: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda":
        return pixels.to(device)
    # Page-locked memory is copied faster; torch keeps it for the next batch.
    return pixels.pin_memory().to(device, non_blocking=True)


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
