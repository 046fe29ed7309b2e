"""The tables are built as the database's own documentation says, and only from a whole WordNet 3.0."""

from __future__ import annotations

import dataclasses

import nltk.data
import pyarrow as pa
import pytest
from plain_wordnet import TINY_SYNSETS, read_plainly, write_tiny_database

from tac_pipeline.errors import InputError
from tac_pipeline.wordnet import build


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "dict").mkdir()
    return write_tiny_database(tmp_path / "dict")


@pytest.fixture
def packaged():
    import pyarrow.parquet as pq

    return build.WordNetTables(*(pq.read_table(path) for path in (build.SENSES_FILE, build.SYNSETS_FILE)))


def test_tables_hold_what_a_plain_reading_finds(tiny):
    tables = build.read_database(tiny)
    senses, synsets = read_plainly(tiny)
    assert tables.senses.to_pylist() == senses
    assert tables.synsets.to_pylist() == synsets


def test_a_sense_keeps_case_rank_count_and_marks(tiny):
    senses = build.read_database(tiny).senses.to_pylist()
    dog, cad = (row for row in senses if row["lemma"] == "dog")
    assert dog == {"lemma": "dog", "synset": "dog.n.01", "rank": 1, "tag_count": 42, "usage_domains": []}
    assert cad == {"lemma": "dog", "synset": "cad.n.01", "rank": 2, "tag_count": 1, "usage_domains": ["slur.n.01"]}
    # The mark of cad.n.01 is on its second lemma, the mark of beast.n.02 on the whole synset.
    marked = [row["lemma"] for row in senses if row["usage_domains"]]
    assert marked == ["dog", "Beast", "beast"]
    assert "domestic dog" in [row["lemma"] for row in senses]


def test_a_synset_keeps_kinds_and_instances_apart(tiny):
    synsets = {row["synset"]: row for row in build.read_database(tiny).synsets.to_pylist()}
    assert synsets["dog.n.01"]["hypernyms"] == ["animal.n.01", "pet.n.01"]
    assert synsets["rex.n.01"]["hypernyms"] == []
    assert synsets["rex.n.01"]["instance_hypernyms"] == ["dog.n.01"]
    assert synsets["entity.n.01"]["lexname"] == "noun.Tops"


def test_progress_counts_synsets_up_to_all(tiny):
    seen = []
    build.read_database(tiny, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(TINY_SYNSETS)) for done in range(1, len(TINY_SYNSETS) + 1)]


def test_two_runs_write_the_same_bytes(tiny, tmp_path):
    for run in ("one", "two"):
        build.write_tables(build.read_database(tiny), tmp_path / run)
    for name in ("senses.parquet", "synsets.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_reading_leaves_nltk_as_it_was(tiny):
    before = list(nltk.data.path)
    build.read_database(tiny)
    assert nltk.data.path == before


def test_a_missing_file_is_named(tiny):
    (tiny / "index.noun").unlink()
    with pytest.raises(InputError, match=r"lacks index\.noun\."):
        build.read_database(tiny)


def test_another_version_is_refused(tiny):
    adjectives = tiny / "data.adj"
    adjectives.write_text(adjectives.read_text().replace("WordNet 3.0", "WordNet 3.1"))
    with pytest.raises(InputError, match=r"must be version 3\.0; .* holds 3\.1"):
        build.read_database(tiny)


def test_lexnames_are_45_with_their_categories():
    lines = [line.split("\t") for line in build.lexnames().splitlines()]
    assert [number for number, _, _ in lines] == [f"{number:02d}" for number in range(45)]
    assert lines[0] == ["00", "adj.all", "3"]
    assert lines[2] == ["02", "adv.all", "4"]
    assert lines[5] == ["05", "noun.animal", "1"]
    assert lines[28] == ["28", "noun.time", "1"]
    assert lines[43] == ["43", "verb.weather", "2"]
    assert lines[44] == ["44", "adj.ppl", "3"]


def test_the_packaged_tables_pass_the_checks(packaged):
    build.check_tables(packaged)


def test_a_part_of_wordnet_is_refused(tiny):
    with pytest.raises(InputError, match=r"'nouns': 117798.*got \{'nouns': 9,"):
        build.check_tables(build.read_database(tiny))


def with_value(table, column, row, value):
    """The table with one cell changed."""
    values = table[column].to_pylist()
    values[row] = value
    position = table.schema.get_field_index(column)
    return table.set_column(position, table.schema.field(column), pa.array(values, table.schema.field(column).type))


@pytest.mark.parametrize(
    ("part", "column", "value", "message"),
    [
        ("synsets", "hypernyms", ["unheard_of.n.01"], "every named synset must be in the table"),
        ("synsets", "instance_hypernyms", ["unheard_of.n.01"], "every named synset must be in the table"),
        ("synsets", "synset", "entity.n.01", "synset names must be unique"),
        ("senses", "usage_domains", ["unheard_of.n.01"], "every named synset must be in the table"),
        ("senses", "rank", 9, "must be ranked 1, 2"),
    ],
)
def test_a_fault_in_the_tables_is_found(tiny, monkeypatch, part, column, value, message):
    whole = build.read_database(tiny)
    nouns = {lemma.lower() for lemma in whole.senses["lemma"].to_pylist()}
    counts = (len(nouns), len(whole.synsets), len(whole.senses) - 1, len(whole.senses))  # one noun in two cases
    for name, count in zip(("N_NOUNS", "N_SYNSETS", "N_SENSES", "N_SENSE_ROWS"), counts, strict=True):
        monkeypatch.setattr(build, name, count)
    build.check_tables(whole)
    damaged = with_value(getattr(whole, part), column, 2, value)
    with pytest.raises(InputError, match=message):
        build.check_tables(dataclasses.replace(whole, **{part: damaged}))
