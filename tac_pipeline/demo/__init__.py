"""The demo: a picture store drawn by code. The package contains an encoder for it (encoders/small).

    kinds/            the kinds of things: each drawn by its parts, with its meaning in WordNet
    canvas.py         parts and random choices
    palette.py        colors that do not depend on the kind
    styles.py         the ways to paint
    scenery.py        backgrounds and clutter
    pictures.py       one picture from its kind and its seed
    picture_store.py  a folder of them
    split.py          which kinds, styles and seeds the encoder was trained on

What must stay out: encoders and clusters; the demo's pictures go through the pipeline like any others.
"""

from pathlib import Path

PICTURE_SIZE = 128  # pixels per side, by default


def settings_file() -> Path:
    """The demo's settings file: beside this module in an installed package, else at the top of the clone."""
    packaged = Path(__file__).with_name("tac.yaml")
    return packaged if packaged.is_file() else Path(__file__).parents[2] / "tac.yaml"
