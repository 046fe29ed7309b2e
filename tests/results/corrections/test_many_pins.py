"""The fast way to read pins: it gives what YAML's own reader gives, or leaves the file to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.errors import SettingsError
from tac_pipeline.results.corrections.many_pins import take_pins
from tac_pipeline.results.corrections.written import Corrections, parse_corrections
from tac_pipeline.settings.reading import read_yaml

PLAIN = """\
names: {3: cat}   # a note
pins:  # the photographs
  a/1.jpg: 3
  "b c: d.jpg": 0

  # and these
  'no': 12
  it's (2).jpeg : 7
merge: [[3, 9]]
"""


def test_a_plain_section_is_taken_out_and_lines_keep_their_numbers() -> None:
    text = PLAIN.replace("it's (2).jpeg :", "its (2).jpeg:")
    taken = take_pins(text)
    assert taken is not None
    before, rest, pins = taken
    assert pins == {"a/1.jpg": 3, "b c: d.jpg": 0, "no": 12, "its (2).jpeg": 7}
    assert before == "names: {3: cat}   # a note"
    assert rest.count("\n") == text.count("\n")
    assert parse_corrections(text, name="c") == Corrections(names={3: "cat"}, merge=[[3, 9]], pins=pins)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,  # an apostrophe, a space before the colon
        "names: {1: a}\n",
        "pins: {a.jpg: 1}\n",
        "pins:\n",
        "pins:\n  no: 1\n",
        "pins:\n  12: 1\n",
        "pins:\n  1.5: 1\n",
        "pins:\n  2001-12-14: 1\n",
        "pins:\n  a.jpg: 01\n",
        "pins:\n  a.jpg: 1.0\n",
        "pins:\n  a.jpg: -1\n",
        "pins:\n  a.jpg: &x 1\n",
        "pins:\n  a.jpg: 1 # why\n",
        "pins:\n  a.jpg: 1\n  a.jpg: 2\n",
        "pins:\n  a.jpg: 1\n   b.jpg: 2\n",
        "pins:\n  a.jpg: 1\npins:\n  b.jpg: 2\n",
        'pins:\n  "a\\tb.jpg": 1\n',
        "pins:\n\ta.jpg: 1\n",
        f"pins:\n  {'a' * 1001}.jpg: 1\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_left_to_yaml(text: str) -> None:
    assert take_pins(text) is None


@pytest.mark.parametrize(
    "text",
    [
        'names: {1: "a\npins:\n  a.jpg: 1\nb"}\n',
        "names:\n  1: |\n   cat\npins:\n  a.jpg: 1\n---\npins: {}\n",
        "names: {1: cat\npins:\n  a.jpg: 1\n}\n",
        "pins:\n  a.jpg: 9999999999\n",
        "nouns: {}\npins:\n  a.jpg: 1\n",
        '"pins": {}\npins:\n  a.jpg: 1\n',
        "- 1\npins:\n  a.jpg: 1\n",
    ],
)
def test_a_text_that_only_looks_like_a_section_is_read_as_yaml_reads_it(text: str) -> None:
    assert take_pins(text) is not None
    try:
        expected = Corrections.model_validate(read_yaml(text, name="c")[1])
    except (SettingsError, ValueError):
        with pytest.raises(SettingsError):
            parse_corrections(text, name="c")
    else:
        assert parse_corrections(text, name="c") == expected


KEYS = st.text(st.sampled_from("ab1é/._- :#'\"\\,[]{}&*!|>%@~?=()"), min_size=1, max_size=8)


@given(st.dictionaries(KEYS, st.integers(0, 20), max_size=4), st.sampled_from(["{}", "'{}'", '"{}"']))
def test_both_ways_read_the_same_pins(pins: dict[str, int], quoted: str) -> None:
    text = "pins:\n" + "".join(f"  {quoted.format(key)}: {id_}\n" for key, id_ in pins.items())
    taken = take_pins(text)
    if taken is not None:
        assert read_yaml(text, name="c")[1] == {"pins": taken[2]}


def test_twenty_thousand_pins_are_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def read(text: str, *, name: str) -> tuple[None, None]:
        lengths.append(len(text.strip()))
        return None, None

    monkeypatch.setattr("tac_pipeline.results.corrections.written.read_yaml", read)
    text = "pins:\n" + "".join(f"  photos/{number:05d}.jpg: 2\n" for number in range(20_000))
    assert len(parse_corrections(text, name="c").pins) == 20_000
    assert lengths == [0, 0], "YAML's own reader gets none of it"
