"""The nouns of other languages: where their files are found, and what is read of them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nltk.data
import pytest
from made_languages import WORDS, tab_lines, write_tab

from tac_pipeline.errors import InputError
from tac_pipeline.wordnet import find_language_file, language_code, languages, read_language


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nltk's folder of corpora, alone on this machine."""
    folder = tmp_path / "nltk_data" / "corpora"
    folder.mkdir(parents=True)
    # nltk reads no folder that others may write to.
    for path in (tmp_path, folder.parent, folder):
        path.chmod(0o700)
    monkeypatch.setattr(nltk.data, "path", [str(folder.parent)])
    return folder


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    path.chmod(0o600)
    return path


def text_of(code: str) -> str:
    return "\n".join(tab_lines(code))


@pytest.mark.parametrize("code", WORDS)
def test_every_word_is_read_in_the_files_order(tmp_path: Path, code: str) -> None:
    found = read_language(find_language_file(code, given=write_tab(tmp_path / "words.tab", code)))
    expected = {synset: tuple(word.replace("_", " ") for word in words) for synset, words in WORDS[code].items()}
    assert found.lemmas == expected
    assert (found.code, found.notes) == (code, ())


def test_old_files_name_no_language(tmp_path: Path) -> None:
    path = write_tab(tmp_path / "wn-data-fra.tab", "fra", label="lemma")
    assert read_language(find_language_file("fra", given=path)).lemmas["dog.n.01"] == ("chien",)


def test_other_parts_of_speech_languages_and_facts_are_passed_over(tmp_path: Path) -> None:
    extra = (
        "02084071-v\tdeu:lemma\thetzen",
        "02084071-n\tfra:lemma\tchien",
        "02084071-n\tdeu:lemma:root\tHun",
        "02084071-n\tdeu:def\t0\tein Tier",
        "",
        "02084071-n\tdeu:lemma\tHund\r",
    )
    path = write_tab(tmp_path / "wn-data-deu.tab", "deu", extra=extra)
    found = read_language(find_language_file("deu", given=path))
    assert (found.lemmas["dog.n.01"], found.notes) == (("Hund", "Haushund"), ())


def test_lines_that_cannot_be_used_are_counted_with_the_first(tmp_path: Path) -> None:
    path = write_tab(tmp_path / "wn-data-jpn.tab", "jpn")
    first = len(tab_lines("jpn")) + 1
    bad = ["02084071\tjpn:lemma\tx", "no tabs at all", "02084071-n\tjpn:lemma\ta\u202eb", "02084071-n\tjpn:lemma\t \t"]
    bad.append("02084071-n\tjpn:lemma\t" + "犬" * 301)
    with path.open("ab") as file:
        file.write("\n".join(bad).encode() + b"\n02084071-n\tjpn:lemma\t\xff\n00000001-n\tjpn:lemma\tx\n")
    found = read_language(find_language_file("jpn", given=path))
    assert found.lemmas["dog.n.01"] == ("犬", "イヌ")
    assert [note.removeprefix(f"{path}: ") for note in found.notes] == [
        f"lines that cannot be read, and are left out: 6; the first is line {first}",
        f"lines that are of no noun in WordNet 3.0, and are left out: 1; the first is line {first + 6}",
    ]


def test_a_file_without_nouns_of_the_language_is_refused(tmp_path: Path) -> None:
    path = write_tab(tmp_path / "words.tab", "fra")
    with pytest.raises(InputError, match=r"words\.tab must hold words of deu, .* Name the file of deu"):
        find_language_file("deu", given=path)
    path.write_text("02084071-v\tfra:lemma\tsuivre\n00000001-n\tfra:lemma\tx\nnothing\n")
    with pytest.raises(
        InputError, match=r"must hold nouns of WordNet 3\.0 in fra; .* \(1 of its lines .*, 1 are of no"
    ):
        read_language(find_language_file("fra", given=path))


def test_the_version_follows_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    versions = [
        find_language_file("deu", given=write_tab(tmp_path / name, "deu", extra=extra)).version
        for name, extra in (("a.tab", ()), ("b.tab", ()), ("c.tab", ("# a comment",)))
    ]
    assert versions[0] == versions[1] != versions[2]


def test_a_folder_and_a_zip_are_searched(tmp_path: Path) -> None:
    write_tab(tmp_path / "omw" / "nor" / "wn-data-heb.tab", "heb")
    archive = zipped(tmp_path / "omw.zip", {"omw/heb/wn-data-heb.tab": text_of("heb"), "omw/LICENSE": "free"})
    for place in (tmp_path / "omw", archive):
        assert read_language(find_language_file("heb", given=place)).lemmas["dog.n.01"] == ("כלב",)
        with pytest.raises(InputError, match=r"nouns\.language_data must hold the words of jpn, in a file wn-data-jpn"):
            find_language_file("jpn", given=place)


def test_words_collected_by_hand_come_before_those_from_wiktionary(tmp_path: Path) -> None:
    for place, label in (("a/wn-cldr-deu", "cldr"), ("b/wn-wikt-deu", "wikt"), ("c/wn-data-deu", "data")):
        write_tab(tmp_path / f"{place}.tab", "deu", extra=(f"# {label}",))
        assert find_language_file("deu", given=tmp_path).content.endswith(f"# {label}\n".encode())


def test_a_zip_is_never_unpacked(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "evil.zip", {"../../../wn-data-fra.tab": text_of("fra")})
    before = set(tmp_path.rglob("*"))
    assert read_language(find_language_file("fra", given=archive)).lemmas["cat.n.01"] == ("chat",)
    assert set(tmp_path.rglob("*")) == before


def test_downloads_are_found_unpacked_or_not(downloads: Path) -> None:
    zipped(downloads / "extended_omw.zip", {"extended_omw/wikt/wn-wikt-deu.tab": text_of("deu")})
    assert find_language_file("deu").place.endswith("extended_omw.zip, extended_omw/wikt/wn-wikt-deu.tab")
    write_tab(downloads / "omw-1.4" / "deu" / "wn-data-deu.tab", "deu")
    for path in (downloads, *downloads.rglob("*")):
        path.chmod(0o700)
    # The package that was reviewed comes first.
    assert find_language_file("deu").place.endswith("omw-1.4/deu/wn-data-deu.tab")


@pytest.mark.parametrize(("code", "package"), [("fra", "omw-1.4"), ("deu", "extended_omw")])
def test_missing_words_are_told_with_the_command(downloads: Path, code: str, package: str) -> None:
    with pytest.raises(InputError, match=rf"nouns\.language: {code} needs .*`python -m nltk.downloader {package}`"):
        find_language_file(code)


def test_what_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nouns\.language_data must be a file or folder that is there"):
        find_language_file("deu", given=tmp_path / "absent.tab")
    archive = zipped(tmp_path / "a.zip", {"wn-data-deu.tab": text_of("deu")})
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(archive.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05"))
    with pytest.raises(InputError, match=r"cannot be read from .*damaged\.zip: .* Download them again"):
        find_language_file("deu", given=damaged)
    monkeypatch.setattr(languages, "LARGEST_FILE", 100)
    for place in (archive, write_tab(tmp_path / "wn-data-deu.tab", "deu")):
        with pytest.raises(InputError, match="must have at most 100 bytes"):
            find_language_file("deu", given=place)


def test_two_letters_stand_for_three() -> None:
    assert [language_code(code) for code in ("de", "fr", "ja", "he", "deu", "tlh")] == [
        "deu", "fra", "jpn", "heb", "deu", "tlh",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"nouns\.language must be a code of three letters .*; got 'xx'"):
        language_code("xx")
