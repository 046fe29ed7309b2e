"""What the project needs of Dagster that Dagster does not call public, and the versions on which it was tried.

Each such need is a function here; the rest of assets/ uses public names alone. A new minor version of Dagster may
change any of them: run tests/assets/orchestration/test_dagster_internals.py on it, then enter it in TRIED.
"""

import json
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.events import RunFailureReason
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.defs_state import DefsStateStorage
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunTagsTable
from dagster._core.storage.tags import AUTOMATION_CONDITION_TAG
from dagster._utils.schedules import get_smallest_cron_interval, schedule_execution_time_iterator
from sqlalchemy import Connection, Engine, create_engine, delete, func, select
from sqlalchemy.event import listen as listen_to
from sqlalchemy.pool import QueuePool

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceRequestContext

# Minor version of Dagster: its releases on which the tests were run.
TRIED: Mapping[str, tuple[str, ...]] = {"1.13": ("1.13.0", "1.13.28")}

LEAST_VACUUMED = 1_000_000  # bytes
FREE_SHARE = 0.25
# How long a statement waits for another process that writes, as in Dagster.
BUSY_SECONDS = 30

_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def data_version_tags(version: str) -> dict[str, str]:
    """The tags by which an event that no run makes gives its asset a data version; only runs have a public way."""
    return {DATA_VERSION_TAG: version}


def requested_by_a_change(run: dg.DagsterRun) -> bool:
    """Whether the sensor requested a run because something changed; it requests it once, and a person did not."""
    return AUTOMATION_CONDITION_TAG in run.tags


def find_job(definitions: dg.Definitions, name: str) -> dg.JobDefinition:
    """A job that can be run in this process."""
    return definitions.resolve_job_def(name)


def find_asset_job(definitions: dg.Definitions) -> dg.JobDefinition:
    """The job of all assets: it can be run in this process for some of them."""
    return definitions.resolve_implicit_global_asset_job_def()


def listen(instance: dg.DagsterInstance, run_id: str, hear: Callable[[dg.EventLogEntry], None]) -> None:
    """Have every event of a run told while it goes on."""

    # Some kinds of storage add a cursor, others do not.
    def pass_on(entry: dg.EventLogEntry, *_: object) -> None:
        hear(entry)

    instance.add_event_listener(run_id, pass_on)


@contextmanager
def open_instance_for_a_terminal(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a folder, for runs whose output people read in a terminal; its databases stay open meanwhile.

    Dagster keeps what a run prints by pointing descriptor 1 elsewhere in the middle of it: what is being drawn on the
    terminal then freezes, and later comes twice. Such a run prints nothing else that is worth keeping.
    """
    quiet = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    ref = InstanceRef.from_dir(str(home), overrides={"compute_logs": quiet})
    with dg.DagsterInstance.from_ref(ref) as instance, kept_open(instance):
        yield instance


@contextmanager
def kept_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the databases of an instance open that hold the events of its runs.

    For each statement Dagster opens a database, compiles the statement, and closes the database again, which then
    writes its journal back: several hundred times a run. Storage of any other kind is left as it is, and so is what
    is kept open already.
    """
    events = instance.event_log_storage
    if not isinstance(events, SqliteEventLogStorage) or "_connect" in vars(events):
        yield
        return
    kept = _OpenBooks(events)
    # The object's own attribute hides the method of its class.
    vars(events)["_connect"] = kept.connect
    try:
        yield
    finally:
        del vars(events)["_connect"]
        kept.close()


class _OpenBooks:
    """The open databases of an event log: the index of all runs, and the events of the last run that was asked for."""

    def __init__(self, events: SqliteEventLogStorage) -> None:
        self._events, self._connect = events, events._connect
        self._engines: dict[str, Engine] = {}
        self._lock = threading.RLock()

    @contextmanager
    def connect(self, shard: str) -> Iterator[Connection]:
        """A connection in a transaction, as Dagster's own `_connect`."""
        with self._lock:
            if shard not in self._engines:
                self._open(shard)
            with self._engines[shard].begin() as connection:
                before = _changes(connection)
                yield connection
                changed = _changes(connection) > before
        # The UI watches this file to show a run while it goes on, and new events are in the journal beside it.
        if changed and shard != INDEX_SHARD_NAME:
            os.utime(self._events.path_for_shard(shard))

    def _open(self, shard: str) -> None:
        # Dagster creates the tables of a database when it connects to it for the first time.
        with self._connect(shard):
            pass
        for other in self._engines.keys() - {INDEX_SHARD_NAME}:
            self._engines.pop(other).dispose()
        engine = create_engine(
            self._events.conn_string_for_shard(shard), poolclass=QueuePool, connect_args={"timeout": BUSY_SECONDS}
        )
        listen_to(engine, "connect", _trust_the_journal)
        self._engines[shard] = engine

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


def _changes(connection: Connection) -> int:
    """How many rows were written through a connection so far."""
    own = connection.connection.driver_connection
    return own.total_changes if isinstance(own, sqlite3.Connection) else 0


def _trust_the_journal(connection: sqlite3.Connection, _: object) -> None:
    # A killed process loses nothing; a power cut may lose the last events, and leaves the database whole.
    connection.execute("PRAGMA synchronous=NORMAL")


def was_interrupted(entry: dg.EventLogEntry) -> bool:
    """Whether an event tells that Ctrl-C ended a step or a run; Dagster takes the signal, and tells it as a failure."""
    event = entry.dagster_event
    if event is None:
        return False
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
        return error is not None and error.cls_name in _INTERRUPTIONS
    if event.event_type == dg.DagsterEventType.RUN_FAILURE:
        return event.job_failure_data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION
    return False


def failed_outside_steps(event: dg.DagsterEvent) -> Any | None:
    """The error of a run that failed before or between its steps; None for any other event."""
    if event.event_type != dg.DagsterEventType.RUN_FAILURE:
        return None
    # One that was reported from outside has no more than its message.
    failure = None if event.event_specific_data is None else event.job_failure_data
    return None if failure is None or failure.failure_reason == RunFailureReason.STEP_FAILURE else failure.error


def reported_why(event: dg.DagsterEvent) -> str | None:
    """Why a run was marked as failed from outside; None where whoever did so gave no reason."""
    return None if event.message is None or "from outside the execution context" in event.message else event.message


def innermost_message(error: Any) -> str:
    """The message of the first cause of an error, as Dagster keeps errors."""
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()


def report_failed(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Mark a run as failed from outside it: its own process can no longer do so."""
    instance.report_run_failed(run, why)


def next_times(cron: str, timezone: str, *, after: float, count: int) -> list[float]:
    """The next times at which a schedule fires, in seconds since 1970."""
    # The first of the iterator may be the start itself.
    times = schedule_execution_time_iterator(after + 1, cron, timezone)
    return [moment.timestamp() for moment in islice(times, count)]


def shortest_gap(cron: str) -> timedelta:
    """The shortest time between two ticks of a schedule: the longest bound that a freshness policy by it may have."""
    return get_smallest_cron_interval(cron)


def home_of_loading() -> Path | None:
    """The folder of the Dagster instance that definitions are loaded under; None where none is open.

    A code server and a run have their instance open while they load; a settings file is otherwise all that is known.
    """
    storage = DefsStateStorage.get()
    if storage is None or not storage.has_instance:
        return None
    instance: dg.DagsterInstance = storage._instance
    return None if instance.is_ephemeral else Path(instance.root_directory)


def report_canceled(instance: dg.DagsterInstance, run_id: str) -> None:
    """Mark a run as canceled that Dagster took for failed: somebody stopped it."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status != dg.DagsterRunStatus.CANCELED:
        instance.report_run_canceled(run, "Somebody stopped this run. Its finished work is kept.")


# Made when an instance is opened, by Dagster's own code.
BOOKS = (Path("history/runs.db"), Path("history/runs/index.db"), Path("schedules/schedules.db"))


def make_books(home: Path) -> None:
    """Create the databases of an instance where they are missing; call it with a lock held.

    Two processes that create them at once leave them broken for good.
    """
    if not all((home / name).exists() for name in BOOKS):
        with dg.DagsterInstance.from_config(str(home)):
            pass


def latest_check_runs(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> set[str]:
    """The runs that last looked at each check of some assets."""
    table = AssetCheckExecutionsTable
    newest = select(func.max(table.c.id)).where(table.c.asset_key.in_([key.to_string() for key in keys]))
    newest = newest.group_by(table.c.asset_key, table.c.check_name)
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return set()
    with storage.index_connection() as connection:
        return {row[0] for row in connection.execute(select(table.c.run_id).where(table.c.id.in_(newest)))}


def forget_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove a run from Dagster's books with all that is kept of it.

    Dagster itself removes its row and its events, and leaves its tags, its checks, its own database and its logs.
    """
    instance.delete_run(run_id)
    runs, events = instance.run_storage, instance.event_log_storage
    if isinstance(runs, SqlRunStorage):
        with runs.connect() as connection:
            connection.execute(delete(RunTagsTable).where(RunTagsTable.c.run_id == run_id))
    if isinstance(events, SqlEventLogStorage):
        table = AssetCheckExecutionsTable
        with events.index_connection() as connection:
            connection.execute(delete(table).where(table.c.run_id == run_id))
    if isinstance(events, SqliteEventLogStorage):
        own = Path(events.path_for_shard(run_id))
        for path in (own, *own.parent.glob(f"{own.name}-*")):
            path.unlink(missing_ok=True)
    instance.compute_log_manager.delete_logs(prefix=[run_id])


def shrink_books(instance: dg.DagsterInstance) -> None:
    """Give the disk back what the databases of an instance do not use any more, where that is much."""
    home = Path(instance.root_directory)
    for path in (home / name for name in BOOKS):
        # Somebody writes there now: the next time will do.
        with suppress(sqlite3.OperationalError):
            _vacuum(path)


def _vacuum(path: Path) -> None:
    if not path.exists() or path.stat().st_size < LEAST_VACUUMED:
        return
    with closing(sqlite3.connect(path, timeout=1.0)) as connection:
        [pages], [free] = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
        if free > pages * FREE_SHARE:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def tag_run(instance: dg.DagsterInstance, run_id: str, tags: Mapping[str, str]) -> None:
    """Give a run that is there already more tags."""
    instance.add_run_tags(run_id, tags)


class CapturedLogs(LocalComputeLogManager):
    """Keeps what a step prints in files, as Dagster does, but starts no process for it.

    Dagster also shows the files on the terminal, with `tail -F`. A run that is killed can leave it behind for ever.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "CapturedLogs":
        """As Dagster makes it from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Point the descriptors 1 and 2 at the files of a step."""
        kinds = {1: ComputeIOType.STDOUT, 2: ComputeIOType.STDERR}
        paths = {to: Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])) for to, kind in kinds.items()}
        saved = {to: os.dup(to) for to in paths}
        try:
            for to, path in paths.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    _flush_output()
                    os.dup2(file.fileno(), to)
            yield CapturedLogContext(log_key)
        finally:
            _flush_output()
            for to, was in saved.items():
                os.dup2(was, to)
                os.close(was)
        # The pages read this as: nothing more will come.
        Path(self.get_captured_local_path(log_key, "complete")).touch()


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


@contextmanager
def open_code_servers(instance: dg.DagsterInstance, workspace: Path, *, target: Path) -> Iterator[None]:
    """Start one code server for each location of a workspace; `target` becomes a workspace that points at them.

    The web server and the daemon share them: a location is loaded once, and what one reloads the other sees.
    """
    from dagster._cli.proxy_server_manager import ProxyServerManager
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    load_target = WorkspaceFileTarget([str(workspace)])
    with ProxyServerManager(instance, load_target, code_server_log_level="WARNING") as servers:
        # JSON is YAML too.
        target.write_text(json.dumps({"load_from": servers.get_code_server_specs()}), encoding="utf-8")
        yield


@contextmanager
def open_webserver(
    instance: dg.DagsterInstance, workspace: Path, *, may_act: Callable[[Any], bool]
) -> Iterator[Callable[..., Any]]:
    """Dagster's web application on a workspace.

    Parameters
    ----------
    instance : DagsterInstance
    workspace : Path
        Its workspace file.
    may_act : callable
        Whether a request, given as its ASGI scope, may start runs and change schedules, or only look.
    """
    from dagster import __version__
    from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    class Context(WorkspaceProcessContext):
        def create_request_context(self, source: Any = None) -> "WorkspaceRequestContext":
            return WorkspaceRequestContext(
                instance=self.instance,
                current_workspace=self.get_current_workspace(),
                process_context=self,
                version=self.version,
                source=source,
                read_only=source is not None and not may_act(source.scope),
            )

    # As Dagster's own command does: statements that hang are given up after 15 s, connections after an hour.
    instance.optimize_for_webserver(15_000, 3600, 20)
    with Context(instance, WorkspaceFileTarget([str(workspace)]), version=__version__) as context:
        yield create_app_from_workspace_process_context(context, live_data_poll_rate=2000)


DEV_VARIABLE = "DAGSTER_IS_DEV_CLI"


def using_dagster_dev() -> bool:
    """Whether `dagster dev` or `dg dev`, or a UI that looks like them to a code server, is above this process."""
    return DEV_VARIABLE in os.environ


def show_dagsters_log() -> None:
    """Show what Dagster's services log, in Dagster's own form."""
    from dagster._utils.log import configure_loggers

    # As under `dagster dev`: a location that cannot load is told once, and without Dagster's own frames.
    os.environ[DEV_VARIABLE] = "1"
    configure_loggers(log_level="INFO")
