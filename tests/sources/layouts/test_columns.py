"""The columns that a source says it has are those that it gives."""

from pathlib import Path

import polars as pl
import pytest

from tac_pipeline.sources import RemoteFolderSource, open_source, open_sources


def test_a_manifest_has_the_columns_of_its_table(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file_name,Category,split\na.jpg,cat,train\nb.jpg,dog,test\n")
    source = open_source(str(tmp_path / "m.csv"))
    assert source.columns() == ("label", "file_name", "Category", "split")
    for column, values in (("label", ["cat", "dog"]), ("split", ["train", "test"])):
        assert source.labels(["a.jpg", "b.jpg"], "column", column=column)["label"].to_list() == values


@pytest.mark.parametrize("name", ["v.parquet", "m.parquet"])
def test_a_parquet_table_has_those_that_are_text(tmp_path: Path, name: str) -> None:
    table = pl.DataFrame({"image_id": ["a", "b"], "uri": ["a.jpg", "b.jpg"], "label": ["x", "y"], "split": ["t", "u"]})
    if name.startswith("v"):
        table = table.with_columns(embedding=pl.Series([[1.0, 0.0], [0.0, 1.0]]))
    table.write_parquet(tmp_path / name)
    source = open_source(str(tmp_path / name))
    assert source.columns() == ("image_id", "uri", "label", "split")
    assert source.labels(["a", "b"], "column", column="split")["label"].to_list() == ["t", "u"]


def test_a_folder_elsewhere_has_none(tmp_path: Path) -> None:
    (tmp_path / "train/ant").mkdir(parents=True)
    (tmp_path / "train/ant/a.jpg").write_bytes(b"a")
    source = open_source(tmp_path.as_uri())
    assert isinstance(source, RemoteFolderSource)
    assert source.columns() == ()
    assert open_sources([tmp_path.as_uri(), str(tmp_path)]).columns() == ()
