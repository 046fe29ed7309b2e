"""Setting a key in the text of a YAML file: the value changes, and no other character."""

import difflib

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tac_pipeline.settings.yaml_text import set_key

FILE = """\
# what this is
store: a    # its name
images:
    source: 'x y'     # quoted
    labels: "none"

# the groups
clusters:
    count: 3
    # as many as there are kinds
retrieval: {tau: 0.005, 'other': [1, 2]}  # in braces
nouns:
    templates:
    - "a {}"
    # between
    - 'b {}'  # behind
heads:
    epochs: ~
# the end
"""


def changed_lines(old: str, new: str) -> list[str]:
    """The removed and added lines, as difflib marks them."""
    lines = difflib.ndiff(old.splitlines(keepends=True), new.splitlines(keepends=True))
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("key", "value", "lines"),
    [
        ("clusters.count", 4, ["-     count: 3\n", "+     count: 4\n"]),
        # A comment keeps its column if there is room for the value, else it gets two spaces.
        ("store", "photos", ["- store: a    # its name\n", "+ store: photos  # its name\n"]),
        ("images.source", "z", ["-     source: 'x y'     # quoted\n", "+     source: z         # quoted\n"]),
        ("images.labels", "folder", ['-     labels: "none"\n', "+     labels: folder\n"]),
        ("images.source", "C: #1", ["-     source: 'x y'     # quoted\n", "+     source: 'C: #1'   # quoted\n"]),
        ("heads.epochs", 3, ["-     epochs: ~\n", "+     epochs: 3\n"]),
        ("clusters.count", None, ["-     count: 3\n", "+     count: null\n"]),
        ("heads.learning_rate", 1e-5, ["+     learning_rate: 1e-05\n"]),
        ("schedule.observe", None, ["+ schedule:\n", "+     observe: null\n"]),
        ("seed", 1, ["+ seed: 1\n"]),
        ("nouns.exclude_offensive", False, ["+     exclude_offensive: false\n"]),
    ],
)
def test_only_the_lines_of_a_key_change(key: str, value: object, lines: list[str]) -> None:
    assert changed_lines(FILE, set_key(FILE, key, value)) == lines


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("retrieval.tau", 0.02, "retrieval: {tau: 0.02, 'other': [1, 2]}  # in braces"),
        ("retrieval.new", "a, b", "retrieval: {tau: 0.005, 'other': [1, 2], new: 'a, b'}  # in braces"),
        ("retrieval.other", ["x: y"], "retrieval: {tau: 0.005, 'other': ['x: y']}  # in braces"),
    ],
)
def test_a_section_in_braces_stays_in_braces(key: str, value: object, line: str) -> None:
    assert line in set_key(FILE, key, value).splitlines()


@pytest.mark.parametrize(
    ("text", "key", "new"),
    [
        ("{}", "a.b", "{a: {b: 1}}"),
        ("{x: 1}\n", "a.b", "{x: 1, a: {b: 1}}\n"),
        ("{x: 1, # one\n y: [2]}", "a", "{x: 1, # one\n y: [2], a: 1}"),
        ("a: {}  # none\n", "a.b", "a: {b: 1}  # none\n"),
        ("a: 2", "a", "a: 1"),
        ("a: 2", "b", "a: 2\nb: 1"),
        ("a:\nb: 2\n", "a", "a: 1\nb: 2\n"),
        ("a:    # nothing\nb: 2\n", "a", "a: 1    # nothing\nb: 2\n"),
        ("a: |\n  text\n  more\n\n# next\nb: 2\n", "a", "a: 1\n\n# next\nb: 2\n"),
        ("a: >-\n  text\n\n  more\n", "b", "a: >-\n  text\n\n  more\nb: 1\n"),
        ("a: one\n  two\nb: 2\n", "a", "a: 1\nb: 2\n"),
        ("---\na: 2\n...\n", "b", "---\na: 2\nb: 1\n...\n"),
        ("a:\n      b: 2\n# next\nc: 3\n", "a.d", "a:\n      b: 2\n      d: 1\n# next\nc: 3\n"),
        ("a:\n  b: 2\n  # c: 3\n\n# next\nd: 4\n", "a.e", "a:\n  b: 2\n  # c: 3\n  e: 1\n\n# next\nd: 4\n"),
        ("a:\n  b: 2\n  # c: 3\n\n# last\n", "d.e", "a:\n  b: 2\n  # c: 3\n\n# last\nd:\n  e: 1\n"),
        ("a: 2\r\nb:\r\n  c: 3\r\n", "d.e", "a: 2\r\nb:\r\n  c: 3\r\nd:\r\n  e: 1\r\n"),
        ("a: 2  # é\r\nb: 3\r\n", "a", "a: 1  # é\r\nb: 3\r\n"),
        ("ä: 'ö'\nb: 3\n", "b", "ä: 'ö'\nb: 1\n"),
        # A section that is null: all its keys are commented out, or it says so.
        ("a:\n    # b: 2\n    # c: 3\nd: 4\n", "a.b", "a:\n    # b: 2\n    # c: 3\n    b: 1\nd: 4\n"),
        ("a:   # note\n\n# next\nd:\n    e: 4\n", "a.b", "a:   # note\n    b: 1\n\n# next\nd:\n    e: 4\n"),
        ("a:\n# b: 2\nd: 4\n", "a.b", "a:\n  b: 1\n# b: 2\nd: 4\n"),
        ("a:", "a.b", "a:\n  b: 1"),
        ("a:\r\n  # b: 2\r\n", "a.b", "a:\r\n  # b: 2\r\n  b: 1\r\n"),
        ("a: ~  # none\n", "a.b", "a: {b: 1}  # none\n"),
        ("x:\n  a:\n    # b: 2\n  c: 3\n", "x.a.b", "x:\n  a:\n    # b: 2\n    b: 1\n  c: 3\n"),
        ("a:\n  # b: 2\n", "a.b.c", "a:\n  # b: 2\n  b:\n    c: 1\n"),
        ("{a: null, d: 2}", "a.b", "{a: {b: 1}, d: 2}"),
    ],
)
def test_the_value_lands_where_a_person_would_put_it(text: str, key: str, new: str) -> None:
    assert set_key(text, key, 1) == new


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        (["a {}", "b {}"], []),
        (["a {}", "c {}"], ["-     - 'b {}'  # behind\n", "+     - 'c {}'  # behind\n"]),
        (["x"], ['-     - "a {}"\n', "+     - x\n", "-     - 'b {}'  # behind\n"]),
        (["a {}", "b {}", "c", "d: e"], ["+     - c\n", "+     - 'd: e'\n"]),
    ],
)
def test_a_list_keeps_its_lines_and_the_comments_between_them(values: list[str], lines: list[str]) -> None:
    assert changed_lines(FILE, set_key(FILE, "nouns.templates", values)) == lines


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "null",
        "yes",
        "true",
        "1",
        "0x1",
        "1e-3",
        "1_000",
        ".inf",
        "2024-01-01",
        "12:30",
        "~",
        "- a",
        "? a",
        "!a",
        "&a",
        "*a",
        "%a",
        "@a",
        "`",
        "a: b",
        "a #b",
        "#",
        "a, b",
        "{}",
        "[",
        "'",
        '"',
        "it's",
        "tab\t",
        "line\nbreak",
        "\x85",
        "\u2028",
        "\ufeff",
        "\x00",
        "\x7f",
        "é",
        "😀",
        "C:\\photos\\new",
        "s3://bucket/a b",
        "x" * 2000 + " y" * 2000,
        0.1,
        1e300,
        5e-324,
        -1,
        0,
        True,
        None,
        ["a", None, 1],
        {"a": {"b": "c: d"}},
    ],
)
@pytest.mark.parametrize("text", ["a: 1\n", "{a: 1, b: 2}", "a: 1  # c\nb: 2\n"])
def test_every_value_is_read_back_as_it_was_given(text: str, value: object) -> None:
    read = YAML(typ="safe", pure=True).load(set_key(text, "a", value))
    assert (read["a"], type(read["a"])) == (value, type(value))
    assert read.get("b", 2) == 2


def test_an_outcome_that_is_no_yaml_is_an_error() -> None:
    with pytest.raises(YAMLError, match="undefined alias"):
        set_key("a: &x 1\nb: *x\n", "a", 2)
