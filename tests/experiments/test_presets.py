"""Known data sets by their presets: made ones in the layouts of the true ones, encoded, grouped and in one table."""

import re
from pathlib import Path

import layouts
import pytest
from command_line import tac, told
from small_store import REPOSITORY

from tac_pipeline.errors import TacWarning
from tac_pipeline.experiments.plan import load_experiment, load_preset, preset_sets
from tac_pipeline.experiments.running import run_experiment
from tac_pipeline.experiments.tables import HEADER, notes_of, rows_of
from tac_pipeline.sources.layouts.imagenet import imagenet_subset

WORDS = "circle square triangle ring bar ball disk flag stripe box wheel sun moon leaf sky sea fire rose lemon grass"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The eight sets of the paper, each with few images of every class; ImageNet has those of its two subsets."""
    folder = tmp_path_factory.mktemp("sets")
    layouts.make_stl10(folder / "stl10_binary", images_per_class=2, unlabeled=2)
    layouts.make_cifar10(folder / "cifar-10-batches-py", images_per_class=2)
    layouts.make_cifar100(folder / "cifar-100-python", images_per_class=1)
    subsets = (*imagenet_subset("imagenet-10"), *imagenet_subset("imagenet-dogs"))
    synsets = {synset: synset for synset in dict.fromkeys(subsets)}
    layouts.make_ilsvrc(folder / "ILSVRC", synsets=synsets, images_per_class=1, mapping=False)
    layouts.make_dtd(folder / "dtd", classes=[f"texture-{number}" for number in range(47)], images_per_class=3)
    doing = [f"Doing{chr(65 + number // 26)}{chr(97 + number % 26)}" for number in range(101)]
    layouts.make_ucf101(folder / "UCF-101", classes=doing, images_per_class=2)
    (folder / "words.txt").write_text("\n".join(WORDS.split()), encoding="utf-8")
    return folder


def test_all_sets_of_the_paper_in_one_table(data: Path, tmp_path: Path) -> None:
    paper = load_preset("paper")
    # The made ImageNet has 24 classes.
    sets = [one.model_copy(update={"classes": None}) if one.name == "ImageNet-1K" else one for one in paper.sets]
    encoder = paper.encoder.model_copy(update={"model": "tac-small", "pretrained": "drawn"})
    changes = {"ways": ["k-means", "zero-shot"], "nouns": "words.txt", "encoder": encoder, "sets": sets}
    small = paper.model_copy(update=changes)
    said: list[str] = []
    outcome = run_experiment(small, data, tmp_path, seeds=1, say=said.append)
    assert outcome.missing == []
    rows = [dict(zip(HEADER, row, strict=True)) for row in rows_of(small, outcome.results)]
    assert [(row["set"], row["K"], row["scored"]) for row in rows if row["way"] == "k-means"] == [
        ("STL-10", "10", "test: 20"),
        ("CIFAR-10", "10", "test: 20"),
        ("CIFAR-20", "20", "test: 100"),
        ("ImageNet-10", "10", "val: 10"),
        ("ImageNet-Dogs", "15", "val: 15"),
        ("DTD", "47", "test: 47"),
        ("UCF-101", "101", "test: 101"),
        ("ImageNet-1K", "24", "val: 24"),
    ]
    assert [row["way"] for row in rows] == ["k-means", "zero-shot"] * 8
    assert all(row[name] for row in rows for name in ("NMI", "ACC", "ARI", "AMI", "recall", "seconds"))
    assert {row["set"] for row in rows if row["published"]} == {one.name for one in paper.sets}
    by_set = {one.data: one.acc for one in outcome.results if one.way == "k-means"}
    assert by_set["STL-10"] > 0.8
    # Nothing is encoded twice: not the unlabeled images, and not in a second run with another seed.
    assert [line for line in said if line.startswith("STL-10: ")] == [f"STL-10: 40 images to encode with {NAME}"]
    again: list[str] = []
    wider = small.model_copy(update={"ways": ["k-means", "robust"], "sets": [sets[0], sets[5]]})
    outcome = run_experiment(wider, data, tmp_path, seeds=1, say=again.append)
    assert [line.split(",")[:2] for line in again] == [["STL-10", " robust"], ["DTD", " robust"]]
    rows = [dict(zip(HEADER, row, strict=True)) for row in rows_of(wider, outcome.results)]
    assert [row["learned from"] for row in rows] == ["", "train: 20", "", "train and val: 94"]


NAME = "open_clip:tac-small:sha256-733c8db709456e81:gelu:96-shortest-bicubic-c4fe87ab:decoding-1"


def test_a_preset_says_what_is_missing_and_where_it_can_be_had(tmp_path: Path) -> None:
    result = tac("experiment", "run", "presets/paper.yaml", "--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    _, *sentences = told(result).split("not run: ")
    assert len(sentences) == 8
    assert sentences[1].startswith("CIFAR-10: there is no cifar-10-batches-py or ")
    assert sentences[1].strip().endswith("it can be had at https://www.cs.toronto.edu/~kriz/cifar.html")


def test_other_weights_and_some_of_the_sets(data: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: two\nnouns: words.txt\nways: [k-means]\nseeds: 1\nsets:\n"
        "  - {name: CIFAR-10, images: cifar-10-batches-py, split: test, classes: 100}\n"
        "  - {name: dtd, images: dtd, split: test}\n",
        encoding="utf-8",
    )
    common = ("experiment", "run", plan, "--data", data, "--out", tmp_path, "--model", "tac-small")
    wrong = tac(*common, "--only", "cifar10")
    assert wrong.exit_code == 1
    assert "must have 100 classes, and they have 10: airplane, automobile, bird" in told(wrong)
    right = tac(*common, "--only", "DTD")
    assert right.exit_code == 0, right.output
    assert "| dtd |" in right.stdout
    assert "CIFAR" not in right.stdout
    assert NAME in right.stdout
    unknown = tac(*common, "--only", "mnist")
    assert "--only must name sets of the experiment: cifar10, dtd; got ['mnist']" in told(unknown)


def test_what_is_damaged_or_missing_is_said_before_anything_is_encoded(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    layouts.make_cifar10(folder, images_per_class=1)
    batch = folder / "data_batch_1"
    batch.write_bytes(batch.read_bytes()[:100])
    plan = load_preset("paper").model_copy(
        update={
            "ways": ["k-means"],
            "encoder": load_preset("paper").encoder.model_copy(update={"model": "tac-small", "pretrained": "drawn"}),
            "nouns": "words.txt",
        }
    )
    (tmp_path / "words.txt").write_text(WORDS, encoding="utf-8")
    said: list[str] = []

    def outcome(**changes: object):
        sets = [plan.sets[1].model_copy(update=changes)]
        return run_experiment(plan.model_copy(update={"sets": sets}), tmp_path, tmp_path, seeds=1, say=said.append)

    cut = "CIFAR-10: data_batch_1: "
    for changes, sentence in (
        ({"classes": 11}, "CIFAR-10: the scored images of .* must have 11 classes, and they have 10: airplane, .*"),
        (
            {"split": "val"},
            r"CIFAR-10: split must be a split that has images; got 'val', and there.*",
        ),
    ):
        found = outcome(**changes)
        assert found.problems[0].startswith(cut)
        assert re.fullmatch(sentence, found.missing[0]), found.missing
    assert said == []
    found = outcome()
    assert [one.data for one in found.results] == ["CIFAR-10"]
    assert [note.startswith(cut) and note.endswith("Download it again") for note in notes_of(found)] == [
        False,
        True,
        False,
    ]


def test_two_encoders_have_rows_of_their_own(data: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    both = "{model: tac-small, pretrained: drawn, second: {model: test_resnet, pretrained: random}}"
    plan.write_text(
        f"name: two\nencoders: {{CLIP: {{model: tac-small, pretrained: drawn}}, both: {both}}}\nnouns: words.txt\n"
        "ways: [k-means, robust]\nseeds: 1\nsets:\n  - {name: STL-10, images: stl10_binary, split: test}\n",
        encoding="utf-8",
    )
    with pytest.warns(TacWarning, match="test_resnet are random"):
        result = tac("experiment", "run", plan, "--data", data, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    ways = [line.split("|")[5].strip() for line in result.stdout.splitlines() if line.startswith("| STL-10")]
    assert ways == ["k-means, CLIP", "k-means, both", "robust, CLIP", "robust, both"]
    assert f"CLIP by {NAME}." in result.stdout
    assert f"both by {NAME}+timm:test_resnet:random-0:0.5." in result.stdout


def test_presets_are_found_by_name_and_have_short_names() -> None:
    for written in ("paper", "paper.yaml", "presets/paper.yaml"):
        assert load_experiment(Path(written)).name == "paper"
    reference = load_experiment(REPOSITORY / "benchmarks" / "reference.yaml")
    assert [len(one.class_names or ()) for one in reference.sets] == [10, 10, 37, 0, 0]
    assert list(preset_sets())[:4] == ["stl10", "cifar10", "cifar20", "imagenet10"]
    assert len(preset_sets()) == 15
    assert "ucf101" in tac("experiment", "sets").stdout
