"""Folders that are as they were are not listed again, and everything else is as in a full listing."""

import os
import random
import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from tar_shards import pack

from tac_pipeline.errors import SourceError, StoreError
from tac_pipeline.sources import Listing, Rules, formats, listing, open_source, open_sources
from tac_pipeline.sources.walking import kept
from tac_pipeline.sources.walking.walk import IN_AN_EXPORT, Walk
from tac_pipeline.store.listings import FOLDERS_NAME, KeptListings

# Times that no folder had before, whatever the grains of the clock.
TIMES = count(1_000_000_000_000_000_000, 1_000_000_000)

JPEG = b"\xff\xd8\xff\xe0 and so on"


@pytest.fixture(autouse=True)
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come long after the changes."""
    monkeypatch.setattr(kept, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + 3600 * 10**9))


def changed(folder: Path) -> None:
    moment = next(TIMES)
    os.utime(folder, ns=(moment, moment))


def write(folder: Path, *names: str, data: bytes = JPEG) -> Path:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        for above in place.parents:
            if above.is_relative_to(folder):
                changed(above)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    names = ("a.jpg", "one/b.jpg", "one/notes.txt", "two/c.jpg", "two/deep/d.jpg", "@eaDir/x/thumb.jpg", "two/.git/e")
    return write(tmp_path / "photos", *names)


Look = Callable[..., Listing]


@pytest.fixture
def look(tmp_path: Path, photos: Path) -> Look:
    def by_folder(folder: Path = photos, **rules: object) -> Listing:
        listings = KeptListings(tmp_path / "kept")
        return open_source(str(folder), listings=listings, rules=Rules(**rules), by_folder=True).listing()  # type: ignore[arg-type]

    return by_folder


def require_equal(found: Listing, folder: Path, **rules: object) -> None:
    """The same as a listing that keeps nothing."""
    full = open_source(str(folder), rules=Rules(**rules)).listing()  # type: ignore[arg-type]
    for name in ("images", "passed_over", "problems"):
        assert getattr(found, name).equals(getattr(full, name)), name


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are listed or counted, by their paths below the source."""
    found: list[str] = []

    def recorded(name: str) -> None:
        real = getattr(Walk, name)

        def record(self: Walk, path: str, below: str) -> object:
            found.append(below)
            return real(self, path, below)

        monkeypatch.setattr(Walk, name, record)

    recorded("_entries"), recorded("_counted")
    return found


def kept_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "kept" / FOLDERS_NAME).glob("*"))


def test_only_folders_that_changed_are_listed_again(look: Look, photos: Path, scanned: list[str]) -> None:
    require_equal(look(), photos)
    scanned.clear()
    found = look()
    assert scanned == []
    require_equal(found, photos)
    write(photos / "two/deep", "new.jpg")
    scanned.clear()
    found = look()
    assert scanned == ["two/deep"]
    require_equal(found, photos)
    assert "two/deep/new.jpg" in found.images["image_id"]
    # A folder that is passed over is counted anew, in it alone.
    write(photos / "@eaDir/x", "more.jpg")
    scanned.clear()
    found = look()
    assert scanned == ["@eaDir/x"]
    require_equal(found, photos)


def test_nothing_is_written_when_nothing_is_new(look: Look, tmp_path: Path) -> None:
    look()
    (file,) = kept_files(tmp_path)
    before = file.stat().st_ino
    look()
    assert file.stat().st_ino == before


@pytest.mark.parametrize("seed", range(2))
def test_after_any_changes_the_listing_is_the_full_one(look: Look, photos: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = ["x.jpg", "y.png", "z.txt", "no suffix", "export.json", ".hidden.jpg", "p.mp4"]
    for step in range(14):
        folders = [path for path in photos.rglob("*") if path.is_dir()]
        folder = chance.choice([photos, *folders])
        files = [path for path in folder.iterdir() if path.is_file() and path.name != "a.jpg"]
        what = chance.choice(["write", "write", "remove", "folder", "replace", "rmtree", "rename"])
        if what == "write":
            (folder / f"{step} {chance.choice(names)}").write_bytes(JPEG)
            (folder / chance.choice(names)).write_bytes(chance.choice([JPEG, b"words"]))
        elif what == "folder":
            (folder / chance.choice(["new", ".new", "node_modules"])).mkdir(exist_ok=True)
        elif what == "remove" and files:
            chance.choice(files).unlink()
        elif what == "replace" and files:
            (photos / "aside.tmp").write_bytes(JPEG * (step + 2))
            (photos / "aside.tmp").replace(chance.choice(files))
        elif what == "rmtree" and folder != photos:
            shutil.rmtree(folder)
        elif what == "rename" and folder != photos:
            folder.rename(folder.with_name(f"renamed{step}"))
        for place in (photos, folder, folder.parent):
            if place.exists() and place.is_relative_to(photos):
                changed(place)
        require_equal(look(), photos)


def test_a_file_overwritten_in_place_waits_for_a_full_listing(look: Look, photos: Path, tmp_path: Path) -> None:
    first = look().images
    (photos / "one/b.jpg").write_bytes(JPEG * 2)
    assert look().images.equals(first)
    KeptListings(tmp_path / "kept").forget_folders()
    require_equal(look(), photos)
    assert not look().images.equals(first)


def test_a_tar_that_grows_in_place_is_seen(look: Look, photos: Path) -> None:
    pack(photos / "one/s.tar", {"m.jpg": JPEG})
    changed(photos / "one")
    require_equal(look(), photos)
    require_equal(look(), photos)
    with (photos / "one/s.tar").open("r+b") as file:
        grown = pack(photos.parent / "more.tar", {"m.jpg": JPEG, "n.jpg": JPEG}).read_bytes()
        file.write(grown)
    found = look()
    require_equal(found, photos)
    assert "one/s.tar/n.jpg" in found.images["image_id"]


def test_what_has_just_changed_is_looked_at_again(
    look: Look, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = time.time_ns() + 3600 * 10**9
    # A folder that changed now: a second change may fall on the same tick of its clock.
    os.utime(photos / "one", ns=(soon, soon))
    look()
    (photos / "one/b.jpg").write_bytes(JPEG * 2)
    require_equal(look(), photos)
    changed(photos / "one")
    look()
    # A file that is being written grows without a trace in its folder's time.
    write(photos / "two", "upload.jpg", "upload without suffix")
    for name in ("upload.jpg", "upload without suffix"):
        for data in (b"words", JPEG, JPEG * 2):
            (photos / "two" / name).write_bytes(data)
            os.utime(photos / "two" / name, ns=(soon, soon))
            require_equal(look(), photos)
        changed(photos / "two" / name)
    # With the clock of now nothing here is old enough.
    monkeypatch.setattr(kept, "time", time)
    fresh = tmp_path / "kept now"
    open_source(str(photos), listings=KeptListings(fresh), by_folder=True).listing()
    assert not list(fresh.rglob("*.parquet"))


def test_folders_without_a_time_are_always_listed(look: Look, photos: Path, scanned: list[str]) -> None:
    os.utime(photos / "one", ns=(0, 0))
    look()
    scanned.clear()
    look()
    assert scanned == ["one"]


@pytest.mark.parametrize("follow_links", [False, True])
def test_what_a_link_leads_to_is_looked_at_each_time(
    look: Look, photos: Path, tmp_path: Path, follow_links: bool
) -> None:
    away = write(tmp_path / "away", "f/x.jpg", "g/y.jpg", "g/z.jpg")
    (photos / "one/link.jpg").symlink_to(away / "f/x.jpg")
    (photos / "two/linked").symlink_to(away / "f")
    (photos / "two/loop").symlink_to(photos)
    changed(photos / "one"), changed(photos / "two")
    for _ in range(2):
        require_equal(look(follow_links=follow_links), photos, follow_links=follow_links)
    (away / "f/x.jpg").write_bytes(JPEG * 2)
    changed(away / "f")
    require_equal(look(follow_links=follow_links), photos, follow_links=follow_links)
    # The link leads elsewhere, and then nowhere.
    shutil.rmtree(away / "f")
    (away / "g").rename(away / "f")
    require_equal(look(follow_links=follow_links), photos, follow_links=follow_links)
    shutil.rmtree(away)
    require_equal(look(follow_links=follow_links), photos, follow_links=follow_links)


def test_other_rules_and_formats_list_everything_again(
    look: Look, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(photos, "one/p.heic")
    look()
    require_equal(look(exclude=["two/"]), photos, exclude=["two/"])
    own = [str(photos / "one")]
    require_equal(look(own=own), photos, own=own)
    require_equal(look(), photos)
    monkeypatch.setitem(formats._here, "HEIC", ())
    found = look()
    require_equal(found, photos)
    assert "one/p.heic" not in found.images["image_id"]


def test_a_folder_that_cannot_be_listed_is_never_kept_as_empty(
    look: Look, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = look()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("two"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        changed(photos / "two")
        assert look().problems.rows() == [("two", "cannot be listed: Permission denied")]
        # Something else is kept meanwhile.
        write(photos / "one", "new.jpg")
        assert look().problems.rows() == [("two", "cannot be listed: Permission denied")]
    found = look()
    assert found.problems.is_empty()
    assert set(first.images["image_id"]) < set(found.images["image_id"])
    require_equal(found, photos)


def test_a_change_of_rights_is_seen(look: Look, photos: Path, scanned: list[str]) -> None:
    look()
    scanned.clear()
    status = (photos / "one").stat()
    (photos / "one").chmod(0o700)
    os.utime(photos / "one", ns=(status.st_atime_ns, status.st_mtime_ns))
    look()
    assert scanned == ["one"], "its time was set back, and the time of its last change of any kind was not"


@pytest.mark.parametrize("damage", [b"", b"no table", None])
def test_a_damaged_file_is_made_again(look: Look, photos: Path, tmp_path: Path, damage: bytes | None) -> None:
    first = look()
    (file,) = kept_files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    found = look()
    assert found.images.equals(first.images)
    assert kept_files(tmp_path) == [file]
    assert file.read_bytes() not in (damage, whole[: len(whole) // 2])
    require_equal(look(), photos)


def test_a_folder_that_went_and_a_disk_that_is_not_mounted(look: Look, photos: Path) -> None:
    look()
    shutil.rmtree(photos / "two")
    changed(photos)
    found = look()
    require_equal(found, photos)
    photos.rename(photos.parent / "unmounted")
    photos.mkdir()
    with pytest.raises(SourceError, match="holds no images"):
        look()
    photos.rmdir()
    (photos.parent / "unmounted").rename(photos)
    assert look().images.equals(found.images)


def test_an_export_that_is_made_there_and_taken_away(look: Look, photos: Path) -> None:
    look()
    write(photos, "two/export.json")
    for _ in range(2):
        found = look()
        require_equal(found, photos)
        assert found.passed_over_by_rule[IN_AN_EXPORT] == 4
    (photos / "two/export.json").unlink()
    changed(photos / "two")
    require_equal(look(), photos)


def test_a_pipe_is_told_each_time(look: Look, photos: Path) -> None:
    os.mkfifo(photos / "one/pipe.jpg")
    changed(photos / "one")
    for _ in range(2):
        found = look()
        require_equal(found, photos)
        assert found.problems["path"].to_list() == ["one/pipe.jpg"]


def test_several_sources_keep_their_own(photos: Path, tmp_path: Path) -> None:
    other = write(photos.parent / "b/photos", "one/b.jpg", "one/q.jpg", "two/r.jpg")
    places = [str(photos), str(other)]

    def look(by_folder: bool = True) -> Listing:
        source = open_sources(places, listings=KeptListings(tmp_path / "kept"), by_folder=by_folder)
        return source.listing()

    full = look(by_folder=False)
    assert kept_files(tmp_path) == []
    for _ in range(2):
        assert look().images.equals(full.images)
        assert len(kept_files(tmp_path)) == 2
    # One that is absent does not cost the other one its rows, nor its own.
    other.rename(other.parent / "away")
    assert look().problems["path"].to_list() == ["photos-2"]
    assert len(kept_files(tmp_path)) == 2
    (other.parent / "away").rename(other)
    assert look().images.equals(full.images)
    places.pop()
    look()
    assert len(kept_files(tmp_path)) == 1


def test_a_name_that_is_no_utf8(look: Look, photos: Path) -> None:
    try:
        write(photos, os.fsdecode(b"one/caf\xe9.jpg"), os.fsdecode(b"caf\xe9/x.jpg"), os.fsdecode(b"two/\xe9.txt"))
    except OSError:
        pytest.skip("this file system refuses names that are no UTF-8")
    write(photos, r"one/plain \xe9.jpg")
    for _ in range(2):
        require_equal(look(), photos)


def test_a_look_that_began_before_a_full_listing_keeps_nothing(look: Look, tmp_path: Path) -> None:
    look()
    (file,) = kept_files(tmp_path)
    early, name = KeptListings(tmp_path / "kept"), file.stem
    rows = early.find_folders(name)
    assert rows is not None
    early.forget_folders()
    early.keep_folders(name, rows)
    assert kept_files(tmp_path) == []


def test_a_full_listing_is_never_less_than_that(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match=r"must go before every file is listed again, .*: Permission denied"):
        KeptListings(tmp_path / "kept").forget_folders()


def test_a_full_listing_by_files_forgets_what_was_kept(look: Look, photos: Path, tmp_path: Path) -> None:
    look()
    open_source(str(photos), listings=KeptListings(tmp_path / "kept")).listing()
    assert kept_files(tmp_path) == []


def test_which_of_many_files_are_named_does_not_hang_on_the_order(
    look: Look, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PASSED_OVER_ROWS", 3)
    monkeypatch.setattr(kept, "_OPEN_ROWS", 2)
    write(photos, *(f"{folder}/{number}.txt" for folder in ("one", "two", "more") for number in range(4)))
    require_equal(look(), photos)
    require_equal(look(), photos)
    write(photos, "two/5.txt")
    require_equal(look(), photos)
