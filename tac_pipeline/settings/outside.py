"""The sections about what leaves the store: published versions in another place, and who is told when something is up.

What must stay out: how a version gets there (store/publishing/), how a message is sent (alerts/).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.section import Section, execution, refusal, secret

# In all of these a file appears whole under its name or not at all, which readers rely on.
WHOLE_FILES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "file")
# A value that is in an environment variable, and not in the settings file.
FROM_ENVIRONMENT = "env:"
_VARIABLE = re.compile(rf"{FROM_ENVIRONMENT}[A-Za-z_][A-Za-z0-9_]*")
# Names of options whose values are credentials, in any filesystem of fsspec.
_CREDENTIAL = re.compile(r"secret|passw|token|sas|credential|connection_string|(^|_)key($|_id$)", re.IGNORECASE)

CauseName = Literal["failed", "held", "drift", "unreadable", "upload"]
CAUSES: tuple[CauseName, ...] = ("failed", "held", "drift", "unreadable", "upload")


def from_environment(value: str, *, key: str) -> str:
    """A value of the settings, looked up where it names an environment variable (`env:NAME`).

    Raises
    ------
    SettingsError
        The variable is not set.
    """
    if not _VARIABLE.fullmatch(value):
        return value
    name = value.removeprefix(FROM_ENVIRONMENT)
    found = os.environ.get(name)
    if not found:
        raise SettingsError(f"{key} names the environment variable {name}, which must be set where this runs")
    return found


def _require_destination(place: str) -> str:
    if not place:
        raise refusal("must not be empty")
    scheme, _, rest = place.partition("://")
    if not rest:
        if "://" in place or "::" in place:
            raise refusal("must name a bucket or a folder, such as s3://bucket/prefix")
        return place
    if scheme not in WHOLE_FILES or "::" in place:
        raise refusal(
            f"must be a folder, or a URL that begins with one of {', '.join(WHOLE_FILES)}: in these places a file "
            "appears whole or not at all"
        )
    if "@" in rest and ":" in rest.partition("@")[0]:
        raise refusal("must hold no credentials: they come from the environment or a profile", hidden=True)
    return place


def _require_no_credentials(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in _leaves(options):
        if _CREDENTIAL.search(name) and not (isinstance(value, str) and _VARIABLE.fullmatch(value)):
            raise refusal(f"must have no credentials in it, such as {name}: write {name}: env:VARIABLE")
    return options


def _leaves(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield str(name), value


class PublicationSettings(Section):
    """When readers get a new version, and where else than in the data folder."""

    mode: Literal["auto", "manual"] | None = execution(
        None,
        description="readers get a new version: auto, once its checks pass; manual, when somebody publishes it; "
        "null = auto",
    )
    to: Annotated[str, AfterValidator(_require_destination)] | None = execution(
        None,
        description="where each published version is written too, in a folder with the store's name: "
        "s3://bucket/prefix, another URL of an object store, or a folder; null = nowhere else",
    )
    options: Annotated[dict[str, Any], AfterValidator(_require_no_credentials)] = secret(
        {},
        description="what fsspec's filesystem of `to` is opened with, such as {endpoint_url: ...}; credentials come "
        "from the environment or a profile, or as env:NAME",
    )
    grace_hours: float = execution(
        24.0,
        ge=0,
        description="hours that a version stays in `to` after readers got a newer one, for those who read it",
    )
    timeout: float = execution(
        30.0, gt=0, le=3600, description="seconds after which `to` counts as not answering; it is tried 3 times"
    )

    @property
    def resolved_options(self) -> dict[str, Any]:
        """The options, with what they take from the environment.

        Raises
        ------
        SettingsError
            A variable is not set.
        """
        return _resolved(self.options)


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _resolved(value)
        if isinstance(value, Mapping)
        else from_environment(value, key=f"publication.options.{name}")
        if isinstance(value, str)
        else value
        for name, value in options.items()
    }


def _require_web_address(address: str) -> str:
    if _VARIABLE.fullmatch(address):
        return address
    found = urlsplit(address)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise refusal("must be an http or https URL, or env:NAME for one that is in an environment variable")
    return address


def _require_variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise refusal("must be env:NAME, with the password in that environment variable")
    return value


def _require_causes(value: object) -> object:
    if not isinstance(value, list) or not set(map(str, value)) <= set(CAUSES) or len(set(map(str, value))) < len(value):
        raise refusal(f"must be a list of some of {', '.join(CAUSES)}, each once")
    return value


class EmailSettings(Section):
    """E-mail as a way to tell somebody."""

    to: list[Annotated[str, BeforeValidator(lambda value: _require_address(value))]] = execution(
        [], description="who gets a mail; an empty list = nobody"
    )
    sender: Annotated[str, BeforeValidator(lambda value: _require_address(value))] | None = execution(
        None, description="whom the mail is from; null = tac-pipeline at this machine's name"
    )
    server: str = execution(
        "localhost:25",
        pattern=r"^[^\s:/@]+(:\d{1,5})?$",
        description="SMTP server, host:port; 465 = encrypted from the start, else as soon as the server offers it",
    )
    user: str | None = execution(None, min_length=1, description="to log in with; null = without a login")
    password: Annotated[str, AfterValidator(_require_variable)] | None = secret(
        None, description="env:NAME, the variable with the password; sent over an encrypted connection alone"
    )


def _require_address(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", value):
        raise refusal("must be an e-mail address such as ops@example.org")
    return value


class AlertSettings(Section):
    """Who is told when something is up, once for each cause, and once more when it is over."""

    webhook: Annotated[str, AfterValidator(_require_web_address)] | None = secret(
        None, description="URL that gets each alert as plain JSON; env:NAME = in that environment variable"
    )
    slack: Annotated[str, AfterValidator(_require_web_address)] | None = secret(
        None, description="incoming webhook of Slack, Mattermost or another that takes Slack's JSON; also env:NAME"
    )
    command: list[Annotated[str, BeforeValidator(lambda value: _require_word(value))]] = secret(
        [], description="a program and its arguments, which gets each alert as JSON on its standard input; [] = none"
    )
    email: EmailSettings = EmailSettings()
    causes: Annotated[list[CauseName], BeforeValidator(_require_causes)] = execution(
        list(CAUSES),
        description="failed = a run failed or was killed; held = a new result is held back from readers; drift = new "
        "images do not fit the groups; unreadable = too many images cannot be read; upload = a version did not reach "
        "publication.to",
    )
    unreadable: float = execution(0.01, ge=0, le=1, description="the share of unreadable images that is told")
    timeout: float = execution(
        10.0, gt=0, le=30, description="seconds in which all are told; who was not is told at the next occasion"
    )

    @property
    def asked(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self.webhook or self.slack or self.command or self.email.to)


def _require_word(value: object) -> object:
    if not isinstance(value, str) or not value or "\0" in value:
        raise refusal("must be a list of texts, the program first")
    return value
