"""The fenced blocks of a page of the documentation, and what a page says of each in a comment that no reader sees.

A comment on the line before a block is one of these:

    <!-- not run: REASON -->       it cannot run here; what can be checked without running still is
    <!-- file: NAME -->            the reader saves it under this name, and later blocks may read it
    <!-- printed by: COMMAND -->   what this command prints
    <!-- part of: PAGE -->         lines of a block of another page
"""

import re
from dataclasses import dataclass
from pathlib import Path

NOT_RUN, FILE, PRINTED_BY, PART_OF = "not run", "file", "printed by", "part of"
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(rf"<!-- ({NOT_RUN}|{FILE}|{PRINTED_BY}|{PART_OF}): (.+) -->$")
LEFT_OUT = ("...", "…")
# What a page shows of a length of time, of anything else with a digit, and of what it leaves out.
VARYING = {
    "time": r"[\d.,]+ (?:s|min|h)\b",
    "figure": r"\w*\d(?:[\w.,]*\w)?",
    "left_out": r"\.\.\.|…",
    "space": r"\s+",
}
VARIED = re.compile("|".join(f"(?P<{kind}>{shape})" for kind, shape in VARYING.items()))


@dataclass(frozen=True)
class Block:
    """One fenced block: where it is, its language and text, and the comment above it."""

    page: Path
    line: int
    language: str
    text: str
    kind: str
    told: str

    @property
    def place(self) -> str:
        return f"{self.page.name}, line {self.line}"


@dataclass(frozen=True)
class Typed:
    """A command as the page shows it, and the lines that it is said to print."""

    command: str
    printed: list[str]


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        above = text[: fence.start()].rstrip("\n").rpartition("\n")[2].strip()
        comment = COMMENT.match(above)
        kind, told = (comment[1], comment[2]) if comment else ("", "")
        line = text.count("\n", 0, fence.start()) + 1
        content = re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        found.append(Block(page, line, fence["language"].strip(), content, kind, told))
    assert 2 * len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)), f"{page.name} has a fence without an end"
    return found


def typed_in(text: str) -> list[Typed]:
    """The commands behind the prompts of a console block; what follows each is what it prints."""
    found: list[Typed] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Typed(line[2:], []))
        else:
            assert found, f"a console block must begin with a prompt; got {line!r}"
            found[-1].printed.append(line)
    return found


def shape_of(line: str, stand_ins: dict[str, str]) -> re.Pattern[str]:
    """What a printed line must look like: other figures, lengths of time and paths of ours may stand in it."""
    parts = re.split("(" + "|".join(map(re.escape, stand_ins)) + ")", line.strip()) if stand_ins else [line.strip()]
    return re.compile("".join(stand_ins.get(part) or _varied(part) for part in parts))


def _varied(text: str) -> str:
    shape, end = "", 0
    for found in VARIED.finditer(text):
        shape += re.escape(text[end : found.start()]) + (".*" if found["left_out"] else VARYING[found.lastgroup or ""])
        end = found.end()
    return shape + re.escape(text[end:])


def missing_lines(documented: list[str], printed: str, stand_ins: dict[str, str]) -> list[str]:
    """The documented lines that a command did not print, in their order."""
    rest, missing = [line.strip() for line in printed.splitlines()], []
    for line in documented:
        if line.strip() in ("", *LEFT_OUT):
            continue
        shape = shape_of(line, stand_ins)
        found = next((place for place, other in enumerate(rest) if shape.fullmatch(other)), None)
        if found is None:
            missing.append(line)
        else:
            rest = rest[found + 1 :]
    return missing
