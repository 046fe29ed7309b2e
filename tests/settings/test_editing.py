"""Editing the settings file: what is kept, what is refused, and that a refusal leaves the file as it was."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_store import REPOSITORY

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.editing import Edit, edit_settings, read_assignment, read_assignments
from tac_pipeline.settings.keys import settings_keys, value_at
from tac_pipeline.settings.project import load_project

FILE = """\
# Pictures of the harbor.
store: harbor                # its name
images: {source: photos, labels: folder}
clusters:
    count: 12                # boats, mostly
    # never fewer than 5
retrieval:
    tau: 0.005
# the end
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "tac.yaml").write_text(FILE)
    return tmp_path / "tac.yaml"


def state(path: Path) -> tuple[bytes, int, int]:
    """The properties of a file that must be the same if it was not written."""
    return path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino


def test_a_value_changes_and_nothing_else(path: Path) -> None:
    assert edit_settings(path, {"clusters.count": 14}) == [Edit("clusters.count", 12, 14)]
    assert path.read_text() == FILE.replace("count: 12 ", "count: 14 ")


def test_a_key_of_a_section_that_the_file_does_not_have(path: Path) -> None:
    assert edit_settings(path, {"schedule.observe": None}) == [Edit("schedule.observe", "*/15 * * * *", None)]
    assert path.read_text() == FILE + "schedule:\n    observe: null\n"
    edit_settings(path, {"schedule.timezone": "Europe/Berlin", "images.max_loss": 1})
    assert path.read_text() == (
        FILE.replace("folder}", "folder, max_loss: 1}") + "schedule:\n    observe: null\n    timezone: Europe/Berlin\n"
    )


def test_a_key_of_a_section_with_all_its_keys_commented_out(path: Path) -> None:
    commented = FILE.replace("    tau: 0.005\n", "    # tau: 0.005\n")
    path.write_text(commented)
    assert edit_settings(path, {"retrieval.tau": 0.02}) == [Edit("retrieval.tau", None, 0.02)]
    assert path.read_text() == commented.replace("    # tau: 0.005\n", "    # tau: 0.005\n    tau: 0.02\n")


def test_several_keys_are_all_set_or_none(path: Path) -> None:
    before = state(path)
    for bad in ({"retrieval.tau": -1}, {"heads.epohcs": 3}, {"images.labels": "folders"}):
        with pytest.raises(SettingsError):
            edit_settings(path, {"clusters.count": 14, **bad})
        assert state(path) == before
    edits = edit_settings(path, {"clusters.count": 14, "retrieval.tau": 0.02, "heads.epochs": 3})
    assert [edit.new for edit in edits] == [14, 0.02, 3]
    settings = load_project(path).settings
    assert (settings.clusters.count, settings.retrieval.tau, settings.heads.epochs) == (14, 0.02, 3)


def test_setting_what_it_is_already_writes_nothing(path: Path) -> None:
    before = state(path)
    # As written, written in another way, and as the default.
    same = {"clusters.count": 12, "retrieval.tau": 5e-3, "heads.epochs": None, "neighbors.count": None}
    assert all(edit.old == edit.new for edit in edit_settings(path, same))
    assert state(path) == before
    edit_settings(path, {**same, "seed": 1})
    assert path.read_text() == FILE + "seed: 1\n", "what is meant by default is not written beside what changes"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads.epohcs": 3}, "heads.epohcs is not a settings key; did you mean heads.epochs? (tac.yaml)"),
        ({"tau": 0.1}, "tau is not a settings key; did you mean retrieval.tau? (tac.yaml)"),
        ({"heads": 3}, "heads is a section: name one of its keys (tac.yaml)"),
        ({"retrieval.tau.low": 3}, "retrieval.tau.low is not a settings key; did you mean retrieval.tau? (tac.yaml)"),
        (
            {"retrieval.tau": -0.1},
            "retrieval.tau must be > 0; got -0.1 (tac.yaml as it would be, line 8). Nothing was changed.",
        ),
        (
            {"seed": "one"},
            "seed must be a whole number; got 'one' (tac.yaml as it would be, line 10). Nothing was changed.",
        ),
        (
            {"seed": {"a": 1}},
            "seed must be a whole number; got {'a': 1} (tac.yaml as it would be, line 10). Nothing was changed.",
        ),
        (
            {"seed": True},
            "seed must be a whole number; got True (tac.yaml as it would be, line 10). Nothing was changed.",
        ),
        (
            {"retrieval.tau": float("nan")},
            "retrieval.tau must be a finite number; got nan (tac.yaml as it would be, line 8). Nothing was changed.",
        ),
    ],
)
def test_a_refusal_is_a_sentence_and_leaves_the_file_alone(path: Path, changes: dict[str, Any], message: str) -> None:
    before = state(path)
    with pytest.raises(SettingsError) as refused:
        edit_settings(path, changes)
    assert str(refused.value) == message
    assert state(path) == before


def test_a_file_that_is_wrong_already_is_told_before_it_is_edited(path: Path) -> None:
    path.write_text(FILE.replace("0.005", "0"))
    before = state(path)
    with pytest.raises(SettingsError, match=r"retrieval\.tau must be > 0; got 0 \(tac\.yaml, line 8\)$"):
        edit_settings(path, {"clusters.count": 14})
    assert state(path) == before


def test_windows_line_ends_and_a_byte_order_mark_stay(path: Path) -> None:
    windows = ("\ufeff" + FILE.replace("\n", "\r\n")).encode()
    path.write_bytes(windows)
    edit_settings(path, {"clusters.count": 14, "seed": 1})
    assert path.read_bytes() == windows.replace(b"count: 12 ", b"count: 14 ") + b"seed: 1\r\n"


def test_a_link_stays_a_link_and_its_file_is_edited(path: Path) -> None:
    link = path.parent / "links" / "mine.yaml"
    link.parent.mkdir()
    link.symlink_to("../tac.yaml")
    edit_settings(link, {"clusters.count": 14})
    assert link.readlink() == Path("../tac.yaml")
    assert load_project(path).settings.clusters.count == 14
    assert [entry.name for entry in link.parent.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_the_mode_of_the_file_stays(path: Path, mode: int) -> None:
    path.chmod(mode)
    edit_settings(path, {"clusters.count": 14})
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(path: Path) -> None:
    path.parent.chmod(0o555)
    try:
        with pytest.raises(SettingsError, match=r"cannot write the settings file .*tac\.yaml: Permission denied"):
            edit_settings(path, {"clusters.count": 14})
    finally:
        path.parent.chmod(0o755)
    assert path.read_text() == FILE


def test_a_write_that_the_system_refuses_is_told_and_leaves_nothing(path: Path) -> None:
    # With a name this long the temporary file's name does not fit.
    long = path.rename(path.with_name("x" * 250 + ".yaml"))
    with pytest.raises(SettingsError, match=r"^cannot write the settings file .*: File name too long\. Nothing was"):
        edit_settings(long, {"clusters.count": 14})
    assert long.read_text() == FILE
    assert list(long.parent.iterdir()) == [long]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("store: &name a\nimages: {source: *name}\nclusters: {count: 3}\n", {"store": "b"}),
        (
            "store: a\nimages: {source: b, labels: &l none}\nclusters: {count: 3}\npublish: &p auto\nnouns: "
            "{source: *l}\n",
            {"nouns.source": "wordnet"},
        ),
    ],
)
def test_a_value_that_two_keys_share_is_left_to_a_person(path: Path, text: str, changes: dict[str, Any]) -> None:
    path.write_text(text)
    before = state(path)
    with pytest.raises(SettingsError, match=r"cannot be set here without changing more of tac\.yaml, .* edit the file"):
        edit_settings(path, changes)
    assert state(path) == before


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("retrieval.tau=0.01", "retrieval.tau", 0.01),
        (" retrieval.tau = 1e-3 ", "retrieval.tau", 0.001),
        ("heads.epochs=null", "heads.epochs", None),
        ("nouns.exclude_offensive=false", "nouns.exclude_offensive", False),
        ("nouns.templates=['a {}', 'b, {}']", "nouns.templates", ["a {}", "b, {}"]),
        # Text is taken unchanged.
        ("schedule.observe=*/30 * * * *", "schedule.observe", "*/30 * * * *"),
        ("schedule.observe=null", "schedule.observe", None),
        ("images.source=my #1 photos: all=new", "images.source", "my #1 photos: all=new"),
        ("images.source='quoted: #'", "images.source", "quoted: #"),
        ("images.source=[photos, 'more photos']", "images.source", ["photos", "more photos"]),
        ("images.exclude=['*_thumb.jpg']", "images.exclude", ["*_thumb.jpg"]),
        ("store=2024", "store", "2024"),
        ("publish=manual", "publish", "manual"),
        ("images.labels=none", "images.labels", "none"),
        ("no.such=true", "no.such", True),
    ],
)
def test_an_assignment_as_people_type_it(text: str, key: str, value: object) -> None:
    assert read_assignment(text) == (key, value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["retrieval.tau"], "a setting must be given as KEY=VALUE, .* no space around =; got 'retrieval.tau'"),
        (["=3"], "a setting must be given as KEY=VALUE"),
        (["seed="], "seed must be given a value; got 'seed='. For none write seed=null"),
        (["nouns.templates=[a {}"], r"the value of nouns.templates must be YAML, .*; got '\[a \{\}'"),
        (["seed=1", "seed=2"], "seed must be given once; got it twice"),
    ],
)
def test_an_assignment_that_cannot_be_read_is_told(texts: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}"):
        read_assignments(texts)


NUMBERS = st.floats(min_value=1e-6, max_value=1e6)
COUNTS = st.integers(2, 2**31 - 1)
TEXTS = st.text(min_size=1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "store": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
    "images.source": TEXTS,
    "nouns.source": TEXTS,
    "nouns.templates": st.lists(
        TEXTS.filter(lambda text: not set("{}") & set(text)).map(lambda text: f"{text}{{}}"), min_size=1, max_size=4
    ),
    "clusters.count": COUNTS,
    "training_set.max_images": COUNTS,
    "semantic_centers.count": st.none() | COUNTS,
    "retrieval.tau": NUMBERS,
    "heads.learning_rate": NUMBERS,
    "heads.temperature": st.none() | NUMBERS,
    "nouns.exclude_offensive": st.booleans(),
    "schedule.observe": st.none() | TEXTS,
}
SHIPPED = (REPOSITORY / "tac.yaml").read_text(encoding="utf-8")
ITEMS = "nouns:\n  # the first\n  templates:\n  - a {}\n  # the second\n  - 'b {}'\n\n# and on\n"


@given(
    text=st.sampled_from([FILE, FILE + ITEMS, SHIPPED, FILE.replace("\n", "\r\n"), FILE.rstrip()]),
    changes=st.fixed_dictionaries({}, optional=VALUES),
)
def test_a_random_edit_is_read_back_and_keeps_every_comment(
    text: str, changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("edit") / "tac.yaml"
    path.write_bytes(text.encode())
    before = load_project(path).settings
    edit_settings(path, changes)
    after = load_project(path).settings
    assert {key.name: value_at(after, key.name) for key in settings_keys()} == {
        key.name: changes.get(key.name, value_at(before, key.name)) for key in settings_keys()
    }
    assert comments(path.read_bytes().decode()) == comments(text)


def comments(text: str) -> list[str]:
    """The lines that are comments, to the character."""
    return re.findall(r"^[ \t]*#.*$", text, flags=re.MULTILINE)
