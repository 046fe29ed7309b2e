"""Telling somebody: what is up with a store and its groupings, after runs of the command line and from the daemon.

Both call `look_and_tell`. The daemon's sensor sees the runs of everybody, also those that were killed, once `dead_runs`
has reported them; a command looks before its run and after it. Whoever comes first tells, and the book keeps the other
from telling it again. Nothing that goes wrong here ends a run.
"""

import time
from collections.abc import Callable
from typing import Any

import dagster as dg
from filelock import FileLock, Timeout

from assets.engine.execute import open_store
from assets.orchestration.telling.runs import note_runs
from assets.orchestration.telling.summary import read_summary
from tac_pipeline.alerts.book import FAILED, Book, Cause, failure_key, read_book, write_book
from tac_pipeline.alerts.channels import channels_of
from tac_pipeline.alerts.delivery import deliver
from tac_pipeline.alerts.message import Message
from tac_pipeline.digest import digest
from tac_pipeline.errors import SettingsError
from tac_pipeline.failures import in_words
from tac_pipeline.settings.outside import AlertSettings
from tac_pipeline.settings.project import Project

EVERY_SECONDS = 30
LOCK_NAME = ".lock"
# How much longer than all channels may take another process is waited for.
LONGER = 5.0  # seconds
# What a command refuses before it starts a run.
BEFORE_RUN = "before a run"
_IN_SUMMARY = ("held", "drift", "unreadable", "upload")

Log = Callable[[str], None]


def look_and_tell(project: Project, instance: dg.DagsterInstance, *, log: Log, patient: bool = False) -> None:
    """Look at the runs that ended, and at the last summaries; tell what is new, and what is over.

    Parameters
    ----------
    patient : bool
        A channel that failed just now is left alone for a while.
    """

    def enter(book: Book) -> None:
        note_runs(book, project.root, instance)
        for one in project.family:
            _note_summary(book, one)

    _tell_all(project, enter, log, patient=patient)


def tell_refusal(project: Project, sentence: str, *, log: Log) -> None:
    """Tell that `tac run` refused to start a run."""
    store, now = project.root.settings.store, time.time()
    key = failure_key(sentence, [BEFORE_RUN])
    cause = Cause(FAILED, store, key, sentence, now, now, waits_for=[BEFORE_RUN])
    _tell_all(project, lambda book: book.note(cause), log)


def note_start(project: Project, *, log: Log) -> None:
    """Enter that nothing kept a run from starting; only where somebody was told otherwise."""
    known = read_book(open_store(project.root).telling_folder)
    if known is not None and any(BEFORE_RUN in cause.waits_for for cause in known.failures):
        _tell_all(project, lambda book: book.done([BEFORE_RUN], at=time.time()), log)


def open_causes(project: Project) -> list[Cause]:
    """What is up with a store and its groupings, as far as somebody is told of it; the oldest first."""
    book = read_book(open_store(project.root).telling_folder)
    return [] if book is None else sorted(book.open, key=lambda cause: cause.since)


def send_test(project: Project) -> dict[str, str | None]:
    """Tell everybody that this is a test; why it did not arrive, by channel, or None where it did.

    Raises
    ------
    SettingsError
        `alerts` names nobody.
    """
    settings, now, store = project.root.settings.alerts, time.time(), project.root.settings.store
    channels = channels_of(settings)
    if not channels:
        raise SettingsError(
            f"alerts must name somebody to tell: webhook, slack, email.to or command ({project.path.name})"
        )
    sentence = "Somebody tries whether alerts of this store arrive. They do."
    message = Message(store, "test", False, sentence, now, now, digest([store, now])[:16])
    failed = deliver({name: [message] for name in channels}, channels, timeout=settings.timeout).failed
    return {name: failed.get(name) for name in channels}


def _tell_all(project: Project, enter: Callable[[Book], None], log: Log, *, patient: bool = False) -> None:
    """Have what is new entered in the book of a store, and tell all that is not told yet."""
    settings = project.root.settings.alerts
    if not settings.asked:
        return
    folder = open_store(project.root).telling_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Another process is telling: it takes at most as long as all channels may.
        with FileLock(folder / LOCK_NAME, timeout=settings.timeout + LONGER):
            # Of runs from before there were alerts, nothing is told.
            book = read_book(folder) or Book(looked_at=time.time())
            enter(book)
            # First it is written down: a process that is killed while it tells loses no cause.
            write_book(folder, book)
            _tell(book, settings, log, patient=patient)
            book.tidy(channels_of(settings), at=time.time())
            write_book(folder, book)
    except Timeout:
        log("nobody was told what is up: another process is telling, for too long; the next run tells")
    except Exception as error:  # noqa: BLE001 - telling must never end a run
        log(f"nobody was told what is up: {in_words(error)}")


def _tell(book: Book, settings: AlertSettings, log: Log, *, patient: bool) -> None:
    """Send what is still to be told, and enter what came of it."""
    channels = channels_of(settings)
    wanted = book.wanted(channels, settings.causes, at=time.time(), patient=patient)
    if not wanted:
        return
    sent = deliver(wanted, channels, timeout=settings.timeout)
    for channel, why in sent.failed.items():
        titles = ", ".join(message.title for message in wanted[channel] if message.id not in sent.arrived[channel])
        log(f"alerts.{channel} was not told ({titles}): {why}. It is tried again at the next occasion")
    book.enter(sent.arrived, sent.failed, at=time.time())


def _note_summary(book: Book, project: Project) -> None:
    """Enter what the last summary of a store or grouping says; what it says no more is over."""
    found, settings, store = read_summary(open_store(project)), project.root.settings.alerts, project.settings.store
    if found is None:
        return
    told = {"held": found.held, "drift": found.drift, "upload": found.upload}
    if found.numbers.get("share of unreadable images", 0.0) > settings.unreadable:
        told["unreadable"] = found.unreadable
    causes = [
        Cause(kind, store, kind, sentence, found.at, found.at)
        for kind, sentence in told.items()
        if sentence is not None
    ]
    book.settle(store, _IN_SUMMARY, causes, at=found.at)


def build_alert_sensors(project: Project, *, pace: float = 1.0) -> list[dg.SensorDefinition]:
    """The sensor that tells what came of the daemon's runs; none where nobody is to be told.

    `pace` is how many times as long it waits between two looks where a location has many stores.
    """
    if not project.settings.alerts.asked:
        return []

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=round(EVERY_SECONDS * pace),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells those that `alerts` names when a run failed or was killed, a result is held back, images "
        "drift or cannot be read, or a version did not reach its readers; once for each cause, and when it is over.",
        target=None,
    )
    def alerts(context: dg.SensorEvaluationContext) -> Any:
        said: list[str] = []

        def log(text: str) -> None:
            context.log.warning(text)
            said.append(text)

        look_and_tell(project, context.instance, log=log, patient=True)
        return dg.SkipReason("; ".join(said) or "everybody knows what is up")

    return [alerts]
