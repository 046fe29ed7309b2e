"""The nouns of WordNet 3.0, packaged as tables: candidate names for groups, their kinds, and the offensive nouns.

    senses.parquet, synsets.parquet   written by scripts/build_wordnet_table.py
    offensive.txt, first_senses.txt   reviewed by hand
    tables.py      reads the tables
    spelling.py    how words are compared
    offensive.py   which nouns must not name a group of photographs
    version.py     one digest of all of it
    graph.py       synonyms and hypernyms, for code that reasons about names
    languages.py   the nouns of other languages, from files that people download
    wording.py     what synsets are called, in one of these languages
    senses.py      which sense of a noun is meant, by the other nouns of its list
    noun_kinds.py  what the nouns of a list mean, and the kinds above them
    build.py       makes the tables from a WordNet database

What must stay out: the user's own nouns (tac_pipeline/nouns) and embeddings.
"""

from __future__ import annotations

from tac_pipeline.wordnet.graph import WordNet, open_wordnet
from tac_pipeline.wordnet.languages import Language, find_language_file, language_code, read_language
from tac_pipeline.wordnet.noun_kinds import noun_kinds
from tac_pipeline.wordnet.offensive import is_offensive, offensive_nouns
from tac_pipeline.wordnet.tables import load_nouns, load_senses, load_synsets, reviewed_first_senses
from tac_pipeline.wordnet.version import packaged_wordnet_version
from tac_pipeline.wordnet.wording import Wording

__all__ = [
    "Language",
    "WordNet",
    "Wording",
    "find_language_file",
    "is_offensive",
    "language_code",
    "load_nouns",
    "load_senses",
    "load_synsets",
    "noun_kinds",
    "offensive_nouns",
    "open_wordnet",
    "packaged_wordnet_version",
    "read_language",
    "reviewed_first_senses",
]
