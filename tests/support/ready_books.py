"""Dagster's databases for tests: made once for each process, then copied, and written without waiting for the disk."""

import functools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ready_store import Shelf

USER = "assets.orchestration.instance"


def use_ready_books(patch: pytest.MonkeyPatch) -> None:
    """Let a new instance start with copies, where the code that makes one is loaded already."""
    module = sys.modules.get(USER)
    if module is not None:
        _write_without_waiting()
        _read_migrations_once()
        patch.setattr(module, "make_books", copy_books)


def copy_books(home: Path) -> None:
    """What make_books does: a database that is new is the same everywhere, and takes 40 statements to make."""
    from assets.orchestration.dagster_internals import BOOKS, make_books

    if any((home / name).exists() for name in BOOKS):
        make_books(home)
        return
    for name in BOOKS:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_new_books() / name, home / name)


@functools.cache
def _new_books() -> Path:
    from assets.orchestration.dagster_internals import make_books
    from assets.orchestration.instance import instance_settings

    home = Path(tempfile.mkdtemp(prefix="books-", dir=Shelf.folder))
    (home / "dagster.yaml").write_text(instance_settings(home), encoding="utf-8")
    make_books(home)
    return home


@functools.cache
def _write_without_waiting() -> None:
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")


@functools.cache
def _read_migrations_once() -> None:
    """A database is asked for its version at every turn, which reads eighty files of Dagster's each time."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from_config, read = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def known(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in read:
            read[place] = from_config(config)
        return read[place]

    ScriptDirectory.from_config = known  # type: ignore[method-assign]
