"""Does damage stop a run? Thousands of damaged images and archives through the product's own sources and decoding.

    python -m benchmarks.mutations [--images 2000] [--archives 500] [--seed 0]

Small images of every format, and tars of them, with flipped bits, cut ends, spliced parts, and zeroed blocks. Each must
be read or be reported: no exception, none over 5 s or 1 GB, and the counts add up. The exit code is 1 if one does not.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from tac_pipeline.sources import open_source
from tac_pipeline.sources.decoding import UnreadableImage, decode_image
from tac_pipeline.sources.formats import BASE_FORMATS, EXTRA_FORMATS, pillow_names

SECONDS, GIGABYTES = 5.0, 1.0
MAX_PIXELS, SIZE = 200_000_000, 224
MEMBERS = 5

Mutation = Callable[[bytearray, bytes, np.random.Generator], bytearray]


def flip(data: bytearray, _: bytes, generator: np.random.Generator) -> bytearray:
    """One to twenty flipped bits; half of the time near the start, where the headers are."""
    reach = len(data) if generator.random() < 0.5 else min(len(data), 200)
    for place in generator.integers(reach, size=generator.integers(1, 21)):
        data[place] ^= 1 << int(generator.integers(8))
    return data


def cut(data: bytearray, _: bytes, generator: np.random.Generator) -> bytearray:
    """The end is missing."""
    return data[: int(generator.integers(len(data)))]


def splice(data: bytearray, other: bytes, generator: np.random.Generator) -> bytearray:
    """The rest is that of another file."""
    return data[: int(generator.integers(len(data)))] + other[int(generator.integers(len(other))) :]


def blank(data: bytearray, _: bytes, generator: np.random.Generator) -> bytearray:
    """A block of zeros, as a disk leaves one that it could not read."""
    start = int(generator.integers(len(data)))
    end = min(len(data), start + int(generator.integers(1, 4096)))
    data[start:end] = bytes(end - start)
    return data


MUTATIONS: tuple[Mutation, ...] = (flip, cut, splice, blank)


def write_corpus(folder: Path, n_images: int, n_archives: int, seed: int) -> None:
    """Damaged images in one folder, damaged archives in another."""
    generator = np.random.default_rng(seed)
    whole = whole_images(generator)
    for where, count, suffix in (("images", n_images, None), ("archives", n_archives, ".tar")):
        (folder / where).mkdir(parents=True)
        for number in range(count):
            name, data = whole[number % len(whole)]
            if suffix is not None:
                data = archive([whole[int(place)] for place in generator.integers(len(whole), size=MEMBERS)])
            other = whole[int(generator.integers(len(whole)))][1]
            damaged = MUTATIONS[int(generator.integers(len(MUTATIONS)))](bytearray(data), other, generator)
            (folder / where / f"{number:05}{suffix or Path(name).suffix}").write_bytes(damaged)


def whole_images(generator: np.random.Generator) -> list[tuple[str, bytes]]:
    """An image of each mode in every format that can be written here."""
    y, x = np.mgrid[0:120, 0:160]
    smooth = np.stack([x * 255 // 160, y * 255 // 120, (x + y) % 256], axis=-1)
    color = Image.fromarray((0.7 * smooth + 0.3 * generator.integers(256, size=smooth.shape)).astype(np.uint8))
    modes = [color, color.convert("L"), color.convert("RGBA"), color.convert("P"), color.convert("CMYK")]
    deep = Image.fromarray((smooth.sum(axis=2) * 80).astype(np.uint16))
    found = []
    for name, suffixes in {**BASE_FORMATS, **EXTRA_FORMATS}.items():
        for form in pillow_names(name)[:1]:
            for image in (*modes, deep):
                buffer = io.BytesIO()
                try:
                    image.save(buffer, form)
                except (OSError, ValueError, KeyError, TypeError, NotImplementedError):
                    continue  # a mode that the format does not have
                found.append((f"{image.mode}{suffixes[0]}", buffer.getvalue()))
    buffer = io.BytesIO()
    color.save(buffer, "JPEG", progressive=True)
    found.append(("progressive.jpg", buffer.getvalue()))
    return found


def archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A tar of these."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, (name, data) in enumerate(members):
            header = tarfile.TarInfo(f"{number}-{name}")
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


def read_all(folder: Path) -> dict[str, object]:
    """List a folder and decode every image of it: what came of them, and what it took."""
    # Plugins and lookup tables are there already when the first damaged image comes.
    decode_image(whole_images(np.random.default_rng(0))[0][1], size=SIZE, max_pixels=MAX_PIXELS)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    source = open_source(str(folder))
    listing = source.listing()
    listed = time.perf_counter() - started
    kinds: Counter[str] = Counter()
    slowest = 0.0
    reader = source.reader
    assert reader is not None
    for uri in listing.images["uri"]:
        started = time.perf_counter()
        try:
            decode_image(reader.read(uri), size=SIZE, max_pixels=MAX_PIXELS)
            kinds["read"] += 1
        except UnreadableImage as error:
            kinds[error.kind] += 1
        except OSError:
            kinds["cannot be read"] += 1
        slowest = max(slowest, time.perf_counter() - started)
    files = sum(1 for path in folder.iterdir() if path.is_file())
    return {
        "files": files,
        "images": len(listing.images),
        "passed over": int(listing.passed_over["files"].sum()),
        "problems": len(listing.problems),
        "kinds": dict(kinds),
        "listing": listed,
        "slowest": slowest,
        "GB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1e6,
    }


def in_a_process(folder: Path) -> dict[str, object]:
    """The same in a process of its own, which a crash of a decoder would end."""
    command = [sys.executable, "-m", "benchmarks.mutations", "--read", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"stopped": f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def faults(found: dict[str, object], *, archives: bool) -> list[str]:
    """What must not be, in words."""
    if "stopped" in found:
        return [str(found["stopped"])]
    told = []
    if float(found["slowest"]) > SECONDS:  # type: ignore[arg-type]
        told.append(f"an image took {found['slowest']:.1f} s")
    if float(found["GB"]) > GIGABYTES:  # type: ignore[arg-type]
        told.append(f"memory grew by {found['GB']:.2f} GB")
    decoded = sum(found["kinds"].values())  # type: ignore[attr-defined]
    if decoded != found["images"]:
        told.append(f"{found['images']} images were listed, and {decoded} were read or reported")
    accounted = found["images"] + found["passed over"] + found["problems"]  # type: ignore[operator]
    if not archives and accounted != found["files"]:
        told.append(f"of {found['files']} files {accounted} are accounted for")
    return told


def main() -> int:
    """Damage, read, and print; 1 if a fault was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--archives", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        print(json.dumps(read_all(Path(asked.read))))
        return 0
    table = Table("", "files", "images", "problems", "what came of the images", "slowest, s", "memory, GB")
    wrong = []
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as temporary:
        write_corpus(Path(temporary), asked.images, asked.archives, asked.seed)
        for where in ("images", "archives"):
            found = in_a_process(Path(temporary, where))
            wrong += [f"{where}: {fault}" for fault in faults(found, archives=where == "archives")]
            if "stopped" not in found:
                kinds = found["kinds"]
                told = ", ".join(f"{count:,} {kind}" for kind, count in Counter(kinds).most_common())  # type: ignore[arg-type]
                cells = [f"{found[name]:,}" for name in ("files", "images", "problems")]
                table.add_row(where, *cells, told, f"{found['slowest']:.2f}", f"{found['GB']:.2f}")
    console.print(table)
    for fault in wrong:
        console.print(fault, style="red")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
