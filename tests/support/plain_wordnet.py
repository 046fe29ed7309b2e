"""A plain reader of WordNet's database files, and a tiny database: what the packaged tables are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tac_pipeline.wordnet.build import LEXICOGRAPHER_FILES, REQUIRED_FILES


@dataclass(frozen=True)
class Synset:
    """A synset to write: lemmas as the database spells them, and pointers (symbol, target, number of a lemma or 0)."""

    lemmas: list[str]
    lexname: str
    pointers: list[tuple[str, str, int]] = field(default_factory=list)


# One of everything that the reader must tell apart: a lemma in two senses and in two cases, a mark on a whole synset
# and on one lemma of it, an instance, two hypernyms, an underscore, a pointer that no table keeps.
TINY_SYNSETS = {
    "entity": Synset(["entity"], "noun.Tops"),
    "animal": Synset(["animal", "beast"], "noun.animal", [("@", "entity", 0)]),
    "pet": Synset(["pet"], "noun.animal", [("@", "animal", 0)]),
    "dog": Synset(["dog", "domestic_dog"], "noun.animal", [("@", "animal", 0), ("@", "pet", 0), ("+", "pet", 1)]),
    "cad": Synset(["cad", "dog"], "noun.person", [("@", "entity", 0), (";u", "slur", 2)]),
    "brute": Synset(["Beast", "beast"], "noun.person", [("@", "entity", 0), (";u", "slur", 0)]),
    "slur": Synset(["slur"], "noun.communication", [("@", "entity", 0)]),
    "rex": Synset(["Rex"], "noun.animal", [("@i", "dog", 0)]),
}
TINY_ORDER = {"dog": ["dog", "cad"], "beast": ["animal", "brute"]}
TINY_COUNTS = {"dog%1:05:00::": 42, "dog%1:18:00::": 1}
_LICENSE = "  1 This database ... WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.  \n"


def write_tiny_database(folder: Path) -> Path:
    """Write TINY_SYNSETS as a WordNet database directory."""
    for name in REQUIRED_FILES:
        (folder / name).write_text(_LICENSE if name.startswith("data") else "")
    lines: dict[str, str] = {}
    offsets = dict.fromkeys(TINY_SYNSETS, 0)
    for _ in range(2):  # the first pass finds the offsets, which are of fixed width, the second writes them
        start = len(_LICENSE)
        for name, synset in TINY_SYNSETS.items():
            offsets[name] = start
            lines[name] = _data_line(synset, start, offsets)
            start += len(lines[name])
    (folder / "data.noun").write_text(_LICENSE + "".join(lines.values()))
    (folder / "index.noun").write_text(_LICENSE + "".join(sorted(_index_lines(offsets))))
    (folder / "cntlist.rev").write_text("".join(f"{key} 1 {count}\n" for key, count in TINY_COUNTS.items()))
    return folder


def _data_line(synset: Synset, offset: int, offsets: dict[str, int]) -> str:
    file_number = LEXICOGRAPHER_FILES.index(synset.lexname)
    lemmas = " ".join(f"{lemma} 0" for lemma in synset.lemmas)
    pointers = "".join(
        f" {symbol} {offsets[target]:08d} n {lemma:02x}{'01' if lemma else '00'}"
        for symbol, target, lemma in synset.pointers
    )
    head = f"{offset:08d} {file_number:02d} n {len(synset.lemmas):02x} {lemmas} {len(synset.pointers):03d}"
    return f"{head}{pointers} | a gloss that no table holds\n"


def _index_lines(offsets: dict[str, int]) -> list[str]:
    lemmas = {lemma.lower() for synset in TINY_SYNSETS.values() for lemma in synset.lemmas}
    lines = []
    for lemma in lemmas:
        holders = [name for name, synset in TINY_SYNSETS.items() if lemma in map(str.lower, synset.lemmas)]
        order = TINY_ORDER.get(lemma, holders)
        places = " ".join(f"{offsets[name]:08d}" for name in order)
        lines.append(f"{lemma} n {len(order)} 1 @ {len(order)} 0 {places}  \n")
    return lines


def read_plainly(folder: Path) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The rows of both tables, read line by line from the files as wndb(5WN) and cntlist(5WN) describe them."""
    order: dict[str, list[str]] = {}
    for line in (folder / "index.noun").read_text().splitlines():
        if not line.startswith(" "):
            fields = line.split()
            order[fields[0]] = fields[-int(fields[2]) :]
    counts = {line.split()[0]: int(line.split()[2]) for line in (folder / "cntlist.rev").read_text().splitlines()}
    parsed = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if not line.startswith(" "):
            fields = line.partition(" | ")[0].split()
            end = 4 + 2 * int(fields[3], 16)
            words = [(fields[i], int(fields[i + 1], 16)) for i in range(4, end, 2)]
            pointers = [tuple(fields[i : i + 4]) for i in range(end + 1, end + 1 + 4 * int(fields[end]), 4)]
            parsed[fields[0]] = (int(fields[1]), words, pointers)
    names = {}
    for offset, (_, words, _) in parsed.items():
        first = words[0][0].lower()
        names[offset] = f"{first}.n.{order[first].index(offset) + 1:02d}"
    synsets: list[dict[str, object]] = []
    senses: list[dict[str, object]] = []
    for offset, (file_number, words, pointers) in parsed.items():
        above = {symbol: sorted(names[to] for kind, to, _, _ in pointers if kind == symbol) for symbol in ("@", "@i")}
        row = {"synset": names[offset], "offset": int(offset), "lexname": LEXICOGRAPHER_FILES[file_number]}
        synsets.append(row | {"hypernyms": above["@"], "instance_hypernyms": above["@i"]})
        for number, (word, lex_id) in enumerate(words, start=1):
            marks = {names[to] for kind, to, _, ends in pointers if kind == ";u" and int(ends[:2], 16) in (0, number)}
            key = word.lower()
            senses.append(
                {
                    "lemma": word.replace("_", " "),
                    "synset": names[offset],
                    "rank": order[key].index(offset) + 1,
                    "tag_count": counts.get(f"{key}%1:{file_number:02d}:{lex_id:02d}::", 0),
                    "usage_domains": sorted(marks),
                }
            )
    return senses, synsets
