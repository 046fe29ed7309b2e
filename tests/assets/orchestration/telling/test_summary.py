"""The summary of a run: figures that Dagster plots, made once for each result."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from assets_helpers import materialize, table

from assets.engine.execute import open_store
from assets.orchestration import publishing
from assets.orchestration.publishing import Decision, decision_metadata
from assets.orchestration.telling import summary
from assets.orchestration.telling.summary import read_summary
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]


def publish(path: Path) -> Decision:
    return publishing.publish(load_project(path), by_hand=True)


def test_a_run_shows_figures_that_dagster_plots(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    shown = dg.AssetMaterialization("published", metadata=decision_metadata(publish(path))).metadata
    sizes = table(path, "clusters")["size"]
    figures = {
        "groups": 3,
        "images in groups": 60,
        "largest group": sizes.max(),
        "median group": sizes.median(),
        "smallest group": sizes.min(),
        "share of the largest group": pytest.approx(sizes.max() / 60, abs=1e-5),  # type: ignore[operator]
        "ids kept": 0,
        "ids born": 3,
        "ids gone": 0,
        "share of unreadable images": 0.0,
        "images newer than the groups": 0,
        "version": 1,
    }
    for name, value in figures.items():
        assert isinstance(shown[name], dg.IntMetadataValue | dg.FloatMetadataValue), name
        assert shown[name].value == value, name


def test_the_same_result_is_looked_at_once(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vector_store()
    materialize(path)
    looks: list[str] = []
    made = summary._made

    def counted(*arguments: Any) -> Any:
        looks.append("made")
        return made(*arguments)

    monkeypatch.setattr(summary, "_made", counted)
    first, second = publish(path).summary, publish(path).summary
    assert looks == ["made"]
    assert first is not None and second is not None
    assert (first.key, first.numbers) == (second.key, second.numbers)
    assert read_summary(open_store(load_project(path))) == second


@pytest.mark.parametrize("text", ["", "[]", '{"key": 1, "other": 2}'])
def test_a_summary_that_cannot_be_read_is_made_again(vector_store: Writer, text: str) -> None:
    path = vector_store()
    materialize(path)
    kept = open_store(load_project(path)).telling_folder / "summary.json"
    whole = publish(path).summary
    kept.write_text(text)
    assert read_summary(open_store(load_project(path))) is None
    again = publish(path).summary
    assert whole is not None and again is not None and again.numbers == whole.numbers
    assert json.loads(kept.read_text())["key"] == whole.key
