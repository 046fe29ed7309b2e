"""The settings file of a new store is a settings file, whatever the folder is called."""

from pathlib import Path

import pytest

from tac_pipeline.first_run.settings_text import settings_text, store_name, written_source
from tac_pipeline.settings.reading import parse_settings


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/home/me/Pictures", "pictures"),
        ("/home/me/My Pictures: 2024/", "my-pictures-2024"),
        ("s3://bucket/Best Of", "best-of"),
        ("/data/shard-000.tar", "shard-000"),
        ("/data/写真", "photos"),
        ("/", "photos"),
        ("/x/" + "a" * 80, "a" * 64),
    ],
)
def test_a_store_is_named_after_its_folder(source: str, name: str) -> None:
    assert store_name(source) == name
    assert parse_settings(settings_text(store=name, source=source, encoder={"model": "x"}), name="x").store == name


@pytest.mark.parametrize("source", ["Pictures", "/odd: # name", "- list", "s3://bucket/a", "true", "don't"])
def test_every_value_is_read_back_as_it_was_given(source: str) -> None:
    text = settings_text(store="a", source=source, encoder={"model": "m: #1", "pretrained": "weights/x.safetensors"})
    read = parse_settings(text, name="tac.yaml")
    assert read.images.source == source
    assert (read.encoder.model, read.encoder.pretrained) == ("m: #1", "weights/x.safetensors")
    assert read.clusters.count == "auto"


def test_a_folder_below_the_settings_file_is_written_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tac.yaml"
    assert written_source("photos/", file) == written_source(str(tmp_path / "photos"), file) == "photos"
    assert written_source("../other", file) == str(tmp_path.parent / "other")
    assert written_source("~/Pictures", file) == str(Path.home() / "Pictures")
    assert written_source("s3://bucket/photos", file) == "s3://bucket/photos"
