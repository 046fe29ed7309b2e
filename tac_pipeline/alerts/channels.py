"""The ways to tell: a webhook, Slack's JSON, e-mail, a command. What they are told with is never in what they raise.

What must stay out: how long all of them may take together (delivery.py).
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from functools import partial
from typing import Any

from tac_pipeline.alerts.message import Message
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.outside import AlertSettings, EmailSettings, from_environment

# Sends a message; raises AlertFailed, or SettingsError where a variable of the environment is missing.
Send = Callable[[Message], None]
ENCRYPTED_PORT, PLAIN_PORT = 465, 25
_LOCAL = ("localhost", "127.0.0.1", "::1")


class AlertFailed(Exception):
    """A message did not arrive; says why, without the address that it was meant for."""


def channels_of(settings: AlertSettings) -> dict[str, Send]:
    """The ways that the settings name, by their keys."""
    found: dict[str, Send] = {}
    timeout = settings.timeout
    if settings.webhook:
        found["webhook"] = partial(_post, settings.webhook, "alerts.webhook", Message.as_json, timeout)
    if settings.slack:
        found["slack"] = partial(_post, settings.slack, "alerts.slack", Message.as_slack, timeout)
    if settings.email.to:
        found["email"] = partial(_mail, settings.email, timeout)
    if settings.command:
        found["command"] = partial(_run, settings.command, timeout)
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, without the message."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(
    address: str, key: str, form: Callable[[Message], Mapping[str, Any]], timeout: float, message: Message
) -> None:
    request = urllib.request.Request(
        from_environment(address, key=key),
        data=json.dumps(form(message)).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "tac-pipeline"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout):
            pass
    except urllib.error.HTTPError as error:
        raise AlertFailed(f"the server answered {error.code}") from None
    except TimeoutError:
        raise AlertFailed(f"the server did not answer within {timeout:g} s") from None
    except urllib.error.URLError as error:
        raise AlertFailed(_reason(error.reason, timeout)) from None
    except (OSError, ValueError) as error:
        # Other errors may have the address in their text.
        raise AlertFailed(f"the message could not be sent ({type(error).__name__})") from None


def _reason(found: object, timeout: float) -> str:
    if isinstance(found, TimeoutError):
        return f"the server did not answer within {timeout:g} s"
    if isinstance(found, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(found, socket.gaierror):
        return "there is no server of that name"
    if isinstance(found, ssl.SSLError):
        return "the server's certificate cannot be verified, or it does not speak TLS"
    return f"the server cannot be reached ({type(found).__name__})"


def _mail(settings: EmailSettings, timeout: float, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], text = message.as_mail()
    mail["From"] = settings.sender or f"tac-pipeline@{socket.getfqdn()}"
    mail["To"] = ", ".join(settings.to)
    mail.set_content(text)
    host, _, port = settings.server.partition(":")
    number = int(port or PLAIN_PORT)
    try:
        if number == ENCRYPTED_PORT:
            with smtplib.SMTP_SSL(host, number, timeout=timeout, context=ssl.create_default_context()) as server:
                _hand_over(server, settings, mail, encrypted=True)
        else:
            with smtplib.SMTP(host, number, timeout=timeout) as server:
                server.ehlo()
                encrypted = server.has_extn("starttls")
                if encrypted:
                    server.starttls(context=ssl.create_default_context())
                _hand_over(server, settings, mail, encrypted=encrypted or host in _LOCAL)
    except smtplib.SMTPResponseException as error:
        raise AlertFailed(f"the mail server answered {error.smtp_code}") from None
    except smtplib.SMTPServerDisconnected:
        raise AlertFailed(f"the mail server did not answer within {timeout:g} s, or went away") from None
    except smtplib.SMTPException as error:
        raise AlertFailed(f"the mail server did not take the mail ({type(error).__name__})") from None
    except (OSError, ValueError) as error:
        raise AlertFailed(_reason(error, timeout)) from None


def _hand_over(server: smtplib.SMTP, settings: EmailSettings, mail: EmailMessage, *, encrypted: bool) -> None:
    if settings.user is not None and settings.password is not None:
        if not encrypted:
            raise AlertFailed("the mail server offers no encryption, and a password is not sent without")
        server.login(settings.user, from_environment(settings.password, key="alerts.email.password"))
    server.send_message(mail)


def _run(command: list[str], timeout: float, message: Message) -> None:
    told = json.dumps(message.as_json()).encode()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise AlertFailed(f"the command cannot be started ({type(error).__name__})") from None
    try:
        process.communicate(told, timeout=timeout)
    except subprocess.TimeoutExpired:
        # With all that it started.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise AlertFailed(f"the command did not end within {timeout:g} s") from None
    if process.returncode:
        raise AlertFailed(f"the command ended with {process.returncode}")


# What a channel may raise that is a sentence.
TOLD = (AlertFailed, SettingsError)
