"""A process on this machine that speaks S3, for tests of sources; its fixtures are in conftest.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from waiting import free_port, wait_for

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a process that speaks S3."""
    port, log = free_port(), tmp_path_factory.mktemp("s3") / "server.log"
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool | None:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/moto-api/", timeout=5, trust_env=False).is_success or None
        except httpx.TransportError:
            return None

    try:
        wait_for(answers, what="the S3 server")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A filesystem with an empty bucket `photos` on that server; s3:// URLs lead there."""
    import s3fs

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_url, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    httpx.post(f"{s3_url}/moto-api/reset", trust_env=False)
    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem()
    filesystem.mkdir("photos")
    yield filesystem
    s3fs.S3FileSystem.clear_instance_cache()
