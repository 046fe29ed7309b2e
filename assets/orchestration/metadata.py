"""What the UI shows: an asset's columns, description and metadata, and the message of an error of ours."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from assets.engine.execute import Outcome
from assets.engine.step import Step
from assets.graph import STEPS
from assets.ui import previews
from tac_pipeline.errors import TacError
from tac_pipeline.failures import TRACES_NAME, tell
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import PUBLISHED_NAME, Artifact
from tac_pipeline.store.parquet import TableSchema


def asset_key(name: str, project: Project) -> dg.AssetKey:
    """[store, asset]: keys are global to a Dagster instance, so two stores never share one.

    What is about the images has one key for all groupings of a store.
    """
    return dg.AssetKey([project.owner_of(name).settings.store, name])


def step_names(project: Project) -> dict[str, str]:
    """What people call the steps, by the names that Dagster gives them: those of a grouping name it."""
    return {
        asset_key(name, one).to_python_identifier(): f"{one.grouping}: {name}" if one.grouping else name
        for one in reversed(project.family)
        for name in (*(step.name for step in STEPS), PUBLISHED_NAME)
    }


def outcome_metadata(outcome: Outcome) -> Iterator[tuple[str, Any]]:
    """What the UI shows about a materialization, the most wanted first; numbers are plotted over time."""
    artifact = outcome.artifact
    for label, note in artifact.record["notes"].items():
        yield from _show_note(label, note, artifact)
    if artifact.rows is not None:
        yield "dagster/row_count", artifact.rows
    for name, value in artifact.facts.items():
        # A flag that is false is not shown.
        if isinstance(value, bool | int | float | str) and value is not False:
            yield _label(name), float(f"{value:.6g}") if isinstance(value, float) else value
    yield "seconds", round(outcome.seconds, 3)
    yield "reused", outcome.reused
    yield "path", dg.MetadataValue.path(str(artifact.folder))
    yield "made from", dg.MetadataValue.json({"values": artifact.record["values"], "inputs": artifact.record["inputs"]})


def _label(fact: str) -> str:
    """The name of a fact in words."""
    return (f"number of {fact[2:]}" if fact.startswith("n_") else fact).replace("_", " ")


def _show_note(label: str, note: Mapping[str, str], artifact: Artifact) -> Iterator[tuple[str, Any]]:
    if "markdown" in note:
        whole = note["markdown"]
        shown = previews.shorten(whole)
        yield label, dg.MetadataValue.md(shown)
        if shown != whole:
            yield f"more {label}", dg.MetadataValue.md(whole)
    elif "page" in note:
        yield label, dg.MetadataValue.md(artifact.file(note["page"]).read_text(encoding="utf-8"))
    else:
        encoded = base64.b64encode(artifact.file(note["picture"]).read_bytes()).decode()
        yield label, dg.MetadataValue.md(f"![{label}](data:image/png;base64,{encoded})")


def column_schema(
    schema: TableSchema, made_of: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> dg.TableSchema:
    """A table's columns as the UI shows them; `made_of` has pairs of an asset and its column.

    Dagster's own page of the lineage of columns is not part of its open-source UI, so the description tells it.
    """
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                "fixed_size_list<float16>" if column.type is None else _type_name(column.type),
                description=_meaning(column.meaning, (made_of or {}).get(column.name, ())),
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=column.name == schema.key),
            )
            for column in schema.columns
        ]
    )


def _meaning(meaning: str, made_of: Sequence[tuple[str, str]]) -> str:
    return f"{meaning}; from {', '.join(f'{asset}.{name}' for asset, name in made_of)}" if made_of else meaning


def _type_name(type_: Any) -> str:
    """Arrow's name of a column type, with the width of floats spelled out."""
    name = str(type_).replace("item: ", "")
    return {"float": "float32", "double": "float64"}.get(name, name)


def describe_step(step: Step) -> str:
    """The description of an asset, with the settings that it reads."""
    settings = ", ".join(f"`{name}`" for name in step.settings)
    return f"{step.description}\n\nSettings: {settings}." if settings else step.description


@contextmanager
def refusals(project: Project) -> Iterator[None]:
    """Turns any error into a failure whose text is a sentence; the trace of one that nobody expected is in a file."""
    try:
        yield
    except Exception as error:
        raise dg.Failure(
            description=tell(error, project.data_folder / TRACES_NAME), allow_retries=not isinstance(error, TacError)
        ) from error
