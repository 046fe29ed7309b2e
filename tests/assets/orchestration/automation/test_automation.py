"""What happens automatically, with the real daemon and webserver: nobody presses a button here."""

import json

from automatic import (
    AUTOMATION,
    LAG,
    add_image,
    chosen,
    ended,
    no_look_soon,
    published,
    runs,
    settle,
    since,
    tac,
    wait,
    why,
    with_image,
)
from command_line import below
from ui_server import Ui
from waiting import wait_for

from assets.graph import GROWTH
from assets.orchestration.publishing import PUBLISHED

COUNTERPARTS_DOWN = below("text_counterparts") | {PUBLISHED}


def test_schedules_and_sensors_are_there_and_switched_on(ui: Ui) -> None:
    [entry] = ui.ask(AUTOMATION)["workspaceOrError"]["locationEntries"]
    [repository] = entry["locationOrLoadError"]["repositories"]
    states = {found["name"]: found["state"]["status"] for found in (*repository["schedules"], *repository["sensors"])}
    names = ["observe_on_schedule", "refresh", "unfinished", "dead_runs", "history", "uploads", "alerts"]
    assert states == dict.fromkeys(names, "RUNNING")


def test_a_new_store_builds_itself_and_is_published(ui: Ui) -> None:
    found = published(ui)
    assert found is not None and len(found) == 60, [why(ui, run_id) for run_id in runs(ui)]
    assert ui.stale() == {}
    latest = json.loads((ui.settings.parent / "shared/small/latest.json").read_text(encoding="utf-8"))
    assert latest["version"] == 1


def test_an_image_that_is_added_and_edited_corrections_appear_together(ui: Ui) -> None:
    """Nobody touches the settings: the file of corrections is looked at together with the images."""
    before = set(runs(ui))
    text = "names: {0: boats}\nmerge: [[1, 2]]\npins: {image-000: 2, image-020: 2, image-040: 2}\n"
    # A look that goes on meanwhile would see the one and not the other.
    wait_for(lambda: no_look_soon(ui) or None, what="the time between two looks")
    (ui.settings.parent / "corrections.yaml").write_text(text, encoding="utf-8")
    add_image(ui, "late")
    found = wait(ui, lambda: with_image(ui, "late"), what="the new image to be assigned")
    assert found["cluster_id"].null_count() == 0
    names = dict(found.select("cluster_id", "cluster_name").unique().iter_rows())
    assert names.keys() == {0, 1}, "merged"
    assert names[0] == "boats"
    pinned = found.filter("curated").sort("image_id").select("image_id", "cluster_id").rows()
    assert pinned == [("image-000", 1), ("image-020", 1), ("image-040", 1)]
    settle(ui)
    made = [chosen(run) for run in since(ui, before).values()]
    assert made == [{*(step.name for step in GROWTH), PUBLISHED}], "one run, nothing relearned"
    assert ui.stale() == LAG


def test_a_setting_edited_by_tac_set_reruns_exactly_what_lies_below_once(ui: Ui) -> None:
    before, stale = set(runs(ui)), ui.stale()
    said = tac(ui, "set", "retrieval.tau=0.02")
    assert "retrieval.tau: 0.005 -> 0.02" in said
    assert "has read the settings again" in said
    assert f"a run computes {len(COUNTERPARTS_DOWN - {PUBLISHED})} assets" in said
    wait(ui, lambda: ended(ui, before), what="the run after the edit")
    settle(ui)
    assert ui.stale() == stale
    # Two runs when somebody looked at the corrections at that moment.
    made = [name for run in since(ui, before).values() for name in chosen(run)]
    assert sorted(made) == sorted(COUNTERPARTS_DOWN)
