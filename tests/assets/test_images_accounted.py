"""What a store makes of a source that is not whole: known images are kept, everything is counted."""

import os
from pathlib import Path

import polars as pl
import pytest
from assets_helpers import computed, materialize
from colored_store import colored_store, edit, view  # noqa: F401 - a fixture
from tar_shards import pack

from assets.lookups.intake import intake_of
from tac_pipeline.errors import TacError
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.schemas import PASSED_OVER

GROWN_FIRST = ["image_manifest", "image_embeddings"]

pytestmark = pytest.mark.filterwarnings("ignore::tac_pipeline.errors.TacWarning")


@pytest.fixture
def shard(store: Path) -> Path:
    """A tar of the pictures of one folder, beside the others."""
    folder = store.parent / "photos/group0"
    pictures = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.stat().st_size > 100}
    return pack(store.parent / "photos/shard.tar", pictures)


def facts(path: Path, outcomes: dict) -> dict:
    return outcomes["image_embeddings"].artifact.facts


def test_a_shard_that_is_being_written_again_loses_no_image(store: Path, shard: Path) -> None:
    first = facts(store, materialize(store, GROWN_FIRST))
    whole = shard.read_bytes()
    # The same pictures are in the folder: none of the shard's is encoded a second time.
    members = view(store).filter(pl.col("image_id").str.starts_with("shard.tar/"))
    assert first["copied"] == len(members) > 5
    shard.write_bytes(whole[: len(whole) // 2])
    cut = facts(store, materialize(store, GROWN_FIRST))
    assert cut["readable"] == first["readable"]
    assert cut["changes"]["gone"] == cut["changes"]["new"] == 0
    assert cut["computed"] == cut["copied"] < len(members)
    told = intake_of(load_project(store))
    assert told is not None
    assert "is cut, or is being written" in told.problems["reason"][0]
    shard.write_bytes(whole)
    again = facts(store, materialize(store, GROWN_FIRST))
    assert again["changes"] == {"unchanged": len(view(store)), "new": 0, "replaced": 0, "gone": 0}
    assert again["computed"] == again["copied"]
    assert intake_of(load_project(store)).problems.is_empty()  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_listed_for_a_while_loses_no_image(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(store, GROWN_FIRST)
    known = view(store)
    listed = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "group1":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    materialize(store, GROWN_FIRST)
    assert view(store)["image_id"].equals(known["image_id"])
    [problem] = intake_of(load_project(store)).problems.rows()  # type: ignore[union-attr]
    assert problem == ("group1", "cannot be listed: Permission denied")
    monkeypatch.undo()
    assert computed(materialize(store, GROWN_FIRST)) == set()


def test_every_file_is_accounted_for(store: Path) -> None:
    photos = store.parent / "photos"
    for name in ("film.mp4", "notes.txt", "group0/.DS_Store", "@eaDir/thumb.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"something")
    materialize(store, GROWN_FIRST)
    found = intake_of(load_project(store))
    assert found is not None
    assert (found.read, found.unreadable, sum(found.passed_over.values())) == (27, 3, 4)
    assert found.files == sum(len(names) for _, _, names in os.walk(photos)) == 34
    (photos / "film.mp4").unlink()
    assert computed(materialize(store, GROWN_FIRST)) == {"image_manifest"}
    assert intake_of(load_project(store)).files == 33  # type: ignore[union-attr]


def test_patterns_take_images_out(store: Path) -> None:
    materialize(store, GROWN_FIRST)
    outcomes = materialize(edit(store, "images.exclude", ["group2/"]), GROWN_FIRST)
    assert set(view(store)["image_id"].str.split("/").list.first()) == {"group0", "group1"}
    assert outcomes["image_embeddings"].artifact.facts["changes"]["gone"] == 10


def test_the_stores_own_data_is_never_an_image(store: Path) -> None:
    """A source of "." holds the settings, the nouns, and the data folder with what the UI drew."""
    materialize(store, GROWN_FIRST)
    data = load_project(store).data_folder
    (data / "plot.png").write_bytes(b"a plot of the store")
    outcomes = materialize(edit(store, "images.source", "."), GROWN_FIRST)
    assert set(view(store)["image_id"].str.split("/").list.first()) == {"photos"}
    rules = outcomes["image_manifest"].artifact.frame(PASSED_OVER)
    assert "in this project's own folders" in rules.filter(pl.col("path") == data.name)["rule"].to_list()


def test_several_places_are_one_store_and_one_that_is_away_loses_nothing(store: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    edit(store, "images.source", ["photos/group0", "photos/group1"])
    materialize(store, GROWN_FIRST)
    assert set(view(store)["image_id"].str.split("/").list.first()) == {"group0", "group1"}
    known = len(view(store))
    (photos / "group1").rename(tmp_path / "away")
    materialize(store, GROWN_FIRST)
    assert len(view(store)) == known
    [problem] = intake_of(load_project(store)).problems.rows()  # type: ignore[union-attr]
    assert problem[0] == "group1"
    (tmp_path / "away").rename(photos / "group1")
    assert computed(materialize(edit(store, "images.source", ["photos/group0", "photos/group1", "photos/group2"]))) > {
        "image_manifest"
    }
    assert len(view(store)) == 30


@pytest.mark.parametrize("source", [[], [""], ["photos", "photos"], ""])
def test_places_that_cannot_be_are_refused(store: Path, source: object) -> None:
    with pytest.raises(TacError, match=r"images\.source"):
        materialize(edit(store, "images.source", source), ["image_manifest"])
