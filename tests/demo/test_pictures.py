"""The drawn pictures: pure, varied, and telling their kind by shape alone."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from small_store import REPOSITORY

from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.palette import COLOR_NAMES
from tac_pipeline.demo.pictures import draw_picture
from tac_pipeline.demo.scenery import GROUND_NAMES
from tac_pipeline.demo.split import FIRST_TRAINING_SEED, SEEN_KINDS, SEEN_STYLES, UNSEEN_KINDS, UNSEEN_STYLES
from tac_pipeline.demo.styles import STYLE_NAMES
from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.evaluation import score
from tac_pipeline.wordnet import is_offensive, open_wordnet


def test_there_are_kinds_of_many_families_each_with_its_meaning() -> None:
    wordnet = open_wordnet()
    assert len(KINDS) >= 30
    assert len({kind.family for kind in KINDS.values()}) >= 5
    for name, kind in KINDS.items():
        assert name == kind.name
        assert name in [lemma.lower() for lemma in wordnet.lemmas(kind.synset)]
        assert not is_offensive(name)


def test_what_was_held_out_of_training_is_a_part_of_what_is_drawn() -> None:
    assert len(UNSEEN_KINDS) == 6
    assert set(SEEN_KINDS) | set(UNSEEN_KINDS) == set(KINDS)
    assert len(SEEN_KINDS) == len(KINDS) - 6
    assert set(SEEN_STYLES) == set(STYLE_NAMES) - set(UNSEEN_STYLES)
    assert FIRST_TRAINING_SEED > 100_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_in_every_style(kind: str) -> None:
    for style in STYLE_NAMES:
        pixels = draw_picture(kind, 7, styles=[style], others=[]).pixels(48)
        assert pixels.shape == (48, 48, 3) and pixels.dtype == np.uint8
        # Something stands out from the ground.
        assert pixels.reshape(-1, 3).std(axis=0).max() > 6


@given(st.sampled_from(list(KINDS)), st.integers(0, 2**40))
def test_a_picture_is_a_pure_function_of_kind_and_seed(kind: str, seed: int) -> None:
    picture = draw_picture(kind, seed)
    assert draw_picture(kind, seed) == picture
    assert picture.kind == kind
    assert picture.style in STYLE_NAMES and picture.color in COLOR_NAMES and picture.ground in GROUND_NAMES
    assert draw_picture(kind, seed + 1) != picture


def test_pictures_are_the_same_in_another_process() -> None:
    """No hash of Python's, no time and no global state is in them."""
    code = "\n".join(
        [
            "import hashlib",
            "from tac_pipeline.demo.pictures import draw_picture",
            "drawn = (draw_picture(kind, 5).pixels().tobytes() for kind in ('cat', 'castle'))",
            "print(hashlib.sha256(b''.join(drawn)).hexdigest())",
        ]
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    own = b"".join(draw_picture(kind, 5).pixels().tobytes() for kind in ("cat", "castle"))
    assert other.stdout.strip() == hashlib.sha256(own).hexdigest()


def test_styles_and_grounds_are_all_met() -> None:
    pictures = [draw_picture("fish", seed) for seed in range(300)]
    assert {picture.style for picture in pictures} == set(STYLE_NAMES)
    assert {picture.ground for picture in pictures} == set(GROUND_NAMES)
    assert {picture.color for picture in pictures} == set(COLOR_NAMES)
    assert 0 < np.mean([picture.noise > 0 for picture in pictures]) < 1
    assert 0 < np.mean([picture.blur > 0 for picture in pictures]) < 1


def test_a_chosen_style_is_kept_to_and_small_others_too() -> None:
    assert {draw_picture("cup", seed, styles=["chalk", "flat"]).style for seed in range(30)} == {"chalk", "flat"}
    few, many = ([draw_picture("cup", seed, others=others).svg for seed in range(60)] for others in ([], list(KINDS)))
    assert sum(a == b for a, b in zip(few, many, strict=True)) > 30
    assert few != many


def test_colors_do_not_give_the_kind_away() -> None:
    """By color alone a picture's kind is hardly found: the nearest mean color of a kind, on other seeds."""
    kinds = list(KINDS)[::3]
    means = np.array(
        [[draw_picture(kind, seed).pixels(16).reshape(-1, 3).mean(axis=0) for seed in range(24)] for kind in kinds]
    )
    centers = means[:, :12].mean(axis=1)
    guesses = np.linalg.norm(means[:, 12:, None] - centers, axis=3).argmin(axis=2)
    assert (guesses == np.arange(len(kinds))[:, None]).mean() < 0.2


def test_kmeans_on_pixels_does_not_find_the_kinds() -> None:
    kinds = list(KINDS)[::3]
    pixels = np.stack([draw_picture(kind, seed).pixels(32).ravel() for kind in kinds for seed in range(30)])
    labels = np.repeat(np.arange(len(kinds)), 30)
    found = KMeans(len(kinds), n_init=4, random_state=0).fit_predict(pixels.astype(np.float32))
    assert score(labels, found).acc < 0.25


@pytest.mark.parametrize(
    "arguments,told",
    [
        ({"kind": "dragon", "seed": 0}, "kind must be one of cat, rabbit"),
        ({"kind": "cat", "seed": -1}, "seed must not be negative; got -1"),
        ({"kind": "cat", "seed": 0, "styles": ["flat", "oil"]}, "styles must be some of flat, .*got \\['oil'\\]"),
        ({"kind": "cat", "seed": 0, "styles": []}, "got none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        draw_picture(**arguments)  # type: ignore[arg-type]


def test_the_svg_is_a_drawing_of_its_own(tmp_path: Path) -> None:
    """What resvg draws from the picture's svg alone is the picture, before blur and noise."""
    clear = next(p for p in (draw_picture("house", seed) for seed in range(50)) if not p.blur and not p.noise)
    assert clear.svg.startswith("<svg ") and clear.svg.endswith("</svg>")
    assert clear.pixels(64).shape == (64, 64, 3)
    small, large = clear.pixels(32).astype(float), clear.pixels(256).astype(float)
    shrunk = large.reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))
    assert np.abs(small - shrunk).mean() < 12
