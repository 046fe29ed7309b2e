"""What nouns mean beside others, and what they say of the kinds above."""

import pytest

from tac_pipeline.method.words.readings import HEARD_ALONE, Reading, read_group
from tac_pipeline.wordnet import noun_kinds


def read(**weights: float) -> tuple[Reading, dict[str, float]]:
    """A reading, and the support of each kind by its name; an underscore stands for a space."""
    nouns = [noun.replace("_", " ") for noun in weights]
    kinds = noun_kinds(nouns)
    found = read_group(range(len(nouns)), list(weights.values()), kinds)
    return found, {kinds.names[kind]: weight for kind, weight in found.support.items()}


def test_nouns_support_all_that_they_are() -> None:
    _, support = read(beagle=0.5, Siamese_cat=0.3, xyzzy=0.2)
    assert support["dog"] == support["hound"] == pytest.approx(0.5)
    assert support["carnivore"] == pytest.approx(0.8)
    assert support["xyzzy"] == pytest.approx(0.2)


def test_words_for_one_thing_add_up() -> None:
    found, support = read(car=0.3, automobile=0.3, convertible=0.4)
    assert support["car"] == pytest.approx(1.0)
    assert sorted(found.own.values()) == pytest.approx([0.4, 0.6])


@pytest.mark.parametrize(
    ("beside", "kind"),
    [({"whale": 0.3, "porpoise": 0.2}, "toothed whale"), ({"salmon": 0.3, "tuna": 0.2}, "percoid fish")],
)
def test_a_noun_means_what_the_others_support(beside: dict[str, float], kind: str) -> None:
    _, support = read(dolphin=0.5, **beside)
    assert support[kind] >= 0.5


def test_next_to_nothing_does_not_change_a_meaning() -> None:
    _, support = read(dolphin=0.99, whale=0.01)
    assert "toothed whale" not in {name for name, weight in support.items() if weight > 0.5}


def test_a_little_beside_a_heavy_noun_does_not_change_its_meaning() -> None:
    _, support = read(house=0.8, US_House=0.1, key=0.1)
    assert support["dwelling"] == pytest.approx(0.9)  # "US House" contains it


def test_a_noun_heard_by_itself_is_supported_by_those_that_contain_it() -> None:
    found, support = read(bus=0.1, bus_stop=0.3, school_bus=0.2, rebus=0.4)
    assert support["bus"] == pytest.approx(0.6)  # not by a part of a word
    assert support["bus stop"] == pytest.approx(0.3)
    assert len(found.own) == 4
    _, support = read(bus=HEARD_ALONE / 2, bus_stop=0.9)
    assert support["bus"] == pytest.approx(HEARD_ALONE / 2)


def test_a_noun_without_weight_says_nothing() -> None:
    found, support = read(cat=1.0, dog=0.0)
    assert "dog" not in support and len(found.meant) == 1
