"""Every kind of file of a store, harmed in every way: what `tac check` says, and that the next run heals it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from assets_helpers import materialize
from small_store import GROUPS, grouped_vectors, write_nouns, write_vectors

from assets.engine.execute import execute, open_store
from assets.graph import STEPS
from assets.lookups.keeping import advice, check
from assets.lookups.status import steps_to_run
from assets.orchestration.publishing import publish
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.store.keeping.check import Finding, Loss

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
