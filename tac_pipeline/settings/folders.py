"""A folder of settings files, one for each store."""

from __future__ import annotations

import re
from pathlib import Path

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.project import LARGEST_SETTINGS_FILE

# Settings files are told from Dagster's and from files of corrections by the one key that all of them must have.
_STORE_LINE = re.compile(r"^store:[ \t]*['\"]?([^'\"#\s]*)", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")


def settings_files(folder: Path) -> dict[str, Path]:
    """The settings files of a folder by their names as Python's, in the order of these names.

    A settings file is a .yaml with a line that begins with `store:`; whether it can be used is not looked at.

    Raises
    ------
    SettingsError
        The folder cannot be read, or two files would have the same name or the same store.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
        stores = {path: found[1] for path in paths if (found := _STORE_LINE.search(_beginning(path)))}
    except OSError as error:
        raise SettingsError(f"the folder of settings files {folder} cannot be read: {error.strerror}") from error
    named: dict[str, Path] = {}
    owners: dict[str, Path] = {}
    for path, store in stores.items():
        name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
        for known, key, what in ((named, name, "name"), (owners, store, "store")):
            other = known.setdefault(key, path)
            if other is not path:
                raise SettingsError(
                    f"settings files of one folder must differ in {what}; got {other.name} and {path.name}, which are "
                    f"both {key} (in {folder})"
                )
    return dict(sorted(named.items()))


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(LARGEST_SETTINGS_FILE)
