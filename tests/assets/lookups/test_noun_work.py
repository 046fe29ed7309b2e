"""What a first run encodes of nouns is known before: nothing that is on the disk already."""

from pathlib import Path

from ruamel.yaml import YAML
from small_store import PICTURE_SETTINGS

from assets.lookups.readiness import NounWork, noun_work
from tac_pipeline.settings.project import load_project


def write(folder: Path, **changes: object) -> Path:
    tree = YAML(typ="safe").load(PICTURE_SETTINGS) | changes
    (folder / "nouns.txt").write_text("\n".join(["boat", "cat", "house"]), encoding="utf-8")
    with (folder / "tac.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(tree, file)
    return folder / "tac.yaml"


def test_only_what_no_run_has_encoded_is_work(pictures: Path, tmp_path: Path) -> None:
    assert noun_work(load_project(pictures), images=120) == NounWork([], 0)
    new = noun_work(load_project(write(tmp_path)), images=120)
    assert new.nouns == ["boat", "cat", "house"]
    assert new.prompts >= 3
    every = noun_work(load_project(write(tmp_path, vocabulary={"shortlist": "all"})), images=120)
    templates = len(load_project(tmp_path / "tac.yaml").settings.nouns.templates)
    assert every.prompts == 3 * (1 + templates)
    # The packaged nouns of this encoder.
    packaged = noun_work(load_project(write(tmp_path, nouns={"source": "wordnet"})), images=120)
    assert packaged == NounWork([], 0)
