"""The nouns of WordNet 3.0, packaged as tables: candidate names for groups, their kinds, and the offensive nouns.

    senses.parquet, synsets.parquet   written by scripts/build_wordnet_table.py
    offensive.txt, first_senses.txt   reviewed by hand
    tables.py      reads the tables
    offensive.py   which nouns must not name a group of photographs
    version.py     one digest of all of it
    graph.py       synonyms and hypernyms, for code that reasons about names
    noun_kinds.py  what the nouns of a list mean, and the kinds above them
    build.py       makes the tables from a WordNet database

What must stay out: the user's own nouns (tac_pipeline/nouns.py) and embeddings.
"""

from __future__ import annotations

from tac_pipeline.wordnet.graph import WordNet, open_wordnet
from tac_pipeline.wordnet.noun_kinds import noun_kinds
from tac_pipeline.wordnet.offensive import is_offensive, offensive_nouns
from tac_pipeline.wordnet.tables import load_nouns, load_senses, load_synsets, reviewed_first_senses
from tac_pipeline.wordnet.version import packaged_wordnet_version

__all__ = [
    "WordNet",
    "is_offensive",
    "load_nouns",
    "load_senses",
    "load_synsets",
    "noun_kinds",
    "offensive_nouns",
    "open_wordnet",
    "packaged_wordnet_version",
    "reviewed_first_senses",
]
