"""Text-Aided Clustering, steps 3 to 10 of the paper: pure functions on arrays, every random choice seeded.

    recipe.py    what a method is: named pieces, and the walk that computes what is asked for
    robust.py    groups in whitened spaces      paper.py     the method as published
    trained.py   heads trained and joined
    values/      the fixed numbers of each      grouping/    k-means, joins, neighbors
    words/       nouns, counterparts, names     heads/       cluster heads and their training
    clusters/    what clusters are beside others

A method is one file and one entry below, or an entry point of another package (docs/how-to/add-a-method.md). Importing
this package imports none of it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from tac_pipeline.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tac_pipeline.method.recipe import Method

# What the settings file calls a method: the module and the name of its Method. The first is the default.
METHODS: dict[str, tuple[str, str]] = {
    "robust": ("tac_pipeline.method.robust", "ROBUST"),
    "published": ("tac_pipeline.method.paper", "PAPER"),
    "trained": ("tac_pipeline.method.trained", "TRAINED"),
}


# The group of entry points by which other packages bring methods.
ENTRY_POINTS = "tac_pipeline.methods"


@cache
def _brought() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in METHODS}


def method_names() -> tuple[str, ...]:
    """The names of all methods: our own, then those that other packages bring."""
    return (*METHODS, *sorted(_brought()))


def load_method(name: str) -> Method:
    """The method of a name in method_names().

    Raises
    ------
    InputError
        Another package brings it, and it cannot be imported, or is not a Method of that name.
    """
    if name in METHODS:
        module, variable = METHODS[name]
        found: Method = getattr(import_module(module), variable)
        return found
    return _load_brought(name)


@cache
def _load_brought(name: str) -> Method:
    from tac_pipeline.method.recipe import Method

    point = _brought()[name]
    try:
        found = point.load()
    except Exception as error:
        raise InputError(f"the method {name!r} ({point.value}) cannot be imported: {error}") from error
    if not isinstance(found, Method) or found.name != name:
        raise InputError(
            f"the entry point {name!r} of {ENTRY_POINTS} must be a tac_pipeline.method.recipe.Method that is named so; "
            f"{point.value} is {getattr(found, 'name', found)!r}"
        )
    return found
