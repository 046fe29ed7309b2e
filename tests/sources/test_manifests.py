"""Manifests: which forms are read, what each row names, and that no row stops or moves another."""

import csv
import gzip
import io
import json
import random
import tempfile
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import ManifestSource, open_source
from tac_pipeline.sources.listing import Listing
from tac_pipeline.sources.tables.images import TableImages

NAMES = ["cats/a.jpg", "cats/b c.jpg", "dogs/ü,1.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def listed(path: Path) -> Listing:
    """The listing of a manifest."""
    source = open_source(str(path))
    assert isinstance(source, ManifestSource)
    return source.listing()


def contents(path: Path) -> dict[str, bytes | None]:
    """Of each image its bytes; None where it cannot be read."""
    source = open_source(str(path))
    assert isinstance(source, ManifestSource)
    found: dict[str, bytes | None] = {}
    for image_id, uri in source.list_images().select("image_id", "uri").iter_rows():
        try:
            found[image_id] = source.read(uri)
        except (OSError, ValueError):
            found[image_id] = None
    return found


def notes(path: Path) -> list[str]:
    """What a manifest has to say after it was listed."""
    source = open_source(str(path))
    assert isinstance(source, ManifestSource)
    return list(source.listing().notes)


def separated(rows: list[list[str]], separator: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


class TestForms:
    wanted = {name: name.encode() for name in NAMES}  # noqa: RUF012

    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
    @pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.csv.gz", "M.CSV"])
    def test_separated_text_of_any_usual_kind_is_read(
        self, photos: Path, name: str, encoding: str, separator: str
    ) -> None:
        data = separated([["caption", "uri"], *(["x", name] for name in NAMES)], separator).encode(encoding)
        (photos / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        assert contents(photos / name) == self.wanted
        assert any("Latin-1" in note for note in notes(photos / name)) == (encoding == "cp1252")

    @pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson", "m.jsonl.gz"])
    def test_json_lines_are_read(self, photos: Path, name: str) -> None:
        rows = [{"image": NAMES[0], "box": [1, {"x": 2}]}, {"other": 1, "image": NAMES[1]}, {"image": NAMES[2]}]
        data = "\n".join(json.dumps(row) for row in rows).encode()
        (photos / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        assert contents(photos / name) == self.wanted
        assert notes(photos / name) == ["uri: the column image"]

    def test_a_list_of_paths_is_read_as_it_is_written(self, photos: Path) -> None:
        (photos / "# no comment.jpg").write_bytes(b"#")
        (photos / "m.txt").write_text("\n".join([*NAMES, "# no comment.jpg", "", ""]))
        assert contents(photos / "m.txt") == {**self.wanted, "# no comment.jpg": b"#"}
        assert listed(photos / "m.txt").problems.is_empty()

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_lines_end_in_every_way(self, photos: Path, end: str) -> None:
        (photos / "m.csv").write_bytes(end.join(["uri", *(f'"{name}"' for name in NAMES)]).encode())
        assert contents(photos / "m.csv") == self.wanted

    @pytest.mark.parametrize(
        "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
    )
    def test_parquet_text_of_any_kind_is_read(self, photos: Path, kind: pa.DataType) -> None:
        column = pa.array(NAMES)
        column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
        pq.write_table(pa.table({"uri": column, "box": [[1.0], None, []]}), photos / "m.parquet")
        assert contents(photos / "m.parquet") == self.wanted

    def test_a_packed_file_is_told_by_its_content(self, photos: Path) -> None:
        (photos / "m.csv").write_bytes(gzip.compress(b"uri\ncats/a.jpg\n"))
        (photos / "n.csv.gz").write_bytes(b"uri\ncats/a.jpg\n")
        assert contents(photos / "m.csv") == contents(photos / "n.csv.gz") == {"cats/a.jpg": b"cats/a.jpg"}

    def test_letters_of_no_encoding_are_read_and_move_nothing(self, photos: Path) -> None:
        (photos / "m.csv").write_bytes(b"uri,text\ncats/a.jpg,\x81\xe9\ndogs/\xc3\xbc,\xfc\n")
        assert list(contents(photos / "m.csv")) == ["cats/a.jpg", "dogs/ü"]
        assert notes(photos / "m.csv") == ["2 lines are not UTF-8; they were read as Windows-1252 (Latin-1)"]

    def test_excels_first_line_names_the_separator(self, photos: Path) -> None:
        (photos / "m.csv").write_text("sep=;\nuri;label\ncats/a.jpg;x\n")
        assert list(contents(photos / "m.csv")) == ["cats/a.jpg"]

    def test_a_manifest_in_a_folder_of_images_is_not_used_by_itself(self, photos: Path) -> None:
        (photos / "metadata.csv").write_text("file_name\ncats/a.jpg\n")
        (photos / "metadata.jsonl").write_text('{"file_name": "cats/a.jpg"}\n')
        assert sorted(open_source(str(photos)).list_images()["image_id"]) == NAMES


class TestColumns:
    def test_csv_and_parquet_are_read_alike(self, photos: Path) -> None:
        table = pl.DataFrame({"uri": [NAMES[1], str(photos / NAMES[0])], "image_id": ["1", "2"], "label": [5, 6]})
        table.write_csv(photos / "m.csv")
        table.write_parquet(photos / "m.parquet")
        for name in ("m.csv", "m.parquet"):
            source = open_source(str(photos / name))
            listing = source.list_images()
            assert listing.select("image_id", "uri", "size").rows() == [
                ("1", str(photos / NAMES[1]), 12),
                ("2", str(photos / NAMES[0]), 10),
            ]
            assert source.labels(["1", "2"], "column").rows() == [("1", "5"), ("2", "6")]
            status = (photos / NAMES[1]).stat()
            assert listing["version"][0] == f"{status.st_mtime_ns}-12"

    @pytest.mark.parametrize(
        "name",
        ["uri", "URI", "Url", "path", "file_name", "File Name", "filename", "filepath", "file path", "FILE", "image",
         "image_path", "Image Path", " uri "],
    )  # fmt: skip
    def test_the_usual_names_are_told(self, photos: Path, name: str) -> None:
        (photos / "m.csv").write_text(f"size,{name},ID,Class\n7,cats/a.jpg,x,cat\n")
        source = open_source(str(photos / "m.csv"))
        assert isinstance(source, ManifestSource)
        assert source.list_images().select("image_id", "uri").rows() == [("x", str(photos / NAMES[0]))]
        assert source.labels(["x"], "column").rows() == [("x", "cat")]
        told = {note.partition(":")[0]: note for note in list(source.listing().notes)}
        assert set(told) == {"image_id", "label"} | ({"uri"} if name != "uri" else set())
        assert told["image_id"] == "image_id: the column ID"

    def test_the_first_of_several_names_counts_and_the_others_are_named(self, photos: Path) -> None:
        (photos / "m.csv").write_text("image,path,url,uri\nno,no,no,cats/a.jpg\n")
        assert listed(photos / "m.csv").images["uri"].to_list() == [str(photos / NAMES[0])]
        (photos / "m.csv").write_text("image,file,path\nno,no,cats/a.jpg\n")
        assert listed(photos / "m.csv").images["uri"].to_list() == [str(photos / NAMES[0])]
        assert notes(photos / "m.csv") == ["uri: the column path, not file, image"]

    def test_two_columns_that_could_be_one_of_ours_are_refused(self, photos: Path) -> None:
        (photos / "m.csv").write_text("Uri,URI\na.jpg,b.jpg\n")
        with pytest.raises(SourceError, match=r"m\.csv: one column must be the uri; 'Uri' and 'URI' could be"):
            listed(photos / "m.csv")
        (photos / "m.csv").write_text("uri,URI,Label,LABEL\ncats/a.jpg,b.jpg,1,2\n")
        assert listed(photos / "m.csv").images["image_id"].to_list() == ["cats/a.jpg"]
        with pytest.raises(SourceError, match="needs a column label"):
            open_source(str(photos / "m.csv")).labels(["cats/a.jpg"], "column")

    @pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
    def test_columns_that_cannot_be_told_are_named_with_those_looked_for(self, photos: Path, name: str) -> None:
        table = pl.DataFrame({"photo": ["a.jpg"], "kind": ["cat"]})
        {"m.csv": table.write_csv, "m.jsonl": table.write_ndjson, "m.parquet": table.write_parquet}[name](photos / name)
        message = r"must have a column uri \(or url, path, file_name.*\); it has \['photo', 'kind'\]"
        with pytest.raises(SourceError, match=message):
            listed(photos / name)

    def test_a_list_without_a_header_says_so(self, photos: Path) -> None:
        (photos / "m.csv").write_text("cats/a.jpg\ncats/b c.jpg\n")
        with pytest.raises(SourceError, match=r"without a header may be a \.txt"):
            listed(photos / "m.csv")

    def test_a_column_that_is_not_ours_refuses_nothing(self, photos: Path) -> None:
        numbers = "".join(f"x{n}.jpg,{n},\n" for n in range(3000))
        (photos / "m.csv").write_text(f"uri,score,note\n{numbers}cats/a.jpg,n/a,{'x' * 200_000}\n")
        found = listed(photos / "m.csv")
        assert len(found.images) == 3001
        assert found.problems.is_empty()

    def test_labels_that_are_blank_are_none(self, photos: Path) -> None:
        (photos / "m.csv").write_text("uri,label\ncats/a.jpg,x\ncats/b c.jpg, \n")
        assert open_source(str(photos / "m.csv")).labels(NAMES, "column").rows() == [("cats/a.jpg", "x")]


class TestPlaces:
    def one(self, folder: Path, written: str) -> tuple[str, list[str]]:
        """The uri of a manifest's row, and the reasons of its problems; "" for a row that is no image."""
        (folder / "m.jsonl").write_text(json.dumps({"uri": written}) + "\n" + json.dumps({"uri": "other.jpg"}))
        found = listed(folder / "m.jsonl")
        uris = dict(found.images.select("image_id", "uri").iter_rows())
        return uris.get(written, ""), found.problems["reason"].to_list()

    def test_a_file_url_is_decoded(self, photos: Path) -> None:
        uri = (photos / NAMES[1]).as_uri()
        assert "%20" in uri
        for written in (uri, uri.replace("file://", "file:"), uri.replace("file://", "file://localhost")):
            assert self.one(photos, written) == (str(photos / NAMES[1]), [])
        # Some programs do not encode it.
        assert self.one(photos, f"file://{photos}/cats/b c.jpg") == (str(photos / NAMES[1]), [])

    @pytest.mark.parametrize("written", ["file://cats/a.jpg", "file:cats/a.jpg", "file://"])
    def test_a_file_url_that_is_none_is_a_problem(self, photos: Path, written: str) -> None:
        uri, reasons = self.one(photos, written)
        assert uri == ""
        assert "must have the form file:///" in reasons[0]

    def test_a_path_is_taken_as_written_and_the_decoded_one_is_named(self, photos: Path) -> None:
        uri, reasons = self.one(photos, "cats/b%20c.jpg")
        assert uri == str(photos / "cats/b%20c.jpg")
        assert str(photos / NAMES[1]) in reasons[0]
        (photos / "cats/b%20c.jpg").write_bytes(b"")
        assert self.one(photos, "cats/b%20c.jpg") == (str(photos / "cats/b%20c.jpg"), [])
        assert self.one(photos, "cats/none%20c.jpg") == (str(photos / "cats/none%20c.jpg"), [])

    def test_the_home_folder_is_meant_by_its_sign(self, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        assert self.one(photos, "~/x.jpg") == ("/home/someone/x.jpg", [])
        assert self.one(photos, "~draft.jpg") == (str(photos / "~draft.jpg"), [])

    def test_windows_paths_are_found_with_a_note(self, photos: Path) -> None:
        assert self.one(photos, "cats\\a.jpg") == (str(photos / NAMES[0]), [])
        assert notes(photos / "m.jsonl") == ["1 paths are written with \\ and were found with /: cats\\a.jpg"]
        assert self.one(photos, "cats\\none.jpg") == (str(photos / "cats\\none.jpg"), [])
        assert self.one(photos, "..\\photos\\..\\..\\x.jpg")[1] == []
        (photos / "cats\\a.jpg").write_bytes(b"its own")
        assert self.one(photos, "cats\\a.jpg") == (str(photos / "cats\\a.jpg"), [])

    @pytest.mark.parametrize("written", ["../x.jpg", "../../etc/passwd", "cats/../../x.jpg", "../photos2/x.jpg"])
    def test_a_path_that_leads_out_is_a_problem(self, photos: Path, written: str) -> None:
        uri, reasons = self.one(photos, written)
        assert uri == ""
        assert f"must stay below the manifest's folder; got {written!r}" in reasons[0]

    def test_what_is_no_file_is_a_problem(self, photos: Path) -> None:
        assert "'cats' is a folder" in self.one(photos, "cats")[1][0]
        assert "'/dev/zero' is a named pipe, a socket or a device" in self.one(photos, "/dev/zero")[1][0]

    @pytest.mark.parametrize(
        "written", ["none.jpg", "a\0b.jpg", "x" * 5000, "\ud800.jpg", "https://example.org/a.jpg", "s3://b/k.png"]
    )
    def test_what_is_not_there_stays_a_row(self, photos: Path, written: str) -> None:
        (photos / "m.jsonl").write_text(json.dumps({"uri": written}))
        found = listed(photos / "m.jsonl")
        assert found.images["version"].to_list() == ["unknown"]
        assert found.problems.is_empty()

    @settings(max_examples=60, deadline=None)
    @given(written=st.text(min_size=1), form=st.sampled_from(["m.jsonl", "m.csv"]))
    @example(written="~root/../x", form="m.csv")
    @example(written="file://%00", form="m.csv")
    def test_no_text_stops_the_row_beside_it(self, written: str, form: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / form
            (Path(folder) / "there.jpg").write_bytes(b"")
            rows = [{"uri": written, "image_id": "1"}, {"uri": "there.jpg", "image_id": "2"}]
            if form == "m.csv":
                text = separated([["uri", "image_id"], *(list(row.values()) for row in rows)], ",")
            else:
                text = "\n".join(json.dumps(row) for row in rows)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            found = listed(path)
            assert "2" in found.images["image_id"]
            assert len(found.images) + len(found.problems) >= 2


class TestRows:
    def test_blank_rows_are_reported_with_their_line(self, photos: Path) -> None:
        (photos / "m.csv").write_text("uri,label\ncats/a.jpg,x\n,y\n\n,\ndogs/none.jpg,z\n\n")
        found = listed(photos / "m.csv")
        assert found.images["image_id"].to_list() == ["cats/a.jpg", "dogs/none.jpg"]
        assert found.problems.rows() == [
            ("m.csv, line 3", "uri must not be empty"),
            ("m.csv, line 4", "is empty"),
            ("m.csv, line 5", "is empty"),
        ]

    def test_null_uris_and_ids_are_reported_with_their_row(self, photos: Path) -> None:
        table = pl.DataFrame({"uri": [NAMES[0], None, NAMES[1]], "image_id": ["a", "b", None]})
        table.write_parquet(photos / "m.parquet")
        found = listed(photos / "m.parquet")
        assert found.images["image_id"].to_list() == ["a"]
        assert found.problems.rows() == [
            ("m.parquet, row 1", "uri must not be empty"),
            ("m.parquet, row 2", "image_id must not be empty"),
        ]

    def test_a_ragged_row_is_reported_and_moves_nothing(self, photos: Path) -> None:
        (photos / "m.csv").write_text("id,uri,label\n1,cats/a.jpg,x\n2,dogs/ü,1.png,y\n3,cats/x.jpg\n4,cats/y.jpg,z,\n")
        found = listed(photos / "m.csv")
        assert found.images["image_id"].to_list() == ["1", "4"]
        assert found.problems.rows() == [
            ("m.csv, line 3", "must have 3 values, as the header has; it has 4"),
            ("m.csv, line 4", "must have 3 values, as the header has; it has 2"),
        ]
        assert open_source(str(photos / "m.csv")).labels(["1", "4"], "column").rows() == [("1", "x"), ("4", "z")]

    def test_quoted_newlines_are_part_of_a_value_and_lines_are_counted(self, photos: Path) -> None:
        (photos / "m.csv").write_text('uri,text\ncats/a.jpg,"one\n""two""\nthree"\ndogs/x.jpg\n"cats/b c.jpg",ok\n')
        found = listed(photos / "m.csv")
        assert found.images["image_id"].to_list() == ["cats/a.jpg", "cats/b c.jpg"]
        assert found.problems["path"].to_list() == ["m.csv, line 5"]

    def test_a_quote_that_is_never_closed_takes_only_its_own_line(self, photos: Path) -> None:
        rows = "".join(f"x{n}.jpg,t\n" for n in range(50))
        (photos / "m.csv").write_text(f'uri,text\ncats/a.jpg,"open\n{rows}')
        found = listed(photos / "m.csv")
        assert len(found.images) == 50
        assert found.problems.rows() == [("m.csv, line 2", 'opens a quote (") that is never closed')]

    def test_bad_json_lines_are_reported_and_the_rest_is_read(self, photos: Path) -> None:
        lines = [
            '{"uri": "cats/a.jpg"}',
            "",
            '{"uri": "cut',
            "[1, 2]",
            "[" * 100_000,
            '{"label": "no uri"}',
            '{"uri": 7}',
        ]
        (photos / "m.jsonl").write_text("\n".join(lines))
        found = listed(photos / "m.jsonl")
        assert found.images["image_id"].to_list() == ["7", "cats/a.jpg"]
        assert found.problems["path"].to_list() == [f"m.jsonl, line {n}" for n in (3, 4, 5, 6)]

    @pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
    def test_ids_that_repeat_are_refused_with_their_places(self, photos: Path, name: str) -> None:
        table = pl.DataFrame({"uri": [None, "a.jpg", "b.jpg", "c.jpg"], "image_id": ["0", "1", "2", "1"]})
        {"m.csv": table.write_csv, "m.jsonl": table.write_ndjson, "m.parquet": table.write_parquet}[name](photos / name)
        places = {
            "m.csv": "line 3; m.csv, line 5",
            "m.jsonl": "line 2; m.jsonl, line 4",
            "m.parquet": "row 1; m.parquet, row 3",
        }
        with pytest.raises(SourceError, match=rf"1 ids repeat: '1' \({name}, {places[name]}\). Remove the rows"):
            listed(photos / name)

    def test_many_problems_of_a_kind_are_counted(self, photos: Path) -> None:
        (photos / "m.csv").write_text("uri,label\n" + ",x\n" * 5000 + "../up.jpg,x\ncats/a.jpg,x\n")
        problems = listed(photos / "m.csv").problems
        assert len(problems) == 1002
        assert ("m.csv, line 5001", "and 3,999 rows before it: uri must not be empty") in problems.rows()

    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 10_000))
    def test_every_row_is_an_image_or_a_problem(self, seed: int) -> None:
        """Made-up tables with all kinds of rows, in all forms; the number of each is known."""
        chance = random.Random(seed)
        separator = chance.choice(",;|\t")
        lines, good, bad = [separator.join(["label", "uri", "score"])], 0, 0
        for number in range(chance.randrange(1, 40)):
            kind = chance.choice(["good", "quoted", "empty", "long", "short", "out"])
            good += kind in ("good", "quoted")
            bad += kind not in ("good", "quoted")
            row = {
                "good": ["x", f"{number}.jpg", str(number)],
                "quoted": ['"a\n""b"""', f'"{number}{separator} .jpg"', "n/a"],
                "empty": ["x", "", "1"],
                "long": ["x", f"{number}.jpg", "1", "2"],
                "short": ["x", f"{number}.jpg"],
                "out": ["x", f"../{number}.jpg", "1"],
            }[kind]
            lines.append(separator.join(row))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.csv"
            path.write_bytes("\n".join(lines).encode(chance.choice(["utf-8", "utf-16", "utf-8-sig"])))
            if not good:
                with pytest.raises(SourceError, match="no rows that can be used"):
                    listed(path)
                return
            found = listed(path)
            assert (len(found.images), len(found.problems)) == (good, bad)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("m.csv", b"uri\n", "has no rows"),
            ("m.csv", b"", "has no rows"),
            ("m.jsonl", b"\n", "has no rows"),
            ("m.txt", b"\n\n", "has no rows"),
            ("m.csv", b"PK\x03\x04\0\0\0\0\x08\0", "must be a text; it is a ZIP archive"),
            ("m.csv", b"\xff\xfe\x00\x01,\n\x9f", r"m\.csv"),
            ("m.csv.gz", gzip.compress(random.randbytes(999).hex().encode())[:900], r"cannot read .*m\.csv\.gz"),
            ("m.csv.gz", b"\x1f\x8b\x08nonsense", r"cannot read .*m\.csv\.gz"),
            ("m.parquet", b"PAR1 nonsense", "must be a whole Parquet file"),
            ("m.parquet", b"", "must be a whole Parquet file"),
        ],
    )  # fmt: skip
    def test_a_file_that_is_no_table_is_refused_by_name(
        self, photos: Path, name: str, data: bytes, message: str
    ) -> None:
        (photos / name).write_bytes(data)
        with pytest.raises(SourceError, match=message):
            listed(photos / name)

    @settings(max_examples=100, deadline=None)
    @given(data=st.data(), name=st.sampled_from(["m.csv", "m.csv.gz", "m.tsv", "m.jsonl", "m.txt"]))
    def test_a_damaged_file_is_read_or_refused(self, data: st.DataObject, name: str) -> None:
        text = "".join(json.dumps({"uri": f"{n}.jpg"}) + "\n" for n in range(20)) if "json" in name else (
            "uri,label\n" + "".join(f'"{n}.jpg","a\nb"\n' for n in range(20))
        )  # fmt: skip
        whole = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        start = data.draw(st.integers(0, len(whole)))
        damaged = whole[:start] + data.draw(st.binary(max_size=8)) + whole[data.draw(st.integers(start, len(whole))) :]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(damaged)
            try:
                found = listed(Path(folder) / name)
            except SourceError as error:
                assert name in str(error)
            else:
                assert len(found.images) + len(found.problems) > 0


class TestImagesInATable:
    def write(self, path: Path, count: int, **options: int) -> list[bytes]:
        images = [bytes([number % 256]) * (number * 37 % 400 + 1) for number in range(count)]
        cells = [{"bytes": image, "path": f"{number}.jpg"} for number, image in enumerate(images)]
        pq.write_table(pa.table({"image": cells, "label": list(range(count))}), path, **options)
        return images

    @pytest.mark.parametrize("group", [3, 7, 1000])
    @pytest.mark.parametrize("block", [1, 2, 5, 1000])
    def test_images_are_read_from_their_row(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, block: int
    ) -> None:
        monkeypatch.setattr("tac_pipeline.sources.tables.images.BLOCK_ROWS", block)
        images = self.write(tmp_path / "t.parquet", 40, row_group_size=group)
        source = open_source(str(tmp_path / "t.parquet"))
        assert isinstance(source, ManifestSource)
        listing = source.listing().images
        assert listing["uri"].to_list() == [f"{tmp_path}/t.parquet#row={row}" for row in range(40)]
        assert [source.read(uri) for uri in listing["uri"]] == images
        order = list(range(40))
        random.Random(group).shuffle(order)
        assert [source.read(listing["uri"][row]) for row in order] == [images[row] for row in order]
        assert source.listing().notes[0] == "the images are in the column image of the table itself"

    def test_rows_in_order_are_each_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tac_pipeline.sources.tables.images.BLOCK_ROWS", 4)
        self.write(tmp_path / "t.parquet", 100, row_group_size=50)
        images, begun = TableImages(tmp_path / "t.parquet"), []
        blocks_of = images._blocks_of
        monkeypatch.setattr(images, "_blocks_of", lambda group: begun.append(group) or blocks_of(group))
        for row in range(0, 100, 2):
            images.read(row + 1)
            images.read(row)
        assert begun == [0, 1]
        assert len(images._blocks) <= 4

    def test_a_row_holds_its_image_or_names_its_file(self, photos: Path) -> None:
        kind = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])
        cells = [{"bytes": b"in", "path": None}, {"bytes": None, "path": NAMES[0]}, None, {"bytes": None, "path": None}]
        pq.write_table(pa.table({"photo": pa.array(cells, kind), "id": ["a", "b", "c", "d"]}), photos / "t.parquet")
        assert contents(photos / "t.parquet") == {"a": b"in", "b": NAMES[0].encode()}
        assert listed(photos / "t.parquet").problems["path"].to_list() == ["t.parquet, row 2", "t.parquet, row 3"]

    def test_bytes_under_another_name_are_text(self, photos: Path) -> None:
        names = [*(name.encode() for name in NAMES), b"caf\xe9.jpg"]
        pq.write_table(pa.table({"path": names, "score": names}), photos / "t.parquet")
        assert list(contents(photos / "t.parquet")) == ["caf\\xe9.jpg", *NAMES]
        pq.write_table(pa.table({"path": pa.array(names).view(pa.string())}), photos / "t.parquet")
        assert list(contents(photos / "t.parquet")) == ["caf\\xe9.jpg", *NAMES]

    def test_columns_that_are_not_text_are_named_too(self, photos: Path) -> None:
        pq.write_table(pa.table({"image": [[1, 2]], "x": [1]}), photos / "t.parquet")
        with pytest.raises(SourceError, match=r"it has \['image', 'x'\]"):
            listed(photos / "t.parquet")

    def test_a_column_twice_that_is_not_ours_is_no_matter(self, photos: Path) -> None:
        table = pa.Table.from_arrays([pa.array([1]), pa.array(NAMES[:1]), pa.array([2])], names=["x", "uri", "x"])
        pq.write_table(table, photos / "t.parquet")
        assert list(contents(photos / "t.parquet")) == NAMES[:1]

    def test_ids_of_rows_are_in_the_order_of_rows_and_labels_find_them(self, tmp_path: Path) -> None:
        self.write(tmp_path / "t.parquet", 12)
        source = open_source(str(tmp_path / "t.parquet"))
        ids = source.list_images()["image_id"].to_list()
        assert ids[10] == "t.parquet#row=000000010"
        assert source.labels(ids, "column")["label"].to_list() == [str(number) for number in range(12)]

    def test_plain_bytes_are_images_too(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"image": [b"1", b"2"], "id": ["x", "y"]}), tmp_path / "t.parquet")
        assert contents(tmp_path / "t.parquet") == {"x": b"1", "y": b"2"}

    def test_two_columns_that_could_be_the_images_are_refused(self, tmp_path: Path) -> None:
        cells = [{"bytes": b"1", "path": None}]
        pq.write_table(pa.table({"before": cells, "after": cells}), tmp_path / "t.parquet")
        with pytest.raises(SourceError, match="one column must hold the images; 'before' and 'after' could"):
            listed(tmp_path / "t.parquet")
        pq.write_table(pa.table({"before": cells, "img": cells}), tmp_path / "t.parquet")
        assert notes(tmp_path / "t.parquet") == ["the images are in the column img of the table itself"]

    def test_a_uri_wins_over_images(self, photos: Path) -> None:
        pq.write_table(pa.table({"image": [b"1"], "uri": [NAMES[0]]}), photos / "t.parquet")
        assert contents(photos / "t.parquet") == {NAMES[0]: NAMES[0].encode()}

    def test_a_table_that_changed_gives_an_error_and_not_another_file(self, tmp_path: Path) -> None:
        self.write(tmp_path / "t.parquet", 3)
        source = open_source(str(tmp_path / "t.parquet"))
        assert isinstance(source, ManifestSource)
        uris = source.list_images()["uri"].to_list()
        (tmp_path / "t.parquet").write_bytes(b"PAR1")
        with pytest.raises(OSError, match="Parquet"):
            source.read(uris[0])
        with pytest.raises(OSError, match=r"gone\.parquet"):
            source.read(str(tmp_path / "gone.parquet#row=0"))

    def test_a_table_that_was_written_again_is_read_again(self, tmp_path: Path) -> None:
        source = ManifestSource(tmp_path / "t.parquet")
        for image in (b"old", b"new"):
            pq.write_table(pa.table({"image": [image]}), tmp_path / "t.parquet")
            assert [source.read(uri) for uri in source.list_images()["uri"]] == [image]
