"""Search: the images of a whole store that are nearest to a vector, and the noun that a text names.

Shards are read one after the other and only the best hits are kept: memory holds the view (one small row per image),
one shard of vectors and the hits. What must stay out: encoding (encoders/) and reading artifacts (assets/lookups/).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.neighbors import exact_index
from tac_pipeline.store.shards import ShardPart, map_shards

LONGEST_TEXT = 1000  # characters; CLIP's text tower reads 77 tokens
SUGGESTIONS = 5

_PLACED = {"image_id": pl.String, "cluster_id": pl.Int32, "confidence": pl.Float32}
_NAMES = {"cluster_id": pl.Int32, "cluster_name": pl.String}

_ARTICLES = re.compile(r"^(?:an?|the|some)\s+", flags=re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)$")
# English plural endings and their singular endings; a lookup decides whether the noun exists.
_PLURALS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("es", ""), ("s", ""))


@dataclass(frozen=True)
class Hits:
    """What a search found.

    Attributes
    ----------
    images : DataFrame
        Columns image_id, score, uri, cluster_id, cluster_name, confidence, best first; the last three are null where
        there is no result to go with them.
    searched_by : str
        What the images were compared with, in words.
    notes : list of str
        What else the person who searched should know.
    """

    images: pl.DataFrame
    searched_by: str
    notes: list[str] = field(default_factory=list)


def beside_clusters(
    found: pl.DataFrame, placed: pl.DataFrame | None = None, names: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Hits with the cluster of each image, in the order of the hits.

    Parameters
    ----------
    found : DataFrame with image_id, score, uri
    placed : DataFrame with image_id, cluster_id, confidence, optional
        The assignments; without them all three columns are null.
    names : DataFrame with cluster_id, cluster_name, optional

    Returns
    -------
    DataFrame with image_id, score, uri, cluster_id, cluster_name, confidence
    """
    placed = pl.DataFrame(schema=_PLACED) if placed is None else placed.select(list(_PLACED))
    names = pl.DataFrame(schema=_NAMES) if names is None else names
    return (
        found.join(placed, on="image_id", how="left", maintain_order="left")
        .join(names, on="cluster_id", how="left", maintain_order="left")
        .select("image_id", "score", "uri", "cluster_id", "cluster_name", "confidence")
    )


def nearest_images(query: FloatMatrix, view: pl.DataFrame, shards: Path, *, encoder: str, count: int) -> pl.DataFrame:
    """The images nearest to a vector by cosine, from exact inner products over every shard.

    Parameters
    ----------
    query : float32 (dim,), unit
    view : DataFrame with image_id, error, shard, row (the table image_embeddings)
    shards : Path
        The store's folder of shards.
    encoder : str
        Fingerprint of the encoder behind them.
    count : int >= 1
        How many images; all readable images if there are fewer.

    Returns
    -------
    DataFrame with image_id and score (the cosine), best first, equal scores by image_id; when several images tie with
    the last hit, any of them may be left out

    Raises
    ------
    InputError
        No image is readable, count is below 1, or the widths differ.
    ArtifactDamaged
        A shard is gone or damaged, or another encoder made it.
    """
    if count < 1:
        raise InputError(f"a search must be for at least 1 image; got {count}")
    readable = view.filter(pl.col("error").is_null()).select("image_id", "shard", "row").with_row_index("position")
    if readable.is_empty():
        raise InputError("no image of the store can be read: see the errors in image_embeddings")
    best = pl.DataFrame(schema={"position": pl.UInt32, "score": pl.Float32})
    search = partial(_nearest_of_shard, query=query, count=count)
    for _, found in map_shards(search, readable, shards, encoder=encoder):
        best = pl.concat([best, found])
        best = best.sort("score", "position", descending=[True, False]).head(count)
    return best.join(readable, on="position", how="left", maintain_order="left").select("image_id", "score")


def _nearest_of_shard(part: ShardPart, *, query: FloatMatrix, count: int) -> pl.DataFrame:
    """Columns position, score: the best rows of one shard."""
    vectors = part.read_vectors()
    if vectors.shape[1] != len(query):
        raise InputError(
            f"a search vector must be as wide as the store's, {vectors.shape[1]}; got {len(query)}. "
            "Both must come from the same encoder."
        )
    scores, rows = exact_index(vectors).faiss.search(query[np.newaxis], min(count, len(vectors)))
    positions = part.rows["position"].gather(rows[0].astype(np.uint32))
    return pl.DataFrame({"position": positions, "score": scores[0].astype(np.float32)})


def require_text(text: str) -> str:
    """A search text without extra spaces.

    Raises
    ------
    InputError
        It is empty, far longer than an encoder reads, or not text.
    """
    plain = " ".join(text.split())
    if not plain:
        raise InputError('a search needs words, such as `tac search "a red boat"`; got an empty text')
    if len(plain) > LONGEST_TEXT:
        raise InputError(f"a search text must have at most {LONGEST_TEXT:,} characters; got {len(plain):,}")
    if any(0xD800 <= ord(char) <= 0xDFFF for char in plain):
        raise InputError(f"a search text must be UTF-8; got {text!r}")
    return plain


@dataclass(frozen=True)
class FoundNoun:
    """The candidate noun that was found for a text.

    Attributes
    ----------
    row : int
        Its row among the candidates.
    noun : str
    whole : bool
        Whether the noun is the whole text; else it is only the text's last words.
    """

    row: int
    noun: str
    whole: bool


def find_noun(text: str, nouns: Sequence[str]) -> FoundNoun:
    """The candidate noun that a text names, for stores without a text tower to read the text itself.

    It tries the text as written, without its article, in lower case and in the singular; then its last words in the
    same way: "a red boat" gives "boat".

    Raises
    ------
    InputError
        There is no such noun; near ones are suggested.
    """
    rows: dict[str, int] = {}
    for spelling in (lambda noun: noun, _key, lambda noun: _IN_BRACKETS.sub("", _key(noun))):
        for row, noun in enumerate(nouns):
            rows.setdefault(spelling(noun), row)
    plain = _ARTICLES.sub("", text.strip().rstrip(".!?"))
    words = plain.split()
    for start in range(len(words)):
        for spelled in _spellings(" ".join(words[start:])):
            if spelled in rows:
                return FoundNoun(rows[spelled], nouns[rows[spelled]], whole=start == 0)
    near = difflib.get_close_matches(_key(plain), list(rows), n=SUGGESTIONS, cutoff=0.7)
    shown = ", ".join(dict.fromkeys(nouns[rows[key]] for key in near))
    hint = f"near are {shown}" if near else "none of them has a similar spelling"
    raise InputError(f"{text!r} names none of the {len(nouns):,} candidate nouns; {hint}")


def _key(noun: str) -> str:
    return " ".join(noun.replace("_", " ").split()).lower()


def _spellings(text: str) -> Iterator[str]:
    yield text
    yield _key(text)
    yield from (
        _key(text).removesuffix(ending) + instead for ending, instead in _PLURALS if _key(text).endswith(ending)
    )
