"""The plots of the UI for tests that do not look at them: the first of each process is drawn, and stands for all."""

import sys
from typing import Any

import pytest

USER = "assets.ui.previews"
_drawn: list[bytes] = []


def use_one_picture(patch: pytest.MonkeyPatch) -> None:
    """Let figures be made and not turned into pixels, where the code that does it is loaded already."""
    module: Any = sys.modules.get(USER)
    if module is not None:
        drawn = module.png

        def png(figure: Any) -> bytes:
            if not _drawn:
                _drawn.append(drawn(figure))
            return _drawn[0]

        patch.setattr(module, "png", png)
