"""What the settings of a new store take over from a store beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tac_pipeline.settings.folders import settings_files


@dataclass(frozen=True)
class Beside:
    """A settings file, and its encoder and nouns as it has them: stores that agree in both encode the nouns once."""

    path: Path
    encoder: dict[str, object]
    nouns: dict[str, object]


def store_beside(path: Path) -> Beside | None:
    """The first settings file in a new one's folder that names an encoder; None where there is none.

    Raises
    ------
    SettingsError
        The folder cannot be read.
    """
    for other in settings_files(path.parent).values():
        try:
            tree = YAML(typ="safe", pure=True).load(other.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, YAMLError):
            continue
        encoder, nouns = (
            _named(tree, "encoder", ("model", "pretrained", "preset")),
            _named(tree, "nouns", ("source",)),
        )
        if encoder:
            return Beside(other, encoder, nouns)
    return None


def _named(tree: object, section: str, keys: tuple[str, ...]) -> dict[str, object]:
    found = tree.get(section) if isinstance(tree, dict) else None
    return {key: found[key] for key in keys if isinstance(found.get(key), str)} if isinstance(found, dict) else {}
