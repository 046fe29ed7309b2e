"""Tar shards: their images are listed and read in place, only new shards are opened, damage is not emptiness."""

import gzip
import io
import os
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tar_shards import pack

from tac_pipeline.errors import SourceError
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
    read = archives._read_members
    monkeypatch.setattr(archives, "_read_members", lambda file, uri: looked.append(Path(uri).name) or read(file, uri))
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


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "x.tar", {"a.jpg": b"1", name: b"2"})
    with pytest.raises(SourceError, match="must stay inside the archive"):
        open_source(str(path)).list_images()


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


def test_a_link_to_what_an_archive_lacks_is_told(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", {"a.jpg": b"1"})
    with tarfile.open(path, "a") as archive:
        header = tarfile.TarInfo("hard.jpg")
        header.type, header.linkname = tarfile.LNKTYPE, "elsewhere.jpg"
        archive.addfile(header)
    with pytest.raises(SourceError, match=r"hard\.jpg is a hard link to 'elsewhere\.jpg', .* with --hard-dereference"):
        open_source(str(path)).list_images()


def test_damage_is_told_and_is_no_emptiness(shards: Path) -> None:
    whole = (shards / "more/001.tar").read_bytes()
    second = whole.index(b"dogs/d.jpg")
    damaged = {
        "cut in a member": whole[: second + 512 + 2],
        "a header overwritten": whole[:second] + b"\xff" * 512 + whole[second + 512 :],
        "compressed": gzip.compress(whole),
        "empty": b"",
        "no tar": b"text " * 400,
    }
    for what, data in damaged.items():
        (shards / "more/001.tar").write_bytes(data)
        with pytest.raises(SourceError, match=r"001\.tar"):
            print(what, open_source(str(shards)).list_images())  # noqa: T201


def test_a_shard_cut_after_it_was_listed_is_an_error_of_its_image(shards: Path) -> None:
    source = open_source(str(shards))
    assert isinstance(source, FolderSource)
    listing = source.list_images()
    data = (shards / "000.tar").read_bytes()
    (shards / "000.tar").write_bytes(data[:514])
    with pytest.raises(OSError, match="is cut short: 5 bytes wanted, 2 there"):
        source.read(listing["uri"][0])
