"""A deployment without containers: Postgres, code location, daemon and guarded web server, each a process of its own.

The code location is killed in the middle of a run, then Postgres is away in the middle of another: each run goes on, or
fails and is taken up again by what is there for it.
"""

import os
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres import Postgres, postgres, programs
from ui_server import LAUNCH, Ui, clean_environment, write_store
from waiting import free_port, wait_for

pytestmark = pytest.mark.skipif(
    programs() is None, reason="Postgres is not installed: apt-get install --no-install-recommends postgresql"
)

# As `tac init --dagster` writes it, but for sensors that look ten times as often.
DEFINITIONS = """\
from pathlib import Path

from assets.orchestration import automation
from assets.orchestration.build import build_definitions

for name in ("build_unfinished_sensor", "build_watchman"):
    build = getattr(automation, name)
    setattr(automation, name, lambda project, pace, build=build: build(project, pace=0.1))
defs = build_definitions(Path(__file__).parent / "tac.yaml")
"""
RUNS = "{ runsOrError { ... on Runs { results { runId status parentRunId stats { ... on RunStatsSnapshot { \
materializations } } } } } }"
AWAY = 15.0


@dataclass
class Deployment:
    """The processes, by name, and what happened to them."""

    folder: Path
    environment: dict[str, str]
    commands: dict[str, list[str]]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        cpu = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        print(f"{time.monotonic() - self.began:6.1f} s, {cpu:5.1f} CPU s: {text}", flush=True)

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as sink:
            self.processes[name] = subprocess.Popen(
                self.commands[name],
                env=self.environment,
                cwd=self.folder,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """What the end of a container, or of a systemd unit, does to all of its processes, its runs included."""
        process = self.processes.pop(name)
        for pid in _session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(timeout=60)

    def alive(self) -> None:
        """Nobody ended that was not killed."""
        for name, process in self.processes.items():
            log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{log[-3000:]}"


def _session(leader: int) -> list[int]:
    """The processes of a session, its leader last."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            found.append(int(path.parent.name))
    return sorted(found, key=lambda pid: pid == leader)


@contextmanager
def deployed(folder: Path, database: Postgres) -> Iterator[tuple[Deployment, Ui]]:
    """All processes, from the first answer of the web server and the location's on."""
    settings, token = write_store(folder), secrets.token_hex(24)
    # What ends badly is taken up by `unfinished` as well, at the next minute.
    text = "seed: 0\n" + settings.read_text().replace("refresh: false", "refresh: true").replace("observe: null", "observe: '* * * * *'")
    settings.write_text(text)
    (folder / "definitions.py").write_text(DEFINITIONS)
    location, port = free_port(), free_port()
    environment = clean_environment(
        HOME=str(folder), TAC_UI_TOKEN=token, DAGSTER_HOME=str(folder / "data" / ".dagster"), **database.environment
    )
    python = [sys.executable, "-m"]
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {location}, location_name: small}}}}]\n"
    )
    at = ["--workspace", str(workspace)]
    deployment = Deployment(
        folder,
        environment,
        {
            "location": [*python, "dagster", "code-server", "start", "--host", "127.0.0.1", "--port", str(location),
                         "--python-file", "definitions.py", "--location-name", "small"],
            "daemon": [*python, "dagster._daemon", "run", *at],
            "webserver": [*python, "assets.serving.apart", *at, "--port", str(port)],
        },
    )  # fmt: skip
    asked = subprocess.run(
        [*python, "tac_pipeline.cli", "init", "--dagster", "--postgres", "-s", str(settings)],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    written = [path.read_text() for path in (folder / "dagster.yaml", folder / "data" / ".dagster" / "dagster.yaml")]
    assert all(text.count("\nstorage: {\"postgres") == 1 and database.password not in text for text in written)
    deployment.say("tac init --dagster --postgres")
    url = f"http://127.0.0.1:{port}"
    client = httpx.Client(base_url=url, timeout=120, headers={"Authorization": f"Bearer {token}"})
    try:
        deployment.start("location")
        deployment.start("webserver")
        with client:
            wait_for(lambda: _answers(deployment, client), what="the web server")
            assert httpx.get(f"{url}/server_info").status_code == 401
            ui = Ui(client, settings, folder / "webserver.log", port)
            _until_loaded(deployment, ui)
            deployment.start("daemon")
            deployment.say("all processes answer")
            yield deployment, ui
    finally:
        for name in list(deployment.processes):
            deployment.kill(name)


def _answers(deployment: Deployment, client: httpx.Client) -> bool | None:
    deployment.alive()
    try:
        return client.get("/server_info").is_success or None
    except httpx.TransportError:
        return None


def _until_loaded(deployment: Deployment, ui: Ui) -> None:
    """Until the location is there; Dagster's web server looks for one that went away by itself."""

    def loaded() -> bool | None:
        deployment.alive()
        [location] = ui.ask("{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }")["workspaceOrError"]["locationEntries"]
        there = location["locationOrLoadError"] or {}
        if there.get("__typename") == "PythonError":
            ui.reload()
        return there.get("__typename") == "RepositoryLocation" or None

    wait_for(loaded, what="the code location")


def _launch(ui: Ui) -> str:
    """Everything of the store, asked for through GraphQL as the button does."""
    repository = ui.location["locationOrLoadError"]["repositories"][0]["name"]
    names = [name for name, node in ui.assets().items() if node["isMaterializable"]]
    selector = {
        "repositoryName": repository,
        "repositoryLocationName": "small",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": ["small", name]} for name in names],
    }
    done = ui.ask(LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})["launchRun"]
    assert done["__typename"] == "LaunchRunSuccess", done
    return str(done["run"]["runId"])


def _runs(ui: Ui) -> dict[str, dict[str, Any]]:
    return {run["runId"]: run for run in ui.ask(RUNS)["runsOrError"]["results"]}


def _in_the_middle(deployment: Deployment, ui: Ui, run_id: str) -> None:
    def middle() -> bool | None:
        deployment.alive()
        run = _runs(ui)[run_id]
        assert run["status"] in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED"), run
        return run["stats"].get("materializations", 0) >= 2 or None

    wait_for(middle, what=f"two results of run {run_id}", pause=0.1)


def _fresh(deployment: Deployment, ui: Ui) -> bool | None:
    deployment.alive()
    going = [run for run in _runs(ui).values() if run["status"] not in ("SUCCESS", "FAILURE", "CANCELED")]
    return None if going or ui.stale() else True


def _tell(deployment: Deployment, ui: Ui) -> None:
    for run in reversed(_runs(ui).values()):
        parent = f", again of {run['parentRunId'][:8]}" if run["parentRunId"] else ""
        deployment.say(f"  run {run['runId'][:8]}: {run['status']}, {run['stats'].get('materializations')} results{parent}")


def test_a_run_outlasts_its_code_location_and_its_postgres(tmp_path: Path) -> None:
    with postgres() as database, deployed(tmp_path, database) as (deployment, ui):
        first = _launch(ui)
        _in_the_middle(deployment, ui, first)
        deployment.say(f"run {first[:8]} is in the middle; the code location is killed")
        deployment.kill("location")
        deployment.start("location")
        wait_for(lambda: _fresh(deployment, ui), what="the store to be whole after its location was killed")
        deployment.say("the store is whole")
        _tell(deployment, ui)

        ui.edit("seed: 0\n", "seed: 1\n")
        second = _launch(ui)
        _in_the_middle(deployment, ui, second)
        deployment.say(f"run {second[:8]} is in the middle; Postgres is stopped")
        database.stop()
        answer = ui.client.post("/graphql", json={"query": RUNS})
        deployment.say(f"asked meanwhile, the web server answers {answer.status_code}: {answer.text[:160]}")
        database.start()
        deployment.say("Postgres is back")
        wait_for(lambda: _fresh(deployment, ui), what="the store to be whole after Postgres was away")
        deployment.say("the store is whole")
        _tell(deployment, ui)
