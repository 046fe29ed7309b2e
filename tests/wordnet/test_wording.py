"""What synsets are called, and which sense a translation shows."""

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


def test_kinds_and_nouns_are_called_in_the_language(german: Language) -> None:
    kinds = noun_kinds(["dog", "domestic dog", "pug", "cats", "xyzzy"], wording=Wording(german))
    assert kinds.spelled == ("Hund", "Hund", "pug", "Katze", "xyzzy")
    assert {"Hund", "Katze", "Raubtier", "Tier", "entity"} <= set(kinds.names)
    assert kinds.meant[0] == kinds.meant[1] != kinds.meant[2]


def test_kinds_with_one_name_are_told_with_what_tells_them_apart(german: Language) -> None:
    kinds = noun_kinds(["savings bank", "bench", "dog"], wording=Wording(german))
    apart = {kinds.names[kind]: word for kind, word in kinds.apart.items() if kinds.names[kind] == "Bank"}
    assert apart and all(word and word != "Bank" for word in kinds.apart.values())
    words = sorted(word for kind, word in kinds.apart.items() if kinds.names[kind] == "Bank")
    assert words == ["financial institution", "seat"]


def test_a_translation_shows_the_sense_that_the_list_is_about(german: Language) -> None:
    """WordNet's first turtle is a sweater, without a count."""
    animals = noun_kinds(["turtle", "sea turtle", "tortoise"], wording=Wording(german))
    assert animals.spelled[0] == "Schildkröte"
    clothes = noun_kinds(["turtle", "sweater", "cardigan"], wording=Wording(german))
    assert clothes.spelled[0] == "Rollkragen"
    # The meaning is as before, and so are English names.
    assert noun_kinds(["turtle", "sea turtle"]).spelled[0] == "turtle"


def test_a_sense_that_texts_know_well_is_not_doubted() -> None:
    wordnet = open_wordnet()
    nouns = ["dog", "frump", "slattern"]
    first = [wordnet.synset(noun) for noun in nouns]
    found = likely_senses(nouns, first, wordnet=wordnet, has_word=lambda _: False)
    assert found[0] == "dog.n.01"
    assert likely_senses(["xyzzy"], [None], wordnet=wordnet, has_word=lambda _: True) == [None]


def test_own_words_are_never_translated(german: Language) -> None:
    kinds = noun_kinds(["doggy", "cat"], wording=Wording(german), own=np.array([True, False]))
    assert kinds.spelled == ("doggy", "Katze")
