"""What the automation does, with the real daemon and webserver, when a run is stopped, fails or is killed."""

import os
import signal

from automatic import (
    ENDS,
    EPOCHS,
    LAG,
    add_image,
    begun,
    chosen,
    end_of,
    ended,
    kills_told,
    look_no_more,
    process_of,
    published,
    runs,
    settle,
    since,
    tac,
    taken_up,
    terminated_learning,
    training,
    wait,
    with_image,
)
from command_line import below
from ui_server import Ui
from waiting import wait_for

from assets.orchestration.publishing import PUBLISHED

HEADS_DOWN = below("cluster_heads") | {PUBLISHED}


def test_a_learning_that_was_terminated_holds_up_no_image_and_is_taken_up(ui: Ui) -> None:
    before = set(runs(ui))
    stopped = terminated_learning(ui)
    add_image(ui, "meanwhile")
    found = wait(ui, lambda: with_image(ui, "meanwhile"), what="the image to be assigned")
    assert found["cluster_id"].null_count() == 0
    wait(ui, lambda: taken_up(ui, before), what="the learning to be taken up")
    settle(ui)
    # The image came before the learning was taken up, or after.
    assert ui.stale() in ({}, LAG)
    # A look at the source may just have been asked for.
    ends = [run["status"] for run_id, run in runs(ui).items() if run_id not in before and run_id != stopped]
    assert {status for status in ends if status in ENDS} == {"SUCCESS"}


def test_a_step_that_fails_is_left_alone_until_something_changes(ui: Ui) -> None:
    # A failed learning is taken up at the next look at the source.
    look_no_more(ui)
    before, readers = set(runs(ui)), published(ui)
    tac(ui, "set", "clusters.count=500")
    failed = wait_for(lambda: ended(ui, before), what="the run that must fail")
    assert failed["status"] == "FAILURE"
    settle(ui)
    assert list(since(ui, before)) == [failed["runId"]]
    now = published(ui)
    assert readers is not None and now is not None and now.equals(readers), "readers keep what they had"
    known = set(runs(ui))
    tac(ui, "set", "clusters.count=3")
    wait(ui, lambda: ended(ui, known), what="the run after the mend")
    assert ui.stale() in ({}, LAG)


def test_a_run_that_was_killed_is_told_and_automation_goes_on(ui: Ui) -> None:
    # So that the slow learning is not taken up once more before the edit below.
    look_no_more(ui)
    before, killed = set(runs(ui)), set[str]()
    tac(ui, "set", "heads.epochs=1000000")
    # It is started again once and continues; then it is not tried again.
    for attempt in (1, 2):
        run = wait_for(lambda: begun(ui, before | killed), what=f"slow run {attempt}")
        wait(ui, lambda run=run: training(ui, run) or None, what="the slow step")
        os.kill(process_of(ui), signal.SIGKILL)
        killed.add(run)
        assert end_of(ui, run) == "FAILURE"
    tac(ui, "set", f"heads.epochs={EPOCHS + 1}")
    mended = wait(ui, lambda: ended(ui, before | killed), what="automation after the crash")
    assert chosen(mended) == HEADS_DOWN
    assert ui.stale() in ({}, LAG)
    wait(ui, lambda: kills_told(ui, "over") or None, what="the alerts")
    assert len(kills_told(ui, "over")) == 1, "two kills in one step are one cause"
    # What is over before anybody looks is only told as over.
    assert len(kills_told(ui, "open")) <= 1
