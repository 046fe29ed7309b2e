"""Editing the settings file as a careful person would: everything else in it stays the same, comments included.

The new value replaces the old one in the text. The edited text is validated before it replaces the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tac_pipeline.errors import SettingsError, TacError
from tac_pipeline.files import write_atomically
from tac_pipeline.settings.keys import Settings, is_secret, require_key, settings_keys, split_grouping, value_at
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.settings.reading import NOT_SHOWN, parse_settings
from tac_pipeline.settings.yaml_text import set_key

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Edit:
    """One key with its old and new value; they are equal when the key already had the value, written or by default."""

    key: str
    old: object
    new: object

    @property
    def sentence(self) -> str:
        """One line that says how the key changed."""
        if is_secret(self.key):
            return f"{self.key}: {'changed' if self.old != self.new else 'already so'} (the value is not shown)"
        return f"{self.key}: {f'{_shown(self.old)} -> ' if self.old != self.new else 'already '}{_shown(self.new)}"


def read_assignments(texts: Iterable[str]) -> dict[str, object]:
    """Read several KEY=VALUE texts into keys and values (see read_assignment).

    Raises
    ------
    SettingsError
        A text cannot be read, or two texts set the same key.
    """
    changes: dict[str, object] = {}
    for text in texts:
        key, value = read_assignment(text)
        if key in changes:
            raise SettingsError(f"{key} must be given once; got it twice")
        changes[key] = value
    return changes


def read_assignment(text: str) -> tuple[str, object]:
    """Read KEY=VALUE into a key and a value.

    The value is read as YAML: 0.01, true, null, [a, b]. When a key takes text, the value is taken unchanged, so a cron
    or a path with a # needs no second pair of quotes inside the shell's.

    Raises
    ------
    SettingsError
        There is no `=`, or the value is not YAML.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise SettingsError(
            f"a setting must be given as KEY=VALUE, such as retrieval.tau=0.01, with no space around =; got {text!r}"
        )
    if not value:
        raise SettingsError(f"{key} must be given a value; got {text!r}. For none write {key}=null")
    kinds = _kinds(key)
    listed = value[0] == "[" and any(get_origin(kind) is list for kind in kinds)
    if _takes_text(kinds) and not listed and value[0] not in "'\"" and value not in ("null", "~"):
        return key, value
    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except (YAMLError, ValueError) as error:
        raise SettingsError(
            f"the value of {key} must be YAML, such as 0.01, true, null or ['a {{}}', 'b']; got "
            f"{NOT_SHOWN if is_secret(key) else repr(value)}"
        ) from error


def edit_settings(
    path: Path, changes: Mapping[str, object], *, accept: Callable[[Project], None] = lambda _: None
) -> list[Edit]:
    """Set keys of a settings file, all or none; every other byte of the file stays the same.

    Parameters
    ----------
    path : Path
        The settings file; a link to it is followed.
    changes : mapping of dotted key to value
    accept : callable
        Called with the edited project; raises TacError to refuse what this module cannot judge.

    Raises
    ------
    SettingsError
        A key does not exist, a value cannot be used, or the file cannot be written; nothing is changed.
    """
    for key in changes:
        require_key(key, place=path.name)
    before = load_project(path).settings
    target = path.resolve()
    written = target.read_bytes().decode("utf-8")
    text = written.removeprefix(_BYTE_ORDER_MARK)
    after = _validated(_edited(text, changes, path.name), before, changes, path)
    try:
        accept(Project(after, path))
    except TacError as error:
        raise SettingsError(f"{str(error).removesuffix('.')}. Nothing was changed.") from error
    edits = [Edit(key, value_at(before, key), value_at(after, key)) for key in changes]
    changed = {edit.key: changes[edit.key] for edit in edits if edit.old != edit.new}
    if changed:
        edited = _edited(text, changed, path.name)
        _validated(edited, before, changed, path)
        _replace(target, written.removesuffix(text) + edited)
    return edits


def _kinds(key: str) -> list[Any]:
    """The types that a key's value may have, or its fixed words."""
    section: Any = Settings
    for name in split_grouping(key)[1].split("."):
        field = getattr(section, "model_fields", {}).get(name)
        if field is None:
            return []
        section = field.annotation
    kinds = get_args(section) if get_origin(section) is not list else ()
    return [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds or (section,)]


def _takes_text(kinds: list[Any]) -> bool:
    """Whether a value is text or one of a few fixed words."""
    return any(kind is str or isinstance(kind, str) for kind in kinds)


def _validated(edited: str, before: Settings, changes: Mapping[str, object], path: Path) -> Settings:
    """The edited settings, checked to differ in the given keys only."""
    try:
        after = parse_settings(edited, name=f"{path.name} as it would be")
    except SettingsError as error:
        raise SettingsError(f"{error}. Nothing was changed.") from None
    wanted = {key.name: value_at(before, key.name) for key in settings_keys()}
    wanted["groupings"] = _groupings_with(changes, before)
    wanted |= {key: value for key, value in changes.items() if key in wanted}
    if any(value_at(after, key) != value for key, value in wanted.items()):
        raise _by_hand(changes, path.name)
    return after


def _groupings_with(changes: Mapping[str, object], before: Settings) -> dict[str, dict[str, Any]]:
    """The groupings as written, with those of the changes that are about one of them."""
    found: dict[str, dict[str, Any]] = deepcopy(before.groupings)
    for name, value in changes.items():
        grouping, key = split_grouping(name)
        if grouping is not None:
            *sections, last = key.split(".")
            place = found.setdefault(grouping, {})
            for section in sections:
                # A section whose keys are all commented out is null.
                place[section] = place.get(section) or {}
                place = place[section]
            place[last] = value
    return found


def _by_hand(changes: Iterable[str], name: str) -> SettingsError:
    return SettingsError(
        f"{', '.join(changes)} cannot be set here without changing more of {name}, which is written in an unusual way "
        "(anchors, merged keys). Nothing was changed: edit the file by hand."
    )


def _edited(text: str, changes: Mapping[str, object], name: str) -> str:
    """The text with these keys set, one after the other."""
    for key, value in changes.items():
        try:
            text = set_key(text, key, value)
        except YAMLError:
            raise _by_hand(changes, name) from None
    return text


def _shown(value: object) -> str:
    """A value as YAML writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _replace(path: Path, text: str) -> None:
    try:
        mode = path.stat().st_mode
        write_atomically(path, text)
        path.chmod(mode)
    except OSError as error:
        raise SettingsError(f"cannot write the settings file {path}: {error.strerror}. Nothing was changed.") from error
