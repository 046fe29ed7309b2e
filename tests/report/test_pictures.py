"""The small pictures: safe, sized, made once."""

import hashlib
import io

import pytest
from made_up import ColorSource
from PIL import Image

from tac_pipeline.report.pictures import PICTURE_SIZE, Wanted, draw_pictures

LIMITS = {"max_pixels": 1_000_000, "max_bytes": 1_000_000}


def encoded(width: int, height: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, kind)
    return buffer.getvalue()


def wanted(uri: str, data: bytes, width: int, height: int) -> Wanted:
    return Wanted(uri, hashlib.sha256(data).hexdigest(), width, height)


@pytest.mark.parametrize(("width", "height", "side"), [(1, 1, 1), (500, 300, PICTURE_SIZE), (40, 90, 40), (1, 900, 1)])
def test_a_picture_is_a_square_no_larger_than_the_image(width: int, height: int, side: int) -> None:
    data = encoded(width, height)
    image = wanted("a", data, width, height)
    found = draw_pictures([image], ColorSource({"a": data}), known={}, **LIMITS)
    assert Image.open(io.BytesIO(found[image.content_hash])).size == (side, side)


def test_what_cannot_be_shown_is_left_out() -> None:
    fine, large, other = encoded(9, 9), encoded(1001, 1000), encoded(8, 8)
    damaged = fine[: len(fine) // 2]
    images = [
        wanted("fine", fine, 9, 9),
        wanted("vanished", other, 8, 8),
        wanted("large", large, 1001, 1000),
        wanted("damaged", damaged, 9, 9),
        Wanted("replaced", "0" * 64, 9, 9),
    ]
    source = ColorSource({"fine": fine, "large": large, "damaged": damaged, "replaced": fine})
    assert set(draw_pictures(images, source, known={}, **LIMITS)) == {images[0].content_hash}
    assert draw_pictures(images[:1], source, known={}, max_pixels=100, max_bytes=10) == {}


def test_known_pictures_and_equal_bytes_are_not_read_again() -> None:
    first, second = encoded(9, 9), encoded(10, 10)
    images = [wanted("a", first, 9, 9), wanted("b", second, 10, 10), wanted("c", second, 10, 10)]
    source = ColorSource({"a": first, "b": second, "c": second})
    found = draw_pictures(images, source, known={images[0].content_hash: b"kept"}, **LIMITS)
    assert found[images[0].content_hash] == b"kept"
    assert len(source.asked) == 1
