"""The packaged tables are WordNet 3.0's nouns, all of them."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest
from plain_wordnet import read_plainly

from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.wordnet import load_nouns, load_senses, load_synsets, packaged_wordnet_version, tables, version


def wordnet_database():
    for folder in (os.environ.get("WORDNET_DICT"), "/usr/share/wordnet"):
        if folder and (Path(folder) / "data.noun").is_file():
            return Path(folder)
    pytest.skip("no WordNet database at $WORDNET_DICT or /usr/share/wordnet (Debian: apt-get install wordnet-base)")


def test_the_tables_agree_with_a_real_database():
    senses, synsets = read_plainly(wordnet_database())
    assert load_senses().drop("key").to_dicts() == senses
    assert load_synsets().to_dicts() == synsets


def test_counts_are_those_that_wordnet_publishes():
    senses = load_senses()
    assert load_nouns().height == senses["key"].n_unique() == 117_798
    assert load_synsets().height == senses["synset"].n_unique() == 82_115
    assert senses.select("key", "synset").n_unique() == 146_312


def test_ranks_of_a_noun_run_from_one_without_gaps():
    ranks = load_senses().group_by("key").agg(pl.col("rank").unique().sort())
    wanted = ranks.select(pl.int_ranges(1, pl.col("rank").list.len() + 1, dtype=pl.UInt8)).to_series()
    assert (ranks["rank"] == wanted).all()


def test_every_hypernym_and_every_sense_has_its_synset():
    synsets = load_synsets()
    known = set(synsets["synset"])
    above = set(synsets["hypernyms"].explode().drop_nulls()) | set(synsets["instance_hypernyms"].explode().drop_nulls())
    assert above <= known
    assert set(load_senses()["synset"]) == known


def test_all_but_entity_stand_below_another():
    roots = load_synsets().filter(
        (pl.col("hypernyms").list.len() == 0) & (pl.col("instance_hypernyms").list.len() == 0)
    )
    assert roots["synset"].to_list() == ["entity.n.01"]


def test_nouns_are_unique_written_plainly_and_sorted():
    nouns = load_nouns()
    assert nouns["noun"].n_unique() == nouns.height
    assert nouns["key"].to_list() == sorted(nouns["noun"].str.to_lowercase())
    assert nouns["noun"].str.contains(r"^[!-~]+( [!-~]+)*$").all()
    assert not nouns["noun"].str.contains("_").any()


def test_a_noun_stands_for_its_most_frequent_sense_but_for_the_reviewed_ones():
    first = load_senses().filter(pl.col("rank") == 1).unique("key").select("key", first="synset")
    other = load_nouns().join(first, on="key").filter(pl.col("synset") != pl.col("first"))
    assert dict(other.select("key", "synset").iter_rows()) == tables.reviewed_first_senses()


@pytest.mark.parametrize(
    ("key", "noun", "synset", "lexname"),
    [
        ("dog", "dog", "dog.n.01", "noun.animal"),
        ("china", "China", "china.n.01", "noun.location"),
        ("moon", "Moon", "moon.n.01", "noun.object"),
        ("hot dog", "hot dog", "hotdog.n.02", "noun.food"),
        ("great wall of china", "Great Wall of China", "chinese_wall.n.01", "noun.artifact"),
        ("friar's lantern", "friar's lantern", "friar's_lantern.n.01", "noun.phenomenon"),
    ],
)
def test_known_nouns(key, noun, synset, lexname):
    row = load_nouns().row(by_predicate=pl.col("key") == key, named=True)
    assert (row["noun"], row["synset"], row["lexname"]) == (noun, synset, lexname)


def test_tag_counts_and_sense_counts_are_kept():
    row = load_nouns().row(by_predicate=pl.col("key") == "dog", named=True)
    assert (row["tag_count"], row["n_senses"]) == (42, 7)


def test_reviewed_first_senses_are_senses_of_their_nouns():
    senses = set(load_senses().filter(pl.col("rank") > 1).select("key", "synset").iter_rows())
    assert set(tables.reviewed_first_senses().items()) <= senses


def test_a_damaged_table_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "senses.parquet").write_bytes(b"PAR1 cut short")
    monkeypatch.setattr(tables, "SENSES_FILE", tmp_path / "senses.parquet")
    with pytest.raises(ArtifactDamaged, match=r"senses\.parquet must be readable.*Install tac-pipeline again"):
        load_senses.__wrapped__()


def test_the_version_follows_every_list_and_table(monkeypatch, tmp_path):
    read_version = packaged_wordnet_version.__wrapped__
    found = {read_version()}
    monkeypatch.setattr(version, "offensive_nouns", lambda: frozenset({"one"}))
    found.add(read_version())
    monkeypatch.setattr(version, "reviewed_first_senses", lambda: {"taco": "taco.n.01"})
    found.add(read_version())
    (tmp_path / "other").write_bytes(b"other")
    monkeypatch.setattr(version, "SENSES_FILE", tmp_path / "other")
    found.add(read_version())
    monkeypatch.setattr(version, "SYNSETS_FILE", tmp_path / "other")
    found.add(read_version())
    assert len(found) == 5
