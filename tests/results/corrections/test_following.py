"""Where the images of ids that are gone are now, by the images that the ledger keeps."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tac_pipeline.results.corrections.following import Heir, find_heirs, last_entries
from tac_pipeline.store.ledger import Entry, Learned, Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def learn(ledger: Ledger, *columns: Sequence[str], in_force: int | None = None) -> Entry:
    """A clustering with these images in its columns; an image's bytes are its name without the part behind a dot."""
    images = [image for members in columns for image in members]
    learned = Learned(
        f"{len(ledger.entries())}",
        pl.Series(images, dtype=pl.String),
        pl.Series([hashlib.sha256(image.partition(".")[0].encode()).hexdigest() for image in images]),
        np.repeat(np.arange(len(columns)), [len(members) for members in columns]),
        np.eye(8, dtype=np.float32)[: len(columns)],
        "E",
    )
    return ledger.enter(learned, in_force=in_force, names={})


CATS, DOGS, BIRDS = "abcdef", "ghij", "kl"


def test_an_id_that_vanished_and_came_back_as_another(ledger: Ledger) -> None:
    learn(ledger, CATS, DOGS, BIRDS)
    learn(ledger, CATS, DOGS + BIRDS)
    back = learn(ledger, CATS, DOGS, [f"{image}.moved" for image in BIRDS])
    assert back.ids["cluster_id"].to_list() == [0, 1, 3]
    last = last_entries(ledger, {2, 99})
    assert last == {2: 1}
    assert find_heirs(ledger, back.number, last) == {2: Heir(3, shared=2, known=2, was=2, size=2)}


def test_an_id_that_became_part_of_another(ledger: Ledger) -> None:
    learn(ledger, CATS, DOGS, BIRDS)
    now = learn(ledger, CATS + "k", DOGS, "xyz")
    [heir] = find_heirs(ledger, now.number, last_entries(ledger, {2})).values()
    assert heir == Heir(0, shared=1, known=1, was=2, size=7)
    assert (heir.has_it, heir.is_it) == (True, False)


def test_the_newest_entry_that_had_the_id_counts_even_if_people_went_back(ledger: Ledger) -> None:
    learn(ledger, CATS, DOGS)
    learn(ledger, CATS, DOGS, BIRDS)
    learn(ledger, CATS, DOGS, BIRDS + "mnop")
    assert last_entries(ledger, {2}) == {2: 3}
    # Back at the first clustering, where the birds did not count as anything.
    assert find_heirs(ledger, 1, {2: 3}) == {}


@pytest.mark.parametrize(
    ("heir", "has_it", "is_it"),
    [
        (Heir(0, shared=6, known=10, was=10, size=11), True, True),
        (Heir(0, shared=6, known=10, was=10, size=12), True, False),
        (Heir(0, shared=5, known=10, was=10, size=5), False, False),
        (Heir(0, shared=1, known=1, was=11, size=1), False, False),
    ],
)
def test_how_much_is_enough(heir: Heir, has_it: bool, is_it: bool) -> None:
    assert (heir.has_it, heir.is_it) == (has_it, is_it)
