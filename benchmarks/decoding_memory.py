"""How much memory does decoding one image take at most, and is the estimate from its header right?

    python -m benchmarks.decoding_memory [--megapixels 200] [--folder FOLDER] [--only HEIC]

Each kind of file is written at images.max_pixels, or as large as its header is accepted, and decoded in a process of
its own. The peak is what the process holds beside its packages and the file's bytes. Needs Linux.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tac_pipeline.sources.decoding import decode_image
from tac_pipeline.sources.formats import EXTRA_FORMATS, UnreadableImage, can_read

SIZE = 224
Writer = Callable[[Image.Image, Path], None]


def saver(kind: str, mode: str | None = None, **options: object) -> Writer:
    """Writes a picture as a format, in a mode."""

    def write(picture: Image.Image, path: Path) -> None:
        image = picture if mode is None else with_alpha(picture) if mode == "RGBA" else picture.convert(mode)
        image.save(path, kind, **options)

    return write


def with_alpha(picture: Image.Image) -> Image.Image:
    """With an alpha channel that is not all one value."""
    return Image.merge("RGBA", (*picture.split(), picture.convert("L")))


def deep(kind: str, dtype: str, **options: object) -> Writer:
    """Writes its grays as numbers of another type."""

    def write(picture: Image.Image, path: Path) -> None:
        values = np.asarray(picture.convert("L")).astype(dtype) * np.dtype(dtype).type(16)
        Image.fromarray(values).save(path, kind, **options)

    return write


def turned(picture: Image.Image, path: Path) -> None:
    """A TIFF that must be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(path, "TIFF", exif=exif)


KINDS: dict[str, Writer] = {
    "JPEG": saver("JPEG"),
    "JPEG, progressive": saver("JPEG", progressive=True),
    "JPEG, progressive, 4:4:4": saver("JPEG", progressive=True, subsampling=0),
    "JPEG, CMYK": saver("JPEG", "CMYK"),
    "PNG": saver("PNG", compress_level=1),
    "PNG, alpha": saver("PNG", "RGBA", compress_level=1),
    "PNG, gray and alpha": saver("PNG", "LA", compress_level=1),
    "PNG, 16-bit gray": deep("PNG", "uint16", compress_level=1),
    "TIFF": saver("TIFF"),
    "TIFF, turned": turned,
    "TIFF, LZW in one strip": lambda picture, path: picture.save(
        path, "TIFF", compression="tiff_lzw", tiffinfo={278: picture.height}
    ),
    "TIFF, CMYK": saver("TIFF", "CMYK"),
    "TIFF, 16-bit gray": deep("TIFF", "uint16"),
    "TIFF, floats": deep("TIFF", "float32"),
    "BMP": saver("BMP"),
    "TGA": saver("TGA", rle=True),
    "PPM": saver("PPM"),
    "GIF": lambda picture, path: picture.quantize(64).save(path, "GIF"),
    "JPEG 2000": saver("JPEG2000"),
    "JPEG 2000, one level": saver("JPEG2000", num_resolutions=1),
    "WebP": saver("WEBP", method=0),
    "WebP, alpha": saver("WEBP", "RGBA", method=0),
    "WebP, lossless": saver("WEBP", lossless=True, method=0, quality=0),
    "AVIF": saver("AVIF", speed=10),
    "AVIF, alpha, 4:4:4": saver("AVIF", "RGBA", speed=10, subsampling="4:4:4"),
    "HEIC": saver("HEIF", quality=60),
    "HEIC, alpha": saver("HEIF", "RGBA", quality=60),
    "JPEG XL": saver("JXL", effort=1),
    "JPEG XL, alpha, lossless": saver("JXL", "RGBA", effort=1, lossless=True),
}


def picture(pixels: float) -> Image.Image:
    """Squares of 100 pixels, 4 wide to 3 high."""
    wide = int((pixels * 4 / 3) ** 0.5)
    high = int(pixels / wide)
    colors = np.random.default_rng(0).integers(0, 256, (high // 100 + 1, wide // 100 + 1, 3), dtype=np.uint8)
    return Image.fromarray(np.repeat(np.repeat(colors, 100, axis=0), 100, axis=1)[:high, :wide])


def write(name: str, pixels: float, path: str) -> None:
    """In a process of its own."""
    for extra in EXTRA_FORMATS:
        can_read(extra)
    KINDS[name](picture(pixels), Path(path))


def measure(path: str, max_pixels: int) -> tuple[float, float, str]:
    """Peak memory in bytes, seconds and outcome of one decoding; in a process of its own."""
    for kind in ("JPEG", "PNG"):
        buffer = io.BytesIO()
        picture(200_000).save(buffer, kind)
        decode_image(buffer.getvalue(), size=SIZE, max_pixels=max_pixels)
    data = Path(path).read_bytes()
    # From now on the peak counts, not that of the process which started this one.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, start = held("VmRSS"), time.monotonic()
    try:
        decode_image(data, size=SIZE, max_pixels=max_pixels)
        outcome = "read"
    except UnreadableImage as error:
        outcome = str(error)
    return held("VmHWM") - before, time.monotonic() - start, outcome


def held(name: str) -> int:
    """Bytes of this process, by their name in Linux's own table."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").split(f"{name}:")[1].split()[0]) * 1024


def main() -> None:
    """Print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=200)
    parser.add_argument("--folder", type=Path, help="where the files are written; needs about a gigabyte")
    parser.add_argument("--only", default="", help="kinds that begin with this")
    asked = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    print(f"{'kind':<26} {'megapixels':>10} {'file, MB':>9} {'peak, MB':>9} {'seconds':>8}  outcome")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = str(Path(folder) / "image")
        for name in [name for name in KINDS if name.startswith(asked.only)]:
            pixels = asked.megapixels * 1e6
            for _ in range(5):
                with processes.Pool(1) as pool:
                    try:
                        pool.apply(write, (name, pixels, path))
                    except (OSError, ValueError, KeyError) as error:
                        print(f"{name:<26} {pixels / 1e6:>10.0f} not written: {error}")
                        pixels *= 0.8
                        continue
                with processes.Pool(1) as pool:
                    peak, seconds, outcome = pool.apply(measure, (path, int(asked.megapixels * 1e6)))
                size = Path(path).stat().st_size
                row = f"{name:<26} {pixels / 1e6:>10.0f} {size / 1e6:>9.1f} {peak / 1e6:>9.0f} {seconds:>8.1f}"
                print(f"{row}  {outcome}", flush=True)
                if outcome == "read":
                    break
                told = float(outcome.split("take ")[1].split(" GB")[0]) if "would take" in outcome else 1.3
                pixels *= 0.97 / max(told, 1)


if __name__ == "__main__":
    main()
