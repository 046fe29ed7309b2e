"""ImageNet: folders named by WordNet's synsets, in the challenge's own layout or any other, and its usual subsets."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path

from tac_pipeline.errors import SourceError, first_few
from tac_pipeline.sources.layouts.labeled import FolderLayout, Value, read_lines, split_folder
from tac_pipeline.sources.layouts.trees import folders_in

SYNSET = re.compile(r"n\d{8}")
# Where the challenge keeps its images, below what is unpacked.
_PLACES = ("", "train", "val", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train", "CLS-LOC/train")
MAPPING = "LOC_synset_mapping.txt"
SOLUTION = "LOC_val_solution.csv"
SUBSETS_FILE = Path(__file__).parent / "imagenet_subsets.csv"


@cache
def imagenet_subset(name: str) -> tuple[str, ...]:
    """The synsets of a subset of ImageNet, as the papers of deep clustering use it.

    Parameters
    ----------
    name : {"imagenet-10", "imagenet-dogs"}

    Raises
    ------
    SourceError
        There is no such subset.
    """
    with SUBSETS_FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = tuple(row["synset"] for row in rows if row["subset"] == name)
    if not found:
        known = ", ".join(dict.fromkeys(row["subset"] for row in rows))
        raise SourceError(f"a subset of ImageNet must be one of {known}; got {name}")
    return found


def subset_patterns(synsets: Iterable[str], *, flat_val: bool = False) -> list[str]:
    """Patterns for images.exclude that leave only the class folders of these synsets.

    Of a val without class folders no pattern can tell the classes: it is left out, or with flat_val left whole.
    """
    # The last pattern that fits counts.
    flat = [] if flat_val else ["**/val/*.JPEG"]
    return ["n[0-9]*/", "**/test/*", *flat, *(f"!{synset}/" for synset in synsets)]


def find_imagenet(folder: Path) -> FolderLayout | None:
    """The layout of a folder of synsets; None for other folders."""
    classes: set[str] = set()
    has_splits = False
    for place in _PLACES:
        found = {name for name in folders_in(folder / place) if SYNSET.fullmatch(name)}
        has_splits = has_splits or bool(found and place)
        classes |= found
    if not classes:
        return None
    columns = ("label", "synset", "split") if has_splits else ("label", "synset")
    return FolderLayout("ImageNet", columns, partial(_value, folder, sorted(classes)))


def _value(folder: Path, classes: Sequence[str], column: str) -> Value:
    if column == "split":
        return _split
    solution = folder / SOLUTION
    flat = _read_solution(solution) if solution.is_file() else {}

    def synset(image_id: str) -> str | None:
        parts = image_id.split("/")
        found = next((part for part in reversed(parts[:-1]) if SYNSET.fullmatch(part)), None)
        return found or flat.get(parts[-1].partition(".")[0])

    if column == "synset":
        return synset
    mapping = folder / MAPPING
    first = _read_mapping(mapping) if mapping.is_file() else {}
    names = class_names([*first, *(name for name in classes if name not in first)], first)
    return lambda image_id: names.get(synset(image_id) or "", synset(image_id))


def _split(image_id: str) -> str | None:
    return next((split for part in image_id.split("/")[:-1] if (split := split_folder(part))), None)


def class_names(synsets: Sequence[str], given: dict[str, str] | None = None) -> dict[str, str]:
    """A name for each synset, no two the same: {synset: name}.

    The name is the given one, or the first noun of the synset in WordNet. Where two synsets have one name, each also
    has the kind above it, as in crane (wading bird); where that is the same too, its number.
    """
    known, given = _in_wordnet(), given or {}
    first = {synset: given.get(synset) or known.get(synset, (synset, synset))[0] for synset in synsets}
    times = Counter(first.values())
    wider = {
        synset: name if times[name] == 1 else f"{name} ({known.get(synset, (name, synset))[1]})"
        for synset, name in first.items()
    }
    times = Counter(wider.values())
    return {synset: name if times[name] == 1 else f"{first[synset]} ({synset})" for synset, name in wider.items()}


@cache
def _in_wordnet() -> dict[str, tuple[str, str]]:
    """Of each synset by its number, such as n02084071, its first noun and the first noun of the synset above."""
    from tac_pipeline.wordnet import load_senses, load_synsets

    nouns: dict[str, str] = {}
    for lemma, synset in load_senses().select("lemma", "synset").iter_rows():
        nouns.setdefault(synset, lemma)
    rows = load_synsets().select("synset", "offset", "hypernyms").iter_rows()
    return {
        f"n{offset:08d}": (nouns[synset], nouns.get(above[0], synset) if above else synset)
        for synset, offset, above in rows
    }


def _read_mapping(path: Path) -> dict[str, str]:
    """The first name of each synset, from lines such as `n01440764 tench, Tinca tinca`."""
    names = {}
    for line in read_lines(path):
        synset, _, words = line.strip().partition(" ")
        if not SYNSET.fullmatch(synset) or not words.strip():
            raise SourceError(f"{path} must have lines such as 'n01440764 tench, Tinca tinca'; got {line[:60]!r}")
        names[synset] = words.partition(",")[0].strip()
    return names


def _read_solution(path: Path) -> dict[str, str]:
    """The synset of each image of val, from lines such as `ILSVRC2012_val_00048981,n03995372 85 1 499 272`."""
    found, wrong = {}, []
    for line in read_lines(path)[1:]:
        image, _, boxes = line.partition(",")
        synset = boxes.strip().partition(" ")[0]
        if SYNSET.fullmatch(synset):
            found[image] = synset
        else:
            wrong.append(line[:60])
    if wrong:
        raise SourceError(f"{path} must name a synset in every line after the first; got {first_few(wrong, 2)}")
    return found
