"""The ways to tell: what arrives, and what is said of one that does not; never with the address in it."""

import email
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from alert_server import AlertServer
from waiting import free_port

from tac_pipeline.alerts import channels
from tac_pipeline.alerts.channels import AlertFailed, channels_of
from tac_pipeline.alerts.delivery import deliver
from tac_pipeline.alerts.message import LONGEST, Message
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.outside import AlertSettings, EmailSettings

TOLD = Message(
    "photos", "failed", False, "clusters: <5 & more> than K.", 1_795_764_000.0, 1_795_764_060.0, "abc", "run-1"
)


def send(settings: AlertSettings, message: Message = TOLD) -> None:
    [channel] = channels_of(settings).values()
    channel(message)


def failure(settings: AlertSettings) -> str:
    with pytest.raises(AlertFailed) as caught:
        send(settings)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None, "a trace would show the address"
    return str(caught.value)


def test_nobody_is_told_where_nobody_is_named() -> None:
    assert channels_of(AlertSettings()) == {}
    assert not AlertSettings().asked


def test_a_webhook_gets_plain_json(alert_server: AlertServer) -> None:
    send(AlertSettings(webhook=alert_server.url()))
    assert alert_server.told == [
        {
            "id": "abc",
            "store": "photos",
            "cause": "failed",
            "state": "open",
            "title": "photos: a run failed",
            "sentence": "clusters: <5 & more> than K.",
            "since": "2026-11-27T07:20:00+00:00",
            "at": "2026-11-27T07:21:00+00:00",
            "run": "run-1",
            "host": socket.gethostname(),
        }
    ]


def test_slack_gets_its_own_json_with_its_signs_escaped(alert_server: AlertServer) -> None:
    send(AlertSettings(slack=alert_server.url()))
    assert alert_server.told == [{"text": "*photos: a run failed*\nclusters: &lt;5 &amp; more&gt; than K."}]


def test_that_it_is_over_is_said_in_the_title() -> None:
    over = Message("photos", "drift", True, "x" * 9000, 0.0, 1.0, "id")
    assert over.title == "photos: over: new images do not fit the groups"
    assert over.as_json()["state"] == "over"
    assert len(over.as_json()["sentence"]) == LONGEST


def test_an_address_may_be_in_the_environment(alert_server: AlertServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AlertSettings(webhook="env:TAC_TEST_HOOK")
    with pytest.raises(SettingsError, match=r"alerts\.webhook names the environment variable TAC_TEST_HOOK"):
        send(settings)
    monkeypatch.setenv("TAC_TEST_HOOK", alert_server.url())
    send(settings)
    assert len(alert_server.told) == 1


def test_a_server_that_does_not_take_it_is_a_sentence(alert_server: AlertServer) -> None:
    assert failure(AlertSettings(webhook=alert_server.url("500"))) == "the server answered 500"
    # Followed, it would arrive as a GET without the message.
    assert failure(AlertSettings(webhook=alert_server.url("301"))) == "the server answered 301"
    hangs = AlertSettings(webhook=alert_server.url("hang"), timeout=0.2)
    assert failure(hangs) == "the server did not answer within 0.2 s"
    assert alert_server.told == []


def test_a_server_that_is_not_there_is_a_sentence(alert_server: AlertServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert (
            failure(AlertSettings(webhook=f"http://127.0.0.1:{taken.getsockname()[1]}/s3cret"))
            == "nothing listens there"
        )
    secured = alert_server.url().replace("http:", "https:")
    assert failure(AlertSettings(webhook=secured)).startswith("the server's certificate cannot be verified, or it does")


def test_a_name_that_nobody_has_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("NO_PROXY", "*")
    assert failure(AlertSettings(webhook="http://s3cret.example.org/")) == "there is no server of that name"
    assert failure(AlertSettings(email=EmailSettings(to=["a@b.org"], server="s3cret.example.org"))) == (
        "there is no server of that name"
    )


class Mails:
    """A mail server's handler that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.refuses = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return "554 no"
        self.got.append(envelope)
        return "250 OK"


@pytest.fixture
def mails() -> Iterator[tuple[Mails, str]]:
    """A mail server on this machine, and its address."""
    handler = Mails()
    port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, f"127.0.0.1:{port}"
    controller.stop()


def test_a_mail_has_a_subject_and_all_that_is_known(mails: tuple[Mails, str]) -> None:
    handler, server = mails
    message = Message("photos", "held", False, "line\r\nBcc: x@y.z", 0.0, 1.0, "id", "run-1")
    send(AlertSettings(email=EmailSettings(to=["a@example.org", "b@example.org"], server=server)), message)
    [envelope] = handler.got
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    mail = email.message_from_bytes(envelope.content)
    assert mail["Subject"] == "photos: a result is held back from readers"
    assert mail["Bcc"] is None
    assert mail["From"] == f"tac-pipeline@{socket.getfqdn()}"
    text = mail.get_payload()
    assert "Run: run-1" in text and "Since: 1970-01-01T00:00:00+00:00" in text
    send(AlertSettings(email=EmailSettings(to=["a@example.org"], server=server, sender="ops@example.org")))
    assert handler.got[1].mail_from == "ops@example.org"


def test_a_mail_server_that_does_not_take_it_is_a_sentence(mails: tuple[Mails, str]) -> None:
    handler, server = mails
    handler.refuses = True
    assert failure(AlertSettings(email=EmailSettings(to=["a@b.org"], server=server))) == "the mail server answered 554"


def test_a_mail_server_that_hangs_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = EmailSettings(to=["a@b.org"], server=f"127.0.0.1:{silent.getsockname()[1]}")
        told = failure(AlertSettings(email=settings, timeout=0.2))
    assert told == "the mail server did not answer within 0.2 s, or went away"


def test_a_password_is_not_sent_without_encryption(mails: tuple[Mails, str], monkeypatch: pytest.MonkeyPatch) -> None:
    handler, server = mails
    monkeypatch.setattr(channels, "_LOCAL", ())
    monkeypatch.setenv("TAC_TEST_PASSWORD", "s3cret")
    login = EmailSettings(to=["a@b.org"], server=server, user="me", password="env:TAC_TEST_PASSWORD")
    assert failure(AlertSettings(email=login)) == (
        "the mail server offers no encryption, and a password is not sent without"
    )
    assert handler.got == []


def test_a_command_gets_the_json(tmp_path: Path) -> None:
    code = f"import sys, pathlib; pathlib.Path({str(tmp_path / 'told')!r}).write_text(sys.stdin.read())"
    send(AlertSettings(command=[sys.executable, "-c", code]))
    assert json.loads((tmp_path / "told").read_text()) == TOLD.as_json()


def test_a_command_that_fails_is_a_sentence() -> None:
    assert failure(AlertSettings(command=[sys.executable, "-c", "raise SystemExit(3)", "s3cret"])) == (
        "the command ended with 3"
    )
    assert failure(AlertSettings(command=["/nowhere/s3cret"])) == "the command cannot be started (FileNotFoundError)"


def test_a_command_that_hangs_ends_with_all_that_it_started(tmp_path: Path) -> None:
    settings = AlertSettings(command=["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/child; wait"], timeout=1)
    assert failure(settings) == "the command did not end within 1 s"
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    ends = time.monotonic() + 30
    while child.exists() and " Z " not in child.read_text():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_one_that_hangs_holds_up_neither_the_others_nor_the_caller(alert_server: AlertServer) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hangs(_: Message) -> None:
        release.wait(60)

    def works(_: Message) -> None:
        arrived.set()

    started = time.monotonic()
    sent = deliver({"slow": [TOLD, TOLD], "quick": [TOLD]}, {"slow": hangs, "quick": works}, timeout=0.3)
    release.set()
    assert time.monotonic() - started < 30
    assert arrived.is_set()
    assert sent.arrived == {"slow": [], "quick": ["abc"]}
    assert sent.failed == {"slow": "not all was sent within 0.3 s"}


def test_an_error_that_nobody_expected_is_told_without_its_text() -> None:
    def breaks(_: Message) -> None:
        raise RuntimeError("https://hooks.example.org/s3cret")

    sent = deliver({"webhook": [TOLD, TOLD]}, {"webhook": breaks}, timeout=30)
    assert sent.failed == {"webhook": "the message could not be sent (RuntimeError)"}
