"""Candidate nouns: from WordNet, from people's own files, or from several of these together.

    files.py       reads one file of words, with weights and the words that are never used
    candidates.py  joins the sources, and drops offensive nouns from all of them

What must stay out: WordNet itself (tac_pipeline/wordnet) and the encoding of nouns (tac_pipeline/embedding).
"""

from __future__ import annotations

from tac_pipeline.nouns.candidates import WORDNET, CandidateNouns, load_candidate_nouns
from tac_pipeline.wordnet.spelling import CONTROL, LONGEST_NOUN

__all__ = ["CONTROL", "LONGEST_NOUN", "WORDNET", "CandidateNouns", "load_candidate_nouns"]
