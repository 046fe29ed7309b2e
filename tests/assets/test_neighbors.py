"""Both methods end to end on a small store: what the text weight says, and the way back at no cost."""

from collections.abc import Callable
from pathlib import Path

from assets_helpers import materialize

from assets.engine.execute import open_store
from assets.lookups.status import State, all_status
from tac_pipeline.settings.project import load_project


def facts(path: Path, name: str) -> dict:
    return open_store(load_project(path)).require_current(name).artifact.facts


def test_the_robust_method_says_the_weight_of_the_words(vector_store: Callable[..., Path]) -> None:
    path = vector_store()
    materialize(path)
    found = facts(path, "text_weight")
    assert found["choice"].startswith("weight 0.7 beside the images' 1; the words know these images")
    assert found["words_agree"] > 0.9 > found["turned_nouns_agree"]
    assert facts(path, "image_neighbors")["recall"] == 1
    assert facts(path, "text_neighbors")["count"] == 0
    assert facts(path, "text_counterparts")["tau"] > 0.005
    scores = facts(path, "evaluation")
    assert scores["trained_nmi"] > 0.99
    assert 0 <= scores["calibration_error"] < 0.2
    assert scores["sure_and_right"] == scores["sure_and_of_the_commonest_class"] == 1


def test_the_trained_method_says_how_far_the_words_were_heard(vector_store: Callable[..., Path]) -> None:
    path = vector_store({"method": "trained"})
    materialize(path)
    found = facts(path, "text_weight")
    assert found["choice"].startswith("the words helped: weight 1, because of an image's nearest images")
    assert (found["heads"], found["training_free"]) == (1.0, 0.7)
    assert facts(path, "cluster_heads")["fell_back"] is False
    assert facts(path, "evaluation")["trained_nmi"] > 0.99


def test_a_given_weight_is_taken(vector_store: Callable[..., Path]) -> None:
    path = vector_store({"blend.text_weight": 0.0})
    materialize(path)
    assert facts(path, "text_weight")["choice"] == "the settings give the words weight 0"
    assert facts(path, "evaluation")["trained_nmi"] > 0.99


def test_published_and_back(vector_store: Callable[..., Path]) -> None:
    materialize(vector_store())
    path = vector_store({"method": "published"})
    materialize(path)
    assert facts(path, "text_weight")["choice"].startswith("as published")
    assert facts(path, "evaluation")["trained_nmi"] > 0.99
    path = vector_store({"method": "robust"})
    states = {entry.state for entry in all_status(load_project(path))}
    assert states <= {State.FRESH, State.REUSABLE}
