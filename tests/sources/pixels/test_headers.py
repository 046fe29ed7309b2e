"""What a header tells: sizes of JPEG XL, levels of JPEG 2000, TGA without a mark, and enough memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import noise, saved, smooth, tiff
from PIL import Image

from tac_pipeline.sources.decoding import UnreadableImage, decode_image
from tac_pipeline.sources.formats import can_read
from tac_pipeline.sources.pixels.headers import (
    LARGEST_MEMORY,
    jpeg_2000_levels,
    jpeg_2000_steps,
    jpeg_xl_size,
    may_be_tga,
    memory_to_decode,
)

# --- sizes and levels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        (8, 8),
        (256, 256),
        (264, 256),
        (1, 1),
        (1000, 700),
        (1024, 768),
        (1920, 1080),
        (9, 20_000),
        (70_000, 3),
        (500, 400),
    ],
)
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_is_in_its_header(size: tuple[int, int], container: bool) -> None:
    if not can_read("JPEG XL"):
        pytest.skip("no package that writes JPEG XL")
    data = saved(Image.new("L", size), "JXL", effort=1, lossless=True, use_container=container)
    assert jpeg_xl_size(data) == size


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"]))
def test_any_bytes_give_a_jpeg_xl_a_size_or_are_refused(data: bytes, start: bytes) -> None:
    try:
        width, height = jpeg_xl_size(start + data)
    except UnreadableImage as error:
        assert error.kind == "damaged"
    else:
        assert width >= 0
        assert height >= 0


@pytest.mark.parametrize("resolutions", [1, 2, 4, 6])
@pytest.mark.parametrize("bare", [False, True])
def test_the_levels_of_a_jpeg_2000_are_in_its_header(resolutions: int, bare: bool) -> None:
    data = saved(smooth(200, 150), "JPEG2000", num_resolutions=resolutions, no_jp2=bare)
    assert jpeg_2000_levels(data) == resolutions - 1
    with Image.open(io.BytesIO(data)) as image:
        assert jpeg_2000_steps(image, data, factor=1) == 0
        assert jpeg_2000_steps(image, data, factor=8) == min(3, resolutions - 1)


@given(st.binary(max_size=60))
def test_any_bytes_have_levels(data: bytes) -> None:
    assert 0 <= jpeg_2000_levels(b"\xff\x4f\xff\x51" + data) <= 255
    assert jpeg_2000_levels(data) >= 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_tga_is_known_without_a_mark(mode: str, packed: bool) -> None:
    image = smooth(40, 30).quantize(16) if mode == "P" else smooth(40, 30).convert(mode)
    if packed and mode == "1":
        pytest.skip("Pillow does not write it")
    data = saved(image, "TGA", **({"compression": "tga_rle"} if packed else {}))
    assert may_be_tga(data)
    assert not may_be_tga(data[:100]) or packed


@given(st.binary(min_size=18, max_size=200))
def test_other_bytes_are_no_tga(data: bytes) -> None:
    # Text, and anything that begins with a long comment or unknown kinds.
    assert not may_be_tga(b"# " + data)


# --- memory -----------------------------------------------------------------------------------------------------------

# One process for all files: it begins with its packages, and each file is decoded in a child of its own.
MEASURED = """
import os, sys
from pathlib import Path
from tac_pipeline.sources.decoding import decode_image
from picture_files import noise, saved
def held(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024
for kind in ("JPEG", "PNG"):
    decode_image(saved(noise(400, 300), kind), size=224, max_pixels=10**6)
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        data = Path(path).read_bytes()
        # From now on the peak counts, not that of the process which started this one.
        Path("/proc/self/clear_refs").write_text("5")
        before = held("VmRSS")
        decode_image(data, size=224, max_pixels=200_000_000)
        print(held("VmHWM") - before, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, int]]:
    """Large files by kind, and the bytes that a process takes to decode each, beside its packages and the file."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells the peak of a part of a process's life")
    folder = tmp_path_factory.mktemp("large")
    for kind in LARGE:
        (folder / kind).write_bytes(large(kind))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MEASURED, *(str(folder / kind) for kind in LARGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    peaks = map(int, done.stdout.split())
    return {kind: (folder / kind, peak) for kind, peak in zip(LARGE, peaks, strict=True)}


LARGE = ("16-bit TIFF", "JPEG", "WEBP")


def large(kind: str) -> bytes:
    """A file of 108 megapixels, or less for kinds that hold several copies."""
    if kind == "16-bit TIFF":
        return tiff(np.tile(np.arange(12_000, dtype=np.uint16), (9_000, 1)))
    side = {"JPEG": (12_000, 9_000), "WEBP": (6_000, 4_500)}[kind]
    options = {"JPEG": {"progressive": True}, "WEBP": {"method": 0}}[kind]
    return saved(Image.new("RGB", side, "teal"), kind, **options)


@pytest.mark.parametrize("kind", LARGE)
def test_a_large_image_takes_less_than_the_limit_and_than_its_estimate(
    kind: str, measured: dict[str, tuple[Path, int]]
) -> None:
    path, peak = measured[kind]
    data = path.read_bytes()
    names = {"16-bit TIFF": "TIFF", "WEBP": "WebP"}
    with Image.open(io.BytesIO(data)) as image:
        factor = 10 if image.width > 10_000 else 1
        estimate = memory_to_decode(names.get(kind, kind), image, data, factor=factor)
    assert estimate < LARGEST_MEMORY
    assert 10_000_000 < peak < estimate


def test_an_image_that_would_take_too_much_is_refused_by_its_header() -> None:
    # One value a pixel in the header, none in the file.
    data = bytearray(tiff(np.zeros((1, 1, 3), dtype=np.uint8), packed=True))
    for tag, value in ((256, 15_000), (257, 13_000), (278, 13_000)):
        place = data.index(tag.to_bytes(2, "little") + b"\4\0\1\0\0\0")
        data[place + 8 : place + 12] = value.to_bytes(4, "little")
    with pytest.raises(UnreadableImage, match=r"^would take 1\.4 GB to decode, over the limit of 1 GB$") as caught:
        decode_image(bytes(data), size=224, max_pixels=200_000_000)
    assert (caught.value.kind, caught.value.over_limit) == ("over a limit", True)


def test_a_jpeg_xl_is_refused_before_its_plugin_decodes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_read("JPEG XL"):
        pytest.skip("no package that writes JPEG XL")
    data = saved(Image.new("L", (9000, 8000)), "JXL", effort=1, lossless=True)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(UnreadableImage, match=r"^would take 1\.2 GB to decode"):
        decode_image(data, size=224, max_pixels=200_000_000)
    with pytest.raises(UnreadableImage, match=r"over max_pixels"):
        decode_image(data, size=224, max_pixels=1_000_000)


def test_passes_over_a_jpeg_cost_memory() -> None:
    once, often = (saved(noise(64, 64), "JPEG", progressive=again, subsampling=0) for again in (False, True))
    estimates = []
    for data in (once, often):
        with Image.open(io.BytesIO(data)) as image:
            image._size = (8000, 8000)
            estimates.append(memory_to_decode("JPEG", image, data, factor=8))
    assert estimates[1] - estimates[0] == pytest.approx(6 * 64e6 - 6e6, rel=0.02)
