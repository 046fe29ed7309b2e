"""Makes the packaged tables from a WordNet 3.0 database directory, read by nltk.

What must stay out: glosses and examples (nothing here reads them), verbs, adjectives and adverbs.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tac_pipeline.errors import InputError
from tac_pipeline.wordnet.tables import SENSES_FILE, SYNSETS_FILE

if TYPE_CHECKING:
    import pyarrow as pa

# What nltk opens, whatever part of speech is asked for.
REQUIRED_FILES = (
    "cntlist.rev",
    *(f"{kind}.{part}" for part in ("noun", "verb", "adj", "adv") for kind in ("index", "data")),
    *(f"{part}.exc" for part in ("noun", "verb", "adj", "adv")),
)

# lexnames(5WN): the lexicographer files in the order of their numbers. Debian's wordnet-base leaves the file out.
_NOUN_FILES = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
)
_VERB_FILES = (
    "body change cognition communication competition consumption contact creation emotion motion perception possession "
    "social stative weather"
)
LEXICOGRAPHER_FILES = (
    "adj.all",
    "adj.pert",
    "adv.all",
    *(f"noun.{topic}" for topic in _NOUN_FILES.split()),
    *(f"verb.{topic}" for topic in _VERB_FILES.split()),
    "adj.ppl",
)
_CATEGORY_NUMBERS = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}

WORDNET_VERSION = "3.0"
# wnstats(7WN); a sense is a noun in a synset, and 35 synsets write a noun in two cases, which makes a row each.
N_NOUNS, N_SYNSETS, N_SENSES, N_SENSE_ROWS = 117_798, 82_115, 146_312, 146_347

# The strongest level that is not slow; it changes the size of the file alone.
_COMPRESSION_LEVEL = 19


@dataclass(frozen=True)
class WordNetTables:
    """The two tables, as tables.py documents them (senses without the key, which is the lemma in lower case)."""

    senses: pa.Table
    synsets: pa.Table


def read_database(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> WordNetTables:
    """Read the nouns of a WordNet 3.0 database directory (dict/ of Princeton's archive, or /usr/share/wordnet).

    Raises
    ------
    InputError
        A file is missing, or the database is another version.
    """
    with _open_reader(folder) as reader:
        version = reader.get_version()
        if version != WORDNET_VERSION:
            raise InputError(f"the WordNet database must be version {WORDNET_VERSION}; {folder} holds {version}")
        sense_order, tag_counts = _read_sense_order(reader), _read_tag_counts(reader)
        senses: list[tuple[object, ...]] = []
        synsets: list[tuple[object, ...]] = []
        found = sorted(reader.all_synsets("n"), key=lambda synset: int(synset.offset()))
        for done, synset in enumerate(found, start=1):
            synsets.append(_synset_row(synset))
            senses += _sense_rows(synset, sense_order, tag_counts)
            if progress is not None:
                progress(done, len(found))
    return WordNetTables(_arrow_table(senses, _senses_schema()), _arrow_table(synsets, _synsets_schema()))


def check_tables(tables: WordNetTables) -> None:
    """Check what must hold of WordNet 3.0's nouns: the counts, the ranks, and that every synset named is there.

    Raises
    ------
    InputError
        Something does not hold; the message says what.
    """
    names = tables.synsets["synset"].to_pylist()
    lemmas, senses = tables.senses["lemma"].to_pylist(), tables.senses["synset"].to_pylist()
    ranks: dict[str, set[int]] = {}
    for lemma, rank in zip(lemmas, tables.senses["rank"].to_pylist(), strict=True):
        ranks.setdefault(lemma.lower(), set()).add(rank)
    pairs = {(lemma.lower(), synset) for lemma, synset in zip(lemmas, senses, strict=True)}
    counted = {"nouns": len(ranks), "synsets": len(names), "senses": len(pairs), "rows of senses": len(senses)}
    expected = dict(zip(counted, (N_NOUNS, N_SYNSETS, N_SENSES, N_SENSE_ROWS), strict=True))
    if counted != expected:
        raise InputError(f"WordNet {WORDNET_VERSION} has {expected}; got {counted}. Build from an unchanged database.")
    known = set(names)
    if len(known) != len(names):
        raise InputError(f"synset names must be unique; {len(names) - len(known)} are not")
    columns = (tables.synsets["hypernyms"], tables.synsets["instance_hypernyms"], tables.senses["usage_domains"])
    named = {name for column in columns for row in column.to_pylist() for name in row}
    if not named.union(senses) <= known:
        raise InputError(f"every synset named must be in the table; {sorted(named.union(senses) - known)[:3]} are not")
    gaps = [noun for noun, found in ranks.items() if found != set(range(1, len(found) + 1))]
    if gaps:
        raise InputError(f"the senses of a noun must be ranked 1, 2, ...; those of {gaps[:3]} are not")


def write_tables(tables: WordNetTables, folder: Path) -> tuple[Path, Path]:
    """Write senses.parquet and synsets.parquet; the same tables and pyarrow give the same bytes."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / SENSES_FILE.name, folder / SYNSETS_FILE.name
    for table, path in zip((tables.senses, tables.synsets), paths, strict=True):
        pq.write_table(table, path, compression="zstd", compression_level=_COMPRESSION_LEVEL, write_statistics=False)
    return paths


@contextmanager
def _open_reader(folder: Path) -> Iterator[Any]:
    """nltk's reader on a copy of the database."""
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"a WordNet database directory must hold {', '.join(REQUIRED_FILES)}; {folder} lacks {', '.join(missing)}. "
            "Name the folder dict/ of Princeton's archive, or /usr/share/wordnet of Debian's wordnet-base."
        )
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    # nltk reads only below its data folders and follows no link out of one: hence a data folder with copies in it.
    with tempfile.TemporaryDirectory(prefix="tac-wordnet-", ignore_cleanup_errors=True) as data_folder:
        copy = Path(data_folder) / "corpora" / "wordnet"
        copy.mkdir(parents=True)
        for name in REQUIRED_FILES:
            shutil.copyfile(folder / name, copy / name)
        (copy / "lexnames").write_text(lexnames(), encoding="ascii")
        # Maps senses between versions for other languages' wordnets; nltk wants the file, nothing here its contents.
        (copy / "index.sense").touch()
        nltk.data.path.insert(0, data_folder)
        try:
            with warnings.catch_warnings():
                # It warns that it reads English alone when given no reader for other languages.
                warnings.simplefilter("ignore", UserWarning)
                yield WordNetCorpusReader(str(copy), None)
        finally:
            nltk.data.path.remove(data_folder)


def lexnames() -> str:
    """The text of the file lexnames: number, name and syntactic category of each lexicographer file."""
    lines = []
    for number, name in enumerate(LEXICOGRAPHER_FILES):
        lines.append(f"{number:02d}\t{name}\t{_CATEGORY_NUMBERS[name.partition('.')[0]]}\n")
    return "".join(lines)


def _read_sense_order(reader: Any) -> dict[str, list[int]]:
    """The offsets of each noun's synsets, most frequent first (index.noun)."""
    order: dict[str, list[int]] = {}
    with reader.open("index.noun") as lines:
        for line in lines:
            if not line.startswith(" "):  # the license at the head is indented
                lemma, _, n_synsets, *rest = line.split()
                order[lemma] = [int(offset) for offset in rest[-int(n_synsets) :]]
    return order


def _read_tag_counts(reader: Any) -> dict[str, int]:
    """How often the tagged texts hold each sense, by sense key (cntlist.rev)."""
    with reader.open("cntlist.rev") as lines:
        fields = (line.split() for line in lines)
        return {sense_key: int(count) for sense_key, _, count in fields}


def _synset_row(synset: Any) -> tuple[object, ...]:
    above = (sorted(other.name() for other in others) for others in (synset.hypernyms(), synset.instance_hypernyms()))
    return (synset.name(), synset.offset(), synset.lexname(), *above)


def _sense_rows(
    synset: Any, sense_order: dict[str, list[int]], tag_counts: dict[str, int]
) -> Iterator[tuple[object, ...]]:
    """One row per lemma of a synset, in WordNet's order."""
    of_synset = {domain.name() for domain in synset.usage_domains()}
    for lemma in synset.lemmas():
        rank = sense_order[lemma.name().lower()].index(synset.offset()) + 1
        # A usage mark stands on the whole synset or on one of its lemmas.
        domains = of_synset.union(domain.synset().name() for domain in lemma.usage_domains())
        tag_count = tag_counts.get(lemma.key(), 0)
        yield (lemma.name().replace("_", " "), synset.name(), rank, tag_count, sorted(domains))


def _senses_schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    columns = {
        "lemma": text,
        "synset": text,
        "rank": pa.uint8(),
        "tag_count": pa.uint16(),
        "usage_domains": pa.list_(text),
    }
    return pa.schema(columns, metadata={"wordnet": WORDNET_VERSION})


def _synsets_schema() -> pa.Schema:
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    columns = {"synset": text, "offset": pa.uint32(), "lexname": text, "hypernyms": texts, "instance_hypernyms": texts}
    return pa.schema(columns, metadata={"wordnet": WORDNET_VERSION})


def _arrow_table(rows: list[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
