"""tac init: what it says of a folder and of this machine, what it writes, and what it never touches."""

import json
import re
from pathlib import Path

import pytest
from colored_store import MODEL, NOUNS, colored_store  # noqa: F401 - a fixture
from command_line import tac, told
from huggingface_hub import constants as hub
from layouts import make_cifar100, make_dtd, make_ilsvrc
from ruamel.yaml import YAML
from small_store import grouped_vectors, write_vectors

from assets.lookups.readiness import plan_run
from tac_pipeline.cli import starting
from tac_pipeline.encoders import weights
from tac_pipeline.errors import MissingDependency
from tac_pipeline.first_run import installed
from tac_pipeline.settings.project import load_project
from tac_pipeline.sources import rules
from tac_pipeline.sources.layouts.imagenet import imagenet_subset


@pytest.fixture(name="folder")
def pictures(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures, and a tiny model's config; the current folder, without a settings file."""
    store.unlink()
    folder = store.parent
    (folder / "photos" / "notes.docx").write_bytes(b"")
    (folder / "config.json").write_text(json.dumps(MODEL))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def few_nouns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many nouns as a test has patience for."""
    monkeypatch.setattr("assets.lookups.readiness._unknown_nouns", lambda project, templates: NOUNS)


TINY = ("--model", "config.json", "--pretrained", "random")


@pytest.mark.filterwarnings("ignore:the weights of .* are random")
@pytest.mark.usefixtures("few_nouns")
def test_from_a_folder_to_named_groups(folder: Path) -> None:
    begun = tac("init", "photos", *TINY)
    assert begun.exit_code == 0, begun.output
    assert "30 images in photos: 17 JPEG, 13 PNG" in begun.stdout
    assert "1 passed over: .docx" in begun.stdout
    assert "random, on cpu; good only for trying the pipeline" in begun.stdout
    for part in (
        r"images +\S+ \S+ +30, ",
        r"nouns +\S+ \S+ +12 in about 96 prompts",
        r"learning +\S+",
        r"in all +\S+ \S+ +on \w",
    ):
        assert re.search(part, begun.stdout), part
    assert begun.stdout.rstrip().endswith("next:    tac run")
    assert not (folder / "data" / "photos" / "image_manifest").exists(), "it builds nothing"
    settings = load_project(folder / "tac.yaml").settings
    assert (settings.store, settings.images.source, settings.clusters.count) == ("photos", "photos", "auto")
    with (folder / "tac.yaml").open("a") as file:
        file.write("nouns: {source: nouns.txt}\n")
    run = tac("run")
    assert run.exit_code == 0, run.output
    assert tac("report", "--no-open").stdout.rstrip().endswith("report.html")


def test_a_settings_file_is_never_overwritten(folder: Path) -> None:
    (folder / "tac.yaml").write_text("mine")
    refused = tac("init", "photos", *TINY)
    assert refused.exit_code == 1
    assert "tac.yaml is there already, and is never overwritten. Use it (`tac run`)" in told(refused)
    assert (folder / "tac.yaml").read_text() == "mine"


@pytest.mark.usefixtures("few_nouns")
def test_another_place_for_the_settings_is_in_the_next_command(folder: Path) -> None:
    begun = tac("init", "photos", *TINY, "--settings", "new place/mine.yaml")
    assert begun.exit_code == 1, "the config file is relative to the settings file"
    begun = tac(
        "init", "photos", "--model", folder / "config.json", "--pretrained", "random", "-s", "new place/mine.yaml"
    )
    assert begun.exit_code == 0, begun.output
    assert f"tac run --settings '{folder}/new place/mine.yaml'" in begun.stdout
    written = YAML(typ="safe").load(folder / "new place" / "mine.yaml")
    assert written["images"]["source"] == str(folder / "photos")


@pytest.mark.usefixtures("few_nouns")
def test_weights_out_of_reach_are_named_with_their_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(weights, "_cached", lambda choice: None)
    monkeypatch.setattr(starting, "_tell_cost", lambda *_: None)
    begun = tac("init", "photos")
    assert begun.exit_code == 0, begun.output
    assert "weights cannot be fetched from here" in begun.stdout
    place = folder / "weights" / "open_clip_model.safetensors"
    assert re.search(rf"first:   fetch http://127\.0\.0\.1:9/\S+/{place.name} and save it as {place}", begun.stdout)
    assert load_project(folder / "tac.yaml").encoder_files[1] == str(place)
    run = tac("run")
    assert run.exit_code == 1
    assert f"there is no {place}. Put the checkpoint there" in told(run)


def test_the_cost_is_measured_with_random_weights_when_the_real_ones_are_not_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tac.yaml").write_text("store: a\nimages: {source: photos}\nclusters: {count: 2}\n")
    project = load_project(folder / "tac.yaml")
    monkeypatch.setattr(weights, "_cached", lambda choice: None)
    assert starting._measurable(project).settings.encoder.pretrained == "random"
    monkeypatch.setattr(weights, "_cached", lambda choice: Path("here"))
    assert starting._measurable(project) is project


@pytest.mark.usefixtures("few_nouns")
def test_what_is_missing_is_told_before_any_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise MissingDependency("pip install 'tac-pipeline[cpu]'")

    (folder / "photos" / "phone.heic").write_bytes(b"")
    monkeypatch.setattr(installed, "require_faiss", absent)
    readable = tuple(suffix for suffix in rules.readable_suffixes() if suffix != ".heic")
    monkeypatch.setattr(rules, "readable_suffixes", lambda: readable)
    begun = tac("init", "photos", *TINY)
    assert begun.exit_code == 0, begun.output
    assert "pip install 'tac-pipeline[cpu]'" in begun.stderr
    assert "note: 1 .heic files cannot be read here: pip install 'tac-pipeline[formats]'" in begun.stdout
    run = tac("run")
    assert run.exit_code == 1
    assert "pip install 'tac-pipeline[cpu]'" in run.stderr
    assert "computed" not in run.stdout
    monkeypatch.setattr(installed, "require_faiss", lambda: None)
    (folder / "tac.yaml").write_text((folder / "tac.yaml").read_text() + "nouns: {source: nouns.txt}\n")
    assert plan_run(load_project(folder / "tac.yaml")).notes == [
        "1 .heic files cannot be read here: pip install 'tac-pipeline[formats]'"
    ]
    (folder / "second.safetensors").write_bytes(b"damaged")
    assert tac("set", "encoder.second.model=test_resnet", "encoder.second.pretrained=second.safetensors").exit_code == 0
    run = tac("run")
    assert (run.exit_code, "computed" in run.stdout) == (1, False)
    assert "second.safetensors must be a whole safetensors file" in told(run)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("absent", *TINY), 1, "images.source must be an existing folder or table; nothing is at"),
        (("photos", "--model", "tac-small", "--preset", "fast"), 2, "leave out --model and --pretrained"),
        (("photos", "--model", "ViT-B-32"), 1, "--model and --pretrained belong together"),
        (("images.parquet", *TINY), 1, "tac init is for images"),
        (("empty", *TINY), 1, "images.source holds no images"),
    ],
)
def test_mistakes_are_told_and_write_nothing(folder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    (folder / "empty").mkdir()
    vectors, _ = grouped_vectors()
    write_vectors(folder / "images.parquet", list(map(str, range(len(vectors)))), vectors, ["x"] * len(vectors))
    result = tac("init", *arguments)
    assert result.exit_code == code, result.output
    assert message in told(result)
    assert not (folder / "tac.yaml").exists()


def test_the_packaged_encoder_needs_its_name_alone() -> None:
    assert starting.encoder_keys("tac-small", None, None) == {"model": "tac-small", "pretrained": "drawn"}
    assert starting.encoder_keys(None, None, "fast") == {"preset": "fast"}
    assert starting.encoder_keys(None, None, None) == {"model": "ViT-B-32-quickgelu", "pretrained": "openai"}


def test_a_known_data_set_gets_the_settings_of_its_preset(folder: Path) -> None:
    make_cifar100(folder / "sets" / "cifar-100-python")
    begun = tac("init", "--preset", "CIFAR-20", "--data", "sets", "--model", "tac-small")
    assert begun.exit_code == 0, begun.output
    assert "20 classes by the column coarse" in begun.stdout
    assert "train: 100" in begun.stdout
    settings = load_project(folder / "tac.yaml").settings
    assert (settings.store, settings.clusters.count, settings.method) == ("cifar20", 20, "published")
    assert (settings.images.source, settings.images.labels) == ("sets/cifar-100-python", ["coarse", "label"])
    assert (settings.training_set.split, settings.evaluation.split) == ("train", "test")
    text = (folder / "tac.yaml").read_text()
    assert text.index("method: published") < text.index("# More that is often set")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "cifar10", "--data", "sets"), "CIFAR-10: there is no cifar-10-batches-py or "),
        (("--preset", "dtd", "--data", "sets"), "DTD must have 47 classes, and what is there has 3"),
        (("--preset", "dtd"), "--preset dtd needs either --data, the folder that DTD is in, or a SOURCE"),
        (
            ("--preset", "mnist", "--data", "sets"),
            "must be fast, balanced, best, or one of the data sets stl10",
        ),
        (("--data", "sets"), "--data belongs to a --preset that names a data set"),
        (
            ("sets/ILSVRC", "--preset", "imagenet10"),
            "got 'val', and there are: train (10 images). Images must be in folders of their classes",
        ),
    ],
)
def test_a_data_set_that_is_not_the_presets_is_refused(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    make_dtd(folder / "sets" / "dtd")
    synsets = {synset: synset for synset in imagenet_subset("imagenet-10")}
    make_ilsvrc(folder / "sets" / "ILSVRC", synsets=synsets, images_per_class=1, mapping=False)
    result = tac("init", *arguments)
    assert (result.exit_code, message in told(result)) == (1, True), result.output
    assert not (folder / "tac.yaml").exists()


@pytest.mark.usefixtures("few_nouns")
def test_one_more_store_beside_another_uses_its_encoder_and_nouns(folder: Path) -> None:
    (folder / "words.txt").write_text("boat\ncat\n")
    assert tac("init", "photos", *TINY, "--store", "first").exit_code == 0
    first = folder / "first.yaml"
    first.write_text(f"{first.read_text()}nouns: {{source: words.txt}}\n")
    begun = tac("init", "photos", "--store", "second", "--dagster")
    assert begun.exit_code == 0, begun.output
    assert "encoder and nouns as in first.yaml" in begun.stdout
    project, other = load_project(folder / "second.yaml"), load_project(first)
    assert project.settings.store == "second"
    assert project.settings.encoder == other.settings.encoder
    assert (project.settings.nouns, project.data_folder) == (other.settings.nouns, other.data_folder)
    names = {"dagster.yaml", "workspace.yaml", "dg.toml", "stores.py"}
    assert names == {Path(line.split()[-1]).name for line in begun.stdout.splitlines() if "written:" in line} - {
        "second.yaml"
    }
    again = tac("init", "photos", "--store", "second")
    assert (again.exit_code, "second.yaml is there already" in told(again)) == (1, True)


@pytest.mark.usefixtures("few_nouns")
def test_a_store_that_becomes_one_of_several_is_told(folder: Path) -> None:
    assert tac("init", "photos", *TINY, "--dagster").exit_code == 0
    assert (folder / "definitions.py").exists()
    begun = tac("init", "photos", *TINY, "--store", "second")
    assert "workspace.yaml does not list all stores of the folder: `tac init --dagster -s second.yaml`" in begun.stdout
    done = tac("init", "--dagster", "-s", "second.yaml")
    assert done.exit_code == 0 and "stores.py" in (folder / "workspace.yaml").read_text()
    assert "stores.py" in done.stdout and not (folder / "data").exists()
