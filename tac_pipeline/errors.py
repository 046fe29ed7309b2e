"""Every error that this project raises on purpose.

    TacError
    ├── SettingsError            the settings file: unreadable, an unknown key, a value out of range
    ├── InputError (ValueError)  data from the caller: shapes, NaN, duplicates, a missing column
    │   └── SourceError          the image source: absent, empty, cannot be listed
    ├── EncoderError             weights that cannot be loaded, an activation that does not fit, mixed encoders
    ├── StoreError               the artifact store
    │   ├── ArtifactMissing      never built; names the asset to materialize
    │   ├── ArtifactOutdated     built for other settings; names the asset to materialize
    │   └── ArtifactDamaged      a file was deleted, cut short or changed by hand
    ├── ComputeError             a cluster that does not answer, workers that cannot work or were lost
    ├── UiError                  `tac ui` cannot start: its port, its address, or another UI that runs
    └── MissingDependency        an optional package is absent; says what to install

A message says what must hold, what came and where, and the next thing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class TacError(Exception):
    """The root: catch it to catch everything that this project raises on purpose."""


class SettingsError(TacError):
    """The settings cannot be used; names the file, the line and the key."""


class InputError(TacError, ValueError):
    """Data from the caller breaks its contract."""


class SourceError(InputError):
    """The image source is absent, empty, or cannot be listed."""


class EncoderError(TacError):
    """An encoder cannot be loaded, or vectors of two encoders would be mixed."""


class StoreError(TacError):
    """The artifact store cannot read or write something."""


class ArtifactMissing(StoreError):
    """The artifact was never built; the message names the asset to materialize."""


class ArtifactOutdated(StoreError):
    """The artifact was built for other settings; the message names the asset to materialize."""


class ArtifactDamaged(StoreError):
    """A file was deleted, cut short, or has other bytes than were written.

    Attributes
    ----------
    file : Path or None
        The file whose bytes are wrong; None when that is not certain, such as where it could not be opened.
    """

    def __init__(self, message: str, *, file: Path | None = None) -> None:
        super().__init__(message)
        self.file = file


class ComputeError(TacError):
    """Workers elsewhere cannot be had, or were lost; says which and what to do."""


class UiError(TacError):
    """The UI cannot be started: its port is taken, its address is not this machine's, or another UI runs."""


class MissingDependency(TacError, ImportError):
    """An optional package is absent; the message says what to install."""


class TacWarning(UserWarning):
    """Something is worth a look, and the work goes on."""


def first_few(values: Sequence[object], count: int, *, separator: str = ", ") -> str:
    """The first values of a list for a message, and how many more there are: "a, b and 3 more"."""
    left = len(values) - count
    return separator.join(map(str, values[:count])) + (f" and {left} more" if left > 0 else "")
