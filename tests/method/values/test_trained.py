"""The robust method's numbers: its rules at some important sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.method.values.published import TrainingSchedule
from tac_pipeline.method.values.trained import count_members, count_neighbors, robust_schedule


@pytest.mark.parametrize(
    ("n_images", "n_clusters", "epochs", "batch_size", "temperature"),
    [
        (60, 3, 50, 60, 0.5),
        (500, 10, 50, 125, 0.5),
        (2_000, 10, 50, 500, 0.5),
        (4_405, 37, 50, 1_024, 0.5),
        (5_681, 101, 50, 1_024, 1.0),
        (50_000, 200, 20, 1_024, 2.0),
        (200_000, 1_000, 20, 4_000, 2.0),
    ],
)
def test_the_schedule(n_images, n_clusters, epochs, batch_size, temperature) -> None:
    assert robust_schedule(n_images, n_clusters) == TrainingSchedule(epochs, batch_size, temperature)


def test_what_is_given_overrules_the_rules() -> None:
    assert robust_schedule(500, 10, epochs=3, batch_size=7, temperature=9.0) == TrainingSchedule(3, 7, 9.0)
    assert count_neighbors(500, 10, count=80) == 80
    assert count_members(500, members=1) == 1


@given(n_images=st.integers(2, 10**6), n_clusters=st.integers(2, 5000))
def test_every_size_gets_values_in_range(n_images, n_clusters) -> None:
    schedule = robust_schedule(n_images, n_clusters)
    assert 20 <= schedule.epochs <= 50
    assert 2 <= schedule.batch_size <= n_images
    assert 3 <= count_neighbors(n_images, n_clusters) <= 50
    assert 2 <= count_members(n_images) <= 6
