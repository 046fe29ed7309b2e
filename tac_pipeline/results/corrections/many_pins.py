"""The pins of a corrections file read line by line: a reader of all of YAML takes minutes for a million of them.

Only what can be read in one way is read here: a section with one plain line for each pin. Anything else is left to the
reader of all of YAML, which also words every refusal.
"""

from __future__ import annotations

import re

# Characters that mean themselves inside quotes; others, and escapes, are left to the reader of YAML.
_QUOTABLE = r"\w !#$%&()*+,./:;<=>?@\[\]^`{|}~\-"
# An unquoted id could be a number, a date or a word like `no`, unless it has a slash or ends like a file's name.
_PIN = re.compile(
    rf"""( +)(?:"([{_QUOTABLE}']+)"|'([{_QUOTABLE}"]+)'|(\w[\w./+@=()~, \-]*[\w)])): +(0|[1-9][0-9]{{0,9}}) *"""
)
_PLAIN = re.compile(r".*/.*|.*\.[A-Za-z]{2,}", re.DOTALL)
_NOTHING = re.compile(r" *(#.*)?")
_SECTION = re.compile(r"pins: *(#.*)?")
# YAML knows no longer key on one line.
_LONGEST_KEY = 1000


def take_pins(text: str) -> tuple[str, str, dict[str, int]] | None:
    """Take the section `pins` out of the text of a corrections file.

    Returns
    -------
    (before, rest, pins)
        The text before the section, and the text with empty lines in its place; the caller reads both as YAML, because
        the section is one only if what is before it is whole. None when the section is not plain, or there is none.
    """
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if _SECTION.fullmatch(line)]
    if len(starts) != 1:
        return None
    start, pins, indent, end = starts[0], dict[str, int](), None, len(lines)
    for number in range(start + 1, len(lines)):
        line = lines[number]
        found = _PIN.fullmatch(line)
        if found is None:
            if _NOTHING.fullmatch(line):
                continue
            if line[:1] == " ":
                return None
            end = number
            break
        spaces, double, single, plain, id_ = found.groups()
        key = double or single or plain
        readable = plain is None or _PLAIN.fullmatch(plain)
        if spaces != (indent or spaces) or key in pins or len(key) > _LONGEST_KEY or not readable:
            return None
        indent, pins[key] = spaces, int(id_)
    if not pins:
        return None
    rest = [*lines[:start], *[""] * (end - start), *lines[end:]]
    return "\n".join(lines[:start]), "\n".join(rest), pins
