"""Data sets with labels in MATLAB's files: Oxford flowers, Stanford cars."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.layouts.labeled import FolderLayout, Value

MAX_FILE_BYTES = 64 << 20
FLOWERS_FILE = Path(__file__).parent / "flowers.txt"


def find_matlab(folder: Path) -> FolderLayout | None:
    """The layout of one of these data sets; None for other folders."""
    if (folder / "imagelabels.mat").is_file() and (folder / "jpg").is_dir():
        columns = ("label", "split") if (folder / "setid.mat").is_file() else ("label",)
        values: dict[str, Callable[[], Value]] = {
            "label": lambda: _flower_labels(folder / "imagelabels.mat"),
            "split": lambda: _flower_splits(folder / "setid.mat"),
        }
        return FolderLayout("Oxford 102 Flower", columns, lambda column: values[column]())
    devkit = folder / "devkit"
    if (devkit / "cars_meta.mat").is_file():
        return FolderLayout(
            "Stanford Cars",
            ("label", "split"),
            lambda column: _car_split if column == "split" else _car_labels(folder),
        )
    return None


def read_matlab(path: Path, *names: str) -> list[Any]:
    """Arrays of a MATLAB file of version 5.

    Raises
    ------
    SourceError
        It is not whole, too large, or does not hold them.
    """
    from scipy.io import loadmat

    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise SourceError(f"{path} must have at most {MAX_FILE_BYTES >> 20} MB; it has {size:,} bytes")
        found = loadmat(path, squeeze_me=True, variable_names=names)
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # loadmat raises nearly every built-in error on damaged bytes
        raise SourceError(f"{path} must be a whole MATLAB file: {error}. Download it again.") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise SourceError(f"{path} must hold {', '.join(missing)}; it does not. Download it again.")
    return [found[name] for name in names]


def _flower_labels(path: Path) -> Value:
    numbers = read_matlab(path, "labels")[0].reshape(-1)
    names = FLOWERS_FILE.read_text(encoding="utf-8").splitlines()
    wrong = [int(number) for number in numbers if not 1 <= number <= len(names)]
    if wrong:
        raise SourceError(f"{path} must have labels from 1 to {len(names)}; got {wrong[0]}. Download it again.")
    return lambda image_id: names[numbers[number - 1] - 1] if (number := _flower(image_id, len(numbers))) else None


def _flower_splits(path: Path) -> Value:
    train, val, test = read_matlab(path, "trnid", "valid", "tstid")
    splits = {
        int(number): split
        for split, part in (("train", train), ("val", val), ("test", test))
        for number in part.reshape(-1)
    }
    return lambda image_id: splits.get(_flower(image_id, len(splits)) or 0)


def _flower(image_id: str, count: int) -> int | None:
    """The number of an image such as jpg/image_00001.jpg, from 1."""
    name = image_id.rpartition("/")[2].partition(".")[0].removeprefix("image_")
    return int(name) if name.isdecimal() and 1 <= int(name) <= count else None


def _car_labels(folder: Path) -> Value:
    names = [str(name) for name in read_matlab(folder / "devkit/cars_meta.mat", "class_names")[0].reshape(-1)]
    labels: dict[str, str] = {}
    for split, path in _car_files(folder).items():
        for row in read_matlab(path, "annotations")[0].reshape(-1):
            number = int(row["class"])
            if not 1 <= number <= len(names):
                raise SourceError(f"{path} must have classes from 1 to {len(names)}; got {number}. Download it again.")
            labels[f"cars_{split}/{row['fname']}"] = names[number - 1]
    return labels.get


def _car_files(folder: Path) -> dict[str, Path]:
    """The files with the classes of a split; those of test are handed out on their own."""
    tests = (folder / "cars_test_annos_withlabels.mat", folder / "devkit/cars_test_annos_withlabels.mat")
    files = {"train": folder / "devkit/cars_train_annos.mat"}
    files["test"] = next((path for path in tests if path.is_file()), tests[0])
    return {split: path for split, path in files.items() if path.is_file()}


def _car_split(image_id: str) -> str | None:
    folder = image_id.partition("/")[0]
    return folder.removeprefix("cars_") if folder in ("cars_train", "cars_test") else None
