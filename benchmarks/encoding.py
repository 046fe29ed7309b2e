"""How fast are images decoded and encoded, and nouns encoded, compared with the plain way?

    python -m benchmarks.encoding [--model ViT-B-32-quickgelu] [--rounds 3]

Rates are per second of one core's time, and medians of ways that take turns, so other work of the machine hardly
counts. Weights are random, because rates do not depend on them. The plain way is open_clip as its README uses it:
float32, its own transform, every prompt tokenized alone and run over all 77 positions.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
from tac_pipeline.encoders.model_choice import choose_model
from tac_pipeline.encoders.weights import load_model
from tac_pipeline.errors import EncoderError, TacWarning
from tac_pipeline.nouns import load_candidate_nouns
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.sources.decoding import decode_image

Way = tuple[str, int, Callable[[], object]]


def main() -> None:
    """Print three tables: decoding, images, nouns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", TacWarning)
    torch.set_num_threads(1)
    encoder = open_clip_encoder(asked.model, "random", device="cpu")
    plain = load_model(choose_model(asked.model, "random"))
    print(f"{asked.model} in {encoder._loaded.dtype}, per core-second")
    for wide, high in ((224, 224), (500, 375), (1600, 1200)):
        report(f"decode and resize, JPEG of {wide} x {high}", "images", decoding_ways(wide, high), asked.rounds)
    rounded: OpenClipEncoder | None = open_clip_encoder(asked.model, "random", device="cpu", precision="int8")
    try:
        rounded.encode_images(np.zeros((1, 3, encoder.image_size, encoder.image_size), dtype=np.uint8))
    except EncoderError as error:
        print(f"no int8: {error}")
        rounded = None
    report("image tower", "images", image_ways(encoder, plain, rounded), asked.rounds)
    nouns = load_candidate_nouns("wordnet", exclude_offensive=False).table["noun"].to_list()
    rates = report(
        "nouns of WordNet in 7 prompts", "prompts", noun_ways(encoder, plain, asked.model, some_of(nouns)), asked.rounds
    )
    prompts = len(nouns) * len(PUBLISHED_TEMPLATES)
    for name, rate in rates.items():
        print(f"  all {len(nouns):,} nouns, {prompts:,} prompts, {name}: {prompts / rate / 60:,.0f} core-minutes")


def some_of(nouns: list[str], *, runs: int = 4, run: int = 128) -> list[str]:
    """Runs of nouns of similar length, from all lengths, because the batches of all nouns are such runs."""
    tokens = open_clip.get_tokenizer("ViT-B-32").encode
    by_length = sorted(np.random.default_rng(0).permutation(nouns)[:8000].tolist(), key=lambda noun: len(tokens(noun)))
    starts = [int((place + 0.5) / runs * len(by_length)) - run // 2 for place in range(runs)]
    return [noun for start in starts for noun in by_length[start : start + run]]


def report(what: str, unit: str, ways: Sequence[Way], rounds: int) -> dict[str, float]:
    """Run the ways in turn; print and return their median rates."""
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in ways}
    for _ in range(rounds + 1):
        for name, _, run in ways:
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    # The first round warms caches and kernels.
    rates = {name: count / median(seconds[name][1:]) for name, count, _ in ways}
    slowest = rates[ways[0][0]]
    print(f"\n{what} ({unit})")
    for name, rate in rates.items():
        print(f"  {name:<44} {rate:>9,.1f}   x {rate / slowest:.1f}")
    return rates


def decoding_ways(wide: int, high: int) -> list[Way]:
    """The transform of open_clip, which normalizes too, and decode_image."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (high // 8, wide // 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    noise.resize((wide, high), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
    files = [buffer.getvalue()] * max(8, 10_000_000 // (wide * high))
    transform = image_transform_v2(PreprocessCfg(size=224), is_train=False)

    def plainly(data: bytes) -> object:
        return transform(Image.open(io.BytesIO(data)))

    def here(data: bytes) -> object:
        return decode_image(data, size=224, max_pixels=10_000_000)

    return [
        ("plain: Pillow", len(files), lambda: list(map(plainly, files))),
        ("decode_image", len(files), lambda: list(map(here, files))),
    ]


def image_ways(encoder: OpenClipEncoder, plain: torch.nn.Module, rounded: OpenClipEncoder | None) -> list[Way]:
    """One batch through float32, through the encoder, and through the encoder in 8 bits."""
    size = encoder.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, size, size), dtype=np.uint8)
    normalized = torch.randn(64, 3, size, size)

    def plainly() -> object:
        with torch.inference_mode():
            return plain.encode_image(normalized)

    ways: list[Way] = [
        ("plain: float32, batch 64", 64, plainly),
        ("encode_images, batch 64", 64, lambda: encoder.encode_images(pixels)),
    ]
    if rounded is not None:
        ways.append(("encode_images, int8, batch 64", 64, lambda: rounded.encode_images(pixels)))
    return ways


def noun_ways(encoder: OpenClipEncoder, plain: torch.nn.Module, model: str, nouns: list[str]) -> list[Way]:
    """All prompts of a few nouns the plain way, and all nouns through the encoder."""
    tokenizer = open_clip.get_tokenizer(model)
    few = [template.replace("{}", noun) for noun in nouns[:4] for template in PUBLISHED_TEMPLATES]
    prompts = len(nouns) * len(PUBLISHED_TEMPLATES)

    def plainly() -> object:
        with torch.inference_mode():
            return plain.encode_text(tokenizer(few))

    def here(batch_size: int) -> Callable[[], object]:
        return lambda: encoder.encode_nouns(nouns, templates=PUBLISHED_TEMPLATES, batch_size=batch_size)

    return [
        ("plain: float32, 77 positions, batch 28", len(few), plainly),
        ("encode_nouns, batch 64", prompts, here(64)),
        ("encode_nouns, batch 128", prompts, here(128)),
    ]


if __name__ == "__main__":
    main()
