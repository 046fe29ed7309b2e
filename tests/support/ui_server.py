"""A small store with its UI as `tac ui` starts it, the GraphQL that the UI itself speaks, and waiting with a bound."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from small_store import GROUPS, REPOSITORY, grouped_vectors, write_nouns, write_vectors
from waiting import PATIENCE, free_port, wait_for

TAU = "tau: 0.005"
SETTINGS = f"""\
store: small
images:
  source: images.parquet
  labels: column
nouns:
  source: nouns.parquet
clusters:
  count: {GROUPS}
semantic_centers:
  images_per_center: 10
retrieval:
  {TAU}
neighbors:
  count: 5
heads:
  epochs: 40        # few images make few steps an epoch
  batch_size: 20
# Trained heads take as long as their epochs say, and have a loss to show.
method: trained
# Nothing happens here but what a test does; test_automation.py has it otherwise.
schedule:
  observe: null
  recluster: null
  refresh: false
"""


def write_store(folder: Path) -> Path:
    """Vectors of three groups, nouns near each, labels, and the settings; returns the settings' path."""
    vectors, truth = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(len(vectors))]
    write_vectors(folder / "images.parquet", ids, vectors, [f"group {group}" for group in truth])
    write_nouns(folder / "nouns.parquet")
    path = folder / "tac.yaml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what points at somebody's own settings or instance, for this repository's code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "TAC_", "PYTHON"))}
    # One thread: two processes that spin for the same cores take many times as long.
    return {**kept, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **more}


@contextmanager
def serving(command: list[str], *, url: str, log: Path, env: dict[str, str]) -> Iterator[None]:
    """A webserver from its first answer on; at the end all that it started ends with it."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env=env, cwd=log.parent, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )

    def answers() -> bool | None:
        if process.poll() is not None:
            raise AssertionError(f"the webserver ended with code {process.returncode}:\n{log.read_text()}")
        try:
            return httpx.get(f"{url}/server_info", timeout=5).is_success or None
        except httpx.TransportError:
            return None

    try:
        wait_for(answers, what=f"{url}, which logs to {log}")
        yield
    finally:
        end_group(process)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C for the group, as a terminal gives it; then no mercy for what is left."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=20)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def tac_ui(settings: Path) -> Iterator["Ui"]:
    """`tac ui` on a store, its daemon included, in a Dagster instance of its own."""
    port, log = free_port(), settings.parent / "ui.log"
    command = [sys.executable, "-m", "tac_pipeline.cli", "ui", "--settings", str(settings), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (
        serving(command, url=url, log=log, env=clean_environment(HOME=str(settings.parent))),
        httpx.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        yield Ui(client, settings, log, port)


@dataclass(frozen=True)
class Ui:
    """A running UI, and what its pages ask of it."""

    client: httpx.Client
    settings: Path
    log: Path
    port: int

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    @property
    def location(self) -> dict[str, Any]:
        """The one code location: its name, and what loaded or why it did not."""
        [entry] = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        return dict(entry)

    def reload(self) -> dict[str, Any]:
        """The button "Reload definitions"; returns the location as it then is."""
        self.ask(RELOAD, name=self.location["name"])
        return self.location

    def edit(self, old: str, new: str) -> dict[str, Any]:
        """Edit the settings as a person does, and reload."""
        text = self.settings.read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.settings.write_text(text.replace(old, new), encoding="utf-8")
        return self.reload()

    def assets(self) -> dict[str, dict[str, Any]]:
        """Every asset node by the asset's name."""
        return {node["assetKey"]["path"][-1]: node for node in self.ask(ASSETS)["assetNodes"]}

    def stale(self) -> dict[str, str]:
        """The assets that are not fresh: {name: MISSING or STALE}."""
        nodes = self.ask(STALENESS)["assetNodes"]
        return {
            node["assetKey"]["path"][-1]: node["staleStatus"]
            for node in nodes
            if node["isMaterializable"] and node["staleStatus"] != "FRESH"
        }

    def checks(self) -> dict[str, dict[str, Any]]:
        """The last execution of every asset check, by the check's name."""
        found = {}
        for node in self.ask(CHECKS)["assetNodes"]:
            for check in node["assetChecksOrError"].get("checks", []):
                found[check["name"]] = {"asset": node["assetKey"]["path"][-1], **check}
        return found

    def materialize(self, names: list[str]) -> dict[str, Any]:
        """Select assets, press "Materialize", and wait for the run's end; returns the run."""
        repository = self.location["locationOrLoadError"]["repositories"][0]["name"]
        selector = {
            "repositoryName": repository,
            "repositoryLocationName": self.location["name"],
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["small", name]} for name in names],
        }
        launched = self.ask(LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return self.wait_for_run(launched["run"]["runId"])

    def wait_for_run(self, run_id: str) -> dict[str, Any]:
        """The run, once it has ended."""

        def ended() -> dict[str, Any] | None:
            run: dict[str, Any] = self.ask(RUN, run=run_id)["runOrError"]
            return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        return wait_for(ended, what=f"run {run_id} to end")

    def failures(self, run_id: str) -> dict[str, dict[str, Any]]:
        """What failed in a run, by step: the error and the words that the UI puts beside the step."""
        events = self.ask(EVENTS, run=run_id)["logsForRun"]["events"]
        return {event["stepKey"]: event for event in events if event["__typename"] == "ExecutionStepFailureEvent"}


LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  __typename
  ... on RepositoryLocation { repositories { name jobs { name description } } }
  ... on PythonError { message className causes { message className } }
} } } } }
"""

RELOAD = "mutation Reload($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"

ASSETS = """
{ assetNodes {
  assetKey { path } groupName kinds description opVersion jobNames isMaterializable isObservable staleStatus
  dependencyKeys { path }
  metadataEntries { label ... on TableSchemaMetadataEntry { schema { columns { name type description } } } }
  assetMaterializations(limit: 1) { runId metadataEntries {
    label __typename
    ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue } ... on BoolMetadataEntry { boolValue }
    ... on TextMetadataEntry { text } ... on PathMetadataEntry { path } ... on JsonMetadataEntry { jsonString }
    ... on MarkdownMetadataEntry { mdStr }
  } }
} }
"""

STALENESS = "{ assetNodes { assetKey { path } isMaterializable staleStatus } }"

CHECKS = """
{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
  name description blocking executionForLatestMaterialization { status evaluation { severity description } }
} } } } }
"""

LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }
"""

RUN = "query Run($run: ID!) { runOrError(runId: $run) { ... on Run { runId status } } }"

EVENTS = """
query Events($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  __typename
  ... on ExecutionStepFailureEvent {
    stepKey message errorSource failureMetadata { description } error { message className stack causes { message } }
  }
} } } }
"""
