"""The wheel is the whole product: it holds every file of both packages, and works where there is no clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from colored_store import NOUNS, draw
from small_store import REPOSITORY
from waiting import PATIENCE

# From a folder of images to the page, in a process that sees the unpacked wheel and not the clone.
SCRIPT = """
import assets, tac_pipeline
from typer.testing import CliRunner
from tac_pipeline.cli import app
print(tac_pipeline.__file__, assets.__file__)
def tac(*arguments):
    result = CliRunner().invoke(app, arguments)
    print(result.output)
    assert result.exit_code == 0, (arguments, result.exception)
tac("init", "photos", "--model", "tac-small")
text = open("tac.yaml").read().replace("count: auto", "count: 3")
with open("tac.yaml", "w") as file:
    file.write(text + "nouns: {source: nouns.txt}\\n")
tac("run")
tac("report", "--no-open")
"""


@pytest.fixture(scope="module", name="unpacked")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the extra dev has it")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def files_below(folder: Path, *packages: str) -> set[str]:
    found = (path for package in packages for path in (folder / package).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_of_both_packages_and_the_settings_of_the_demo(unpacked: Path) -> None:
    wanted = files_below(REPOSITORY, "tac_pipeline", "assets") | {"tac_pipeline/demo/tac.yaml"}
    assert files_below(unpacked, "tac_pipeline", "assets") == wanted
    assert (unpacked / "tac_pipeline/demo/tac.yaml").read_bytes() == (REPOSITORY / "tac.yaml").read_bytes()
    assert {path.name.split("-")[0] for path in unpacked.iterdir()} == {"tac_pipeline", "assets"}


def test_the_wheel_groups_a_folder_of_images(unpacked: Path, tmp_path: Path) -> None:
    for group, color in enumerate([(220, 30, 30), (30, 200, 40), (40, 50, 220)]):
        for number in range(8):
            draw(tmp_path / "photos" / f"{group}-{number}.png", color, number)
    (tmp_path / "nouns.txt").write_text("\n".join(NOUNS))
    environment = {name: value for name, value in os.environ.items() if name not in ("TAC_SETTINGS", "DAGSTER_HOME")}
    environment["PYTHONPATH"] = str(unpacked)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{unpacked}/tac_pipeline/__init__.py {unpacked}/assets/__init__.py")
    assert "24 images in photos: 24 PNG" in done.stdout
    page = Path(done.stdout.split()[-1])
    assert page.is_relative_to(tmp_path / "data" / "photos" / "report")
    assert page.stat().st_size > 10_000
