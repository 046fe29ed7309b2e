"""How fast images are decoded and encoded, and nouns too, against the plain way; rates in one interleaved run.

    python -m benchmarks.encoding [--model ViT-B-32-quickgelu] [--rounds 5]

Weights are random: rates do not depend on what they are. The plain way is open_clip as its README uses it: float32,
its own transform, every prompt tokenized by itself and run over all 77 positions.
"""

from __future__ import annotations

import argparse
import io
import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from tac_pipeline.decoding import decode_image
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.encoders.model_choice import choose_model
from tac_pipeline.encoders.open_clip_encoder import OpenClipEncoder
from tac_pipeline.encoders.weights import load_model
from tac_pipeline.errors import TacWarning
from tac_pipeline.nouns import load_candidate_nouns
from tac_pipeline.settings import PUBLISHED_TEMPLATES

Way = tuple[str, int, Callable[[], object]]


def main() -> None:
    """Print three tables: decoding, images, nouns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nouns", type=int, default=512)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", TacWarning)
    encoder = open_clip_encoder(asked.model, "random")
    plain = load_model(choose_model(asked.model, "random"))
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {asked.model} in {encoder._loaded.dtype}")
    for wide, high in ((224, 224), (500, 375), (1600, 1200)):
        report(f"decode and resize, JPEG of {wide} x {high}", "images/s", decoding_ways(wide, high), asked.rounds)
    report("image tower", "images/s", image_ways(encoder, plain), asked.rounds)
    nouns = load_candidate_nouns("wordnet", exclude_offensive=False).table["noun"].to_list()
    chosen = np.random.default_rng(0).choice(nouns, asked.nouns, replace=False).tolist()
    rates = report(
        "nouns of WordNet in 7 prompts", "prompts/s", noun_ways(encoder, plain, asked.model, chosen), asked.rounds
    )
    prompts = len(nouns) * len(PUBLISHED_TEMPLATES)
    for name, rate in rates.items():
        print(f"  all {len(nouns):,} nouns, {prompts:,} prompts, {name}: {prompts / rate / 60:,.0f} min")


def report(what: str, unit: str, ways: Sequence[Way], rounds: int) -> dict[str, float]:
    """Run the ways in turn, so that whatever else the machine does falls on all; print and return the median rates."""
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in ways}
    for _ in range(rounds + 1):
        for name, _, run in ways:
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    # The first round warms caches and kernels.
    rates = {name: count / median(seconds[name][1:]) for name, count, _ in ways}
    slowest = rates[ways[0][0]]
    print(f"\n{what} ({unit})")
    for name, rate in rates.items():
        print(f"  {name:<44} {rate:>9,.1f}   x {rate / slowest:.1f}")
    return rates


def decoding_ways(wide: int, high: int) -> list[Way]:
    """The transform of open_clip, and decode_image, alone and in as many threads as cores."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (high // 8, wide // 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    noise.resize((wide, high), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
    files = [buffer.getvalue()] * max(8, 20_000_000 // (wide * high))
    transform = image_transform_v2(PreprocessCfg(size=224), is_train=False)
    pool = ThreadPoolExecutor(os.cpu_count())

    def plainly(data: bytes) -> object:
        return transform(Image.open(io.BytesIO(data)))

    def here(data: bytes) -> object:
        return decode_image(data, size=224, max_pixels=10_000_000)

    return [
        ("plain: Pillow, one thread", len(files), lambda: list(map(plainly, files))),
        ("decode_image, one thread", len(files), lambda: list(map(here, files))),
        ("plain, a thread a core", len(files), lambda: list(pool.map(plainly, files))),
        ("decode_image, a thread a core", len(files), lambda: list(pool.map(here, files))),
    ]


@torch.inference_mode()
def image_ways(encoder: OpenClipEncoder, plain: torch.nn.Module) -> list[Way]:
    """One batch through float32, and through the encoder."""
    size = encoder.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, size, size), dtype=np.uint8)
    normalized = torch.randn(16, 3, size, size)

    def plainly() -> object:
        with torch.inference_mode():
            return plain.encode_image(normalized)

    return [
        ("plain: float32, batch 16", 16, plainly),
        ("encode_images, batch 64", 64, lambda: encoder.encode_images(pixels)),
    ]


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
        ("encode_nouns, batch 256", prompts, here(256)),
    ]


if __name__ == "__main__":
    main()
