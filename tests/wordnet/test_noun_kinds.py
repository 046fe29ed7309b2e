"""What the nouns of a list mean, and the kinds above them."""

from __future__ import annotations

import pytest

from tac_pipeline.wordnet import is_offensive, noun_kinds, open_wordnet


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
