"""Names for three encoders, from the quickest to the best. The guide to encoders has what each costs and gives."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import PydanticCustomError

# Model and weights, as open_clip names them.
PRESETS: Mapping[str, tuple[str, str]] = {
    "fast": ("ViT-B-32-quickgelu", "openai"),
    "balanced": ("ViT-B-16-quickgelu", "dfn2b"),
    "best": ("ViT-L-14-quickgelu", "dfn2b"),
}


def fill_preset(written: object) -> object:
    """A section `encoder` with the model and weights of its preset, before versions are computed.

    So the names written out give the same store. A preset beside a model or weights is a ValueError of pydantic.
    """
    named = written.get("preset") if isinstance(written, dict) else None
    if not isinstance(written, dict) or not isinstance(named, str) or named not in PRESETS:
        return written
    for key in ("model", "pretrained"):
        if key in written:
            raise PydanticCustomError("preset", "must not have preset and {key} together: leave one out", {"key": key})
    model, pretrained = PRESETS[named]
    return {**written, "model": model, "pretrained": pretrained}
