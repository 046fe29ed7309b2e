"""An experiment: every way on every set with every seed, kept, in one table; what cannot be run is said."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from command_line import tac, told
from small_store import grouped_vectors, write_nouns, write_vectors

from tac_pipeline.errors import SettingsError
from tac_pipeline.experiments.opening import Shelf
from tac_pipeline.experiments.plan import Experiment, load_experiment
from tac_pipeline.experiments.running import RESULTS_NAME, run_experiment
from tac_pipeline.experiments.tables import HEADER, as_latex, as_markdown, notes_of, rows_of
from tac_pipeline.experiments.ways import WAYS, Found, Vectors, class_rows
from tac_pipeline.first_run.cost import machine

PLAN = """\
name: small
nouns: nouns.parquet
ways: [k-means, robust, zero-shot]
seeds: 2
sets:
  - name: three_groups
    images: images.parquet
    class_names: [Red thing 0, green thing 0, blue thing 0]
    published: {robust: [99, 98.5, 97]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty vectors in three groups with their labels, and nouns near each."""
    vectors, truth = grouped_vectors()
    ids = [f"{number:03d}" for number in range(len(vectors))]
    write_vectors(tmp_path / "images.parquet", ids, vectors, [f"group {group}" for group in truth])
    write_nouns(tmp_path / "nouns.parquet")
    (tmp_path / "plan.yaml").write_text(PLAN, encoding="utf-8")
    return tmp_path


def plan(folder: Path, old: str = "", new: str = "") -> Experiment:
    (folder / "plan.yaml").write_text(PLAN.replace(old, new), encoding="utf-8")
    return load_experiment(folder / "plan.yaml")


def test_the_table_has_every_way_beside_what_was_published(folder: Path) -> None:
    arguments = ("experiment", "run", folder / "plan.yaml", "--data", folder, "--out", folder / "out")
    result = tac(*arguments)
    assert result.exit_code == 0, result.output
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines()]
    rows = [dict(zip(HEADER, row, strict=True)) for row in lines[2:5]]
    by_way = {row["way"]: row for row in rows}
    assert list(by_way) == ["k-means", "robust", "zero-shot"]
    robust = by_way["robust"]
    assert (robust["set"], robust["learned from"], robust["scored"], robust["K"]) == ("three_groups", "60", "60", "3")
    assert {robust[name] for name in HEADER[5:12]} == {"100.0 ± 0.0"}
    assert (robust["seeds"], robust["published"]) == ("2", "99.0 / 98.5 / 97.0")
    assert robust["difference"] == "+1.0 / +1.5 / +3.0"
    assert (by_way["k-means"]["learned from"], by_way["k-means"]["published"]) == ("", "")
    assert f"Seconds on {machine()}." in result.stdout
    out = folder / "out" / "small"
    assert (out / "table.md").read_text() == result.stdout
    assert list(csv.reader((out / "table.csv").open()))[2][4] == "robust"
    assert r"three\_groups & 60 & 60 & 3 & robust & 100.0 $\pm$ 0.0" in (out / "table.tex").read_text()
    # Nothing is run twice; another seed is.
    kept = (out / RESULTS_NAME).read_text()
    again = tac(*arguments, "--seeds", "3")
    added = (out / RESULTS_NAME).read_text().removeprefix(kept).splitlines()
    assert again.exit_code == 0
    assert sorted(json.loads(line)["way"] for line in added) == ["k-means", "robust", "zero-shot"]
    assert {json.loads(line)["seed"] for line in added} == {2}


def test_a_result_that_was_cut_short_is_made_again(folder: Path) -> None:
    said: list[str] = []
    found = plan(folder, "[k-means, robust, zero-shot]", "[k-means]")
    first = run_experiment(found, folder, folder / "out", say=said.append)
    path = folder / "out" / RESULTS_NAME
    path.write_text(path.read_text()[:-20], encoding="utf-8")
    second = run_experiment(found, folder, folder / "out", say=said.append)
    assert len(said) == 3
    assert [(one.seed, one.nmi) for one in second.results] == [(one.seed, one.nmi) for one in first.results]
    assert run_experiment(found, folder, folder / "out", say=said.append).missing == []
    assert len(said) == 3


def test_one_fit_of_the_published_method_gives_two_ways(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []

    def fit(seen: Vectors, seed: int) -> dict[str, Found]:
        fits.append(seed)
        groups = seen.scored[:, :3].argmax(axis=1)
        return {"published": Found(groups, 2.0), "training-free": Found(groups, 1.0)}

    for name in ("published", "training-free"):
        monkeypatch.setitem(WAYS, name, fit)
    found = plan(folder, "[k-means, robust, zero-shot]", "[training-free, published]")
    outcome = run_experiment(found, folder, folder / "out", say=lambda _: None)
    assert fits == [0, 1]
    assert [(one.way, one.seconds) for one in outcome.results[:2]] == [("training-free", 1.0), ("published", 2.0)]


def test_what_cannot_be_run_is_said_and_the_rest_goes_on(folder: Path) -> None:
    for old, new, sentence in (
        (
            "Red thing 0, green thing 0",
            "purple, [pink, rose]",
            "three_groups: zero-shot needs the names of two classes among the nouns; 2 of 3 are not among them: "
            "purple, pink",
        ),
        (
            "Red thing 0",
            "Blue thing 0",
            "three_groups: zero-shot needs a noun of its own for each class; blue thing 0 stands for two",
        ),
        (
            "    class_names: [Red thing 0, green thing 0, blue thing 0]\n",
            "",
            "three_groups: zero-shot needs class_names",
        ),
    ):
        outcome = run_experiment(plan(folder, old, new), folder, folder / "out", seeds=1, say=lambda _: None)
        assert outcome.missing == [sentence]
        assert [one.way for one in outcome.results] == ["k-means", "robust"]
    for old, new, sentence in (
        ("images: images", "images: nowhere", "there is no nowhere.parquet in"),
        ("images: images.parquet", "images: images.parquet\n    split: test", "must be a Parquet table with embedding"),
        ("images: images.parquet", "images: images.parquet\n    label: kind", "must be a Parquet table with embedding"),
        ("green thing 0, ", "", "must name each of the 3 classes"),
    ):
        outcome = run_experiment(plan(folder, old, new), folder, folder / "out", seeds=1, say=lambda _: None)
        assert (outcome.results, len(outcome.missing), sentence in outcome.missing[0]) == ([], 1, True), outcome
    (folder / "plan.yaml").write_text(PLAN.replace("images: images", "images: nowhere"), encoding="utf-8")
    result = tac("experiment", "run", folder / "plan.yaml", "--data", folder, "--out", folder / "out")
    assert (result.exit_code, "not run: three_groups: there is no nowhere.parquet" in told(result)) == (1, True)


def test_a_class_without_a_vector_is_wrong_and_the_table_says_so(folder: Path) -> None:
    found = plan(folder, "Red thing 0, green thing 0", "purple, [grass, Green thing 0]")
    outcome = run_experiment(found, folder, folder / "out", seeds=1, say=lambda _: None)
    zero_shot = outcome.results[-1]
    assert (outcome.missing, zero_shot.way, zero_shot.unnamed) == ([], "zero-shot", ["purple"])
    assert zero_shot.acc == zero_shot.recall == pytest.approx(2 / 3)
    assert rows_of(found, outcome.results)[-1][4] == "zero-shot, 2 of 3 names"
    assert notes_of(outcome)[0] == (
        "three_groups, zero-shot: no vector for 1 of 3 class names (purple); their images count as wrong"
    )
    # Other names of the classes: only the way that is told them runs again.
    said: list[str] = []
    run_experiment(plan(folder), folder, folder / "out", seeds=1, say=said.append)
    assert [line.split(",")[1] for line in said] == [" zero-shot"]


def test_a_split_is_what_is_scored(folder: Path) -> None:
    table = pl.read_parquet(folder / "images.parquet")
    split = ["test" if row % 2 else "train" for row in range(len(table))]
    table.with_columns(split=pl.Series(split)).write_parquet(folder / "images.parquet")
    _, truth = grouped_vectors()
    one = plan(folder, "images: images.parquet", "images: images.parquet\n    split: test")
    [opened] = Shelf(one, folder, folder / "out", print).open(one.sets[0])
    assert opened.labels.tolist() == truth[1::2].tolist()
    assert (opened.seen.n_classes, opened.seen.two) == (3, False)
    two = plan(folder, "images: images.parquet", "images: images.parquet\n    learn: train\n    split: test")
    outcome = run_experiment(two, folder, folder / "out", seeds=1, say=lambda _: None)
    assert [(one.way, one.learn, one.learned, one.split, one.images) for one in outcome.results] == [
        (way, "train", 30, "test", 30) for way in ("k-means", "robust", "zero-shot")
    ]
    assert [one.acc for one in outcome.results] == [1, 1, 1]
    rows = [dict(zip(HEADER, row, strict=True)) for row in rows_of(two, outcome.results)]
    assert [row["learned from"] for row in rows] == ["", "train: 30", ""]
    wrong = plan(folder, "images: images.parquet", "images: images.parquet\n    split: none")
    assert run_experiment(wrong, folder, folder / "out", say=print).missing == [
        "three_groups: split must be a split that has images; got 'none', and there are: test (30 images), train (30 "
        "images)"
    ]
    unlabeled = table.with_columns(pl.when(pl.int_range(len(table)) > 3).then("label").alias("label"))
    unlabeled.write_parquet(folder / "images.parquet")
    missing = run_experiment(plan(folder), folder, folder / "out", say=print).missing
    assert missing == [
        f"three_groups: each scored image must have a label; 4 of 60 of {folder / 'images.parquet'} have no label: "
        "leave them out, or put them in a split that is not scored"
    ]


def test_training_free_groups_the_scored_images_alone(folder: Path) -> None:
    table = pl.read_parquet(folder / "images.parquet")
    split = ["test" if row % 2 else "train" for row in range(len(table))]
    table.with_columns(split=pl.Series(split)).write_parquet(folder / "images.parquet")
    found = plan(folder, "images: images.parquet", "images: images.parquet\n    learn: train\n    split: test")
    [opened] = Shelf(found, folder, folder / "out", print).open(found.sets[0])
    alone = WAYS["training-free"](opened.seen, 0)["training-free"].groups
    same = WAYS["training-free"](replace(opened.seen, learned=opened.seen.scored), 0)["training-free"].groups
    assert (len(alone), alone.tolist()) == (30, same.tolist())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seeds: 2", "seeds: 0", r"seeds: input should be greater.*line 4"),
        (
            "[k-means, robust, zero-shot]",
            "[guesswork]",
            r"ways must be some of k-means, .*robust.*; got 'guesswork' .*line 3",
        ),
        ("name: small", "title: small", "name: field required"),
        (
            "    images: images.parquet",
            "    images: images.parquet\n    pictures: yes",
            "sets.0.pictures: extra inputs",
        ),
        ("published: {robust: [99, 98.5, 97]}", "published: {robust: [99]}", r"published\.robust"),
        ("[Red thing 0, green", "[[Red thing 0, ''], green", r"class_names\.0\.1: .*got '' .*line 8"),
        ("name: small", "name: [", "not valid YAML"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_line(folder: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        plan(folder, old, new)


def test_two_sets_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="three_groups is there twice"):
        plan(folder, PLAN[PLAN.index("  - name") :], PLAN[PLAN.index("  - name") :] * 2)


def test_class_names_are_found_whatever_their_case() -> None:
    words = [["CAT"], ["hound", "dog"], ["cow"]]
    assert class_rows(words, ["dog", "cat", "Dog"]).tolist() == [1, 0, -1]


def test_tables_hold_any_text() -> None:
    rows = [("a|b_c & 5%",) * len(HEADER)]
    assert as_markdown(rows, []).splitlines()[-1].count("|") == len(HEADER) + 1
    assert r"a|b\_c \& 5\%" in as_latex(rows, ["a note"])
    assert rows_of(Experiment(name="x", nouns="n", sets=[{"name": "a", "images": "b"}]), []) == []
