"""Reading the packaged WordNet tables. What must stay out: judgments about words (offensive.py)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tac_pipeline.errors import ArtifactDamaged

if TYPE_CHECKING:
    import polars as pl

FOLDER = Path(__file__).parent
SENSES_FILE = FOLDER / "senses.parquet"
SYNSETS_FILE = FOLDER / "synsets.parquet"


@lru_cache(maxsize=1)
def load_senses() -> pl.DataFrame:
    """Every noun sense: 146,347 rows, in the order of synsets and, within one, in WordNet's order of its lemmas.

    Returns
    -------
    polars.DataFrame
        lemma (string): as WordNet writes it, with spaces for underscores; key (string): the lemma in lower case, under
        which WordNet counts senses; synset (string): such as dog.n.01; rank (uint8): 1 is the key's most frequent
        sense; tag_count (uint16): how often WordNet's tagged texts hold this sense; usage_domains (list of string):
        the synsets of its usage marks, such as slang.n.02.

    Raises
    ------
    ArtifactDamaged
        The packaged file is missing or unreadable.
    """
    import polars as pl

    key = pl.col("lemma").str.to_lowercase().alias("key")
    return _read(SENSES_FILE).select("lemma", key, "synset", "rank", "tag_count", "usage_domains")


@lru_cache(maxsize=1)
def load_synsets() -> pl.DataFrame:
    """Every noun synset: 82,115 rows, in the order of their offsets.

    Returns
    -------
    polars.DataFrame
        synset (string): such as dog.n.01, the same in every copy of WordNet 3.0; offset (uint32): in data.noun, so that
        n02084071 of ImageNet is 2084071; lexname (string): such as noun.animal; hypernyms and instance_hypernyms (list
        of string): the synsets directly above.

    Raises
    ------
    ArtifactDamaged
        The packaged file is missing or unreadable.
    """
    return _read(SYNSETS_FILE)


@lru_cache(maxsize=1)
def load_nouns() -> pl.DataFrame:
    """Every noun once, in one sense: 117,798 rows, sorted by key.

    That sense is the most frequent one, except for the few nouns of first_senses.txt. A noun that WordNet writes in
    several cases (china, China) has one row, in the case of that sense.

    Returns
    -------
    polars.DataFrame
        key (string), noun (string), synset (string), lexname (string), n_senses (uint32), and for this sense only
        tag_count (uint16) and usage_domains (list of string).

    Raises
    ------
    ArtifactDamaged
        A packaged file is missing or unreadable.
    """
    import polars as pl

    reviewed = reviewed_first_senses()
    chosen = pl.DataFrame(
        {"key": list(reviewed), "chosen": list(reviewed.values())}, schema={"key": pl.String, "chosen": pl.String}
    )
    # A synset may hold a lemma in two cases (Moon, moon): the first one counts for both.
    senses = load_senses().unique(subset=["key", "synset"], keep="first", maintain_order=True)
    senses = senses.with_columns(pl.len().over("key").cast(pl.UInt32).alias("n_senses"))
    senses = senses.join(chosen, on="key", how="left")
    is_chosen = (
        pl.when(pl.col("chosen").is_null()).then(pl.col("rank") == 1).otherwise(pl.col("synset") == pl.col("chosen"))
    )
    return (
        senses.filter(is_chosen)
        .join(load_synsets().select("synset", "lexname"), on="synset", how="left")
        .select("key", pl.col("lemma").alias("noun"), "synset", "lexname", "n_senses", "tag_count", "usage_domains")
        .sort("key")
    )


@lru_cache(maxsize=1)
def reviewed_first_senses() -> dict[str, str]:
    """Nouns kept in a harmless sense although WordNet's first one insults (first_senses.txt): {key: synset}."""
    pairs = (line.partition(": ") for line in read_list("first_senses.txt"))
    return {key: synset for key, _, synset in pairs}


def read_list(name: str) -> list[str]:
    """The lines of a packaged list, without comments and empty lines."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtifactDamaged(
            f"the packaged WordNet table {path} must be readable; {error}. Install tac-pipeline again, "
            "or write the table with scripts/build_wordnet_table.py."
        ) from error
