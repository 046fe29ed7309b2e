"""The Dagster instance that the command line, the UI, the daemon and Dagster's own commands share."""

import json
import os
from pathlib import Path

from assets.orchestration.dagster_internals import make_books
from tac_pipeline.errors import SettingsError, StoreError, first_few
from tac_pipeline.files import hold_lock, write_atomically
from tac_pipeline.settings.project import Project

HOME_VARIABLE = "DAGSTER_HOME"
HOME_NAME = ".dagster"
SETTINGS_NAME = "dagster.yaml"
ENV_NAME = ".env"
# No telemetry, no sign-up dialog in front of the graph, and runs start soon after the button is pressed.
MARK = "# Written by tac, and kept up to date by it while this line stands."
INSTANCE_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_queue:
  dequeue_interval_seconds: 1
concurrency:
  runs:
    tag_concurrency_limits:
      # A store's lock lets one run build at a time; the others should not wait in memory.
      - key: tac/store
        value:
          applyLimitPerUniqueValue: true
        limit: 1
      # A source that takes long to list is listed by one run at a time.
      - key: tac/observe
        value:
          applyLimitPerUniqueValue: true
        limit: 1
  pools:
    # Learning takes every core: of the stores of an instance, one learns at a time, and the others wait in the queue.
    # `dagster instance concurrency set learning 2` lets two.
    granularity: run
    default_limit: 1
# A store looks at itself some thousand times a day; what it decided then is kept for a while.
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days:
      skipped: 1
      success: 30
      failure: 30
      started: 30
  auto_materialize:
    purge_after_days:
      skipped: 1
      success: 30
      failure: 30
      started: 30
# A killed run is started again once and continues; a failed step is not tried again until something changes.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
"""
# Beside a settings file, for Dagster's commands that are started there without DAGSTER_HOME.
HERE_NAME = SETTINGS_NAME
MARK_HERE = "# Written by `tac init --dagster`, and written again by it while this line stands."
HERE = f"""\
{MARK_HERE}
# `dagster dev`, `dg dev` and `dg launch` read this file where they are started, if DAGSTER_HOME is not set. It names
# the instance of `tac`: its history, its state and its logs. Paths start at this folder.
"""


# Where the history is in Postgres: what Dagster takes from the environment, so that no password is in a file.
POSTGRES = {
    "hostname": "DAGSTER_POSTGRES_HOST",
    "port": "DAGSTER_POSTGRES_PORT",
    "db_name": "DAGSTER_POSTGRES_DB",
    "username": "DAGSTER_POSTGRES_USER",
    "password": "DAGSTER_POSTGRES_PASSWORD",
}
_DATABASE = {
    **{key: {"env": name} for key, name in POSTGRES.items()},
    # The driver that dagster-postgres brings. From SQLAlchemy 2.1 on, `postgresql` alone means another one.
    "scheme": "postgresql+psycopg2",
}
IN_POSTGRES = json.dumps({"postgres": {"postgres_db": _DATABASE}})
REACH_SECONDS = 10


def instance_settings(home: Path, *, postgres: bool = False) -> str:
    """The settings of the instance in a folder, as its dagster.yaml."""
    storage = f"storage: {IN_POSTGRES}\n" if postgres else ""
    return f"{MARK}\n{INSTANCE_SETTINGS}{storage}{_compute_logs(home)}"


def in_postgres(home: Path) -> bool:
    """Whether the history of the instance in a folder is in Postgres, as `tac init --dagster --postgres` chose."""
    settings = home / SETTINGS_NAME
    return settings.is_file() and f"storage: {IN_POSTGRES}\n" in settings.read_text(encoding="utf-8")


def choose_postgres(project: Project) -> None:
    """Keep the history of a store's instance in Postgres from now on.

    Raises
    ------
    SettingsError
        People wrote the dagster.yaml of the instance themselves.
    StoreError
        Postgres cannot be used, or the folder cannot be written.
    """
    home = dagster_home(project)
    settings = home / SETTINGS_NAME
    if settings.exists() and not begins(settings, MARK):
        raise SettingsError(f"{settings} is yours: write its section `storage` there, or remove the file")
    _reach_postgres()
    try:
        home.mkdir(parents=True, exist_ok=True)
        write_atomically(settings, instance_settings(home, postgres=True))
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror}. Set `data` to a folder that can be.") from error


def _reach_postgres() -> None:
    """Refuse in a sentence what Dagster would tell by a trace.

    Raises
    ------
    StoreError
        A variable or the package is missing, or Postgres does not answer.
    """
    missing = [name for name in POSTGRES.values() if not os.environ.get(name)]
    if missing:
        raise StoreError(
            f"Dagster's history is in Postgres, and {first_few(missing, 5)} must be set in the environment"
        )
    try:
        import dagster_postgres  # noqa: F401
        import psycopg2
    except ImportError as error:
        raise StoreError(
            "Dagster's history is in Postgres, which needs a package more: pip install 'tac-pipeline[postgres]'"
        ) from error
    given = {key: os.environ[name] for key, name in POSTGRES.items()}
    try:
        psycopg2.connect(
            host=given["hostname"],
            port=given["port"],
            dbname=given["db_name"],
            user=given["username"],
            password=given["password"],
            connect_timeout=REACH_SECONDS,
        ).close()
    except psycopg2.OperationalError as error:
        why = str(error).strip().splitlines()[0]
        raise StoreError(
            f"Dagster's history is in Postgres, which must answer at {given['hostname']}:{given['port']}; {why}. Start "
            f"it, or mend {POSTGRES['hostname']} and the variables beside it. Nothing of the store is lost"
        ) from error


def settings_here(home: Path, *, postgres: bool = False) -> str:
    """The dagster.yaml of a folder whose stores use the instance in another one, such as data/.dagster.

    Dagster makes an instance in a temporary folder for it, of which nothing is used.
    """
    books = {"sqlite": {"base_dir": str(home)}}
    kept = {"module": "dagster._core.storage.root", "class": "LocalArtifactStorage", "config": {"base_dir": str(home)}}
    return (
        f"{HERE}{INSTANCE_SETTINGS}storage: {IN_POSTGRES if postgres else json.dumps(books)}\n"
        f"local_artifact_storage: {json.dumps(kept)}\n{_compute_logs(home)}"
    )


def _compute_logs(home: Path) -> str:
    # What steps print is kept where Dagster keeps it, without a `tail` that a killed run leaves behind.
    logs = {
        "module": "assets.orchestration.dagster_internals",
        "class": "CapturedLogs",
        "config": {"base_dir": str(home / "storage")},
    }
    # JSON is YAML too, and quotes any character of a path.
    return f"compute_logs: {json.dumps(logs)}\n"


def dagster_home(project: Project) -> Path:
    """The Dagster instance that the command line, the UI and the daemon share.

    It is DAGSTER_HOME of the file .env beside the settings, which Dagster's own commands read too; else $DAGSTER_HOME;
    else data/.dagster.
    """
    given = _home_in_env_file(project.path.parent / ENV_NAME) or os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser().absolute() if given else project.data_folder / HOME_NAME


def _home_in_env_file(path: Path) -> str | None:
    if not path.is_file():
        return None
    # Dagster brings it, and reads the file with it.
    from dotenv import dotenv_values

    return dotenv_values(path).get(HOME_VARIABLE)


def begins(path: Path, mark: str) -> bool:
    """Whether a file begins with the mark of those that are written here."""
    return path.read_text(encoding="utf-8").startswith(mark)


def prepare_home(project: Project) -> Path:
    """The instance's folder, created with telemetry off if it is new, and set in this process's environment.

    Its databases are made here, by one process at a time.

    Raises
    ------
    StoreError
        The folder cannot be written, or the history is in Postgres and that cannot be used.
    """
    home = dagster_home(project)
    settings, postgres = home / SETTINGS_NAME, in_postgres(home)
    if postgres:
        _reach_postgres()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not settings.exists() or begins(settings, MARK):
            write_atomically(settings, instance_settings(home, postgres=postgres))
        # Dagster itself makes tables in Postgres, however many processes begin at once.
        if not postgres:
            with hold_lock(home, lambda _: None):
                make_books(home)
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror}. Set `data` to a folder that can be.") from error
    os.environ[HOME_VARIABLE] = str(home)
    return home
