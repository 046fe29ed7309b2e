"""Several sources as one: prefixes, what one that is absent means, and which source reads what."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tar_shards import pack

from tac_pipeline.embedding import given_batches
from tac_pipeline.errors import SourceError
from tac_pipeline.sources import ManySources, open_sources
from tac_pipeline.sources.many import prefixes_of
from tac_pipeline.store.listings import KeptListings


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(f"{path.name} {name}".encode())
    return path


def opened(*locations: object, listings: KeptListings | None = None) -> ManySources:
    return open_sources([str(location) for location in locations], listings=listings)


def write_vectors(path: Path, ids: list[str], width: int = 2, encoder: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image_id": ids, "embedding": [[float(n + 1)] * width for n in range(len(ids))], "label": ids})
    pq.write_table(table.replace_schema_metadata({"tac.encoder": encoder} if encoder else None), path)
    return path


class TestPrefixes:
    @pytest.mark.parametrize(
        ("locations", "prefixes"),
        [
            (["/a/photos"], ["photos"]),
            (["/a/photos", "/b/photos/", "/c/photos"], ["photos", "photos-2", "photos-3"]),
            (["/a/photos-2", "/a/photos", "/b/photos"], ["photos-2", "photos", "photos-3"]),
            (["s3://bucket", "s3://bucket/in/", "/x/bucket"], ["bucket", "in", "bucket-2"]),
            (["/v/*.parquet", "/w/part-?.parquet", "/x/[2019]"], ["v", "w", "[2019]"]),
            (["/", "/a/m.csv"], ["source", "m.csv"]),
        ],
    )
    def test_the_last_part_of_a_location_is_its_prefix(self, locations: list[str], prefixes: list[str]) -> None:
        assert list(prefixes_of(locations)) == prefixes
        assert list(prefixes_of(locations).values()) == locations

    @given(st.lists(st.from_regex(r"/[ab]/[cd](-[23])?", fullmatch=True), min_size=1, max_size=8, unique=True))
    def test_another_location_at_the_end_changes_no_prefix(self, locations: list[str]) -> None:
        prefixes = prefixes_of(locations)
        assert len(prefixes) == len(locations)
        assert (
            list(prefixes_of(locations[:-1] or locations).items()) == list(prefixes.items())[: len(locations) - 1 or 1]
        )

    def test_no_location_and_one_twice_are_refused(self) -> None:
        with pytest.raises(SourceError, match="at least one place"):
            prefixes_of([])
        with pytest.raises(SourceError, match="every place once; /a/b/ is there twice"):
            prefixes_of(["/a/b", "/a/b/"])


class TestImages:
    def test_all_kinds_of_sources_are_listed_and_read_through_their_prefix(self, tmp_path: Path) -> None:
        first, second = folder(tmp_path / "a/photos", "x/1.jpg", "n.txt"), folder(tmp_path / "b/photos", "x/1.jpg")
        remote = folder(tmp_path / "remote", "r.png")
        pack(tmp_path / "shards/s.tar", {"m.jpg": b"member"})
        pack(tmp_path / "far/t.tar", {"m.jpg": b"far member"})
        (tmp_path / "m.csv").write_text("file_name,id,label\na/photos/x/1.jpg,one,cat\n,two,dog\n")
        pq.write_table(pa.table({"image": [{"bytes": b"cell", "path": None}], "id": ["c"]}), tmp_path / "t.parquet")
        source = opened(
            first, second, remote.as_uri(), tmp_path / "shards", (tmp_path / "far").as_uri(), tmp_path / "m.csv",
            tmp_path / "t.parquet",
        )  # fmt: skip
        listing = source.listing()
        assert source.reader is source
        assert source.encoder is None
        found = {row["image_id"]: source.read(row["uri"]) for row in listing.images.iter_rows(named=True)}
        assert found == {
            "photos/x/1.jpg": b"photos x/1.jpg",
            "photos-2/x/1.jpg": b"photos x/1.jpg",
            "remote/r.png": b"remote r.png",
            "shards/s.tar/m.jpg": b"member",
            "far/t.tar/m.jpg": b"far member",
            "m.csv/one": b"photos x/1.jpg",
            "t.parquet/c": b"cell",
        }
        assert listing.passed_over.rows() == [("photos/n.txt", ".txt", 1)]
        assert listing.problems.rows() == [("m.csv/m.csv, line 3", "uri must not be empty")]
        assert "m.csv: uri: the column file_name" in list(source.listing().notes)

    def test_labels_are_asked_for_from_every_source(self, tmp_path: Path) -> None:
        first, second = folder(tmp_path / "a", "cat/1.jpg", "2.jpg"), folder(tmp_path / "b", "dog/1.jpg")
        source = opened(first, second)
        ids = source.list_images()["image_id"].to_list()
        assert source.labels(ids, "folder").rows() == [("a/cat/1.jpg", "cat"), ("b/dog/1.jpg", "dog")]
        with pytest.raises(SourceError, match="needs a table with a column label"):
            source.labels(ids, "column")

    def test_one_that_is_absent_is_a_problem_with_its_prefix(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        source = opened(tmp_path / "gone", folder(tmp_path / "here", "1.jpg"), tmp_path / "empty", "nosuch://bucket")
        listing = source.listing()
        assert listing.images["image_id"].to_list() == ["here/1.jpg"]
        assert listing.problems["path"].to_list() == ["bucket", "empty", "gone"]
        assert "nothing is at" in listing.problems["reason"][2]
        assert source.labels(["gone/x/1.jpg", "here/x/2.jpg"], "folder").rows() == [("here/x/2.jpg", "x")]
        folder(tmp_path / "gone", "2.jpg")
        assert source.list_images()["image_id"].to_list() == ["gone/2.jpg", "here/1.jpg"]

    def test_when_none_can_be_listed_it_is_refused(self, tmp_path: Path) -> None:
        source = opened(tmp_path / "gone", tmp_path / "lost")
        for ask in (source.listing, lambda: source.reader, lambda: source.labels([], "folder")):
            with pytest.raises(SourceError, match=r"nothing is at .*gone.*nothing is at .*lost"):
                ask()

    def test_listings_of_archives_are_kept_for_all_sources(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            pack(tmp_path / name / "s.tar", {"m.jpg": b"1"})
        kept = KeptListings(tmp_path / "kept")

        def names() -> set[str]:
            return {path.name for path in (tmp_path / "kept").glob("*.parquet")}

        source = opened(tmp_path / "a", tmp_path / "b", listings=kept)
        source.listing()
        both = names()
        assert len(both) == 2
        source.listing()
        assert names() == both
        # While one source cannot be reached, its listing is kept; when its archive is gone, it is not.
        (tmp_path / "b").rename(tmp_path / "c")
        source.listing()
        assert names() == both
        folder(tmp_path / "b", "other.jpg")
        source.listing()
        assert len(names()) == 1


class TestVectors:
    def test_vectors_of_all_sources_have_their_prefix(self, tmp_path: Path) -> None:
        source = opened(
            write_vectors(tmp_path / "one.parquet", ["a", "b"]),
            tmp_path / "gone",
            write_vectors(tmp_path / "two.parquet", ["a"]),
        )
        listing = source.list_images()
        assert source.reader is None
        assert source.encoder == "unstated"
        rows = [row for batch in given_batches(listing, source) for row in batch.rows]
        assert [row.image_id for row in rows] == ["one.parquet/a", "one.parquet/b", "two.parquet/a"]
        assert source.labels(["two.parquet/a", "one.parquet/b"], "column").rows() == [
            ("one.parquet/b", "b"),
            ("two.parquet/a", "a"),
        ]
        assert np.concatenate([batch.vectors for batch in source.vectors()]).shape == (3, 2)

    def test_files_and_vectors_are_not_one_kind(self, tmp_path: Path) -> None:
        source = opened(folder(tmp_path / "photos", "1.jpg"), write_vectors(tmp_path / "v.parquet", ["a"]))
        for ask in (source.listing, lambda: source.reader):
            with pytest.raises(SourceError, match=r"photos are image files, v\.parquet are vectors"):
                ask()

    def test_two_encoders_are_refused_and_an_unstated_one_is_not(self, tmp_path: Path) -> None:
        one, unstated, two = (
            write_vectors(tmp_path / f"{number}.parquet", ["a"], encoder=name)
            for number, name in enumerate(["x", None, "y"])
        )
        assert opened(one, unstated).encoder == "x"
        with pytest.raises(SourceError, match=r"one encoder; 0\.parquet from x and 2\.parquet from y"):
            opened(one, unstated, two).listing()

    def test_two_widths_are_refused(self, tmp_path: Path) -> None:
        source = opened(
            write_vectors(tmp_path / "1.parquet", ["a"]), write_vectors(tmp_path / "2.parquet", ["a"], width=3)
        )
        for ask in (source.listing, lambda: list(source.vectors())):
            with pytest.raises(SourceError, match=r"one width; 1\.parquet has 2, 2\.parquet has 3"):
                ask()

    def test_a_prefix_never_makes_two_ids_one(self, tmp_path: Path) -> None:
        source = opened(folder(tmp_path / "a", "b/1.jpg"), folder(tmp_path / "a/b", "1.jpg"))
        assert source.list_images()["image_id"].to_list() == ["a/b/1.jpg", "b/1.jpg"]
        assert pl.Series(source.list_images()["image_id"]).is_unique().all()
