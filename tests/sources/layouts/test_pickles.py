"""Pickles that are read without unpickling: what is taken, and that nothing else is."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from layouts import OldPickle, write

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.layouts.pickles import ArrayPlace, read_pickle

PIXELS = np.arange(300 * 1000, dtype=np.uint32).astype(np.uint8).reshape(300, 1000)
BATCH = {"data": PIXELS, "labels": [3, 1, 300, -2], "filenames": ["a.png", "b.png"], "batch_label": "testing"}


def array_at(path: Path, place: ArrayPlace) -> np.ndarray:
    return np.memmap(
        path, dtype=np.uint8, mode="r", offset=place.offset, shape=place.shape, order="F" if place.by_columns else "C"
    )


def test_the_made_pickles_are_what_python_2_wrote(tmp_path: Path) -> None:
    path = write(tmp_path / "batch", OldPickle().dump(BATCH))
    unpickled = pickle.loads(path.read_bytes(), encoding="latin1")  # noqa: S301 - made here
    np.testing.assert_array_equal(unpickled.pop("data"), PIXELS)
    assert unpickled == {name: value for name, value in BATCH.items() if name != "data"}


# Python 3 writes bytes of protocol 2 through a function, which is refused.
@pytest.mark.parametrize(("protocol", "order"), [(2, "C"), (3, "C"), (3, "F"), (4, "C"), (4, "F")])
def test_the_values_are_those_of_unpickling(tmp_path: Path, protocol: int, order: str) -> None:
    batch = {**BATCH, "data": np.asarray(PIXELS, order=order)}
    data = OldPickle().dump(batch) if protocol == 2 else pickle.dumps(batch, protocol=protocol)
    path = write(tmp_path / "batch", data)
    found = read_pickle(path)
    np.testing.assert_array_equal(array_at(path, found.pop("data")), PIXELS)
    assert found == {name: value for name, value in BATCH.items() if name != "data"}


def test_a_small_array_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "batch", OldPickle().dump({"data": PIXELS[:1, :20]}))
    np.testing.assert_array_equal(array_at(path, read_pickle(path)["data"]), PIXELS[:1, :20])


class Harmful:
    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self._folder,)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path / "batch", pickle.dumps({"data": Harmful(tmp_path / "made")}, protocol=protocol))
    with pytest.raises(SourceError, match=r"it wants posix\.mkdir\. It was not unpickled"):
        read_pickle(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pickle.dumps({"data": PIXELS}, protocol=2), r"it wants _codecs\.encode"),
        (pickle.dumps({"data": PIXELS}, protocol=5), "another protocol than 2, 3 or 4"),
        (pickle.dumps({"data": PIXELS.astype(np.float32)}, protocol=4), r"other values than bytes \(u1\)"),
        (pickle.dumps({"data": {"deeper": 1}}, protocol=4), "data is neither an array of bytes nor a list"),
        (pickle.dumps({1: 2}, protocol=4), "a key that is no text"),
        (pickle.dumps([1, 2], protocol=4), "it holds no dictionary"),
        (pickle.dumps({"a": 1 << 80}, protocol=4), "more than 8 bytes"),
        (b"\x80\x02cos\nsystem\n(U\x02lst.", r"it wants os\.system"),
        (b"\x80\x02cnumpy\ndtype\ncnumpy\nndarray\nR.", "it calls something"),
        (b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87Rcnumpy\nndarray\n\x81.", "the instruction"),
        (b"\x80\x02}h\x07.", "it is damaged"),
        (b"\x80\x02)a.", "it is damaged"),
        (b"\x80\x02}U\x01aK\x01a.", "appends to what is no list"),
        (b"\x80\x02]K\x01K\x02s.", "sets an item of what is no dictionary"),
        (b"\x80\x02c" + b"x" * 500 + b"\n.", "a name that is too long"),
        (b"<html>", "the instruction"),
    ],
    ids=range(16),
)
def test_anything_else_is_refused_by_name_and_not_run(tmp_path: Path, data: bytes, told: str) -> None:
    path = write(tmp_path / "data_batch_1", data)
    with pytest.raises(SourceError, match=rf"data_batch_1 must be a pickle of arrays and lists alone; .*{told}"):
        read_pickle(path)


@pytest.mark.parametrize("kept", [0, 1, 100, 200_000, -1])
def test_a_cut_pickle_is_told(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "batch", OldPickle().dump(BATCH)[:kept])
    with pytest.raises(SourceError, match=r"batch must be a whole pickle; it ends after [\d,]+ bytes.*Download it"):
        read_pickle(path)


def test_a_length_that_lies_takes_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "batch", b"\x80\x04}\x8c\x01a\x8e" + (1 << 60).to_bytes(8, "little"))
    with pytest.raises(SourceError, match="must be a whole pickle"):
        read_pickle(path)


def test_no_bytes_of_a_pickle_raise_anything_else(tmp_path: Path) -> None:
    whole = bytearray(OldPickle().dump({**BATCH, "data": PIXELS[:2, :3]}))
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[int(generator.integers(2, len(whole)))] = int(generator.integers(256))
        try:
            read_pickle(write(tmp_path / "batch", bytes(damaged)))
        except SourceError:
            refused += 1
    assert refused > 50
