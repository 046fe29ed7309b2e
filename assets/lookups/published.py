"""The published versions of a store: what is kept of each here, and where publication.to says."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from assets.engine.execute import open_store
from tac_pipeline.errors import TacError
from tac_pipeline.settings.project import Project
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.bringing import READ_BY
from tac_pipeline.store.publishing.elsewhere import destination_of, look_there


@dataclass(frozen=True)
class Row:
    """One version.

    Attributes
    ----------
    version : int
    made : datetime
    here, there : str
        `readers have it`, `whole`, `changes` (old versions keep only these), `not whole yet`, or empty for nothing.
    repeats : int or None
        The older version that it repeats.
    """

    version: int
    made: datetime
    here: str
    there: str
    repeats: int | None


@dataclass(frozen=True)
class Publications:
    """All versions, the newest first; the other place, and why it could not be asked."""

    rows: list[Row]
    place: str | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = [{**asdict(row), "made": row.made.isoformat(timespec="seconds")} for row in self.rows]
        return {"versions": rows, "place": self.place, "problem": self.problem}


def list_publications(project: Project) -> Publications:
    """The versions of a store or grouping; a place that does not answer is told in `problem`.

    Raises
    ------
    ArtifactDamaged
        What is published here cannot be read.
    """
    place, problem = destination_of(project), None
    there: dict[int, str] = {}
    try:
        there = {} if place is None else look_there(project, place)
    except TacError as error:
        problem = str(error)
    versions = Publication(open_store(project).published_folder).versions()
    rows = [
        Row(
            version.number,
            datetime.fromtimestamp(version.made_at).astimezone(),
            READ_BY if version is versions[-1] else "whole" if version.whole else "changes",
            there.get(version.number, ""),
            version.rolled_back_to,
        )
        for version in reversed(versions)
    ]
    return Publications(rows, place, problem)
