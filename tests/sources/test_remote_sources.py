"""Sources behind URLs, against real servers on this machine: S3 (its API, by moto's server process) and plain HTTP."""

import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from s3_server import KEYS
from tar_shards import pack
from waiting import free_port

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import open_source
from tac_pipeline.store.listings import KeptListings


def put(filesystem: Any, name: str, data: bytes) -> None:
    filesystem.pipe_file(f"photos/{name}", data)


def test_a_bucket_is_listed_and_read(s3: Any) -> None:
    for name in ("in/cats/a.jpg", "in/b.png", "in/notes.txt", "in/.hidden/c.jpg", "out/d.jpg"):
        put(s3, name, name.encode())
    source = open_source("s3://photos/in")
    listing = source.list_images()
    assert listing["image_id"].to_list() == ["b.png", "cats/a.jpg"]
    assert listing["size"].to_list() == [8, 13]
    assert [source.read(uri) for uri in listing["uri"]] == [b"in/b.png", b"in/cats/a.jpg"]  # type: ignore[union-attr]
    assert source.labels(["b.png", "cats/a.jpg"], "folder").rows() == [("cats/a.jpg", "cats")]


def test_etags_tell_what_changed(s3: Any) -> None:
    put(s3, "in/a.jpg", b"one")
    put(s3, "in/b.jpg", b"two")
    source = open_source("s3://photos/in")
    before = source.list_images()
    put(s3, "in/a.jpg", b"ONE")  # the same size
    put(s3, "in/c.jpg", b"three")
    after = source.list_images()
    assert after["image_id"].to_list() == ["a.jpg", "b.jpg", "c.jpg"]
    assert before.join(after, on=["image_id", "version"])["image_id"].to_list() == ["b.jpg"]


def test_tar_shards_in_a_bucket_are_read_in_place(s3: Any, tmp_path: Path) -> None:
    s3.put_file(str(pack(tmp_path / "x.tar", {"a.jpg": b"first", "b.jpg": b"second"})), "photos/in/x.tar")
    for location in ("s3://photos/in", "s3://photos/in/x.tar"):
        source = open_source(location, listings=KeptListings(tmp_path / "kept"))
        listing = source.list_images()
        assert listing["image_id"].to_list() == ["x.tar/a.jpg", "x.tar/b.jpg"]
        assert [source.read(uri) for uri in listing["uri"]] == [b"first", b"second"]  # type: ignore[union-attr]


def test_an_absent_bucket_a_wrong_key_and_a_dead_server_are_no_empty_store(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    put(s3, "in/a.jpg", b"one")
    source = open_source("s3://photos/in")
    assert len(source.list_images()) == 1
    for location in ("s3://absent/in", "s3://photos/absent"):
        with pytest.raises(SourceError, match="nothing is at"):
            open_source(location).list_images()
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match=r"cannot list s3://photos/in: .*credentials.*is not empty"):
        open_source("s3://photos/in").list_images()
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match="cannot list s3://photos/in"):
        open_source("s3://photos/in").list_images()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL at which a web server lists it."""
    folder = tmp_path / "web"
    (folder / "cats").mkdir(parents=True)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_web_folder_is_listed_read_and_watched(web: tuple[Path, str]) -> None:
    folder, url = web
    (folder / "cats/a.jpg").write_bytes(b"first")
    (folder / "b.png").write_bytes(b"second")
    source = open_source(url)
    before = source.list_images()
    assert before["image_id"].to_list() == ["b.png", "cats/a.jpg"]
    assert [source.read(uri) for uri in before["uri"]] == [b"second", b"first"]  # type: ignore[union-attr]
    os.utime(folder / "b.png", (1_000_000, 1_000_000))
    after = source.list_images()
    assert before.join(after, on=["image_id", "version"])["image_id"].to_list() == ["cats/a.jpg"]


def test_a_web_server_that_is_gone_is_no_empty_store() -> None:
    url = f"http://127.0.0.1:{free_port()}/photos"
    with pytest.raises(SourceError, match=r"(nothing is at|cannot list) http://127\.0\.0\.1"):
        open_source(url).list_images()
