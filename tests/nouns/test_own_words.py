"""People's own words: weights, words that are never used, and several sources together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tac_pipeline.errors import InputError
from tac_pipeline.nouns import CandidateNouns, load_candidate_nouns


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_vectors(path: Path, words: dict[str, list[float]], *, encoder: str | None = None, **columns: list) -> Path:
    table = pa.table(
        {"noun": list(words), "embedding": pa.array(list(words.values()), pa.list_(pa.float32())), **columns}
    )
    pq.write_table(table.replace_schema_metadata({"tac.encoder": encoder} if encoder else None), path)
    return path


def load(*sources: str | Path, exclude_offensive: bool = True) -> CandidateNouns:
    return load_candidate_nouns(list(sources), exclude_offensive=exclude_offensive)


def weights(found: CandidateNouns) -> dict[str, float]:
    return dict(zip(found.table["noun"], found.weights.tolist(), strict=True))


# One file


@pytest.mark.parametrize(
    ("line", "word", "weight"),
    [
        ("sunset, 2", "sunset", 2.0),
        ("sunset,2", "sunset", 2.0),
        ("sunset , .5", "sunset", 0.5),
        ("salt, pepper, 1.5", "salt, pepper", 1.5),
        # As before: no number and no `never` after the last comma.
        ("salt, pepper", "salt, pepper", 1.0),
        ("Paris, Texas", "Paris, Texas", 1.0),
        ("never", "never", 1.0),
        ("never say never", "never say never", 1.0),
        ("2", "2", 1.0),
        ("7,", "7,", 1.0),
        # A year is no weight.
        ("September 11, 2001", "September 11, 2001", 1.0),
        ("Catch, 22, 1", "Catch, 22", 1.0),
    ],
)
def test_a_line_may_end_with_a_weight(tmp_path: Path, line: str, word: str, weight: float) -> None:
    found = load(write(tmp_path / "mine.txt", line))
    assert weights(found) == {word: weight}
    assert found.own.tolist() == [True]


def test_a_number_too_large_for_a_weight_is_told(tmp_path: Path) -> None:
    found = load(write(tmp_path / "mine.txt", "cat", "September 11, 2001"))
    [note] = found.notes
    assert note.endswith("line 2: 'September 11, 2001' is read as one word, because a weight is at most 100")


@pytest.mark.parametrize("weight", ["0", "-1", "0.0"])
def test_a_weight_that_prefers_nothing_is_refused(tmp_path: Path, weight: str) -> None:
    path = write(tmp_path / "mine.txt", "cat", f"dog, {weight}")
    with pytest.raises(InputError, match=r"mine\.txt, line 2: a weight must be over 0 and at most 100; .*write never"):
        load(path)


def test_a_word_that_is_never_used_is_no_candidate_in_any_spelling(tmp_path: Path) -> None:
    words = ("selfie, Never", "Selfie", "SELFIES", "hot-dog, never", "hot_dog", "glass, never", "glasses", "portrait")
    found = load(write(tmp_path / "mine.txt", *words))
    # WordNet's glasses are no plural of glass.
    assert found.table["noun"].to_list() == ["glasses", "portrait"]
    assert found.never == ("selfie", "hot-dog", "glass")
    assert found.notes[-1] == (
        "own words that are never used, because another line says so: 'Selfie', 'SELFIES', 'hot_dog'"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["selfie, never", "dog, never"], r"must leave a noun to choose; all of its words are never used"),
        (["dog, never", "Dog"], r"must leave a noun to choose; all of its 1 are never used or offensive"),
        (["dog, 2", "dog, never"], r"must not repeat; in .*, line 2 repeats 'dog' of 1"),
        ([", 2"], r"must not be empty; in .*, line 1\."),
    ],
)
def test_files_that_leave_nothing_or_contradict_themselves_are_refused(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(write(tmp_path / "mine.txt", *lines))


def test_tables_have_columns_for_weights_and_never(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "noun,weight,never", "dog,2,", "cat,,false", "selfie,,yes", "car,0.5,no")
    table = pa.table(
        {
            "noun": ["dog", "cat", "selfie", "car"],
            "weight": pa.array([2, None, None, 0.5]),
            "never": pa.array([None, False, True, False]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    for path in (csv, tmp_path / "a.parquet"):
        found = load(path)
        assert weights(found) == {"dog": 2, "cat": 1, "car": 0.5}
        assert (found.never, found.says_more) == (("selfie",), True)


def test_vectors_stay_with_their_words_when_some_are_never_used(tmp_path: Path) -> None:
    words = {"dog": [1.0, 0], "selfie": [0, 1.0], "cat": [-1.0, 0]}
    found = load(write_vectors(tmp_path / "a.parquet", words, never=[False, True, False]))
    assert found.table["noun"].to_list() == ["dog", "cat"]
    np.testing.assert_array_equal(found.embeddings, [[1, 0], [-1, 0]])
    csv = write(tmp_path / "a.csv", "noun,embedding,never", 'dog,"[1, 0]",', "selfie,,true", 'cat,"[-1, 0]",')
    np.testing.assert_array_equal(load(csv).embeddings, [[1, 0], [-1, 0]])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["noun,weight", "dog,two"], r"a\.csv, line 2: weight must be a number or empty; got 'two'"),
        (["noun,weight", "dog,1", "cat,nan"], r"a\.csv, line 3: a weight must be over 0 and at most 100; got nan"),
        (["noun,weight", "dog,101"], r"a\.csv, line 2: a weight must be over 0 and at most 100; got 101"),
        (["noun,never", "dog,perhaps"], r"a\.csv, line 2: never must be true, false or empty; got 'perhaps'"),
        (["noun,never,never", "dog,,"], r"at most one named embedding, weight and never"),
    ],
)
def test_faulty_columns_of_csv_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(write(tmp_path / "a.csv", *lines))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"weight": ["2"]}, r"a\.parquet: column weight must be numbers; got string"),
        ({"weight": [-2.0]}, r"a\.parquet, row 0: a weight must be over 0"),
        ({"never": [1]}, r"a\.parquet: column never must be true or false; got int64"),
    ],
)
def test_faulty_columns_of_parquet_are_refused(tmp_path: Path, columns: dict[str, list], message: str) -> None:
    pq.write_table(pa.table({"noun": ["dog"], **columns}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "a.parquet")


def test_a_plain_file_says_no_more_than_its_nouns(tmp_path: Path) -> None:
    found = load(write(tmp_path / "mine.txt", "dog", "salt, pepper"))
    assert (found.says_more, found.notes, found.never) == (False, (), ())
    assert load_candidate_nouns("wordnet", exclude_offensive=False).own.sum() == 0


# Several sources


def test_own_words_come_beside_wordnets_and_in_place_of_the_same_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.txt", "Golden Hour, 3", "DOG", "Turkey", "turkey", "cat, never")
    found = load("wordnet", path, exclude_offensive=False)
    table = found.table.with_columns(own=pl.Series(found.own), weight=pl.Series(found.weights))
    assert table.filter("own").select("noun", "synset", "weight").rows() == [
        ("Golden Hour", None, 3),
        ("DOG", "dog.n.01", 1),
        ("Turkey", "turkey.n.01", 1),
        ("turkey", "turkey.n.01", 1),
    ]
    # WordNet's dog, turkey and cat are gone, and nothing else.
    assert len(found) == 117_798 - 3 + 4
    assert not {"dog", "cat", "cats"} & set(table["noun"])
    assert {"domestic dog", "kitty"} <= set(table["noun"])
    assert load(path, "wordnet").table["noun"][0] == "Golden Hour"


def test_what_the_later_file_says_counts_and_is_told(tmp_path: Path) -> None:
    first = write(tmp_path / "a.txt", "dog, 2", "selfie, never", "cat")
    second = write(tmp_path / "b.txt", "fox", "dog, 3", "selfie, 1.5")
    found = load(first, second)
    assert weights(found) == {"dog": 3, "selfie": 1.5, "cat": 1, "fox": 1}
    assert found.never == ()
    assert found.notes == (
        "in several files, and what the later file says counts: "
        f"'dog' ({first}, line 1; {second}, line 2), 'selfie' ({first}, line 2; {second}, line 3)",
    )


def test_words_that_differ_in_capitals_are_kept_apart_and_told(tmp_path: Path) -> None:
    found = load(write(tmp_path / "a.txt", "Moon", "sun"), write(tmp_path / "b.txt", "moon", "MOON"))
    assert found.table["noun"].to_list() == ["Moon", "sun", "moon", "MOON"]
    assert found.notes == ("kept apart, though they differ in capitals only: 'Moon' and 'moon' and 'MOON'",)


def test_vectors_of_several_files_are_joined_and_the_later_one_counts(tmp_path: Path) -> None:
    first = write_vectors(tmp_path / "a.parquet", {"dog": [1.0, 0], "cat": [0, 1.0]}, encoder="e")
    second = write_vectors(tmp_path / "b.parquet", {"fox": [-1.0, 0], "dog": [0, -1.0]}, encoder="e")
    found = load(first, second, write(tmp_path / "never.txt", "selfie, never"))
    assert found.table["noun"].to_list() == ["dog", "cat", "fox"]
    np.testing.assert_array_equal(found.embeddings, [[0, -1], [0, 1], [-1, 0]])
    assert (found.encoder, found.never) == ("e", ("selfie",))


def test_vectors_of_some_sources_only_are_refused(tmp_path: Path) -> None:
    given = write_vectors(tmp_path / "a.parquet", {"dog": [1.0, 0]}, encoder="e")
    for other in ("wordnet", write(tmp_path / "mine.txt", "cat")):
        with pytest.raises(InputError, match=rf"must all have vectors, or none; {given} has them and {other} has not"):
            load(other, given)


@pytest.mark.parametrize(("vector", "encoder"), [([1.0, 0, 0], "e"), ([1.0, 0], "other"), ([1.0, 0], None)])
def test_vectors_that_cannot_be_compared_are_refused(tmp_path: Path, vector: list[float], encoder: str | None) -> None:
    first = write_vectors(tmp_path / "a.parquet", {"dog": [1.0, 0]}, encoder="e")
    second = write_vectors(tmp_path / "b.parquet", {"cat": vector}, encoder=encoder)
    with pytest.raises(InputError, match=r"must be of one encoder and width; .*a\.parquet has width 2 and encoder e, "):
        load(first, second)


def test_an_empty_list_of_sources_is_refused() -> None:
    with pytest.raises(InputError, match="must name at least one source; got an empty list"):
        load_candidate_nouns([], exclude_offensive=True)
