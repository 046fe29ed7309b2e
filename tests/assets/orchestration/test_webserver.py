"""Asking a running UI to read the settings again, with a small server that gives the same two answers as Dagster's."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.orchestration import webserver
from assets.orchestration.webserver import RunningUi, find_ui, note_ui, reload_location


def note_address(home: Path, host: str, port: int) -> None:
    note_ui(home, RunningUi.at(host, port, pid=1, settings=("/s/tac.yaml",), key="the-key", token=None))


RELOADED = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": {}}


def instance_info(home: Path) -> str:
    """What a UI reports about the instance in a folder."""
    base = {"module": "dagster._core.storage.root", "class": "LocalArtifactStorage", "config": {"base_dir": str(home)}}
    return json.dumps({"local_artifact_storage": base, "run_storage": "SqliteRunStorage"})


class Server(http.server.ThreadingHTTPServer):
    """Speaks GraphQL about code locations; `answers` is what a reload of each name says, after some seconds."""

    def __init__(self, answers: dict[str, Any], *, home: Path | None = None, seconds: float = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.info: str | None = None if home is None else instance_info(home)
        self.answers, self.seconds, self.reloaded = answers, seconds, list[str]()
        self.authorized = list[str | None]()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: Any) -> None:
        """The client is gone."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.authorized.append(self.headers["Authorization"])
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/graphql":
            self.send_error(404)
        elif "reloadRepositoryLocation" in asked["query"]:
            name = asked["variables"]["name"]
            self.server.reloaded.append(name)
            time.sleep(self.server.seconds)
            self._answer({"reloadRepositoryLocation": self.server.answers[name]})
        else:
            entries = [{"name": name} for name in self.server.answers]
            self._answer(
                {
                    "instance": {"info": self.server.info},
                    "workspaceOrError": {"locationEntries": entries},
                }
            )

    def do_GET(self) -> None:
        self.send_error(405)

    def _answer(self, data: object) -> None:
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Any]:
    started: list[http.server.HTTPServer] = []

    def start(server: Any) -> Any:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def error(message: str) -> dict[str, Any]:
    return {
        "__typename": "WorkspaceLocationEntry",
        "locationOrLoadError": {"message": message},
    }


def test_the_location_that_is_named_after_the_store_is_reloaded(serve: Any, tmp_path: Path) -> None:
    server = serve(Server({"harbor": RELOADED, "photos": RELOADED}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    said = reload_location(tmp_path, "photos")
    assert said == f"the UI at http://127.0.0.1:{server.port} has read the settings again"
    assert server.reloaded == ["photos"]


def test_where_no_location_has_the_name_all_are_reloaded(serve: Any, tmp_path: Path) -> None:
    server = serve(Server({"one": RELOADED, "two": RELOADED}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    assert "has read the settings again" in str(reload_location(tmp_path, "photos"))
    assert server.reloaded == ["one", "two"]


def test_a_location_that_does_not_load_is_told_in_one_line(serve: Any, tmp_path: Path) -> None:
    message = "dagster._core.errors.Some: loading\n\nSettingsError: retrieval.tau must be > 0; got -1 (tac.yaml)\n"
    server = serve(Server({"one": error(message), "two": RELOADED}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    assert reload_location(tmp_path, "photos") == (
        f"the UI at http://127.0.0.1:{server.port} could not reload one: SettingsError: retrieval.tau must be > 0; "
        "got -1 (tac.yaml)"
    )


def test_a_ui_of_another_instance_is_left_alone(serve: Any, tmp_path: Path) -> None:
    """Another UI on the port after our UI ended: even one with a store of the same name."""
    server = serve(Server({"photos": RELOADED, "one": RELOADED}, home=tmp_path / "theirs"))
    note_address(tmp_path / "ours", "127.0.0.1", server.port)
    assert reload_location(tmp_path / "ours", "photos") is None
    assert reload_location(tmp_path / "ours", "harbor") is None
    for info in (None, "", "[]", "a: [", "{}", "local_artifact_storage: {config: {base_dir: 3}}"):
        server.info = info
        assert reload_location(tmp_path / "ours", "photos") is None
    assert server.reloaded == []


def test_the_home_may_be_named_by_a_link(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    server = serve(Server({"photos": RELOADED}, home=tmp_path / "home"))
    note_address(tmp_path / "link", "127.0.0.1", server.port)
    assert "has read the settings again" in str(reload_location(tmp_path / "link", "photos"))


def test_an_instance_says_its_home_as_it_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the installed Dagster: a UI shows this text as `info`."""
    import dagster as dg

    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert webserver._home_of(instance.info_str()) == tmp_path.resolve()


@pytest.mark.parametrize("typename", ["RepositoryLocationNotFound", "ReloadNotSupported", "UnauthorizedError"])
def test_a_reload_that_is_refused_is_not_taken_for_one(serve: Any, tmp_path: Path, typename: str) -> None:
    server = serve(Server({"photos": {"__typename": typename}}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    assert f"could not reload photos: {typename}" in str(reload_location(tmp_path, "photos"))


def test_a_reason_that_is_given_is_told(serve: Any, tmp_path: Path) -> None:
    refusal = {"__typename": "UnauthorizedError", "message": "this UI is read-only"}
    server = serve(Server({"photos": refusal, "broken": None}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    assert str(reload_location(tmp_path, "photos")).endswith("could not reload photos: this UI is read-only")
    assert "could not reload broken: " in str(reload_location(tmp_path, "broken"))


def test_a_reload_that_takes_too_long_is_told(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(Server({"photos": RELOADED}, seconds=0.5, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    monkeypatch.setattr(webserver, "RELOAD_SECONDS", 0.1)
    assert "could not reload photos: timed out" in str(reload_location(tmp_path, "photos"))


def test_no_ui_was_ever_started(tmp_path: Path) -> None:
    assert reload_location(tmp_path, "photos") is None
    assert reload_location(tmp_path / "absent", "photos") is None


def test_an_address_that_nothing_listens_at_is_no_ui(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    note_address(tmp_path, "127.0.0.1", port)
    assert reload_location(tmp_path, "photos") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": null}', '{"url": "ftp://x"}', '{"url": "http://["}'])
def test_a_note_that_cannot_be_used_is_no_ui(tmp_path: Path, text: str) -> None:
    (tmp_path / "ui.json").write_text(text)
    assert reload_location(tmp_path, "photos") is None


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>a web page</html>",
        b'{"data": null}',
        b"[]",
        b'{"errors": []}',
        b'{"data": {"workspaceOrError": {}}}',
        b'{"data": {"workspaceOrError": {"locationEntries": 3}}}',
        b"\xff\xfe",
    ],
)
def test_a_server_that_is_not_dagster_is_no_ui(serve: Any, tmp_path: Path, answer: bytes) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = serve(http.server.HTTPServer(("127.0.0.1", 0), Other))
    note_address(tmp_path, "127.0.0.1", int(server.server_address[1]))
    assert reload_location(tmp_path, "photos") is None


def test_a_server_that_speaks_no_http_is_no_ui(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail ready\r\n")

        threading.Thread(target=talk, daemon=True).start()
        note_address(tmp_path, "127.0.0.1", server.getsockname()[1])
        assert reload_location(tmp_path, "photos") is None


def test_a_workspace_without_locations_has_nothing_to_reload(serve: Any, tmp_path: Path) -> None:
    server = serve(Server({}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    assert reload_location(tmp_path, "photos") is None


def test_a_proxy_for_the_outside_world_is_not_asked(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Server({"photos": RELOADED}, home=tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    note_address(tmp_path, "127.0.0.1", server.port)
    assert "has read the settings again" in str(reload_location(tmp_path, "photos"))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("0.0.0.0", "http://127.0.0.1:3000"),
        ("::", "http://[::1]:3000"),
        ("fe80::1", "http://[fe80::1]:3000"),
        ("box.local", "http://box.local:3000"),
    ],
)
def test_the_address_is_noted_as_it_is_found_from_here(tmp_path: Path, host: str, url: str) -> None:
    note_address(tmp_path / "new", host, 3000)
    found = find_ui(tmp_path / "new")
    assert found == RunningUi(url, 1, ("/s/tac.yaml",), "the-key", url)


def test_the_note_is_its_users_alone_and_its_link_has_the_token(tmp_path: Path) -> None:
    ui = RunningUi.at("box.local", 80, pid=1, settings=(), key="k", token="t")
    assert ui.link == "http://box.local:80/?token=t"
    (tmp_path / "ui.json").write_text("an older note, which everybody may read")
    note_ui(tmp_path, ui)
    assert find_ui(tmp_path) == ui
    assert (tmp_path / "ui.json").stat().st_mode & 0o777 == 0o600


def test_a_note_of_an_earlier_version_is_read(serve: Any, tmp_path: Path) -> None:
    server = serve(Server({"photos": RELOADED}, home=tmp_path))
    (tmp_path / "ui.json").write_text(json.dumps({"url": f"http://127.0.0.1:{server.port}"}))
    assert "has read the settings again" in str(reload_location(tmp_path, "photos"))
    assert server.authorized == [None, None]


def test_our_requests_show_the_key(serve: Any, tmp_path: Path) -> None:
    server = serve(Server({"photos": RELOADED}, home=tmp_path))
    note_address(tmp_path, "127.0.0.1", server.port)
    reload_location(tmp_path, "photos")
    assert server.authorized == ["Bearer the-key", "Bearer the-key"]


def test_the_queries_are_dagsters_own() -> None:
    """With the schema of the installed Dagster, so that a rename in Dagster is found here."""
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate

    schema = create_schema().graphql_schema
    for query in (webserver._LOCATIONS, webserver._RELOAD):
        assert validate(schema, parse(query)) == []
