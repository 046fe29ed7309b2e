"""What a new store takes over from one beside it."""

from pathlib import Path

from tac_pipeline.first_run.beside import store_beside


def test_the_first_store_that_names_an_encoder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("store: a\nimages: {source: x}\n")
    (tmp_path / "b.yaml").write_text("store: b\nencoder: [\n")
    (tmp_path / "c.yaml").write_text(
        "store: c\nencoder: {model: m, pretrained: p, batch_size: 8}\nnouns: {source: n.txt}\n"
    )
    found = store_beside(tmp_path / "new.yaml")
    assert found is not None
    assert (found.path.name, found.encoder, found.nouns) == (
        "c.yaml",
        {"model": "m", "pretrained": "p"},
        {"source": "n.txt"},
    )


def test_there_may_be_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("store: a\nencoder: 3\n")
    assert store_beside(tmp_path / "new.yaml") is None
