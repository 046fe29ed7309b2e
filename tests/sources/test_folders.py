"""Which files of a folder are images, and the account of all others."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import Rules, open_source
from tac_pipeline.sources.listing import as_path, as_text
from tac_pipeline.sources.rules import suffix_of

JPEG = b"\xff\xd8\xff\xe0 and so on"


def write(folder: Path, *names: str, data: bytes = JPEG) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def ids(folder: Path, **rules: object) -> list[str]:
    return open_source(str(folder), rules=Rules(**rules)).list_images()["image_id"].to_list()  # type: ignore[arg-type]


def passed(folder: Path, **rules: object) -> dict[str, int]:
    return open_source(str(folder), rules=Rules(**rules)).listing().passed_over_by_rule  # type: ignore[arg-type]


def test_every_file_is_an_image_or_counted_by_the_rule_that_passed_it_over(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b.JFIF", "c/d.tga", "c/without suffix", "c/odd.jpg_large", "from 12.10.2019 at the lake")
    write(tmp_path, "film.mp4", "film 2.MP4", "notes.txt", "x.jpg.part", "raw.NEF", ".hidden.jpg")
    write(tmp_path, "text without suffix", data=b"only words")
    write(
        tmp_path,
        "@eaDir/a/b.jpg",
        "@eaDir/a/c.jpg",
        "$RECYCLE.BIN/x.jpg",
        ".git/x.png",
        "p.photoslibrary/resources/x.jpg",
    )
    write(tmp_path, "p.photoslibrary/originals/0/y.jpg", "more/__MACOSX/._x.jpg", "shards.tgz")
    assert ids(tmp_path) == [
        "a.jpg",
        "b.JFIF",
        "c/d.tga",
        "c/odd.jpg_large",
        "c/without suffix",
        "from 12.10.2019 at the lake",
        "p.photoslibrary/originals/0/y.jpg",
    ]
    found = passed(tmp_path)
    assert found == {
        ".mp4": 2,
        "in @eaDir (a system's own folder)": 2,
        ".nef (a camera's raw file)": 1,
        ".part (not finished)": 1,
        ".txt": 1,
        "a compressed tar, whose members cannot be read in place: unpack it, or pack it without compression": 1,
        "hidden": 1,
        "in $RECYCLE.BIN (a system's own folder)": 1,
        "in __MACOSX (a system's own folder)": 1,
        "in a hidden folder": 1,
        "in resources (a system's own folder)": 1,
        "no suffix (text)": 1,
    }
    files = sum(len(names) for _, _, names in os.walk(tmp_path))
    assert len(ids(tmp_path)) + sum(found.values()) == files


def test_a_remote_folder_follows_the_same_rules(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.jpg",
        "c/without suffix",
        "film.mp4",
        "@eaDir/a/b.jpg",
        ".git/x.png",
        "keep/no.jpg",
        "out/export.json",
        "out/c.jpg",
    )
    local, remote = (
        open_source(location, rules=Rules(["keep/"])).listing() for location in (str(tmp_path), tmp_path.as_uri())
    )
    assert remote.images["image_id"].equals(local.images["image_id"])
    assert remote.passed_over_by_rule == local.passed_over_by_rule


def test_a_format_without_its_package_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tac_pipeline.sources import formats

    write(tmp_path, "a.jpg", "b.heic", "c.HEIC")
    assert "b.heic" in ids(tmp_path)
    monkeypatch.setitem(formats._here, "HEIC", ())
    assert ids(tmp_path) == ["a.jpg"]
    assert passed(tmp_path) == {".heic (pip install 'tac-pipeline[formats]')": 2}
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(SourceError, match=r"holds no images.*2 \.heic \(pip install 'tac-pipeline\[formats\]'\)"):
        ids(tmp_path)


def test_patterns_exclude_as_in_a_gitignore(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b_thumb.jpg", "x/b_thumb.jpg", "drafts/c.jpg", "drafts/keep.jpg", "y/drafts/d.jpg")
    assert ids(tmp_path, exclude=["*_thumb.jpg", "/drafts/*", "!keep.jpg"]) == [
        "a.jpg",
        "drafts/keep.jpg",
        "y/drafts/d.jpg",
    ]
    assert passed(tmp_path, exclude=["drafts/"]) == {"images.exclude": 3}


def test_the_own_data_and_exports_are_never_images(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.jpg",
        "data/demo/plot.png",
        "exports/first/export.json",
        "exports/first/cats/c.jpg",
        "exports/d.jpg",
    )
    assert ids(tmp_path, own=[str(tmp_path / "data")]) == ["a.jpg", "exports/d.jpg"]
    assert passed(tmp_path, own=[str(tmp_path / "data")]) == {
        "in an export of this project": 2,
        "in this project's own folders": 1,
    }


class TestLinks:
    @pytest.fixture
    def linked(self, tmp_path: Path) -> Path:
        write(tmp_path, "in/a.jpg", "in/x/b.jpg", "elsewhere/c.jpg")
        (tmp_path / "in/away").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "in/loop").symlink_to(tmp_path / "in")
        (tmp_path / "in/x/again").symlink_to(tmp_path / "in/x")
        (tmp_path / "in/file.jpg").symlink_to(tmp_path / "elsewhere/c.jpg")
        return tmp_path / "in"

    def test_linked_folders_are_counted_and_not_followed(self, linked: Path) -> None:
        assert ids(linked) == ["a.jpg", "file.jpg", "x/b.jpg"]
        assert passed(linked) == {"a link to a folder (images.follow_links)": 3}

    def test_they_are_followed_on_request_and_loops_end(self, linked: Path) -> None:
        assert ids(linked, follow_links=True) == ["a.jpg", "away/c.jpg", "file.jpg", "x/b.jpg"]
        assert passed(linked, follow_links=True) == {"a link to a folder that is looked through anyway": 2}


def test_pipes_sockets_and_folders_called_like_images(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "folder.jpg/b.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe without suffix")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        listing = open_source(str(tmp_path)).listing()
    assert listing.images["image_id"].to_list() == ["a.jpg", "folder.jpg/b.jpg"]
    assert listing.problems["path"].to_list() == ["pipe without suffix", "pipe.jpg", "socket.png"]
    assert set(listing.problems["reason"]) == {"is a named pipe, a socket or a device, not a file"}


def test_a_folder_that_may_not_be_listed_is_reported_and_the_rest_read(tmp_path: Path) -> None:
    """As a user who is not root, in a process of its own."""
    write(tmp_path, "a.jpg", "closed/b.jpg", "open/c.jpg")
    for path in (*tmp_path.parents, tmp_path):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (tmp_path / "closed").chmod(0)
    code = f"""
        import os
        from tac_pipeline.sources import open_source
        from tac_pipeline.sources.formats import readable_suffixes
        readable_suffixes()
        if os.getuid() == 0:
            os.setuid(65534)
        found = open_source({str(tmp_path)!r}).listing()
        print(found.images["image_id"].to_list(), found.problems.rows())
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
        )
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert done.stdout.strip() == "['a.jpg', 'open/c.jpg'] [('closed', 'cannot be listed: Permission denied')]"


def test_the_source_itself_must_be_listable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.jpg")

    def refuse(path: str) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"cannot list .*: Permission denied"):
        ids(tmp_path)


def test_a_name_that_is_no_utf8_is_read_and_so_is_one_that_looks_like_its_text(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"latin")
    except OSError:
        pytest.skip("this file system refuses names that are no UTF-8")
    write(tmp_path, r"plain \xe9.jpg", data=b"plain")
    source = open_source(str(tmp_path))
    found = dict(source.list_images().select("image_id", "uri").iter_rows())
    assert {image_id: source.read(uri) for image_id, uri in found.items()} == {  # type: ignore[union-attr]
        r"caf\xe9.jpg": b"latin",
        r"plain \xe9.jpg": b"plain",
    }


@given(name=st.binary(min_size=1, max_size=20).filter(lambda name: b"\\" not in name and b"\0" not in name))
def test_every_name_is_found_again_from_its_text(name: bytes) -> None:
    path = os.fsdecode(name)
    text = as_text(path)
    text.encode()
    assert as_path(text) == path


def test_what_is_passed_over_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tac_pipeline.sources import listing

    monkeypatch.setattr(listing, "PASSED_OVER_ROWS", 3)
    write(tmp_path, "a.jpg", *(f"{number}.txt" for number in range(5)), *(f"{number}.mp4" for number in range(5)))
    found = open_source(str(tmp_path)).listing()
    assert len(found.passed_over) == 5
    assert found.passed_over_by_rule == {".mp4": 5, ".txt": 5}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.JPG", ".jpg"), ("a", ""), (".jpg", ""), ("a.", ""), ("from 1.2.2019 on", ""), ("a.averylongsuffixindeed", "")],
)
def test_suffixes(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix
