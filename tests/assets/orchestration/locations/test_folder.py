"""Many stores in one code location: a repository for each settings file."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from dagster_privately import loadable_targets_from_loaded_module

from assets.orchestration import run_liveness
from assets.orchestration.build import build_definitions
from assets.orchestration.locations import folder as locations
from assets.orchestration.locations.folder import STORE_VARIABLE, stores_in
from tac_pipeline.errors import SettingsError

Writer = Callable[..., Path]


@pytest.fixture
def stores(vector_store: Writer) -> Path:
    """A folder with the settings files of two stores."""
    path = vector_store({"store": "one"}, name="one.yaml")
    vector_store({"store": "two", "schedule.refresh": False}, name="two-of-them.yaml")
    return path.parent


def module(folder: Path, **about: Any) -> ModuleType:
    """The module of a code location, as `tac init --dagster` writes it."""
    found: Any = ModuleType("stores")
    found.__getattr__, found.__dir__ = stores_in(folder, **about)
    return found


def repositories(folder: Path, **about: Any) -> dict[str, dg.RepositoryDefinition]:
    """What Dagster finds in that module."""
    found = loadable_targets_from_loaded_module(module(folder, **about))
    return {target.attribute: target.target_definition for target in found}  # type: ignore[misc]


def test_each_store_is_a_repository_with_all_that_it_has_alone(stores: Path) -> None:
    found = repositories(stores, owners=["team:vision"])
    assert list(found) == ["one", "two_of_them"]
    alone = build_definitions(stores / "two-of-them.yaml").get_repository_def()
    together = found["two_of_them"]
    assert together.name == "two_of_them"
    for kind in ("job_names", "sensor_defs", "schedule_defs"):
        names = [getattr(one, "name", one) for one in getattr(alone, kind)]
        assert [getattr(one, "name", one) for one in getattr(together, kind)] == names
    assert together.asset_graph.get_all_asset_keys() == alone.asset_graph.get_all_asset_keys()
    keys = together.asset_graph.materializable_asset_keys
    assert {key.path[0] for key in keys} == {"two"}
    for key in keys:
        node = together.asset_graph.get(key)
        assert node.code_version == alone.asset_graph.get(key).code_version
        assert node.owners == ["team:vision"]


def test_a_run_makes_its_own_repository_alone(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def build(path: Path, **more: Any) -> dg.Definitions:
        made.append(path.name)
        return build_definitions(path, **more)

    monkeypatch.setattr(locations, "build_definitions", build)
    one = module(stores).one
    assert (made, one.has_job("grow")) == (["one.yaml"], True)


def test_a_settings_file_that_is_broken_takes_no_other_store_away(
    stores: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (stores / "one.yaml").write_text("store: one\nimages: {source: x}\nclusters: {count: 3}\nretrieval: {tau: -1}\n")
    found = repositories(stores)
    assert found["two_of_them"].has_job("grow")
    (asset,) = found["one"].asset_graph.get_all_asset_keys()
    told = found["one"].asset_graph.get(asset)
    assert not told.is_executable
    assert "one.yaml cannot be used" in str(told.description) and "retrieval.tau must be > 0" in str(told.description)
    assert "one.yaml is not loaded: retrieval.tau must be > 0" in caplog.text


def test_one_store_can_be_named(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("two_of_them", "two-of-them", "two-of-them.yaml"):
        monkeypatch.setenv(STORE_VARIABLE, name)
        assert list(repositories(stores)) == ["two_of_them"]
    monkeypatch.setenv(STORE_VARIABLE, "three")
    with pytest.raises(SettingsError, match=r"\$TAC_STORE must be .* such as one, two_of_them; got 'three'"):
        stores_in(stores)


def test_a_folder_without_settings_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`tac init SOURCE --store NAME` writes one"):
        stores_in(tmp_path)


def test_many_stores_take_turns(vector_store: Writer) -> None:
    def seconds(beside: int) -> dict[str, int | None]:
        found = build_definitions(path, beside=beside).sensors or ()
        return {sensor.name: sensor.minimum_interval_seconds for sensor in found}  # type: ignore[union-attr]

    path = vector_store()
    assert seconds(0) == seconds(4) == {"refresh": 15, "unfinished": 30, "dead_runs": 30, "history": 600}
    assert seconds(49) == {"refresh": 150, "unfinished": 300, "dead_runs": 300, "history": 6000}


def test_learning_shares_a_pool_and_growth_does_not(vector_store: Writer) -> None:
    found = build_definitions(vector_store())
    pools = {
        job: {node.definition.pool for node in found.resolve_job_def(job).graph.nodes}  # type: ignore[attr-defined]
        for job in ("grow", "recluster", "observe", "publish")
    }
    assert run_liveness.LEARNING_POOL in pools["recluster"]
    assert pools["grow"] == pools["observe"] == pools["publish"] == {None}
