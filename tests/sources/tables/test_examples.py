"""Examples of known classes: read from tables and folders, and what is refused."""

from pathlib import Path

import polars as pl
import pytest

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.tables.examples import folder_examples, in_store, read_examples


def test_a_table_of_examples_in_any_form(tmp_path: Path) -> None:
    wanted = [("a.jpg", "cat"), ("b.jpg", "dog")]
    (tmp_path / "known.csv").write_text("image_id;class;note\nb.jpg;dog;x\na.jpg; cat ;y\na.jpg;cat;\nc.jpg;;\n")
    assert read_examples(tmp_path / "known.csv").rows() == wanted
    (tmp_path / "known.jsonl").write_text('{"path": "b.jpg", "kind": "dog"}\n{"path": "a.jpg", "kind": "cat"}\n')
    assert read_examples(tmp_path / "known.jsonl", column="kind").rows() == wanted
    pl.DataFrame({"image_id": ["a.jpg", "b.jpg"], "label": ["cat", "dog"]}).write_parquet(tmp_path / "known.parquet")
    assert read_examples(tmp_path / "known.parquet").rows() == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,label\na,cat\nb,cat\na,dog\n", "'a' has 'cat' .*line 2.* and 'dog' .*line 4.*Keep one of them"),
        ("image_id,label\na,\n", "must have at least one row with an image_id and a class; it has none"),
        ("", "known.csv"),
        ("image_id,kind\na,cat\n", "must have a column label"),
        ("picture,label\na,cat\n", "must have a column image_id"),
    ],
    ids=["disagree", "blank", "empty", "no label", "no id"],
)
def test_tables_that_cannot_be_used_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_examples(tmp_path / "known.csv")


@pytest.mark.parametrize("name", ["known.txt", "known.xlsx", "gone.csv"])
def test_what_is_no_table_is_refused(name: str, tmp_path: Path) -> None:
    if name != "gone.csv":
        (tmp_path / name).write_text("a.jpg\n")
    with pytest.raises(SourceError, match=name):
        read_examples(tmp_path / name)


def test_the_folders_of_a_folder_are_classes() -> None:
    ids = ["labeled/cat/1.jpg", "labeled/cat/more/2.jpg", "labeled/dog/1.jpg", "labeled/readme.jpg", "rest/3.jpg"]
    wanted = [("labeled/cat/1.jpg", "cat"), ("labeled/cat/more/2.jpg", "cat"), ("labeled/dog/1.jpg", "dog")]
    for folder in ("labeled", "./labeled/"):
        assert folder_examples(ids, folder).rows() == wanted
    assert folder_examples(["cat/1.jpg", "2.jpg"], ".").rows() == [("cat/1.jpg", "cat")]
    with pytest.raises(SourceError, match="no image is below a folder of 'label'"):
        folder_examples(ids, "label")


def test_every_class_must_be_in_the_store() -> None:
    examples = pl.DataFrame({"image_id": ["a", "b", "c", "d"], "label": ["cat", "cat", " dog ", " "]})
    kept = in_store(examples, pl.Series(["a", "c", "d", "z"]), where="known.file")
    assert kept.rows() == [("a", "cat"), ("c", "dog")]
    with pytest.raises(SourceError, match=r"known.column must give at least one image a class; it gives none"):
        in_store(examples.tail(1), pl.Series(["d"]), where="known.column")
    with pytest.raises(SourceError, match=r"known.file: each known class must have .*; 'dog' has none. Add one"):
        in_store(examples, pl.Series(["a", "b"]), where="known.file")
