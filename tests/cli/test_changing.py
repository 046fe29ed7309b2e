"""`tac set`, `tac publish` and `tac rollback`: what they say, and what they leave behind."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from assets_helpers import materialize
from command_line import ALL, below, done, tac, told
from ready_store import ready
from small_store import grouped_vectors, write_vectors

from assets.graph import GROWTH
from assets.orchestration.instance import prepare_home
from assets.orchestration.metadata import asset_key
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]


@pytest.fixture
def path(vector_store: Writer) -> Path:
    """A small store with a result and nothing published yet."""
    settings = vector_store()
    materialize(settings)
    return settings


def grow(path: Path, count: int) -> None:
    """This many more images like the first one."""
    vectors, _ = grouped_vectors()
    ids = [f"image-{n:03d}" for n in range(60)] + [f"new-{n:04d}" for n in range(count)]
    grown = np.concatenate([vectors, np.repeat(vectors[:1], count, axis=0)])
    write_vectors(path.parent / "images.parquet", ids, grown, ["x"] * len(ids))
    materialize(path, [step.name for step in GROWTH])


def test_set_says_what_changed_what_would_rerun_and_how_long_that_took(path: Path) -> None:
    result = tac("set", "retrieval.tau=0.02", "seed=0", "heads.epochs=null", "-s", path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:3] == ["retrieval.tau: null -> 0.02", "seed: already 0", "heads.epochs: 60 -> null"]
    assert lines[3] == "no running UI was found"
    stale = below("text_counterparts")
    assert {line.split()[0] for line in lines[5:-2]} == stale
    assert lines[-2].startswith(f"a run computes {len(stale)} assets, which took ")
    assert lines[-2].endswith(" s last time")
    assert lines[-1] == "nothing is published yet"
    assert load_project(path).settings.retrieval.tau == 0.02


def test_setting_it_back_says_that_a_run_finds_all_again(path: Path) -> None:
    tac("set", "clusters.count=4", "-s", path)
    materialize(path)
    result = tac("set", "clusters.count=3", "-s", path)
    assert f"a run finds {len({'lessons', *below('cluster_count')})} assets again" in result.stdout
    assert "computes" not in result.stdout
    assert done(tac("run", "-s", path), "computed") == set()


def test_what_is_so_already_leaves_the_file_and_everything_fresh(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    result = tac("set", "clusters.count=3", "-s", path)
    assert result.stdout.splitlines() == [
        "clusters.count: already 3",
        "everything is fresh: a run has nothing to do",
        "nothing is published yet",
    ]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_before_the_first_run_set_does_not_list_what_is_all_missing(vector_store: Writer) -> None:
    result = tac("set", "schedule.observe=*/5 * * * *", "-s", vector_store())
    assert result.stdout.splitlines() == [
        "schedule.observe: */15 * * * * -> */5 * * * *",
        "no running UI was found",
        f"a run computes {ALL} assets",
        "nothing is published yet",
    ]


@pytest.mark.parametrize(
    ("assignments", "code", "message"),
    [
        ([], 2, "Missing argument 'KEY=VALUE...'"),
        (["retrieval.tau", "0.01"], 1, "error: a setting must be given as KEY=VALUE, such as retrieval.tau=0.01"),
        (["tau=0.01"], 1, "error: tau is not a settings key; did you mean retrieval.tau? (tac.yaml)"),
        (["retrieval.tau=0,01"], 1, "error: retrieval.tau must be a number; got '0,01' (tac.yaml as it would be"),
        (["seed=1", "clusters.count=1"], 1, "error: clusters.count must be >= 2; got 1"),
        (["seed=1", "seed=2"], 1, "error: seed must be given once; got it twice"),
        (["heads={epochs: 3}"], 1, "error: heads is a section: name one of its keys"),
        # Values that only Dagster can judge are also judged before the file is written.
        (
            ["schedule.observe=hourly"],
            1,
            "error: schedule.observe must be a cron of five fields, such as '0 3 * * 0', "
            "or null; got 'hourly' (tac.yaml). Nothing was changed.",
        ),
        (["schedule.timezone=Berlin"], 1, "error: schedule.timezone must be a name such as Europe/Berlin; got"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    vector_store: Writer, assignments: list[str], code: int, message: str
) -> None:
    path = vector_store()
    before = path.read_bytes()
    result = tac("set", *assignments, "-s", path)
    assert result.exit_code == code
    assert message in told(result)
    assert path.read_bytes() == before


def test_a_ui_that_is_gone_is_passed_over_and_said_so(path: Path) -> None:
    home = prepare_home(load_project(path))
    (home / "ui.json").write_text(json.dumps({"url": "http://127.0.0.1:9"}))
    result = tac("set", "seed=1", "-s", path)
    assert result.exit_code == 0
    assert "no running UI was found" in result.stdout


def shown_version(path: Path) -> object:
    """The version that the UI shows for the asset `published`."""
    project = load_project(path)
    prepare_home(project)
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(asset_key("published", project))
    assert event is not None and event.asset_materialization is not None
    return event.asset_materialization.metadata["version"].value


def test_publish_and_rollback_move_what_readers_have_and_the_ui_knows(path: Path) -> None:
    assert tac("publish", "-s", path).stdout == "version 1 is published\n"
    assert tac("publish", "-s", path).stdout == "version 1 is this result already\n"
    grow(path, 3)
    assert tac("publish", "-s", path).stdout == "version 2 is published\n"
    assert shown_version(path) == 2
    back = tac("rollback", "-s", path)
    assert back.stdout == (
        "version 3 repeats version 1; nothing is published automatically until somebody publishes (`tac publish`, the "
        "job publish)\n"
    )
    assert shown_version(path) == 3
    assert tac("rollback", "v2", "-s", path).stdout.startswith("version 4 repeats version 2; ")
    held = tac("run", "-s", path)
    assert held.exit_code == 0, "that something is held back is no failure"
    assert "  version 4 is this result already\n" in held.stdout
    grow(path, 4)
    assert "  readers keep version 4: held since the rollback to version 2; " in tac("run", "-s", path).stdout
    assert tac("publish", "-s", path).stdout == "version 5 is published\n"
    assert "held" not in tac("status", "-s", path).stdout


def test_what_cannot_be_published_or_gone_back_to_is_told(vector_store: Writer) -> None:
    path = vector_store()
    unpublished, nothing = tac("publish", "-s", path), tac("rollback", "-s", path)
    assert (unpublished.exit_code, nothing.exit_code) == (1, 1)
    assert "error: there is no result to publish yet in " in told(unpublished)
    assert told(unpublished).endswith("must be materialized first (`tac run`).")
    assert told(nothing).endswith("there is nothing to go back to")
    word = tac("rollback", "yesterday", "-s", path)
    assert word.exit_code == 2
    assert "a published version must be a number such as 6; got 'yesterday'" in told(word)
    tac("run", "-s", path)
    for version, message in (
        ("1", "version 1 is what is published now"),
        ("7", "no published version 7"),
        ("v000000", "no published version 0"),
    ):
        refused = tac("rollback", version, "-s", path)
        assert refused.exit_code == 1
        assert message in told(refused)


def test_run_publishes_and_a_selection_does_not(path: Path) -> None:
    assert tac("run", "-s", path, "--select", "assignments").exit_code == 0
    assert "nothing is published yet" in tac("status", "-s", path).stdout
    assert "  version 1 is published\n" in tac("run", "-s", path).stdout
    assert "readers have version 1 of 20" in tac("status", "-s", path).stdout


def test_run_says_why_readers_keep_the_old_version(path: Path) -> None:
    tac("run", "-s", path)
    grow(path, 900)
    held = tac("run", "-s", path)
    assert held.exit_code == 0
    assert "  readers keep version 1: Clusters far above their even share: " in held.stdout
    status = tac("status", "-s", path).stdout
    assert "; the current result is another one (`tac diff`)" in " ".join(status.split())


def test_manual_publishing_waits_and_says_for_what(path: Path) -> None:
    assert tac("set", "publish=manual", "-s", path).exit_code == 0
    assert (
        "  nothing is published yet: publish is manual; `tac publish` publishes this result\n"
        in tac("run", "-s", path).stdout
    )


def test_a_file_of_corrections_is_looked_at_before_it_is_named(path: Path) -> None:
    before = path.read_bytes()
    refused = tac("set", "corrections=nope.yaml", "-s", path)
    assert refused.exit_code == 1
    assert f"cannot read the file of corrections {path.parent / 'nope.yaml'}" in told(refused)
    assert "Nothing was changed." in told(refused)
    (path.parent / "nope.yaml").write_text("names: {99: cat}\n")
    refused = tac("set", "corrections=nope.yaml", "-s", path)
    assert "no cluster ever had the id 99; ids go up to 2" in told(refused)
    assert path.read_bytes() == before
    (path.parent / "nope.yaml").write_text("names: {2: cat}\n")
    assert tac("set", "corrections=nope.yaml", "-s", path).exit_code == 0
    (path.parent / "nope.yaml").unlink()
    assert tac("set", "keep_versions=4", "-s", path).exit_code == 0, "another key can be set while the file is gone"
    stopped = tac("run", "-s", path)
    assert stopped.exit_code == 1
    assert "cannot read the file of corrections" in told(stopped)
    assert done(stopped, "reused") == done(stopped, "computed") == set()


def test_publish_says_where_it_went_and_publications_list_it(path: Path, vector_store: Writer) -> None:
    vector_store({"publication.to": "shared"})
    place = f"{path.parent}/shared/small"
    result = tac("publish", "-s", path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"bringing what is published to {place}", "version 1 is published"]
    assert lines[2].startswith(f"readers of {place} have version 1 (0.0 MB in 4 files uploaded")
    grow(path, 3)
    vector_store({"publication.to": None})
    tac("publish", "-s", path)
    vector_store({"publication.to": "shared"})
    status = tac("status", "-s", path)
    assert f"readers of {place} have version 1 since " in status.stdout
    assert "and not version 2 (`tac run` or `tac publish` takes it up)" in status.stdout
    there = json.loads(tac("status", "--json", "-s", path).stdout)["readers_elsewhere"]
    assert there == {"place": place, "version": 1, "failed": None}
    rows = [line.split("  ") for line in tac("publications", "-s", path).stdout.splitlines()]
    shown = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert shown[0] == ["version", "published", "here", "there"]
    assert [row[:1] + row[2:] for row in shown[1:3]] == [
        ["2", "readers have it"],
        ["1", "whole", "readers have it"],
    ]
    assert shown[3] == [f"there: {place}"]
    result = tac("rollback", "-s", path)
    assert result.stdout.splitlines()[-1].startswith(f"readers of {place} have version 3 (")
    found = json.loads(tac("publications", "--json", "-s", path).stdout)
    assert [(row["version"], row["there"], row["repeats"]) for row in found["versions"]] == [
        (3, "readers have it", 1),
        (2, "changes", None),
        (1, "whole", None),
    ]
    assert (found["place"], found["problem"]) == (place, None)


def test_a_place_that_cannot_be_written_fails_the_command_and_keeps_what_is_published(
    path: Path, vector_store: Writer
) -> None:
    vector_store({"publication.to": "shared"})
    (path.parent / "shared").write_text("in the way")
    place = f"{path.parent}/shared/small"
    result = tac("publish", "-s", path)
    assert result.exit_code == 1
    assert "version 1 is published" in result.stdout
    assert told(result).startswith(f"error: published versions cannot be written to {place}: Not a directory. The next")
    assert told(tac("run", "-s", path)).endswith("Nothing was run. Mend that, or set publication.to to null.")
    listed = tac("publications", "-s", path)
    assert listed.exit_code == 0
    (path.parent / "shared").unlink()
    assert f"readers of {place} have version 1 (" in tac("publish", "-s", path).stdout


def test_a_run_whose_version_did_not_get_there_goes_to_its_end_and_fails(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ready(vector_store())
    vector_store({"publication.to": "shared"})
    (path.parent / "shared").write_text("in the way")
    # As if the place had gone away after the run began.
    monkeypatch.setattr("assets.lookups.readiness.require_destinations", lambda _: None)
    result = tac("run", "-s", path)
    assert result.exit_code == 1
    assert "version 1 is this result already; published versions cannot be written to" in result.stdout
    assert "next: tac report" in result.stdout, "all else was done"
    assert told(result).endswith("did not reach all of its readers: see the yellow line above, or `tac status`")
