"""The files of deploy/ against the code: commands, options, extras, variables, volumes; and no secret in them."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster_privately import WORKSPACE_CONFIG_SCHEMA, create_dagster_cli, create_dagster_daemon_cli
from small_store import REPOSITORY

from assets.orchestration.instance import IN_POSTGRES, POSTGRES, choose_postgres, prepare_home
from assets.serving.apart import LEAST_TOKEN, TOKEN_VARIABLE, main, parser, token_of
from tac_pipeline.cli import app
from tac_pipeline.errors import SettingsError, StoreError, UiError
from tac_pipeline.settings.project import SETTINGS_VARIABLE, load_project

DEPLOY = REPOSITORY / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXAMPLE = dict(
    line.split("=", 1)
    for line in (DEPLOY / "example.env").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def compose() -> dict[str, Any]:
    """The Compose file, its variables filled in from the example."""
    text = (DEPLOY / "docker-compose.yml").read_text(encoding="utf-8")

    def fill(match: "re.Match[str]") -> str:
        name, _, default = match[1].partition(":-")
        name = name.partition(":?")[0]
        return EXAMPLE.get(name) or default

    found: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{([^}]+)\}", fill, text))
    return found


SERVICES = compose()["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "tac-pipeline")


def understood(command: list[str]) -> None:
    """Whether a command line is one of ours or of Dagster's, with options that it has; parsed, and not run."""
    here = {"/etc/tac/workspace.yaml": str(DEPLOY / "workspace.yaml")}
    words = [Path(command[0]).name, *(here.get(word, word) for word in command[1:])]
    if words[:3] == ["python", "-m", "assets.serving.apart"]:
        parser().parse_args(words[3:])
        return
    if words[0] == "tac":
        from typer.main import get_command

        found: Any = get_command(app)
    else:
        found = {"dagster": create_dagster_cli, "dagster-daemon": create_dagster_daemon_cli}[words[0]]()
    rest = words[1:]
    while hasattr(found, "commands") and rest:
        found, rest = found.commands[rest[0]], rest[1:]
    found.make_context(words[0], list(rest), resilient_parsing=False).close()


@pytest.mark.parametrize("name", OURS)
def test_every_service_starts_a_command_that_there_is(name: str) -> None:
    # The image's own command is the one of the web server.
    understood(SERVICES[name]["command"])
    check = SERVICES[name].get("healthcheck", {})
    if "test" in check:
        understood(check["test"][1:])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_every_unit_starts_a_command_that_there_is(path: Path) -> None:
    [line] = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("ExecStart=")]
    understood(shlex.split(re.sub(r"\$\{(\w+)\}", lambda match: EXAMPLE[match[1]], line.removeprefix("ExecStart="))))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        # What is on a machine with the deployment alone: its programs.
        text = re.sub(
            r"^ExecStart=\S+", "ExecStart=/usr/bin/true", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    verify = ["systemd-analyze", "verify", *(str(tmp_path / path.name) for path in UNITS)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


def test_services_have_the_variables_that_are_read() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert set(service["environment"]) >= {*POSTGRES.values(), "TAC_LOCATION_HOST", "TAC_LOCATION"}, name
        assert SETTINGS_VARIABLE in service["environment"]
    assert [name for name in OURS if TOKEN_VARIABLE in SERVICES[name]["environment"]] == ["webserver"]
    database = SERVICES["postgres"]["environment"]
    ours = SERVICES["location"]["environment"]
    assert ours["DAGSTER_POSTGRES_HOST"] == "postgres"
    assert ours["TAC_LOCATION_HOST"] == "location"
    assert (ours["DAGSTER_POSTGRES_DB"], ours["DAGSTER_POSTGRES_USER"]) == (
        database["POSTGRES_DB"],
        database["POSTGRES_USER"],
    )
    [server] = yaml.safe_load((DEPLOY / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert set(server["grpc_server"]) <= set(_fields(WORKSPACE_CONFIG_SCHEMA)["grpc_server"].config_type.fields)
    ports = [command[command.index("--port") + 1] for command in (SERVICES["location"]["command"],)]
    assert ports == [str(server["grpc_server"]["port"])]


def _fields(schema: dict[str, Any]) -> Any:
    [choices] = [field for name, field in schema.items() if name == "load_from"]
    return choices.config_type.inner_type.fields


def test_services_are_closed() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["init"], name
        assert any(volume.endswith("/pictures:ro") for volume in service["volumes"]), name
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"webserver": ["127.0.0.1:3000:3000"]}
    assert "outside" not in SERVICES["postgres"]["networks"]
    volumes = {volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert {name for name in volumes if not name.startswith((".", "/"))} == set(compose()["volumes"])


def test_keys_of_an_object_store_are_for_the_process_that_reads_and_publishes() -> None:
    files = {name: service["env_file"] for name, service in SERVICES.items() if "env_file" in service}
    assert files == {"location": [{"path": "storage.env", "required": False}]}
    ignored = (REPOSITORY / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/deploy/.env", "/deploy/storage.env"} <= set(ignored)


def test_the_image_is_built_of_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    given = dict(re.findall(r"^ARG (\w+)=(\S*)$", text, flags=re.MULTILINE))
    assert {given["FAISS"], "gpu", *given["EXTRAS"].split(",")} <= set(extras["optional-dependencies"])
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, flags=re.MULTILINE) for name in line.split()}
    assert copied == allowed and all((REPOSITORY / name).exists() for name in copied)
    assert text.index("USER tac") < text.index("CMD [")
    arguments = set(SERVICES["prepare"]["build"]["args"])
    assert arguments <= set(re.findall(r"^ARG (\w+)", text, flags=re.MULTILINE))


def test_no_file_holds_a_secret() -> None:
    assert (EXAMPLE["TAC_UI_TOKEN"], EXAMPLE["DAGSTER_POSTGRES_PASSWORD"]) == ("", "")
    secret = re.compile(r"(?i)(?:password|token|secret)\w*\s*[:=]\s*(\S+)")
    for path in (*DEPLOY.rglob("*"), REPOSITORY / ".dockerignore"):
        if path.is_file():
            text = re.sub(r"\$\{[^}]*\}", "", path.read_text(encoding="utf-8"))
            found = [match[1] for line in text.splitlines() for match in secret.finditer(line)]
            assert [word for word in found if word not in ("tac-postgres", "false")] == [], path


def test_helm_has_one_location_on_the_same_paths() -> None:
    values = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text(encoding="utf-8"))
    [location] = values["dagster-user-deployments"]["deployments"]
    assert location["replicaCount"] == 1 and location["podSecurityContext"]["runAsNonRoot"]
    understood(["dagster", "code-server", "start", "--port", str(location["port"]), *location["codeServerArgs"]])
    mounted = {mount["name"]: mount["mountPath"] for mount in location["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in location["volumes"]}
    inside = {volume.split(":")[1] for volume in SERVICES["location"]["volumes"]}
    assert set(mounted.values()) == inside - {"/etc/tac/workspace.yaml"}
    assert values["global"]["dagsterHome"] == f"{mounted['data']}/.dagster"
    assert values["postgresql"]["postgresqlScheme"] in IN_POSTGRES
    limits = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]["tagConcurrencyLimits"]
    assert [limit["key"] for limit in limits] == ["tac/store", "tac/observe"]


def test_the_web_server_asks_for_a_token(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert main(["--workspace", "none.yaml"]) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {TOKEN_VARIABLE} must have {LEAST_TOKEN} characters or more; got 0"
    )
    with pytest.raises(UiError, match="got 3"):
        token_of({TOKEN_VARIABLE: "abc"})
    assert token_of({TOKEN_VARIABLE: "a" * LEAST_TOKEN}) == "a" * LEAST_TOKEN


def test_postgres_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tac.yaml").write_text("store: small\nimages: {source: pictures}\nclusters: {count: 3}\n")
    project = load_project(tmp_path / "tac.yaml")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for name in POSTGRES.values():
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=r"DAGSTER_POSTGRES_HOST, .*_PASSWORD must be set in the environment"):
        choose_postgres(project)
    home = project.data_folder / ".dagster"
    assert not home.exists()
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with pytest.raises(SettingsError, match="is yours"):
        choose_postgres(project)
    # What was chosen stays chosen: another history is not begun where the variables are missing.
    (home / "dagster.yaml").unlink()
    monkeypatch.setattr("assets.orchestration.instance._reach_postgres", lambda: None)
    choose_postgres(project)
    monkeypatch.undo()
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(StoreError, match="must be set"):
        prepare_home(project)
    assert f"storage: {IN_POSTGRES}" in (home / "dagster.yaml").read_text()
