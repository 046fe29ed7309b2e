"""The place that the settings name: what a store knows of it, what it says, and that a failure ends nothing."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_versions import publish

from tac_pipeline.errors import SettingsError, StoreError
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.store.artifacts import Store, open_store
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.brought import LONGEST_PAUSE, Elsewhere, read_elsewhere, write_elsewhere
from tac_pipeline.store.publishing.elsewhere import (
    Carried,
    bring_elsewhere,
    destination_of,
    look_there,
    require_destination,
)

Writer = Callable[..., Path]
A, B = {"x": 0, "y": 0}, {"x": 0, "y": 1}


def project_of(vector_store: Writer, **keys: Any) -> Project:
    return load_project(vector_store({f"publication.{name}": value for name, value in keys.items()}))


def published(project: Project, *states: dict[str, int]) -> Store:
    store = open_store(project)
    for state in states:
        publish(Publication(store.published_folder), state)
    return store


def carried(project: Project) -> Carried:
    found = bring_elsewhere(open_store(project), project, log=lambda _: None)
    assert found is not None
    return found


def known(project: Project) -> Elsewhere:
    to = destination_of(project)
    assert to is not None
    return read_elsewhere(open_store(project).telling_folder, to)


def test_without_a_place_nothing_is_brought(vector_store: Writer) -> None:
    project = project_of(vector_store)
    store = published(project, A)
    assert destination_of(project) is None
    assert bring_elsewhere(store, project, log=lambda _: None) is None
    require_destination(project)
    assert not store.telling_folder.exists()


def test_each_store_has_its_own_folder_there(vector_store: Writer, tmp_path: Path) -> None:
    def place(to: str) -> str | None:
        return destination_of(project_of(vector_store, to=to))

    assert place("s3://bucket/a/b/") == "s3://bucket/a/b/small"
    assert place("shared") == f"{tmp_path}/shared/small"
    assert place(f"file://{tmp_path}/shared") == f"file://{tmp_path}/shared/small"


@pytest.mark.parametrize("to", ["data", "data/small/published", "file://{folder}/data"])
def test_the_data_folder_is_no_other_place(vector_store: Writer, tmp_path: Path, to: str) -> None:
    project = project_of(vector_store, to=to.format(folder=tmp_path))
    with pytest.raises(SettingsError, match=r"publication\.to must be a place outside the data folder"):
        require_destination(project)
    found = carried(project)
    assert found.failed and "outside the data folder" in found.sentence


def test_what_was_brought_is_known_and_said(vector_store: Writer, tmp_path: Path) -> None:
    project = project_of(vector_store, to="shared")
    store = published(project)
    assert carried(project).sentence == "", "nothing is published yet"
    published(project, A)
    found = carried(project)
    assert found.sentence.startswith(f"readers of {tmp_path}/shared/small have version 1 (0.0 MB in 4 files uploaded)")
    assert (known(project).version, known(project).failed) == (1, None)
    latest = Publication(store.published_folder).latest()
    assert known(project).in_words(latest).startswith(f"readers of {tmp_path}/shared/small have version 1 since 20")
    assert carried(project).sentence == f"readers of {tmp_path}/shared/small have version 1"
    published(project, B)
    assert (
        known(project)
        .in_words(Publication(store.published_folder).latest())
        .endswith("and not version 2 (`tac run` or `tac publish` takes it up)")
    ), "as after a writer that was killed"


def test_a_place_that_cannot_be_written_is_said_and_taken_up(vector_store: Writer, tmp_path: Path) -> None:
    project = project_of(vector_store, to="shared")
    published(project, A)
    (tmp_path / "shared").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written to .*/shared/small: .*\. Nothing was run\. Mend that"):
        require_destination(project)
    for tries in (1, 2):
        found = carried(project)
        assert found.failed
        assert found.sentence.endswith("Not a directory. The next `tac run` or `tac publish` takes it up")
        assert (known(project).version, known(project).tries) == (0, tries)
    latest = Publication(open_store(project).published_folder).latest()
    assert "have nothing yet, and not version 1: published versions cannot be written" in known(project).in_words(
        latest
    )
    (tmp_path / "shared").unlink()
    require_destination(project)
    assert carried(project).done is not None
    assert (known(project).version, known(project).tries, known(project).failed) == (1, 0, None)


def test_another_place_begins_anew(vector_store: Writer, tmp_path: Path) -> None:
    project = project_of(vector_store, to="shared")
    published(project, A)
    carried(project)
    other = project_of(vector_store, to="other")
    assert known(other).version == 0
    done = carried(other).done
    assert done is not None and done.uploaded == 4


def test_where_nothing_will_be_written_the_place_is_not_asked(vector_store: Writer, tmp_path: Path) -> None:
    project = project_of(vector_store, to="shared", mode="manual")
    (tmp_path / "shared").write_text("in the way")
    require_destination(project)
    published(project, A)
    with pytest.raises(StoreError):
        require_destination(project)


def test_pauses_between_tries_grow_up_to_an_hour() -> None:
    there, waits = Elsewhere("s3://b/x"), []
    assert there.due_at() == 0.0
    for number in range(9):
        there = there.failing("no", now=1000.0 * number)
        waits.append(there.due_at() - 1000.0 * number)
    assert waits == [60, 120, 240, 480, 960, 1920, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"to": "s3://b/x", "version": 1}'])
def test_what_is_known_may_be_lost(tmp_path: Path, text: str) -> None:
    write_elsewhere(tmp_path, Elsewhere("s3://b/x", 3))
    assert read_elsewhere(tmp_path, "s3://b/x").version == 3
    assert read_elsewhere(tmp_path, "s3://b/y") == Elsewhere("s3://b/y")
    (tmp_path / "elsewhere.json").write_text(text)
    assert read_elsewhere(tmp_path, "s3://b/x") == Elsewhere("s3://b/x")


def test_a_store_goes_to_a_bucket_with_its_options(
    vector_store: Writer, s3: Any, s3_url: str, monkeypatch: Any
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("TAC_TEST_KEY", "testing")
    options = {"endpoint_url": s3_url, "key": "env:TAC_TEST_KEY", "secret": "env:TAC_TEST_KEY"}
    project = project_of(vector_store, to="s3://photos/pub", options=options, timeout=10.0)
    published(project, A)
    require_destination(project)
    assert carried(project).sentence.startswith("readers of s3://photos/pub/small have version 1 (")
    assert look_there(project, "s3://photos/pub/small") == {1: "readers have it"}
    s3.invalidate_cache()
    assert json.loads(s3.cat("photos/pub/small/latest.json"))["version"] == 1
    assert not s3.exists("photos/pub/small/.probe")
    monkeypatch.delenv("TAC_TEST_KEY")
    found = carried(project)
    assert found.sentence.startswith("publication.options.key names the environment variable TAC_TEST_KEY, which must")


class _Forbidden(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'<?xml version="1.0"?><Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>'
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_PUT = do_HEAD = do_GET


@pytest.fixture
def bucket_at(vector_store: Writer, s3: Any) -> Callable[..., Project]:
    """A store with one published version, and with its bucket at an address."""

    def make(url: str, *, timeout: float = 60.0) -> Project:
        project = project_of(vector_store, to="s3://photos/pub", options={"endpoint_url": url}, timeout=timeout)
        published(project, A)
        return project

    return make


def test_wrong_credentials_are_a_sentence(bucket_at: Callable[..., Project]) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forbidden) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        project = bucket_at(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(StoreError) as caught:
            require_destination(project)
        assert str(caught.value).startswith("published versions cannot be written to s3://photos/pub/small: ")
        assert "the credentials that are in use may not write there. Nothing was run." in str(caught.value)
        assert _Forbidden.asked == 1, "it is not asked again what it will not allow"
        assert "the credentials that are in use may not read there" in carried(project).sentence
        server.shutdown()


def test_a_server_that_never_answers_is_given_up(bucket_at: Callable[..., Project]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        project = bucket_at(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.4)
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"did not answer within 0\.4 s .*\(3 tries\)"):
            require_destination(project)
        # Three tries with pauses between; botocore's own would be minutes.
        assert time.monotonic() - started < 60
