"""Nouns, senses and the senses above them."""

from __future__ import annotations

import pytest

from tac_pipeline.errors import InputError
from tac_pipeline.wordnet import load_synsets, open_wordnet


@pytest.fixture(scope="module")
def wordnet():
    return open_wordnet()


def test_a_dog_is_a_canine_and_a_domestic_animal(wordnet):
    assert wordnet.hypernyms("dog.n.01") == ("canine.n.02", "domestic_animal.n.01")
    above = wordnet.ancestors("dog.n.01")
    assert above[:2] == ("canine.n.02", "domestic_animal.n.01")
    assert {"carnivore.n.01", "mammal.n.01", "vertebrate.n.01", "animal.n.01", "entity.n.01"} <= set(above)
    assert len(set(above)) == len(above)


def test_the_root_has_nothing_above(wordnet):
    assert wordnet.ancestors("entity.n.01") == ()


def test_every_synset_but_the_root_reaches_the_root(wordnet):
    for synset in load_synsets()["synset"].gather_every(97):
        assert synset == "entity.n.01" or "entity.n.01" in wordnet.ancestors(synset)


def test_an_instance_stands_below_what_it_is_an_instance_of(wordnet):
    assert wordnet.hypernyms("einstein.n.01") == ("physicist.n.01",)


def test_senses_come_most_frequent_first(wordnet):
    assert wordnet.synsets("dog")[:3] == ("dog.n.01", "frump.n.01", "dog.n.03")
    assert wordnet.synset("dog") == "dog.n.01"
    assert wordnet.synsets("Domestic_Dog") == wordnet.synsets("domestic dog") == ("dog.n.01",)


def test_the_reviewed_sense_stands_for_a_noun(wordnet):
    assert wordnet.synset("taco") == "taco.n.02"
    assert "tortilla" not in wordnet.lemmas("taco.n.02")
    assert wordnet.synsets("taco")[1] == "taco.n.02"


def test_the_nouns_of_a_synset_come_in_its_order(wordnet):
    assert wordnet.lemmas("dog.n.01") == ("dog", "domestic dog", "Canis familiaris")


def test_a_noun_that_wordnet_does_not_hold_has_no_senses(wordnet):
    assert wordnet.synsets("flibbertigibbeting") == ()
    assert wordnet.synset("flibbertigibbeting") is None


@pytest.mark.parametrize("method", ["lemmas", "hypernyms", "ancestors"])
def test_an_unknown_synset_is_refused(wordnet, method):
    with pytest.raises(InputError, match=r"named as in dog\.n\.01.*got 'dog'"):
        getattr(wordnet, method)("dog")


def test_the_share_below_is_that_of_all_that_lies_under_a_synset() -> None:
    wordnet = open_wordnet()
    assert wordnet.share_below("entity.n.01") == 1
    beagles = [synset for synset in load_synsets()["synset"] if "beagle.n.01" in (synset, *wordnet.ancestors(synset))]
    assert wordnet.share_below("beagle.n.01") == len(beagles) / len(load_synsets())
    assert wordnet.share_below("dog.n.01") < wordnet.share_below("animal.n.01")
    with pytest.raises(InputError, match="a synset must be named as in"):
        wordnet.share_below("dog")
