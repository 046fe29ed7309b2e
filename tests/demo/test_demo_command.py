"""`tac demo` and `tac draw` as a newcomer uses them."""

from pathlib import Path

import pytest
from small_store import REPOSITORY
from typer.testing import CliRunner, Result

from tac_pipeline.cli import app
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.picture_store import count_pictures
from tac_pipeline.encoders import small
from tac_pipeline.settings.project import load_project


def tac(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def write_settings(folder: Path, source: str = "pictures", labels: str = "folder") -> Path:
    """The demo with only the kinds' own nouns: WordNet's would take too long for a test."""
    (folder / "nouns.txt").write_text("\n".join([*KINDS, "physics", "democracy", "tax return"]) + "\n")
    path = folder / "tac.yaml"
    path.write_text(
        f"store: little\nimages: {{source: {source}, labels: {labels}}}\n"
        f"encoder: {{model: {small.NAME}, pretrained: {small.PRETRAINED}, device: cpu}}\n"
        "nouns: {source: nouns.txt}\nclusters: {count: 10}\nneighbors: {count: 5}\nheads: {epochs: 3}\n"
    )
    return path


def test_the_demo_from_nothing_to_named_groups_and_again(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    first = tac("demo", "-s", path, "--pictures", "100")
    assert first.exit_code == 0, first.output
    assert "100 pictures drawn to" in first.stdout
    assert "set-up: " in first.stdout
    assert "against the labels" in first.stdout and "trained" in first.stdout
    assert "tac report, or tac ui" in first.stdout and "tac init FOLDER" in first.stdout

    again = tac("demo", "-s", path, "--pictures", "100")
    assert again.exit_code == 0
    assert "drawn to" not in again.stdout
    assert "0 computed" in again.stdout

    # More pictures grow the store; the groups stay the learned ones.
    grown = tac("demo", "-s", path, "--pictures", "120")
    assert grown.exit_code == 0
    assert "20 pictures drawn to" in grown.stdout
    assert "20 images to read and encode" in grown.stdout
    assert "cluster_heads" not in grown.stdout


@pytest.mark.parametrize("source,labels", [("s3://bucket/pictures", "folder"), ("pictures", "none")])
def test_settings_that_are_no_demo_are_refused(tmp_path: Path, source: str, labels: str) -> None:
    refused = tac("demo", "-s", write_settings(tmp_path, source, labels))
    assert refused.exit_code == 1
    assert "the demo needs images.source to be a local folder" in refused.stderr
    assert not (tmp_path / "pictures").exists()


def test_damaged_weights_are_told_before_anything_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "weights.sha256"
    wrong.write_text("0" * 64 + "  weights.safetensors\n")
    monkeypatch.setattr(small, "CHECKSUM_FILE", wrong)
    small.require_weights.cache_clear()
    refused = tac("demo", "-s", write_settings(tmp_path))
    assert refused.exit_code == 1
    assert "must have the SHA-256 000000000000..." in refused.stderr
    assert not (tmp_path / "pictures").exists()


def test_nobodys_photographs_are_drawn_among(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").write_bytes(b"mine")
    refused = tac("demo", "-s", write_settings(tmp_path))
    assert refused.exit_code == 1
    assert "must hold only drawn pictures; it holds 'holiday.jpg'" in refused.stderr
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["holiday.jpg"]


def test_a_store_of_any_size_is_drawn(tmp_path: Path) -> None:
    drawn = tac("draw", tmp_path / "new", "--pictures", "7", "--size", "32")
    assert drawn.exit_code == 0, drawn.output
    assert "7 pictures drawn to" in drawn.stdout
    assert count_pictures(tmp_path / "new") == 7


def test_the_settings_as_shipped_are_the_demo() -> None:
    settings = load_project(REPOSITORY / "tac.yaml").settings
    assert (settings.encoder.model, settings.encoder.pretrained) == (small.NAME, small.PRETRAINED)
    assert settings.images.labels == "folder"
    assert settings.clusters.count == len(KINDS)
    assert settings.nouns.source == "wordnet"
