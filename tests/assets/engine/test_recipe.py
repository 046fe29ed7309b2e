"""The recipe and the version of every asset, for some settings files, against a snapshot.

A change of structure must not change any of them, so that users' results are used again. A change of method or
settings changes some of them on purpose; the snapshot is then written again, and the diff shows which:

    TAC_UPDATE_SNAPSHOTS=1 python -m pytest tests/assets/engine/test_recipe.py

Contents of inputs and digests of files differ from machine to machine, so names take their place here.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets_helpers import materialize

from assets.graph import STEPS
from tac_pipeline.digest import digest
from tac_pipeline.settings.project import load_project

SNAPSHOT = Path(__file__).parent / "recipes.json"
# Values that tell one file from another.
OF_FILES = ("listing", "given", "source", "wordnet", "encoder", "column")

FILES: dict[str, dict[str, Any]] = {
    "robust": {},
    "published": {"method": "published", "heads.epochs": None, "neighbors.count": None, "seed": 3},
    "trained": {"method": "trained", "heads.epochs": 3, "neighbors.count": 5, "seed": 0},
    "found": {
        "method": "robust",
        "seed": 0,
        "clusters.count": "auto",
        "clusters.max": 6,
        "heads.members": None,
        "heads.epochs": None,
        "blend.text_weight": 0.5,
        "images.labels": "none",
        "training_set.max_images": 50,
    },
    "by words": {
        "clusters.count": 3,
        "blend.text_weight": None,
        "images.labels": "column",
        "training_set.max_images": 200_000,
        "group_by": ["red thing 0", "green thing 1", "blue thing 2"],
    },
}


def test_recipes_and_versions_are_those_of_the_snapshot(vector_store: Callable[..., Path]) -> None:
    found = {name: described(vector_store({**FILES[name], "store": name.replace(" ", "-")})) for name in FILES}
    if os.environ.get("TAC_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_another_code_tag_would_be_seen(vector_store: Callable[..., Path]) -> None:
    path = vector_store()
    outcome = materialize(path)["training_set"]
    assert symbolic_recipe("training_set", "1", outcome.artifact.record) != symbolic_recipe(
        "training_set", "2", outcome.artifact.record
    )


def described(settings_path: Path) -> dict[str, dict[str, str]]:
    """The version of every asset, and its recipe with names for contents and files."""
    settings = load_project(settings_path).settings
    made = materialize(settings_path)
    return {
        step.name: {
            "version": step.version(settings),
            "recipe": symbolic_recipe(step.name, step.code_version, made[step.name].artifact.record),
        }
        for step in STEPS
    }


def symbolic_recipe(name: str, code: str, record: dict[str, Any]) -> str:
    """A recipe as the engine makes it, with the names of the inputs for their contents."""
    values = {key: key if key in OF_FILES and value else value for key, value in record["values"].items()}
    return digest([name, code, values, {asset: asset for asset in record["inputs"]}])
