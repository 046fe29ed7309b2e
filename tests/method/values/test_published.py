"""The schedule of the training, by the number of clusters."""

from tac_pipeline.method.values.published import LARGE_K, TrainingSchedule, training_schedule


def test_the_schedule_turns_at_large_k() -> None:
    assert training_schedule(LARGE_K - 1) == TrainingSchedule(epochs=20, batch_size=512, temperature=0.5)
    assert training_schedule(LARGE_K) == TrainingSchedule(epochs=100, batch_size=8192, temperature=5.0)


def test_given_values_overrule_published_ones_each_by_itself() -> None:
    assert training_schedule(10, epochs=3) == TrainingSchedule(3, 512, 0.5)
    assert training_schedule(10, batch_size=64) == TrainingSchedule(20, 64, 0.5)
    assert training_schedule(200, temperature=1.0) == TrainingSchedule(100, 8192, 1.0)
