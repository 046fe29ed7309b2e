"""Assets that every store shares: one version for all, what is current for each, and never two builds at once."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tac_pipeline.store.artifacts import Artifact, Store

EMPTY: dict[str, Any] = {
    "content": None,
    "rows": 1,
    "seconds": 0.0,
    "links": {},
    "values": {},
    "inputs": {},
    "facts": {},
    "notes": {},
}


def commit(store: Store, asset: str, recipe: str, text: str = "some text", *, shared: bool | None = None) -> Artifact:
    shared = asset == "nouns" if shared is None else shared
    with store.building(shared=shared), store.scratch(asset, shared=shared) as folder:
        (folder / "file.txt").write_text(text)
        return store.commit(asset, recipe, folder, EMPTY, shared=shared)


def use(store: Store, artifact: Artifact | None) -> None:
    assert artifact is not None
    time.sleep(0.01)  # what was used later has a later time in every file system
    store.make_current(artifact, version="v", written={})


@pytest.fixture
def cats(tmp_path: Path) -> Store:
    return Store(tmp_path / "cats")


@pytest.fixture
def dogs(tmp_path: Path) -> Store:
    return Store(tmp_path / "dogs")


def test_what_one_store_made_every_store_finds(cats: Store, dogs: Store, tmp_path: Path) -> None:
    made = commit(cats, "nouns", "r1")
    assert made.folder == tmp_path / ".shared" / "nouns" / "r1"
    found = dogs.find("nouns", "r1")
    assert found is not None
    assert found.file("file.txt").read_text() == "some text"
    assert (found.content, found.damage()) == (made.content, None)
    assert [artifact.recipe for artifact in dogs.versions("nouns")] == ["r1"]


def test_what_is_current_stays_each_stores_own(cats: Store, dogs: Store) -> None:
    for recipe in ("r1", "r2"):
        use(cats, commit(cats, "nouns", recipe))
    assert dogs.current("nouns") is None
    use(dogs, dogs.find("nouns", "r1"))
    assert cats.require_current("nouns").artifact.recipe == "r2"
    assert dogs.require_current("nouns").artifact.recipe == "r1"


def test_other_assets_stay_in_their_store(cats: Store, dogs: Store, tmp_path: Path) -> None:
    assert commit(cats, "heads", "r1").folder == tmp_path / "cats" / "heads" / "r1"
    assert dogs.find("heads", "r1") is None
    assert not (tmp_path / ".shared").exists()


def test_pruning_never_removes_what_another_store_points_to(cats: Store, dogs: Store) -> None:
    use(dogs, commit(dogs, "nouns", "r0"))
    for recipe in ("r1", "r2", "r3"):
        use(cats, commit(cats, "nouns", recipe))
    assert cats.prune("nouns", keep=1, shared=True) == ["r2", "r1"]
    assert dogs.require_current("nouns").artifact.damage() is None
    use(dogs, dogs.find("nouns", "r3"))
    assert dogs.prune("nouns", keep=1, shared=True) == ["r0"]
    assert cats.require_current("nouns").artifact.damage() is None


def test_a_pointer_that_cannot_be_read_does_not_stop_pruning(cats: Store, dogs: Store) -> None:
    use(dogs, commit(dogs, "nouns", "r0"))
    (dogs.folder / "nouns" / "current.json").write_text("not json")
    use(cats, commit(cats, "nouns", "r1"))
    assert cats.prune("nouns", keep=1, shared=True) == ["r0"]


def test_a_version_from_before_sharing_is_found_in_the_stores_own_folder(cats: Store, tmp_path: Path) -> None:
    use(cats, commit(cats, "nouns", "r1", "made before", shared=False))
    current = cats.require_current("nouns").artifact
    assert current.file("file.txt").read_text() == "made before"
    use(cats, commit(cats, "nouns", "r2"))
    assert [artifact.recipe for artifact in cats.versions("nouns")] == ["r2", "r1"]
    assert cats.prune("nouns", keep=1, shared=True) == ["r1"]
    assert not current.folder.exists()
    assert cats.require_current("nouns").artifact.recipe == "r2"


def test_a_recipe_in_the_stores_own_folder_and_among_the_shared_is_one_version(
    cats: Store, dogs: Store, tmp_path: Path
) -> None:
    commit(cats, "nouns", "r1", shared=False)
    commit(dogs, "nouns", "r1")
    use(cats, commit(cats, "nouns", "r2"))
    assert [artifact.recipe for artifact in cats.versions("nouns")] == ["r2", "r1"]
    assert cats.prune("nouns", keep=2, shared=True) == []
    while cats.prune("nouns", keep=1, shared=True):
        pass
    assert cats.find("nouns", "r1") is None
    assert cats.require_current("nouns").artifact.damage() is None


def test_a_damaged_shared_version_is_replaced_for_all(cats: Store, dogs: Store) -> None:
    made = commit(cats, "nouns", "r1")
    use(cats, made)
    (made.folder / "file.txt").write_text("cut")
    commit(dogs, "nouns", "r1")
    assert cats.require_current("nouns").artifact.damage() is None


def test_sweeping_goes_where_the_asset_is_built(cats: Store, tmp_path: Path) -> None:
    own, shared = (tmp_path / home / ".scratch" / "killed" for home in ("cats", ".shared"))
    for left in (own, shared):
        left.mkdir(parents=True)
    cats.sweep_scratch()
    assert (own.exists(), shared.exists()) == (False, True)
    own.mkdir()
    cats.sweep_scratch(shared=True)
    assert (own.exists(), shared.exists()) == (True, False)


def run_python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another process with its own store: argv is the data folder and then the store's name."""
    head = "import sys, time\nfrom pathlib import Path\nfrom tac_pipeline.store.artifacts import Store\n"
    head += "data = Path(sys.argv[1])\nstore = Store(data / sys.argv[2])\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


HOLD = """
with store.building(shared=sys.argv[3] == 'nouns'):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("held", "wanted", "waits_in"),
    [("nouns", "nouns", ".shared"), ("nouns", "heads", None), ("heads", "nouns", None), ("heads", "heads", None)],
)
def test_another_store_is_waited_for_where_both_build_what_they_share(
    dogs: Store, tmp_path: Path, held: str, wanted: str, waits_in: str | None
) -> None:
    holder = run_python(HOLD, tmp_path, "cats", held)
    told: list[str] = []
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def end_wait(text: str) -> None:
            told.append(text)
            holder.kill()

        shared = wanted == "nouns"
        with dogs.building(shared=shared, on_wait=end_wait), dogs.building(shared=shared):
            pass
        where = f"waiting for the store's lock: process {holder.pid} is building in {tmp_path}"
        assert told == ([] if waits_in is None else [f"{where}/{waits_in}. This run goes on when it ends"])
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


COUNT = """
for _ in range(5):
    with store.building(shared=True):
        number = int((data / "count").read_text())
        time.sleep(0.01)
        (data / "count").write_text(str(number + 1))
"""


def test_processes_that_build_what_they_share_take_turns(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    counters = [run_python(COUNT, tmp_path, name) for name in ("cats", "dogs", "cats")]
    assert [counter.wait(timeout=60) for counter in counters] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "15"
    for counter in counters:
        assert counter.stdout is not None
        counter.stdout.close()
