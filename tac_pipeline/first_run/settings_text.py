"""The settings file of a new store: a short one, with comments, that people edit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tac_pipeline.settings.yaml_text import set_key

_LONGEST_NAME = 64
_NAMELESS = "photos"
_TEXT = """\
# The settings of one image store. Keys that are left out have their defaults; `tac set KEY=VALUE` adds or changes one.

# The results are in data/ beside this file, in a folder of this name.
store: photos
images:
  source: photos
encoder:
clusters:
  # Found from the images; or a number of groups; or coarse, for fewer of them.
  count: auto
{further}
# More that is often set:
#   nouns: {source: nouns.txt}        your own words, one on a line, in place of WordNet's nouns
#   images: {labels: folder}          true groups, to compare with: the name of each image's folder
#   training_set: {sampling: balanced}   more of the rare kinds, in a store of more than 200,000 images
#   corrections: corrections.yaml     names, merges and pins that every run keeps
"""


def settings_text(
    *, store: str, source: str, encoder: Mapping[str, object], more: Mapping[str, object] | None = None
) -> str:
    """The text of a settings file with these values, and `clusters.count: auto` where `more` has no other.

    `more` are further values by their dotted keys.
    """
    # Its keys are there before they are set: set_key knows how to quote, and adds nothing to an empty section.
    keys = "".join(f"  {key}: {key}\n" for key in encoder)
    text = _TEXT.replace("encoder:\n", f"encoder:\n{keys}").replace("{further}\n", _skeleton(more or {}))
    values = {"store": store, "images.source": source} | {f"encoder.{key}": value for key, value in encoder.items()}
    values |= more or {}
    for name, value in values.items():
        text = set_key(text, name, value)
    return text


def _skeleton(more: Mapping[str, object]) -> str:
    """Sections that the text has not yet, with placeholders for their keys."""
    lines: list[str] = []
    for name in more:
        section, _, key = name.rpartition(".")
        if not section:
            lines += [*_NOTES.get(name, []), f"{name}: {name}"]
        elif f"{section}:\n" not in _TEXT:
            lines += [f"{section}:", f"  {key}: {key}"]
    return "".join(f"{line}\n" for line in lines) + "\n"


# What is said of a key where a preset sets it.
_NOTES = {"method": ["# The paper's method; robust, the default of other stores, finds better groups."]}


def store_name(source: str) -> str:
    """The name of a store from the last part of its location: lower case, with - for what a name cannot hold."""
    last = PurePosixPath(source.rstrip("/").partition("://")[2] or source.rstrip("/")).name
    stem = re.sub(r"\.(tar|csv|tsv|jsonl|txt|parquet|npy)$", "", last.lower())
    name = re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:_LONGEST_NAME]
    return name or _NAMELESS


def short_name(name: str) -> str:
    """A set's name as people type it."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def written_source(source: str, settings_file: Path) -> str:
    """A location as the file should have it: relative below the file's folder, else absolute; URLs as they are."""
    if "://" in source:
        return source
    path = Path(source).expanduser()
    # Links keep their names; `..` cannot.
    path = path.resolve() if ".." in path.parts else path.absolute()
    folder = settings_file.parent
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
