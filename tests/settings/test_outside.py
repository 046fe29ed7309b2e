"""The sections about what leaves the store: both names of the mode, places, secrets that are never shown."""

from pathlib import Path

import pytest

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.editing import edit_settings, read_assignment
from tac_pipeline.settings.keys import Settings, is_secret, settings_keys
from tac_pipeline.settings.outside import from_environment
from tac_pipeline.settings.reading import parse_settings

LEAST = "store: photos\nimages: {source: pictures}\nclusters: {count: 10}\n"


def parsed(text: str) -> Settings:
    return parse_settings(LEAST + text, name="tac.yaml")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", "auto"),
        ("publish: manual", "manual"),
        ("publish: auto", "auto"),
        ("publication: {mode: manual}", "manual"),
        ("publication:", "auto"),
        ("publication: {mode: manual}\npublish: manual", "manual"),
        ("publication: {mode: null}\npublish: manual", "manual"),
    ],
)
def test_the_mode_has_an_older_name(text: str, mode: str) -> None:
    settings = parsed(text)
    assert settings.publishes == mode
    # As the process of a run gets it.
    assert Settings.model_validate(settings.model_dump(mode="json")).publishes == mode


def test_the_two_names_do_not_contradict_each_other() -> None:
    with pytest.raises(SettingsError) as caught:
        parsed("publish: manual\npublication: {mode: auto}")
    assert str(caught.value) == (
        "publish must be left out where publication.mode is auto: it is the older name of that; got 'manual' "
        "(tac.yaml, line 4)"
    )


@pytest.mark.parametrize(
    ("store", "grouping", "mode"),
    [
        ("publish: manual", "{seed: 1}", "manual"),
        ("publish: manual", "{publish: auto}", "auto"),
        ("publish: manual", "{publication: {mode: auto}}", "auto"),
        ("publish: manual", "{publication: {to: there}}", "manual"),
        ("publication: {mode: manual}", "{publish: auto}", "auto"),
        ("publication: {mode: manual}", "{publish: auto, publication: {to: there}}", "auto"),
        ("publication: {mode: manual}", "{publication: {mode: auto}}", "auto"),
        ("publication: {mode: manual}", "{publish: null}", "manual"),
    ],
)
def test_a_grouping_may_have_its_own_mode_by_either_name(store: str, grouping: str, mode: str) -> None:
    assert parsed(f"{store}\ngroupings: {{style: {grouping}}}").grouping("style").publishes == mode


def test_a_grouping_keeps_the_place_of_its_store() -> None:
    text = (
        "publication: {to: there, mode: manual}\ngroupings: {style: {publish: auto}, place: {publication: {to: null}}}"
    )
    settings = parsed(text)
    assert settings.grouping("style").publication.to == "there"
    assert settings.grouping("place").publication.to is None


@pytest.mark.parametrize("to", ["s3://bucket", "s3://bucket/a/b", "gs://b/p", "abfs://c@account.dfs.core/p", "a b/c"])
def test_places_that_can_be_written(to: str) -> None:
    assert parsed(f"publication: {{to: '{to}'}}").publication.to == to


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{to: 'ftp://host/x'}", "publication.to must be a folder, or a URL that begins with one of s3, "),
        ("{to: 's3://a::s3://b'}", "publication.to must be a folder, or a URL"),
        ("{to: 's3://'}", "publication.to must name a bucket or a folder, such as s3://bucket/prefix; got 's3://'"),
        ("{to: ''}", "publication.to must not be empty"),
        ("{mode: now}", "publication.mode must be 'auto' or 'manual'; got 'now'"),
        ("{options: 3}", "publication.options must be a section of keys; got a value that is not shown"),
        ("{grace_hours: -1}", "publication.grace_hours must be >= 0"),
        ("{timeout: 0}", "publication.timeout must be > 0"),
        ("{timeout: .inf}", "publication.timeout must be"),
    ],
)
def test_what_publication_refuses(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(f"publication: {text}")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{webhook: 'ftp://x'}", "alerts.webhook must be an http or https URL, or env:NAME"),
        ("{slack: env:}", "alerts.slack must be an http or https URL, or env:NAME"),
        ("{command: ls}", "alerts.command must be a list"),
        ("{command: [ls, 3]}", "alerts.command must be a list of texts, the program first"),
        ("{command: ['']}", "alerts.command must be a list of texts"),
        ("{email: {to: [me]}}", "alerts.email.to must be an e-mail address such as ops@example.org; got 'me'"),
        ('{email: {sender: "a@b.c\\nBcc: x@y.z"}}', "alerts.email.sender must be an e-mail address"),
        ("{email: {server: 'a b'}}", "alerts.email.server must be a host, or host:port"),
        ("{email: {password: word}}", "alerts.email.password must be env:NAME, with the password in that"),
        ("{causes: [failed, failed]}", "alerts.causes must be a list of some of failed, held, drift"),
        ("{causes: [lost]}", "alerts.causes must be a list of some of failed, held, drift"),
        ("{causes: failed}", "alerts.causes must be a list of some of failed, held, drift"),
        ("{unreadable: 2}", "alerts.unreadable must be <= 1"),
        ("{timeout: 60}", "alerts.timeout must be <= 30"),
        ("https://x", "alerts must be a section of keys"),
    ],
)
def test_what_alerts_refuse(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(f"alerts: {text}")
    assert str(caught.value).startswith(sentence)


SECRETS = [
    "publication: {to: 's3://key:s3cret@bucket/x'}",
    "publication: {options: {secret: s3cret}}",
    "publication: {options: {client_kwargs: {aws_secret_access_key: s3cret}}}",
    "publication: {options: {token: s3cret}}",
    "publication: {options: {key: s3cret}}",
    "publication: {options: {account_key: s3cret}}",
    "publication: {options: [s3cret]}",
    "alerts: {webhook: [s3cret]}",
    "alerts: {webhook: 's3cret'}",
    "alerts: {slack: 'hooks.slack.com/s3cret'}",
    "alerts: {command: s3cret}",
    "alerts: {command: [[s3cret]]}",
    "alerts: {email: {password: s3cret}}",
    "alerts: {email: s3cret}",
    "alerts: s3cret",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_refused_secret_is_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(text)
    assert "s3cret" not in str(caught.value)
    assert "got a value that is not shown (tac.yaml, line 4)" in str(caught.value)


def test_an_edited_secret_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "tac.yaml"
    path.write_text(LEAST)
    [edit] = edit_settings(path, {"alerts.webhook": "https://hooks.example.org/s3cret"})
    assert edit.sentence == "alerts.webhook: changed (the value is not shown)"
    assert "s3cret" in path.read_text()
    [again] = edit_settings(path, {"alerts.webhook": "https://hooks.example.org/s3cret"})
    assert again.sentence == "alerts.webhook: already so (the value is not shown)"
    with pytest.raises(SettingsError) as caught:
        read_assignment("alerts.command=[s3cret")
    assert "s3cret" not in str(caught.value)
    assert read_assignment("alerts.command=[notify, -x]") == ("alerts.command", ["notify", "-x"])


def test_the_mode_can_be_edited_by_either_name(tmp_path: Path) -> None:
    path = tmp_path / "tac.yaml"
    path.write_text(f"{LEAST}publish: auto\n")
    edit_settings(path, {"publish": "manual"})
    with pytest.raises(SettingsError, match=r"publish must be left out where publication\.mode is auto"):
        edit_settings(path, {"publication.mode": "auto"})
    edit_settings(path, {"publication.to": "s3://bucket/x", "publication.options": {"endpoint_url": "http://x"}})
    assert parsed(path.read_text().removeprefix(LEAST)).publication.options == {"endpoint_url": "http://x"}


def test_which_keys_are_secret() -> None:
    assert {key.name for key in settings_keys() if key.secret} == {
        "publication.options",
        "alerts.webhook",
        "alerts.slack",
        "alerts.command",
        "alerts.email.password",
    }
    assert is_secret("alerts") and is_secret("publication.options.secret") and is_secret("groupings.x.publication")
    assert not is_secret("alerts.causes") and not is_secret("store") and not is_secret("publication.to")


def test_a_variable_of_the_environment_is_looked_up_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parsed("publication: {options: {secret: env:TAC_TEST, client_kwargs: {verify: false, x: env:TAC_TEST}}}")
    monkeypatch.delenv("TAC_TEST", raising=False)
    with pytest.raises(SettingsError, match=r"publication\.options\.secret names the environment variable TAC_TEST"):
        _ = settings.publication.resolved_options
    monkeypatch.setenv("TAC_TEST", "found")
    assert settings.publication.resolved_options == {
        "secret": "found",
        "client_kwargs": {"verify": False, "x": "found"},
    }
    assert from_environment("env:no name", key="x") == "env:no name"
