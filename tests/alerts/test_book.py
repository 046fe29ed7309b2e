"""What is up and who knows of it: each cause is told once to everybody, and once more when it is over."""

from pathlib import Path

import pytest

from tac_pipeline.alerts.book import (
    FAILED,
    FORGOTTEN_SECONDS,
    KEPT_RUNS,
    KEPT_SECONDS,
    LONGEST_PAUSE,
    Book,
    Cause,
    failure_key,
    read_book,
    write_book,
)
from tac_pipeline.settings.outside import CAUSES


def failed(*steps: str, sentence: str = "it broke", at: float = 1.0, run: str | None = None) -> Cause:
    key = failure_key(sentence, steps)
    return Cause(FAILED, "photos", key, sentence, at, at, waits_for=list(steps), run=run)


def drifted(at: float, sentence: str = "they do not fit") -> Cause:
    return Cause("drift", "photos", "drift", sentence, at, at)


def tell(book: Book, *channels: str, at: float = 0.0, fails: tuple[str, ...] = ()) -> dict[str, list[tuple[str, bool]]]:
    """Tell all that is wanted; what each channel got, as (cause, over)."""
    wanted = book.wanted(channels, CAUSES, at=at)
    arrived = {name: [one.id for one in messages] for name, messages in wanted.items() if name not in fails}
    book.enter(arrived, [name for name in wanted if name in fails], at=at)
    book.tidy(channels, at=at)
    return {name: [(one.cause, one.over) for one in messages] for name, messages in wanted.items() if name not in fails}


def test_a_cause_is_told_once_and_once_when_it_is_over() -> None:
    book = Book()
    for at in (1.0, 2.0, 3.0):
        book.settle("photos", CAUSES, [drifted(at, f"seen at {at}")], at=at)
        assert tell(book, "webhook", at=at) == ({"webhook": [("drift", False)]} if at == 1.0 else {})
    assert (book.open[0].since, book.open[0].seen_at, book.open[0].sentence) == (1.0, 3.0, "seen at 3.0")
    book.settle("photos", CAUSES, [], at=4.0)
    [over] = book.wanted(["webhook"], CAUSES, at=4.0)["webhook"]
    assert over.sentence == "It is over. It was: seen at 3.0"
    assert tell(book, "webhook", at=4.0) == {"webhook": [("drift", True)]}
    assert book.causes == []
    book.settle("photos", CAUSES, [drifted(5.0)], at=5.0)
    assert tell(book, "webhook", at=5.0) == {"webhook": [("drift", False)]}, "it is there again"


def test_each_message_has_its_own_id_and_keeps_it() -> None:
    book = Book()
    book.note(failed("a", at=1.0))
    first = book.wanted(["webhook"], CAUSES, at=1.0)["webhook"][0].id
    assert book.wanted(["webhook"], CAUSES, at=99.0)["webhook"][0].id == first
    book.done(["a"], at=2.0)
    over = book.wanted(["webhook"], CAUSES, at=2.0)["webhook"][0].id
    book.note(failed("a", at=3.0))
    assert len({first, over, book.open[0].message(at=3.0).id}) == 3


def test_failures_that_differ_in_figures_only_are_one() -> None:
    book = Book()
    for number in (12, 13):
        book.note(failed("a", sentence=f"{number} of 99 files are gone; the trace is in x/2026-01-{number}-3fa9c1.txt"))
    book.note(failed("a", sentence="the disk is full"))
    book.note(failed("b", sentence="the disk is full"))
    assert len(book.causes) == 3


def test_a_failure_is_over_when_all_its_steps_succeeded() -> None:
    book = Book()
    book.note(failed("a", "b"))
    book.done(["a", "c"], at=2.0)
    assert book.failures[0].waits_for == ["b"]
    book.done(["b"], at=3.0)
    assert (book.failures, book.causes[0].over_at) == ([], 3.0)
    book.note(drifted(1.0))
    book.done(["drift"], at=4.0)
    assert [cause.kind for cause in book.open] == ["drift"], "only failures wait for steps"


def test_what_another_store_or_kind_has_is_not_over() -> None:
    book = Book()
    book.note(Cause("drift", "photos.style", "drift", "x", 1.0, 1.0))
    book.note(failed("a"))
    book.note(drifted(1.0))
    book.settle("photos", ["drift", "held"], [], at=2.0)
    assert [(cause.store, cause.kind) for cause in book.open] == [("photos.style", "drift"), ("photos", "failed")]


def test_who_could_not_be_told_is_told_later_and_the_others_only_once() -> None:
    book = Book()
    book.note(drifted(1.0))
    assert tell(book, "webhook", "email", at=1.0, fails=("email",)) == {"webhook": [("drift", False)]}
    assert book.wanted(["webhook", "email"], CAUSES, at=2.0) == {}, "it was just tried"
    assert set(book.wanted(["email"], CAUSES, at=2.0, patient=False)) == {"email"}
    assert tell(book, "webhook", "email", at=40.0) == {"email": [("drift", False)]}
    assert book.pauses == {}


def test_pauses_grow_and_end() -> None:
    book, at, waits = Book(), 0.0, []
    book.note(drifted(1.0))
    for _ in range(8):
        tell(book, "webhook", at=at, fails=("webhook",))
        start = at
        while not book.wanted(["webhook"], CAUSES, at=at):
            at += 10.0
        waits.append(at - start)
    assert waits == [30, 60, 120, 240, 480, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_what_was_over_before_anybody_could_be_told_is_told_as_over() -> None:
    book = Book()
    book.note(failed("a"))
    tell(book, "webhook", at=1.0, fails=("webhook",))
    book.done(["a"], at=2.0)
    assert tell(book, "webhook", at=99.0) == {"webhook": [("failed", True)]}
    assert book.causes == []


def test_kinds_that_nobody_wants_to_hear_of_are_not_told() -> None:
    book = Book()
    book.note(drifted(1.0))
    assert book.wanted(["webhook"], ["failed"], at=1.0) == {}
    assert set(book.wanted(["webhook"], ["drift"], at=1.0)) == {"webhook"}


def test_the_book_stays_small() -> None:
    book = Book(runs=[str(number) for number in range(KEPT_RUNS + 100)])
    book.note(failed("gone", at=1.0))
    book.note(failed("over", sentence="another", at=1.0))
    book.done(["over"], at=2.0)
    book.tidy(["webhook"], at=2.0 + KEPT_SECONDS + 1)
    assert [cause.waits_for for cause in book.causes] == [["gone"]]
    book.tidy(["webhook"], at=2.0 + FORGOTTEN_SECONDS)
    assert book.causes == []
    assert (len(book.runs), book.runs[-1]) == (KEPT_RUNS, str(KEPT_RUNS + 99))


def test_a_book_is_kept_whole(tmp_path: Path) -> None:
    book = Book(runs=["r"], looked_at=3.5)
    book.note(failed("a", sentence="ä", run="r"))
    tell(book, "webhook", "email", fails=("email",), at=7.0)
    write_book(tmp_path, book)
    assert read_book(tmp_path) == book


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"causes": [{}], "runs": [], "looked_at": 0, "pauses": {}}'])
def test_a_book_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    assert read_book(tmp_path) is None
    (tmp_path / "alerts.json").write_text(text)
    assert read_book(tmp_path) is None
