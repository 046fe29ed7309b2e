"""The kinds of nouns: near ones share more, unknown ones say nothing."""

import numpy as np

from tac_pipeline.wordnet import open_wordnet
from tac_pipeline.wordnet.kind_profiles import kind_profiles


def cosines(nouns: list[str]) -> np.ndarray:
    found = kind_profiles(np.eye(len(nouns), dtype=np.float32), nouns, wordnet=open_wordnet())
    return found @ found.T


def test_a_plain_version() -> None:
    """Two nouns: the information content of the kinds that both are of, against that of each alone."""
    wordnet, nouns = open_wordnet(), ["beagle", "tabby"]
    kinds = [{wordnet.synset(noun), *wordnet.ancestors(wordnet.synset(noun))} for noun in nouns]
    told = [sum(-np.log(wordnet.share_below(kind)) for kind in of) for of in (*kinds, kinds[0] & kinds[1])]
    np.testing.assert_allclose(cosines(nouns)[0, 1], told[2] / np.sqrt(told[0] * told[1]), rtol=1e-5)


def test_what_is_of_one_kind_is_near() -> None:
    near = cosines(["beagle", "pug", "tabby", "teapot"])
    assert near[0, 1] > near[0, 2] > near[0, 3]
    np.testing.assert_allclose(np.diag(near), 1, rtol=1e-5)


def test_unknown_nouns_add_nothing() -> None:
    weights = np.array([[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    found = kind_profiles(weights, ["pug", "zorblax"], wordnet=open_wordnet())
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0], atol=1e-5)
    assert not kind_profiles(weights, ["quux", "zorblax"], wordnet=open_wordnet()).any()
