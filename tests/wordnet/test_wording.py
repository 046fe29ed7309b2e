"""What synsets are called in a language, and by which words never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_languages import write_tab

from tac_pipeline.wordnet import Wording, find_language_file, noun_kinds, open_wordnet, read_language
from tac_pipeline.wordnet.languages import Language
from tac_pipeline.wordnet.senses import likely_senses


@pytest.fixture
def german(tmp_path: Path) -> Language:
    return read_language(find_language_file("deu", given=write_tab(tmp_path / "wn-data-deu.tab", "deu")))


def test_a_synset_is_called_in_the_language_and_in_english_where_that_has_no_word(german: Language) -> None:
    wording = Wording(german)
    assert [wording.name(synset) for synset in ("dog.n.01", "animal.n.01", "pug.n.01")] == ["Hund", "Tier", "pug"]
    assert Wording().name("dog.n.01") == "dog"


def test_an_offensive_synset_is_not_translated(german: Language) -> None:
    """Other words of it may be harmless in English; nobody knows that of the translation."""
    assert Wording(german).name("idiot.n.01") == Wording().name("idiot.n.01") == "changeling"
    nameless = next(synset for synset in open_wordnet().synsets("bimbo"))
    assert Wording(Language("deu", {nameless: ("Frau",)})).name(nameless) == ""


@pytest.mark.parametrize("never", ["Hund", "hund", "HUND"])
def test_a_word_that_is_never_used_names_nothing_in_any_language(german: Language, never: str) -> None:
    assert Wording(german, never=[never]).name("dog.n.01") == "Haushund"
    assert Wording(never=["Dog"]).name("dog.n.01") == "domestic dog"


def test_a_synset_of_words_that_are_never_used_has_no_name(german: Language) -> None:
    # The user does not want the thing, in whatever language it is said.
    assert Wording(german, never=["pug", "pug-dog"]).name("pug.n.01") == ""
    assert Wording(german, never=open_wordnet().lemmas("cat.n.01")).name("cat.n.01") == ""


def test_names_lead_back_to_their_synsets(german: Language) -> None:
    wording = Wording(german)
    assert wording.meaning("Hund") == ("dog.n.01", "Hund")
    assert wording.meaning("hund") == ("dog.n.01", "hund")
    assert wording.meaning("Haushund") == ("dog.n.01", "Haushund")
    # Named so in both; WordNet's texts hold the institution more often.
    assert wording.meaning("Bank") == ("depository_financial_institution.n.01", "Bank")
    assert wording.meaning("Bank (seat)") == ("bench.n.01", "Bank")
    assert wording.meaning("pug") == ("pug.n.01", "pug")
    assert wording.meaning("Gibtsnicht") is None


def test_kinds_are_called_in_the_language_and_keep_these_names(german: Language) -> None:
    kinds = noun_kinds(["dog", "pug", "turtle", "xyzzy"], wording=Wording(german))
    # Nouns are compared with each other in English.
    assert kinds.spelled == ("dog", "pug", "turtle", "xyzzy")
    meant = [[kinds.names[kind] for kind in senses] for senses in kinds.senses]
    assert (meant[0][0], meant[1][0], meant[2], meant[3]) == ("Hund", "pug", ["Schildkröte", "Rollkragen"], ["xyzzy"])
    assert {kinds.names[kind] for kind in kinds.settled} == {
        "Hund", "Raubtier", "Tier", "Rollkragen", "Schildkröte"
    }  # fmt: skip
    assert not noun_kinds(["dog"]).settled


def first_names(nouns: list[str], wording: Wording | None = None) -> list[str]:
    kinds = noun_kinds(nouns, wording=wording)
    return [kinds.names[senses[0]] for senses in kinds.senses]


def test_a_translation_shows_the_sense_that_the_list_is_about(german: Language) -> None:
    """WordNet's first turtle is a sweater, and its texts have none of both."""
    wording = Wording(german)
    assert first_names(["turtle", "sea turtle", "tortoise"], wording)[0] == "Schildkröte"
    assert first_names(["turtle", "sweater", "cardigan"], wording)[0] == "Rollkragen"
    # English names do not show the sense, and stay as they were.
    assert first_names(["turtle", "sea turtle", "tortoise"])[0] == "turtleneck"


def test_a_sense_that_texts_know_well_is_not_doubted() -> None:
    wordnet = open_wordnet()
    nouns = ["dog", "frump", "slattern", "xyzzy"]
    first = [wordnet.synset(noun) for noun in nouns]
    for has_word in (True, False):
        found = likely_senses(nouns, first, wordnet=wordnet, has_word=lambda _, said=has_word: said)
        assert (found[0][0], found[3]) == ("dog.n.01", ())


def test_a_word_is_lent_to_another_sense_of_the_same_noun() -> None:
    """The fruit has a word, the plant has none; a group of bananas may be read as either."""
    wording = Wording(Language("deu", {"banana.n.02": ("Banane",)}))
    kinds = noun_kinds(["banana", "apple", "pear", "herb", "ginger", "canna"], wording=wording)
    assert [kinds.names[kind] for kind in kinds.senses[0]] == ["Banane", "Banane"]
    assert set(kinds.senses[0]) <= kinds.settled
    # Not to a sense that the list has nothing to do with.
    wording = Wording(Language("deu", {"turtle.n.02": ("Schildkröte",)}))
    kinds = noun_kinds(["turtle", "sea turtle", "tortoise"], wording=wording)
    assert [kinds.names[kind] for kind in kinds.senses[0]] == ["Schildkröte", "turtleneck"]


def test_own_words_are_not_translated_unless_asked(german: Language) -> None:
    own = np.array([True, False])
    kinds = noun_kinds(["domestic dog", "cat"], wording=Wording(german), own=own)
    assert [kinds.names[senses[0]] for senses in kinds.senses] == ["domestic dog", "Katze"]
    kinds = noun_kinds(["domestic dog", "cat"], wording=Wording(german), own=own, as_written=False)
    assert [kinds.names[senses[0]] for senses in kinds.senses] == ["Hund", "Katze"]
