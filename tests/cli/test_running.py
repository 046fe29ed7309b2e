"""The command line as people use it: what it prints, how it ends, what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import ALL, below, done, tac
from ready_store import ready
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.graph import GROWTH
from tac_pipeline.cli import running
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.listings import FOLDERS_NAME

Writer = Callable[..., Path]


def test_a_store_from_nothing_to_named_groups_and_back(vector_store: Writer) -> None:
    path = vector_store({"method": "trained"})
    first = tac("run", "--settings", path)
    assert first.exit_code == 0, first.output
    assert len(done(first, "computed")) == ALL
    assert f"{ALL} computed, 0 reused" in first.stdout
    assert "\x1b" not in first.output
    assert first.stdout.splitlines()[-1] == f"next: tac report -s {path} shows the groups with their pictures"
    assert re.search(r"^id +name +images +share +also", first.stdout, flags=re.MULTILINE)
    assert re.search(r"image_kmeans +training_set +60 +100\.0 +100\.0 +100\.0", first.stdout)

    again = tac("run", "--settings", path)
    assert again.exit_code == 0
    assert done(again, "computed") == set()
    assert done(again, "reused") == {step.name for step in GROWTH}

    changed = tac("run", "--settings", vector_store({"retrieval.tau": 0.02}))
    assert changed.exit_code == 0, changed.output
    assert done(changed, "computed") == below("text_counterparts")

    back = tac("run", "--settings", vector_store({"retrieval.tau": None}))
    # The page shows the changes since the version that was published in between.
    assert done(back, "computed") == {"report"}
    assert done(back, "reused") >= done(changed, "computed") - {"report"}


def test_selecting_only_the_end_after_a_change_names_what_to_build(vector_store: Writer) -> None:
    ready(vector_store())
    path = vector_store({"retrieval.tau": 0.02})
    refused = tac("run", "-s", path, "--select", "assignments")
    assert refused.exit_code == 1
    due = "text_counterparts, text_weight, text_neighbors, training_free_clusters, cluster_heads, cluster_ids, "
    due += "corrections"
    assert f"Build first: {due}" in refused.stderr
    assert "Traceback" not in refused.output
    built = tac(
        "run",
        "-s",
        path,
        "--select",
        "text_counterparts,text_weight,text_neighbors,training_free_clusters,cluster_heads,cluster_ids,corrections,"
        "assignments",
    )
    assert built.exit_code == 0
    assert len(done(built, "computed")) == 8


def test_reclustering_learns_from_what_came(vector_store: Writer) -> None:
    path = vector_store()
    assert tac("run", "-s", path).exit_code == 0
    old, _ = grouped_vectors()
    write_vectors(path.parent / "images.parquet", [f"image-{n:03d}" for n in range(1, 60)], old[1:], ["x"] * 59)
    grown = tac("run", "-s", path)
    assert "training_set" not in done(grown, "computed") | done(grown, "reused")
    assert "the store has changed since; `tac run --recluster`" in tac("status", "-s", path).stdout
    assert {"training_set", "cluster_heads"} <= done(tac("run", "-s", path, "--recluster"), "computed")


def test_path_prints_the_folder_alone(vector_store: Writer) -> None:
    path = vector_store()
    missing = tac("path", "assignments", "-s", path)
    assert missing.exit_code == 1
    assert "assignments has not been materialized" in missing.stderr
    assert missing.stdout == ""
    assert tac("run", "-s", path, "--select", "image_manifest").exit_code == 0
    found = tac("path", "image_manifest", "-s", path)
    assert found.exit_code == 0
    assert (Path(found.stdout.strip()) / "image_manifest.parquet").is_file()


def test_a_full_listing_is_asked_for_before_anything_is_looked_at(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, looked = vector_store({"images.compare": "folders"}), []
    kept = open_store(load_project(path)).listings_folder / FOLDERS_NAME / "one.parquet"
    kept.parent.mkdir(parents=True)
    kept.touch()
    monkeypatch.setattr(running, "_grow", lambda console, project, *, recluster: looked.append(kept.exists()))
    assert tac("run", "-s", path).exit_code == 0
    assert tac("run", "-s", path, "--full").exit_code == 0
    assert looked == [True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--settings", "absent.yaml"], 1, "no settings file at"),
        (["run", "--select", "asignments"], 2, "did you mean assignments?"),
        (["run", "--select", "assignments", "--recluster"], 2, "leave out --recluster"),
        (["run", "--as-of", "2026-10-01", "--full"], 2, "leave out --select, --recluster and --full"),
        (["path", "nothing"], 2, "there is no asset 'nothing'"),
        (["rnu"], 2, "No such command 'rnu'"),
        (["status", "extra"], 2, "unexpected extra argument"),
    ],
)
def test_mistakes_are_told_with_the_right_exit_code(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(vector_store().parent)
    result = tac(*arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_a_settings_mistake_names_the_line(vector_store: Writer) -> None:
    path = vector_store({"retrieval.tau": -0.1})
    result = tac("run", "-s", path)
    assert result.exit_code == 1
    assert re.search(r"error: retrieval\.tau must be > 0; got -0\.1 \(tac\.yaml, line \d+\)", result.stderr)


def test_a_refused_step_ends_the_run_with_its_message(vector_store: Writer) -> None:
    assert tac("run", "-s", vector_store(), "--select", "+training_set").exit_code == 0
    path = vector_store({"clusters.count": 61})
    assert tac("run", "-s", path, "--select", "lessons").exit_code == 0
    result = tac("run", "-s", path, "--select", "cluster_count")
    assert result.exit_code == 1
    assert "clusters.count must be at most the number of training images; got 61 and 60 images" in result.stderr
    assert "failed    cluster_count" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize("changes", [{"clusters.count": 61}, {"training_set.max_images": 2}])
def test_more_groups_than_images_are_refused_before_anything_is_embedded(
    vector_store: Writer, changes: dict[str, int]
) -> None:
    result = tac("run", "-s", vector_store(changes))
    assert result.exit_code == 1
    assert "clusters.count must be at most the number of images to learn from; got " in result.stderr
    assert "store small" not in result.stdout, "no run was started"


def test_a_source_that_is_not_there_ends_the_run_before_it_begins(vector_store: Writer) -> None:
    result = tac("run", "-s", vector_store({"images.source": "absent"}))
    assert result.exit_code == 1
    assert "images.source must be an existing folder or table; nothing is at" in result.stderr
    assert done(result, "computed") == set()


def test_a_data_folder_that_cannot_be_written_is_told(vector_store: Writer) -> None:
    path = vector_store({"data": "images.parquet/below"})
    result = tac("run", "-s", path)
    assert result.exit_code == 1
    assert "Set `data` to a folder that can be" in result.stderr
