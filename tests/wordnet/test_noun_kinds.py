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
    kinds = noun_kinds(["beagle", "Siamese cat", "nonsense noun"])
    weights = kinds.sums(np.array([[0.5, 0.3, 0.2]]))[0]
    by_name = dict(zip(kinds.names, weights, strict=True))
    assert by_name["dog"] == by_name["hound"] == pytest.approx(0.5)
    assert by_name["carnivore"] == pytest.approx(0.8)
    assert by_name["entity"] == pytest.approx(0.8)
    assert by_name["nonsense noun"] == pytest.approx(0.2)


def test_equal_meanings_are_one_kind_and_strangers_are_each_their_own() -> None:
    kinds = noun_kinds(["car", "Automobile", "xyzzy", "plugh"])
    assert kinds.meant[0] == kinds.meant[1]
    assert len(set(kinds.meant.tolist())) == 3
    assert kinds.spelled == ("car", "automobile", "xyzzy", "plugh")


def test_steps_lead_from_a_kind_to_those_right_above() -> None:
    kinds = noun_kinds(["dog"])
    steps = {(kinds.names[a], kinds.names[b]) for a, b in zip(kinds.children, kinds.parents, strict=True)}
    assert {("dog", "canine"), ("dog", "domestic animal"), ("canine", "carnivore")} <= steps


def test_no_nouns_make_no_kinds() -> None:
    kinds = noun_kinds([])
    assert (kinds.names, len(kinds.meant), len(kinds.parents)) == ((), 0, 0)


def test_no_kind_has_an_offensive_name() -> None:
    kinds = noun_kinds(["prostitute", "streetwalker", "beagle", "moron"])
    said = [name for place, name in enumerate(kinds.names) if place not in kinds.meant]
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
    assert len(set(kinds.meant[: len(nouns)].tolist())) == len(nouns)
    assert kinds.spelled[: len(nouns)] == nouns
    assert [kinds.names[kind] for kind in kinds.meant[: len(nouns)]] == list(nouns)


def test_own_words_of_one_meaning_are_kinds_below_it() -> None:
    kinds = own_kinds("car", "automobile", "bus")
    weights = kinds.sums(np.array([[0.3, 0.5, 0.2]]))[0]
    above = {kinds.parents[step] for step in np.flatnonzero(np.isin(kinds.children, kinds.meant[:2]))}
    assert [kinds.names[kind] for kind in above] == ["car"]
    assert weights[next(iter(above))] == pytest.approx(0.8)
    assert weights[kinds.names.index("motor vehicle")] == pytest.approx(0.8)
    assert weights[list(kinds.names).index("public transport")] == pytest.approx(0.2)


def test_an_own_word_alone_is_the_name_of_its_kind() -> None:
    kinds = own_kinds("DOG", "domestic dog", "pug", own=1)
    assert kinds.meant[0] == kinds.meant[1]
    assert kinds.names[kinds.meant[0]] == "DOG"
    assert kinds.spelled == ("DOG", "DOG", "pug")
    assert kinds.sums(np.array([[0.2, 0.3, 0.5]]))[0][kinds.meant[0]] == pytest.approx(1)


def test_own_words_and_weights_are_passed_on() -> None:
    own, weight = np.array([True, False]), np.array([2, 1], dtype=np.float32)
    kinds = noun_kinds(["dog", "cat"], own=own, weight=weight)
    assert kinds.own is own and kinds.weight is weight
    assert noun_kinds(["dog"]).own is None and noun_kinds(["dog"]).weight is None


def test_a_word_that_is_never_used_is_the_name_of_no_kind() -> None:
    kinds = noun_kinds(["beagle", "Siamese cat"], wording=Wording(never=["Animal", "dog"]))
    assert not {"animal", "dog"} & {name.lower() for name in kinds.names}
    assert "domestic dog" in kinds.names
