"""A settings file as a project: finding it, loading it, and the folders and files that it names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tac_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from tac_pipeline.settings.keys import Settings

SETTINGS_VARIABLE = "TAC_SETTINGS"
SETTINGS_NAME = "tac.yaml"
LARGEST_SETTINGS_FILE = 1_000_000  # bytes
FILE_SUFFIXES = (".json", ".safetensors", ".pt", ".pth", ".bin", ".txt", ".csv", ".parquet")


@dataclass(frozen=True)
class Project:
    """Validated settings and the file that they came from; relative paths resolve against that file's folder."""

    settings: Settings
    path: Path

    @property
    def store_folder(self) -> Path:
        """The folder of this store's artifacts."""
        return self.data_folder / self.settings.store

    @property
    def data_folder(self) -> Path:
        """The folder of all stores' artifacts."""
        return Path(self.resolve(self.settings.data))

    def resolve(self, location: str) -> str:
        """A path of the settings file as an absolute path; a URL is returned unchanged."""
        if "://" in location:
            return location
        return str(self.path.parent / Path(location).expanduser())

    @property
    def corrections_file(self) -> Path | None:
        """The file of people's corrections, if the settings name one."""
        named = self.settings.corrections
        return None if named is None else Path(self.resolve(named))

    @property
    def known_file(self) -> Path | None:
        """The file of examples of known classes, if the settings name one."""
        named = self.settings.known.file
        return None if named is None else Path(self.resolve(named))

    def resolve_file(self, name: str) -> str:
        """A name that may be a file: resolved when it ends like a file's name, else unchanged."""
        return self.resolve(name) if Path(name).suffix.lower() in FILE_SUFFIXES else name

    @property
    def encoder_files(self) -> tuple[str, str]:
        """encoder.model and encoder.pretrained, as tac_pipeline.encoders takes them: files are resolved."""
        named = self.settings.encoder
        return self.resolve_file(named.model), self.resolve_file(named.pretrained)


def find_settings(given: str | Path | None = None) -> Path:
    """The settings file: the one given, else $TAC_SETTINGS, else ./tac.yaml.

    Raises
    ------
    SettingsError
        There is no such file.
    """
    written, origin = (str(given), "--settings") if given is not None else (os.environ.get(SETTINGS_VARIABLE), "")
    if written is None:
        written, origin = SETTINGS_NAME, "the current folder"
    elif not origin:
        origin = f"${SETTINGS_VARIABLE}"
    path = Path(written).expanduser().absolute()
    if path.is_dir():
        path = path / SETTINGS_NAME
    if not path.is_file():
        raise SettingsError(
            f"no settings file at {path} (from {origin}). "
            f"Write one with `tac init FOLDER`, name one with --settings FILE or ${SETTINGS_VARIABLE}, or go to the "
            f"folder that holds {SETTINGS_NAME}."
        )
    return path


def load_project(path: str | Path) -> Project:
    """Read and validate a settings file.

    Raises
    ------
    SettingsError
        Unreadable, not YAML, an unknown key, a missing key, or a value out of range; names the line.
    """
    # Not at the top: `tac --help` needs no pydantic.
    from tac_pipeline.settings.reading import parse_settings, read_text

    path = Path(path).expanduser().absolute()
    text = read_text(path, max_bytes=LARGEST_SETTINGS_FILE, what="the settings file")
    return Project(parse_settings(text, name=path.name), path)
