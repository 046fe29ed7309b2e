"""A settings file as a project: finding it, loading it, and the folders and files that it names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tac_pipeline.errors import InputError, SettingsError

if TYPE_CHECKING:
    from tac_pipeline.settings.keys import EncoderSettings, Settings

SETTINGS_VARIABLE = "TAC_SETTINGS"
SETTINGS_NAME = "tac.yaml"
LARGEST_SETTINGS_FILE = 1_000_000  # bytes
# What all groupings of a store share: it is about the images, not about groups.
IMAGE_ASSETS = ("image_manifest", "image_labels", "image_embeddings")
FILE_SUFFIXES = (".json", ".safetensors", ".pt", ".pth", ".bin", ".txt", ".csv", ".parquet")


@dataclass(frozen=True)
class Project:
    """Validated settings and the file that they came from; relative paths resolve against that file's folder.

    Attributes
    ----------
    base : Project, optional
        Of a grouping: the project of the store whose images it groups.
    """

    settings: Settings
    path: Path
    base: Project | None = None

    @property
    def root(self) -> Project:
        """The project of the store itself."""
        return self.base or self

    @property
    def groupings(self) -> list[Project]:
        """The further groupings of the store, in the order of the file."""
        root = self.root
        return [Project(root.settings.grouping(name), self.path, root) for name in root.settings.groupings]

    @property
    def family(self) -> list[Project]:
        """The store and its groupings."""
        return [self.root, *self.groupings]

    @property
    def parts(self) -> list[Project]:
        """What a command on this project is about: a store with its groupings, or a grouping alone."""
        return self.family if self.base is None else [self]

    @property
    def grouping(self) -> str:
        """The name of the grouping; empty for the store itself."""
        return "" if self.base is None else self.settings.store.partition(".")[2]

    @property
    def forgotten_groupings(self) -> list[Path]:
        """The folders of groupings that the settings no longer name."""
        known = {one.store_folder for one in self.family}
        return sorted(set(self.data_folder.glob(f"{self.root.settings.store}.*")) - known)

    def find_grouping(self, name: str) -> Project:
        """The project of a grouping.

        Raises
        ------
        InputError
            There is none of this name.
        """
        known = {project.grouping: project for project in self.groupings}
        if name not in known:
            have = f"there are {', '.join(known)}" if known else "there are none: the settings file has no `groupings`"
            raise InputError(f"there is no grouping {name!r}; {have}")
        return known[name]

    def owner_of(self, asset: str) -> Project:
        """The project whose store holds an asset: of what groupings share, the store itself."""
        return self.root if asset in IMAGE_ASSETS else self

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
    def encoder(self) -> EncoderSettings:
        """The section `encoder`, as tac_pipeline.encoders takes it: files are resolved."""
        named, second = self.settings.encoder, self.settings.encoder.second
        weights = None if second.pretrained is None else self.resolve_file(second.pretrained)
        files = {"model": self.resolve_file(named.model), "pretrained": self.resolve_file(named.pretrained)}
        return named.model_copy(update={**files, "second": second.model_copy(update={"pretrained": weights})})

    @property
    def encoder_files(self) -> tuple[str, str]:
        """encoder.model and encoder.pretrained, resolved."""
        return self.encoder.model, self.encoder.pretrained


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
