"""The script that takes one frame of every video; reading videos is PyAV's, which tests do not need."""

from pathlib import Path

import pytest
from PIL import Image

from scripts.middle_frames import write_frames


def test_a_frame_has_the_folder_and_the_name_of_its_video(tmp_path: Path) -> None:
    videos, frames = tmp_path / "videos", tmp_path / "frames"
    for name in ("Archery/v_Archery_g01_c01.avi", "Biking/v_Biking_g01_c01.avi", "Biking/damaged.avi", "list.txt"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).touch()

    def take(video: Path) -> Image.Image:
        if video.stem == "damaged":
            raise ValueError("it has no frames")
        return Image.new("RGB", (8, 6))

    assert write_frames(videos, frames, take=take) == (2, [f"{videos}/Biking/damaged.avi: it has no frames"])
    made = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*") if path.is_file())
    assert made == ["Archery/v_Archery_g01_c01.jpg", "Biking/v_Biking_g01_c01.jpg"]

    def refuse(video: Path) -> Image.Image:
        pytest.fail(f"{video} is read again") if video.stem != "damaged" else None
        raise ValueError("it has no frames")

    assert write_frames(videos, frames, take=refuse)[0] == 0
