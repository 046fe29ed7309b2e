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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres import Postgres, postgres, programs
from ui_server import LAUNCH, Ui, clean_environment, write_store
from waiting import free_port, wait_for

from assets.lookups.status import State, family_status
from assets.orchestration.instance import prepare_home
from assets.orchestration.run_liveness import STORE_TAG
from tac_pipeline.errors import StoreError
from tac_pipeline.settings.project import load_project

pytestmark = pytest.mark.skipif(
    programs() is None, reason="Postgres is not installed: apt-get install --no-install-recommends postgresql"
)

# As `tac init --dagster` writes it, but the sensors look ten times as often, and learning is taken up at once.
DEFINITIONS = """\
from pathlib import Path

from assets.orchestration import automation
from assets.orchestration.build import build_definitions
from assets.orchestration.upkeep import unfinished

for name in ("build_unfinished_sensor", "build_watchman"):
    build = getattr(automation, name)
    setattr(automation, name, lambda project, pace, build=build: build(project, pace=0.1))
unfinished._due_at = lambda project, ended, looks: ended
defs = build_definitions(Path(__file__).parent / "tac.yaml")
"""
START = """
mutation Start($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }
"""
RUNS = "{ runsOrError { ... on Runs { results { runId status parentRunId stats { ... on RunStatsSnapshot { \
materializations } } } } } }"
LOCATION = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Deployment:
    """The processes, by name, and what happened to them."""

    folder: Path
    environment: dict[str, str]
    commands: dict[str, list[str]]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    # What killed processes used that nobody waited for.
    lost: float = 0.0

    def say(self, text: str) -> None:
        going = sum(_cpu(pid) for process in self.processes.values() for pid in _session(process.pid))
        cpu = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) + self.lost + going
        sys.stdout.write(f"{time.monotonic() - self.began:6.1f} s, {cpu:5.1f} CPU s: {text}\n")
        sys.stdout.flush()

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
            self.lost += _cpu(pid) if pid != process.pid else 0.0
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


def _cpu(pid: int) -> float:
    """The CPU seconds of a process and of the children that it waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICK


@contextmanager
def deployed(folder: Path, database: Postgres) -> Iterator[tuple[Deployment, Ui]]:
    """All processes, from the first answer of the web server and the location's on."""
    settings, token = write_store(folder), secrets.token_hex(24)
    settings.write_text(settings.read_text().replace("method: trained", "method: robust"))
    (folder / "definitions.py").write_text(DEFINITIONS)
    location, port = free_port(), free_port()
    environment = clean_environment(
        HOME=str(folder), TAC_UI_TOKEN=token, DAGSTER_HOME=str(folder / "data" / ".dagster"), **database.environment
    )
    python = [sys.executable, "-m"]
    workspace = folder / "workspace.yaml"
    workspace.write_text(f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {location}, location_name: small}}}}]\n")
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
    assert all(text.count('\nstorage: {"postgres') == 1 and database.password not in text for text in written)
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
    """Until the location is there."""

    def loaded() -> bool | None:
        deployment.alive()
        [location] = ui.ask(LOCATION)["workspaceOrError"]["locationEntries"]
        there = location["locationOrLoadError"] or {}
        if there.get("__typename") == "PythonError":
            ui.reload()
        return there.get("__typename") == "RepositoryLocation" or None

    wait_for(loaded, what="the code location")


def _repository(ui: Ui) -> str:
    return str(ui.location["locationOrLoadError"]["repositories"][0]["name"])


def _launch(ui: Ui) -> str:
    """Everything of the store, asked for through GraphQL as the page does."""
    names = [name for name, node in ui.assets().items() if node["isMaterializable"]]
    selector = {
        "repositoryName": _repository(ui),
        "repositoryLocationName": "small",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": ["small", name]} for name in names],
    }
    # As what the sensors ask for: `unfinished` leaves alone what a person picked.
    tags = {"tags": [{"key": STORE_TAG, "value": "small"}]}
    params = {"selector": selector, "runConfigData": {}, "mode": "default", "executionMetadata": tags}
    done = ui.ask(LAUNCH, params=params)["launchRun"]
    assert done["__typename"] == "LaunchRunSuccess", done
    return str(done["run"]["runId"])


def _runs(ui: Ui) -> dict[str, dict[str, Any]]:
    return {run["runId"]: run for run in ui.ask(RUNS)["runsOrError"]["results"]}


def _in_the_middle(deployment: Deployment, ui: Ui, find: Callable[[dict[str, Any]], bool]) -> str:
    """The run, from its second result on."""

    def middle() -> str | None:
        deployment.alive()
        found = [run for run in _runs(ui).values() if find(run)]
        assert all(run["status"] not in ENDED for run in found), found
        return next((run["runId"] for run in found if run["stats"].get("materializations", 0) >= 2), None)

    return wait_for(middle, what="two results of a run", pause=0.1)


def _whole(deployment: Deployment, ui: Ui) -> bool | None:
    """Whether all runs have ended and every artifact is there for the settings of today."""
    deployment.alive()
    if any(run["status"] not in ENDED for run in _runs(ui).values()):
        return None
    found = family_status(load_project(ui.settings))
    return all(status.state == State.FRESH for _, own in found for status in own) or None


def _refusal(settings: Path) -> str:
    """What `tac` says before it starts anything."""
    with pytest.raises(StoreError) as told:
        prepare_home(load_project(settings))
    return str(told.value)


def test_a_run_outlasts_its_code_location_and_its_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres() as database, deployed(tmp_path, database) as (deployment, ui):
        first = _launch(ui)
        _in_the_middle(deployment, ui, lambda run: run["runId"] == first)
        deployment.say(f"run {first[:8]} is in the middle: the code location is killed, with the run")
        deployment.kill("location")
        deployment.start("location")
        again = _in_the_middle(deployment, ui, lambda run: run["parentRunId"] == first)
        assert _runs(ui)[first]["status"] == "FAILURE"
        # Not before: it would take up the first run beside Dagster's own second try, as it waits for no look here.
        sensor = {"repositoryName": _repository(ui), "repositoryLocationName": "small", "sensorName": "unfinished"}
        assert ui.ask(START, sensor=sensor)["startSensor"]["__typename"] == "Sensor"
        deployment.say(
            f"run {first[:8]} is marked as failed, and run {again[:8]} is in the middle: Postgres is stopped"
        )

        database.stop()
        answer = ui.client.post("/graphql", json={"query": RUNS})
        assert answer.status_code == 500 and answer.json()["errors"]
        deployment.say(f"the web server answers {answer.status_code}: {answer.json()['errors'][0]['message'][:60]!r}")
        for name, value in {"DAGSTER_HOME": str(tmp_path / "data" / ".dagster"), **database.environment}.items():
            monkeypatch.setenv(name, value)
        told = _refusal(ui.settings)
        assert told.startswith(f"Dagster's history is in Postgres, which must answer at 127.0.0.1:{database.port}; ")
        assert database.password not in told
        deployment.say(f"`tac run` says: {told}")
        database.start()
        deployment.say("Postgres is back")

        wait_for(lambda: _whole(deployment, ui), what="the store to be whole")
        deployment.say("no run is going on, and every artifact is there")
        for run in reversed(_runs(ui).values()):
            parent = f", in place of {run['parentRunId'][:8]}" if run["parentRunId"] else ""
            results = run["stats"].get("materializations")
            deployment.say(f"run {run['runId'][:8]}: {run['status']}, {results} results{parent}")
        assert (tmp_path / "data" / "small" / "published" / "latest").exists()
