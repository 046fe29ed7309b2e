"""Records say whether their text is what was written; files too, by their names or in a record."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.store.digests import (
    damage_of,
    describe_files,
    digest_name,
    file_problem,
    name_problem,
    parse_sealed,
    seal,
    write_sealed,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_sealed_record_is_read_as_it_was_written(record: dict[str, object]) -> None:
    sealed = seal(record)
    assert parse_sealed(json.dumps(sealed, indent=1, ensure_ascii=False).encode()) == sealed


def test_keys_and_tuples_are_sealed_as_json_has_them() -> None:
    assert seal({"sizes": {10: (1, 2), 9: 3}}) == seal({"sizes": {"9": 3, "10": [1, 2]}})


@pytest.mark.parametrize("place", range(4, 60, 7))
def test_no_changed_byte_of_a_record_is_taken(tmp_path: Path, place: int) -> None:
    write_sealed(tmp_path / "r.json", {"recipe": "0123456789", "count": 12, "names": ["a", "b"]}, indent=None)
    data = bytearray((tmp_path / "r.json").read_bytes())
    data[place] = ord("7") if data[place] != ord("7") else ord("8")
    with pytest.raises(ValueError, match=r"."):
        parse_sealed(bytes(data))


@pytest.mark.parametrize("text", ["[]", "1", '"text"', "null"])
def test_a_record_is_an_object(text: str) -> None:
    with pytest.raises(ValueError, match="must be a JSON object"):
        parse_sealed(text.encode())


def test_a_file_is_compared_with_its_name_and_with_a_record(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("text")
    named = path.rename(tmp_path / digest_name(path, suffix=".parquet"))
    wanted = describe_files([named])
    assert name_problem(named) is None
    assert file_problem(named, wanted[named.name]) is None
    assert damage_of(tmp_path, wanted) is None
    named.write_text("TEXT")
    assert "has other bytes" in (name_problem(named) or "")
    assert "has other bytes" in (file_problem(named, wanted[named.name]) or "")
    assert damage_of(tmp_path, wanted) is None, "sizes alone are compared"
    named.write_text("longer text")
    assert "must have 4 bytes; it has 11" in (damage_of(tmp_path, wanted) or "")
    named.unlink()
    assert "is gone" in (damage_of(tmp_path, wanted) or "")
    assert name_problem(tmp_path / "0123456789abcdef.parquet") is None, "a name from before says nothing"
