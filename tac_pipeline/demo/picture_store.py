"""A folder of drawn pictures with one folder for each kind, like a user's store.

Picture n shows the kind n modulo the number of kinds, from seed n: a store grows by new pictures, old ones stay.
Pictures are drawn into another folder and moved when all of them are there, so that a full disk leaves no half store.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from filelock import FileLock
from PIL import Image

from tac_pipeline.demo import PICTURE_SIZE
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.pictures import draw_picture
from tac_pipeline.errors import InputError, StoreError
from tac_pipeline.progress import Progress

SUFFIX = ".jpg"
JPEG_QUALITY = 90
BYTES_EACH = 7_000  # about, at PICTURE_SIZE
ASIDE = ".drawing-"
LOCK = ".drawing.lock"
_AT_ONCE = 100
_NAME = re.compile(r"(\d{7,})\.jpg")


def picture_path(n: int) -> Path:
    """The path of picture n in its store, such as cat/0000045.jpg."""
    kinds = tuple(KINDS)
    return Path(kinds[n % len(kinds)]) / f"{n:07d}{SUFFIX}"


def count_pictures(folder: Path) -> int:
    """How many pictures a store holds, where drawing continues; 0 if the store does not exist."""
    numbers = (_NAME.fullmatch(path.name) for path in folder.glob(f"*/*{SUFFIX}"))
    return max((int(number[1]) + 1 for number in numbers if number), default=0)


def draw_store(
    folder: Path,
    n_pictures: int,
    *,
    size: int = PICTURE_SIZE,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Draw the pictures that a store lacks.

    Parameters
    ----------
    folder : Path
        The store; created if it does not exist.
    n_pictures : int
        How many there should be; existing pictures do not change.
    size : int, optional
        Side in pixels, at least 16.
    workers : int, optional
        Processes; one for each core if not given, and with 1 this one. Changes nothing but the time.
    progress : callable, optional
        Takes pictures drawn and pictures to be drawn.

    Returns
    -------
    int
        How many were drawn.

    Raises
    ------
    InputError
        An invalid count or size, or a folder that holds something else.
    StoreError
        The pictures cannot be written; none of this call's is left behind.
    """
    if n_pictures < 1 or size < 16:
        raise InputError(f"a store needs at least 1 picture of 16 pixels a side; got {n_pictures} of {size}")
    foreign = [path.name for path in _entries(folder) if path.name not in KINDS and not path.name.startswith(".")]
    if foreign:
        raise InputError(
            f"{folder} must hold only drawn pictures; it holds {foreign[0]!r}. Name another folder, new or empty."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The second of two processes finds the pictures there.
        with FileLock(folder / LOCK):
            return _draw_missing(folder, n_pictures, size, workers, progress)
    except OSError as error:
        _remove_empty(folder)
        raise StoreError(
            f"cannot draw {n_pictures:,} pictures to {folder}: {error.strerror or error}. Make room (about "
            f"{n_pictures * BYTES_EACH / 1e6:.0f} MB) or name another folder; what was there before is unchanged."
        ) from error


def _draw_missing(folder: Path, n_pictures: int, size: int, workers: int | None, progress: Progress | None) -> int:
    for left_over in folder.glob(f"{ASIDE}*/"):
        shutil.rmtree(left_over)
    first = count_pictures(folder)
    if first >= n_pictures:
        return 0
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=folder))
    try:
        for kind in KINDS:
            (aside / kind).mkdir()
            (folder / kind).mkdir(exist_ok=True)
        _draw_all(aside, range(first, n_pictures), size, workers, progress)
        # In the order of their numbers, so that an interrupted store can be continued.
        for n in range(first, n_pictures):
            (aside / picture_path(n)).replace(folder / picture_path(n))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return n_pictures - first


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder} must be a folder that can be read; {error.strerror}") from error


def _draw_all(aside: Path, numbers: range, size: int, workers: int | None, progress: Progress | None) -> None:
    """Draw in several processes; memory holds a few hundred numbers, and a picture only until it is written."""
    done, chunks = 0, _chunks(numbers)
    if workers == 1:
        for chunk in chunks:
            done += _draw_chunk(aside, chunk, size)
            if progress is not None:
                progress(done, len(numbers))
        return
    # Not fork, because the caller may have started threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        pending: set[Future[int]] = set()
        try:
            while True:
                for chunk in chunks:
                    pending.add(pool.submit(_draw_chunk, aside, chunk, size))
                    if len(pending) >= 16:
                        break
                if not pending:
                    break
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    done += future.result()
                    if progress is not None:
                        progress(done, len(numbers))
        finally:
            pool.shutdown(cancel_futures=True)


def _chunks(numbers: range) -> Iterator[range]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield numbers[start : start + _AT_ONCE]


def _draw_chunk(aside: Path, numbers: range, size: int) -> int:
    for n in numbers:
        path = picture_path(n)
        (aside / path).write_bytes(picture_bytes(path.parent.name, n, size=size))
    return len(numbers)


def picture_bytes(kind: str, seed: int, *, size: int = PICTURE_SIZE) -> bytes:
    """One picture as the bytes of a JPEG."""
    encoded = io.BytesIO()
    Image.fromarray(draw_picture(kind, seed).pixels(size)).save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()


def _remove_empty(folder: Path) -> None:
    """Remove folders that this call made and that stayed empty."""
    (folder / LOCK).unlink(missing_ok=True)
    for path in [*(folder / kind for kind in KINDS), folder]:
        with contextlib.suppress(OSError):
            path.rmdir()
