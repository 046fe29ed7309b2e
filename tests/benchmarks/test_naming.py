"""The judge of names: by WordNet, never by looks."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.naming import class_kinds, distinct_share, judge, relation, right_share, true_kind
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.wordnet import open_wordnet


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("cat", "cat", "kind"),
        ("Moon", "moon", "kind"),
        ("apple (edible fruit)", "apple", "kind"),
        ("true cat", "cat", "synonym"),
        ("felid", "cat", "hypernym"),
        ("carnivore", "cat", "wider"),  # two steps up
        ("placental", "cat", "other"),  # three
        ("domestic cat", "cat", "hyponym"),  # a step down: counted apart, never as right
        ("tabby", "cat", "other"),  # two steps down
        ("bicycle wheel", "bicycle", "other"),
        ("tree", "palm", "hypernym"),
        ("unnamed 3 (near: cat)", "cat", "other"),
        (None, "cat", "other"),
    ],
)
def test_names_are_judged_by_wordnet(name: str | None, kind: str, expected: str) -> None:
    wordnet = open_wordnet()
    assert relation(name, true_kind(kind, KINDS[kind].synset, wordnet), wordnet) == expected


def test_classes_of_another_sense_or_unknown_to_wordnet_are_judged_by_what_people_mean(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({"pets": ["boxer", "Birman", "beagle"]}))
    boxer, birman, beagle = class_kinds(tmp_path, "pets")
    wordnet = open_wordnet()
    assert [relation(name, boxer, wordnet) for name in ("boxer", "working dog", "fighter")] == [
        "kind",
        "hypernym",
        "other",
    ]
    assert [relation(name, birman, wordnet) for name in ("Birman", "house cat", "cat")] == ["kind", "hypernym", "wider"]
    assert relation("hound", beagle, wordnet) == "hypernym"


def test_every_class_of_the_reference_tables_has_a_meaning(reference_data: Path) -> None:
    for table in ("food10", "cifar10_500", "oxford_pets"):
        assert all(kind.above for kind in class_kinds(reference_data, table))


def test_a_cluster_is_judged_by_the_kind_of_most_of_its_images() -> None:
    wordnet = open_wordnet()
    kinds = {name: true_kind(name, KINDS[name].synset, wordnet) for name in ("cat", "bus", "car")}
    found = judge(
        {0: "feline", 1: "bus", 2: "Bus"}, np.array([0, 0, 0, 1, 2]), ["cat", "bus", "cat", "car", "bus"], kinds
    )
    assert [(naming.kind, naming.relation, naming.size) for naming in found] == [
        ("cat", "hypernym", 3),
        ("car", "other", 1),
        ("bus", "kind", 1),
    ]
    assert right_share(found) == pytest.approx(2 / 3)
    assert distinct_share(found) == pytest.approx(2 / 3)  # case makes no name another
