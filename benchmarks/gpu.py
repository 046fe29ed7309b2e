"""What a GPU gains and what it changes: encoding, k-means, neighbors and heads on CUDA against the CPU's cores.

    python -m benchmarks.gpu [--parts images nouns kmeans neighbors heads labels] [--rows 100000 1000000] [--quick]

All ways of a comparison take turns in one run, and the figures are medians of clock time. Weights are random, because
rates do not depend on them; vectors are made up, but for the part `labels`, which needs $TAC_REFERENCE_DATA. The CPU
computes in all its cores. Without a CUDA device, only the CPU's figures are printed.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from benchmarks.encoding import some_of
from benchmarks.learning import made_up
from benchmarks.reference_data import DATA_VARIABLE, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntMatrix, unit_rows
from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.encoders import clip_encoder, loaded_model, open_clip_encoder
from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
from tac_pipeline.errors import TacWarning
from tac_pipeline.method.clusters.evaluation import matched_rows, score
from tac_pipeline.method.grouping import neighbors as neighbors_room
from tac_pipeline.method.grouping import spherical_kmeans as kmeans_room
from tac_pipeline.method.grouping.neighbors import build_index, exact_index, nearest_neighbors
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, refine_centers, spherical_kmeans
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.heads import training as training_room
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.training import TrainedHeads, train_blended_heads
from tac_pipeline.method.values.published import TrainingSchedule, training_schedule
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.sources.decoding import decode_image
from tac_pipeline.wordnet import load_nouns

MODELS = ("ViT-B-32-quickgelu", "ViT-L-14-quickgelu")
TABLES = ("cifar10_500", "food10", "oxford_pets", "caltech101", "ucf101")
CUDA = torch.cuda.is_available()
HALVES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: list[int]
    groups: list[int]
    models: tuple[str, ...]
    rounds: int
    cpu_images: int
    gpu_images: int
    nouns: int
    searched: int


def in_turn(ways: dict[str, Callable[[], Any]], rounds: int, *, warm: bool = True) -> dict[str, tuple[float, Any]]:
    """Median seconds of each way, and what it gave at last; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    given: dict[str, Any] = {}
    for turn in range(rounds + warm):
        for name, run in ways.items():
            started = time.perf_counter()
            given[name] = run()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - started)
    return {name: (median(seconds[name]), given[name]) for name in ways}


def line(*cells: object) -> None:
    """One line of a table, at once."""
    print(
        "  "
        + "  ".join(
            f"{cell!s:<{44 if not place else 36 if len(str(cell)) > 26 else 26}}" for place, cell in enumerate(cells)
        ),
        flush=True,
    )


def lowest_cosine(found: FloatMatrix, expected: FloatMatrix) -> float:
    """Of vectors of the same inputs."""
    return float(np.einsum("ij,ij->i", unit_rows(found), unit_rows(expected)).min())


def devices() -> list[str]:
    """The devices to compare."""
    return ["cpu", "cuda"] if CUDA else ["cpu"]


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
        print(f"\n{model}: images a second, and the lowest cosine to the CPU's in float32 ({len(some)} images)")
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


def measure_kmeans(size: Size) -> None:
    """One restart from k-means++, and from centers that both are given."""
    for n_rows in size.rows:
        for n_groups in size.groups:
            rounds = 1 if n_rows > 200_000 else size.rounds
            rows, _ = made_up(n_rows, n_groups)
            starts = rows[np.random.default_rng(1).choice(n_rows, n_groups, replace=False)]
            print(f"\nk-means, {n_rows:,} rows of {rows.shape[1]}, {n_groups:,} groups: seconds, objective")
            asked: dict[str, Any] = {"n_clusters": n_groups, "restarts": 1, "max_iterations": 20, "seed": 0}
            report_kmeans("from k-means++", lambda each, a=asked, x=rows: spherical_kmeans(x, device=each, **a), rounds)
            refine = partial(refine_centers, rows, starts, max_iterations=20)
            report_kmeans("from given centers", lambda each, run=refine: run(device=each), rounds)


def report_kmeans(what: str, run: Callable[[str], KMeansResult], rounds: int) -> None:
    """Seconds, objective, rounds, and how many rows are in the same group as by the CPU."""
    if CUDA:
        run("cuda")
    timed = in_turn({each: partial(run, each) for each in devices()}, rounds, warm=False)
    for device, (seconds, found) in timed.items():
        same = matched_rows(timed["cpu"][1].assignment, found.assignment).mean()
        line(
            f"{what}, {device}", f"{seconds:.2f} s", f"{found.objective:.6f} in {found.iterations}", f"{same:.2%} same"
        )
    if CUDA:
        again = run("cuda")
        equal = np.array_equal(again.centers, timed["cuda"][1].centers)
        line(f"{what}, cuda again", "equal bits" if equal else "other bits")


def brute_force(rows: FloatMatrix, wanted: np.ndarray, count: int, dtype: torch.dtype) -> IntMatrix:
    """The nearest rows by products in torch on the card, the row itself among them."""
    held = torch.from_numpy(rows).to("cuda", dtype)
    chunks = torch.from_numpy(wanted).to("cuda").split(max(1, 2**31 // len(rows)))
    return torch.cat([(held[chunk] @ held.T).topk(count + 1, dim=1).indices for chunk in chunks]).cpu().numpy()


def measure_neighbors(size: Size, count: int = 50) -> None:
    """The neighbors of all rows, or of some where all pairs are too many."""
    import faiss

    cards = getattr(faiss, "get_num_gpus", lambda: 0)()
    on_gpu = neighbors_room._on_gpu
    print("" if cards else "\nthis faiss has no GPU: its rows are the CPU's")
    for n_rows in size.rows:
        rows, _ = made_up(n_rows, 100)
        own = np.arange(0, n_rows, max(1, n_rows // size.searched))
        print(f"\n{count} neighbors of {len(own):,} rows among {n_rows:,}: seconds, recall of the CPU's exact ones")

        def search(index: Any, *, gpu: bool, rows: FloatMatrix = rows, own: np.ndarray = own) -> IntMatrix:
            neighbors_room._on_gpu = on_gpu if gpu else lambda index, **_: index
            try:
                return nearest_neighbors(rows, count=count, index=index, of=own)
            finally:
                neighbors_room._on_gpu = on_gpu

        started = time.perf_counter()
        lists = build_index(rows, count=count, exact_rows=0)
        line("lists are made, cpu", f"{time.perf_counter() - started:.2f} s", f"measured recall {lists.recall:.4f}")
        exact = exact_index(rows)
        ways: dict[str, Callable[[], IntMatrix]] = {
            "faiss exact, cpu": partial(search, exact, gpu=False),
            "faiss lists, cpu": partial(search, lists, gpu=False),
        }
        if cards:
            ways["faiss exact, gpu"] = partial(search, exact, gpu=True)
            ways["faiss lists, gpu"] = partial(search, lists, gpu=True)
        if CUDA:
            ways["nearest_neighbors, cuda"] = partial(nearest_neighbors, rows, count=count, of=own, device="cuda")
            for name in ("float32", "float16"):
                ways[f"torch, cuda, {name}"] = partial(brute_force, rows, own, count, HALVES[name])
        timed = in_turn(ways, 1, warm=CUDA and n_rows <= 100_000)
        true = timed["faiss exact, cpu"][1]
        for name, (seconds, found) in timed.items():
            shared = np.mean([len(np.intersect1d(a, b)) / count for a, b in zip(found[::7], true[::7], strict=True)])
            line(name, f"{seconds:.2f} s", f"recall {shared:.5f}")


def train(rows: FloatMatrix, near: IntMatrix, schedule: TrainingSchedule, n_groups: int, device: str) -> TrainedHeads:
    """Both heads, the text head with rows of twice the width."""
    texts = unit_rows(np.concatenate([rows, rows], axis=1))
    asked = {"n_clusters": n_groups, "schedule": schedule, "balance_weight": 5.0, "learning_rate": 1e-3, "seed": 0}
    return train_blended_heads(rows, texts, near, near, device=device, **asked)


def measure_heads(size: Size, epochs: int = 2) -> None:
    """Seconds an epoch."""
    n_rows = size.rows[0]
    for n_groups in (10, 100):
        rows, _ = made_up(n_rows, n_groups)
        near = np.random.default_rng(0).integers(n_rows, size=(n_rows, 10))
        schedule = training_schedule(n_groups, epochs=epochs)
        print(f"\nheads, {n_rows:,} rows, {n_groups} groups, batches of {schedule.batch_size:,}: seconds an epoch")
        run = partial(train, rows, near, schedule, n_groups)
        timed = in_turn({each: partial(run, each) for each in devices()}, size.rounds)
        mine = {device: soft_assignment(found.image_head, rows) for device, (_, found) in timed.items()}
        for device, (seconds, found) in timed.items():
            same = (mine[device].argmax(axis=1) == mine["cpu"].argmax(axis=1)).mean()
            line(device, f"{seconds / epochs:.2f} s", f"loss {found.history[-1].total:.5f}", f"{same:.2%} same")
        if CUDA:
            equal = np.array_equal(soft_assignment(run("cuda").image_head, rows), mine["cuda"])
            line("cuda again", "equal bits" if equal else "other bits")


def in_float32(run: Callable[[], np.ndarray]) -> np.ndarray:
    """The same on a processor without bfloat16."""
    asked = kmeans_room.multiplies_bfloat16
    rooms = (kmeans_room, training_room)
    try:
        for room in rooms:
            room.multiplies_bfloat16 = lambda: False
        return run()
    finally:
        for room in rooms:
            room.multiplies_bfloat16 = asked


def measure_labels(_: Size) -> None:
    """Real vectors with labels: NMI and ACC of the same steps on each device."""
    folder = reference_folder()
    print("\nreal vectors with labels: NMI / ACC / share of the images in the same group as by the CPU")
    print("  (the CPU twice: as it is, and without its bfloat16 products, to see what rounding alone changes)")
    for name in TABLES:
        table = read_table(folder, name)
        rows, n_groups = table.image_embeddings, table.n_clusters
        near = nearest_neighbors(rows, count=10)
        schedule = training_schedule(n_groups, epochs=20)
        steps: dict[str, Callable[[str], np.ndarray]] = {
            "k-means": lambda each, x=rows, k=n_groups: (
                spherical_kmeans(x, n_clusters=k, restarts=10, max_iterations=300, seed=0, device=each).assignment
            ),
            "k-means from Ward's start": lambda each, x=rows, k=n_groups: (
                ward_kmeans(x, n_clusters=k, seed=0, device=each).assignment
            ),
            "heads": lambda each, x=rows, k=n_groups, n=near, s=schedule: soft_assignment(
                train(x, n, s, k, each).image_head, x
            ).argmax(axis=1),
        }
        for step, run in steps.items():
            found = {"cpu": run("cpu"), "cpu float32": in_float32(partial(run, "cpu"))}
            if CUDA:
                found["cuda"] = run("cuda")
            told = []
            for way, groups in found.items():
                agreed, same = score(table.labels, groups), matched_rows(found["cpu"], groups).mean()
                told.append(f"{way} {agreed.nmi:.4f} / {agreed.acc:.4f} / {same:.1%}")
            line(f"{name}, {step}", *told)


PARTS: dict[str, Callable[[Size], None]] = {
    "images": measure_images,
    "nouns": measure_nouns,
    "kmeans": measure_kmeans,
    "neighbors": measure_neighbors,
    "heads": measure_heads,
    "labels": measure_labels,
}


def machine() -> Iterable[str]:
    """What computes."""
    info = Path("/proc/cpuinfo")
    names = [row.split(":")[1].strip() for row in info.read_text().splitlines() if row.startswith("model name")]
    yield f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    yield f"torch {torch.__version__}"
    yield torch.cuda.get_device_name() if CUDA else "there is no CUDA device here: the figures are the CPU's alone"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--groups", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", TacWarning)
    logging.basicConfig(format="  %(message)s")
    size = Size(asked.rows, asked.groups, tuple(asked.models), asked.rounds, 128, 2048, 4096, 20_000)
    if asked.quick:
        size = Size([2000], [10], MODELS[:1], 1, 32, 64, 64, 1000)
    print("\n".join(machine()))
    for part in asked.parts:
        started = time.perf_counter()
        PARTS[part](size)
        print(f"  ({part}: {time.perf_counter() - started:.0f} s in all)", flush=True)


if __name__ == "__main__":
    main()
