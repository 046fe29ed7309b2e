"""The identity of the packaged nouns, for recipes."""

from __future__ import annotations

from functools import lru_cache

from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.wordnet.offensive import OFFENSIVE_DOMAINS, offensive_nouns
from tac_pipeline.wordnet.tables import SENSES_FILE, SYNSETS_FILE, reviewed_first_senses


@lru_cache(maxsize=1)
def packaged_wordnet_version() -> str:
    """A short digest of everything that decides the package's nouns: both tables and both reviewed lists."""
    return digest(
        {
            "senses": file_sha256(SENSES_FILE),
            "synsets": file_sha256(SYNSETS_FILE),
            # The entries, not the files: a comment or a line ending changes no noun.
            "first_senses": reviewed_first_senses(),
            "offensive": sorted(offensive_nouns()),
            "offensive_domains": sorted(OFFENSIVE_DOMAINS),
        }
    )
