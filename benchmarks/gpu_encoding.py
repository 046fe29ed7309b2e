"""The parts `images` and `nouns` of benchmarks/gpu.py: both towers of a model on each device, in each precision."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from benchmarks.encoding import some_of
from benchmarks.gpu_ways import CUDA, HALVES, Size, in_turn, line
from benchmarks.reference_data import DATA_VARIABLE
from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.encoders import clip_encoder, loaded_model, open_clip_encoder
from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.sources.decoding import decode_image
from tac_pipeline.wordnet import load_nouns

MODELS = ("ViT-B-32-quickgelu", "ViT-L-14-quickgelu")


def lowest_cosine(found: FloatMatrix, expected: FloatMatrix) -> float:
    """Of vectors of the same inputs."""
    return float(np.einsum("ij,ij->i", unit_rows(found), unit_rows(expected)).min())


def pictures(count: int) -> list[bytes]:
    """Different JPEG files of about 500 x 375: photographs if there are any, else noise."""
    folder = Path(os.environ.get(DATA_VARIABLE, "")) / "imagenette"
    files = [path.read_bytes() for path in sorted(folder.glob("*/*.JPEG"))] if os.environ.get(DATA_VARIABLE) else []
    if not files:
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        noise.resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
        files = [buffer.getvalue()]
    # What comes after the end of a JPEG is not read, and makes its bytes others.
    return [files[number % len(files)] + number.to_bytes(4, "big") for number in range(count)]


class Held:
    """A source of files in memory."""

    def __init__(self, files: list[bytes]) -> None:
        self._files = files

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """One file."""
        return self._files[int(uri)]

    def manifest(self) -> pl.DataFrame:
        """All of them."""
        names = [str(number) for number in range(len(self._files))]
        sizes = [len(data) for data in self._files]
        return pl.DataFrame({"image_id": names, "uri": names, "size": sizes, "version": names})


def encoder_in(model: str, device: str, precision: str) -> OpenClipEncoder:
    """An encoder that is loaded in a precision of ours; the project itself chooses the fastest that agrees."""
    fastest = loaded_model.fastest_dtype
    try:
        loaded_model.fastest_dtype = lambda _: HALVES[precision]
        made = open_clip_encoder(model, "random", device=device)
        _ = made._loaded
    finally:
        loaded_model.fastest_dtype = fastest
    return made


def encoders(model: str) -> dict[str, OpenClipEncoder]:
    """By their names; the first is the yardstick."""
    wanted = [("cpu", "float32"), ("cpu", "bfloat16")] + [("cuda", each) for each in HALVES if CUDA]
    return {f"{device} {precision}": encoder_in(model, device, precision) for device, precision in wanted}


def on_card(encoder: OpenClipEncoder, pixels: np.ndarray) -> Callable[[], None]:
    """The image tower alone, with the pixels on the card: what is left when nothing is copied."""
    loaded = encoder._loaded
    batch = loaded_model.normalize(torch.as_tensor(pixels).to(loaded.device), loaded.preprocessing)
    batch = batch.to(loaded.image_dtype)

    @torch.inference_mode()
    def run() -> None:
        loaded.model.encode_image(batch, normalize=False)
        torch.cuda.synchronize()

    return run


def measure_images(size: Size) -> None:
    """Images a second, decoded ones and files, and how far the vectors are from the CPU's in float32."""
    for model in size.models:
        made = encoders(model)
        side = made["cpu float32"].image_size
        files = pictures(size.gpu_images)
        some = [decode_image(data, size=side, max_pixels=10**8).pixels for data in files[:256]]
        pixels = np.stack([some[number % len(some)] for number in range(size.gpu_images)])
        print(
            f"\n{model}: images a second, and the lowest cosine to the CPU's in float32 (of {size.cpu_images} images)"
        )
        few = pixels[: size.cpu_images]
        expected = np.concatenate([made["cpu float32"].encode_images(part) for part in np.split(few, len(few) // 32)])
        ways: dict[str, tuple[int, Callable[[], Any]]] = {}
        for name, encoder in made.items():
            count = size.cpu_images if name.startswith("cpu") else size.gpu_images
            for batch in (64,) if name.startswith("cpu") else (64, 256):
                ways[f"{name}, batch {batch}"] = (count, partial(encode_all, encoder, pixels[:count], batch))
        if CUDA:
            ways["cuda float16, batch 256, pixels on the card"] = (256, on_card(made["cuda float16"], pixels[:256]))
        timed = in_turn({name: run for name, (_, run) in ways.items()}, size.rounds)
        for name, (seconds, found) in timed.items():
            cosine = "" if found is None else f"{lowest_cosine(found[: len(expected)], expected):.6f}"
            line(name, f"{ways[name][0] / seconds:,.0f} images/s", cosine)
        measure_files(made, files, size)


def encode_all(encoder: OpenClipEncoder, pixels: np.ndarray, batch: int) -> FloatMatrix:
    """In batches, as a store is."""
    starts = range(0, len(pixels), batch)
    return np.concatenate([encoder.encode_images(pixels[start : start + batch]) for start in starts])


def measure_files(made: dict[str, OpenClipEncoder], files: list[bytes], size: Size) -> None:
    """From the bytes of files, which all cores decode meanwhile."""

    def run(encoder: OpenClipEncoder, count: int, batch: int) -> None:
        source = Held(files[:count])
        settings = {"batch_size": batch, "max_pixels": 10**8, "max_bytes": 10**8}
        for _ in encoded_batches(source.manifest(), source, encoder, known=NoKnownVectors(), **settings):
            pass

    def decode() -> None:
        class Nothing:
            image_size, resize_mode, interpolation = made["cpu float32"].image_size, "shortest", "bicubic"
            dim = 1

            def encode_images(self, pixels: np.ndarray) -> FloatMatrix:
                return np.ones((len(pixels), 1), dtype=np.float32)

        run(Nothing(), len(files), 64)  # type: ignore[arg-type]

    fastest = [("cpu bfloat16", 64, size.cpu_images)]
    fastest += [("cuda float16", batch, size.gpu_images) for batch in (64, 256) if CUDA]
    ways = {f"files, {name}, batch {batch}": partial(run, made[name], count, batch) for name, batch, count in fastest}
    counts = {f"files, {name}, batch {batch}": count for name, batch, count in fastest} | {"files, decoded only": 0}
    counts["files, decoded only"] = len(files)
    for name, (seconds, _) in in_turn({**ways, "files, decoded only": decode}, size.rounds).items():
        line(name, f"{counts[name] / seconds:,.0f} images/s")


def measure_nouns(size: Size) -> None:
    """Nouns of WordNet in seven prompts."""
    made = encoders(MODELS[0])
    nouns = some_of(load_nouns()["noun"].to_list(), run=size.nouns // 4)
    few = nouns[:: max(1, len(nouns) // 512)]
    print(f"\nnouns of WordNet in {len(PUBLISHED_TEMPLATES)} prompts, {MODELS[0]}: nouns a second, lowest cosine")
    ways: dict[str, tuple[list[str], Callable[[], FloatMatrix]]] = {}
    for name, encoder in made.items():
        chosen = few if name.startswith("cpu") else nouns
        for batch in (64,) if name.startswith("cpu") else (64, 1024):
            ways[f"{name}, batch {batch}"] = (chosen, partial(encode_nouns, encoder, chosen, batch))
    timed = in_turn({name: run for name, (_, run) in ways.items()}, size.rounds)
    expected = timed["cpu float32, batch 64"][1]
    place = {noun: number for number, noun in enumerate(nouns)}
    for name, (seconds, found) in timed.items():
        same = found if len(found) == len(expected) else found[[place[noun] for noun in few]]
        line(name, f"{len(found) / seconds:,.0f} nouns/s", f"{lowest_cosine(same, expected):.6f}")


def encode_nouns(encoder: OpenClipEncoder, nouns: list[str], batch: int) -> FloatMatrix:
    """In batches of just so many prompts; on CUDA the project takes larger ones."""
    least = clip_encoder.GPU_PROMPTS
    try:
        clip_encoder.GPU_PROMPTS = batch
        return encoder.encode_nouns(nouns, templates=PUBLISHED_TEMPLATES, batch_size=batch)
    finally:
        clip_encoder.GPU_PROMPTS = least
