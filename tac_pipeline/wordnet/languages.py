"""WordNet's nouns in other languages: the tab files of the Open Multilingual WordNet, which people download.

A line is an offset of WordNet 3.0 with its part of speech, `deu:lemma` (`lemma` in old files) and the lemma, with tabs
between them. What must stay out: which of a synset's lemmas is its name (wording.py).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError
from tac_pipeline.wordnet.spelling import CONTROL, LONGEST_NOUN
from tac_pipeline.wordnet.tables import load_synsets

ENGLISH = "eng"
LARGEST_FILE = 100_000_000  # bytes; the largest of the Open Multilingual WordNet has 9 million
LARGEST_ARCHIVE = 2_000_000_000  # bytes
# nltk's packages, the newest and best first. The extended one is read from Wiktionary by machine.
PACKAGES = ("omw-2.0", "omw-1.4", "omw", "extended_omw")
_KINDS = ("data", "wikt", "cldr")  # by hand; from Wiktionary; from Unicode's table of regions and languages
_LINE = re.compile(r"(?P<offset>[0-9]{8})-(?P<part>[a-z])")

# ISO 639-1 for the languages that have a code of two letters there; three letters are taken as they are.
TWO_LETTERS = {
    "ar": "arb", "bg": "bul", "ca": "cat", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "en": ENGLISH,
    "es": "spa", "et": "est", "eu": "eus", "fa": "fas", "fi": "fin", "fr": "fra", "gl": "glg", "he": "heb",
    "hi": "hin", "hr": "hrv", "hu": "hun", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn", "ko": "kor",
    "lt": "lit", "lv": "lav", "ms": "zsm", "nb": "nob", "nl": "nld", "nn": "nno", "no": "nob", "pl": "pol",
    "pt": "por", "ro": "ron", "ru": "rus", "sk": "slk", "sl": "slv", "sq": "als", "sv": "swe", "th": "tha",
    "tr": "tur", "uk": "ukr", "vi": "vie", "zh": "cmn",
}  # fmt: skip
# What omw-1.4 holds; other languages are in extended_omw alone.
_REVIEWED = (
    "als", "arb", "bul", "cat", "cmn", "dan", "ell", "eus", "fin", "fra", "glg", "heb", "hrv", "ind", "isl", "ita",
    "jpn", "lit", "nld", "nno", "nob", "pol", "por", "ron", "slk", "slv", "spa", "swe", "tha", "zsm",
)  # fmt: skip


@dataclass(frozen=True)
class LanguageFile:
    """The bytes of one language's tab file, and where they are from, as messages show it."""

    code: str
    place: str
    content: bytes

    @property
    def version(self) -> str:
        """A short digest of the bytes, for recipes."""
        import hashlib

        return digest([self.code, hashlib.sha256(self.content).hexdigest()])


@dataclass(frozen=True)
class Language:
    """The nouns of one language.

    Attributes
    ----------
    code : str
        As in ISO 639-3, such as deu.
    lemmas : mapping of synset to tuple of str
        In the file's order, with spaces for underscores; only synsets that have any.
    notes : tuple of str
        Sentences on lines that could not be used.
    """

    code: str
    lemmas: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


def language_code(written: str) -> str:
    """A language as in ISO 639-3: codes of two letters are translated, where the language is a known one.

    Raises
    ------
    InputError
        Two letters that stand for no known language.
    """
    if len(written) == 2 and written not in TWO_LETTERS:
        raise InputError(
            f"nouns.language must be a code of three letters as in ISO 639-3, such as deu, or a known one of two; got "
            f"{written!r}. Write the code of three letters."
        )
    return TWO_LETTERS.get(written, written)


def find_language_file(code: str, *, given: Path | None = None) -> LanguageFile:
    """The tab file of a language: in the file, folder or zip that is given, else among nltk's downloads.

    Parameters
    ----------
    code : str
        As in ISO 639-3.
    given : Path, optional

    Raises
    ------
    InputError
        There is none, or it cannot be read, is too large, or is of another language.
    """
    if given is not None and not given.exists():
        raise InputError(f"nouns.language_data must be a file or folder that is there; there is no {given}")
    places = _downloads() if given is None else [given]
    for place in places:
        try:
            found = _look(place, code, is_given=given is not None)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"the words of nouns.language cannot be read from {place}: {error}. Download them again."
            ) from error
        if found is not None:
            return _require_language(found)
    if given is not None:
        raise InputError(
            f"nouns.language_data must hold the words of {code}, in a file wn-data-{code}.tab or wn-wikt-{code}.tab; "
            f"{given} holds none. Name another place."
        )
    package = "omw-1.4" if code in _REVIEWED else "extended_omw"
    raise InputError(
        f"nouns.language: {code} needs words of that language, and nltk's data on this machine hold none. Download "
        f"them with `python -m nltk.downloader {package}`, or name a file with nouns.language_data."
    )


def _downloads() -> list[Path]:
    """nltk's packages of other languages on this machine, unpacked or as a zip."""
    import nltk.data

    found = []
    for package in PACKAGES:
        for name in (f"corpora/{package}", f"corpora/{package}.zip"):
            try:
                pointer = nltk.data.find(name)
            except (LookupError, OSError):
                continue
            # A pointer into a zip knows its archive; one to a file or folder its path.
            archive = getattr(pointer, "zipfile", None)
            found.append(Path(str(pointer.path) if archive is None else archive.filename))
    return found


def _look(place: Path, code: str, *, is_given: bool) -> LanguageFile | None:
    if place.is_dir():
        # One file for each language, in the folder of its project.
        files = [(path.relative_to(place).as_posix(), path) for path in place.glob(f"**/wn-*-{code}.tab")]
        chosen = _best((name for name, _ in files), code)
        return None if chosen is None else _read(dict(files)[chosen], code)
    if zipfile.is_zipfile(place):
        return _read_member(place, code)
    # A file that somebody names may be called anything.
    return _read(place, code) if is_given else None


def _best(names: Iterable[str], code: str) -> str | None:
    """The file of a language to take: made by hand rather than by machine, then the first by name."""
    ranked = []
    for name in names:
        kind = re.fullmatch(rf"(?:.*/)?wn-(?P<kind>[a-z]+)-{code}\.tab", name)
        if kind is not None and kind["kind"] in _KINDS:
            ranked.append((_KINDS.index(kind["kind"]), name))
    return min(ranked)[1] if ranked else None


def _read(path: Path, code: str) -> LanguageFile:
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    _require_size(len(content), str(path))
    return LanguageFile(code, str(path), content)


def _read_member(archive: Path, code: str) -> LanguageFile | None:
    """A member of a zip, read in place: no path of the archive is ever written to."""
    if archive.stat().st_size > LARGEST_ARCHIVE:
        raise InputError(f"{archive} must have at most {LARGEST_ARCHIVE:,} bytes; it is larger. Unpack it.")
    with zipfile.ZipFile(archive) as file:
        chosen = _best(file.namelist(), code)
        if chosen is None:
            return None
        place = f"{archive}, {chosen}"
        # The size that an archive states may be a lie.
        _require_size(file.getinfo(chosen).file_size, place)
        with file.open(chosen) as member:
            content = member.read(LARGEST_FILE + 1)
        _require_size(len(content), place)
    return LanguageFile(code, place, content)


def _require_size(size: int, place: str) -> None:
    if size > LARGEST_FILE:
        raise InputError(f"{place} must have at most {LARGEST_FILE:,} bytes; it has more. Name the right file.")


def _require_language(file: LanguageFile) -> LanguageFile:
    """Refuse a file of another language: at once, because the names come last in a run."""
    if not any(f"\t{label}\t".encode() in file.content for label in ("lemma", f"{file.code}:lemma")):
        raise InputError(
            f"{file.place} must hold words of {file.code}, in lines as `02084071-n<TAB>{file.code}:lemma<TAB>...`; it "
            f"holds none. Name the file of {file.code}."
        )
    return file


def read_language(file: LanguageFile) -> Language:
    """The nouns of a tab file. Lines that cannot be used are counted in the notes.

    Raises
    ------
    InputError
        No line holds a noun of this language.
    """
    synsets = dict(load_synsets().select("offset", "synset").iter_rows())
    lemmas: dict[str, dict[str, None]] = {}
    bad: list[int] = []
    unknown: list[int] = []
    for number, line in enumerate(file.content.decode("utf-8-sig", errors="replace").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.rstrip("\r").split("\t")
        place = _LINE.fullmatch(fields[0])
        if place is None or len(fields) < 3:
            bad.append(number)
        elif place["part"] == "n" and fields[1] in ("lemma", f"{file.code}:lemma"):
            lemma = " ".join(fields[2].replace("_", " ").split())
            synset = synsets.get(int(place["offset"]))
            if not _usable(lemma):
                bad.append(number)
            elif synset is None:
                unknown.append(number)
            else:
                lemmas.setdefault(synset, {})[lemma] = None
    if not lemmas:
        raise InputError(
            f"{file.place} must hold nouns of WordNet 3.0 in {file.code}; it holds none ({len(bad):,} of its lines "
            f"cannot be read, {len(unknown):,} are of no noun that WordNet has). Download it again."
        )
    notes = [
        f"{file.place}: lines that {why}, and are left out: {len(lines):,}; the first is line {lines[0]}"
        for lines, why in ((bad, "cannot be read"), (unknown, "are of no noun in WordNet 3.0"))
        if lines
    ]
    return Language(file.code, {synset: tuple(found) for synset, found in lemmas.items()}, tuple(notes))


def _usable(lemma: str) -> bool:
    return 0 < len(lemma) <= LONGEST_NOUN and "\ufffd" not in lemma and CONTROL.search(lemma) is None
