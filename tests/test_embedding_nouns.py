"""Nouns to vectors: nothing is encoded twice, and what was encoded before a stop is kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tac_pipeline.arrays import unit_rows
from tac_pipeline.embedding import nouns as embedding_nouns
from tac_pipeline.embedding.nouns import ONE_PROMPT, embed_nouns, seed_from_package
from tac_pipeline.encoders import encoder_fingerprint
from tac_pipeline.encoders.small import nouns as small_nouns
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.store.prompted_nouns import PromptedNouns
from tac_pipeline.wordnet import load_nouns

DIM = 6
TEMPLATES = ("a {}", "the {}", "art of {}")
NOUNS = ["dog", "cat", "sea lion", "steam engine", "key"]


class Tower:
    """A text tower of which every prompt is counted; it may break off."""

    def __init__(self, *, breaks_at: str | None = None) -> None:
        self.prompts: list[str] = []
        self._breaks_at = breaks_at

    def average_prompts(self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int) -> np.ndarray:
        if self._breaks_at in nouns:
            raise KeyboardInterrupt
        self.prompts += [template.format(noun) for noun in nouns for template in templates]
        return np.array([np.mean([self.vector(template.format(noun)) for template in templates], 0) for noun in nouns])

    @staticmethod
    def vector(prompt: str) -> np.ndarray:
        return np.random.default_rng(sum(prompt.encode())).normal(size=DIM).astype(np.float32)


def embed(home: Path, tower: Tower, nouns: Sequence[str] = NOUNS, count: int | None = None, **options) -> np.ndarray:
    known = PromptedNouns(home, encoder="one", templates=TEMPLATES, dim=DIM)
    return embed_nouns(nouns, tower, known, templates=TEMPLATES, count=count, batch_size=4, **options)


def plain(nouns: Sequence[str], count: int = 3) -> np.ndarray:
    return unit_rows(
        np.array([np.mean([Tower.vector(each.format(noun)) for each in TEMPLATES[:count]], axis=0) for noun in nouns])
    )


def test_each_prompt_is_encoded_once_whoever_asks(tmp_path: Path) -> None:
    tower = Tower()
    np.testing.assert_allclose(embed(tmp_path, tower, NOUNS[:3], count=1), plain(NOUNS[:3], 1), atol=1e-5)
    np.testing.assert_allclose(embed(tmp_path, tower), plain(NOUNS), atol=2e-3)
    np.testing.assert_allclose(embed(tmp_path, tower, NOUNS[::-1]), plain(NOUNS[::-1]), atol=2e-3)
    assert sorted(tower.prompts) == sorted(each.format(noun) for noun in NOUNS for each in TEMPLATES)


def test_fewer_prompts_are_not_answered_with_more(tmp_path: Path) -> None:
    embed(tmp_path, Tower())
    np.testing.assert_allclose(embed(tmp_path, Tower(), count=1), plain(NOUNS, 1), atol=2e-3)


def test_what_was_encoded_before_a_stop_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_nouns, "SLICE_NOUNS", 1)
    monkeypatch.setattr(embedding_nouns, "KEPT_NOUNS", 1)
    broken = Tower(breaks_at="steam engine")
    with pytest.raises(KeyboardInterrupt):
        embed(tmp_path, broken)
    after = Tower()
    np.testing.assert_allclose(embed(tmp_path, after), plain(NOUNS), atol=2e-3)
    assert len(broken.prompts) + len(after.prompts) == len(NOUNS) * len(TEMPLATES)


def test_progress_counts_what_is_encoded(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    embed(tmp_path, Tower(), NOUNS[:2])
    embed(tmp_path, Tower(), progress=lambda *now: told.append(now))
    assert told == [(3, 3)]


@pytest.fixture(scope="module")
def small() -> str:
    return encoder_fingerprint("tac-small", "drawn")


@pytest.mark.parametrize("templates", [[ONE_PROMPT], list(PUBLISHED_TEMPLATES)], ids=["one prompt", "published"])
def test_the_packaged_encoder_encodes_no_noun_of_wordnet(tmp_path: Path, small: str, templates: list[str]) -> None:
    known = PromptedNouns(tmp_path, encoder=small, templates=templates, dim=128)
    assert seed_from_package(known, templates=templates)
    nouns = load_nouns()["noun"].to_list()[::500]
    tower = Tower()
    found = embed_nouns(nouns, tower, known, templates=templates, batch_size=4)
    assert tower.prompts == []
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("encoder", "templates"),
    [("another", list(PUBLISHED_TEMPLATES)), (None, ["a {}"]), (None, list(PUBLISHED_TEMPLATES[:6]))],
)
def test_the_packaged_vectors_are_for_one_encoder_and_its_templates(
    tmp_path: Path, small: str, encoder: str | None, templates: list[str]
) -> None:
    known = PromptedNouns(tmp_path, encoder=encoder or small, templates=templates, dim=128)
    assert not seed_from_package(known, templates=templates)
    assert not known


def test_changed_packaged_vectors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: str) -> None:
    changed = tmp_path / "nouns.npz"
    changed.write_bytes(small_nouns.NOUNS_FILE.read_bytes()[:-1])
    monkeypatch.setattr(small_nouns, "NOUNS_FILE", changed)
    with pytest.raises(ArtifactDamaged, match=r"must have the SHA-256 .* Install tac-pipeline again"):
        small_nouns.packaged_noun_vectors(["dog"], encoder=small, templates=PUBLISHED_TEMPLATES)


def test_packaged_noun_vectors_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_nouns, "NOUNS_FILE", tmp_path / "nouns.npz")
    monkeypatch.setattr(small_nouns, "CHECKSUM_FILE", tmp_path / "nouns.sha256")
    words, made_for = [f"noun {number}" for number in range(50)], {"encoder": "one", "templates": ["a {}"]}
    vectors = unit_rows(np.random.default_rng(0).normal(size=(50, 8)))
    small_nouns.write_noun_vectors(vectors, words, **made_for)
    found = small_nouns.packaged_noun_vectors(words, **made_for)
    assert found is not None
    assert (found * vectors).sum(axis=1).min() > 0.999
    assert small_nouns.packaged_noun_vectors(words[1:], **made_for) is None
    monkeypatch.setattr(small_nouns, "STEP", 1e-4)
    with pytest.raises(ValueError, match="make STEP larger"):
        small_nouns.write_noun_vectors(vectors, words, **made_for)
