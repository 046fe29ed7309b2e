"""What the nouns of a list mean, and the kinds above them."""

from __future__ import annotations

import numpy as np
import pytest

from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.wordnet import Wording, is_offensive, noun_kinds, open_wordnet


@pytest.mark.parametrize(
    ("noun", "meaning"),
    [
        ("dog", ("dog.n.01", "dog")),
        ("Ice cream", ("ice_cream.n.01", "ice cream")),
        ("ice_cream", ("ice_cream.n.01", "ice cream")),
        ("headphones", ("earphone.n.01", "headphone")),
        ("octopus (animal)", ("octopus.n.02", "octopus")),  # the first sense is food
        ("crisp (potato chip)", ("chip.n.04", "crisp")),
        ("apple (with words that say nothing)", ("apple.n.01", "apple")),
        ("scissors", ("scissors.n.01", "scissors")),  # a noun of its own, no plural
        ("(animal)", None),
        ("no such thing at all", None),
        ("", None),
        ("s", ("second.n.01", "s")),
    ],
)
def test_a_noun_means_what_its_list_says(noun: str, meaning: tuple[str, str] | None) -> None:
    found = open_wordnet().meaning(noun)
    assert found is None if meaning is None else found is not None and found[1] == meaning[1]
    if found is not None and noun not in ("s", "headphones", "crisp (potato chip)"):
        assert found == meaning


def test_kinds_stand_above_the_nouns_that_are_of_them() -> None:
    kinds = noun_kinds(["beagle", "nonsense noun"])
    above = [kinds.names[kind] for kind in kinds.above[kinds.senses[0][0]]]
    assert above[:3] == ["beagle", "hound", "hunting dog"]
    assert above[-1] == "entity"
    assert [kinds.names[kind] for kind in kinds.above[kinds.senses[1][0]]] == ["nonsense noun"]


def test_every_sense_is_there_the_usual_one_first() -> None:
    kinds = noun_kinds(["dolphin", "octopus (animal)"])
    meant = [kinds.names[kind] for kind in kinds.senses[0]]
    assert meant == ["dolphinfish", "dolphin"]
    assert len(kinds.senses[1]) == 1


def test_how_often_a_noun_is_used_in_a_sense() -> None:
    kinds = noun_kinds(["dog", "domestic dog", "nonsense noun"])
    assert kinds.common[0][0] > 10
    assert kinds.common[1] == kinds.common[2] == (0,)


def test_wide_kinds_are_wide() -> None:
    kinds = noun_kinds(["beagle", "nonsense noun"])
    widths = dict(zip(kinds.names, kinds.width, strict=True))
    assert widths["entity"] == 1
    assert widths["beagle"] < widths["dog"] < widths["animal"] < widths["entity"]
    assert widths["nonsense noun"] == 0


def test_equal_meanings_are_one_kind_and_strangers_are_each_their_own() -> None:
    kinds = noun_kinds(["car", "Automobile", "xyzzy", "plugh"])
    assert kinds.senses[0][0] == kinds.senses[1][0]
    assert len({senses[0] for senses in kinds.senses}) == 3
    assert kinds.spelled == ("car", "automobile", "xyzzy", "plugh")


def test_no_nouns_make_no_kinds() -> None:
    kinds = noun_kinds([])
    assert (kinds.names, kinds.senses, kinds.above) == ((), (), ())


def test_no_kind_has_an_offensive_name() -> None:
    nouns = ["prostitute", "streetwalker", "beagle", "moron"]
    kinds = noun_kinds(nouns)
    meant = {sense for senses in kinds.senses for sense in senses}
    said = [name for place, name in enumerate(kinds.names) if place not in meant]
    assert said and not any(is_offensive(name) for name in said)


def own_kinds(*nouns: str, own: int | None = None) -> NounKinds:
    """The kinds of nouns, the first of which are people's own; all if not said."""
    return noun_kinds(nouns, own=np.arange(len(nouns)) < (len(nouns) if own is None else own))


@pytest.mark.parametrize(
    "nouns",
    [
        ("crane (bird)", "crane (machine)"),
        ("Turkey", "turkey"),
        ("moon", "Moon", "MOON"),
        ("car", "automobile"),
        ("dog", "dogs"),
        ("xyzzy", "Xyzzy"),
        ("crane (harbor)", "crane (port)"),  # words that choose no sense
    ],
    ids=" and ".join,
)
def test_what_people_write_apart_stays_apart(nouns: tuple[str, ...]) -> None:
    kinds = own_kinds(*nouns, "dog sled")
    meant = [senses[0] for senses in kinds.senses[: len(nouns)]]
    assert len(set(meant)) == len(nouns)
    assert kinds.spelled[: len(nouns)] == nouns
    assert [kinds.names[kind] for kind in meant] == list(nouns)


def test_own_words_of_one_meaning_are_kinds_below_it() -> None:
    kinds = own_kinds("car", "automobile", "bus")
    (car, *others), (automobile,), *_ = kinds.senses
    assert kinds.above[car][1:] == kinds.above[automobile][1:]
    assert [kinds.names[kind] for kind in kinds.above[car][:3]] == ["car", "car", "motor vehicle"]
    # Narrower, so that a group of one of the words gets this word.
    assert 0 < kinds.width[car] < kinds.width[kinds.above[car][1]]
    # The other senses are there as before: a car of a train.
    assert others and not {kinds.names[kind] for kind in others} & {"automobile"}
    assert len(kinds.common[0]) == len(kinds.senses[0])


def test_capitals_choose_the_sense_of_an_own_word() -> None:
    kinds = own_kinds("Turkey", "turkey")
    above = [{kinds.names[kind] for kind in kinds.above[senses[0]]} for senses in kinds.senses]
    assert "country" in above[0] and "bird" in above[1]


def test_an_own_word_alone_is_the_name_of_its_kind() -> None:
    kinds = own_kinds("DOG", "domestic dog", "pug", own=1)
    dog = kinds.senses[0][0]
    assert kinds.senses[1][0] == dog
    assert (kinds.names[dog], dog in kinds.settled) == ("DOG", True)
    assert kinds.spelled == ("DOG", "domestic dog", "pug")
    assert dog in kinds.above[kinds.senses[2][0]]
    assert kinds.senses[2][0] not in kinds.settled


def test_own_words_and_weights_are_passed_on() -> None:
    own, weight = np.array([True, False]), np.array([2, 1], dtype=np.float32)
    kinds = noun_kinds(["dog", "cat"], own=own, weight=weight)
    assert kinds.own is own and kinds.weight is weight
    assert noun_kinds(["dog"]).own is None and noun_kinds(["dog"]).weight is None


def test_a_word_that_is_never_used_is_the_name_of_no_kind() -> None:
    kinds = noun_kinds(["beagle", "Siamese cat"], wording=Wording(never=["Animal", "dog"]))
    assert not {"animal", "dog"} & {name.lower() for name in kinds.names}
    assert "domestic dog" in kinds.names
