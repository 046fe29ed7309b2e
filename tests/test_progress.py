"""Progress: what a loop says of its end, and when."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tac_pipeline.progress import Pace, RateLog, duration, watching


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def walk(
    seconds: Iterator[float], *, total: int, batch: int, every: float = 1e9
) -> tuple[list[Pace], list[str], list[float]]:
    """A loop whose batches take these seconds: what a watcher is told, what is logged, and when each was told."""
    clock, told, logged, times = Clock(), [], [], []

    def hear(pace: Pace) -> None:
        told.append(pace)
        times.append(clock.now)

    with watching(hear):
        log = RateLog(logged.append, "nouns", every=every, clock=clock)
        for done in range(batch, total + 1, batch):
            clock.now += next(seconds)
            log(done, total)
    return told, logged, times


def steady(first: float, rest: float) -> Iterator[float]:
    return itertools.chain([first], itertools.repeat(rest))


@pytest.mark.parametrize(
    "seconds",
    [
        lambda: steady(0.5, 0.5),
        lambda: steady(17.0, 0.05),  # a model is loaded in the first batch
        lambda: (0.2 + 0.1 * (n % 3) for n in itertools.count()),  # uneven
        lambda: (0.1 + n / 4000 for n in itertools.count()),  # ever slower
    ],
)
def test_estimates_are_right_within_a_factor_of_two_after_a_tenth(seconds: Callable[[], Iterator[float]]) -> None:
    told, _, times = walk(seconds(), total=64_000, batch=64)
    end = times[-1]
    late = [(pace, when) for pace, when in zip(told, times, strict=True) if 0.1 <= pace.done / pace.total <= 0.95]
    assert len(late) > 50
    for pace, when in late:
        assert pace.left is not None
        assert 0.5 <= pace.left / (end - when) <= 2, pace


def test_nothing_is_said_of_the_end_before_there_is_evidence() -> None:
    told, _, _ = walk(steady(17.0, 0.6), total=6_400, batch=64)
    assert [pace.left for pace in told[:4]] == [None] * 4
    assert str(told[0]) == "64 of 6,400 nouns"
    assert told[4].left is not None


def test_a_line_says_how_far_how_fast_and_how_long() -> None:
    assert str(Pace("images", 1_000, 9_000, 80.0)) == "1,000 of 9,000 images, 80/s, about 100 s left".replace(
        "100 s", "2 min"
    )
    assert str(Pace("images", 1, 9, 0.25)) == "1 of 9 images, 0.25/s, about 32 s left"


def test_a_log_of_hours_has_few_lines() -> None:
    _, logged, _ = walk(steady(1.0, 1.0), total=20_000, batch=1, every=10.0)
    assert 20 < len(logged) < 150


def test_short_loops_log_nothing() -> None:
    _, logged, _ = walk(steady(0.1, 0.1), total=50, batch=1, every=10.0)
    assert logged == []


def test_what_is_kept_of_a_long_loop_is_bounded() -> None:
    clock = Clock()
    log = RateLog(lambda _: None, "images", clock=clock)
    for done in range(100_000):
        clock.now += 0.5
        log(done, 100_000)
    assert len(log._calls) <= 513


@pytest.mark.parametrize(("seconds", "text"), [(0.42, "0.4 s"), (12, "12 s"), (200, "3 min"), (9000, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
