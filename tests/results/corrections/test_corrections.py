"""People's corrections: read with care, applied on top of the ledger, and kept through re-clustering."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from assets_helpers import computed, materialize, table

from assets.engine.execute import open_store
from assets.graph import GROWTH, LEARNING, STEPS, descendants, find
from assets.lookups.readiness import plan_run
from assets.lookups.status import State, all_status
from assets.orchestration.build import build_definitions
from assets.orchestration.dagster_internals import find_job
from assets.orchestration.in_process import Progress, run_steps
from assets.orchestration.publishing import publish
from tac_pipeline.errors import ArtifactDamaged, InputError, SettingsError
from tac_pipeline.results.corrections.applied import apply_corrections, tell_absent
from tac_pipeline.results.corrections.merging import groups_of, merge_lineage, sum_groups
from tac_pipeline.results.corrections.pinning import pin_images
from tac_pipeline.results.corrections.written import Corrections, load_corrections, parse_corrections, require_known
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.publication import Publication

Writer = Callable[..., Path]
TEXT = """\
names: {17: "red boats"}
merge: [[3, 9], [9, 12]]
pins:
  path/of/image.jpg: 12
"""


def test_a_file_is_read_and_chains_of_merges_are_followed() -> None:
    found = parse_corrections(TEXT, name="corrections.yaml")
    assert found.names == {17: "red boats"}
    assert found.merged_into == {9: 3, 12: 3}
    assert apply_corrections(found, {3, 9, 12, 17}, {}).pins.rows() == [("path/of/image.jpg", 3)]
    assert found.ids == {3, 9, 12, 17}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "names: {}\n"])
def test_an_empty_file_corrects_nothing(text: str) -> None:
    assert parse_corrections(text, name="c.yaml") == Corrections()
    assert load_corrections(None) == Corrections()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: {1: cat}\nname: {2: dog}\n", r"name is not a key of a corrections file.*line 2"),
        ("- 1\n", "must hold some of names, merge, pins, groups, not_in, locked and aside; got list"),
        ("names: {cat: 1}\n", r"names must be cluster ids with their names.*line 1"),
        ("names: {-1: cat}\n", "names must be cluster ids"),
        ("names:\n  1: 2\n", r"names must be .*got 2 \(c.yaml, line 2\)"),
        ("names: {1: ' cat'}\n", "without spaces around it"),
        ('names: {1: ""}\n', "must be a name"),
        ('names: {1: "a\\tb"}\n', "none of control"),
        (f"names: {{1: {'a' * 301}}}\n", "at most 300 characters"),
        ("names:\n  1: cat\n  2: Cat\n", r"no two clusters may have one name; 1 and 2 .*line 3"),
        ("names: {1: a, 1: b}\n", "line 1"),
        ("merge: [[3]]\n", "merge must be lists of two or more"),
        ("merge: [3, 9]\n", "merge must be lists"),
        ("merge:\n- [1, 2]\n- [3, 3]\n", r"each id once in a list; got \[3, 3\] \(c.yaml, line 3\)"),
        ("merge: [[3, 9], [4, 9]]\n", "puts 9 into two ids, 3 and 4"),
        ("merge: [[3, 9], [9, 3]]\n", "goes in a circle"),
        ("merge: [[1, 2], [2, 3], [3, 1]]\n", "goes in a circle"),
        ("names: {9: cat}\nmerge: [[3, 9]]\n", r"merge says that 9 is one with 3; name 3 instead .*line 1"),
        ("pins: {a.jpg: red boats}\n", "pins must be image_ids with their cluster ids"),
        ("pins: {1: 2}\n", "pins must be"),
        ("pins: {a.jpg: 2.0}\n", "pins must be"),
        ("names: {1: cat\n", "not valid YAML"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_corrections(text, name="c.yaml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the file of corrections"):
        load_corrections(tmp_path / "gone.yaml")


def test_ids_that_no_cluster_ever_had_are_refused() -> None:
    require_known(Corrections(names={4: "cat"}), next_id=5, path=None)
    with pytest.raises(InputError, match="no cluster ever had the id 5; ids go up to 4"):
        require_known(Corrections(merge=[[1, 5]]), next_id=5, path=Path("c.yaml"))


def test_what_is_not_there_now_is_told_in_words() -> None:
    corrected = Corrections(names={1: "cat", 2: "dog"}, merge=[[3, 4]], pins={"a": 1, "b": 2, "gone": 1})
    found = apply_corrections(corrected, {1}, {})
    assert [*found.unused, *tell_absent(found.pins, pl.Series(["a", "b"]))] == [
        "merge: nothing is left of 3 or of what is merged into it",
        "names: no cluster has the id 2 any more",
        "pins: no cluster has the id that b is pinned to any more; it is left where it is",
        "pins: gone is not in the store, or cannot be read there",
    ]
    nothing = apply_corrections(Corrections(), {1}, {})
    assert [*nothing.unused, *tell_absent(nothing.pins, pl.Series([], dtype=pl.String))] == []


def test_columns_of_merged_ids_are_summed() -> None:
    kept, groups = groups_of([5, 3, 9], {9: 3})
    assert (kept, groups.tolist()) == ([5, 3], [0, 1, 1])
    soft = np.array([[0.4, 0.3, 0.3]], np.float32)
    np.testing.assert_allclose(sum_groups(soft, groups), [[0.4, 0.6]])
    assert sum_groups(soft, np.arange(3)) is soft


def lineage(*rows: tuple[int, str, int | None, int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(2, id_, event, other, 0, before, after) for id_, event, other, before, after in rows],
        orient="row",
        schema={
            "entry": pl.Int32,
            "cluster_id": pl.Int32,
            "event": pl.String,
            "other_id": pl.Int32,
            "shared": pl.Int64,
            "images_before": pl.Int64,
            "images_after": pl.Int64,
        },
    )


def told(found: pl.DataFrame) -> list[tuple]:
    return found.select("cluster_id", "event", "other_id", "images_after").rows()


def test_a_merge_by_hand_is_told_as_what_became_of_the_ids() -> None:
    before = lineage((3, "kept", None, 10, 11), (9, "kept", None, 5, 6), (20, "split", 9, 0, 4), (5, "merged", 9, 3, 0))
    assert told(merge_lineage(before, entry=2, merged_into={9: 3})) == [
        (3, "kept", None, 17),
        (5, "merged", 3, 0),
        (9, "merged", 3, 0),
        (20, "split", 3, 4),
    ]
    assert merge_lineage(before, entry=2, merged_into={}) is before
    assert told(merge_lineage(before, entry=3, merged_into={9: 3})) == told(before)


def test_the_id_that_stays_goes_on_where_a_clustering_gave_its_images_to_the_other() -> None:
    before = lineage((3, "merged", 9, 10, 0), (9, "grown", None, 5, 15))
    assert told(merge_lineage(before, entry=2, merged_into={9: 3})) == [(3, "grown", None, 15), (9, "merged", 3, 0)]
    retired = lineage((9, "kept", None, 5, 5))
    assert told(merge_lineage(retired, entry=2, merged_into={9: 3})) == [(3, "kept", None, 5), (9, "merged", 3, 0)]


def test_a_merge_of_ids_that_are_both_gone_changes_nothing_else() -> None:
    before = lineage((1, "kept", None, 5, 5), (3, "retired", None, 2, 0), (9, "merged", 1, 2, 0))
    assert told(merge_lineage(before, entry=2, merged_into={9: 3})) == told(before)


def test_pins_move_images_and_say_so() -> None:
    assigned = pl.DataFrame(
        [
            ("a", 0, 0.6, 1, 0.8, 0.2),
            ("b", 0, 0.9, 1, 0.7, 0.8),
            ("c", None, None, None, None, None),
            ("d", 1, 0.9, 0, 0.5, 0.8),
        ],
        schema={
            "image_id": pl.String,
            "cluster_id": pl.Int32,
            "confidence": pl.Float32,
            "runner_up": pl.Int32,
            "similarity": pl.Float32,
            "margin": pl.Float32,
        },
        orient="row",
    )
    pins = {"a": 1, "b": 0, "c": 1, "d": 7, "gone": 1}
    found = pin_images(assigned, apply_corrections(Corrections(pins=pins), {0, 1}, {}).pins)
    assert found.select("image_id", "cluster_id", "runner_up", "curated").rows() == [
        ("a", 1, 0, True),
        ("b", 0, 1, True),
        ("c", None, None, False),
        ("d", 1, 0, False),
    ]
    assert found["confidence"].to_list()[:2] == found["margin"].to_list()[:2] == [1, 1]
    assert found["similarity"].is_null().to_list() == [True, False, True, False]


def write(path: Path, text: str) -> None:
    (path.parent / "corrections.yaml").write_text(text, encoding="utf-8")


def test_corrections_survive_a_reclustering_and_can_be_taken_back(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    before = table(path, "assignments")
    names = dict(table(path, "clusters").select("cluster_id", "name").iter_rows())
    assert not before["curated"].any()
    image = before.filter(pl.col("cluster_id") == 0)["image_id"][0]
    text = f'names: {{0: "red <boats> | 1"}}\nmerge: [[1, 2]]\npins: {{{image}: 1}}\n'
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, text)
    assert computed(materialize(path)) == {
        "corrections",
        "assignments",
        "clusters",
        "cluster_tree",
        "evaluation",
        "review",
        "report",
    }
    check(path, image)
    assert computed(materialize(path)) == set()
    path = vector_store({"seed": 1})
    materialize(path)
    check(path, image)
    path = vector_store({"seed": 0, "corrections": None})
    assert computed(materialize(path)) == set()
    assert table(path, "assignments").equals(before)
    assert dict(table(path, "clusters").select("cluster_id", "name").iter_rows()) == names


def check(path: Path, image: str) -> None:
    assigned, found = table(path, "assignments"), table(path, "clusters")
    assert found["cluster_id"].to_list() == [0, 1]
    assert found["name"][0] == "red <boats> | 1"
    assert found["name_confidence"][0] == 1
    assert found["curated"].to_list() == [True, True]  # named; merged into and pinned to
    assert set(assigned["cluster_id"]) == {0, 1}
    assert found["size"].to_list() == [19, 41]
    assert not (assigned["runner_up"] == assigned["cluster_id"]).any()
    pinned = assigned.filter("curated")
    assert pinned.select("image_id", "cluster_id", "confidence").rows() == [(image, 1, 1.0)]
    for row in found.iter_rows(named=True):
        assert len(row["alternatives"]) == len(row["alternative_weights"])


def test_lineage_and_changes_tell_of_a_merge(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    publish(load_project(path), by_hand=True)
    sizes = dict(table(path, "clusters").select("cluster_id", "size").iter_rows())
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "merge: [[1, 2]]\n")
    materialize(path)
    version = publish(load_project(path), by_hand=True).version
    assert version is not None
    changes = version.table("changes")
    assert changes["old_cluster_id"].to_list() == [2] * sizes[2]
    assert changes["new_cluster_id"].to_list() == [1] * sizes[2]
    events = {row["cluster_id"]: row for row in version.table("lineage").iter_rows(named=True)}
    assert (events[2]["event"], events[2]["other_id"], events[2]["shared"]) == ("merged", 1, sizes[2])
    assert events[1]["images_after"] == sizes[1] + sizes[2]
    words = dict(version.clusters.select("cluster_id", "lineage").iter_rows())
    assert words == {0: "born", 1: "born, took in 2"}
    back = Publication(open_store(load_project(path)).published_folder).rollback()
    assert set(back.assignments["cluster_id"]) == {0, 1, 2}


def test_what_does_not_apply_is_told_and_what_cannot_be_is_refused(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "pins: {gone.jpg: 1}\n")
    outcome = materialize(path)["clusters"]
    assert outcome.artifact.facts["unused_corrections"] == [
        "pins: gone.jpg is not in the store, or cannot be read there"
    ]
    write(path, "names: {99: cat}\n")
    with pytest.raises(InputError, match="no cluster ever had the id 99; ids go up to 2"):
        materialize(path)
    write(path, "merge: [[0, 1, 2]]\n")
    with pytest.raises(InputError, match="must leave at least two clusters"):
        materialize(path)


def test_a_name_taken_back_is_not_kept_as_if_the_nouns_had_given_it(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "names: {0: boats}\n")
    materialize(path)
    write(path, "names: {}\n")
    path = vector_store({"seed": 2})
    materialize(path)
    assert "boats" not in table(path, "clusters")["name"].to_list()


def test_growth_applies_an_edited_file_whole_and_learns_nothing(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "names: {0: boats}\n")
    materialize(path)
    image = table(path, "assignments").filter(pl.col("cluster_id") == 0)["image_id"][0]
    ids = table(path, "cluster_ids")
    write(path, f'names: {{0: "red <boats> | 1"}}\nmerge: [[1, 2]]\npins: {{{image}: 2}}\n')
    states = {status.step.name: status.state for status in all_status(load_project(path))}
    assert states["corrections"] == State.STALE
    assert {states[step.name] for step in LEARNING} == {State.FRESH}
    done = materialize(path, [step.name for step in GROWTH])
    assert {"corrections", "assignments", "clusters"} <= computed(done)
    check(path, image)
    assert table(path, "cluster_ids").equals(ids), "the ledger's ids are as they were"


def test_a_file_edited_while_a_run_goes_on_is_not_mixed_into_it(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "names: {0: boats}\nmerge: [[1, 2]]\n")
    names = [step.name for step in STEPS]
    materialize(path, names[: names.index("assignments")])
    write(path, "names: {0: ships}\n")
    materialize(path, names[names.index("assignments") :])
    assert table(path, "clusters").select("cluster_id", "name").row(0) == (0, "boats")
    assert set(table(path, "assignments")["cluster_id"]) == {0, 1}
    materialize(path, [step.name for step in GROWTH])
    assert table(path, "clusters")["name"][0] == "ships"
    assert set(table(path, "assignments")["cluster_id"]) == {0, 1, 2}


def test_comments_and_order_make_nothing_again(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "names: {0: boats, 1: cats}\n")
    materialize(path)
    write(path, "# checked\nnames:\n  1: cats\n  0: boats\n")
    assert computed(materialize(path)) == set()


def test_corrections_follow_a_group_that_vanished_and_came_back(vector_store: Writer) -> None:
    """Three groups, two of them joined, three again: the one that vanished has a new id, and its corrections."""
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "")
    materialize(path)
    members = {id_: set(part["image_id"]) for (id_,), part in table(path, "assignments").group_by("cluster_id")}
    path = vector_store({"clusters.count": 2})
    materialize(path)
    [gone] = set(members) - set(table(path, "cluster_ids")["cluster_id"])
    stranger = min(members[(gone + 1) % 3])
    text = f"names: {{{gone}: boats}}\npins: {{{stranger}: {gone}}}\n"
    write(path, text)
    materialize(path)
    facts = open_store(load_project(path)).require_current("corrections").artifact.facts
    assert (facts["names"], facts["pins"]) == (0, 1), "a pin follows the images; a name would name two groups"
    assert facts["unused"] == [f"names: no cluster is mostly {gone} any more"]
    path = vector_store({"clusters.count": 3, "seed": 1})
    materialize(path)
    back = table(path, "assignments").filter(pl.col("image_id").is_in(members[gone] - {stranger}))["cluster_id"]
    assert back.unique().to_list() == [3], "the ledger gives no id twice"
    found = {row["cluster_id"]: row for row in table(path, "clusters").iter_rows(named=True)}
    assert (found[3]["name"], found[3]["curated"]) == ("boats", True)
    assert table(path, "assignments").filter(image_id=stranger)["cluster_id"].to_list() == [3]
    facts = open_store(load_project(path)).require_current("corrections").artifact.facts
    assert facts["followed"] == [
        f"{gone} is no cluster any more; 20 of its 20 images are in 3 now, which has its name and its pin"
    ]
    assert (path.parent / "corrections.yaml").read_text() == text, "the file is the user's"


def test_a_store_that_kept_merges_in_its_ids_goes_on_with_the_ledgers(vector_store: Writer) -> None:
    """Earlier versions wrote merged ids into cluster_ids."""
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "merge: [[1, 2]]\n")
    materialize(path)
    before = table(path, "assignments")
    store = open_store(load_project(path))
    current = store.require_current("cluster_ids").artifact
    old = current.folder.with_name("0" * 20)
    current.folder.rename(old)
    merged = table_of(old).with_columns(pl.col("cluster_id").replace({2: 1}))
    merged.write_parquet(old / "cluster_ids.parquet")
    record = json.loads((old / "artifact.json").read_text())
    size = (old / "cluster_ids.parquet").stat().st_size
    record["files"]["cluster_ids.parquet"]["size"] = size
    (old / "artifact.json").write_text(json.dumps(record | {"content": "merged", "values": {"merge": [[2, 1]]}}))
    pointer = json.loads((old.parent / "current.json").read_text())
    (old.parent / "current.json").write_text(json.dumps(pointer | {"recipe": old.name, "version": "earlier"}))
    assert {"cluster_ids"} == computed(materialize(path, [step.name for step in LEARNING]))
    materialize(path)
    assert table(path, "assignments").equals(before)
    assert sorted(table(path, "cluster_ids")["cluster_id"]) == [0, 1, 2]


def table_of(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "cluster_ids.parquet")


def test_a_bad_file_is_refused_before_any_work(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    with pytest.raises(SettingsError, match="cannot read the file of corrections"):
        plan_run(load_project(path))
    write(path, "names: {3: cat}\n")
    with pytest.raises(InputError, match="no cluster ever had the id 3; ids go up to 2"):
        plan_run(load_project(path))
    write(path, "names: {2: cat}\n")
    assert plan_run(load_project(path)).steps
    materialize(path)
    path = vector_store({"seed": 4})
    write(path, "names: {2: cat}\nmerge: [[0, 9]]\n")
    with pytest.raises(InputError, match="no cluster ever had the id 9; ids go up to 2"):
        plan_run(load_project(path))


def test_the_first_step_of_a_job_refuses_a_bad_file_but_not_of_a_run_for_a_change(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    said: list[Progress] = []
    assert not run_steps(load_project(path), STEPS, listener=said.append)
    failed = [entry for entry in said if entry.event == "failed"]
    assert failed and all("cannot read the file of corrections" in entry.text for entry in failed)
    assert not [entry for entry in said if entry.event == "computed"]
    instance = dg.DagsterInstance.ephemeral()
    job = find_job(build_definitions(path), "grow")
    done = job.execute_in_process(
        instance=instance, raise_on_error=False, tags={"dagster/from_automation_condition": "true"}
    )
    assert done.asset_materializations_for_node("small__image_manifest"), "what new images need is done all the same"
    assert not done.is_node_success("small__corrections")


def test_a_damaged_ledger_stops_only_what_needs_it(vector_store: Writer) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "")
    materialize(path)
    (open_store(load_project(path)).ledger_folder / "000001/entry.json").write_text("")
    growth = [step.name for step in GROWTH]
    write(path, "names: {0: boats}\nmerge: [[1, 2]]\n")
    materialize(path, growth)
    assert table(path, "clusters")["name"][0] == "boats"
    write(path, "names: {3: boats}\n")
    with pytest.raises(ArtifactDamaged, match="restore it from a backup"):
        materialize(path, growth)
    assert table(path, "clusters")["name"][0] == "boats", "the result is as it was"


def test_dagster_notices_the_file_and_does_not_wait_for_a_look(vector_store: Writer) -> None:
    """The sensor's condition, asked as the daemon asks it: after the key is set, and after each look."""
    instance, definitions = dg.DagsterInstance.ephemeral(), build_definitions(vector_store())

    def ask(cursor: Any) -> tuple[set[str], Any]:
        found = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
        return {step.name for step in STEPS if found.get_num_requested(dg.AssetKey(["small", step.name]))}, found.cursor

    def look() -> None:
        assert find_job(definitions, "observe").execute_in_process(instance=instance).success

    def built(names: Iterable[str]) -> None:
        for name in names:
            instance.report_runless_asset_event(dg.AssetMaterialization(["small", name]))

    look()
    built(step.name for step in STEPS)
    cursor = ask(None)[1]
    path = vector_store({"corrections": "corrections.yaml"})
    write(path, "names: {0: boats}\n")
    definitions = build_definitions(path)
    due, cursor = ask(cursor)
    assert due == {step.name for step in descendants([find("corrections")])}, "nobody has looked at the file yet"
    built(due)
    look()
    built(due)
    cursor = ask(cursor)[1]
    look()
    write(path, "names: {0: ships}\n")
    assert ask(cursor)[0] == set(), "a look that found nothing asks for nothing"
    look()
    assert ask(cursor)[0] == due, "all results, and nothing learned"
