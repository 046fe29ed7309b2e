"""Tar shards: their images are listed and read in place, only new shards are opened, damage is not emptiness."""

import gzip
import io
import os
import re
import tarfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tar_shards import pack

from tac_pipeline.sources import FolderSource, RemoteFolderSource, archives, open_source
from tac_pipeline.store.listings import KeptListings


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    pack(folder / "000.tar", {"a.jpg": b"first", "a.txt": b"a caption", "b.PNG": b"second", ".hidden.jpg": b"x"})
    pack(folder / "more/001.tar", {"./cats/c.webp": b"third", "dogs/d.jpg": b"fourth"})
    (folder / "loose.jpg").write_bytes(b"beside them")
    return folder


IDS = ["000.tar/a.jpg", "000.tar/b.PNG", "loose.jpg", "more/001.tar/cats/c.webp", "more/001.tar/dogs/d.jpg"]
CONTENTS = [b"first", b"second", b"beside them", b"third", b"fourth"]


def test_images_in_shards_are_listed_beside_image_files(shards: Path) -> None:
    source = open_source(str(shards))
    listing = source.list_images()
    assert isinstance(source, FolderSource)
    assert listing["image_id"].to_list() == IDS
    assert listing["size"].to_list() == [len(content) for content in CONTENTS]
    assert [source.read(uri) for uri in listing["uri"]] == CONTENTS


def test_shards_behind_a_url_are_read_alike(shards: Path) -> None:
    source = open_source(shards.as_uri())
    listing = source.list_images()
    assert isinstance(source, RemoteFolderSource)
    assert listing["image_id"].to_list() == IDS
    assert [source.read(uri) for uri in listing["uri"]] == CONTENTS


def test_one_tar_is_a_source(shards: Path) -> None:
    for location in (str(shards / "000.tar"), (shards / "000.tar").as_uri()):
        source = open_source(location)
        listing = source.list_images()
        assert listing["image_id"].to_list() == IDS[:2]
        assert source.read(listing["uri"][1]) == b"second"  # type: ignore[union-attr]


def test_a_members_folder_is_its_label_and_the_shard_is_none(shards: Path) -> None:
    labels = open_source(str(shards)).labels(IDS, "folder")
    assert labels.rows() == [(IDS[3], "cats"), (IDS[4], "dogs")]


@given(
    members=st.dictionaries(
        st.text("abcäß 猫/", min_size=1, max_size=120).map(lambda name: f"m{re.sub('/+', '/', name)}x.jpg"),
        st.binary(max_size=2000),
        min_size=1,
        max_size=6,
    ),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_every_member_is_read_as_tar_itself_reads_it(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes], form: int
) -> None:
    """Long names and foreign letters need extra headers; offsets must still be right."""
    path = pack(tmp_path_factory.mktemp("tar") / "x.tar", members, form=form)
    source = open_source(str(path))
    listing = source.list_images()
    found = {image_id: source.read(uri) for image_id, uri in listing.select("image_id", "uri").iter_rows()}  # type: ignore[union-attr]
    assert found == {f"x.tar/{name}": data for name, data in members.items()}


def test_only_new_shards_are_looked_into(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    read = archives._read_archive
    monkeypatch.setattr(
        archives, "_read_archive", lambda file, rules: looked.append(Path(file.name).name) or read(file, rules)
    )
    source = open_source(str(shards), listings=KeptListings(tmp_path / "kept"))
    first = source.list_images()
    assert sorted(looked) == ["000.tar", "001.tar"]
    assert source.list_images().equals(first)
    pack(shards / "002.tar", {"e.jpg": b"fifth"})
    looked.clear()
    assert len(source.list_images()) == len(first) + 1
    assert looked == ["002.tar"]
    (shards / "000.tar").unlink()
    source.list_images()
    assert len(list((tmp_path / "kept").iterdir())) == 2, "what was in a shard that went is forgotten"


def test_a_kept_listing_that_is_damaged_is_made_anew(shards: Path, tmp_path: Path) -> None:
    source = open_source(str(shards), listings=KeptListings(tmp_path / "kept"))
    first = source.list_images()
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(b"no table")
    assert source.list_images().equals(first)


def test_a_rewritten_shard_is_a_new_version_of_its_images_alone(shards: Path) -> None:
    before = open_source(str(shards)).list_images()
    pack(shards / "000.tar", {"a.jpg": b"FIRST", "b.PNG": b"second"})
    os.utime(shards / "000.tar", ns=(7, 7))
    after = open_source(str(shards)).list_images()
    same = before.join(after, on=["image_id", "version"])["image_id"].to_list()
    assert same == IDS[2:]


def test_of_two_members_with_one_name_the_later_counts(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", {"a.jpg": b"old"})
    with tarfile.open(path, "a") as archive:
        header = tarfile.TarInfo("a.jpg")
        header.size = 3
        archive.addfile(header, io.BytesIO(b"new"))
    source = open_source(str(path))
    listing = source.list_images()
    assert [source.read(uri) for uri in listing["uri"]] == [b"new"]  # type: ignore[union-attr]


def problems_of(path: Path) -> dict[str, str]:
    return dict(open_source(str(path)).listing().problems.iter_rows())


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "..", "./../out.jpg"])
def test_names_that_lead_out_of_the_archive_are_reported_and_the_others_read(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "x.tar", {"a.jpg": b"1", name: b"2"})
    assert open_source(str(path)).list_images()["image_id"].to_list() == ["x.tar/a.jpg"]
    [(where, reason)] = problems_of(path).items()
    assert where.startswith("x.tar/")
    assert reason == "the name leads out of the archive"


@pytest.mark.parametrize("name", ["./a.jpg", "././a.jpg", ".//a.jpg", "a.jpg"])
def test_dots_and_doubled_slashes_are_no_part_of_a_name(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "x.tar", {name: b"1", ".//c//d.jpg": b"2"})
    assert open_source(str(path)).list_images()["image_id"].to_list() == ["x.tar/a.jpg", "x.tar/c/d.jpg"]


def test_names_that_are_no_utf8_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        header = tarfile.TarInfo("m\xe4rz.jpg")
        header.size = 5
        archive.addfile(header, io.BytesIO(b"march"))
    (tmp_path / "x.tar").write_bytes(buffer.getvalue())
    source = open_source(str(tmp_path / "x.tar"))
    [(image_id, uri)] = source.list_images().select("image_id", "uri").rows()
    assert image_id == r"x.tar/m\xe4rz.jpg"
    assert source.read(uri) == b"march"  # type: ignore[union-attr]


def test_what_is_no_image_in_an_archive_is_counted_by_rule(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "x.tar",
        {"a.jpg": b"1", "a.json": b"{}", "b.json": b"{}", "._a.jpg": b"", "@eaDir/t.jpg": b"1", "x.seg.png": b"2"},
    )
    listing = open_source(str(path)).listing()
    assert listing.images["image_id"].to_list() == ["x.tar/a.jpg", "x.tar/x.seg.png"]
    assert listing.passed_over_by_rule == {
        ".json, in an archive": 2,
        "hidden, in an archive": 1,
        "in @eaDir (a system's own folder), in an archive": 1,
    }


def test_links_and_devices_in_an_archive_are_no_images(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", {"a.jpg": b"1"})
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("link.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
        ):
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, "/etc/passwd"
            archive.addfile(header)
    assert open_source(str(path)).list_images()["image_id"].to_list() == ["x.tar/a.jpg"]


def test_a_file_with_two_names_is_two_images(tmp_path: Path) -> None:
    """Packed by tarfile from files on the disk, as by tar: the second name is a link to the first."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"first")
    (folder / "b.bin").write_bytes(b"second")
    for name, target in (("c.jpg", "a.jpg"), ("d.jpg", "b.bin")):
        (folder / name).hardlink_to(folder / target)
    (folder / "e.jpg").symlink_to("a.jpg")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, f"./{path.name}")
        to_a_link = tarfile.TarInfo("./f.jpg")
        to_a_link.type, to_a_link.linkname = tarfile.LNKTYPE, "./e.jpg"
        archive.addfile(to_a_link)
        kinds = [member.type for member in archive.getmembers()]
    assert kinds.count(tarfile.LNKTYPE) == 3
    source = open_source(str(tmp_path / "x.tar"))
    listing = source.list_images()
    assert listing["image_id"].to_list() == ["x.tar/a.jpg", "x.tar/c.jpg", "x.tar/d.jpg"]
    assert [source.read(uri) for uri in listing["uri"]] == [b"first", b"first", b"second"]  # type: ignore[union-attr]


def test_a_link_to_what_an_archive_lacks_is_reported(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", {"a.jpg": b"1"})
    with tarfile.open(path, "a") as archive:
        for name, target in (("hard.jpg", "elsewhere.jpg"), ("out.jpg", "../../etc/passwd")):
            header = tarfile.TarInfo(name)
            header.type, header.linkname = tarfile.LNKTYPE, target
            archive.addfile(header)
    told = problems_of(path)
    assert "is a hard link to 'elsewhere.jpg', which does not come before it" in told["x.tar/hard.jpg"]
    assert told["x.tar/out.jpg"] == "is a link that leads out of the archive"
    assert open_source(str(path)).list_images()["image_id"].to_list() == ["x.tar/a.jpg"]


def test_damage_is_told_and_what_is_whole_is_read(shards: Path) -> None:
    whole = (shards / "more/001.tar").read_bytes()
    second = whole.index(b"dogs/d.jpg")
    first = [image_id for image_id in IDS if image_id.startswith("more/001.tar")][:1]
    end = second + 1024
    damaged = {
        "ends in dogs/d.jpg, after 2 of its": (whole[: second + 512 + 2], first),
        "has no tar header after": (whole[:second] + b"\xff" * 512 + whole[second + 512 :], first),
        "is a gzip file, not a tar": (gzip.compress(whole), []),
        "is an empty file": (b"", []),
        "is text, not a tar": (b"text " * 400, []),
        "is an HTML page, not a tar": (b"<!DOCTYPE html><html>" + b" " * 2000, []),
        "has no end mark": (whole[:end], [image_id for image_id in IDS if image_id.startswith("more/001.tar")]),
    }
    others = [image_id for image_id in IDS if not image_id.startswith("more/001.tar")]
    for sentence, (data, kept) in damaged.items():
        (shards / "more/001.tar").write_bytes(data)
        listing = open_source(str(shards)).listing()
        assert listing.images["image_id"].to_list() == sorted(others + kept), sentence
        [(path, reason)] = listing.problems.rows()
        assert path == "more/001.tar"
        assert sentence in reason


def test_two_archives_in_one_file_are_both_read(tmp_path: Path) -> None:
    one, other = (pack(tmp_path / f"{name}.tar", {f"{name}.jpg": name.encode()}) for name in "ab")
    (tmp_path / "x.tar").write_bytes(one.read_bytes() + other.read_bytes())
    source = open_source(str(tmp_path / "x.tar"))
    listing = source.listing()
    assert listing.images["image_id"].to_list() == ["x.tar/a.jpg", "x.tar/b.jpg"]
    assert [source.read(uri) for uri in listing.images["uri"]] == [b"a", b"b"]  # type: ignore[union-attr]
    assert listing.problems.is_empty()
    (tmp_path / "x.tar").write_bytes(one.read_bytes() + b"garbage that is no archive" * 100)
    listing = open_source(str(tmp_path / "x.tar")).listing()
    assert listing.images["image_id"].to_list() == ["x.tar/a.jpg"]
    assert "has no tar header after" in listing.problems["reason"][0]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_stops_a_listing_or_is_silent(tmp_path: Path, data: st.DataObject) -> None:
    path = pack(tmp_path / "x.tar", {f"{number}.jpg": bytes([number]) * 700 for number in range(4)})
    whole = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip", "splice"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    if kind == "cut":
        del whole[place:]
    elif kind == "flip":
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        other = data.draw(st.integers(0, len(whole) - 1))
        whole = whole[:place] + whole[other:]
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    (folder / "x.tar").write_bytes(whole)
    (folder / "beside.jpg").write_bytes(b"beside")
    listing = open_source(str(folder)).listing()
    assert "beside.jpg" in listing.images["image_id"]
    whole_members = listing.images.filter(pl.col("image_id") != "beside.jpg")
    # Bits that flip in a member's bytes, or in a part of a header without meaning, are for the decoder to find.
    if kind == "cut" and len(whole_members) < 4:
        assert len(listing.problems) == 1
    for uri in whole_members["uri"]:
        open_source(str(folder)).read(uri)  # type: ignore[union-attr]


def test_a_shard_cut_after_it_was_listed_is_an_error_of_its_image(shards: Path) -> None:
    source = open_source(str(shards))
    assert isinstance(source, FolderSource)
    listing = source.list_images()
    data = (shards / "000.tar").read_bytes()
    (shards / "000.tar").write_bytes(data[:514])
    with pytest.raises(OSError, match="is cut short: 5 bytes wanted, 2 there"):
        source.read(listing["uri"][0])
