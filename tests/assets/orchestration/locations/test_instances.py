"""One Dagster instance for `tac` and for Dagster's own commands, and a sentence where it is another one."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from ruamel.yaml import YAML
from small_store import REPOSITORY

from assets.orchestration.build import build_definitions
from assets.orchestration.instance import HOME_VARIABLE, dagster_home, settings_here
from assets.orchestration.locations import instances
from assets.orchestration.locations.project_files import write_project_files
from assets.orchestration.locations.workspace import write_workspace
from assets.orchestration.webserver import UI_VARIABLE, RunningUi, note_ui
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "_said", set())
    monkeypatch.delenv(UI_VARIABLE, raising=False)


def shown(path: Path, instance: dg.DagsterInstance) -> set[str]:
    """What assets say of the instance when their code location is loaded under it."""
    with instance:
        found = build_definitions(path).resolve_all_asset_specs()
    return {spec.metadata["another instance"].value for spec in found if "another instance" in spec.metadata}


def test_the_repository_s_own_file_is_the_one_that_is_written() -> None:
    text = (REPOSITORY / "dagster.yaml").read_text(encoding="utf-8")
    assert text == settings_here(Path("data/.dagster"))
    # A location's name, too, is part of what Dagster remembers by.
    store = load_project(REPOSITORY / "tac.yaml").settings.store
    (entry,) = YAML(typ="safe").load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert entry["python_module"]["location_name"] == store
    assert f'code_location_name = "{store}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_dagster_s_commands_in_the_folder_use_the_instance_of_tac(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_privately import get_possibly_temporary_instance_for_cli

    path = vector_store()
    project = load_project(path)
    write_project_files(project, many=False)
    monkeypatch.chdir(path.parent)
    with get_possibly_temporary_instance_for_cli("dagster dev") as instance:
        assert Path(instance.root_directory).resolve() == dagster_home(project)
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        instance.add_run(dg.DagsterRun(job_name="grow", run_id="1"))
        assert shown(path, instance) == set()
    with dg.DagsterInstance.from_config(str(dagster_home(project))) as ours:
        assert [run.run_id for run in ours.get_runs()] == ["1"]


def test_another_instance_is_told_once_and_shown(
    vector_store: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, home = vector_store(), tmp_path / "theirs"
    home.mkdir()
    with caplog.at_level(logging.WARNING, "dagster"):
        (told,) = shown(path, dg.DagsterInstance.from_config(str(home)))
        shown(path, dg.DagsterInstance.from_config(str(home)))
    assert told.startswith(f"this code location runs on the Dagster instance in {home}, and `tac` uses the one in ")
    assert told.endswith(f"or set DAGSTER_HOME={dagster_home(load_project(path))}")
    assert [record.getMessage() for record in caplog.records if "code location" in record.getMessage()] == [told]


def test_no_instance_of_a_test_or_a_command_is_told(vector_store: Writer) -> None:
    path = vector_store()
    assert shown(path, dg.DagsterInstance.ephemeral()) == set()
    assert "another instance" not in {
        key for spec in build_definitions(path).resolve_all_asset_specs() for key in spec.metadata
    }


def test_two_daemons_are_told(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vector_store()
    home = dagster_home(load_project(path))
    home.mkdir(parents=True)
    note_ui(home, RunningUi.at("127.0.0.1", 3000, pid=os.getpid(), settings=(str(path),), key="k", token=None))
    instance = dg.DagsterInstance.from_config(str(home))
    assert shown(path, instance) == set()
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")
    (told,) = shown(path, dg.DagsterInstance.from_config(str(home)))
    assert told.startswith(f"`tac ui` (process {os.getpid()}, http://127.0.0.1:3000) runs on this Dagster instance too")
    monkeypatch.setenv(UI_VARIABLE, str(os.getpid()))
    assert shown(path, dg.DagsterInstance.from_config(str(home))) == set()


def test_the_home_of_an_env_file_is_the_one_that_dagster_takes(
    vector_store: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load_project(vector_store())
    assert dagster_home(project) == project.data_folder / ".dagster"
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "shell"))
    assert dagster_home(project) == tmp_path / "shell"
    (project.path.parent / ".env").write_text(f'OTHER=1\nDAGSTER_HOME="{tmp_path}/file"\n')
    assert dagster_home(project) == tmp_path / "file"


def test_what_people_wrote_is_left(vector_store: Writer) -> None:
    project = load_project(vector_store())
    folder = project.path.parent
    (folder / "workspace.yaml").write_text("load_from: []\n")
    (folder / "definitions.py").write_text("defs = None\n")
    done = write_project_files(project, many=False)
    assert [path.name for path in done.left] == ["workspace.yaml", "definitions.py"]
    assert [path.name for path in done.written] == ["dagster.yaml", "dg.toml"]
    assert (folder / "workspace.yaml").read_text() == "load_from: []\n"
    # A file of theirs is not the location that `tac ui` opens.
    assert "definitions.py" not in write_workspace([project]).read_text()


def test_tac_ui_opens_the_module_that_people_may_have_edited(vector_store: Writer) -> None:
    project = load_project(vector_store())
    folder = project.path.parent
    write_project_files(project, many=False)
    assert str(folder / "definitions.py") in write_workspace([project]).read_text()
    other = load_project(vector_store({"store": "other"}, name="other.yaml"))
    assert "definitions.py" not in write_workspace([other]).read_text()
    everything: Any = YAML(typ="safe").load(write_workspace([project, other], folder=folder).read_text())
    assert [entry["python_file"]["location_name"] for entry in everything["load_from"]] == ["stores"]
    write_project_files(project, many=True)
    assert str(folder / "stores.py") in write_workspace([project, other], folder=folder).read_text()
