"""A store of drawn pictures with a small open_clip model of our own config and random weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from ruamel.yaml import YAML

from assets.engine.execute import open_store
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.schemas import IMAGE_EMBEDDINGS

MODEL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
NOUNS = ["dog", "cat", "red square", "sky", "boat", "tree", "lamp", "stone", "river", "chair", "noise", "paper"]


def draw(path: Path, color: tuple[int, int, int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-30, 30, (40, 48, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(name="store")
def colored_store(tmp_path: Path) -> Path:
    """Thirty pictures of three colors in three folders, of which three cannot be read, and their settings."""
    for group, color in enumerate([(220, 30, 30), (30, 200, 40), (40, 50, 220)]):
        for number in range(9):
            draw(tmp_path / "photos" / f"group{group}" / f"{number}.{'png' if number % 2 else 'jpg'}", color, number)
    (tmp_path / "photos/group0/empty.jpg").write_bytes(b"")
    (tmp_path / "photos/group1/text.png").write_bytes(b"<script>alert(1)</script>")
    whole = (tmp_path / "photos/group2/0.jpg").read_bytes()
    (tmp_path / "photos/group2/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    (tmp_path / "nouns.txt").write_text("# what the pictures may show\n" + "\n".join(NOUNS) + "\n")
    settings: dict[str, Any] = {
        "store": "pictures",
        "images": {"source": "photos", "labels": "folder"},
        "encoder": {"model": "model.json", "pretrained": "random", "batch_size": 4},
        "nouns": {"source": "nouns.txt", "templates": ["a photo of a {}.", "a {}"]},
        "clusters": {"count": 3},
        "semantic_centers": {"count": 4},
        "neighbors": {"count": 5},
        "heads": {"epochs": 3},
    }
    with (tmp_path / "tac.yaml").open("w") as file:
        YAML().dump(settings, file)
    return tmp_path / "tac.yaml"


def edit(path: Path, key: str, value: object) -> Path:
    yaml = YAML()
    tree = yaml.load(path.read_text())
    section, _, name = key.partition(".")
    tree[section][name] = value
    with path.open("w") as file:
        yaml.dump(tree, file)
    return path


def view(path: Path) -> pl.DataFrame:
    artifact = open_store(load_project(path)).require_current("image_embeddings").artifact
    return artifact.frame(IMAGE_EMBEDDINGS)
