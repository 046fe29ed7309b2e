"""The middle frame of every video of a folder, as UCF-101 is grouped: `python -m scripts.middle_frames UCF-101 FRAMES`.

Needs PyAV (`pip install av`), which the project itself does not. A frame has the name and the folder of its video, so
that class folders stay: FRAMES/Archery/v_Archery_g01_c01.jpg. Frames that are there are not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov")
QUALITY = 95


def middle_frame(video: Path) -> Any:
    """The middle frame of a video, as a Pillow image; ValueError when it has none."""
    import av

    with av.open(str(video)) as container:
        count = container.streams.video[0].frames or sum(1 for _ in container.decode(video=0))
    last = None
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            last = frame
            if number >= count // 2:
                break
    if last is None:
        raise ValueError("it has no frames")
    return last.to_image()


def write_frames(videos: Path, frames: Path, *, take: Callable[[Path], Any] = middle_frame) -> tuple[int, list[str]]:
    """Write a frame for every video below a folder.

    Returns
    -------
    int, list of str
        How many were written, and what is wrong with each video that gave none.
    """
    written, problems = 0, []
    for video in sorted(path for path in videos.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        target = frames / video.relative_to(videos).with_suffix(".jpg")
        if target.is_file():
            continue
        try:
            picture = take(video)
        except Exception as error:  # noqa: BLE001 - PyAV has an error for everything; the other videos are read
            problems.append(f"{video}: {error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_suffix(".part")
        picture.save(half, "JPEG", quality=QUALITY)
        half.replace(target)  # a frame is there whole or not at all
        written += 1
    return written, problems


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("frames", type=Path)
    given = parser.parse_args()
    if not given.videos.is_dir():
        parser.error(f"the videos must be in a folder; there is none at {given.videos}")
    try:
        import av  # noqa: F401
    except ImportError:
        parser.error("PyAV reads the videos, and it is not installed: pip install av")
    written, problems = write_frames(given.videos, given.frames)
    print(f"{written:,} frames written to {given.frames}")
    for problem in problems:
        print(f"no frame of {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
