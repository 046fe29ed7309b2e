"""Every fenced block of the documentation works: commands are typed, Python runs, settings are read.

tests/support/doc_blocks.py says how a page marks what cannot run here. The decisions are left out: they are history,
and show what was true in their time.
"""

import re
import shlex
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import polars as pl
import pytest
from colored_store import MODEL, NOUNS
from doc_blocks import NOT_RUN, blocks_of, missing_lines
from doc_reader import Reader, has_options
from made_versions import publish
from ready_store import ready
from reference import scattered_groups
from small_store import REPOSITORY

from tac_pipeline.cli import starting
from tac_pipeline.demo.picture_store import draw_store
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.bringing import bring
from tac_pipeline.store.publishing.places import open_place

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
PAGES += [page for page in sorted((REPOSITORY / "docs").rglob("*.md")) if "decisions" not in page.parts]
WITH_BLOCKS = [page for page in PAGES if blocks_of(page)]
# As many blocks as cannot run in a test. A new one is a decision: raise the number with it.
MOST_NOT_RUN = 31


@pytest.fixture
def drawn_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newcomer has, in little: some pictures, few nouns, and tiny towers with random weights by default."""
    draw_store(tmp_path / "Pictures", 60, size=96, workers=1)
    with next((tmp_path / "Pictures").rglob("*.jpg")).open("ab") as file:
        file.write(bytes(1_000_000))  # What is behind a picture's end is not read; megabytes are told from one on.
    (tmp_path / "nouns.txt").write_text("\n".join(NOUNS), encoding="utf-8")
    name = "ViT-B-32-quickgelu"
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, {**MODEL, "quick_gelu": True})
    of_page = starting.encoder_keys

    def encoder_keys(model: str | None, pretrained: str | None, preset: str | None) -> dict[str, str]:
        return of_page(model, pretrained, preset) if model else {"model": name, "pretrained": "random"}

    monkeypatch.setattr(starting, "encoder_keys", encoder_keys)


@pytest.fixture
def published_store(tmp_path: Path, vector_store: Callable[..., Path]) -> None:
    """A small store that was run and published."""
    ready(vector_store())
    (tmp_path / "data" / "photos").symlink_to("small")


@pytest.fixture
def damaged_store(tmp_path: Path, published_store: None) -> None:
    """The same, with a shard of vectors that has other bytes than were written, and a place for backups."""
    shard = next((tmp_path / "data" / "small" / "shards").rglob("*.parquet"))
    shard.chmod(0o644)
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    (tmp_path / "backups").mkdir()


@pytest.fixture
def labeled_table(tmp_path: Path) -> None:
    """Vectors of ten dishes with labels and a split, and nouns of which the dishes are some."""
    dishes = ["apple pie", "french fries", "guacamole", "hamburger", "ice cream", "omelette", "paella", "pizza"]
    dishes += ["sushi", "tacos"]
    folder = tmp_path / "vectors"
    folder.mkdir()
    nouns = [word for dish in dishes for word in (dish, f"kind of {dish}")]
    pl.DataFrame({"noun": nouns, "embedding": scattered_groups(10, 2)}).write_parquet(folder / "nouns.parquet")
    rows = scattered_groups(10, 8, seed=0)
    table = {"label": np.repeat(np.arange(10), 8), "split": ["train", "test"] * 40, "embedding": rows}
    pl.DataFrame(table).write_parquet(folder / "food10.parquet")


@pytest.fixture
def real_vectors(tmp_path: Path, reference_data: Path) -> None:
    """CLIP's vectors of 2,000 photographs and of nouns, without which the page's figures cannot be compared."""
    for name, own in (("food10", "vectors"), ("nouns", "nouns")):
        (tmp_path / f"{own}.parquet").symlink_to(reference_data / "clip-vit-b-32" / f"{name}.parquet")


@pytest.fixture
def bucket_of_readers(tmp_path: Path, s3: Any) -> None:
    """A bucket with a published version of a store called photos."""
    s3.mkdir("bucket")
    publication = Publication(tmp_path / "published")
    publish(publication, {"a.jpg": 0, "b.jpg": 1})
    place = open_place("s3://bucket/groups/photos", options={}, timeout=60)
    bring(publication, place, keep=5, grace=0.0, now=1.0)


# What a page takes for granted, as a fixture.
PREPARED = {
    "README.md": "drawn_pictures",
    "tutorial.md": "drawn_pictures",
    "keep-a-store-for-years.md": "damaged_store",
    "publish-elsewhere.md": "bucket_of_readers",
    "published-tables.md": "published_store",
    "serve-several-stores.md": "drawn_pictures",
    "compare-methods.md": "labeled_table",
    "use-dagsters-commands.md": "published_store",
    "use-given-vectors.md": "real_vectors",
    "use-it-in-python.md": "published_store",
}


@pytest.fixture
def names() -> dict[str, Any]:
    """What the Python of a page takes for given: vectors of images in ten groups, and of nouns near them."""
    return {
        "image_embeddings": scattered_groups(10, 12),
        "new_image_embeddings": scattered_groups(10, 1),
        "nouns": [f"noun {number}" for number in range(40)],
        "noun_embeddings": scattered_groups(10, 4),
    }


def reader_of(page: Path, folder: Path, names: dict[str, Any]) -> Reader:
    """A reader for whom the page's places are in a folder of ours."""
    places = {"/backups": str(folder / "backups"), "/home/me": str(folder), "/data/photos": str(folder / "data/small")}
    return Reader(page, folder, names, places, {"AMD EPYC": ".+"})


@pytest.mark.filterwarnings("ignore:the weights of .* are random")
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.name)
def test_every_block_of_a_page_works(
    page: Path, tmp_path: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if page.name in PREPARED:
        request.getfixturevalue(PREPARED[page.name])
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.chdir(tmp_path)
    reader_of(page, tmp_path, names).read()


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    not_run = [block for page in WITH_BLOCKS for block in blocks_of(page) if block.kind == NOT_RUN]
    assert len(not_run) <= MOST_NOT_RUN, [(block.place, block.told) for block in not_run]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_have_the_options_that_it_names(page: Path) -> None:
    inline = re.findall(r"`(tac [^`\n]+)`", page.read_text(encoding="utf-8"))
    assert [command for command in inline if not has_options(shlex.split(command))] == []


def test_an_option_that_is_gone_would_be_found() -> None:
    assert has_options(["tac", "export", "DEST"])
    assert not has_options(["tac", "export", "DEST", "--formats", "csv"])
    assert not has_options(["tac", "exports", "DEST"])


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ("```console\n$ tac status --jsonn\n```", "No such option"),
        ("```console\n$ rm -rf data\n```", "runs in no test; mark the block"),
        ("```console\n$ pip install 'tac-pipeline[cpus]'\n```", "runs in no test; mark the block"),
        ("```console\n$ make demos\n```", "runs in no test; mark the block"),
        ("<!-- not run: x -->\n```console\n$ tac ui --prot 0\n```", "No such option"),
        ("<!-- not run: x -->\n```python\nfor\n```", "invalid syntax"),
        ("```console\n$ tac path --help\nUsage of old\n```", "did not print ['Usage of old']"),
        ("```python\nimage_embedding.shape\n```", "name 'image_embedding' is not defined"),
        ("```yaml\nclusters: {cuont: 6}\n```", "clusters.cuont"),
        ("```toml\na b\n```", "after a key"),
        ("```ruby\nputs 1\n```", "no test knows the language 'ruby'"),
        ("```\nwhat is this\n```", "no test knows the language ''"),
        ("```text\nwhat is this\n```", "say in a comment where this text comes from"),
        ("<!-- part of: README.md -->\n```text\nno such line\n```", "is not part of a block of README.md"),
        ("<!-- file: known.csv -->\n```text\nimage,class\n```", "image_id"),
        ("```python\n1", "a fence without an end"),
    ],
)
def test_a_block_that_does_not_work_is_found(
    block: str, sentence: str, tmp_path: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{block}\n", encoding="utf-8")
    with pytest.raises(Exception) as found:
        reader_of(page, tmp_path, names).read()
    assert sentence in str(found.value)


def test_what_a_page_shows_is_compared_but_for_figures() -> None:
    shown = ["18 files (2.4 MB) are in a.tar", "images  7.5 s  300, 40 a second", "...", "at e8e6.../x: ..."]
    printed = "first\n3 files (0.1 MB) are in a.tar\nimages      4 min   5, 1,022 a second\nat 00ff1/x: gone\nlast"
    assert missing_lines(shown, printed, {}) == []
    assert missing_lines(["first", "3 files (0.1 MB) in a.tar", "last"], printed, {}) == ["3 files (0.1 MB) in a.tar"]
    assert missing_lines(["last", "first"], printed, {}) == ["first"]
    assert missing_lines(["on 2 cores of Zen"], "on 16 cores of AVX-512 one", {"Zen": ".+"}) == []
