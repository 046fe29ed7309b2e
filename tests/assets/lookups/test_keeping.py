"""Every kind of file of a store, harmed in every way: what `tac check` says, and that the next run heals it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize
from small_store import GROUPS, grouped_vectors, write_nouns, write_vectors

from assets.engine.execute import execute, open_store
from assets.engine.step import Inputs, Step
from assets.graph import STEPS, find
from assets.images import training_set
from assets.lookups.keeping import advice, check
from assets.lookups.status import steps_to_run
from assets.orchestration.publishing import publish
from tac_pipeline.errors import SourceError, StoreError
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.sources.walking.kept import KEPT
from tac_pipeline.store.keeping.check import Finding, Loss
from tac_pipeline.store.listings import FOLDERS_NAME, KeptListings
from tac_pipeline.store.publication import Publication

SETTINGS = f"""\
store: small
images: {{source: images.parquet}}
nouns: {{source: nouns.parquet}}
clusters: {{count: {GROUPS}}}
semantic_centers: {{images_per_center: 10}}
neighbors: {{count: 5}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small store that was built and published, and grew once; tests copy it."""
    folder = tmp_path_factory.mktemp("built")
    vectors, _ = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(len(vectors))]
    write_nouns(folder / "nouns.parquet")
    (folder / "tac.yaml").write_text(SETTINGS, encoding="utf-8")
    write_vectors(folder / "images.parquet", ids[:-3], vectors[:-3])
    materialize(folder / "tac.yaml")
    publish(load_project(folder / "tac.yaml"), by_hand=False)
    write_vectors(folder / "images.parquet", ids, vectors)
    run(load_project(folder / "tac.yaml"))
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Project:
    shutil.copytree(built, tmp_path / "copy", symlinks=True)
    return load_project(tmp_path / "copy" / "tac.yaml")


def run(project: Project) -> list[str]:
    """What `tac run` does, and what it says."""
    said: list[str] = []
    for step in steps_to_run(project):
        execute(step, project, log=said.append)
    said.append(publish(project, by_hand=False, log=said.append).sentence)
    return said


def flip(path: Path) -> None:
    """Other bytes in the middle, at equal size."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    for place in range(middle, min(middle + 8, len(data))):
        data[place] ^= 0x15
    path.write_bytes(data)


HARMS: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "other bytes": flip,
}
# By kind of file: where the newest of them is, and what a check says of it.
KINDS: dict[str, tuple[str, Loss]] = {
    "a table of an artifact": ("text_counterparts/*/text_counterparts.parquet", Loss.COMPUTED),
    "the training set": ("training_set/*/training_set.parquet", Loss.COMPUTED),
    "heads": ("cluster_heads/*/heads.safetensors", Loss.COMPUTED),
    "an artifact's picture": ("training_free_clusters/*/*.png", Loss.COMPUTED),
    "an artifact's record": ("cluster_heads/*/artifact.json", Loss.COMPUTED),
    "a pointer": ("cluster_heads/current.json", Loss.COMPUTED),
    "the training set's pointer": ("training_set/current.json", Loss.COMPUTED),
    "a shard": ("shards/*/*.parquet", Loss.COMPUTED),
    "assignments of a shard": ("assigned/*/*/*.parquet", Loss.COMPUTED),
    "rows of a training set": ("ledger/training_sets/*/training_rows.parquet", Loss.COMPUTED),
    "the record of these": ("ledger/training_sets/*/made.json", Loss.COMPUTED),
    "a table of the ledger": ("ledger/000001/ids.parquet", Loss.BACKUP),
    "an entry of the ledger": ("ledger/000001/entry.json", Loss.BACKUP),
    "published assignments": ("published/v000002/assignments.parquet", Loss.REPUBLISHED),
    "published changes": ("published/v000002/changes.parquet", Loss.REPUBLISHED),
    "older published groups": ("published/v000001/clusters.parquet", Loss.BACKUP),
    "a version's record": ("published/v000002/version.json", Loss.BACKUP),
}
UNTOLD = ("assignments of a shard", "deleted")
# Bytes that a run which has nothing to do does not read: a step that reads them makes them again, or a repair.
UNREAD = {
    *(
        (kind, "other bytes")
        for kind in ("a table of an artifact", "the training set", "heads", "an artifact's picture")
    ),
    *((kind, "other bytes") for kind in ("a shard", "rows of a training set")),
    *(("assignments of a shard", harm) for harm in ("truncated", "emptied", "other bytes")),
}


def newest(project: Project, pattern: str) -> Path:
    return max(project.store_folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def damaged(project: Project, *, mend: bool = False) -> list[Finding]:
    return check(project, mend=mend).report.damaged


def test_what_was_found_in_folders_is_checked_and_taken_away(project: Project) -> None:
    folder = open_store(project).listings_folder
    KeptListings(folder).keep_folders("x", pl.DataFrame([(0, "", 0, "stamp", None)], schema=KEPT, orient="row"))
    assert damaged(project) == []
    path = folder / FOLDERS_NAME / "x.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert [(finding.path, finding.loss) for finding in damaged(project, mend=True)] == [(path, Loss.COMPUTED)]
    assert damaged(project) == []


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_told_and_healed(project: Project, kind: str, harm: str) -> None:
    pattern, loss = KINDS[kind]
    before = contents(project)
    HARMS[harm](newest(project, pattern))
    found = damaged(project)
    # Assignments of a shard that are not there are only computed again.
    assert {finding.loss for finding in found} == (set() if (kind, harm) == UNTOLD else {loss})
    if loss == Loss.BACKUP:
        assert any("tac restore" in text for text in [*advice(check(project, mend=True).report)])
        assert {finding.problem for finding in found} == {finding.problem for finding in damaged(project)}
        return
    run(project)
    if (kind, harm) in UNREAD:
        assert damaged(project, mend=True)
        run(project)
    assert damaged(project) == []
    assert contents(project) == before, "nothing was learned again"


def contents(project: Project) -> dict[str, str]:
    store = open_store(project)
    return {step.name: current.artifact.content for step in STEPS if (current := store.current(step.name))}


def spoil(path: Path) -> None:
    """Bytes that cannot be decoded, at equal size."""
    path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize("harm", [flip, spoil], ids=["other values", "not Parquet"])
def test_a_shard_with_other_bytes_is_encoded_again_by_the_step_that_reads_it(
    project: Project, harm: Callable[[Path], None]
) -> None:
    store, before = open_store(project), contents(project)
    shards = sorted(store.shards_folder.glob("*/*.parquet"))
    harm(shards[0])
    said: list[str] = []
    outcome = execute(training_set, project, log=said.append, anew=True)
    assert any(f"{shards[0]} has not the bytes that were written" in text for text in said)
    wanted = pl.read_parquet(project.path.parent / "images.parquet").sort("image_id")
    found = Inputs(project, {training_set.name: outcome.artifact})
    assert found.table(training_set)["image_id"].to_list() == wanted["image_id"].to_list()
    np.testing.assert_allclose(found.vectors(training_set), wanted["embedding"].to_numpy(), atol=2e-3)
    assert contents(project)["image_embeddings"] == before["image_embeddings"]
    assert damaged(project) == []
    assert [path.name.endswith(shards[0].name) for path in (store.folder / ".damaged").iterdir()] == [True]


def test_a_training_set_of_an_older_store_is_not_drawn_again_in_silence(project: Project) -> None:
    store = open_store(project)
    shutil.rmtree(store.folder / "ledger" / "training_sets")
    (store.folder / "training_set" / "current.json").unlink()
    execute(training_set, project)  # the artifact itself is still there: the groups say which it is
    assert execute(training_set, project).artifact.rows == 60, "whole, so somebody asks for another"

    shutil.rmtree(store.folder / "training_set")
    shutil.rmtree(store.folder / "ledger" / "training_sets")
    with pytest.raises(StoreError, match=r"does not say which images it had.*tac run --recluster"):
        execute(training_set, project)
    assert execute(training_set, project, anew=True).artifact.rows == 60


def test_an_image_that_is_gone_is_found_in_its_shard_or_named(project: Project) -> None:
    """A training set of images that left the store is made again while a shard has their vectors."""
    store = open_store(project)
    vectors = pl.read_parquet(project.path.parent / "images.parquet")
    vectors.slice(1).write_parquet(project.path.parent / "images.parquet")
    before = contents(project)["training_set"]
    next(store.folder.glob("training_set/*/training_set.parquet")).unlink()
    run(project)
    assert contents(project)["training_set"] == before

    next(store.folder.glob("training_set/*/training_set.parquet")).unlink()
    for path in store.shards_folder.glob("*/*.parquet"):
        path.unlink()
    execute(find("image_manifest"), project)
    execute(find("image_embeddings"), project)
    with pytest.raises(StoreError, match=r"1 of its 57 images \(such as image-000\).*tac run --recluster"):
        execute(training_set, project)


def test_growth_takes_in_the_rows_of_an_older_store(project: Project) -> None:
    rows = project.store_folder / "ledger" / "training_sets"
    shutil.rmtree(rows)
    run(project)
    assert len(list(rows.glob("*/made.json"))) == 1


def test_a_learning_waits_for_images_that_cannot_be_reached(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Inputs.table

    def table(inputs: Inputs, asset: Step, **arguments: Any) -> pl.DataFrame:
        found = read(inputs, asset, **arguments)
        if asset.name != "image_embeddings":
            return found
        missed = pl.col("image_id") < "image-007"
        return found.with_columns(error=pl.when(missed).then(pl.lit(reason)).otherwise("error"))

    monkeypatch.setattr(Inputs, "table", table)
    reason = "cannot be read: No such file or directory"
    with pytest.raises(SourceError, match=r"at least 90% of the listed images; 53 of 60 .* image-000 \(cannot be read"):
        execute(training_set, project, anew=True)
    reason = "damaged: cut short"
    assert execute(training_set, project, anew=True).artifact.rows == 53, "a damaged image is not waited for"


def test_what_was_lost_and_came_out_otherwise_is_not_published(project: Project) -> None:
    """The heads of the same training set, nouns and settings are others: the ledger knows."""
    store = open_store(project)
    heads = store.require_current("cluster_heads").artifact
    record = json.loads((heads.folder / "artifact.json").read_text())
    del record["seal"]
    (heads.folder / "artifact.json").write_text(json.dumps({**record, "content": "another"}))
    said = run(project)
    assert "learned again from the same images, nouns and settings as those of ledger entry 1" in said[-1]
    assert Publication(store.published_folder).latest().number == 2
    assert publish(project, by_hand=True).version.number == 3
    assert "version 3 is this result" in run(project)[-1]
