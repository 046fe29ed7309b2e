"""The three noun sources: what is read, what is refused, and that vectors stay with their nouns."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tac_pipeline.errors import InputError
from tac_pipeline.nouns import LONGEST_NOUN, load_candidate_nouns
from tac_pipeline.nouns import files as module
from tac_pipeline.wordnet import is_offensive, load_nouns

in_one_folder = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# No surrogates or controls, no comment sign at the head, no space at the ends: such lines are tried by hand below.
noun_texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cf"]), min_size=1, max_size=12).filter(
    lambda noun: noun == noun.strip() and not noun.startswith("#")
)
noun_lists = st.lists(noun_texts, min_size=1, max_size=12, unique=True)


def random_vectors(count, width=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def unit(vectors):
    rows = np.asarray(vectors, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write_parquet(path, nouns, vectors=None, *, kind=None, metadata=None):
    """A noun table; `kind` is the Arrow type of its embedding column."""
    columns = {"noun": pa.array(nouns, pa.string())}
    if vectors is not None:
        columns["embedding"] = pa.array(list(vectors), type=kind or pa.list_(pa.float32()))
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


def write_csv(path, nouns, vectors=None, *, encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["noun"] if vectors is None else ["noun", "embedding"])
        for row, noun in enumerate(nouns):
            writer.writerow([noun] if vectors is None else [noun, json.dumps([float(x) for x in vectors[row]])])
    return path


def write_text(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


# WordNet


def test_wordnet_is_every_noun_in_the_sense_it_stands_for():
    candidates = load_candidate_nouns("wordnet", exclude_offensive=False)
    assert len(candidates) == candidates.table.height == 117_798
    assert candidates.table.columns == ["noun", "synset", "lexname", "n_senses", "tag_count"]
    assert candidates.table.null_count().sum_horizontal().item() == 0
    assert candidates.excluded == ()
    assert candidates.embeddings is None
    assert candidates.encoder is None
    dog = candidates.table.row(by_predicate=pl.col("noun") == "dog")
    assert dog == ("dog", "dog.n.01", "noun.animal", 7, 42)


def test_excluding_drops_exactly_the_offensive_nouns():
    everything = load_candidate_nouns("wordnet", exclude_offensive=False).table
    candidates = load_candidate_nouns("wordnet", exclude_offensive=True)
    assert len(candidates) + len(candidates.excluded) == 117_798
    assert all(map(is_offensive, candidates.excluded))
    assert not any(map(is_offensive, candidates.table["noun"]))
    assert candidates.table.equals(everything.filter(~pl.col("noun").is_in(list(candidates.excluded))))


def test_a_file_named_wordnet_is_read_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "wordnet", "dog\n")
    assert len(load_candidate_nouns("./wordnet", exclude_offensive=True)) == 1
    assert len(load_candidate_nouns("wordnet", exclude_offensive=False)) == 117_798


# Text files


@in_one_folder
@given(
    nouns=noun_lists,
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    around=st.sampled_from(["{}", "  {}\t", "# a comment\n\n{}\n   \n #another"]),
)
def test_a_text_file_gives_its_nouns_in_order(tmp_path, nouns, ending, encoding, around):
    text = "\n".join(around.format(noun) for noun in nouns).replace("\n", ending)
    path = write_text(tmp_path / "nouns.txt", text, encoding)
    assert load_candidate_nouns(path, exclude_offensive=False).table["noun"].to_list() == nouns


def test_nouns_of_a_file_are_described_where_wordnet_holds_them(tmp_path):
    path = write_text(tmp_path / "nouns.txt", "DOG\nice_cream\nfrobnicator\nhot  dog\n")
    table = load_candidate_nouns(path, exclude_offensive=True).table
    assert table.rows() == [
        ("DOG", "dog.n.01", "noun.animal", 7, 42),
        ("ice_cream", "ice_cream.n.01", "noun.food", 1, 1),
        ("frobnicator", None, None, None, None),
        ("hot  dog", "hotdog.n.02", "noun.food", 3, 0),
    ]


def test_the_same_letters_in_another_case_are_another_noun(tmp_path):
    path = write_text(tmp_path / "nouns.txt", "Turkey\nturkey\n")
    assert load_candidate_nouns(path, exclude_offensive=False).table["noun"].to_list() == ["Turkey", "turkey"]


# Tables


@in_one_folder
@given(nouns=noun_lists, seed=st.integers(0, 99))
def test_parquet_and_csv_give_the_same(tmp_path, nouns, seed):
    vectors = random_vectors(len(nouns), seed=seed)
    from_parquet = load_candidate_nouns(
        write_parquet(tmp_path / "nouns.parquet", nouns, vectors), exclude_offensive=False
    )
    from_csv = load_candidate_nouns(write_csv(tmp_path / "nouns.csv", nouns, vectors), exclude_offensive=False)
    assert from_parquet.table["noun"].to_list() == nouns
    assert from_parquet.table.equals(from_csv.table)
    np.testing.assert_allclose(from_parquet.embeddings, unit(vectors), rtol=1e-5)
    np.testing.assert_allclose(from_csv.embeddings, unit(vectors), rtol=1e-5)


@in_one_folder
@given(
    bad=st.lists(st.sampled_from(["kike", "faggots", "Half_Breed", "bitch", "red man"]), unique=True, max_size=5),
    seed=st.integers(0, 99),
)
def test_vectors_stay_with_their_nouns_when_some_are_excluded(tmp_path, bad, seed):
    nouns = np.random.default_rng(seed).permutation(["dog", "boy", "taco", "zzz", *bad]).tolist()
    vectors = random_vectors(len(nouns), seed=seed)
    path = write_parquet(tmp_path / "nouns.parquet", nouns, vectors)
    candidates = load_candidate_nouns(path, exclude_offensive=True)
    kept = [noun for noun in nouns if noun not in bad]
    assert candidates.table["noun"].to_list() == kept
    assert set(candidates.excluded) == set(bad)
    wanted = unit(vectors)[[nouns.index(noun) for noun in kept]]
    np.testing.assert_allclose(candidates.embeddings, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float16(), 4),
        pa.list_(pa.float32(), 4),
        pa.list_(pa.float16()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.int32()),
    ],
    ids=str,
)
def test_every_common_type_of_embedding_is_read(tmp_path, kind):
    vectors = np.array([[1, 2, 3, 4], [0, 0, -2, 0], [5, 5, 5, 5]], dtype=kind.value_type.to_pandas_dtype())
    path = write_parquet(tmp_path / "nouns.parquet", ["a", "b", "c"], vectors, kind=kind)
    candidates = load_candidate_nouns(path, exclude_offensive=False)
    assert candidates.embeddings.dtype == np.float32
    np.testing.assert_allclose(candidates.embeddings, unit(vectors), rtol=1e-6)


def test_row_groups_are_read_as_one_table(tmp_path):
    nouns, vectors = [f"noun {number}" for number in range(10)], random_vectors(10)
    table = pa.table({"noun": nouns, "embedding": pa.array(list(vectors), pa.list_(pa.float32(), 4))})
    pq.write_table(table, tmp_path / "nouns.parquet", row_group_size=3)
    candidates = load_candidate_nouns(tmp_path / "nouns.parquet", exclude_offensive=False)
    assert candidates.table["noun"].to_list() == nouns
    np.testing.assert_allclose(candidates.embeddings, unit(vectors), rtol=1e-6)


def test_other_columns_are_left_alone(tmp_path):
    table = pa.table({"source": [1, 2], "noun": pa.array(["dog", "cat"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "nouns.parquet")
    candidates = load_candidate_nouns(str(tmp_path / "nouns.parquet"), exclude_offensive=True)
    assert candidates.table["noun"].to_list() == ["dog", "cat"]
    assert candidates.embeddings is None


def test_the_encoder_is_read_from_the_files_metadata(tmp_path):
    vectors = random_vectors(2)
    stated = write_parquet(tmp_path / "a.parquet", ["a", "b"], vectors, metadata={"tac.encoder": "ViT-B-32/öpenai"})
    unstated = write_parquet(tmp_path / "b.parquet", ["a", "b"], vectors)
    without = write_parquet(tmp_path / "c.parquet", ["a", "b"], metadata={"tac.encoder": "ViT-B-32"})
    assert load_candidate_nouns(stated, exclude_offensive=False).encoder == "ViT-B-32/öpenai"
    assert load_candidate_nouns(unstated, exclude_offensive=False).encoder is None
    assert load_candidate_nouns(without, exclude_offensive=False).encoder is None


def test_csv_takes_a_byte_order_mark_quotes_and_empty_lines(tmp_path):
    path = write_text(tmp_path / "nouns.csv", '\ufeffid,noun\r\n1,"salt, pepper"\r\n\r\n2,1984\r\n')
    assert load_candidate_nouns(path, exclude_offensive=True).table["noun"].to_list() == ["salt, pepper", "1984"]


def test_the_reference_table_loads(reference_data):
    path = reference_data / "clip-vit-b-32" / "nouns.parquet"
    given_table = pq.read_table(path)
    candidates = load_candidate_nouns(path, exclude_offensive=False)
    assert candidates.table["noun"].to_list() == given_table["noun"].to_pylist()
    assert candidates.embeddings.shape == (2185, 512)
    np.testing.assert_allclose(np.linalg.norm(candidates.embeddings, axis=1), 1, atol=1e-6)
    assert load_candidate_nouns(path, exclude_offensive=True).excluded == ("cock",)


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold at least one noun; it holds none"),
        ("# only a comment\n\n", "must hold at least one noun; it holds none"),
        ("dog\n\ncat\n dog\n", r"must not repeat; in .*, line 4 repeats 'dog' of 1\. Correct"),
        ("dog\n" * 9, r"line 2 repeats 'dog' of 1; line 3 .*; line 4 .* and 5 more"),
        ("dog\ncat" + "x" * LONGEST_NOUN, r"must have at most 300 characters; in .*, line 2 has 303\."),
        ("dog\tperro\n", r"must not hold control characters; in .*, line 1 is 'dog\\tperro'"),
        ("dog\ncat\x00s\n", r"must not hold control characters; in .*, line 2 is 'cat\\x00s'"),
        ("dog\nc\u202eat\n", r"must not hold control characters; in .*, line 2"),
        ("kike\nfaggots\n", r"must leave a noun to choose; all of its 2 are offensive"),
    ],
)
def test_faulty_text_files_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_candidate_nouns(write_text(tmp_path / "nouns.txt", text), exclude_offensive=True)


@pytest.mark.parametrize("name", ["nouns.txt", "nouns.csv"])
def test_files_that_are_not_utf8_are_refused(tmp_path, name):
    path = write_text(tmp_path / name, "noun\ncafé\n", "latin-1")
    with pytest.raises(InputError, match=r"must be UTF-8; byte 0xe9 does not fit"):
        load_candidate_nouns(path, exclude_offensive=False)


@pytest.mark.parametrize("name", ["absent.txt", "absent.parquet", "."])
def test_a_missing_file_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"nouns\.source must be wordnet, .*; there is no file"):
        load_candidate_nouns(tmp_path / name, exclude_offensive=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must have one column named noun .*; its columns: none"),
        ("word\ndog\n", r"must have one column named noun .*; its columns: word"),
        ("noun,noun\ndog,cat\n", r"must have one column named noun .*; its columns: noun, noun"),
        ("noun\n", "must hold at least one noun; it holds none"),
        ("id,noun\n1,dog\n2, \n", r"must not be empty; in .*, line 3\."),
        ("noun\ndog\ncat\ndog\n", r"must not repeat; in .*, line 4 repeats 'dog' of 2"),
        ("id,noun\n1,dog\n2\n", r"line 3: a line must have 2 fields; got 1"),
        ('noun\n"dog\n', r"line 2: not valid CSV"),
        ("noun,embedding\ndog,1 2 3\n", r"line 2: embedding must be a JSON list of numbers; got '1 2 3'"),
        ('noun,embedding\ndog,"[[1, 2]]"\n', r"line 2: embedding must be a JSON list of numbers"),
        ("noun,embedding\ndog," + "[" * 100_000 + "\n", r"line 2: embedding must be a JSON list of numbers"),
        ('noun,embedding\ndog,"[""a""]"\n', r"line 2: embedding must be a JSON list of numbers"),
        ('noun,embedding\ndog,"{""a"": 1}"\n', r"line 2: embedding must be a JSON list of numbers"),
        ('noun,embedding\ndog,"[1, 2]"\ncat,[1]\n', r"as wide as the first, 2; line 3 has one of width 1"),
        ('noun,embedding\ndog,"[1, NaN]"\n', r"must be finite"),
    ],
)
def test_faulty_csv_files_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_candidate_nouns(write_text(tmp_path / "nouns.csv", text), exclude_offensive=False)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"word": ["dog"]}, r"must have one column named noun .*; its columns: word"),
        ({"noun": pa.array([], pa.string())}, "must hold at least one noun; it holds none"),
        ({"noun": pa.array([], pa.string()), "embedding": pa.array([], pa.list_(pa.float32()))}, "it holds none"),
        ({"noun": [1, 2]}, "column noun must be text; got int64"),
        ({"noun": ["dog", None]}, r"must not be empty; in .*, row 1\."),
        ({"noun": ["dog", "  "]}, r"must not be empty; in .*, row 1\."),
        ({"noun": ["dog", "cat", "dog"]}, r"row 2 repeats 'dog' of 0"),
        ({"noun": ["dog"], "embedding": ["[1, 2]"]}, "embedding must hold lists of numbers; got string"),
        ({"noun": ["dog"], "embedding": [["1", "2"]]}, "embedding must hold lists of numbers; got list"),
        (
            {"noun": ["a", "b"], "embedding": [[1.0, 2.0], [3.0]]},
            "embedding must have one width; row 0 has 2, row 1 has 1",
        ),
        (
            {"noun": ["a", "b"], "embedding": [[1.0, 2.0], None]},
            "must not be null; 1 of 2 rows are, the first is row 1",
        ),
        ({"noun": ["a", "b"], "embedding": [None, [1.0]]}, "must not be null; 1 of 2 rows are, the first is row 0"),
        ({"noun": ["a"], "embedding": pa.array([[]], pa.list_(pa.float32()))}, "at least one row and one column"),
        ({"noun": ["a", "b"], "embedding": [[1.0, 2.0], [3.0, None]]}, "must be finite; 1 of 2 .* row 1"),
        ({"noun": ["a", "b"], "embedding": [[1.0, 2.0], [3.0, np.inf]]}, "must be finite; 1 of 2 .* row 1"),
        ({"noun": ["a", "b"], "embedding": [[1.0, 2.0], [0.0, 0.0]]}, "must not hold zero vectors; 1 of 2 .* row 1"),
    ],
)
def test_faulty_parquet_files_are_refused(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "nouns.parquet")
    with pytest.raises(InputError, match=message):
        load_candidate_nouns(tmp_path / "nouns.parquet", exclude_offensive=False)


def test_null_vectors_of_fixed_size_are_refused_and_shift_no_row(tmp_path):
    kind = pa.list_(pa.float32(), 2)
    path = write_parquet(tmp_path / "nouns.parquet", ["a", "b", "c"], [[1, 2], None, [3, 4]], kind=kind)
    with pytest.raises(InputError, match="the first is row 1"):
        load_candidate_nouns(path, exclude_offensive=False)


@pytest.mark.parametrize("content", [b"", b"no parquet at all", b"PAR1" + bytes(200) + b"PAR1"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, content):
    (tmp_path / "nouns.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"nouns\.parquet"):
        load_candidate_nouns(tmp_path / "nouns.parquet", exclude_offensive=False)


def test_text_in_parquet_that_is_not_utf8_is_refused(tmp_path):
    words = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"noun": words}), tmp_path / "nouns.parquet")
    with pytest.raises(InputError, match=r"must be a Parquet file; .*UTF8"):
        load_candidate_nouns(tmp_path / "nouns.parquet", exclude_offensive=False)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("nouns.txt", "LARGEST_TEXT_FILE"), ("nouns.csv", "LARGEST_TABLE"), ("nouns.parquet", "LARGEST_TABLE")],
)
def test_files_beyond_the_bound_are_refused_unread(tmp_path, monkeypatch, name, bound):
    write_text(tmp_path / "nouns.txt", "dog\ncat\nhorse\n")
    write_csv(tmp_path / "nouns.csv", ["dog", "cat", "horse"])
    write_parquet(tmp_path / "nouns.parquet", ["dog", "cat", "horse"])
    monkeypatch.setattr(module, bound, 10)
    with pytest.raises(InputError, match="must have at most 10 bytes"):
        load_candidate_nouns(tmp_path / name, exclude_offensive=False)


# Upkeep


def test_the_longest_wordnet_noun_is_within_the_bound():
    assert load_nouns()["noun"].str.len_chars().max() < LONGEST_NOUN


def test_importing_stays_light():
    code = (
        "import sys, tac_pipeline.nouns; print([m for m in ('polars', 'pyarrow', 'nltk', 'torch') if m in sys.modules])"
    )
    root = Path(module.__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
