"""Large tables in segments: cut by their rows alone, read as one table, shared with the version before."""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.engine.step import Output
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.parquet import TableSchema, write_table
from tac_pipeline.store.schemas import IMAGE_MAP, MAP_LAYOUT
from tac_pipeline.store.segments import cutting
from tac_pipeline.store.segments.cutting import cut, segments_of

MOST, MEAN = 8, 4
Build = Callable[..., Artifact]


@pytest.fixture
def eight_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "SEGMENT_ROWS", MOST)
    monkeypatch.setattr(cutting, "MEAN_ROWS", MEAN)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    store = Store(tmp_path / "data" / "made")

    def build(table: pl.DataFrame, before: Artifact | None = None) -> Artifact:
        with store.scratch("image_map") as folder:
            out = Output(folder, IMAGE_MAP, before)
            out.write(table)
            empty: dict[str, Any] = {name: {} for name in ("links", "values", "inputs", "facts", "notes")}
            record = {"content": None, "rows": out.rows, "seconds": 0.0, **empty}
            return store.commit("image_map", f"recipe {len(store.versions('image_map'))}", folder, record)

    return build


def places(numbers: range | list[int]) -> pl.DataFrame:
    ids = [f"photographs/{number:04d}.jpg" for number in numbers]
    x = pl.Series([number / 7 for number in numbers], dtype=pl.Float32)
    y = pl.Series([0.5] * len(ids), dtype=pl.Float32)
    return pl.DataFrame({"image_id": ids, "content_hash": ids, "x": x, "y": y})


def files(artifact: Artifact) -> dict[str, int]:
    """The digests in the names of an artifact's segments, each with its inode."""
    return {path.name.split("-")[2]: path.stat().st_ino for path in artifact.folder.glob("image_map-*.parquet")}


@pytest.mark.usefixtures("eight_are_many")
def test_a_table_in_segments_is_read_as_one(build: Build) -> None:
    table = places(range(100))
    made = build(table)
    assert len(files(made)) > 100 / MOST
    assert made.rows == 100
    assert made.frame(IMAGE_MAP).equals(table)
    assert made.frame(IMAGE_MAP, columns=["x"]).equals(table.select("x"))


def test_a_table_of_few_rows_is_the_file_that_it_was(build: Build, tmp_path: Path) -> None:
    made = build(places(range(100)))
    write_table(tmp_path / "alone.parquet", IMAGE_MAP, places(range(100)))
    assert list(made.record["files"]) == ["image_map.parquet"]
    assert made.file("image_map.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()


@pytest.mark.usefixtures("eight_are_many")
@pytest.mark.parametrize("numbers", [[*range(100), 100], [n for n in range(100) if n != 50], [*range(40), 400]])
def test_a_version_shares_the_segments_that_did_not_change(build: Build, numbers: list[int]) -> None:
    before = build(places(range(100)))
    after = build(places(numbers), before)
    assert after.frame(IMAGE_MAP).equals(places(numbers))
    shared = files(before).items() & files(after).items()
    # One that has the change, and, where that moved a cut by length, the one after it.
    assert len(files(after)) - len(shared) <= 2
    assert len(shared) >= 5


@pytest.mark.usefixtures("eight_are_many")
def test_the_content_says_what_is_in_it_not_how_it_came_to_be(build: Build) -> None:
    grown = build(places(range(100)), build(places(range(0, 100, 2)), build(places(range(7)))))
    assert grown.content == build(places(range(100))).content
    assert grown.content != build(places(range(99))).content


@pytest.mark.usefixtures("eight_are_many")
@pytest.mark.parametrize("spoil", ["other bytes", "gone", "shorter"])
def test_a_damaged_segment_is_written_again_and_not_shared(build: Build, spoil: str) -> None:
    before = build(places(range(100)))
    path = sorted(before.folder.glob("image_map-*.parquet"))[1]
    data = path.read_bytes()
    if spoil == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-9] if spoil == "shorter" else data[:60] + bytes([data[60] ^ 1]) + data[61:])
    after = build(places(range(100)), before)
    assert after.file(path.name).read_bytes() == data
    assert after.frame(IMAGE_MAP).equals(places(range(100)))


@pytest.mark.usefixtures("eight_are_many")
def test_without_hard_links_segments_are_copied(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    before = build(places(range(100)))
    after = build(places(range(100)), before)
    assert files(before).keys() == files(after).keys()
    assert not files(before).items() & files(after).items()


@given(numbers=st.lists(st.integers(0, 999), max_size=60, unique=True).map(sorted))
def test_segments_cover_the_rows_and_none_is_too_long(numbers: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SEGMENT_ROWS", MOST)
        patch.setattr(cutting, "MEAN_ROWS", MEAN)
        bounds = cut(pa.chunked_array([pa.array([str(number) for number in numbers], pa.string())]))
    assert bounds[0] == 0
    assert bounds[-1] == len(numbers)
    assert all(0 < end - start <= MOST for start, end in pairwise(bounds)) or not numbers


@pytest.mark.parametrize(
    ("schema", "names", "wanted"),
    [
        (IMAGE_MAP, ["image_map.parquet", "map.png"], ["image_map.parquet"]),
        (MAP_LAYOUT, ["image_map-00000-" + "0" * 32 + ".parquet"], ["map_layout.parquet"]),
    ],
)
def test_files_of_other_tables_are_no_segments(schema: TableSchema, names: list[str], wanted: list[str]) -> None:
    assert segments_of(schema, names) == wanted


@pytest.mark.parametrize("end", [1, 5, 8])
def test_rows_have_the_same_digest_whatever_is_behind_them(end: int) -> None:
    """In memory, other rows follow; and what is in the place of a null may be anything."""
    values: dict[str, list[Any]] = {
        "text": ["a", None, "", "ä", "e", "f", "g", "h"],
        "number": [1, None, 3, 4, 5, 6, None, 8],
    }
    values["mark"] = [True, False, None, True, True, False, True, True]
    long, short = pa.table(values), pa.table({name: column[:end] for name, column in values.items()})
    assert cutting.rows_digest(long.slice(0, end)) == cutting.rows_digest(short)
    moved = pa.concat_tables([long.slice(3), long]).slice(5, end)
    assert cutting.rows_digest(moved) == cutting.rows_digest(short)
    filled = short.set_column(1, "number", short["number"].fill_null(0))
    assert (cutting.rows_digest(filled) == cutting.rows_digest(short)) == (end == 1)
