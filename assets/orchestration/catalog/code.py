"""Where the code and the settings of an asset are."""

import inspect
from collections.abc import Callable
from typing import Any

import dagster as dg

from tac_pipeline.settings.project import Project


def code_references(function: Callable[..., Any], project: Project) -> dict[str, Any]:
    """The metadata by which Dagster links an asset to the function that makes it, and to its settings file.

    Dagster's own `with_source_code_references` would name the one function that runs every step.
    """
    code = inspect.unwrap(function).__code__
    references: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = [
        dg.LocalFileCodeReference(file_path=code.co_filename, line_number=code.co_firstlineno),
        dg.LocalFileCodeReference(file_path=str(project.path), line_number=1, label=project.path.name),
    ]
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}
