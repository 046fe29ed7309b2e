"""The chain from image files: a small open_clip model of our own config with random weights, on drawn pictures."""

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from assets_helpers import computed, materialize
from colored_store import MODEL, NOUNS, colored_store, draw, edit, view  # noqa: F401 - a fixture

from assets.engine.execute import execute, open_store
from assets.graph import GROWTH, STEPS, find
from assets.images import TRY_AGAIN_SECONDS, observed_version
from assets.lookups.readiness import plan_run
from assets.orchestration.build import build_definitions
from tac_pipeline.arrow import encoder_of
from tac_pipeline.errors import EncoderError, SourceError, TacError
from tac_pipeline.settings.project import load_project
from tac_pipeline.sources.walking import kept, walk
from tac_pipeline.store.parquet import read_table

GROWN = [step.name for step in GROWTH]
GROWN_FIRST = ["image_manifest", "image_embeddings"]

pytestmark = pytest.mark.filterwarnings("ignore::tac_pipeline.errors.TacWarning")


def test_from_files_to_named_groups(store: Path) -> None:
    outcomes = materialize(store)
    assert computed(outcomes) == {step.name for step in STEPS}
    facts = outcomes["image_embeddings"].artifact.facts
    assert (facts["readable"], facts["unreadable"], facts["computed"]) == (27, 3, 30)
    errors = dict(view(store).filter(pl.col("error").is_not_null()).select("image_id", "error").iter_rows())
    assert set(errors) == {"group0/empty.jpg", "group1/text.png", "group2/cut.jpg"}
    shown = outcomes["image_embeddings"].artifact.record["notes"]["unreadable images"]["markdown"]
    assert "empty.jpg" in shown
    assigned = pl.read_parquet(outcomes["assignments"].artifact.file("assignments.parquet"))
    assert len(assigned) == 30
    assert assigned.filter(pl.col("cluster_id").is_null())["image_id"].to_list() == sorted(errors)
    scores = pl.read_parquet(outcomes["evaluation"].artifact.file("evaluation.parquet"))
    assert scores["labeled_images"].to_list() == [27] * 4
    assert scores["nmi"][0] > 0.9, "even a random encoder tells plain colors apart"
    assert computed(materialize(store)) == set()


def test_only_new_images_are_encoded(store: Path) -> None:
    materialize(store)
    draw(store.parent / "photos/group0/new.png", (220, 30, 30), 99)
    (store.parent / "photos/group1/3.png").unlink()
    outcomes = materialize(store, GROWN)
    assert outcomes["image_embeddings"].artifact.facts["computed"] == 1
    assert len(view(store)) == 30
    assert "group0/new.png" in view(store)["image_id"]
    assert "group1/3.png" not in view(store)["image_id"]


def test_a_touched_file_is_read_again_and_stops_there(store: Path) -> None:
    materialize(store)
    (store.parent / "photos/group0/1.png").touch()
    done = materialize(store)
    assert computed(done) == {"image_manifest", "image_embeddings", "image_labels"}
    assert done["image_embeddings"].artifact.facts["computed"] == 1


def test_a_larger_batch_makes_nothing_stale(store: Path) -> None:
    materialize(store)
    assert computed(materialize(edit(store, "encoder.batch_size", 16))) == set()


def contents(path: Path) -> dict[str, str]:
    """What is current of every asset."""
    store = open_store(load_project(path))
    return {step.name: found.artifact.content for step in STEPS if (found := store.current(step.name))}


def remove(path: Path, count: int) -> list[Path]:
    """Remove this many pictures from the source."""
    removed = sorted(path.parent.glob("photos/*/*"))[:count]
    for picture in removed:
        picture.unlink()
    return removed


def test_a_sudden_loss_stops_the_run_before_anything_is_dropped(store: Path) -> None:
    materialize(store)
    before = contents(store)
    remove(store, 16)
    with pytest.raises(SourceError) as refused:
        materialize(store, GROWN)
    assert str(refused.value) == (
        "16 of 30 known images are gone from photos (group0/0.jpg, group0/1.png, group0/2.jpg and 13 more), a larger "
        "share than images.max_loss (0.5) allows; nothing was dropped. If they were removed on purpose: `tac set "
        "images.max_loss=1`, run, and set it back."
    )
    assert contents(store) == before
    outcomes = materialize(edit(store, "images.max_loss", 1), GROWN)
    assert outcomes["image_embeddings"].artifact.facts["computed"] == 0
    assert len(view(store)) == 14


@pytest.mark.parametrize(
    ("share", "lost", "allowed"), [(0.5, 15, True), (0.1, 3, True), (0.1, 4, False), (0, 1, False)]
)
def test_the_share_that_may_go_is_a_setting(store: Path, share: float, lost: int, allowed: bool) -> None:
    materialize(edit(store, "images.max_loss", share), ["image_manifest"])
    remove(store, lost)
    if allowed:
        assert materialize(store, ["image_manifest"])["image_manifest"].artifact.rows == 30 - lost
    else:
        with pytest.raises(SourceError, match=rf"^{lost} of 30 known images are gone"):
            materialize(store, ["image_manifest"])


def test_images_that_came_do_not_make_up_for_those_that_went(store: Path) -> None:
    materialize(store, ["image_manifest"])
    for number, picture in enumerate(remove(store, 16)):
        draw(picture.with_name(f"renamed-{number}.png"), (9, 9, 9), number)
    with pytest.raises(SourceError, match=r"^16 of 30 known images are gone"):
        materialize(store, ["image_manifest"])


def test_a_source_that_disappears_is_an_error_and_drops_nothing(store: Path) -> None:
    materialize(edit(store, "images.max_loss", 1))
    before = contents(store)
    photos = store.parent / "photos"
    photos.rename(store.parent / "unmounted")
    with pytest.raises(SourceError, match="must be an existing folder or table; nothing is at"):
        materialize(store, GROWN)
    # A mount point without its disk.
    photos.mkdir()
    with pytest.raises(SourceError, match="holds no images"):
        materialize(store, GROWN)
    assert contents(store) == before
    photos.rmdir()
    (store.parent / "unmounted").rename(photos)
    assert computed(materialize(store)) == set()


def exchange(picture: Path, seed: int) -> None:
    """Another picture of the same size, under the same name and time."""
    was = picture.stat()
    draw(picture, (120, 120, 20), seed)
    os.utime(picture, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (picture.stat().st_size, picture.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)


def test_a_change_that_size_and_time_do_not_show_is_found_by_content(store: Path) -> None:
    picture = store.parent / "photos/group0/plain.bmp"
    draw(picture, (220, 30, 30), 50)
    materialize(store, GROWN_FIRST)
    exchange(picture, 51)
    listed = materialize(store, GROWN_FIRST)
    assert computed(listed) == set(), "the listing shows nothing"
    # With images.compare: content it reads all once, and encodes only that one.
    first = materialize(edit(store, "images.compare", "content"), GROWN_FIRST)["image_embeddings"].artifact
    assert (first.facts["computed"], first.facts["copied"]) == (31, 27)
    exchange(picture, 52)
    second = materialize(store, GROWN_FIRST)["image_embeddings"].artifact
    assert (second.facts["computed"], second.facts["copied"]) == (1, 0)
    assert second.content != first.content
    assert computed(materialize(store, GROWN_FIRST)) == set()


def test_compared_by_content_a_touched_file_is_not_read_again(store: Path) -> None:
    materialize(edit(store, "images.compare", "content"), GROWN_FIRST)
    (store.parent / "photos/group0/1.png").touch()
    assert computed(materialize(store, GROWN_FIRST)) == set()


@pytest.fixture
def by_folders(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with images.compare: folders, whose files count as old."""
    monkeypatch.setattr(kept, "QUIET_SECONDS", 0)
    materialize(edit(store, "images.compare", "folders"), ["image_manifest"])
    return store


def test_compared_by_folders_a_file_overwritten_in_place_waits_for_learning(by_folders: Path) -> None:
    picture = by_folders.parent / "photos/group0/1.png"
    draw(picture, (120, 120, 20), 60)
    assert computed(materialize(by_folders, ["image_manifest"])) == set()
    project = load_project(by_folders)
    looked = observed_version(project, now=0)
    assert not execute(find("image_manifest"), project, anew=True).reused
    assert observed_version(project, now=0) != looked
    # A new file changes its folder's time.
    draw(by_folders.parent / "photos/group1/new.png", (30, 30, 220), 61)
    assert materialize(by_folders, ["image_manifest"])["image_manifest"].artifact.rows == 31


def test_compared_by_folders_a_refused_loss_is_not_taken_for_what_is_there(
    by_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that shows half of its files for a moment, under the times of now."""
    scandir = os.scandir
    photos = by_folders.parent / "photos"
    for folder in photos.iterdir():
        os.utime(folder, ns=(10**18, 10**18))

    class Half:
        def __init__(self, path: str) -> None:
            found = sorted(scandir(path), key=lambda entry: entry.name)
            self.entries = found if str(path) == str(photos) else found[: len(found) // 3]

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    with monkeypatch.context() as patched:
        patched.setattr(walk, "os", SimpleNamespace(**{**vars(os), "scandir": Half}))
        with pytest.raises(SourceError, match="known images are gone"):
            materialize(by_folders, ["image_manifest"])
    assert computed(materialize(by_folders, ["image_manifest"])) == set()


def test_learning_again_lists_everything_where_looks_do_not(by_folders: Path) -> None:
    def learned_again() -> set[str]:
        job = build_definitions(by_folders).resolve_job_def("recluster")
        return {str(node.name).split("__")[-1] for node in job.graph.nodes}

    assert {"image_manifest", "image_embeddings", "training_set", "published"} <= learned_again()
    edit(by_folders, "images.compare", "listing")
    assert learned_again().isdisjoint({"image_manifest", "image_embeddings"})


def test_another_model_is_encoded_beside_the_first_and_going_back_is_free(store: Path) -> None:
    first = materialize(store)
    # Its weights are asked for before any work, although the store has vectors of another.
    (store.parent / "damaged.safetensors").write_bytes(b"damaged")
    edit(store, "encoder.second", {"model": "test_resnet", "pretrained": "damaged.safetensors"})
    with pytest.raises(EncoderError, match=r"damaged\.safetensors must be a whole safetensors file"):
        plan_run(load_project(store))
    edit(store, "encoder.second", {})
    (store.parent / "other.json").write_text(json.dumps(MODEL | {"embed_dim": 24}))
    second = materialize(edit(store, "encoder.model", "other.json"))
    assert {"image_embeddings", "noun_embeddings", "training_set"} <= computed(second)
    kept = first["noun_embeddings"].artifact.folder / "noun_embeddings.parquet"
    from tac_pipeline.store.schemas import NOUN_EMBEDDINGS

    assert encoder_of(read_table(kept, NOUN_EMBEDDINGS)) == first["image_embeddings"].artifact.facts["encoder"]
    assert computed(materialize(edit(store, "encoder.model", "model.json"))) == set()


def test_an_empty_folder_and_a_folder_of_nothing_readable(store: Path) -> None:
    (store.parent / "nothing").mkdir()
    with pytest.raises(SourceError, match="holds no images"):
        materialize(edit(store, "images.source", "nothing"))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (store.parent / "nothing" / name).write_bytes(b"")
    with pytest.raises(TacError, match="no image of nothing can be read"):
        materialize(store)


def test_a_store_whose_images_all_broke_is_assigned_to_nothing(store: Path) -> None:
    materialize(store)
    for path in store.parent.glob("photos/*/*"):
        path.write_bytes(b"broken")
    outcomes = materialize(store, GROWN)
    assigned = pl.read_parquet(outcomes["assignments"].artifact.file("assignments.parquet"))
    assert assigned["cluster_id"].null_count() == len(assigned) == 30
    clusters = pl.read_parquet(outcomes["clusters"].artifact.file("clusters.parquet"))
    assert clusters.select("size", "name").rows() == [(0, None)] * 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("encoder.model", "ViT-B-23", "ViT-B-32"),
        ("encoder.model", "absent.json", r"absent\.json"),
        ("encoder.pretrained", "absent.safetensors", r"absent\.safetensors"),
    ],
)
def test_encoders_that_cannot_be_are_named(store: Path, key: str, value: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        materialize(edit(store, key, value))


def unreachable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on one picture of the folder is unreachable, as when a disk or a network fails for a while."""
    from tac_pipeline.sources.folders import FolderSource

    read = FolderSource.read

    def fail(source: FolderSource, uri: str, **_: object) -> bytes:
        if uri.endswith("group0/2.jpg"):
            raise OSError("the network is down")
        return read(source, uri)

    monkeypatch.setattr(FolderSource, "read", fail)
    materialize(path, GROWN_FIRST)


def test_while_an_image_is_out_of_reach_every_hour_is_a_change(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, hour = load_project(store), float(TRY_AGAIN_SECONDS)
    materialize(store, [*GROWN_FIRST, "training_set"])
    for path in (project.store_folder / "shards").glob("*/*"):
        path.unlink()
    shutil.rmtree(project.store_folder / "image_embeddings")
    before = observed_version(project, now=0)
    assert observed_version(project, now=5 * hour) == before, "nothing was embedded yet"
    with monkeypatch.context() as patched:
        unreachable(store, patched)
        first = observed_version(project, now=hour)
        assert first != before
        assert observed_version(project, now=1.9 * hour) == first
        assert observed_version(project, now=2 * hour) != first
    assert materialize(store, GROWN_FIRST)["image_embeddings"].artifact.facts["computed"] == 0, "not yet"
    for shard in open_store(project).shards_folder.glob("*/*"):
        os.utime(shard, (time.time() - hour - 1,) * 2)
    again = materialize(store, GROWN_FIRST)
    assert computed(again) == {"image_embeddings"}
    assert again["image_embeddings"].artifact.facts["computed"] == 1, "the others are not read again"
    assert observed_version(project, now=9 * hour) == before


def test_the_job_observe_sees_that_an_image_is_to_be_tried_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def observed() -> str:
        job = build_definitions(store).resolve_job_def("observe")
        with dg.DagsterInstance.ephemeral() as instance:
            assert job.execute_in_process(instance=instance).success
            [record] = instance.fetch_observations(dg.AssetKey(["pictures", "image_store"]), limit=1).records
            assert record.asset_observation is not None
            return str(record.asset_observation.data_version)

    before = observed()
    unreachable(store, monkeypatch)
    assert observed().startswith(f"{before}-")
