"""The page of settings in the documentation: `python -m scripts.write_settings_page`, or `make docs`.

Names, defaults, kinds and meanings come from the models (tac_pipeline/settings/keys.py), so that they are written once.
"""

from __future__ import annotations

import json
from pathlib import Path

from tac_pipeline.settings.keys import SettingsKey, settings_keys

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
COMMAND = "make docs"
ABOVE = f"""\
# Settings

<!-- Written by `{COMMAND}` from tac_pipeline/settings/keys.py. Edit that file, not this one. -->

The settings file holds every parameter. An unknown key is refused with its line and the nearest known name. A *result*
key can change the result and makes the assets below it stale. An *execution* key changes speed, place or upkeep, and
makes nothing stale. Relative paths start at the folder of the settings file.

| key | default | kind | meaning |
|---|---|---|---|
"""
BELOW = """
N is the number of training images, K the number of groups.

- `images.source`: a folder or URL may hold tar shards beside image files; one tar file is a source too.
- `encoder.model: tac-small` goes with `encoder.pretrained: drawn`. It is the packaged encoder; it knows drawn pictures
  only.
- `neighbors.count: null` is 10 with `method: robust`, 50 with `published`, and N / (4 K), from 3 to 50, with
  `trained`.
- `heads` are the settings of a training, which `method: robust` does without. `heads.members: null` is 6,000 / N, from
  2 to 6, with `trained`.
- `heads.epochs`, `heads.batch_size` and `heads.temperature`: `null` is the method's value for N and K.
- `groupings` holds settings by the grouping's name: any of `nouns`, `training_set`, `clusters`, `group_by`, `known`,
  `semantic_centers`, `vocabulary`, `retrieval`, `names`, `blend`, `neighbors`, `heads`, `method`, `review`, `report`,
  `corrections`, `publication`, `publish` and `seed`. The others, and what is left out, are the store's
  ([more](../how-to/group-by-what-you-ask.md#several-groupings-of-one-store)).
- `publication`: see [publish elsewhere](../how-to/publish-elsewhere.md). `publish` is the older name of
  `publication.mode`; where both are set they must agree.
- `alerts`: see [be told](../how-to/be-told.md). Its URLs, its command and `publication.options` are never printed.
- `corrections` names a YAML file with `names`, `merge`, `pins`, `groups`, `not_in`, `locked` and `aside`. An edit of it
  never starts a learning; the next learning that somebody asks for goes on from it (`learn_from_corrections`).
"""


def write_page() -> str:
    """The whole page, one row per key in the order of the file."""
    return ABOVE + "".join(f"{_row(key)}\n" for key in settings_keys()) + BELOW


def _row(key: SettingsKey) -> str:
    default = "**required**" if key.required else _default(key.default)
    cells = (f"`{key.name}`", default, key.affects, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: object) -> str:
    """As the settings file would have it; strings without quotation marks, the items of a list apart."""
    if isinstance(value, list):
        return ", ".join(_default(item) for item in value)
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
    print(PAGE)
