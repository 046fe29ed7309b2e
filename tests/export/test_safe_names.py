"""Names of files: safe on every file system, for any text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.export.safe_names import LONGEST, TakenNames, image_name, safe_name

HOSTILE = [
    "../../etc/passwd",
    "..",
    ".",
    "",
    "/",
    "\\\\server\\x",
    "C:\\x",
    "-rf",
    "~",
    "$(reboot)",
    "`id`",
    "a;b|c&d",
    "<img src=x onerror=alert(1)>",
    "a\nb",
    "a\x00b",
    "\u202egnp.exe",
    "CON",
    "nul.txt",
    "com1",
    "LPT¹",
    "x" * 500,
    "é" * 300,
    "name ",
    "name.",
    "\udc80",
    "́",
    "%00",
    "*?",
    "👩‍🚀",
]
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789")}


def require_safe(name: str) -> None:
    assert name
    assert len(name.encode()) <= LONGEST + 20
    assert not set(name) & set("<>:\"/\\|?*\0\n$`;&'!#%~ ")
    assert all(unicodedata.category(char)[0] in "LNM" or char in "-_.,+=@()" for char in name)
    assert name[0] not in ".-"
    assert name[-1] not in ". "
    assert name.split(".")[0].lower() not in RESERVED


@given(text=st.one_of(st.text(max_size=300), st.sampled_from(HOSTILE)))
def test_every_text_gives_a_safe_name(text: str) -> None:
    require_safe(safe_name(text))
    # Windows reserves devices with any suffix, so the whole name of a file counts.
    require_safe(image_name(text, "x.jpg"))
    assert safe_name(safe_name(text)) == safe_name(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_give_safe_names(text: str) -> None:
    require_safe(safe_name(text))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sea horse", "sea_horse"),
        ("crisp (potato chip)", "crisp_(potato_chip)"),
        ("犬", "犬"),
        ("собака", "собака"),
        ("naïve café", "naïve_café"),
        ("con", "_con"),
        ("nul.txt", "_nul.txt"),
        ("-rf", "_-rf"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("a/../b", "a_.._b"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_a_name_reads_like_its_text(text: str, name: str) -> None:
    assert safe_name(text) == name


@pytest.mark.parametrize(
    ("image_id", "uri", "name"),
    [
        ("a/b/c.JPG", "/x/c.JPG", "c.jpg"),
        ("shard.tar/000.png", "/x/shard.tar#512+20", "000.png"),
        ("id-7", "s3://bucket/seven.webp", "id-7.webp"),
        ("id-7", "", "id-7.jpg"),
        ("../../x.png", "", "x.png"),
        ("..\\..\\x.png", "", "x.png"),
        ("con.png", "", "_con.png"),
        (".png", "", "image.png"),
    ],
)
def test_an_image_keeps_the_last_part_of_its_id(image_id: str, uri: str, name: str) -> None:
    assert image_name(image_id, uri) == name


@given(texts=st.lists(st.one_of(st.text(max_size=4), st.sampled_from(["A", "a", "é", "é", "ß", "SS", *HOSTILE]))))
def test_no_two_names_of_a_folder_can_be_taken_for_one_another(texts: list[str]) -> None:
    taken = TakenNames()
    names = [taken.take(image_name(text, "x.jpg"), str(number)) for number, text in enumerate(texts)]
    folded = {unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold()) for name in names}
    assert len(folded) == len(texts)
    assert all(name.endswith((".jpg", ".png")) for name in names)


def test_equal_names_are_told_apart_by_their_owner() -> None:
    taken = TakenNames()
    assert taken.take("1.jpg", "a/1.jpg") == "1.jpg"
    second = taken.take("1.JPG".lower(), "b/1.jpg")
    assert second != "1.jpg"
    assert second.startswith("1~")
