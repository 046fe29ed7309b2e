"""The nouns that are encoded in all templates: which ones, how often, and who shares them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from assets_helpers import computed, materialize
from colored_store import colored_store  # noqa: F401 - fixture
from ruamel.yaml import YAML

from assets.engine.execute import open_store
from assets.lookups.status import State, all_status
from tac_pipeline.digest import digest
from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.parquet import write_table
from tac_pipeline.store.schemas import NOUN_EMBEDDINGS

pytestmark = pytest.mark.filterwarnings("ignore::tac_pipeline.errors.TacWarning")

WORDS = [f"{color} {thing}" for color in ("red", "green", "blue", "dark", "light") for thing in ("dog", "key", "hat")]
UP_TO_SHORTLIST = [
    "image_manifest",
    "image_embeddings",
    "training_set",
    "cluster_count",
    "semantic_centers",
    "candidate_nouns",
    "noun_embeddings",
    "noun_shortlist",
]


def edit(path: Path, key: str, value: Any) -> Path:
    """Set a dotted key."""
    tree = YAML(typ="safe").load(path.read_text())
    *sections, name = key.split(".")
    place = tree
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    with path.open("w") as file:
        YAML().dump(tree, file)
    return path


@pytest.fixture
def nouns(store: Path) -> Path:
    """The store with fifteen nouns, of which one around each of three centers are shortlisted."""
    (store.parent / "nouns.txt").write_text("\n".join(WORDS))
    edit(store, "nouns.templates", list(PUBLISHED_TEMPLATES))
    edit(store, "vocabulary.nouns_per_center", 1)
    edit(store, "semantic_centers.count", 3)
    return edit(store, "vocabulary.shortlist", 1)


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Every (noun, template) that is encoded."""
    plain, heard = OpenClipEncoder.average_prompts, []

    def counted(self: OpenClipEncoder, words: Sequence[str], *, templates: Sequence[str], **options: Any) -> np.ndarray:
        heard.extend((word, template) for word in words for template in templates)
        return plain(self, words, templates=templates, **options)

    monkeypatch.setattr(OpenClipEncoder, "average_prompts", counted)
    yield heard


def shortlist(path: Path) -> set[str]:
    artifact = open_store(load_project(path)).require_current("noun_shortlist").artifact
    return set(pl.read_parquet(artifact.file("noun_shortlist.parquet"))["noun"])


def in_all_templates(prompts: list[tuple[str, str]]) -> set[str]:
    return {noun for noun in WORDS if all((noun, template) in prompts for template in PUBLISHED_TEMPLATES)}


def test_every_noun_is_encoded_once_and_few_in_all_templates(nouns: Path, prompts: list) -> None:
    materialize(nouns, UP_TO_SHORTLIST)
    assert len(prompts) == len(set(prompts))
    assert {noun for noun, template in prompts if template == "a photo of a {}"} == set(WORDS)
    assert 1 <= len(shortlist(nouns)) <= 3
    assert in_all_templates(prompts) == shortlist(nouns)


def test_an_edit_marks_the_shortlist_and_never_the_shared_nouns(nouns: Path, prompts: list) -> None:
    materialize(nouns, UP_TO_SHORTLIST)
    for key, value in [
        ("semantic_centers.count", 4),
        ("clusters.count", 2),
        ("nouns.templates", ["a {}"]),
        ("vocabulary.shortlist", 2),
        ("method", "published"),
    ]:
        before = YAML(typ="safe").load(nouns.read_text())
        states = {entry.step.name: entry.state for entry in all_status(load_project(edit(nouns, key, value)))}
        assert states["noun_shortlist"] is not State.FRESH, key
        assert states["noun_embeddings"] is State.FRESH, key
        with nouns.open("w") as file:
            YAML().dump(before, file)
    # The nouns themselves mark both.
    (nouns.parent / "nouns.txt").write_text("\n".join([*WORDS, "wheel"]))
    prompts.clear()
    assert {"noun_embeddings", "noun_shortlist"} <= computed(materialize(nouns, UP_TO_SHORTLIST))
    assert [noun for noun, template in prompts if template == "a photo of a {}"] == ["wheel"]


def test_another_k_pays_only_for_nouns_never_seen_and_the_way_back_for_none(nouns: Path, prompts: list) -> None:
    materialize(nouns, UP_TO_SHORTLIST)
    before = shortlist(nouns)
    seen = set(prompts)
    materialize(edit(nouns, "semantic_centers.count", 6), UP_TO_SHORTLIST)
    assert not seen.intersection(prompts[len(seen) :])
    prompts.clear()
    assert computed(materialize(edit(nouns, "semantic_centers.count", 3), UP_TO_SHORTLIST)) == set()
    assert (shortlist(nouns), prompts) == (before, [])


def test_a_second_store_of_the_same_images_encodes_no_noun(nouns: Path, prompts: list) -> None:
    materialize(nouns, UP_TO_SHORTLIST)
    tree = {**YAML(typ="safe").load(nouns.read_text()), "store": "second"}
    other = nouns.with_name("second.yaml")
    with other.open("w") as file:
        YAML().dump(tree, file)
    prompts.clear()
    materialize(other, UP_TO_SHORTLIST)
    assert prompts == []
    assert shortlist(other) == shortlist(nouns)


def test_the_published_method_hears_every_noun_in_full(nouns: Path, prompts: list) -> None:
    edit(edit(nouns, "vocabulary.shortlist", None), "method", "published")
    materialize(nouns, UP_TO_SHORTLIST)
    assert shortlist(nouns) == in_all_templates(prompts) == set(WORDS)


def test_nouns_that_an_older_version_encoded_in_all_templates_are_not_encoded_again(nouns: Path, prompts: list) -> None:
    materialize(nouns, ["candidate_nouns"])
    project, vectors = load_project(nouns), np.eye(32, dtype=np.float32)[: len(WORDS)]
    from assets.images import encoder_name

    made_of = {"encoder": encoder_name(project), "templates": list(PUBLISHED_TEMPLATES)}
    kept = open_store(project)
    with kept.scratch("noun_embeddings", shared=True) as folder:
        write_table(
            folder / "noun_embeddings.parquet",
            NOUN_EMBEDDINGS,
            {"noun": WORDS, "embedding": vectors},
            encoder=made_of["encoder"],
        )
        record = {
            "content": "of before",
            "links": {},
            "values": made_of,
            "inputs": {},
            "facts": {},
            "rows": 15,
            "notes": {},
        }
        kept.commit("noun_embeddings", digest("of before"), folder, record | {"rows": 15}, shared=True)
    # The older version is not kept beside the new one.
    edit(nouns, "keep_versions", 1)
    materialize(nouns, UP_TO_SHORTLIST)
    assert {template for _, template in prompts} == {"a photo of a {}"}
    artifact = kept.require_current("noun_shortlist").artifact
    found = pl.read_parquet(artifact.file("noun_shortlist.parquet"))
    for noun, vector in found.iter_rows():
        np.testing.assert_allclose(vector, vectors[WORDS.index(noun)], atol=1e-3)
