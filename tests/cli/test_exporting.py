"""`tac export`: from the published version or the current result, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command_line import tac, told
from ready_store import ready

from assets.lookups.exporting import places_to_spare
from tac_pipeline.errors import InputError
from tac_pipeline.export.destination import export_to
from tac_pipeline.export.formats import Format
from tac_pipeline.export.result import ExportResult
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]


def test_the_published_result_by_default_and_the_current_one_when_asked(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store()
    nothing = tac("export", tmp_path / "out.csv", "-f", "csv", "-s", path)
    assert nothing.exit_code == 1
    assert "tac export reads image_manifest, which has not been materialized" in told(nothing)
    ready(path)
    done = tac("export", tmp_path / "out/one.csv", "-f", "csv", "-s", path)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == f"60 images of published version 1 are in {tmp_path}/out/one.csv"
    exported = pl.read_csv(tmp_path / "out/one.csv")
    published = pl.read_parquet(tmp_path / "data/small/published/latest/assignments.parquet")
    names = ["image_id", "cluster_id", "cluster_name", "runner_up"]
    assert exported.select(names).equals(published.select(names).cast({"cluster_id": pl.Int64, "runner_up": pl.Int64}))
    current = tac("export", tmp_path / "two.parquet", "-f", "parquet", "--current", "-s", path)
    assert "60 images of the current result are in" in current.stdout
    assert pl.read_parquet(tmp_path / "two.parquet")["image_id"].to_list() == published["image_id"].to_list()
    atlas = tac("export", tmp_path / "three.parquet", "-f", "embedding-atlas", "--vectors", "-s", path)
    assert atlas.exit_code == 0, atlas.output
    assert {"projection_x", "projection_y", "embedding"} <= set(pl.read_parquet(tmp_path / "three.parquet").columns)


def test_a_published_result_is_drawn_on_the_map_that_is_there(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store()
    ready(path)
    changed = vector_store({"seed": 5})
    done = tac("export", tmp_path / "out.parquet", "-f", "embedding-atlas", "-s", changed)
    assert done.exit_code == 0, done.output
    assert len(pl.read_parquet(tmp_path / "out.parquet")) == 60
    shutil.rmtree(tmp_path / "data/small/image_map")
    refused = tac("export", tmp_path / "more.parquet", "-f", "embedding-atlas", "-s", changed)
    assert refused.exit_code == 1
    assert "tac export draws image_map, which is not built yet; `tac run` builds it" in told(refused)


def test_without_a_published_version_the_way_out_is_told(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store({"publish": "manual"})
    ready(path)
    refused = tac("export", tmp_path / "out.csv", "-f", "csv", "-s", path)
    assert refused.exit_code == 1
    assert "nothing is published yet" in told(refused)
    assert "--current" in told(refused)
    assert tac("export", tmp_path / "out.csv", "-f", "csv", "--current", "-s", path).exit_code == 0
    changed = vector_store({"retrieval.tau": 0.02})
    outdated = tac("export", tmp_path / "new.csv", "-f", "csv", "--current", "-s", changed)
    assert outdated.exit_code == 1
    assert "tac export reads assignments, which was made for other settings" in told(outdated)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["out"], 2, "Missing option '--format'"),
        (["out", "-f", "xlsx"], 2, "'xlsx' is not one of"),
        (["images.parquet", "-f", "parquet", "--overwrite"], 1, "must stay apart from the images of the store"),
        (["nouns.parquet", "-f", "parquet", "--overwrite"], 1, "must stay apart from the nouns"),
        (["tac.yaml", "-f", "csv", "--overwrite"], 1, "must stay apart from the settings file"),
        (["data/out.csv", "-f", "csv"], 1, "must stay apart from the data folder"),
        (["out", "-f", "imagefolder"], 1, "this store has only vectors"),
        (["out.csv", "-f", "csv", "--link", "soft"], 2, "'soft' is not one of"),
        (["out.csv", "-f", "csv", "--link", "hard"], 1, "--link is for the formats with image files"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    vector_store: Writer, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    path = vector_store()
    ready(path)
    before = {name: (tmp_path / name).read_bytes() for name in ("images.parquet", "nouns.parquet", "tac.yaml")}
    result = tac("export", tmp_path / arguments[0], *arguments[1:], "-s", path)
    assert result.exit_code == code
    assert message in told(result)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_everything_that_the_settings_name_is_spared(vector_store: Writer, tmp_path: Path) -> None:
    names = ("corrections.yaml", "model.json", "weights.pt", "vectors.npy", "vectors.csv", "nouns.parquet", "tac.yaml")
    for name in names:
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text("kept")
    path = vector_store(
        {
            "corrections": "corrections.yaml",
            "images.source": "vectors.npy",
            "encoder": {"model": "model.json", "pretrained": "weights.pt"},
        }
    )
    before = {name: (tmp_path / name).read_bytes() for name in names}
    places = places_to_spare(load_project(path))
    rows = pl.DataFrame({"image_id": ["a"], "uri": [None], "cluster_id": [0]}, schema_overrides={"uri": pl.String})
    for name in names:
        for form in (Format.CSV, Format.PARQUET, Format.EMBEDDING_ATLAS):
            with pytest.raises(InputError, match="an export must stay apart from"):
                export_to(tmp_path / name, ExportResult({}, rows, None), form, overwrite=True, forbidden=places)
    with pytest.raises(InputError, match="must stay apart from the data folder"):
        export_to(tmp_path / "data/deep/out.csv", ExportResult({}, rows, None), Format.CSV, forbidden=places)
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_the_file_of_corrections_is_not_replaced(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    (tmp_path / "corrections.yaml").write_text("names: {0: boats}\n")
    ready(path)
    refused = tac("export", tmp_path / "corrections.yaml", "-f", "csv", "--overwrite", "-s", path)
    assert refused.exit_code == 1
    assert "an export must stay apart from the file of corrections" in told(refused)
    assert (tmp_path / "corrections.yaml").read_text() == "names: {0: boats}\n"
