"""Known classes: what people call some groups already, and the images that they give as examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import IntVector
from tac_pipeline.errors import InputError, first_few

NO_CLASS = -1
# The longest name of a class, as of a noun.
LONGEST_NAME = 300
SHOWN = 3


@dataclass(frozen=True)
class KnownClasses:
    """The known classes among some images.

    Attributes
    ----------
    names : tuple of str
        Of the classes, in order; no two are alike, even in another case.
    classes : int64 (n_images,)
        The place in names of the class that each image is an example of, or NO_CLASS. Every class has an example.
    """

    names: tuple[str, ...]
    classes: IntVector


def find_classes(labels: Sequence[str | None]) -> KnownClasses:
    """The classes of labels, one for each image, None for an image that is no example.

    Raises
    ------
    InputError
        No image has a label, or a label cannot name a group.
    """
    written = [None if label is None or not label.strip() else label.strip() for label in labels]
    names = sorted({label for label in written if label is not None})
    if not names:
        raise InputError("known classes need at least one example; no image has a label")
    require_names(names)
    places = {name: place for place, name in enumerate(names)}
    classes = [NO_CLASS if label is None else places[label] for label in written]
    return KnownClasses(tuple(names), np.array(classes, dtype=np.int64))


def require_names(names: Sequence[str]) -> None:
    """Raise InputError when a name is too long, has characters that cannot be shown, or is another in other case."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InputError(
                f"the name of a known class must have at most {LONGEST_NAME} characters that can be shown; got "
                f"{first_few(name, 60, separator='')!r}"
            )
        spellings[name.lower()].append(name)
    alike = next((found for found in spellings.values() if len(found) > 1), None)
    if alike is not None:
        raise InputError(
            f"no two known classes may have one name; {' and '.join(map(repr, alike[:SHOWN]))} differ only in case. "
            "Write them alike if they are one class."
        )
