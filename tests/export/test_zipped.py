"""Images as a zip that is made while it is sent."""

import io
import json
import zipfile

import polars as pl
import pytest

from tac_pipeline.export.result import ExportResult
from tac_pipeline.export.zipped import stream_zip

SIZE = 50_000


class Files:
    """Every image has its own bytes; some are gone."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        if "gone" in uri:
            raise FileNotFoundError(2, "No such file or directory")
        return uri.encode().ljust(SIZE, b".")


def result(ids: list[str], names: list[str | None]) -> ExportResult:
    placed = pl.Series([None if name == "none" else number for number, name in enumerate(names)], dtype=pl.Int32)
    images = pl.DataFrame({"image_id": ids, "uri": ids}).with_columns(
        cluster_id=placed, cluster_name=pl.Series(names), confidence=pl.lit(0.5)
    )
    return ExportResult({"store": "small"}, images, Files())


def test_a_zip_comes_in_parts_of_one_image_and_is_whole() -> None:
    ids = [f"x/{number}.png" for number in range(30)]
    parts = list(stream_zip(result(ids, ["a"] * 30), max_bytes=SIZE))
    assert max(len(part) for part in parts) < 2 * SIZE
    assert len(parts) > 30
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        assert archive.read("a-7/7.png") == b"x/7.png".ljust(SIZE, b".")
        assert "left_out.csv" not in archive.namelist()
    # Equal images make equal zips.
    assert parts == list(stream_zip(result(ids, ["a"] * 30), max_bytes=SIZE))


def test_names_lead_nowhere_and_nothing_is_left_out_in_silence() -> None:
    ids = ["../../etc/passwd", "/etc/passwd", "con.png", "a\n.png", "gone.png", "unread.png"]
    names = ["../<b>", None, "犬", "x" * 10_000, "a", "none"]
    whole = b"".join(stream_zip(result(ids, names), max_bytes=SIZE))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        for name in archive.namelist():
            assert not name.startswith(("/", ".", "-")) and ".." not in name and "\n" not in name, name
            assert name.count("/") <= 1
        left = pl.read_csv(io.BytesIO(archive.read("left_out.csv")))
        assert left["image_id"].to_list() == ["gone.png", "unread.png"]
        record = json.loads(archive.read("export.json"))
        assert (record["images"], record["left_out"], record["store"]) == (4, 2, "small")


def test_an_empty_choice_and_a_store_of_vectors() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(result(["a"], ["none"]), max_bytes=1)))) as archive:
        assert json.loads(archive.read("export.json"))["left_out"] == 1
    vectors = ExportResult({}, result(["a"], ["b"]).images, None)
    with pytest.raises(ValueError, match="only vectors"):
        stream_zip(vectors, max_bytes=1)
