"""The browser of this machine, for tests that drive one."""

import shutil

import pytest

# What a page may take on a slow machine that others use too; where things go well, nothing waits as long.
PAGE_MS = 180_000
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str:
    """The Chromium of this machine; without one the test is skipped."""
    pytest.importorskip("playwright", reason="playwright is not installed (it is in the extra `dev`)")
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(CHROMIUMS)}); apt-get install chromium")
    return found
