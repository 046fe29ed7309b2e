"""Reading the text of a settings file into validated settings, and the sentences that refuse it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.keys import Settings, is_secret, suggestion


def parse_settings(text: str, *, name: str) -> Settings:
    """Validate the text of a settings file; `name` is what messages call it."""
    tree, written = read_yaml(text, name=name)
    if not isinstance(written, Mapping):
        raise SettingsError(f"{name} must hold keys and values such as `store: photos`; got {type(written).__name__}")
    settings = _validated(lambda: Settings.model_validate(written), tree, name)
    for grouping in settings.groupings:
        _validated(partial(settings.grouping, grouping), tree, name, above=("groupings", grouping))
    return settings


def _validated(make: Callable[[], Settings], tree: Node | None, name: str, above: tuple[str, ...] = ()) -> Settings:
    """Settings, or the sentences that refuse them; `above` are the keys above theirs in the file."""
    try:
        return make()
    except ValidationError as error:
        lines = [_sentence(dict(problem), tree, name, above) for problem in error.errors(include_url=False)]
        # Pydantic's own message would follow ours in the UI and repeat it.
        raise SettingsError("\n".join(lines)) from None


def read_yaml(text: str, *, name: str) -> tuple[Node | None, Any]:
    """The nodes of a YAML text, which know their lines (see line_of), and its values.

    Raises
    ------
    SettingsError
        Not YAML, or a key is there twice; names the line.
    """
    try:
        return _loader().compose(text), _loader().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{name}{line}: not valid YAML: {error.problem or error.context}") from error
    except (YAMLError, ValueError) as error:
        raise SettingsError(f"{name}: not valid YAML: {error}") from error


def _loader() -> YAML:
    return YAML(typ="safe", pure=True)


_SENTENCES = {
    "missing": "is required",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text (put it in quotes)",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be a section of keys",
    "model_attributes_type": "must be a section of keys",
    "greater_than": "must be > {gt:g}",
    "greater_than_equal": "must be >= {ge:g}",
    "less_than": "must be < {lt:g}",
    "less_than_equal": "must be <= {le:g}",
    "literal_error": "must be {expected}",
    "method": "must be {expected}",
    "criterion": "{expected}",
    "groupings": "{sentence}",
    "sentence": "{sentence}",
    "hidden": "{sentence}",
    "dict_type": "must be a section of keys",
    "too_short": "must have at least {min_length} entry",
    "string_too_short": "must not be empty",
    "cluster_count": "must be a whole number, auto, fine or coarse",
    "shortlist_kind": "must be a whole number from 1, all or null",
    "label_columns": "{sentence}",
    "splits": "must be the name of a split, a list of names, or null",
    "cluster_bounds": "must have min <= max",
    "compute_address": "must have address where engine is auto",
    "known_places": "must have either folder, or file and column",
    "known_method": "must be {able} where `known` is set",
    "local_folder": "must be a folder on this machine, which may be a mounted one, and not a URL",
}

# Instead of a value that lets its owner speak for the store elsewhere.
NOT_SHOWN = "a value that is not shown"
# What a pattern asks for, in words.
_PATTERNS = {
    "store": "must be 1 to 64 letters, digits, - or _, starting with a letter or digit",
    "encoder.device": "must be auto, cpu, mps, cuda or cuda:N",
    "nouns.language": "must be a language's code of two or three small letters, such as deu or de",
    "alerts.email.server": "must be a host, or host:port",
    "nouns.templates": "must each hold {} once, where the noun goes",
}


def _sentence(problem: dict[str, Any], tree: Node | None, name: str, above: tuple[str, ...]) -> str:
    """One validation problem as one sentence: what must hold, what came, where."""
    parts = (*above, *problem["loc"])
    key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    whole = ".".join((*above, key))
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{whole} is not a settings key{suggestion(key)} ({name}, line {line_of(tree, parts)})"
    if kind == "missing":
        return f"{whole} is required; add it to {name}"
    if kind == "string_pattern_mismatch" and key in _PATTERNS:
        must = _PATTERNS[key]
    else:
        must = _SENTENCES.get(kind, f"is not valid: {problem['msg']}").format(**problem.get("ctx", {}))
    came = NOT_SHOWN if kind == "hidden" or is_secret(whole) else shown(problem["input"])
    return f"{whole} {must}; got {came} ({name}, line {line_of(tree, parts)})"


def read_text(path: Path, *, max_bytes: int, what: str) -> str:
    """The text of a small file that people write, with or without a byte order mark.

    Raises
    ------
    SettingsError
        It cannot be read, or is larger than any file of its kind; `what` says which, as in "the settings file".
    """
    try:
        if path.stat().st_size > max_bytes:
            raise SettingsError(f"{what} must have at most {max_bytes:,} bytes; {path} is larger")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {what} {path}: {error}") from error


def shown(value: object) -> str:
    """A value as a message shows it, cut when it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def line_of(tree: Node | None, parts: tuple[str | int, ...]) -> int:
    """The line of the deepest part of a path that the YAML holds, counted from 1."""
    node, line = tree, 1
    for part in parts:
        if isinstance(node, MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
