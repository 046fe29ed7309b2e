"""Nouns to vectors: what is known is read, the rest is encoded, prompt by prompt, and kept for every store."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.encoders import Encoder
from tac_pipeline.progress import Progress
from tac_pipeline.store.prompted_nouns import ANY, NounMeans, PromptedNouns

# With it every noun is heard once, to find the few that are worth all templates. Without a full stop: a token less.
ONE_PROMPT = "a photo of a {}"

# What was encoded is kept after so many nouns or seconds: a run that is stopped loses no more.
KEPT_NOUNS = 8192
KEPT_SECONDS = 60.0
# Nouns between two looks at the clock. The encoder sorts each by length, so fewer would cost padding.
SLICE_NOUNS = 1024


def embed_nouns(
    nouns: Sequence[str],
    encoder: Encoder,
    known: PromptedNouns,
    *,
    templates: Sequence[str],
    count: int | None = None,
    batch_size: int,
    progress: Progress | None = None,
) -> FloatMatrix:
    """The nouns' vectors as the mean of their first `count` templates (paper step 2).

    Prompts that `known` holds are not encoded again, and those that are encoded are added to it while this runs.
    Holds the vectors of all nouns.

    Parameters
    ----------
    nouns : sequence of str, unique
    known : PromptedNouns
        Of this encoder and these templates.
    count : int, optional
        From 1; None stands for all templates.
    progress : callable, optional
        Takes nouns done and nouns in all, of those that must be encoded.

    Returns
    -------
    float32 (n_nouns, dim), unit rows
    """
    count = len(templates) if count is None else count
    found = known.read(nouns, most=count)
    missing = np.flatnonzero(found.prompts < count)
    # Nouns of like length run together.
    order = missing[np.argsort([len(nouns[row]) for row in missing.tolist()], kind="stable")]
    slices = [order[begin : begin + SLICE_NOUNS] for begin in range(0, len(order), SLICE_NOUNS)]
    pending, done = _Pending(known, nouns, found), 0
    # In random order, so that the short ones at first do not promise an early end.
    for number in np.random.default_rng(0).permutation(len(slices)):
        part = slices[number]
        for heard in np.unique(found.prompts[part]):
            rows = part[found.prompts[part] == heard]
            words = [nouns[row] for row in rows]
            more = encoder.average_prompts(words, templates=templates[heard:count], batch_size=batch_size)
            found.means[rows] = (heard * found.means[rows] + (count - heard) * more) / count
        found.prompts[part] = count
        pending.add(part)
        done += len(part)
        if progress is not None:
            progress(done, len(order))
    pending.keep()
    return unit_rows(found.means)


def seed_from_package(known: PromptedNouns, *, templates: Sequence[str]) -> bool:
    """Put the packaged vectors of WordNet's nouns into an empty table, if they are of its encoder and templates."""
    packaged = packaged_nouns(known.encoder, templates=templates)
    if packaged is None:
        return False
    nouns, vectors = packaged
    known.append(nouns, NounMeans(np.full(len(nouns), ANY), vectors))
    return True


def packaged_nouns(encoder: str, *, templates: Sequence[str]) -> tuple[list[str], FloatMatrix] | None:
    """WordNet's nouns and their packaged vectors, of the published templates or one prompt; None for other encoders."""
    from tac_pipeline.encoders.small.nouns import packaged_noun_vectors
    from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
    from tac_pipeline.wordnet import load_nouns

    asked = PUBLISHED_TEMPLATES if list(templates) == [ONE_PROMPT] else templates
    nouns = load_nouns()["noun"].to_list()
    vectors = packaged_noun_vectors(nouns, encoder=encoder, templates=asked)
    return None if vectors is None else (nouns, vectors)


class _Pending:
    """Rows that are encoded and not yet on the disk."""

    def __init__(self, known: PromptedNouns, nouns: Sequence[str], found: NounMeans) -> None:
        self._known, self._nouns, self._found = known, nouns, found
        self._rows: list[IntVector] = []
        self._since = time.monotonic()

    def add(self, rows: IntVector) -> None:
        self._rows.append(rows)
        if sum(map(len, self._rows)) >= KEPT_NOUNS or time.monotonic() - self._since >= KEPT_SECONDS:
            self.keep()

    def keep(self) -> None:
        if self._rows:
            rows = np.concatenate(self._rows)
            self._known.append(
                [self._nouns[row] for row in rows], NounMeans(self._found.prompts[rows], self._found.means[rows])
            )
        self._rows, self._since = [], time.monotonic()
