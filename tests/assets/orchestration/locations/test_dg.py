"""Dagster's own command line in a folder that `tac init --dagster` made a project of."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from small_store import REPOSITORY
from ui_server import clean_environment

from assets.orchestration.locations.project_files import write_project_files
from tac_pipeline.settings.project import load_project

pytest.importorskip("dagster_dg_cli", reason="Dagster's command line is in the extra dg")


def dg_prints(folder: Path, *arguments: str, **environment: str) -> str:
    """What `dg` prints in a folder; it must succeed."""
    command = [sys.executable, "-m", "dagster_dg_cli.cli", *arguments]
    env = clean_environment(HOME=str(folder), PATH=os.environ["PATH"], **environment)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dg_knows_a_folder_and_its_runs_are_in_the_history_of_tac(vector_store: Callable[..., Path]) -> None:
    path = vector_store()
    project = load_project(path)
    write_project_files(project, many=False)
    dg_prints(path.parent, "launch", "--assets", 'key:"small/candidate_nouns"')
    with dg.DagsterInstance.from_config(str(project.data_folder / ".dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS


def test_dg_lists_one_store_of_many(vector_store: Callable[..., Path]) -> None:
    path = vector_store({"store": "one"}, name="one.yaml")
    vector_store({"store": "two"}, name="two.yaml")
    write_project_files(load_project(path), many=True)
    told = json.loads(dg_prints(path.parent, "list", "defs", "--json", TAC_STORE="two"))
    assert {asset["asset_key"].partition("/")[0] for asset in told["assets"]} == {"two"}
    assert {job["name"] for job in told["jobs"]} >= {"grow", "recluster", "set_settings"}


def test_dg_checks_the_repository_s_own_definitions() -> None:
    assert "All definitions loaded successfully." in dg_prints(REPOSITORY, "check", "defs")
