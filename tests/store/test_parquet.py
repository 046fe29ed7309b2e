"""Tables: what is written comes back, and nothing that breaks its schema is written."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_store import grouped_vectors

from tac_pipeline import arrow
from tac_pipeline.arrow import INT8_MARK, encoder_of, frame_of, require_same_encoder, require_same_space
from tac_pipeline.digest import file_sha256
from tac_pipeline.errors import ArtifactDamaged, EncoderError, InputError
from tac_pipeline.store import schemas
from tac_pipeline.store.parquet import Column, TableSchema, add_table, read_frame, read_table, vectors_of, write_table
from tac_pipeline.store.schemas import EMBEDDING_SHARD, NOUN_EMBEDDINGS

VECTORS, _ = grouped_vectors(per_group=2)
WORDS = list("abcdef")


def test_vectors_come_back_as_unit_rows_within_half_precision(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", NOUN_EMBEDDINGS, {"noun": WORDS, "embedding": VECTORS}, encoder="an encoder")
    table = read_table(tmp_path / "t.parquet", NOUN_EMBEDDINGS)
    found = vectors_of(table)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, VECTORS, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert encoder_of(table) == "an encoder"
    assert table.column("noun").to_pylist() == WORDS


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, 6), length=st.integers(0, 6))
def test_a_slice_of_a_table_has_the_vectors_of_that_slice(tmp_path: Path, start: int, length: int) -> None:
    path = tmp_path / "t.parquet"
    if not path.exists():
        write_table(path, NOUN_EMBEDDINGS, {"noun": WORDS, "embedding": VECTORS}, encoder="e")
    table = read_table(path, NOUN_EMBEDDINGS)
    np.testing.assert_array_equal(vectors_of(table.slice(start, length)), vectors_of(table)[start : start + length])


def test_vectors_lie_as_documented(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", NOUN_EMBEDDINGS, {"noun": WORDS, "embedding": VECTORS}, encoder="e")
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert str(file.schema_arrow.field("embedding").type) == "fixed_size_list<element: halffloat>[16]"
    assert file.metadata.row_group(0).column(1).compression == "UNCOMPRESSED"
    assert file.schema_arrow.metadata[b"tac.encoder"] == b"e"
    assert file.schema_arrow.metadata[b"tac.dim"] == b"16"
    assert file.schema_arrow.metadata[b"tac.norm"] == b"unit"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noun": [*WORDS[:5], "a"]}, "noun must be unique; 1 values repeat: 'a'"),
        ({"noun": [*WORDS[:5], None]}, "noun must not be null; 1 of 6 are"),
        ({"noun": WORDS[:5]}, "columns of one length; got {'noun': 5, 'embedding': 6}"),
        ({"embedding": VECTORS * 2}, "finite unit vectors; 6 of 6 are not, the first is row 0 with length 2"),
        ({"embedding": VECTORS * np.nan}, "finite unit vectors; 6 of 6"),
        ({"embedding": VECTORS * [[1], [0], [1], [1], [1], [1]]}, "1 of 6 are not, the first is row 1 with length 0"),
        ({"more": WORDS}, "must have the columns"),
        ({"noun": [1.5] * 6}, "unique"),
    ],
)
def test_what_breaks_the_schema_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InputError, match="noun_embeddings") as refused:
        write_table(
            tmp_path / "t.parquet", NOUN_EMBEDDINGS, {"noun": WORDS, "embedding": VECTORS} | change, encoder="e"
        )
    assert message in str(refused.value)
    assert not (tmp_path / "t.parquet").exists()


def test_only_shards_may_hold_zero_vectors(tmp_path: Path) -> None:
    columns = {
        "image_id": ["a", "b"],
        "version": ["1", "1"],
        "content_hash": ["x", ""],
        "width": [1, 0],
        "height": [1, 0],
        "error": [None, "truncated"],
        "note": [None, None],
        "embedding": VECTORS[:2] * [[1], [0]],
    }
    write_table(tmp_path / "shard.parquet", EMBEDDING_SHARD, columns, encoder="e")
    found = vectors_of(read_table(tmp_path / "shard.parquet", EMBEDDING_SHARD))
    np.testing.assert_array_equal(found[1], 0)


def test_vectors_are_not_written_without_their_encoder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fingerprint"):
        write_table(tmp_path / "t.parquet", NOUN_EMBEDDINGS, {"noun": WORDS, "embedding": VECTORS})


def test_a_file_of_another_table_or_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, schemas.CLUSTER_COUNT, {"count": [3]})
    with pytest.raises(ArtifactDamaged, match="with the table noun_embeddings: it says cluster_count"):
        read_table(path, NOUN_EMBEDDINGS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactDamaged, match=r"t\.parquet"):
        read_table(path, schemas.CLUSTER_COUNT)
    with pytest.raises(ArtifactDamaged):
        read_table(tmp_path / "absent.parquet", schemas.CLUSTER_COUNT)


def test_two_stated_encoders_are_never_mixed() -> None:
    require_same_encoder("a", "a")
    require_same_encoder("a", arrow.UNSTATED_ENCODER)
    with pytest.raises(EncoderError, match="the images' is a, the nouns' is b"):
        require_same_encoder("a", "b")


def all_schemas() -> list[TableSchema]:
    return [value for value in vars(schemas).values() if isinstance(value, TableSchema)]


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_every_schema_documents_its_columns_and_writes_an_empty_table(schema: TableSchema, tmp_path: Path) -> None:
    assert all(column.meaning for column in schema.columns)
    assert schema.key is None or schema.key in {column.name for column in schema.columns}
    empty = {
        column.name: np.empty((0, 4), dtype=np.float32) if column.type is None else [] for column in schema.columns
    }
    write_table(tmp_path / "t.parquet", schema, empty, encoder="e")
    assert read_table(tmp_path / "t.parquet", schema).num_rows == 0


def test_a_frame_is_written_as_its_columns_are(tmp_path: Path) -> None:
    columns = {"image_id": WORDS, "label": list("xxyyzz")}
    frame = pl.DataFrame(columns)
    for name, given_as in (("columns", columns), ("frame", frame), ("series", dict(frame.to_dict()))):
        write_table(tmp_path / name, schemas.IMAGE_LABELS, given_as)
    assert (tmp_path / "frame").read_bytes() == (tmp_path / "columns").read_bytes()
    assert (tmp_path / "series").read_bytes() == (tmp_path / "columns").read_bytes()
    assert read_frame(tmp_path / "frame", schemas.IMAGE_LABELS).equals(frame)


def test_a_nullable_column_that_is_newer_than_the_file_is_null(tmp_path: Path) -> None:
    before = TableSchema("things", (Column("name", pa.string(), "x"),))
    after = TableSchema("things", (Column("name", pa.string(), "x"), Column("note", pa.string(), "y", nullable=True)))
    write_table(tmp_path / "t.parquet", before, {"name": ["a", "b"]})
    assert read_table(tmp_path / "t.parquet", after).to_pydict() == {"name": ["a", "b"], "note": [None, None]}
    assert read_table(tmp_path / "t.parquet", after, columns=["note"]).to_pydict() == {"note": [None, None]}
    assert read_table(tmp_path / "t.parquet", after, columns=["name"]).column_names == ["name"]
    stricter = TableSchema("things", (Column("name", pa.string(), "x"), Column("size", pa.int64(), "y")))
    with pytest.raises(ArtifactDamaged):
        read_table(tmp_path / "t.parquet", stricter, columns=["size"])


def test_the_precision_of_images_leaves_their_space() -> None:
    require_same_space("a" + INT8_MARK, "a")
    require_same_space("a" + INT8_MARK, arrow.UNSTATED_ENCODER)
    with pytest.raises(EncoderError, match="same encoder"):
        require_same_space("a" + INT8_MARK, "b")
    with pytest.raises(EncoderError, match="same encoder"):
        require_same_encoder("a" + INT8_MARK, "a")


def test_no_changed_byte_of_a_table_with_checksums_gives_other_values_or_an_error_of_a_library(tmp_path: Path) -> None:
    """Vectors, texts and numbers; the footer, which has no checksum, gets most of the changes."""
    vectors, _ = grouped_vectors(per_group=10)
    ids, ones = [f"image-{number}" for number in range(len(vectors))], [1] * len(vectors)
    columns = {"image_id": ids, "version": ids, "content_hash": ids, "width": ones, "height": ones}
    rest = {"error": [None] * len(ids), "note": ids, "embedding": vectors}
    path, generator = tmp_path / "t.parquet", np.random.default_rng(0)
    write_table(path, EMBEDDING_SHARD, {**columns, **rest}, encoder="e", checksums=True)
    data, was = path.read_bytes(), read_table(path, EMBEDDING_SHARD)
    told = 0
    for place in [*generator.integers(0, len(data), 150), *generator.integers(len(data) - 2600, len(data), 250)]:
        harmed = bytearray(data)
        harmed[place] ^= int(generator.integers(1, 256))
        path.write_bytes(harmed)
        try:
            found = read_table(path, EMBEDDING_SHARD)
            assert found.drop_columns("embedding").equals(was.drop_columns("embedding"))
            np.testing.assert_array_equal(vectors_of(found), vectors_of(was))
            frame_of(found)
        except ArtifactDamaged as error:
            assert error.file in (path, None)
            told += 1
    assert told > 300


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_what_the_system_refuses_is_told_and_is_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A damaged file is set aside and made again: not because too many files are open."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(ArtifactDamaged, match=re.escape(os.strerror(code))) as told:
        read_table(tmp_path / "t.parquet", EMBEDDING_SHARD)
    assert told.value.file is None


def test_a_file_that_is_added_is_named_by_its_digest(tmp_path: Path) -> None:
    vectors, _ = grouped_vectors(per_group=2)
    columns = {"noun": [f"noun {number}" for number in range(len(vectors))], "embedding": vectors}
    path = add_table(tmp_path / "new", NOUN_EMBEDDINGS, columns, encoder="e")
    assert add_table(tmp_path / "new", NOUN_EMBEDDINGS, columns, encoder="e") == path
    assert list(path.parent.iterdir()) == [path]
    assert path.stem == file_sha256(path)[:32]
