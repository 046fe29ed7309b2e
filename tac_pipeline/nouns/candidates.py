"""The candidate nouns of one source or of several: which there are, whose they are, and what people say of them.

What must stay out: how a file is read (files.py) and which nouns are offensive (tac_pipeline/wordnet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, FloatVector
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.nouns.files import Entry, WordFile, read_word_file
from tac_pipeline.wordnet import is_offensive, load_nouns
from tac_pipeline.wordnet.spelling import folded, is_among

if TYPE_CHECKING:
    import polars as pl

WORDNET = "wordnet"

_SHOWN = 3  # examples in a message


@dataclass(frozen=True)
class CandidateNouns:
    """The nouns from which the vocabulary is chosen.

    Attributes
    ----------
    table : polars.DataFrame
        noun (string, unique): as prompts show it; for a noun in WordNet, about the sense that it has as a candidate:
        synset (string), such as dog.n.01, lexname (string), n_senses (uint32) and tag_count (uint16), else null.
    embeddings : float32 (n_nouns, dim), unit rows, in the table's order; None when the source has none
    encoder : str or None
        The encoder of the embeddings, when the table names it (Parquet metadata tac.encoder).
    excluded : tuple of str
        The nouns of the source that were dropped as offensive.
    own : bool (n_nouns,)
        Whether the noun is from a file, which means people's own, and not from WordNet.
    weights : float32 (n_nouns,)
        How much people prefer it as a name, over 0; 1 where nothing is said.
    never : tuple of str
        The words that must be neither a candidate nor a name, as they were written.
    says_more : bool
        Whether there is anything beyond a list of nouns: several sources, a weight, or a word that is never used.
    notes : tuple of str
        Sentences for the reader of a log.
    """

    table: pl.DataFrame
    embeddings: FloatMatrix | None
    encoder: str | None
    excluded: tuple[str, ...]
    own: npt.NDArray[np.bool_]
    weights: FloatVector
    never: tuple[str, ...] = ()
    says_more: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.table.height


def load_candidate_nouns(source: str | Path | Sequence[str | Path], *, exclude_offensive: bool) -> CandidateNouns:
    """Read the candidate nouns of a source, or of several together, and check them.

    Parameters
    ----------
    source : str or Path, or sequence of them
        "wordnet" (every noun of WordNet 3.0 once, sorted); or a .parquet or .csv file with a column `noun` and
        optionally `embedding` (in .csv a JSON list of numbers), `weight` and `never`; or a text file in UTF-8, one noun
        per line, where empty lines and lines that begin with # are skipped, and where a weight or the word `never` may
        follow the last comma. A file's order is kept. Of several sources, an own word takes the place of WordNet's same
        noun, and what a later file says of a word counts.
    exclude_offensive : bool
        Drop the nouns that must not name a group of photographs (tac_pipeline/wordnet/offensive.txt).

    Raises
    ------
    InputError
        A file cannot be used (see read_word_file); some sources have embeddings and others have not, or of another
        width or encoder; or no noun is left.
    """
    places = [source] if isinstance(source, str | Path) else list(source)
    if not places:
        raise InputError("nouns.source must name at least one source; got an empty list. Write wordnet, or a file.")
    files = [read_word_file(Path(place)) for place in places if place != WORDNET]
    told, notes = _joined(files)
    never = tuple(word for word, entry in told.items() if entry.never)
    words = [word for word, entry in told.items() if not entry.never]
    with_wordnet = any(place == WORDNET for place in places)
    embeddings, encoder = _joined_vectors(files, words, with_wordnet=with_wordnet)
    table = _table(words, with_wordnet=with_wordnet, first=places[0] == WORDNET)
    own = table["noun"].is_in(words).to_numpy()
    found = CandidateNouns(
        table=table,
        embeddings=embeddings,
        encoder=encoder,
        excluded=(),
        own=own,
        weights=np.array([_weight(told, noun) for noun in table["noun"]], dtype=np.float32),
        never=never,
        says_more=len(places) > 1 or any(entry.never or entry.weight is not None for entry in told.values()),
        notes=(*(note for file in files for note in file.notes), *notes),
    )
    return _without_unwanted(found, shown=", ".join(map(str, places)), exclude_offensive=exclude_offensive)


def _joined(files: Sequence[WordFile]) -> tuple[dict[str, Entry], list[str]]:
    """What is said of every word, in the order of its first place; and notes on words that are there several times."""
    told: dict[str, Entry] = {}
    origin: dict[str, WordFile] = {}
    repeated: list[str] = []
    for file in files:
        for entry in file.entries:
            if entry.word in told:
                before = origin[entry.word]
                repeated.append(
                    f"{entry.word!r} ({before.path}, {before.place_name} {told[entry.word].place}; "
                    f"{file.path}, {file.place_name} {entry.place})"
                )
            told[entry.word], origin[entry.word] = entry, file
    notes = []
    if repeated:
        notes.append(f"in several files, and what the later file says counts: {first_few(repeated, _SHOWN)}")
    spellings: dict[str, list[str]] = {}
    for word in told:
        spellings.setdefault(word.lower(), []).append(word)
    alike = [" and ".join(map(repr, group)) for group in spellings.values() if len(group) > 1]
    if alike:
        notes.append(f"kept apart, though they differ in capitals only: {first_few(alike, _SHOWN)}")
    return told, notes


def _joined_vectors(
    files: Sequence[WordFile], words: Sequence[str], *, with_wordnet: bool
) -> tuple[FloatMatrix | None, str | None]:
    """The words' vectors, of the last file that has each, and their encoder; None when no file has vectors."""
    # A file with nothing but words that are never used needs no vectors.
    files = [file for file in files if file.nouns]
    given = [(file.path, file.embeddings, file) for file in files if file.embeddings is not None]
    if not given:
        return None, None
    path, first, _ = given[0]
    without = [WORDNET] if with_wordnet else []
    without += [str(file.path) for file in files if file.embeddings is None]
    if without:
        raise InputError(
            f"the sources of nouns.source must all have vectors, or none; {path} has them and {without[0]} has not. "
            f"Leave one of the two out, or take the column embedding out of {path}."
        )
    row_of: dict[str, tuple[int, int]] = {}
    for number, (other, vectors, file) in enumerate(given):
        if vectors.shape[1] != first.shape[1] or file.encoder != given[0][2].encoder:
            raise InputError(
                f"the vectors of nouns.source must be of one encoder and width; {path} has width {first.shape[1]} and "
                f"encoder {given[0][2].encoder}, {other} has width {vectors.shape[1]} and encoder {file.encoder}. "
                "Encode both with one encoder."
            )
        row_of |= {word: (number, row) for row, word in enumerate(file.nouns)}
    if len(given) == 1 and len(words) == len(first):
        return first, given[0][2].encoder
    return np.stack([given[number][1][row] for number, row in map(row_of.__getitem__, words)]), given[0][2].encoder


def _table(words: list[str], *, with_wordnet: bool, first: bool) -> pl.DataFrame:
    """The nouns with what WordNet knows of each: WordNet's own ones, without those that are among the words too."""
    import polars as pl

    if not with_wordnet:
        return _described(words)
    nouns = load_nouns().drop("usage_domains")
    if not words:
        return nouns.drop("key")
    own = _described(words)
    keys = pl.Series(words, dtype=pl.String).str.replace_all(r"[\s_]+", " ").str.to_lowercase()
    rest = nouns.filter(~pl.col("key").is_in(keys.implode())).drop("key")
    return pl.concat([rest, own] if first else [own, rest])


def _weight(told: dict[str, Entry], noun: str) -> float:
    entry = told.get(noun)
    return 1.0 if entry is None or entry.weight is None else entry.weight


def _without_unwanted(found: CandidateNouns, *, shown: str, exclude_offensive: bool) -> CandidateNouns:
    """The candidates without the offensive ones and those that are never used."""
    import polars as pl

    nouns, never = found.table["noun"], frozenset(map(folded, found.never))
    barred = np.array([bool(never) and is_among(noun, never) for noun in nouns], dtype=bool)
    offensive = np.array([exclude_offensive and is_offensive(noun) for noun in nouns], dtype=bool)
    kept = ~(barred | offensive)
    if not kept.any():
        why = "never used" if not len(kept) else "never used or offensive" if barred.any() else "offensive"
        raise InputError(
            f"{shown} must leave a noun to choose; all of its {len(kept) or 'words'} are {why}. Add others."
        )
    clash = [repr(word) for word in nouns.filter(pl.Series(barred & found.own))]
    told = f"own words that are never used, because another line says so: {first_few(clash, _SHOWN)}"
    return replace(
        found,
        table=found.table.filter(pl.Series(kept)),
        # Two million vectors are not copied for nothing.
        embeddings=found.embeddings if found.embeddings is None or kept.all() else found.embeddings[kept],
        excluded=tuple(nouns.filter(pl.Series(offensive & ~barred))),
        own=found.own[kept],
        weights=found.weights[kept],
        notes=(*found.notes, told) if clash else found.notes,
    )


def _described(nouns: list[str]) -> pl.DataFrame:
    """The nouns in their order, with what WordNet knows of each."""
    import polars as pl

    # WordNet's keys are in lower case with single spaces.
    key = pl.col("noun").str.replace_all(r"[\s_]+", " ").str.to_lowercase().alias("key")
    given = pl.DataFrame({"noun": nouns}, schema={"noun": pl.String}).with_row_index("row").with_columns(key)
    known = load_nouns().drop("noun", "usage_domains")
    return given.join(known, on="key", how="left").sort("row").drop("row", "key")
