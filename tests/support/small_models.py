"""Small CLIPs of real towers: no weights are fetched, and a test takes milliseconds."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

SMALL_CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 3, "layers": 2},
}

# The published prompts, and templates with difficult borders around the noun.
TEMPLATES = ["itap of a {}.", "a bad photo of the {}.", "a {} in a video game.", "{}"]
ODD_TEMPLATES = ["{}'s", "({})", "the {}-like", "&{};", "non{}", "<{}>", "a  {} ", "{}!", "number {}7", "é {}", "{}."]
ODD_NOUNS = [
    "dog",
    "St. Bernard",
    "a.k.a.",
    "'hood",
    "rock 'n' roll",
    "o'clock",
    "5",
    "9/11",
    "24-karat gold",
    "Ph.D.",
    "1st",
    "jack-in-the-box",
    "-",
    "...",
    "can't",
    "it's",
    "dogs'",
    "naïve café",
    "犬",
    "собака",
    "🐶",
    "👩‍🚀",
    "AT&T",
    "&amp;",
    "&lt;b&gt;",
    "<end_of_text>",
    "start_of_text",
    "",
    " ",
    "  two  spaces ",
    "tab\there",
    "ÃŸ",
    "“quoted”",
    "x" * 300,
    " ".join(["word"] * 100),
    "İstanbul",
    "ﬁ",
    "é",
    "a_b",
    "$5",
    "100%",
    "C++",
    "x.y.z",
    "I",
    "'s",
]


def build(**changes: Any) -> torch.nn.Module:
    """A small model; a change is merged into the config, one level deep."""
    config = small_config(**changes)
    custom = config.pop("custom_text", False)
    kind = (open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP) if custom else open_clip.CLIP
    torch.manual_seed(1)
    model = kind(**config).eval().requires_grad_(False)
    for name, weights in model.named_parameters():
        # As they are first drawn, attention is all but uniform and a wrong mask would hardly show.
        if "in_proj_weight" in name:
            weights.mul_(2)
        if "token_embedding" in name or "positional_embedding" in name:
            weights.mul_(10)
    return model


def small_config(**changes: Any) -> dict[str, Any]:
    config = deepcopy(SMALL_CONFIG)
    for key, value in changes.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    return config


def save_model(folder: Path, **changes: Any) -> tuple[str, str]:
    """Write a small model as a config file and a checkpoint; returns encoder.model and encoder.pretrained."""
    config, weights = folder / "small.json", folder / "small.safetensors"
    config.write_text(json.dumps(small_config(**changes)))
    save_file({name: value.clone() for name, value in build(**changes).state_dict().items()}, weights)
    return str(config), str(weights)
