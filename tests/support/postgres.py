"""A Postgres of the test's own, on a free port of this machine, which can be stopped and started again."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from waiting import free_port

USER = "tac"


def programs() -> Path | None:
    """Where Debian, or the PATH, has initdb; None where Postgres is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    there = shutil.which("initdb")
    return found[-1].parent if found else (Path(there).resolve().parent if there else None)


@dataclass(frozen=True)
class Postgres:
    """A cluster in a folder, and how to reach it."""

    programs: Path
    folder: Path
    port: int
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """What Dagster and `tac` read."""
        return {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_DB": "postgres",
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": self.password,
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -F"
        self.run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        """Stop it as a restart does: every connection ends."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "fast", "stop")

    def run(self, program: str, *arguments: str) -> None:
        """One of its programs, as a user that is not root: it refuses root."""
        other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        # A file, because the server keeps it open: the end of a pipe would never come.
        with tempfile.TemporaryFile() as log:
            command = [*other, str(self.programs / program), *arguments]
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=False
            ).returncode
            log.seek(0)
            assert code == 0, log.read().decode()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A running cluster with a password."""
    bin_folder = programs()
    assert bin_folder is not None
    # Not in pytest's own folder, which another user may not enter.
    with tempfile.TemporaryDirectory(prefix="tac-postgres-") as name:
        folder = Path(name)
        found = Postgres(bin_folder, folder, free_port(), secrets.token_hex(12))
        word = folder / "password"
        word.write_text(found.password)
        if os.geteuid() == 0:
            for path in (folder, word):
                shutil.chown(path, "postgres")
        found.run(
            "initdb", "-D", str(folder / "data"), "-U", USER, "--auth=scram-sha-256", f"--pwfile={word}", "--no-sync"
        )
        found.start()
        try:
            yield found
        finally:
            found.run("pg_ctl", "-D", str(folder / "data"), "-w", "-m", "immediate", "stop")
