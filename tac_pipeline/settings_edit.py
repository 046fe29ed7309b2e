"""Editing the settings file as a careful person would: comments kept, the result validated, then swapped in whole."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings import load_project, parse_settings, require_key, value_at
from tac_pipeline.store import write_atomically


@dataclass(frozen=True)
class Edit:
    """One key, and what it was and is; equal where the file said so already or meant it by default."""

    key: str
    old: object
    new: object


def read_assignment(text: str) -> tuple[str, object]:
    """KEY=VALUE as a key and a value, the value read as YAML: 0.01, true, null, [a, b], photos/2024.

    Raises
    ------
    SettingsError
        No `=`, or the value is no YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"a setting must be given as KEY=VALUE, such as retrieval.tau=0.01; got {text!r}")
    if not value.strip():
        raise SettingsError(f"{key.strip()} must be given a value; got {text!r}. For none write {key.strip()}=null")
    try:
        return key.strip(), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise SettingsError(f"the value of {key.strip()} must be YAML, text in quotes; got {value!r}") from error


def edit_settings(path: Path, changes: Mapping[str, object]) -> list[Edit]:
    """Set keys of a settings file; everything else of it stays as it is, comments included.

    Parameters
    ----------
    path : Path
        The settings file; a link to it is followed.
    changes : mapping of dotted key to value

    Raises
    ------
    SettingsError
        A key does not exist, a value cannot be used, or the file cannot be written; nothing is changed.
    """
    project = load_project(path)
    for key in changes:
        require_key(key, place=path.name)
    target = path.resolve()
    text = target.read_text(encoding="utf-8-sig")
    edited = _edited(text, changes)
    after = parse_settings(edited, name=path.name)
    edits = [Edit(key, value_at(project.settings, key), value_at(after, key)) for key in changes]
    if edited != text and any(edit.old != edit.new for edit in edits):
        try:
            _replace(target, edited)
        except OSError as error:
            raise SettingsError(f"cannot write the settings file {target}: {error.strerror}") from error
    return edits


def _edited(text: str, changes: Mapping[str, object]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000  # never break a line that was not broken
    tree, indent, offset = load_yaml_guess_indent(text, yaml=yaml)
    for key, value in changes.items():
        *sections, last = key.split(".")
        place: Any = tree
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = CommentedMap()
            place = place[section]
        place[last] = value
    yaml.indent(mapping=indent or 2, sequence=indent or 2, offset=offset or 0)
    # null as YAML writes it, not as an empty value.
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    buffer = io.StringIO()
    yaml.dump(tree, buffer)
    return buffer.getvalue()


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode
    write_atomically(path, text)
    path.chmod(mode)
