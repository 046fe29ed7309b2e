"""Setting a key in the text of a YAML file as a careful person would: every other byte stays the same.

Comments, order, quotes, indentation and line ends are kept because only the characters of the value are replaced. What
must stay out: which keys there are and what they may hold (keys.py).
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_NULL = "tag:yaml.org,2002:null"


def set_key(text: str, key: str, value: object) -> str:
    """The text of a YAML file with one key set: in place of its old value, else at the end of its section.

    Parameters
    ----------
    text : str
        Holds a mapping. Anchors, aliases and merged keys are not followed: the caller reads the returned text again to
        see whether it is still YAML and whether only this key has changed.
    key : str
        Names joined by dots; a missing section is added.

    Raises
    ------
    YAMLError
        The text, before or after the change, is not YAML.
    """
    edited = _set(text, key, value)
    _compose(edited)
    return edited


def _compose(text: str) -> Any:
    return YAML(typ="safe", pure=True).compose(text)


def _set(text: str, key: str, value: object) -> str:
    place, names = _compose(text), key.split(".")
    above = label = place
    for depth, name in enumerate(names):
        if not isinstance(place, MappingNode):
            return _fill(text, above, label, place, names[depth:], value)
        entry = next(((found, node) for found, node in place.value if found.value == name), None)
        if entry is None:
            return _add(text, place, names[depth:], value)
        above = place
        label, place = entry
    if isinstance(place, SequenceNode) and not place.flow_style and isinstance(value, list) and value:
        return _set_items(text, place, value)
    start, end = place.start_mark.index, _end(text, place)
    if start >= end:
        # Nothing is written after the colon.
        colon = text.find(":", label.end_mark.index) + 1
        return f"{text[:colon]} {_as_yaml(value)}{text[colon:]}"
    return _put(text, start, end, _as_yaml(value))


def _put(text: str, start: int, end: int, new: str) -> str:
    """Replace old text by new; a comment behind it keeps its column when there is room."""
    rest = text[end:]
    gap = re.match(r" +(?=#)", rest)
    if gap and "\n" not in text[start:end]:
        spaces = len(gap[0]) - len(new) + (end - start)
        rest = " " * max(spaces, min(len(gap[0]), 2)) + rest[len(gap[0]) :]
    return f"{text[:start]}{new}{rest}"


def _set_items(text: str, sequence: SequenceNode, values: list[Any]) -> str:
    """Set the items of a list that has one item per line; comment lines between them stay."""
    items, pad = sequence.value, " " * sequence.start_mark.column
    more = [f"{pad}- {_as_yaml(value)}" for value in values[len(items) :]]
    if more:
        text = _insert_lines(text, _line_end(text, _end(text, items[-1])), more)
    for place, item in reversed(list(enumerate(items))):
        start, end = item.start_mark.index, _end(text, item)
        if place >= len(values):
            text = text[: text.rfind("\n", 0, start) + 1] + text[_line_end(text, end) :]
        elif not (isinstance(item, ScalarNode) and item.value == values[place]):
            text = _put(text, start, end, _as_yaml(values[place]))
    return text


def _add(text: str, mapping: MappingNode, names: list[str], value: object) -> str:
    """Add a key that a mapping does not have; with two names, a new section that holds the key."""
    *sections, last = names
    if mapping.flow_style:
        new = f"{last}: {_as_yaml(value)}"
        for section in sections:
            new = f"{section}: {{{new}}}"
        if not mapping.value:
            return f"{text[: mapping.end_mark.index - 1]}{new}{text[mapping.end_mark.index - 1 :]}"
        end = _end(text, mapping.value[-1][1])
        return f"{text[:end]}, {new}{text[end:]}"
    column = mapping.value[0][0].start_mark.column
    lines = _lines_of(names, value, column, _indent(mapping))
    return _insert_lines(text, _section_end(text, _line_end(text, _end(text, mapping)), column), lines)


def _fill(text: str, mapping: MappingNode, label: ScalarNode, section: Node, names: list[str], value: object) -> str:
    """Add the first key to a section of a mapping that is null: written so, or all its keys are commented out."""
    if section.tag != _NULL:
        raise YAMLError(f"{label.value} must be a section of keys")
    if section.start_mark.index < _end(text, section) or mapping.flow_style:
        *sections, last = names
        new = f"{{{last}: {_as_yaml(value)}}}"
        for name in reversed(sections):
            new = f"{{{name}: {new}}}"
        return _put(text, section.start_mark.index, _end(text, section), new)
    column, start = label.start_mark.column, _line_end(text, text.find(":", label.end_mark.index))
    end = _section_end(text, start, column + 1)
    # The comments are where its keys were.
    comment = re.search(r"^( +)#", text[start:end], flags=re.MULTILINE)
    first = len(comment[1]) if comment else column + _indent(mapping)
    return _insert_lines(text, end, _lines_of(names, value, first, _indent(mapping)))


def _lines_of(names: list[str], value: object, column: int, indent: int) -> list[str]:
    """The lines of a key, and of the sections above it that are new."""
    *sections, last = names
    lines = [f"{' ' * (column + indent * depth)}{section}:" for depth, section in enumerate(sections)]
    return [*lines, f"{' ' * (column + indent * len(sections))}{last}: {_as_yaml(value)}"]


def _indent(mapping: MappingNode) -> int:
    """By how many spaces the sections of a mapping are indented; 2 when none shows it."""
    for label, node in mapping.value:
        if isinstance(node, MappingNode) and not node.flow_style:
            return int(node.value[0][0].start_mark.column - label.start_mark.column)
    return 2


def _end(text: str, node: Node) -> int:
    """Where the last character of a node ends; a block's own end mark is behind the comments that follow it."""
    if isinstance(node, MappingNode) and not node.flow_style:
        label, last = node.value[-1]
        return max(_end(text, last), int(label.end_mark.index))
    if isinstance(node, SequenceNode) and not node.flow_style:
        return _end(text, node.value[-1])
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    return start + len(text[start:end].rstrip())


def _line_end(text: str, position: int) -> int:
    """Where the line at a position ends, including its line break."""
    return text.find("\n", position) + 1 or len(text)


def _section_end(text: str, position: int, column: int) -> int:
    """Where a section's comments end: those below its last line that are indented like its keys."""
    end = position
    for line in text[position:].splitlines(keepends=True):
        position += len(line)
        words = line.lstrip()
        if words.startswith("#") and len(line) - len(words) >= column:
            end = position
        elif words:
            break
    return end


def _insert_lines(text: str, position: int, lines: list[str]) -> str:
    """Insert lines at the start of a line, with the file's own line breaks."""
    line_break = "\r\n" if "\r\n" in text else "\n"
    before, new = text[:position], line_break.join(lines)
    if before and not before.endswith("\n"):
        return f"{before}{line_break}{new}"
    return f"{before}{new}{line_break}{text[position:]}"


def _as_yaml(value: object) -> str:
    """A value as YAML on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 1_000_000
    buffer = io.StringIO()
    # In a list, text is quoted when YAML could read it as something else.
    yaml.dump([value], buffer)
    text = buffer.getvalue().strip()
    # JSON is YAML too. It escapes the rare characters that YAML's writer does not escape but reads as line breaks.
    whole = text if repr(yaml.load(text)) == repr([value]) and not isinstance(value, dict) else json.dumps([value])
    return whole.removeprefix("[").removesuffix("]")
