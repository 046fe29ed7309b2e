"""Making names of files and folders that every file system accepts, from nouns and image ids that may hold anything.

No name leads out of its folder, is one of Windows' devices, begins with a dot or a dash, or holds a character with a
meaning in a shell or a page. Two names in a folder differ by more than case and the encoding of accents.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from tac_pipeline.digest import digest
from tac_pipeline.sources import IMAGE_SUFFIXES

# File systems accept 255 bytes; a cluster's id, a digest or a suffix must also fit.
LONGEST = 120
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])(?:\..*)?", flags=re.IGNORECASE)
_ALLOWED = frozenset("-_.,+=@()")


def safe_name(text: str, *, instead: str = "unnamed") -> str:
    """A name for a file or folder that reads like a text: letters, digits and marks of any script, `_` for the rest.

    Parameters
    ----------
    text : str
    instead : str
        The name of a text that has no letter or digit.
    """
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(char if char in _ALLOWED or unicodedata.category(char)[0] in "LNM" else "_" for char in composed)
    name = _cut(re.sub("_+", "_", kept).strip("_. ")).strip("_. ")
    if not any(unicodedata.category(char)[0] in "LN" for char in name):
        return instead
    # A first dash would be read as an option; a mark needs a letter before it.
    if name[0] == "-" or unicodedata.category(name[0])[0] == "M" or _DEVICES.fullmatch(name):
        name = f"_{name}"
    return name


def _cut(name: str) -> str:
    """The first LONGEST bytes of a name, whole characters."""
    return name.encode()[:LONGEST].decode(errors="ignore")


def image_name(image_id: str, uri: str) -> str:
    """The file name of an image: the last part of its id, with the suffix of an image."""
    last = PurePosixPath(image_id.replace("\\", "/")).name
    stem, suffix = _split(last)
    if not suffix:
        # Ids may be any text; the suffix then comes from the place that the image is read from.
        suffix = _split(uri)[1] or IMAGE_SUFFIXES[0]
    return f"{safe_name(stem, instead='image')}{suffix}"


def _split(name: str) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    suffix = f"{dot}{ending}".lower()
    return (stem, suffix) if suffix in IMAGE_SUFFIXES else (name, "")


class TakenNames:
    """The names in one folder; no two of them may be confused by any file system."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str, owner: str) -> str:
        """The name; if it is taken, the name with a digest of its owner, which is unique."""
        chosen, attempt = name, 0
        while _folded(chosen) in self._taken:
            stem, suffix = _split(name)
            chosen = f"{stem}~{digest([owner, attempt])[:10]}{suffix}"
            attempt += 1
        self._taken.add(_folded(chosen))
        return chosen


def _folded(name: str) -> str:
    # Equal for names that are the same to file systems that ignore case or decompose accents.
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
