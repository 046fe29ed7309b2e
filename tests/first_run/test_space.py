"""A run that would fill the disk is refused before it begins."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tac_pipeline.errors import StoreError
from tac_pipeline.first_run.space import bytes_needed, require_space


def test_what_a_run_needs_grows_with_images_nouns_and_width() -> None:
    least = bytes_needed(images=0, nouns=0, dim=512)
    assert bytes_needed(images=1_000_000, nouns=0, dim=512) - least == 1_000_000 * (2 * 512 + 1_000)
    assert bytes_needed(images=0, nouns=117_377, dim=768) - least == 117_377 * 2 * 768


def test_a_full_disk_is_refused_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5_000_000))
    require_space(tmp_path / "not" / "there" / "yet", 5_000_000)
    with pytest.raises(StoreError, match=r"about 6 MB to .*, and its disk has 5 MB left\. Make room, or set `data`"):
        require_space(tmp_path, 6_000_000)
