"""The demo: a picture store drawn by code, for which the package carries an encoder (encoders/small).

    kinds/            what is drawn: each kind by its parts, with its meaning in WordNet
    canvas.py         parts and chance
    palette.py        colors that say nothing of the kind
    styles.py         the ways to paint
    scenery.py        grounds and clutter
    pictures.py       one picture from its kind and its seed
    picture_store.py  a folder of them
    split.py          which kinds, styles and seeds the encoder was trained on

What must stay out: encoders and clusters; the demo's pictures go through the pipeline as anybody's do.
"""

PICTURE_SIZE = 128  # pixels a side, unless another is asked for
