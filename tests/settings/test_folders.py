"""Which files of a folder are settings files."""

from pathlib import Path

import pytest

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.folders import settings_files

SETTINGS = "# mine\nstore: {}\nimages:\n  source: photos\n"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name.replace('__', '-')}.yaml").write_text(text, encoding="utf-8")


def test_settings_files_are_those_that_name_a_store(tmp_path: Path) -> None:
    write(tmp_path, photos=SETTINGS.format("photos"), old__scans=SETTINGS.format('"old"  # of 1990'), broken="store: [")
    write(tmp_path, dagster="storage: {}\n", workspace="load_from: []\n", corrections="names: {3: store}\n")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "tac.yaml.bak").write_text(SETTINGS.format("photos"))
    found = settings_files(tmp_path)
    assert list(found) == ["broken", "old_scans", "photos"]
    assert found["old_scans"] == tmp_path / "old-scans.yaml"


def test_two_files_that_dagster_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a_b=SETTINGS.format("one"), a__b=SETTINGS.format("two"))
    with pytest.raises(SettingsError, match=r"must differ in name; got a-b\.yaml and a_b\.yaml, which are both a_b"):
        settings_files(tmp_path)


def test_two_files_of_one_store_are_refused(tmp_path: Path) -> None:
    write(tmp_path, one=SETTINGS.format("photos"), two=SETTINGS.format("'photos'"))
    with pytest.raises(
        SettingsError, match=r"must differ in store; got one\.yaml and two\.yaml, which are both photos"
    ):
        settings_files(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        settings_files(tmp_path / "absent")
