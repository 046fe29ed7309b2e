"""A folder of drawn pictures: its layout, how it grows, and what is left when drawing fails."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from small_store import REPOSITORY

from tac_pipeline.demo import picture_store
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.picture_store import count_pictures, draw_store, picture_path
from tac_pipeline.errors import InputError, StoreError


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


def test_a_store_is_drawn_by_kinds_and_grows_without_redrawing(tmp_path: Path) -> None:
    folder, told = tmp_path / "pictures", []
    assert draw_store(folder, 60, workers=2, progress=lambda done, total: told.append((done, total))) == 60
    first = contents(folder)
    assert sorted(first) == sorted(str(picture_path(n)) for n in range(60))
    assert {path.split("/")[0] for path in first} == set(KINDS)
    assert told[-1] == (60, 60)
    with Image.open(folder / picture_path(0)) as image:
        assert image.size == (128, 128) and image.mode == "RGB"

    assert draw_store(folder, 60) == 0
    assert draw_store(folder, 75, workers=1) == 15
    grown = contents(folder)
    assert len(grown) == count_pictures(folder) == 75
    assert {name: grown[name] for name in first} == first
    # Drawn at once, with another number of processes, it is the same store.
    draw_store(tmp_path / "other", 75, workers=1)
    assert contents(tmp_path / "other") == grown
    assert not list(folder.glob(".drawing-*"))


def test_fewer_than_there_are_is_no_reason_to_draw(tmp_path: Path) -> None:
    draw_store(tmp_path, 5, size=16, workers=1)
    before = contents(tmp_path)
    assert draw_store(tmp_path, 3, workers=1) == 0
    assert contents(tmp_path) == before


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"must hold only drawn pictures; it holds 'holiday\.jpg'"):
        draw_store(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("n_pictures,size", [(0, 128), (5, 8)])
def test_counts_and_sizes_that_cannot_be_are_refused(tmp_path: Path, n_pictures: int, size: int) -> None:
    with pytest.raises(InputError, match="at least 1 picture of 16 pixels"):
        draw_store(tmp_path / "new", n_pictures, size=size)
    assert not (tmp_path / "new").exists()


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The kernel itself refuses the writes: no file of the process may grow beyond a few hundred bytes."""
    folder = tmp_path / "pictures"
    code = "\n".join(
        [
            "import resource, sys",
            "from pathlib import Path",
            "from tac_pipeline.demo.picture_store import draw_store",
            "from tac_pipeline.errors import StoreError",
            "if __name__ == '__main__':",
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))",
            "    try:",
            "        draw_store(Path(sys.argv[1]), 60, workers=1)",
            "    except StoreError as error:",
            "        print(error)",
        ]
    )
    script = tmp_path / "full.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot draw 60 pictures to" in done.stdout and "File too large" in done.stdout
    assert "Make room (about" in done.stdout and "unchanged" in done.stdout
    assert not folder.exists()


def test_a_failed_growth_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_store(tmp_path, 5, size=16, workers=1)
    before = contents(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_store, "_draw_all", fail)
    with pytest.raises(StoreError, match=r"No space left on device\. Make room"):
        draw_store(tmp_path, 50, workers=1)
    assert contents(tmp_path) == before
    assert not list(tmp_path.glob(".drawing-*"))


def test_what_a_killed_run_left_aside_is_cleared_away(tmp_path: Path) -> None:
    draw_store(tmp_path, 5, size=16, workers=1)
    left_over = tmp_path / ".drawing-killed" / "cat"
    left_over.mkdir(parents=True)
    (left_over / "0000045.jpg").write_bytes(b"half a pic")
    assert count_pictures(tmp_path) == 5
    draw_store(tmp_path, 6, size=16, workers=1)
    assert not left_over.parent.exists()
