"""sniff on files that Pillow and the plugins of the extra write; which formats can be read with and without them."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tac_pipeline.sources import formats
from tac_pipeline.sources.formats import (
    BASE_FORMATS,
    EXTRA_FORMATS,
    HEAD_BYTES,
    IMAGE_SUFFIXES,
    can_read,
    readable_suffixes,
    sniff,
)

PICTURE = Image.linear_gradient("L").resize((40, 30)).convert("RGB")


def saved(kind: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def extra_file(name: str) -> bytes:
    """A small HEIC or JPEG XL file."""
    if not can_read(name):
        pytest.skip(f"no package that writes {name}")
    return saved({"HEIC": "HEIF", "JPEG XL": "JXL"}[name])


@pytest.mark.parametrize(
    "name,data",
    [
        ("JPEG", saved("JPEG")),
        ("JPEG", saved("MPO", save_all=True, append_images=[PICTURE])),
        ("PNG", saved("PNG")),
        ("GIF", saved("GIF")),
        ("WebP", saved("WEBP")),
        ("BMP", saved("BMP")),
        ("BMP", saved("DIB")),
        ("TIFF", saved("TIFF")),
        ("TIFF", saved("TIFF", big_tiff=True)),
        ("TIFF", saved("TIFF", Image.new("I;16B", (9, 9)))),
        ("JPEG 2000", saved("JPEG2000")),
        ("JPEG 2000", saved("JPEG2000", no_jp2=True)),
        ("AVIF", saved("AVIF")),
        *(("PNM", saved("PPM", PICTURE.convert(mode))) for mode in ("1", "L", "RGB", "F")),
    ],
)
def test_pictures_are_known_by_their_first_bytes(name: str, data: bytes) -> None:
    found = sniff(data[:HEAD_BYTES])
    assert (found.name, found.is_image, found.needs_extra) == (name, True, False)
    assert sniff(data) == found


@pytest.mark.parametrize("name", EXTRA_FORMATS)
def test_the_extras_pictures_are_known(name: str) -> None:
    found = sniff(extra_file(name)[:HEAD_BYTES])
    assert (found.name, found.is_image, found.needs_extra) == (name, True, True)


def container(*brands: bytes) -> bytes:
    body = brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return (len(body) + 8).to_bytes(4, "big") + b"ftyp" + body + b"\0\0\1\0meta" + bytes(99)


@pytest.mark.parametrize(
    "name,data",
    [
        ("HEIC", container(b"mif1", b"mif1", b"heic")),
        ("HEIC", container(b"heix", b"mif1", b"miaf", b"MiHB")),
        ("AVIF", container(b"mif1", b"mif1", b"avif", b"miaf")),
        ("AVIF", container(b"avis", b"msf1")),
        ("a video", container(b"mp42", b"isom")),
        ("a video", container(b"qt  ")),
        ("a video", b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23webm"),
        ("a video", b"RIFF\x10\0\0\0AVI LIST"),
        ("a camera's raw file", container(b"crx ", b"crx ", b"isom")),
        ("a camera's raw file", b"II*\0\x10\0\0\0CR\x02\0" + bytes(60)),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "),
        ("an HTML page", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        ("an HTML page", b"\xef\xbb\xbf\r\n  <HTML lang='de'>"),
        ("an XML file", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
        ("an SVG drawing", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'>"),
        ("a JSON file", b'{"error": "not found"}'),
        ("a JSON file", b"[]"),
        ("text", "Grüße aus München, und noch viel mehr davon, bis über den Rand hinaus".encode()),
        ("text", "\ufeffRead me".encode("utf-16-le")),
        ("text", b"P5 is a name, not a picture"),
        ("a PDF", b"%PDF-1.7\n"),
        ("a PostScript file", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        ("a Photoshop file", b"8BPS\0\x01" + bytes(20)),
        ("a gzip file", gzip.compress(b"a", mtime=0)),
        ("a Git LFS pointer, without the image", b"version https://git-lfs.github.com/spec/v1\noid sha256:1"),
        ("unknown", b""),
        ("unknown", bytes(64)),
        ("unknown", b"\x93\x12\xf0\x01\x02"),
    ],
)
def test_other_files_are_named(name: str, data: bytes) -> None:
    found = sniff(data[:HEAD_BYTES])
    assert found.name == name
    assert found.is_image == (name in BASE_FORMATS or name in EXTRA_FORMATS)


def test_a_zip_archive_is_named() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    assert sniff(buffer.getvalue()).name == "a ZIP archive"


@given(st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1), st.integers(1, 80))
def test_text_cut_inside_a_letter_is_text(words: str, length: int) -> None:
    head = b"# " + words.encode()
    assert sniff(head[: 2 + length]) == formats.TEXT


@given(st.binary(max_size=100))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    found = sniff(data)
    assert found.name
    assert found.is_image == (found.name in BASE_FORMATS or found.name in EXTRA_FORMATS)


def test_every_suffix_is_named_once_and_lowercase() -> None:
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)
    assert set(readable_suffixes()) <= set(IMAGE_SUFFIXES)
    assert {".jpg", ".jfif", ".png", ".webp", ".dib", ".tiff", ".pgm", ".tga", ".jp2"} <= set(readable_suffixes())


class Broken:
    """A package that fails as a compiled one does on the wrong machine."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in ("pillow_heif", "pillow_jxl"):
            raise OSError("libde265.so: cannot open shared object file")


@pytest.mark.parametrize("how", ["absent", "broken"])
def test_without_the_extra_its_suffixes_are_not_readable(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_extras(monkeypatch, broken=how == "broken")
    for name, suffixes in EXTRA_FORMATS.items():
        assert not can_read(name)
        assert not set(suffixes) & set(readable_suffixes())
    assert ".jpg" in readable_suffixes()


def hide_extras(monkeypatch: pytest.MonkeyPatch, *, broken: bool = False) -> None:
    """As if the packages of the extra were not installed, or did not load."""
    for module in [name for name in sys.modules if name.split(".")[0] in ("pillow_heif", "pillow_jxl")]:
        monkeypatch.delitem(sys.modules, module)
    if broken:
        monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    else:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.setattr(formats, "_here", {})


@pytest.mark.parametrize("name", EXTRA_FORMATS)
def test_with_the_extra_its_suffixes_are_readable(name: str) -> None:
    extra_file(name)
    assert set(EXTRA_FORMATS[name]) <= set(readable_suffixes())


def test_sniffing_loads_no_decoder() -> None:
    code = (
        "import sys; from tac_pipeline.sources import formats; formats.sniff(b'GIF89a');"
        "print([name for name in ('PIL', 'torch', 'pillow_heif', 'pillow_jxl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
