"""What tells groups with one name apart: the word that one group's images are nearer to than the others' are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tac_pipeline.arrays import FloatMatrix, FloatVector, IntVector, unit_rows

# How often an image of the group must be nearer to the word than an image of the others, of all pairs.
TOLD_APART = 0.8
# Words tried for each group, the nearest to what it differs by first.
WORDS_TRIED = 20


def tell_apart(
    image_embeddings: FloatMatrix,
    assignment: IntVector,
    alike: Mapping[str, Sequence[int]],
    *,
    words: Sequence[str],
    word_embeddings: FloatMatrix,
    mean: FloatVector,
    allowed: Callable[[int, str], IntVector],
) -> dict[int, str]:
    """A word for each group that differs enough from the others with its name; each word once among these.

    A group's difference is its mean minus the mean of the others' means. Of the allowed words nearest to it, the first
    is taken that ranks a random image of the group above a random one of the others in TOLD_APART of all pairs (the
    area under the ROC curve).

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    assignment : int64 (n_images,)
    alike : mapping of str to sequence of int
        The groups of each name.
    words : sequence of str, n_words long
    word_embeddings : float32 (n_words, dim), unit rows
    mean : float32 (dim,)
        Of all nouns, which is taken off the words.
    allowed : callable (group, name) -> int64 rows of words
        What may be said of a group. Any noun may tell two groups apart by chance: a snake from another by "key ring".
    """
    directions = unit_rows(word_embeddings - mean)
    found: dict[int, str] = {}
    for name, groups in alike.items():
        members = {group: image_embeddings[assignment == group] for group in groups}
        filled = [group for group in groups if len(members[group])]
        means = {group: members[group].mean(axis=0) for group in filled}
        used = {name.lower()}
        for group in filled if len(filled) > 1 else ():
            others = [other for other in filled if other != group]
            difference = means[group] - np.mean([means[other] for other in others], axis=0)
            open_to = allowed(group, name)
            nearest = open_to[np.argsort(-(directions[open_to] @ difference), kind="stable")[:WORDS_TRIED]]
            rest = np.concatenate([members[other] for other in others])
            for row in nearest:
                if words[row].lower() not in used and _ranked_above(
                    members[group] @ directions[row], rest @ directions[row]
                ):
                    found[group] = words[row]
                    used.add(words[row].lower())
                    break
    return found


def _ranked_above(own: FloatVector, others: FloatVector) -> bool:
    """Whether a value of `own` is above one of `others` in enough pairs; equal ones count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([own, others]))[: len(own)].sum()
    share = (ranks - len(own) * (len(own) + 1) / 2) / (len(own) * len(others))
    return bool(share >= TOLD_APART)
