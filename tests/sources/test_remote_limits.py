"""Servers that misbehave: every read ends, in bounded time and with bounded bytes, and says what was wrong."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bad_server import BadServer, bad_server, seconds_of
from photo_embedder import MeanColor, png
from tar_shards import pack

from tac_pipeline import embedding
from tac_pipeline.embedding import NoKnownVectors, bounded_reads, embed_missing, encoded_batches, reading
from tac_pipeline.embedding.reading import ByteBudget, ReadAhead, batches
from tac_pipeline.errors import SourceError
from tac_pipeline.sources import FolderSource, RemoteFolderSource, open_source, spools
from tac_pipeline.sources.folders import RemoteFiles
from tac_pipeline.sources.remote import read_url, split_url
from tac_pipeline.sources.streaming import OverLimit
from tac_pipeline.store.shards import EmbeddedBatch, ImageRow

TIMEOUT = 0.3


@pytest.fixture(scope="module")
def shared() -> Iterator[BadServer]:
    with bad_server() as server:
        yield server


@pytest.fixture
def server(shared: BadServer) -> BadServer:
    shared.files, shared.most_at_once = {}, 0
    shared.asked.clear()
    shared.sent.clear()
    shared.headers_of.clear()
    return shared


def read(server: BadServer, path: str, *, limit: int | None = None) -> bytes:
    return read_url(f"{server.url}/{path}", limit=limit, timeout=TIMEOUT)


# The bound on bytes.


def test_an_answer_that_says_that_it_is_too_large_is_not_read(server: BadServer) -> None:
    with pytest.raises(OverLimit) as caught:
        read(server, "huge/a.jpg", limit=1_000_000)
    assert caught.value.size == 2 * 10**9
    assert server.sent["/huge/a.jpg"] < 10_000_000, "what the sockets hold"


def test_an_answer_without_an_end_is_read_up_to_the_bound(server: BadServer) -> None:
    with pytest.raises(OverLimit) as caught:
        read(server, "endless/a.jpg", limit=1_000_000)
    assert caught.value.size is None
    time.sleep(0.2)
    assert server.sent["/endless/a.jpg"] < 20_000_000


@pytest.mark.parametrize("way", ["good", "chunked"])
def test_the_bound_itself_is_no_byte_too_many(server: BadServer, way: str) -> None:
    server.files["a"] = bytes(range(256)) * 4
    assert read(server, f"{way}/a", limit=1024) == server.files["a"]
    with pytest.raises(OverLimit):
        read(server, f"{way}/a", limit=1023)


def test_what_a_compressed_answer_grows_to_is_bounded(server: BadServer) -> None:
    with pytest.raises(OverLimit) as caught:
        read(server, "bomb/a.jpg", limit=100_000)
    assert caught.value.size is None, "the size of the packed form says nothing"


def test_a_sparse_local_file_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OverLimit) as caught:
        FolderSource(tmp_path).read(str(tmp_path / "a.jpg"), limit=1000)
    assert caught.value.size == 2**40


def test_a_local_file_without_a_size_is_read_up_to_the_bound() -> None:
    with pytest.raises(OverLimit):
        FolderSource(Path("/dev")).read("/dev/zero", limit=1000)


# The bound on time.


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("hang", r"did not answer within 0\.3 s \(3 tries\)"),
        ("stall", r"(stopped after 10 bytes and sent nothing for|sent only 10 bytes within) 0\.3 s \(3 tries\)"),
        ("drip", r"sent only \d+ bytes within 0\.3 s \(3 tries\)"),
    ],
)
def test_what_does_not_come_is_given_up_after_three_tries(server: BadServer, way: str, reason: str) -> None:
    def fail() -> None:
        with pytest.raises(OSError, match=f"^{reason}$"):
            read(server, f"{way}/a.jpg")

    # Three timeouts, and pauses of at most 0.3 and 0.6 seconds.
    assert 0.9 <= seconds_of(fail) < 3
    assert server.asked[f"/{way}/a.jpg"] == 3


def test_a_read_that_goes_on_for_ever_is_not_tried_again(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from tac_pipeline.sources import streaming

    monkeypatch.setattr(streaming, "SLOWEST", 1)
    monkeypatch.setattr(streaming, "LONGEST", 1)
    # Long enough for a first byte also on a busy machine.
    with pytest.raises(OSError, match=r"^was not whole within 2 s \(\d+ bytes\)$"):
        read_url(f"{server.url}/drip/a.jpg", timeout=2.0)
    assert server.asked["/drip/a.jpg"] == 1


@pytest.mark.parametrize("way", ["hangonce", "busy"])
def test_what_passes_is_read_at_the_second_try(server: BadServer, way: str) -> None:
    server.files["a"] = b"found"
    assert read(server, f"{way}/a") == b"found"
    assert server.asked[f"/{way}/a"] == 2


@pytest.mark.parametrize(
    ("way", "tries", "reason"),
    [
        ("good", 1, "there is no such file"),
        ("forbidden", 1, "HTTP 403"),
        ("loop", 10, "is redirected without end"),
        ("broken", 3, r"HTTP 503 .*\(3 tries\)"),
        ("reset", 6, r"\(3 tries\)"),
        ("short", 3, r"the answer was cut short \(3 tries\)"),
    ],
)
def test_only_what_can_pass_is_tried_again(server: BadServer, way: str, tries: int, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        read(server, f"{way}/absent")
    # After a reset aiohttp itself asks twice, since it cannot know whether the first question arrived.
    assert server.asked[f"/{way}/absent"] == tries


def test_a_moved_file_is_found(server: BadServer) -> None:
    server.files["a"] = b"found"
    assert read(server, "moved/a") == b"found"


def test_a_server_that_does_not_answer_is_no_empty_folder(server: BadServer) -> None:
    with pytest.raises(SourceError, match=r"cannot list http.*did not answer.*is not empty"):
        RemoteFolderSource(f"{server.url}/hang/in", timeout=TIMEOUT).list_images()


# Many images at once.


def rows(server: BadServer, *paths: str, size: int | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {"image_id": paths, "uri": [f"{server.url}/{path}" for path in paths], "size": size, "version": "1"},
        schema={"image_id": pl.String, "uri": pl.String, "size": pl.Int64, "version": pl.String},
    )


class Urls:
    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        return read_url(uri, limit=limit, timeout=TIMEOUT)


def embedded(missing: pl.DataFrame, reader: Any = None, **options: Any) -> Iterator[EmbeddedBatch]:
    options = {"batch_size": 4, "max_pixels": 10**6, "max_bytes": 10**6, "threads": 2, **options}
    return encoded_batches(missing, reader or Urls(), MeanColor(), known=NoKnownVectors(), **options)


def by_id(found: Iterator[EmbeddedBatch]) -> dict[str, ImageRow]:
    return {row.image_id: row for batch in found for row in batch.rows}


def test_every_bad_answer_is_a_row_with_its_reason(server: BadServer) -> None:
    server.files["a.png"] = png((9, 9, 9))
    ways = ["good", "hang", "stall", "huge", "endless", "bomb", "short", "forbidden", "moved", "chunked", "ranges"]
    found = by_id(embedded(rows(server, *(f"{way}/a.png" for way in ways)), max_bytes=100_000))
    readable = {path.split("/")[0] for path, row in found.items() if row.error is None}
    assert readable == {"good", "moved", "chunked", "ranges"}
    assert found["huge/a.png"].error == "2,000,000,000 bytes, over images.max_bytes (100,000)"
    assert found["endless/a.png"].error == found["bomb/a.png"].error == "over images.max_bytes (100,000)"
    assert found["hang/a.png"].error == "cannot be read: did not answer within 0.3 s (3 tries)"


def test_while_one_hangs_the_others_go_on(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.05)
    server.files |= {f"{number:03}.png": png((number, 0, 0)) for number in range(60)}
    paths = ["hang/x.png", *(f"good/{name}" for name in server.files)]
    arrived = [
        (time.monotonic(), row.image_id)
        for batch in embedded(rows(server, *paths), any_order=True)
        for row in batch.rows
    ]
    assert sorted(path for _, path in arrived) == sorted(paths)
    assert arrived[-1][1] == "hang/x.png", "all 60 came before it"
    assert arrived[-1][0] - arrived[-2][0] > TIMEOUT
    in_order = [row.image_id for batch in embedded(rows(server, *paths[:9])) for row in batch.rows]
    assert in_order == paths[:9]


def test_images_that_come_in_time_are_in_the_same_batches_in_any_order(
    server: BadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 60.0)
    server.files |= {f"{number:03}.png": png((number, 0, 0)) for number in range(30)}
    missing = rows(server, *(f"good/{name}" for name in server.files))
    shapes = [
        [[row.image_id for row in batch.rows] for batch in embedded(missing, any_order=any_order)]
        for any_order in (True, False)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("concurrent", [3, 20])
def test_as_many_are_read_at_once_as_the_setting_says(concurrent: int) -> None:
    with bad_server() as server:
        server.files |= {f"{number:03}.png": png((number, 0, 0)) for number in range(40)}
        missing = rows(server, *(f"slow/{name}" for name in server.files))
        assert len(by_id(embedded(missing, concurrent_reads=concurrent))) == 40
        assert server.most_at_once == concurrent


def test_a_server_that_never_answers_is_not_asked_for_ever(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_reads, "SILENT_READS", 4)
    server.files["a.png"] = png((9, 9, 9))
    other = server.url.replace("127.0.0.1", "localhost")
    missing = rows(server, *(f"hang/{number}" for number in range(30)), "good/a.png")
    missing = missing.with_columns(
        uri=pl.when(pl.col("image_id") == "good/a.png").then(pl.lit(f"{other}/good/a.png")).otherwise("uri")
    )
    found = by_id(embedded(missing, concurrent_reads=4))
    assert found.pop("good/a.png").error is None, "another server is asked"
    told = [row.error or "" for row in found.values()]
    assert sum("did not answer within" in error for error in told) in range(4, 9)
    assert sum("did not answer 4 reads in a row" in error for error in told) >= 22
    assert sum(server.asked[f"/hang/{number}"] for number in range(30)) <= 3 * 8


class Stored:
    """Images in memory, and how many of their bytes were held at once: given out and not yet decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        self.data = png((1, 2, 3)).ljust(size, b"\0")
        self.held = self.most = 0
        self.lock = threading.Lock()
        load = embedding.load_image

        def counted(row: Any, data: bytes, *args: Any, **options: Any) -> Any:
            time.sleep(0.002)
            with self.lock:
                self.held -= len(data)
            return load(row, data, *args, **options)

        monkeypatch.setattr(embedding, "load_image", counted)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        if limit is not None and len(self.data) > limit:
            raise OverLimit(len(self.data), limit)
        with self.lock:
            self.held += len(self.data)
            self.most = max(self.most, self.held)
        return self.data


@pytest.mark.parametrize("told", [True, False])
def test_bytes_that_wait_for_decoding_have_a_budget(
    server: BadServer, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    monkeypatch.setattr(embedding, "HELD_BYTES", 100_000)
    monkeypatch.setattr(bounded_reads, "UNKNOWN_BYTES", 1000)
    stored = Stored(monkeypatch, 30_000)
    missing = rows(server, *map(str, range(50)), size=30_000 if told else None)
    assert all(row.error is None for row in by_id(embedded(missing, stored)).values())
    assert 30_000 < stored.most <= 100_000


def test_an_image_larger_than_the_budget_is_read_alone(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "HELD_BYTES", 10_000)
    stored = Stored(monkeypatch, 30_000)
    found = by_id(embedded(rows(server, *map(str, range(9)), size=30_000), stored))
    assert len(found) == 9
    assert stored.most == 30_000


def test_a_size_that_is_wrong_in_the_listing_is_no_error(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_id(embedded(rows(server, "a", size=10), Stored(monkeypatch, 30_000)))
    assert found["a"].error is None


def test_a_budget_is_given_in_turn() -> None:
    budget, order = ByteBudget(10), []
    budget.take(8)

    def ask(size: int) -> None:
        budget.take(size)
        order.append(size)

    large = threading.Thread(target=ask, args=(100,))
    large.start()
    time.sleep(0.05)
    small = threading.Thread(target=ask, args=(1,))
    small.start()
    time.sleep(0.05)
    assert order == [], "the small one does not pass the large one"
    budget.give_back(8)
    large.join(5)
    assert order == [100]
    budget.give_back(100)
    small.join(5)
    assert order == [100, 1]


def test_an_error_of_the_program_itself_is_raised() -> None:
    def fail(_: int) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), ReadAhead(fail, readers=2, decoders=1) as pool:
        list(batches((pool.submit(number) for number in range(3)), size=2, ahead=4, any_order=False))


INTERRUPTED = """
import signal, sys, polars as pl
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may have been told to ignore it
sys.path[:0] = ["tests/support"]
from photo_embedder import MeanColor
from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.sources.remote import read_url
class Urls:
    def read(self, uri, *, limit=None):
        print("reads", flush=True)
        return read_url(uri, limit=limit, timeout=30)
missing = pl.DataFrame({"image_id": ["a"], "uri": [sys.argv[1]], "size": [1000], "version": ["1"]})
list(encoded_batches(missing, Urls(), MeanColor(), known=NoKnownVectors(), batch_size=2, max_pixels=9, max_bytes=9999))
"""


def test_an_interruption_does_not_wait_for_a_server(server: BadServer) -> None:
    command = [sys.executable, "-c", INTERRUPTED, f"{server.url}/hang/a.jpg"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            _, told = process.communicate(timeout=3)
        finally:
            process.kill()
    assert process.returncode != 0
    assert told.rstrip().endswith("KeyboardInterrupt")


# Tars that cannot be read in parts.


@pytest.fixture
def tar(server: BadServer, tmp_path: Path) -> dict[str, bytes]:
    """The members of a tar that the server has, in an order that is not theirs by name."""
    members = {f"{(7 * number) % 40:02}.png": png((number, 0, 0)).ljust(3000, b"\0") for number in range(40)}
    server.files["x.tar"] = pack(tmp_path / "x.tar", members).read_bytes()
    return members


def test_a_tar_that_is_sent_whole_is_streamed_once(server: BadServer, tar: dict[str, bytes]) -> None:
    source = RemoteFolderSource(f"{server.url}/good/x.tar", timeout=TIMEOUT)
    listing = source.list_images()
    assert {image_id.removeprefix("x.tar/") for image_id in listing["image_id"]} == set(tar)
    found = by_id(embedded(listing, source, any_order=True, concurrent_reads=8))
    assert all(row.error is None for row in found.values())
    whole = len(server.files["x.tar"])
    # Questions for its size and its parts are closed unread, up to what sockets hold.
    assert len([asked for asked in server.headers_of["/good/x.tar"] if "Range" not in asked]) <= 5
    assert source.read(listing["uri"][3], limit=5000) == tar[listing["image_id"][3].removeprefix("x.tar/")]
    fresh = RemoteFolderSource(f"{server.url}/good/x.tar", timeout=TIMEOUT)
    server.asked.clear()
    server.headers_of.clear()
    for uri in listing["uri"]:
        fresh.read(uri)
    asked = server.headers_of["/good/x.tar"]
    assert [("Range" in headers) for headers in asked] == [True, False], "one question for a part, then the whole"
    assert whole > 100_000


def test_members_of_a_tar_are_read_in_the_order_of_the_tar() -> None:
    uris = ["b.jpg", "s3://x/1.tar#900+5", "s3://x/2.tar#70+5", "s3://x/1.tar#80+5", "a.jpg", "s3://x/2.tar#8+5"]
    ordered = bounded_reads.in_reading_order(pl.DataFrame({"uri": uris}))["uri"].to_list()
    assert ordered == [uris[at] for at in (0, 3, 1, 5, 2, 4)]
    plain = pl.DataFrame({"uri": ["b.jpg", "a.jpg"]})
    assert bounded_reads.in_reading_order(plain).equals(plain)


def test_a_tar_that_is_sent_in_parts_is_not_streamed(server: BadServer, tar: dict[str, bytes]) -> None:
    source = RemoteFolderSource(f"{server.url}/ranges/x.tar", timeout=TIMEOUT)
    listing = source.list_images()
    server.sent.clear()
    for image_id, uri in listing.select("image_id", "uri").head(5).iter_rows():
        assert source.read(uri) == tar[image_id.removeprefix("x.tar/")]
    assert server.sent["/ranges/x.tar"] == 5 * 3000
    with pytest.raises(OverLimit):
        source.read(listing["uri"][0], limit=2999)


def test_a_tar_that_is_too_large_for_the_disk_is_a_reason(
    server: BadServer, tar: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "SPOOL_BYTES", 50_000)
    source = RemoteFolderSource(f"{server.url}/good/x.tar", timeout=TIMEOUT)
    with pytest.raises(OSError, match=r"sends no parts of .*too large to keep in .*TMPDIR"):
        source.read(f"{server.url}/good/x.tar#1024+100")


def test_a_tar_whose_stream_stalls_is_a_reason(server: BadServer) -> None:
    source = RemoteFolderSource(f"{server.url}/stall/x.tar", timeout=TIMEOUT)
    with pytest.raises(OSError, match=r"0\.3 s \(3 tries\)"):
        source.read(f"{server.url}/stall/x.tar#512+100")
    asked = server.asked["/stall/x.tar"]
    with pytest.raises(OSError, match="3 tries"):
        source.read(f"{server.url}/stall/x.tar#1024+100")
    assert server.asked["/stall/x.tar"] == asked, "the next member is not waited for"


def test_of_tars_that_are_sent_whole_the_last_two_are_kept(server: BadServer, tmp_path: Path) -> None:
    files, filesystem = RemoteFiles(timeout=TIMEOUT), split_url(server.url)[0]
    for name in ("a", "b", "c"):
        server.files[f"{name}.tar"] = name.encode() * 5000
        assert files.read_part(filesystem, f"{server.url}/good/{name}.tar", 100, 3) == name.encode() * 3
    kept = [name for name in "abc" if f"{server.url}/good/{name}.tar" in files._spools]
    assert kept == ["b", "c"]
    assert files.read_part(filesystem, f"{server.url}/good/a.tar", 4998, 10) == b"aa", "streamed again"


# Names.

NAMES = ["a b.jpg", "100%.jpg", "a%20b.jpg", "a#1+2.jpg", "a?b=c.jpg", "a+b.jpg", "größe/ü.jpg", "a::b.jpg", "[x]*.jpg"]


@pytest.mark.parametrize("sized", [True, False])
def test_names_in_a_bucket_hold_any_character(s3: Any, tmp_path: Path, sized: bool) -> None:
    for name in NAMES:
        s3.pipe_file(f"photos/in/{name}", name.encode())
    source = open_source("s3://photos/in")
    listing = source.list_images()
    assert listing["image_id"].to_list() == sorted(NAMES)
    limit = 100 if sized else None
    assert [source.read(uri, limit=limit).decode() for uri in listing["uri"]] == sorted(NAMES)  # type: ignore[union-attr,call-arg]
    assert [read_url(uri).decode() for uri in listing["uri"]] == sorted(NAMES), "as a manifest names them"
    with pytest.raises(OverLimit) as caught:
        source.read(listing["uri"][0], limit=2)  # type: ignore[union-attr,call-arg]
    assert caught.value.size == len(sorted(NAMES)[0])


def test_names_on_a_web_server_hold_any_character(tmp_path: Path) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    names = [*NAMES, "a&amp;b.jpg", "a'b.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = open_source(f"http://127.0.0.1:{server.server_port}")
        listing = source.list_images()
        assert listing["image_id"].to_list() == sorted(names)
        assert [source.read(uri).decode() for uri in listing["uri"]] == sorted(names)  # type: ignore[union-attr]
        server.shutdown()


def test_a_chain_of_filesystems_is_meant_only_where_every_part_names_one(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.jpg", b"inside")
    source = open_source(f"zip://::file://{tmp_path}/x.zip")
    listing = source.list_images()
    assert [source.read(uri) for uri in listing["uri"]] == [b"inside"]  # type: ignore[union-attr]
    assert split_url("s3://bucket/a::b.jpg")[1] == "bucket/a::b.jpg"


def test_a_folder_reads_files_of_another_filesystem_too(server: BadServer) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/else/a.jpg", b"found")
    assert RemoteFolderSource(f"{server.url}/good").read("memory://else/a.jpg") == b"found"
    with pytest.raises(OSError, match="Protocol not known"):
        RemoteFolderSource(f"{server.url}/good").read("nosuch://else/a.jpg")


def test_a_missing_bucket_and_missing_keys_say_where_and_what_to_do(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    with pytest.raises(OSError, match="bucket does not exist"):
        read_url("s3://absent/a.jpg")
    with pytest.raises(SourceError, match=r"nothing is at s3://absent/in\. Check its name, and AWS_ENDPOINT_URL"):
        open_source("s3://absent/in").list_images()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match=r"s3://photos/in: .*credentials: set AWS_ACCESS_KEY_ID and .*AWS_PROFILE"):
        open_source("s3://photos/in").list_images()


@pytest.fixture
def bad_bucket(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    """The server as one that speaks S3; the bucket's name is the way in which its answers are bad."""
    import s3fs

    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": server.url, "NO_PROXY": "*"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield server
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("bucket", "reason"),
    [
        ("hang", r"did not answer within 0\.3 s \(3 tries\)"),
        ("stall", r"(stopped|sent only|did not answer).* 0\.3 s \(3 tries\)"),
        ("broken", r"\(3 tries\)"),
        ("forbidden", r"the credentials that are in use may not read it"),
        ("endless", r"the answer lacks 'content-length'"),
        ("huge", r"2,000,000,000 bytes, more than the limit"),
    ],
)
def test_a_bucket_that_misbehaves_is_a_reason_too(bad_bucket: BadServer, bucket: str, reason: str) -> None:
    def fail() -> None:
        with pytest.raises(OSError, match=reason):
            read_url(f"s3://{bucket}/a.jpg", limit=100_000, timeout=TIMEOUT)

    assert seconds_of(fail) < 5


# What is out of reach is tried again, but not at once.


def test_an_unreachable_image_is_left_alone_for_an_hour(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(png((1, 2, 3)))
    (tmp_path / "photos/b.png").write_bytes(png((4, 5, 6)))
    source, asked = FolderSource(tmp_path / "photos"), []
    reachable = False

    class Reader:
        def read(self, uri: str, *, limit: int | None = None) -> bytes:
            asked.append(Path(uri).name)
            if uri.endswith("b.png") and not reachable:
                raise OSError("the network is down")
            return source.read(uri, limit=limit)

    def run(seconds: float) -> pl.DataFrame:
        asked.clear()
        return embed_missing(
            source.list_images(),
            lambda missing, known: encoded_batches(
                missing, Reader(), MeanColor(), known=known, batch_size=4, max_pixels=999, max_bytes=10**6
            ),
            shards=tmp_path / "shards",
            encoder="the mean color",
            try_again_after=seconds,
        )

    first = run(3600)
    assert first["error"].to_list() == [None, "cannot be read: the network is down"]
    again = run(3600)
    assert asked == []
    assert again["error"].to_list() == first["error"].to_list()
    assert not again["computed"].any()
    (tmp_path / "photos/c.png").write_bytes(png((7, 8, 9)))
    assert len(run(3600)) == 3
    assert asked == ["c.png"], "a new image does not make the others be read"
    [shard] = {tmp_path / "shards" / name for name in first["shard"]}
    os.utime(shard, (time.time() - 3601, time.time() - 3601))
    run(3600)
    assert asked == ["b.png"], "an hour later"
    reachable = True
    assert run(0)["error"].null_count() == 3, "when it is asked for"
    assert asked == ["b.png"]


def test_an_unreachable_image_that_changed_is_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos/a.png"
    path.write_bytes(png((1, 2, 3)))
    source = FolderSource(tmp_path / "photos")

    class Reader:
        def read(self, uri: str, *, limit: int | None = None) -> bytes:
            if Path(uri).stat().st_size < 100:
                raise OSError("not yet")
            return source.read(uri, limit=limit)

    def run() -> pl.DataFrame:
        return embed_missing(
            source.list_images(),
            lambda missing, known: encoded_batches(
                missing, Reader(), MeanColor(), known=known, batch_size=4, max_pixels=99999, max_bytes=10**6
            ),
            shards=tmp_path / "shards",
            encoder="the mean color",
            try_again_after=3600,
        )

    assert run()["error"].to_list() == ["cannot be read: not yet"]
    noise = io.BytesIO()
    from PIL import Image

    Image.effect_noise((40, 40), 90).save(noise, format="png")
    path.write_bytes(noise.getvalue())
    assert run()["error"].to_list() == [None]
