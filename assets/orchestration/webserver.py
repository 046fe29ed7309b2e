"""Finding the UI of a Dagster instance, and asking it to read the settings again.

Another program may now use the address where a UI was; it is asked only if it names this instance.
A code location keeps the settings that it was loaded with; Dagster reads them again only when asked.
"""

import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tac_pipeline.files import replacing

ADDRESS_NAME = "ui.json"
# In the environment of a UI and of all that it starts: the process of `tac ui`.
UI_VARIABLE = "TAC_UI"
ANSWER_SECONDS = 5.0
RELOAD_SECONDS = 120.0  # it imports the code again

# Nothing listens there, or it is not Dagster.
_NO_ANSWER = (OSError, HTTPException, YAMLError, ValueError, LookupError, TypeError, AttributeError)

_LOCATIONS = "{ instance { info } workspaceOrError { ... on Workspace { locationEntries { name } } } }"
_RELOAD = """
mutation Reload($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
  __typename
  ... on WorkspaceLocationEntry { locationOrLoadError { ... on PythonError { message } } }
  ... on Error { message }
} }
"""


@dataclass(frozen=True)
class RunningUi:
    """A UI that runs, as its note tells; only its user can read the note.

    Parameters
    ----------
    url : str
        Where this machine finds it.
    pid : int, optional
        The process of `tac ui`.
    settings : tuple of str
        The settings files of its stores.
    key : str, optional
        What shows that a request comes from its own user's commands.
    link : str
        What a person opens; the token is in it, if there is one.
    asked : dict
        The options that it was started with; empty in the note of an earlier version.
    """

    url: str
    pid: int | None = None
    settings: tuple[str, ...] = ()
    key: str | None = None
    link: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def at(
        cls, host: str, port: int, *, pid: int, settings: tuple[str, ...], key: str, token: str | None
    ) -> "RunningUi":
        """The UI that listens at a host and a port."""
        # A UI that listens on all addresses is found on this one.
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
        url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
        return cls(url, pid, settings, key, f"{url}/?token={token}" if token else url)


def note_ui(home: Path, ui: RunningUi) -> None:
    """Write down the UI of an instance, for commands that ask it something; nobody else may read it."""
    with replacing(home / ADDRESS_NAME) as aside:
        aside.touch(mode=0o600, exist_ok=False)
        aside.write_text(json.dumps(asdict(ui)), encoding="utf-8")


def find_ui(home: Path) -> RunningUi | None:
    """The UI of an instance as its note tells, whether it still runs or not; None when there is no note."""
    try:
        note = json.loads((home / ADDRESS_NAME).read_text(encoding="utf-8"))
        url = str(note["url"])
        pid, key = note.get("pid"), note.get("key")
        settings = tuple(str(path) for path in note.get("settings", ()))
        asked, link = dict(note.get("asked") or {}), str(note.get("link") or url)
        return RunningUi(url, pid, settings, None if key is None else str(key), link, asked)
    except _NO_ANSWER:
        return None


def lives(pid: int | None) -> bool:
    """Whether a process of this machine goes on."""
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid is not None


def reload_location(home: Path, store: str) -> str | None:
    """Ask the UI of an instance to read a store's settings again.

    Returns
    -------
    str or None
        The outcome, in words; None when no UI runs on this instance.
    """
    ui = find_ui(home)
    if ui is None:
        return None
    try:
        answer = _ask(ui, _LOCATIONS, {}, ANSWER_SECONDS)
        names = [str(entry["name"]) for entry in answer["workspaceOrError"]["locationEntries"]]
        if _home_of(answer["instance"]["info"]) != home.resolve():
            return None
    except _NO_ANSWER:
        return None
    # `tac ui` names a location after its store; in a user's own workspace it may have any name.
    problems = {name: _reload(ui, name) for name in ([name for name in names if name == store] or names)}
    if not problems:
        return None
    told = "; ".join(f"{name}: {problem}" for name, problem in problems.items() if problem)
    if told:
        return f"the UI at {ui.url} could not reload {told}"
    return f"the UI at {ui.url} has read the settings again"


def _home_of(info: str) -> Path:
    """The home of the instance that a UI runs on, from its reported configuration."""
    config = YAML(typ="safe", pure=True).load(str(info))
    return Path(config["local_artifact_storage"]["config"]["base_dir"]).resolve()


def _reload(ui: RunningUi, name: str) -> str | None:
    """Reload a location; returns the error in one line, or None."""
    try:
        answer = _ask(ui, _RELOAD, {"name": name}, RELOAD_SECONDS)["reloadRepositoryLocation"]
        if answer["__typename"] != "WorkspaceLocationEntry":
            return str(answer.get("message") or answer["__typename"])
        problem = (answer["locationOrLoadError"] or {}).get("message")
        return str(problem).strip().splitlines()[-1] if problem else None
    except _NO_ANSWER as failure:
        return str(failure) or type(failure).__name__


def _ask(ui: RunningUi, query: str, variables: dict[str, Any], seconds: float) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {ui.key}"} if ui.key else {})}
    request = urllib.request.Request(f"{ui.url}/graphql", body, headers)
    # A proxy for the outside world cannot reach this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as answer:
        reply = json.load(answer)
    if reply.get("errors"):
        raise ValueError(reply["errors"][0]["message"])
    data: dict[str, Any] = reply["data"]
    return data
