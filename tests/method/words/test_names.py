"""Names that a person would choose, each only once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.errors import InputError
from tac_pipeline.method.words.group_evidence import GroupEvidence
from tac_pipeline.method.words.names import (
    LEAST_ALTERNATIVE,
    MIN_CONFIDENCE,
    ClusterName,
    label,
    name_clusters,
    without_brackets,
)
from tac_pipeline.wordnet import noun_kinds


def named(
    weights: list[list[float]], nouns: list[str], sizes: list[int] | None = None, **settings
) -> list[ClusterName]:
    """Names from weights as written, ten members each if not given."""
    table = np.array(weights, dtype=np.float64).reshape(len(weights), len(nouns))
    rows = np.tile(np.arange(len(nouns)), (len(weights), 1))
    members = np.array(sizes or [10] * len(weights))
    return name_clusters(GroupEvidence(rows, table), members, noun_kinds(nouns), **settings)


def names(found: list[ClusterName]) -> list[str | None]:
    return [name.name for name in found]


def test_one_breed_ahead_names_and_level_breeds_make_a_dog() -> None:
    breeds = ["beagle", "pug", "collie", "Siamese cat", "Persian cat"]
    found = named([[0.4, 0.3, 0.3, 0, 0], [0, 0, 0, 0.2, 0.8], [0.7, 0.2, 0.1, 0, 0]], breeds)
    assert names(found) == ["dog", "Persian cat", "beagle"]
    assert found[0].alternatives == ("beagle", "pug", "collie")
    assert found[0].confidence == pytest.approx(1.0)
    assert found[2].confidence == pytest.approx(0.7)


def test_kinds_of_cars_say_car() -> None:
    found = named([[0.35, 0.35, 0.3]], ["sports car", "convertible", "coupe"])
    assert names(found) == ["car"]
    assert found[0].weights == pytest.approx((1.0, 0.35, 0.35, 0.3))


def test_two_words_for_one_thing_count_as_one_and_the_usual_one_says_it() -> None:
    found = named([[0.3, 0.3, 0.4], [0, 0, 1]], ["automobile", "car", "tree"])
    assert found[0].name == "car"
    assert found[0].weights == pytest.approx((0.6, 0.4))
    assert found[0].alternatives == ("tree",)
    # A word that hardly weighs does not say it, however usual it is.
    assert named([[0.8, 0.1, 0.1]], ["automobile", "car", "tree"])[0].name == "automobile"


def test_a_longer_word_must_be_sure_to_be_said() -> None:
    assert names(named([[0.6, 0.4]], ["sea turtle", "turtle"])) == ["turtle"]
    assert names(named([[0.9, 0.1]], ["sea turtle", "turtle"])) == ["sea turtle"]
    # A name that nobody said goes before the heard word in it only where that does not fit.
    assert names(named([[0.4, 0.3, 0.3]], ["salmon", "trout", "fish"])) == ["fish"]
    # Nothing shorter fits: then it is said as it is.
    assert names(named([[0.6, 0.4]], ["ice cream", "key"])) == ["ice cream"]


def test_what_only_contains_the_name_is_no_alternative() -> None:
    found = named([[0.6, 0.2, 0.2]], ["elephant", "elephant tree", "Indian elephant"])
    assert (found[0].name, found[0].alternatives) == ("elephant", ("Indian elephant",))


def test_a_wide_kind_names_a_cluster_only_if_it_is_its_own() -> None:
    animals = ["beagle", "salmon", "sparrow", "teapot", "oak"]
    apart = [[0.34, 0.33, 0.33, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert names(named(apart, animals))[0] in ("vertebrate", "chordate", "animal")
    both = [[0.34, 0.33, 0.33, 0, 0], [0.33, 0.34, 0.33, 0, 0], [0, 0, 0, 0, 1]]
    assert not {"vertebrate", "chordate", "animal"} & set(names(named(both, animals)))


def test_two_clusters_of_one_kind_are_numbered_the_surest_first() -> None:
    found = named([[0.8, 0.2], [0.9, 0.1], [0.7, 0.3]], ["turtle", "teapot"])
    assert names(found) == ["turtle (2)", "turtle", "turtle (3)"]
    assert [name.twins for name in found] == [(1, 2), (0, 2), (0, 1)]
    assert [round(name.confidence, 1) for name in found] == [0.8, 0.9, 0.7]


def test_what_tells_them_apart_goes_into_brackets() -> None:
    asked = []

    def tell(alike):
        asked.append(dict(alike))
        return {0: "green", 1: "sea"}

    found = named([[0.8, 0.2], [0.9, 0.1], [0.7, 0.3], [0, 1]], ["turtle", "teapot"], tell_apart=tell)
    assert names(found) == ["turtle (green)", "turtle (sea)", "turtle", "teapot"]
    assert asked == [{"turtle": [1, 0, 2]}]


def test_two_things_with_one_name_are_told_apart_by_what_they_are() -> None:
    found = named([[1, 0], [0, 1]], ["crane (bird)", "crane (lifting device)"])
    assert without_brackets(found[0].name) == without_brackets(found[1].name) == "crane"
    assert names(found) == ["crane (wading bird)", "crane (lifting device)"]
    assert found[0].twins == found[1].twins == ()


def test_words_that_people_write_apart_stay_apart_by_their_capitals_too() -> None:
    table, nouns = np.eye(2), ["Moon", "moon"]
    evidence = GroupEvidence(np.tile(np.arange(2), (2, 1)), table)
    kinds = noun_kinds(nouns, own=np.array([True, True]))
    assert names(name_clusters(evidence, np.array([5, 5]), kinds)) == ["Moon", "moon"]


def test_a_house_beside_the_us_house_is_a_building() -> None:
    found = named([[0.7, 0.1, 0.2]], ["house", "US House", "key"])
    assert found[0].name == "house"


def test_no_two_clusters_have_one_name_in_any_case() -> None:
    found = named([[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0, 1]], ["Zork", "zork", "pizza"])
    assert len({name.lower() for name in names(found)}) == 3


@given(seed=st.integers(0, 200), n_clusters=st.integers(2, 12))
def test_names_are_never_repeated_and_confidences_lie_from_0_to_1(seed, n_clusters) -> None:
    generator = np.random.default_rng(seed)
    nouns = ["beagle", "pug", "Siamese cat", "tree", "oak", "car", "bus", "no noun of WordNet's", "<b>bold</b>"]
    weights = generator.dirichlet([0.1] * len(nouns), size=n_clusters)
    found = named(weights.tolist(), nouns, generator.integers(1, 50, n_clusters).tolist())
    said = [label(name, number) for number, name in enumerate(found)]
    assert len({str(name).lower() for name in said}) == n_clusters
    for name in found:
        assert 0 <= name.confidence <= 1
        assert name.name is None or name.confidence >= MIN_CONFIDENCE
        assert len(name.weights) == 1 + len(name.alternatives)
        assert without_brackets(name.name or "") not in name.alternatives
        assert all(weight >= LEAST_ALTERNATIVE * name.weights[0] for weight in name.weights[1:])


def test_permuting_clusters_permutes_their_names() -> None:
    nouns = ["beagle", "teapot", "tree", "car", "pizza"]
    weights = 0.6 * np.eye(5) + 0.08
    order = [2, 0, 3, 1, 4]
    assert names(named(weights[order].tolist(), nouns)) == [names(named(weights.tolist(), nouns))[row] for row in order]


def test_what_no_noun_covers_says_so() -> None:
    found = named([[0.2, 0.2, 0.2, 0.2, 0.2]] * 2, ["key", "cloud", "pizza", "virtue", "xyzzy"])
    assert names(found) == [None, None]
    assert label(found[0], 12) == "unnamed 12 (near: key, cloud)"
    assert found[0].weights[0] == 0
    assert found[0].confidence == pytest.approx(0.2)


def test_a_name_with_less_than_half_is_better_than_none() -> None:
    assert named([[0.4, 0.3, 0.3]], ["key", "cloud", "pizza"])[0].name == "key"


def test_alternatives_are_few_and_weigh_something() -> None:
    assert named([[1.0]], ["cat"])[0] == ClusterName("cat", (), (1.0,), 1.0)
    assert named([[0.9, 0.1], [0.1, 0.9]], ["cat", "pizza"])[0].alternatives == ("pizza",)
    assert named([[0.95, 0.05]], ["cat", "pizza"])[0].alternatives == ()
    five = [[0.4, 0.15, 0.15, 0.15, 0.15]]
    assert len(named(five, ["key", "cloud", "pizza", "dog", "tree"], alternatives=2)[0].alternatives) == 2
    assert named([[0.6, 0.4]], ["key", "pizza"], alternatives=0)[0].alternatives == ()


def test_a_cluster_without_members_has_no_name() -> None:
    found = named([[0, 0], [0.5, 0.5]], ["cat", "dog"], [0, 5])[0]
    assert found == ClusterName(None, (), (), 0.0)
    assert label(found, 0) is None


def test_names_are_spelled_as_wordnet_does_and_strange_nouns_stay_as_they_came() -> None:
    nouns = ["Ice cream", "Jeans", "ram (animal)", "<script>x</script>", "赤い船", "a\\`|b"]
    found = named(np.eye(6).tolist(), nouns)
    assert names(found) == ["ice cream", "jean", "ram", "<script>x</script>", "赤い船", "a\\`|b"]


def test_a_kind_that_may_not_be_said_names_nothing() -> None:
    """No name made from kinds above nouns is offensive."""
    kinds = noun_kinds(["prostitute", "call girl", "streetwalker", "beagle"])
    assert not {"whore", "harlot", "tart"} & {name.lower() for name in kinds.names}


def test_evidence_of_other_clusters_is_refused() -> None:
    with pytest.raises(InputError, match="of the 1 clusters; got 2 and 1"):
        named([[0.5, 0.5]], ["cat", "dog"], [1, 2])
    with pytest.raises(InputError, match="at least one noun"):
        named([[]], [])


OLD = [[0.6, 0.35, 0.05], [0, 0, 1]]
NOUNS = ["key", "pizza", "cloud"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("pizza", "pizza"),  # less than the key, and more than half as much
        ("Pizza", "Pizza"),
        ("pizza (red)", "pizza (red)"),
        ("cloud", "key"),  # most of it is elsewhere
        ("dog", "key"),  # no candidate any more
        ("unnamed 0 (near: pizza)", "key"),
        (None, "key"),
    ],
)
def test_an_old_name_stays_unless_clearly_wrong(before, expected) -> None:
    found = named(OLD, NOUNS, before=[before, None])
    assert found[0].name == expected
    assert found[1].name == "cloud"


def test_a_kept_name_is_no_name_for_another_cluster() -> None:
    """The second cluster is surer of it, and came later."""
    found = named([[0.45, 0.55, 0], [0.0, 0.9, 0.1]], NOUNS, before=["pizza", None])
    assert names(found) == ["pizza", "pizza (2)"]
    again = named([[0.45, 0.55, 0], [0.0, 0.9, 0.1]], NOUNS, before=["pizza", "pizza (2)"])
    assert names(again) == ["pizza", "pizza (2)"]
    alone = named([[0.9, 0.1, 0], [0.0, 0.9, 0.1]], NOUNS, before=[None, "pizza (2)"])
    assert names(alone) == ["key", "pizza (2)"]


def test_a_cluster_that_lost_its_members_loses_its_name() -> None:
    assert named([[0, 0, 0], [0, 0, 1]], NOUNS, [0, 5], before=["key", None])[0].name is None


def test_what_people_say_goes_before_everything() -> None:
    found = named(OLD, NOUNS, before=["pizza", None], given={0: "Cloud"})
    assert (found[0].name, found[0].confidence) == ("Cloud", 1.0)
    assert found[0].alternatives == ("key", "pizza")
    assert found[1].name == "cloud (2)"
    mine = named(OLD, NOUNS, given={1: "red <boats>"})
    assert names(mine) == ["key", "red <boats>"]


def test_an_empty_cluster_may_have_the_name_that_people_gave_it() -> None:
    found = named([[0, 0, 0], [0, 0, 1]], NOUNS, [0, 5], given={0: "boats"})
    assert names(found) == ["boats", "cloud"]
