"""Groupings in the settings file: what they take from the store, what they refuse, and how they are edited."""

from pathlib import Path

import pytest

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.keys import Settings, value_at
from tac_pipeline.settings.project import load_project
from tac_pipeline.settings.reading import parse_settings

LEAST = """\
store: photos
images: {source: pictures}
clusters: {count: 10, min: 3}
group_by: place
corrections: mine.yaml
known: {folder: known}
seed: 4
"""
GROUPINGS = """\
groupings:
  # what it looks like
  style: {group_by: style, clusters: {count: 5}}
  plain:
    method: trained   # with heads
"""


def parsed(groupings: str) -> Settings:
    return parse_settings(f"{LEAST}groupings: {groupings}\n", name="tac.yaml")


def test_a_grouping_has_the_settings_of_the_store_but_for_its_own() -> None:
    settings = parse_settings(LEAST + GROUPINGS, name="tac.yaml")
    style, plain = settings.grouping("style"), settings.grouping("plain")
    assert (style.store, plain.store) == ("photos.style", "photos.plain")
    assert (style.group_by, style.clusters.count, style.clusters.min, style.seed) == ("style", 5, 3, 4)
    assert (plain.method, plain.clusters.count) == ("trained", 10)
    # They speak of the store's own groups.
    assert (plain.group_by, plain.corrections, plain.known.asked) == (None, None, False)
    assert style.groupings == {}
    assert settings.store == "photos"


def test_no_groupings_are_no_groupings() -> None:
    assert parse_settings(LEAST + "groupings:\n", name="tac.yaml").groupings == {}


@pytest.mark.parametrize(
    ("groupings", "sentence"),
    [
        ("3", "must be a section of names"),
        ("{a b: {seed: 1}}", "one is 'a b'"),
        ("{../x: {seed: 1}}", r"one is '\.\./x'"),
        ("{2024: {seed: 1}}", "in quotes where they are numbers; one is 2024"),
        ("{x: {seed: 1}, X: {seed: 2}}", "X is there twice"),
        ("{x: {}}", "must name what differs in x"),
        ("{x: }", "must name what differs in x"),
        ("{x: {cluster: 3}}", r"cannot have cluster in x; did you mean clusters\?"),
        ("{x: {images: {source: y}}}", "cannot have images in x: a grouping can have nouns, .*, seed"),
        ("{x: {groupings: {y: {seed: 1}}}}", "cannot have groupings in x"),
        ("{x: {clusters: {count: 1}}}", r"groupings\.x\.clusters\.count must be >= 2; got 1 \(tac.yaml, line 8\)"),
        ("{x: {clusters: {cuont: 9}}}", r"groupings\.x\.clusters\.cuont is not a settings key; did you mean clusters"),
        ("{x: {clusters: {min: 11, max: 10}}}", r"groupings\.x\.clusters must have min <= max"),
        ("{x: {clusters: 5}}", r"groupings\.x\.clusters must be a section of keys; got 5"),
        ("{x: {group_by: [one]}}", r"groupings\.x\.group_by"),
        ("{x: {method: trained, known: {column: kind}}}", r"groupings\.x\.method must be robust where `known` is set"),
    ],
)
def test_what_a_grouping_cannot_be_is_refused_in_one_sentence(groupings: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        parsed(groupings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("groupings.style.clusters.count", 6, "  style: {group_by: style, clusters: {count: 6}}"),
        ("groupings.style.seed", 9, "  style: {group_by: style, clusters: {count: 5}, seed: 9}"),
        ("groupings.plain.method", "robust", "    method: robust    # with heads"),
        ("groupings.plain.neighbors.count", 7, "    neighbors:\n      count: 7"),
        ("groupings.third.group_by", "color", "  third:\n    group_by: color"),
    ],
)
def test_a_key_of_a_grouping_is_edited_as_a_person_would(tmp_path: Path, key: str, value: object, line: str) -> None:
    path = tmp_path / "tac.yaml"
    path.write_text(LEAST + GROUPINGS, encoding="utf-8")
    [edit] = edit_settings(path, {key: value})
    assert edit.new == value
    text = path.read_text(encoding="utf-8")
    assert line in text
    assert "# what it looks like" in text
    project = load_project(path)
    assert value_at(project.settings, key) == value
    assert project.settings.clusters.count == 10
    assert edit.sentence.startswith(f"{key}: ")


def test_the_value_before_an_edit_may_be_the_stores(tmp_path: Path) -> None:
    path = tmp_path / "tac.yaml"
    path.write_text(LEAST + GROUPINGS, encoding="utf-8")
    [edit] = edit_settings(path, {"groupings.plain.clusters.count": 6})
    assert edit.sentence == "groupings.plain.clusters.count: 10 -> 6"


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("groupings.style.clusters.cuont", r"clusters\.count"),
        ("groupings.style.images.source", "cannot have images in style"),
        ("groupings.style", "is a section|is not a settings key"),
    ],
)
def test_an_edit_that_cannot_be_changes_nothing(tmp_path: Path, key: str, sentence: str) -> None:
    path = tmp_path / "tac.yaml"
    path.write_text(LEAST + GROUPINGS, encoding="utf-8")
    with pytest.raises(SettingsError, match=sentence):
        edit_settings(path, {key: "x"})
    assert path.read_text(encoding="utf-8") == LEAST + GROUPINGS
