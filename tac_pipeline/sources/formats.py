"""Image formats: which are read, by which suffixes, and what a file's first bytes say that it is.

What must stay out: decoding (decoding.py). Nothing here loads Pillow before it is asked what can be read.
"""

from __future__ import annotations

import codecs
import re
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from tac_pipeline.errors import InputError

# Named one by one, because Pillow also reads formats that run other programs (EPS) and many that are not photos.
BASE_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WebP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PNM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TGA": (".tga",),
    "JPEG 2000": (".jp2", ".j2k", ".jpx", ".jpf"),
    "AVIF": (".avif",),
}
EXTRA_FORMATS: dict[str, tuple[str, ...]] = {"HEIC": (".heic", ".heif", ".hif"), "JPEG XL": (".jxl",)}
REMEDY = "pip install 'tac-pipeline[formats]'"

# Every suffix that names an image, whether or not it can be read here and now.
IMAGE_SUFFIXES: tuple[str, ...] = tuple(
    suffix for formats in (BASE_FORMATS, EXTRA_FORMATS) for suffixes in formats.values() for suffix in suffixes
)

# As many first bytes as sniff looks at.
HEAD_BYTES = 64

Kind = Literal["empty", "not an image", "needs an extra", "truncated", "damaged", "over a limit", "unsupported"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class UnreadableImage(InputError):
    """The bytes are not an image that can be decoded; the message is the reason, short enough for a table's cell.

    Attributes
    ----------
    kind : one of KINDS
        What is wrong, for counting.
    over_limit : bool
        The image itself may be whole: it may be readable with a higher limit, more memory or another package.
    """

    def __init__(self, reason: str, *, kind: Kind, over_limit: bool = False) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.over_limit = over_limit


@dataclass(frozen=True)
class Content:
    """What a file is, by its first bytes.

    Attributes
    ----------
    name : str
        A format of BASE_FORMATS or EXTRA_FORMATS, another kind of file as a sentence names it ("an HTML page"), or
        "unknown".
    is_image : bool
        Its name is a format of BASE_FORMATS or EXTRA_FORMATS. A TGA file has no mark: it is "unknown".
    needs_extra : bool
        Only the extra `formats` reads it, whether or not that is installed.
    """

    name: str
    is_image: bool = False
    needs_extra: bool = False


# Pictures all the same, of formats that are not read.
UNREAD_PICTURES = ("a camera's raw file", "a Photoshop file", "a PostScript file", "an SVG drawing", "an icon")

UNKNOWN = Content("unknown")
TEXT = Content("text")
HTML = Content("an HTML page")
CAMERA_RAW = Content("a camera's raw file")
VIDEO = Content("a video")


def _image(name: str) -> Content:
    return Content(name, is_image=True, needs_extra=name in EXTRA_FORMATS)


# The first that matches counts. A dot matches any byte.
_MARKS: tuple[tuple[re.Pattern[bytes], Content], ...] = tuple(
    (re.compile(pattern, re.DOTALL), content)
    for pattern, content in (
        (rb"\xff\xd8\xff", _image("JPEG")),
        (rb"\x89PNG\r\n\x1a\n", _image("PNG")),
        (rb"GIF8[79]a", _image("GIF")),
        (rb"RIFF....WEBP", _image("WebP")),
        # Cameras write their raw files as TIFF with marks of their own.
        (rb"II\*\0....CR|IIR[OS]\x08\0|MMOR|IIU\0|FUJIFILMCCD-RAW|FOVb|\0MRM", CAMERA_RAW),
        (rb"II\*\0|MM\0\*|II\0\*|MM\*\0|II\+\0|MM\0\+", _image("TIFF")),
        (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _image("JPEG 2000")),
        (rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a", _image("JPEG XL")),
        # Size of the file, four bytes that are usually zero, offset of the pixels, size of the second header.
        (rb"BM.{12}(?:\x0c|\x10|\x28|\x34|\x38|\x40|\x6c|\x7c)\0\0\0", _image("BMP")),
        # A BMP without its first header; its planes are always 1.
        (rb"\x0c\0\0\0....\x01\0|[\x28\x34\x38\x6c\x7c]\0\0\0.{8}\x01\0[\x01\x04\x08\x10\x18\x20]\0", _image("BMP")),
        (rb"P[1-6](?:\s|#)\s*(?:#|\d)|Pf\s+\d", _image("PNM")),
        (rb"%PDF-", Content("a PDF")),
        (rb"%!PS|\xc5\xd0\xd3\xc6", Content("a PostScript file")),
        (rb"8BPS", Content("a Photoshop file")),
        (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", Content("a ZIP archive")),
        (rb"\x1f\x8b", Content("a gzip file")),
        (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|BZh[1-9]1AY|\xfd7zXZ\0|\x28\xb5\x2f\xfd", Content("an archive")),
        (rb"\x1a\x45\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]|FLV\x01|\x30\x26\xb2\x75", VIDEO),
        (rb"RIFF....WAVE|ID3|fLaC|OggS", Content("a sound file")),
        (rb"\0\0[\x01\x02]\0[^\0]\0", Content("an icon")),
        (rb"\x7fELF|MZ.{10}", Content("a program")),
        (rb"\x89HDF|PAR1|SQLite format 3|\x93NUMPY", Content("a data file")),
        (rb"version https://git-lfs", Content("a Git LFS pointer, without the image")),
    )
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
# Brands of any picture in this container; the brands beside them say how the picture is coded.
_ANY_PICTURE_BRANDS = {b"mif1", b"mif2", b"msf1", b"miaf", b"MiHB", b"1pic"}


def sniff(head: bytes) -> Content:
    """What a file is, by its first bytes alone; cheap, and no suffix is asked.

    Parameters
    ----------
    head : bytes
        The first HEAD_BYTES of the file, or more; all of a shorter file.

    Returns
    -------
    Content
        A camera's raw file that is a plain TIFF is called TIFF. Bytes of no known kind are "unknown", or "text".
    """
    head = bytes(head[: 4 * HEAD_BYTES])
    if head[4:8] == b"ftyp":
        return _sniff_container(head)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return VIDEO
    for mark, content in _MARKS:
        if mark.match(head):
            return content
    return _sniff_text(head)


def _sniff_container(head: bytes) -> Content:
    length = struct.unpack(">I", head[:4])[0]
    first = head[8:12]
    if first == b"crx ":
        return CAMERA_RAW
    if first in (b"jp2 ", b"jpx "):
        return _image("JPEG 2000")
    brands = {first} | {head[place : place + 4] for place in range(16, min(length, len(head)), 4)}
    # The first brand decides where it can: a phone's HEIC names AVIF readers nowhere, but an AVIF may name mif1.
    for chosen in ({first}, brands if first in _ANY_PICTURE_BRANDS else set()):
        if chosen & _AVIF_BRANDS:
            return _image("AVIF")
        if chosen & _HEIC_BRANDS:
            return _image("HEIC")
    return _image("HEIC") if first in _ANY_PICTURE_BRANDS else VIDEO


def _sniff_text(head: bytes) -> Content:
    encoding = "utf-8"
    for mark, marked in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if head.startswith(mark):
            encoding = marked
    try:
        # Incremental, because the head may end inside a letter.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return UNKNOWN
    text = text.lstrip("\ufeff \t\r\n").lower()
    if not text or re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", text):
        return UNKNOWN
    if re.match(r"<(!doctype html|html|head|body|script|title|meta|!--|h1|div|p>|center)", text):
        return HTML
    if "<svg" in text or text.startswith("<!doctype svg"):
        return Content("an SVG drawing")
    if text.startswith("<"):
        return Content("an XML file")
    if re.match(r'\{\s*("|\}|$)|\[\s*([\[{"\d\]-]|$)', text):
        return Content("a JSON file")
    return TEXT


def format_counts(names: Iterable[str]) -> dict[str, int]:
    """How many of these file names have the suffix of each format, the most first; "other" for those of none."""
    known = {
        suffix: name
        for formats in (BASE_FORMATS, EXTRA_FORMATS)
        for name, suffixes in formats.items()
        for suffix in suffixes
    }
    counts = Counter(known.get(f".{name.lower().rpartition('.')[2]}", "other") for name in names)
    return dict(counts.most_common())


# --- what can be read here --------------------------------------------------------------------------------------------


def can_read(name: str) -> bool:
    """Whether a format of BASE_FORMATS or EXTRA_FORMATS can be decoded here: Pillow has it, or its extra works."""
    return bool(pillow_names(name))


def readable_suffixes() -> tuple[str, ...]:
    """Suffixes, lowercase with their dot, of the formats that can be decoded here."""
    return tuple(
        suffix
        for formats in (BASE_FORMATS, EXTRA_FORMATS)
        for name, suffixes in formats.items()
        if can_read(name)
        for suffix in suffixes
    )


def pillow_names(name: str) -> tuple[str, ...]:
    """What Pillow calls a format, with its plugin loaded; empty when it cannot be read here."""
    found = _here.get(name)
    if found is None:
        with _LOCK:
            found = _here[name] = _load(name)
    return found


_PILLOW_NAMES: dict[str, tuple[str, ...]] = {
    **{name: (name.upper(),) for name in BASE_FORMATS},
    "BMP": ("BMP", "DIB"),
    "PNM": ("PPM",),
    "JPEG 2000": ("JPEG2000",),
    "HEIC": ("HEIF",),
    "JPEG XL": ("JXL",),
}
_LOCK = threading.Lock()
# What was asked for in this process.
_here: dict[str, tuple[str, ...]] = {}


def _load(name: str) -> tuple[str, ...]:
    """Register the plugin of a format; an absent or broken one of the extra is no error."""
    from PIL import Image

    if name not in EXTRA_FORMATS:
        Image.init()
    else:
        try:
            _PLUGINS[name]()
        except Exception:  # noqa: BLE001 - a compiled package that does not fit fails in many ways
            return ()
    return tuple(known for known in _PILLOW_NAMES.get(name, ()) if known in Image.OPEN)


def _register_heif() -> None:
    import pillow_heif

    # Images are decoded in threads already.
    pillow_heif.register_heif_opener(decode_threads=1)


def _register_jpeg_xl() -> None:
    from pillow_jxl import JpegXLImagePlugin

    JpegXLImagePlugin.DECODE_THREADS = 0


_PLUGINS: dict[str, Callable[[], None]] = {"HEIC": _register_heif, "JPEG XL": _register_jpeg_xl}
