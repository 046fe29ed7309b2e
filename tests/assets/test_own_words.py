"""Own words and the language of names: what is computed again after which change, and what names are chosen from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from assets_helpers import computed, materialize
from made_languages import write_tab
from small_store import DIM, grouped_vectors

from assets.engine.execute import open_store
from assets.engine.step import Inputs
from assets.graph import find
from assets.lookups.exporting import places_to_spare
from assets.lookups.status import State, all_status
from assets.nouns import kinds_of, wording_of, wording_values
from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]
WORDS = ["dog", "beagle", "pug", "cat", "Persian cat", "kitten", "car", "bus", "taxi"]
NAMING = {"clusters", "cluster_tree", "evaluation", "report"}


def write_words(folder: Path, **columns: list) -> None:
    """Three nouns with vectors around the center of each group, with more columns."""
    vectors, _ = grouped_vectors(7, per_group=3)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).reshape(-1)), DIM)
    pq.write_table(pa.table({"noun": WORDS, "embedding": rows, **columns}), folder / "words.parquet")


@pytest.fixture
def store(vector_store: Writer, tmp_path: Path) -> Writer:
    """The small store, with nouns that WordNet holds."""
    write_words(tmp_path)
    write_tab(tmp_path / "deu.tab", "deu")
    return lambda changes=None: vector_store({"nouns.source": "words.parquet", **(changes or {})})


def inputs_of(path: Path, log: Callable[[str], None] = lambda _: None) -> Inputs:
    project = load_project(path)
    artifact = open_store(project).require_current("candidate_nouns").artifact
    return Inputs(project, {"candidate_nouns": artifact}, log)


def called(kinds: NounKinds) -> list[str]:
    """The name of what each noun means first of all."""
    return [kinds.names[senses[0]] for senses in kinds.senses]


def stale(path: Path) -> dict[str, str]:
    """Why each asset is not fresh."""
    return {entry.step.name: entry.why for entry in all_status(load_project(path)) if entry.state != State.FRESH}


def test_a_language_changes_names_alone_and_the_way_back_is_free(store: Writer, tmp_path: Path) -> None:
    before = materialize(store())["clusters"].artifact.record["values"]
    path = store({"nouns.language": "de", "nouns.language_data": "deu.tab"})
    assert set(stale(path)) == NAMING
    assert stale(path)["clusters"] == "nouns.language: None -> de, nouns.language_data: None -> deu.tab"
    made = materialize(path, ["clusters", "cluster_tree"])
    assert computed(made) == {"clusters", "cluster_tree"}
    assert set(made["clusters"].artifact.record["values"]) - set(before) == {"language"}
    write_tab(tmp_path / "deu.tab", "deu", extra=("02084071-n\tdeu:lemma\tWauwau",))
    assert {"clusters", "cluster_tree"} <= set(stale(path)) <= NAMING
    path = store({"nouns.language": "fra"})
    refusal = next(entry.refusal for entry in all_status(load_project(path)) if entry.refusal is not None)
    assert "deu.tab must hold words of fra" in str(refusal)
    path = store({"nouns.language": None, "nouns.language_data": None})
    named = [entry.state for entry in all_status(load_project(path)) if entry.step.name in ("clusters", "cluster_tree")]
    assert named == [State.REUSABLE] * 2
    assert stale(path)["clusters"] == "nouns.language: de -> None, nouns.language_data: deu.tab -> None"


def test_a_weight_is_no_reason_to_learn_again(store: Writer, tmp_path: Path) -> None:
    path, names = store(), ["candidate_nouns", "noun_embeddings"]
    write_words(tmp_path, weight=[2.0] + [1.0] * 8)
    materialize(path, names)
    decides = wording_values(inputs_of(path))
    write_words(tmp_path, weight=[3.0] + [1.0] * 8)
    # Everything learned rests on noun_embeddings.
    assert computed(materialize(path, names)) == {"candidate_nouns"}
    assert wording_values(inputs_of(path)) != decides
    kinds = kinds_of(inputs_of(path), ["dog", "cat"])
    assert kinds.weight.tolist() == [3, 1]
    assert kinds.own.tolist() == [True, True]


def test_a_word_that_is_never_used_is_no_candidate_and_no_name(store: Writer, tmp_path: Path) -> None:
    write_words(tmp_path, never=[word == "dog" for word in WORDS])
    path = store()
    made = materialize(path, ["candidate_nouns", "noun_embeddings"])
    assert made["noun_embeddings"].artifact.rows == len(WORDS) - 1
    inputs = inputs_of(path)
    assert inputs.table(find("candidate_nouns"))["noun"].to_list() == WORDS[1:]
    assert wording_of(inputs).name("dog.n.01") == "domestic dog"
    assert "dog" not in kinds_of(inputs, WORDS[1:]).names


def test_a_plain_file_keeps_its_table_and_all_of_it_is_own(store: Writer) -> None:
    """Also when an earlier version made it, which wrote nothing beside the table."""
    path = store()
    artifact = materialize(path, ["candidate_nouns"])["candidate_nouns"].artifact
    assert set(artifact.record["files"]) == {"candidate_nouns.parquet"}
    assert set(artifact.record["values"]) == {"source", "wordnet", "exclude_offensive"}
    inputs = inputs_of(path)
    assert wording_values(inputs) == {"own_words": "all"}
    kinds = kinds_of(inputs, ["Turkey", "turkey"])
    assert (kinds.own.tolist(), kinds.weight.tolist()) == ([True, True], [1, 1])
    assert called(kinds) == ["Turkey", "turkey"]


def test_a_vocabulary_of_people_is_translated(store: Writer) -> None:
    path = store({"nouns.language": "deu", "nouns.language_data": "deu.tab"})
    materialize(path, ["candidate_nouns"])
    assert called(kinds_of(inputs_of(path), ["dog", "pug", "car"])) == ["Hund", "pug", "Auto"]


def test_own_words_beside_wordnet_stay_as_they_are_written(vector_store: Writer, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("doggy, 2\nKitty\nkitty\ncar, never\n")
    write_tab(tmp_path / "deu.tab", "deu", extra=("this is no line",))
    sources = ["wordnet", "mine.txt"]
    path = vector_store({"nouns.source": sources, "nouns.language": "deu", "nouns.language_data": "deu.tab"})
    [made] = materialize(path, ["candidate_nouns"]).values()
    assert (made.artifact.facts["own_words"], made.artifact.facts["never_used"]) == (3, 1)
    said: list[str] = []
    inputs = inputs_of(path, said.append)
    assert set(wording_values(inputs)) == {"own_words", "language"}
    kinds = kinds_of(inputs, ["doggy", "Kitty", "kitty", "dog", "automobile"])
    assert called(kinds) == ["doggy", "Kitty", "kitty", "Hund", "Auto"]
    assert kinds.own.tolist() == [True, True, True, False, False]
    assert kinds.weight.tolist() == [2, 1, 1, 1, 1]
    assert said == [f"{tmp_path / 'deu.tab'}: lines that cannot be read, and are left out: 1; the first is line 15"]
    nouns = [place.path for place in places_to_spare(load_project(path)) if "noun" in place.meaning]
    assert nouns == [tmp_path / "mine.txt"]


def test_english_needs_no_words(vector_store: Writer) -> None:
    path = vector_store({"nouns.language": "en"})
    materialize(path, ["candidate_nouns"])
    assert "language" not in wording_values(inputs_of(path))
