"""The shared table of prompted nouns: what is read is what was added, whatever else happens to its folder."""

from pathlib import Path

import numpy as np
import pytest

from tac_pipeline.store.prompted_nouns import ANY, MANY_FILES, NounMeans, PromptedNouns

DIM = 8


def table(home: Path, templates: tuple[str, ...] = ("a {}", "the {}"), encoder: str = "one") -> PromptedNouns:
    return PromptedNouns(home, encoder=encoder, templates=templates, dim=DIM)


def means(seed: int, *prompts: int) -> NounMeans:
    rows = np.random.default_rng(seed).normal(size=(len(prompts), DIM)).astype(np.float32)
    return NounMeans(np.array(prompts), 5 * rows)


def test_what_is_read_is_what_was_added(tmp_path: Path) -> None:
    known, added = table(tmp_path), means(0, 1, 2)
    assert not known
    known.append(["dog", "cat"], added)
    assert known
    found = known.read(["cow", "cat", "dog"], most=2)
    np.testing.assert_array_equal(found.prompts, [0, 2, 1])
    np.testing.assert_array_equal(found.means[0], 0)
    np.testing.assert_allclose(found.means[1:], added.means[::-1], rtol=2e-3, atol=2e-3)


def test_more_prompts_take_the_place_of_fewer_unless_fewer_are_asked_for(tmp_path: Path) -> None:
    known, first, second = table(tmp_path), means(1, 1), means(2, 2)
    known.append(["dog"], second)
    known.append(["dog"], first)
    np.testing.assert_allclose(known.read(["dog"], most=2).means, second.means, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(known.read(["dog"], most=1).means, first.means, rtol=2e-3, atol=2e-3)


def test_one_vector_can_serve_for_any_number_of_templates(tmp_path: Path) -> None:
    known, whole = table(tmp_path), means(1, ANY)
    known.append(["dog"], whole)
    for most in (1, 2):
        found = known.read(["dog"], most=most)
        assert found.prompts.tolist() == [most]
        np.testing.assert_allclose(found.means, whole.means, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("other", [{"encoder": "two"}, {"templates": ("a {}",)}, {"templates": ("the {}", "a {}")}])
def test_another_encoder_or_other_templates_share_nothing(tmp_path: Path, other: dict) -> None:
    table(tmp_path).append(["dog"], means(0, 2))
    assert table(tmp_path, **other).read(["dog"], most=2).prompts.tolist() == [0]


def test_many_files_become_one_that_says_the_same(tmp_path: Path) -> None:
    known = table(tmp_path)
    for number in range(MANY_FILES):
        known.append(["dog", f"noun {number}"], means(number, 1 + number % 2, 2))
    asked = ["dog", *(f"noun {number}" for number in range(MANY_FILES))]
    before = known.read(asked, most=2)
    known.join_files()
    assert len(list(known.folder.glob("*.parquet"))) == 2
    after = known.read(asked, most=2)
    np.testing.assert_array_equal(after.prompts, before.prompts)
    np.testing.assert_allclose(after.means, before.means, rtol=2e-3, atol=2e-3)


def test_a_damaged_file_counts_as_absent(tmp_path: Path) -> None:
    known = table(tmp_path)
    known.append(["dog"], means(0, 2))
    [path] = known.folder.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    known.append(["cat"], means(1, 2))
    assert known.read(["dog", "cat"], most=2).prompts.tolist() == [0, 2]


def test_files_that_another_process_joins_meanwhile_are_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, index = table(tmp_path), PromptedNouns._index
    for number in range(MANY_FILES):
        known.append([f"noun {number}"], means(number, 2))
    looks = []

    def index_then_join(self: PromptedNouns):
        rows = index(self)
        if not looks:
            looks.append(True)
            table(tmp_path).join_files()
        return rows

    monkeypatch.setattr(PromptedNouns, "_index", index_then_join)
    assert known.read(["noun 3"], most=2).prompts.tolist() == [2]


def test_a_file_with_other_vectors_counts_as_absent_and_its_nouns_are_added_again(tmp_path: Path) -> None:
    known, added = table(tmp_path), means(0, 2, 2)
    path = known.append(["dog", "cat"], added)
    assert path is not None
    data = path.read_bytes()
    place = data.find(b"dog") + 200  # in the vectors
    path.write_bytes(data[:place] + bytes(8) + data[place + 8 :])
    np.testing.assert_array_equal(known.read(["dog", "cat"], most=2).prompts, [0, 0])
    again = means(1, 2)
    known.append(["dog"], again)
    found = known.read(["cat", "dog"], most=2)
    np.testing.assert_array_equal(found.prompts, [0, 2])
    np.testing.assert_allclose(found.means[1:], again.means, rtol=2e-3, atol=2e-3)


def test_joining_files_with_a_damaged_one_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tac_pipeline.store.prompted_nouns.MANY_FILES", 3)
    known = table(tmp_path)
    paths = [known.append([f"noun {number}"], means(number, 2)) for number in range(3)]
    assert paths[0] is not None
    data = paths[0].read_bytes()
    paths[0].write_bytes(data[:200] + bytes(8) + data[208:])
    known.join_files()
    np.testing.assert_array_equal(known.read([f"noun {number}" for number in range(3)], most=2).prompts, [0, 2, 2])
    assert len(list(known.folder.iterdir())) == 1
