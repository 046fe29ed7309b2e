"""Vector tables: which files are one table, every kind of number, and rows with a vector that cannot be used."""

import os
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import grouped_vectors, write_vectors

from tac_pipeline.embedding import given_batches
from tac_pipeline.errors import SourceError
from tac_pipeline.sources import (
    FolderSource,
    ManifestSource,
    VectorSource,
    manifests,
    open_source,
    vector_digest,
)
from tac_pipeline.sources import listing as listings
from tac_pipeline.sources.tables import vectors as vector_tables
from tac_pipeline.sources.vectors import VectorBatch
from tac_pipeline.store.listings import KeptListings

IDS = [f"i{number}" for number in range(6)]
VECTORS, _ = grouped_vectors(per_group=2)


def opened(path: Path) -> VectorSource:
    source = open_source(str(path))
    assert isinstance(source, VectorSource)
    assert source.reader is None
    return source


def write(path: Path, ids: list[str], vectors: object, *, name: str = "embedding", **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image_id": ids, name: vectors, **columns}), path)
    return path


def read(path: Path) -> dict[str, np.ndarray | str]:
    """Of each image of a table its vector, or why it has none, as the embeddings get it."""
    source = opened(path)
    listing = source.list_images()
    found: dict[str, np.ndarray | str] = {}
    for batch in given_batches(listing, source):
        for row, vector in zip(batch.rows, batch.vectors, strict=True):
            assert row.content_hash == row.version
            assert vector.dtype == np.float32
            assert row.error is None or not vector.any()
            found[row.image_id] = vector if row.error is None else row.error
    assert sorted(found) == listing["image_id"].to_list()
    return found


def plain_unit(vector: object) -> np.ndarray:
    """A unit row, computed with more digits than any input has."""
    wide = np.asarray(vector, dtype=np.longdouble)
    return wide / np.sqrt((wide * wide).sum())


class TestRows:
    def test_rows_come_in_file_order_with_their_digest(self, tmp_path: Path) -> None:
        source = opened(write_vectors(tmp_path / "v.parquet", IDS[::-1], VECTORS, ["a", "b"] * 3))
        listing = source.list_images()
        assert listing["image_id"].to_list() == listing["uri"].to_list() == IDS
        (batch,) = list(source.vectors())
        assert batch.image_ids == IDS[::-1]
        np.testing.assert_allclose(batch.vectors, VECTORS, atol=1e-3)
        assert listing["version"].to_list() == batch.digests[::-1]
        assert batch.digests[0] == vector_digest(VECTORS[0].astype(np.float16))
        assert source.labels(IDS, "column")["label"].to_list() == ["b", "a"] * 3
        assert source.encoder == "unstated"
        assert list(source.listing().notes) == []

    @pytest.mark.parametrize("number", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint32", "uint64"])
    @pytest.mark.parametrize("lists", ["list", "large_list", "fixed", "tensor"])
    @pytest.mark.parametrize("with_null", [False, True])
    def test_lists_of_any_kind_are_read(self, tmp_path: Path, number: str, lists: str, with_null: bool) -> None:
        values = np.random.default_rng(0).integers(1, 100, (6, 5)).astype(number)
        item = pa.from_numpy_dtype(values.dtype)
        kind = {
            "list": pa.list_(item), "large_list": pa.large_list(item), "fixed": pa.list_(item, 5),
            "tensor": pa.list_(item, 5),
        }[lists]  # fmt: skip
        rows: list[object] = list(values)
        if with_null:
            rows[2] = None
        column = pa.array(rows, kind)
        if lists == "tensor":
            column = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(item, [5]), column)
        found = read(write(tmp_path / "v.parquet", IDS, column))
        for row, (image_id, value) in enumerate(found.items()):
            if with_null and row == 2:
                assert value == "the vector is null"
            else:
                np.testing.assert_allclose(value, plain_unit(values[int(image_id[1:])]), rtol=1e-6)

    @pytest.mark.parametrize("name", ["embedding", "Embeddings", "VECTOR", "clip_embedding", "Image Embedding"])
    def test_the_usual_names_are_told(self, tmp_path: Path, name: str) -> None:
        source = opened(write(tmp_path / "v.parquet", IDS, VECTORS.tolist(), name=name, other=[[1]] * 6))
        assert len(source.list_images()) == 6
        assert list(source.listing().notes) == ([] if name == "embedding" else [f"embedding: the column {name}"])

    def test_a_list_counts_before_a_text_of_a_better_name(self, tmp_path: Path) -> None:
        path = write(tmp_path / "v.parquet", IDS, ["text"] * 6, vector=VECTORS.tolist())
        assert all(isinstance(vector, np.ndarray) for vector in read(path).values())

    def test_a_manifest_with_such_a_text_stays_one(self, tmp_path: Path) -> None:
        write(tmp_path / "m.parquet", IDS, ["text"] * 6, uri=IDS)
        assert isinstance(open_source(str(tmp_path / "m.parquet")), ManifestSource)

    def test_a_uri_is_kept_and_is_the_id_where_there_is_none(self, tmp_path: Path) -> None:
        uris = [f"/photos/{image_id}.jpg" for image_id in IDS]
        path = write(tmp_path / "v.parquet", IDS, VECTORS.tolist(), image_path=uris)
        assert opened(path).list_images()["uri"].to_list() == uris
        pq.write_table(pa.table({"url": uris, "vector": VECTORS.tolist(), "label": IDS}), path)
        source = opened(path)
        assert source.list_images()["image_id"].to_list() == uris
        assert list(source.listing().notes) == [
            "uri: the column url",
            "embedding: the column vector",
            "image_id: there is none, the uri is the id",
        ]
        assert source.labels(uris, "column")["label"].to_list() == IDS

    def test_a_relative_uri_is_resolved_when_its_file_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p/i0.jpg").write_bytes(b"")
        uris = [f"p/{image_id}.jpg" for image_id in IDS[:4]] + ["../x.jpg", "s3://b/k.jpg"]
        path = write(tmp_path / "v.parquet", IDS, VECTORS.tolist(), uri=uris)
        assert opened(path).list_images()["uri"].to_list() == [str(tmp_path / "p/i0.jpg"), *uris[1:]]

    def test_bytes_and_broken_text_are_ids_too(self, tmp_path: Path) -> None:
        broken = pa.array([b"a", b"caf\xe9", b"c"]).view(pa.string())
        for column in (broken, pa.array([b"a", b"caf\xe9", b"c"])):
            write(tmp_path / "v.parquet", column, VECTORS[:3].tolist())
            assert sorted(read(tmp_path / "v.parquet")) == ["a", "c", "caf\\xe9"]

    def test_whole_number_ids_are_read_as_text(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"id": list(range(6)), "embedding": VECTORS.tolist()}), tmp_path / "v.parquet")
        assert list(read(tmp_path / "v.parquet")) == list("012345")

    def test_an_empty_id_is_reported_and_the_rest_is_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "v.parquet", ["a", None, " ", "d", "e", "f"], VECTORS.tolist())
        assert list(read(path)) == ["a", "d", "e", "f"]
        problems = opened(path).listing().problems
        assert problems["path"].to_list() == ["v.parquet, row 1", "v.parquet, row 2"]
        assert problems["reason"].unique().to_list() == ["image_id must not be empty"]


class TestNumbers:
    @pytest.mark.parametrize(
        ("values", "dtype"),
        [
            ([3e25, 4e25], np.float32),
            ([3e300, 4e300], np.float64),
            ([3e-300, 4e-300], np.float64),
            ([3e-40, 4e-40], np.float32),
            ([6e-8, 6e-8], np.float16),
            ([60000, 60000], np.float16),
            ([2**32 - 1, 2**31], np.uint32),
            ([2**63, 2**63], np.uint64),
            ([-128, 127], np.int8),
        ],
    )
    def test_rows_of_any_size_are_unit_rows(self, tmp_path: Path, values: list, dtype: type) -> None:
        row = np.array(values, dtype=dtype)
        found = read(write(tmp_path / "v.parquet", ["a"], pa.array([row])))["a"]
        np.testing.assert_allclose(found, plain_unit(row), rtol=1e-6)

    @settings(max_examples=50, deadline=None)
    @given(
        rows=st.lists(st.one_of(
            st.lists(st.floats(width=32), min_size=3, max_size=3), st.lists(st.floats(width=32), max_size=4), st.none(),
            st.just([0.0, -0.0, 0.0]),
        ), min_size=1, max_size=12)
    )  # fmt: skip
    def test_every_row_is_a_unit_row_or_has_a_reason(self, rows: list) -> None:
        with tempfile.TemporaryDirectory() as folder:
            good = [[1.0, 2.0, 2.0]] * (len(rows) + 1)
            ids = [f"{number:02d}" for number in range(len(rows) + len(good))]
            path = write(Path(folder) / "v.parquet", ids, pa.array(rows + good, pa.list_(pa.float32())))
            for row, value in zip(rows + good, read(path).values(), strict=True):
                if row is None:
                    assert value == "the vector is null"
                elif len(row) != 3:
                    assert value == f"the vector must have 3 numbers, as most; it has {len(row)}"
                elif not np.isfinite(row).all():
                    assert value == "the vector must be finite; it holds NaN or infinity"
                elif not np.any(row):
                    assert value == "the vector must not be zero: it has no direction"
                else:
                    np.testing.assert_allclose(value, plain_unit(np.float32(row)), rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize("item", [pa.float32(), pa.int32()])
    def test_a_null_inside_a_vector_is_its_rows_own(self, tmp_path: Path, item: pa.DataType) -> None:
        path = write(tmp_path / "v.parquet", ["a", "b"], pa.array([[3, 4], [None, 4]], pa.list_(item)))
        found = read(path)
        np.testing.assert_allclose(found["a"], [0.6, 0.8], rtol=1e-6)
        assert found["b"] == "the vector must be finite; it holds NaN or infinity"

    def test_a_vector_that_was_put_right_has_another_version(self, tmp_path: Path) -> None:
        before = opened(write(tmp_path / "v.parquet", ["a", "b"], [[1.0, 0.0], [float("nan"), 0.0]])).list_images()
        after = opened(write(tmp_path / "v.parquet", ["a", "b"], [[1.0, 0.0], [2.0, 0.0]])).list_images()
        assert (before["version"] == after["version"]).to_list() == [True, False]

    @pytest.mark.parametrize("batch", [1, 2, 5])
    def test_the_size_of_batches_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
    ) -> None:
        rows = [*VECTORS.tolist()[:4], None, [1.0]]
        path = write(tmp_path / "v.parquet", IDS, rows)
        whole, listed = read(path), opened(path).list_images()
        monkeypatch.setattr("tac_pipeline.sources.tables.vectors.VECTOR_BATCH_ROWS", batch)
        assert opened(path).list_images().equals(listed)
        for image_id, value in read(path).items():
            np.testing.assert_array_equal(value, whole[image_id])


class TestRefused:
    @pytest.mark.parametrize(
        ("embedding", "message"),
        [
            ([[1.0, 0.0], [1.0]], "must have one width; of 2 vectors 1 have 1 numbers, 1 have 2 numbers"),
            ([[1.0, 0.0], [1.0], [1.0] * 3], "must have one width; of 3 vectors 1 have 1 numbers, 1 have 2"),
            ([None, []], "no row has a vector"),
            (["x", "y"], "must hold lists of numbers; got string"),
            ([["x"], ["y"]], "must hold lists of numbers; got list<"),
        ],
    )
    def test_a_table_without_one_width_is_refused(self, tmp_path: Path, embedding: list, message: str) -> None:
        ids = [f"{number}" for number in range(len(embedding))]
        if embedding == [None, []]:
            embedding = pa.array(embedding, pa.list_(pa.float32()))
        source = opened(write(tmp_path / "v.parquet", ids, embedding))
        with pytest.raises(SourceError, match=message):
            source.listing()
        with pytest.raises(SourceError, match=message):
            list(source.vectors())

    def test_missing_columns_are_named(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"embedding": [[1.0]], "x": [1]}), tmp_path / "v.parquet")
        with pytest.raises(SourceError, match=r"missing \['image_id'\], it has \['embedding', 'x'\]"):
            opened(tmp_path / "v.parquet").list_images()
        path = write_vectors(tmp_path / "w.parquet", IDS, VECTORS)
        with pytest.raises(SourceError, match="needs a column label"):
            opened(path).labels(IDS, "column")
        with pytest.raises(SourceError, match="needs image files"):
            opened(path).labels(IDS, "folder")

    def test_repeated_ids_are_named_with_their_files(self, tmp_path: Path) -> None:
        write(tmp_path / "one/a.parquet", ["a", "a", *IDS[2:]], VECTORS.tolist())
        with pytest.raises(SourceError, match=r"1 ids repeat: 'a' \(a\.parquet, row 0; a\.parquet, row 1\)"):
            opened(tmp_path / "one/a.parquet").list_images()
        write(tmp_path / "two/p0.parquet", IDS, VECTORS.tolist())
        write(tmp_path / "two/p1.parquet", ["x", *IDS[1:3]], VECTORS[:3].tolist())
        with pytest.raises(SourceError, match=r"2 ids repeat: 'i1' \(p0\.parquet, row 1; p1\.parquet, row 1\), 'i2'"):
            opened(tmp_path / "two").list_images()


class TestSeveralFiles:
    def parts(self, folder: Path) -> Path:
        write(folder / "part-0.parquet", IDS[:3], VECTORS[:3].tolist(), label=list("abc"))
        write(folder / "part-1.parquet", IDS[3:], pa.array(list(VECTORS[3:].astype(np.float16))), label=list("def"))
        return folder

    def test_a_folder_or_a_pattern_is_one_table(self, tmp_path: Path) -> None:
        folder = self.parts(tmp_path / "v")
        (folder / "_SUCCESS").write_bytes(b"")
        (folder / ".part-0.parquet.crc").write_bytes(b"")
        (folder / "README.md").write_text("vectors")
        for location in (folder, folder / "*.parquet", folder / "part-?.parquet"):
            assert list(read(location)) == IDS
            assert opened(location).labels(IDS, "column")["label"].to_list() == list("abcdef")
        assert list(read(folder / "*-1.parquet")) == IDS[3:]

    def test_a_folder_with_images_or_folders_is_a_folder(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "a.heic", "shard.tar", "cats/a.jpg"):
            folder = self.parts(tmp_path / name.replace("/", "-"))
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"")
            assert isinstance(open_source(str(folder)), FolderSource)
        (tmp_path / "plain").mkdir()
        pl.DataFrame({"uri": ["a"]}).write_parquet(tmp_path / "plain/m.parquet")
        assert isinstance(open_source(str(tmp_path / "plain")), FolderSource)

    def test_a_pipe_among_the_files_is_not_waited_for(self, tmp_path: Path) -> None:
        folder = self.parts(tmp_path / "v")
        os.mkfifo(folder / "pipe")
        assert isinstance(open_source(str(folder)), FolderSource)

    def test_a_pattern_that_matches_nothing_is_absent(self, tmp_path: Path) -> None:
        for pattern in ("*.parquet", "**x", "[", "?"):
            with pytest.raises(SourceError, match="nothing is at"):
                open_source(str(tmp_path / pattern))

    def test_a_damaged_file_is_reported_and_the_others_are_read(self, tmp_path: Path) -> None:
        folder = self.parts(tmp_path / "v")
        whole = (folder / "part-1.parquet").read_bytes()
        (folder / "part-2.parquet").write_bytes(whole[: len(whole) // 2])
        pl.DataFrame({"image_id": ["x"]}).write_parquet(folder / "part-3.parquet")
        assert list(read(folder)) == IDS
        problems = opened(folder).listing().problems
        assert problems["path"].to_list() == ["part-2.parquet", "part-3.parquet"]
        assert "must have a column embedding (or embeddings" in problems["reason"][1]

    def test_damage_inside_a_file_is_reported_too(self, tmp_path: Path) -> None:
        folder = self.parts(tmp_path / "v")
        data = bytearray((folder / "part-1.parquet").read_bytes())
        data[4:60] = bytes(56)
        (folder / "part-1.parquet").write_bytes(data)
        assert list(read(folder)) == IDS[:3]
        assert opened(folder).listing().problems["path"].to_list() == ["part-1.parquet"]

    def test_when_no_file_can_be_read_it_is_refused(self, tmp_path: Path) -> None:
        folder = self.parts(tmp_path / "v")
        source = opened(folder)
        for path in folder.iterdir():
            path.write_bytes(b"PAR1")
        with pytest.raises(SourceError):
            source.listing()

    def test_two_encoders_are_refused(self, tmp_path: Path) -> None:
        for number, name in enumerate(["one", "one", "two"]):
            table = pa.table({"image_id": [str(number)], "embedding": [[1.0]]})
            pq.write_table(table.replace_schema_metadata({"tac.encoder": name}), tmp_path / f"{number}.parquet")
        assert opened(tmp_path / "[01].parquet").encoder == "one"
        with pytest.raises(SourceError, match=r"one encoder; they come from one \(0\.parquet\) and two \(2\.parquet\)"):
            _ = opened(tmp_path).encoder

    def test_widths_are_compared_across_files(self, tmp_path: Path) -> None:
        write(tmp_path / "a.parquet", IDS[:4], [[1.0, 2.0]] * 4)
        write(tmp_path / "b.parquet", IDS[4:], [[1.0]] * 2)
        assert [isinstance(value, str) for value in read(tmp_path).values()] == [False] * 4 + [True] * 2


class TestMatrices:
    @pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "int16"])
    @pytest.mark.parametrize("table", ["v.parquet", "v.csv", "v.jsonl"])
    def test_a_matrix_is_named_by_the_table_beside_it(self, tmp_path: Path, dtype: str, table: str) -> None:
        rows = (VECTORS * 100).astype(dtype)
        np.save(tmp_path / "v.npy", rows)
        ids = pl.DataFrame({"image_path": [f"{i}.jpg" for i in IDS], "id": IDS, "label": list("abcdef")})
        {"v.parquet": ids.write_parquet, "v.csv": ids.write_csv, "v.jsonl": ids.write_ndjson}[table](tmp_path / table)
        found = read(tmp_path / "v.npy")
        for image_id, row in zip(IDS, rows, strict=True):
            np.testing.assert_allclose(found[image_id], plain_unit(row.astype(np.float64)), rtol=1e-6)
        source = opened(tmp_path / "v.npy")
        assert source.list_images()["uri"].to_list() == [f"{i}.jpg" for i in IDS]
        assert source.labels(IDS, "column")["label"].to_list() == list("abcdef")
        assert f"the rows of v.npy are named by {table}" in list(source.listing().notes)
        assert list(read(tmp_path)) == IDS

    def test_the_layout_of_clip_retrieval_is_read(self, tmp_path: Path) -> None:
        for number, rows in enumerate((slice(0, 4), slice(4, 6))):
            (tmp_path / "img_emb").mkdir(exist_ok=True)
            (tmp_path / "metadata").mkdir(exist_ok=True)
            np.save(tmp_path / f"img_emb/img_emb_{number}.npy", VECTORS[rows].astype(np.float16))
            pl.DataFrame({"image_path": [f"/p/{i}.jpg" for i in IDS[rows]]}).write_parquet(
                tmp_path / f"metadata/metadata_{number}.parquet"
            )
        wanted = [f"/p/{i}.jpg" for i in IDS]
        for location in (tmp_path, tmp_path / "img_emb", tmp_path / "img_emb/*.npy"):
            assert list(read(location)) == wanted
        assert list(read(tmp_path / "img_emb/img_emb_1.npy")) == wanted[4:]

    def test_bad_rows_are_rows_with_a_reason(self, tmp_path: Path) -> None:
        rows = VECTORS.copy()
        rows[1], rows[2] = np.nan, 0
        np.save(tmp_path / "v.npy", np.asfortranarray(rows))
        pl.DataFrame({"image_id": IDS}).write_csv(tmp_path / "v.csv")
        assert [isinstance(value, str) for value in read(tmp_path / "v.npy").values()] == [False, True, True] + [
            False
        ] * 3

    @pytest.mark.parametrize(
        ("array", "ids", "message"),
        [
            (np.zeros((5, 2), np.float32), IDS, "must have as many rows as v.npy; they have 6 and 5"),
            (np.zeros(6, np.float32), IDS, r"must be a matrix of numbers \(rows, width\); got float32 \(6,\)"),
            (np.zeros((6, 0), np.float32), IDS, "must be a matrix of numbers"),
            (np.array([["x"]] * 6), IDS, "must be a matrix of numbers"),
            (np.array([[{}]] * 6, dtype=object), IDS, "must be a whole matrix of numbers: .*Python objects"),
            (b"\x93NUMPY nonsense", IDS, "must be a whole matrix of numbers"),
            (np.ones((6, 2), np.float32), None, r"must have a table beside it that names its rows, such as v\.parquet"),
            (np.ones((6, 2), np.float32), ["1", "2,3", "", "", "5", "6"], "must name every row of v.npy; v.csv"),
        ],
    )  # fmt: skip
    def test_what_is_no_matrix_with_a_table_is_refused(
        self, tmp_path: Path, array: object, ids: list[str] | None, message: str
    ) -> None:
        if isinstance(array, bytes):
            (tmp_path / "v.npy").write_bytes(array)
        else:
            np.save(tmp_path / "v.npy", array, allow_pickle=True)
        if ids is not None:
            (tmp_path / "v.csv").write_text("\n".join(["image_id", *ids]))
        with pytest.raises(SourceError, match=message):
            opened(tmp_path / "v.npy").listing()

    @settings(max_examples=100, deadline=None)
    @given(place=st.integers(0, 127), junk=st.binary(min_size=1, max_size=4))
    def test_a_damaged_header_is_read_or_refused(self, place: int, junk: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "v.npy"
            np.save(path, VECTORS)
            pl.DataFrame({"image_id": IDS}).write_csv(Path(folder) / "v.csv")
            data = bytearray(path.read_bytes())
            data[place : place + len(junk)] = junk
            path.write_bytes(data)
            try:
                read(path)
            except SourceError as error:
                assert "v.npy" in str(error)

    def test_a_matrix_that_is_cut_is_refused(self, tmp_path: Path) -> None:
        np.save(tmp_path / "v.npy", VECTORS)
        pl.DataFrame({"image_id": IDS}).write_csv(tmp_path / "v.csv")
        data = (tmp_path / "v.npy").read_bytes()
        (tmp_path / "v.npy").write_bytes(data[:-20])
        with pytest.raises(SourceError, match=r"v\.npy must be a whole matrix of numbers"):
            opened(tmp_path / "v.npy").listing()


class TestSomeImages:
    @pytest.mark.parametrize("among", [IDS[:1], IDS[2:5], IDS, ["in no file"], []])
    def test_the_vectors_of_some_images_are_those_of_all(self, tmp_path: Path, among: list[str]) -> None:
        write_vectors(tmp_path / "a.parquet", IDS[:3], VECTORS[:3])
        write_vectors(tmp_path / "b.parquet", IDS[3:], VECTORS[3:])
        source = opened(tmp_path)

        def found(batches: Iterable[VectorBatch]) -> dict[str, tuple[str, list[float]]]:
            rows = [zip(b.image_ids, b.digests, b.vectors.tolist(), strict=True) for b in batches]
            return {image_id: (digest, vector) for image_id, digest, vector in chain.from_iterable(rows)}

        every = found(source.vectors())
        assert found(source.vectors(set(among))) == {
            image_id: every[image_id] for image_id in among if image_id in every
        }

    def test_of_a_file_without_them_no_vector_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_vectors(tmp_path / "a.parquet", IDS[:3], VECTORS[:3])
        write_vectors(tmp_path / "b.parquet", IDS[3:], VECTORS[3:])
        read, batch_of = [], vector_tables._batch

        def noted(*told: Any) -> Any:
            read.append(told)
            return batch_of(*told)

        monkeypatch.setattr(vector_tables, "_batch", noted)
        (batch,) = opened(tmp_path).vectors({IDS[4]})
        assert batch.image_ids == [IDS[4]]
        assert len(read) == 1

    def test_a_folder_of_pictures_that_is_not_there_is_looked_for_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked, status = [], manifests._status

        def noted(path: str) -> os.stat_result | None:
            looked.append(path)
            return status(path)

        monkeypatch.setattr(manifests, "_status", noted)
        ids = [f"photographs/{number}.jpg" for number in range(6)]
        source = opened(write_vectors(tmp_path / "v.parquet", ids, VECTORS))
        assert source.list_images()["uri"].to_list() == ids
        assert looked == [str(tmp_path / "photographs")]
        (tmp_path / "photographs").mkdir()
        (tmp_path / "photographs" / "3.jpg").touch()
        assert source.list_images()["uri"].to_list() == [
            str(tmp_path / image_id) if image_id.endswith("3.jpg") else image_id for image_id in ids
        ]

    def test_a_listing_is_the_same_in_however_many_parts_it_is_collected(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = opened(write_vectors(tmp_path / "v.parquet", IDS[::-1], VECTORS))
        whole = source.list_images()
        for rows in (1, 2, 4, 6):
            monkeypatch.setattr(listings, "_OPEN_ROWS", rows)
            assert source.list_images().equals(whole)
        write_vectors(tmp_path / "v.parquet", [*IDS[:5], IDS[0]], VECTORS)
        with pytest.raises(SourceError, match=r"'i0' \(v.parquet, row 0; v.parquet, row 5\)"):
            source.list_images()


def test_only_files_that_changed_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, folder = KeptListings(tmp_path / "kept"), tmp_path / "vectors"
    folder.mkdir()
    vectors, _ = grouped_vectors()
    for number in range(3):
        write_vectors(folder / f"{number}.parquet", [f"{number}-{row}" for row in range(4)], vectors[:4])
    before = VectorSource(folder, kept).listing().images
    assert before.equals(VectorSource(folder).listing().images)
    write_vectors(folder / "1.parquet", [f"1-{row}" for row in range(5)], vectors[:5])
    read, plain = [], vector_tables._ParquetPart.batches

    def batches(part: Any) -> Any:
        read.append(part.path.name)
        return plain(part)

    monkeypatch.setattr(vector_tables._ParquetPart, "batches", batches)
    source = VectorSource(folder, kept)
    after = source.listing().images
    assert read == ["1.parquet"]
    assert after["image_id"].to_list() == sorted([*before["image_id"], "1-4"])
    assert len(list((tmp_path / "kept/tables").iterdir())) == 4
    source.forget_other_parts()
    assert len(list((tmp_path / "kept/tables").iterdir())) == 3


def test_a_damaged_file_is_not_kept(tmp_path: Path) -> None:
    kept, folder = KeptListings(tmp_path / "kept"), tmp_path / "vectors"
    folder.mkdir()
    for name in ("cut", "whole"):
        write_vectors(folder / f"{name}.parquet", [f"{name}-{row}" for row in range(4)], grouped_vectors()[0][:4])
    data = bytearray((folder / "cut.parquet").read_bytes())
    data[4:200] = bytes(196)
    (folder / "cut.parquet").write_bytes(data)
    for _ in range(2):
        listing = VectorSource(folder, kept).listing()
        assert listing.problems["path"].to_list() == ["cut.parquet"]
    assert len(list((tmp_path / "kept/tables").iterdir())) == 1


def test_pictures_that_appear_beside_a_kept_table_are_found(tmp_path: Path) -> None:
    kept, path = KeptListings(tmp_path / "kept"), tmp_path / "vectors.parquet"
    write_vectors(path, ["photos/a.jpg", "photos/b.jpg"], grouped_vectors()[0][:2])
    assert VectorSource(path, kept).listing().images["uri"].to_list() == ["photos/a.jpg", "photos/b.jpg"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/b.jpg").touch()
    uris = VectorSource(path, kept).listing().images["uri"].to_list()
    assert uris == ["photos/a.jpg", str(tmp_path / "photos/b.jpg")]
