"""Text-Aided Clustering, steps 3 to 10 of the paper: pure functions on arrays, every random choice seeded.

    recipe.py    what a method is: named pieces, and the walk that computes what is asked for
    robust.py    groups in whitened spaces      paper.py     the method as published
    trained.py   heads trained and joined
    values/      the fixed numbers of each      grouping/    k-means, joins, neighbors
    words/       nouns, counterparts, names     heads/       cluster heads and their training
    clusters/    what clusters are beside others

A method is one file and one entry below. Importing this package imports none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tac_pipeline.method.recipe import Method

# What the settings file calls a method: the module and the name of its Method. The first is the default.
METHODS: dict[str, tuple[str, str]] = {
    "robust": ("tac_pipeline.method.robust", "ROBUST"),
    "published": ("tac_pipeline.method.paper", "PAPER"),
    "trained": ("tac_pipeline.method.trained", "TRAINED"),
}


def load_method(name: str) -> Method:
    """The method of a name in METHODS."""
    module, variable = METHODS[name]
    found: Method = getattr(import_module(module), variable)
    return found
