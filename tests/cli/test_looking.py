"""`tac status`, `tac clusters`, `tac diff` and `tac changes`: what is so, what would be done, and what changed."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize
from command_line import ALL, below, tac, told
from ready_store import ready
from small_store import grouped_vectors, write_vectors

import tac_pipeline
from assets.graph import GROWTH
from tac_pipeline.cli import changing, looking

Writer = Callable[..., Path]


@pytest.fixture
def path(vector_store: Writer) -> Path:
    """A small store with version 1 published."""
    settings = vector_store({"method": "trained"})
    ready(settings)
    return settings


def put(path: Path, ids: list[str], vectors: np.ndarray) -> None:
    """Give the store these images, and assign them."""
    write_vectors(path.parent / "images.parquet", ids, vectors, ["x"] * len(ids))
    materialize(path, [step.name for step in GROWTH])


IDS = [f"image-{number:03d}" for number in range(60)]


def move_some(path: Path) -> None:
    """Five images of the first group now show the second; one image is removed, two are new."""
    vectors, _ = grouped_vectors()
    vectors[:5] = vectors[20:25]
    put(path, [*IDS[:-1], "new-a", "new-b"], np.concatenate([vectors[:-1], vectors[-2:]]))


def test_status_before_and_after_a_run(vector_store: Writer) -> None:
    path = vector_store()
    before = tac("status", "-s", path).stdout
    assert len(re.findall(r"^\w+ +missing\b", before, flags=re.MULTILINE)) == ALL
    assert before.splitlines()[-2:] == [f"a run computes {ALL} assets", "nothing is published yet"]
    ready(path)
    after = tac("status", "-s", path).stdout
    assert len(re.findall(r"^\w+ +fresh +\d+ +[\d.]+ (?:s|min)", after, flags=re.MULTILINE)) == ALL
    assert after.splitlines()[-2] == "everything is fresh: a run has nothing to do"
    assert re.fullmatch(r"readers have version 1 of \d{4}-\d\d-\d\d \d\d:\d\d", after.splitlines()[-1])


def test_status_says_what_would_rerun_why_and_how_long_that_took(path: Path, vector_store: Writer) -> None:
    changed = tac("status", "-s", vector_store({"heads.epochs": 61})).stdout
    states = dict(re.findall(r"^(\w+) +(fresh|stale|missing)\b", changed, flags=re.MULTILINE))
    assert {name for name, state in states.items() if state == "stale"} == below("cluster_heads")
    assert re.search(
        r"^cluster_heads +stale +60 +[\d.]+ (?:s|min) +heads\.epochs: 60 -> 61 *$", changed, flags=re.MULTILINE
    )
    assert re.search(r"^assignments +stale .* waits for cluster_heads, corrections *$", changed, flags=re.MULTILINE)
    stale = len(below("cluster_heads"))
    assert re.search(
        rf"^a run computes {stale} assets, which took [\d.]+ (?:s|min) last time$", changed, flags=re.MULTILINE
    )


def test_what_is_computed_and_what_is_found_again_are_told_apart(path: Path, vector_store: Writer) -> None:
    materialize(vector_store({"retrieval.tau": 0.02}))
    mixed = tac("status", "-s", vector_store({"retrieval.tau": 0.005, "heads.epochs": 61})).stdout
    assert re.search(r"^text_counterparts +stale but reusable ", mixed, flags=re.MULTILINE)
    stale, found = len(below("cluster_heads")), len(below("text_counterparts")) - len(below("cluster_heads"))
    assert re.search(
        rf"^a run computes {stale} assets, which took .* and finds {found} assets again$", mixed, flags=re.MULTILINE
    )


def test_a_source_that_is_not_there_is_told_by_status_too(vector_store: Writer) -> None:
    result = tac("status", "-s", vector_store({"images.source": "absent.parquet"}))
    assert result.exit_code == 0
    assert "cannot be built: images.source must be an existing folder or table" in " ".join(result.stdout.split())


def test_path_prints_the_folder_that_readers_open(vector_store: Writer) -> None:
    path = vector_store()
    nothing = tac("path", "published", "-s", path)
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "nothing is published yet" in told(nothing)
    ready(path)
    folder = Path(tac("path", "published", "-s", path).stdout.strip())
    assert folder.name == "v000001"
    assert (folder / "assignments.parquet").is_file()


def test_diff_counts_what_moved_and_names_the_clusters_that_changed(path: Path) -> None:
    same = tac("diff", "-s", path).stdout
    assert same.splitlines() == [
        "from published version 1 to the current result:",
        "0 of 60 images (0.0%) moved to another cluster, 0 are new, 0 are gone",
    ]
    move_some(path)
    lines = tac("diff", "-s", path).stdout.splitlines()
    assert lines[1] == "5 of 59 images (8.5%) moved to another cluster, 2 are new, 1 are gone"
    assert re.split("  +", lines[3].strip()) == ["id", "name", "images before", "after", "stayed", "came", "left"]
    rows = sorted(re.split("  +", line.strip())[2:] for line in lines[4:])
    assert rows == [["20", "15", "15", "0", "5"], ["20", "21", "19", "2", "1"], ["20", "25", "20", "5", "0"]]
    assert all(re.search(r"^\d +(red|green|blue) thing \d ", line) for line in lines[4:])


def test_diff_takes_versions_by_number_folder_or_word(path: Path) -> None:
    move_some(path)
    tac("publish", "-s", path)
    forward = tac("diff", "1", "2", "-s", path).stdout
    assert forward.startswith("from published version 1 to published version 2:\n5 of 59")
    assert tac("diff", "v1", "v000002", "-s", path).stdout == forward
    assert tac("diff", "1", "latest", "-s", path).stdout == forward
    back = tac("diff", "2", "1", "-s", path).stdout
    assert "5 of 59 images (8.5%) moved to another cluster, 1 are new, 2 are gone" in back
    assert tac("diff", "current", "1", "-s", path).stdout.splitlines()[1:] == back.splitlines()[1:]


def test_diff_names_a_cluster_that_is_there_no_more(path: Path, vector_store: Writer) -> None:
    assert tac("run", "-s", vector_store({"clusters.count": 2})).exit_code == 0
    rows = [line for line in tac("diff", "1", "-s", path).stdout.splitlines()[4:] if " 20  " in line]
    assert rows
    # Two groups in one cluster have no noun of their own.
    assert all(re.search(r"^\d +((red|green|blue) thing \d|unnamed \d \(near: .*thing \d\)) ", row) for row in rows)


def test_a_version_that_is_not_there_is_told(vector_store: Writer) -> None:
    path = vector_store()
    none = tac("diff", "-s", path)
    assert none.exit_code == 1
    assert told(none) == "error: nothing is published yet: there is no version to compare with (`tac publish`)"
    ready(path)
    absent = tac("diff", "99", "-s", path)
    assert absent.exit_code == 1
    assert "there is no published version 99 in " in told(absent)
    word = tac("diff", "yesterday", "-s", path)
    assert word.exit_code == 2
    assert "a published version must be a number such as 6; got 'yesterday'" in told(word)


def test_changes_add_up_to_what_is_published(path: Path) -> None:
    move_some(path)
    tac("publish", "-s", path)
    first, second = (pl.read_csv(io.StringIO(tac("changes", "--since", since, "-s", path).stdout)) for since in "01")
    assert first.columns == ["image_id", "old_cluster_id", "new_cluster_id", "version"]
    assert (len(first), len(second)) == (68, 8)
    assert first.tail(8).equals(second)
    assert set(second["image_id"]) == {*IDS[:5], IDS[-1], "new-a", "new-b"}
    state: dict[str, int | None] = {}
    for image_id, _, new, _ in first.iter_rows():
        state[image_id] = new
    published = pl.read_parquet(path.parent / "data/small/published/latest/assignments.parquet")
    assert {id_: cluster for id_, cluster in state.items() if cluster is not None} == dict(
        published.select("image_id", "cluster_id").iter_rows()
    )
    assert tac("changes", "--since", "2", "-s", path).stdout == "image_id,old_cluster_id,new_cluster_id,version\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["changes"], 2, "Missing option '--since'"),
        (["changes", "--since", "-1"], 2, "Invalid value for '--since'"),
        (["changes", "--since", "9"], 1, "there are no changes since version 9: nothing is published in"),
    ],
)
def test_changes_since_what_cannot_be_are_told(
    vector_store: Writer, arguments: list[str], code: int, message: str
) -> None:
    result = tac(*arguments, "-s", vector_store())
    assert result.exit_code == code
    assert message in told(result)
    assert result.stdout == ""


def test_status_says_that_the_settings_hold_the_old_default_of_tau(vector_store: Writer) -> None:
    told_of = "tau: 0.005 was the default of version 0.1"
    assert told_of not in tac("status", "-s", vector_store()).stdout
    assert told_of in tac("status", "-s", vector_store({"retrieval.tau": 0.005})).stdout
    assert told_of not in tac("status", "-s", vector_store({"method": "published"})).stdout


def check_status(path: Path) -> None:
    shown = json.loads(tac("status", "--json", "-s", path).stdout)
    states = {asset["asset"]: asset["state"] for asset in shown["assets"]}
    assert len(states) == ALL
    assert set(states.values()) == {"fresh"}
    [heads] = [asset for asset in shown["assets"] if asset["asset"] == "cluster_heads"]
    assert heads["why"] == ""
    assert heads["rows"] == 60
    assert shown["images"] == {"read": 60, "unreadable": 0, "passed_over": 0, "problems": 0}
    assert shown["readers"].startswith("readers have version 1 of ")


def check_clusters(path: Path) -> None:
    lines = tac("clusters", "-s", path).stdout.splitlines()
    assert re.split("  +", lines[0].strip()) == ["id", "name", "images", "share", "also"]
    assert len(lines) == 4
    listed = json.loads(tac("clusters", "--json", "-s", path).stdout)
    assert [row["size"] for row in listed] == sorted((row["size"] for row in listed), reverse=True)
    first = listed[0]
    by_id = json.loads(tac("clusters", str(first["cluster_id"]), "--json", "-s", path).stdout)
    by_name = json.loads(tac("clusters", first["name"].upper(), "--json", "-s", path).stdout)
    assert by_id == by_name
    assert {**by_id, **first} == by_id
    told_all = tac("clusters", first["name"], "-s", path).stdout
    assert re.search(rf"^images +{first['size']} \(", told_all, flags=re.MULTILINE)
    assert by_id["medoids"][0] in told_all
    unknown = tac("clusters", first["name"][:-1] + "x", "-s", path)
    assert unknown.exit_code == 2
    assert f"did you mean {first['name']}?" in told(unknown)


def check_completion(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    names = [row["name"] for row in json.loads(tac("clusters", "--json").stdout)]
    assert sorted(looking._complete_group("")) == sorted(names)
    assert looking._complete_group(names[0][:5].upper()) == [name for name in names if name[:5] == names[0][:5]]
    assert looking._complete_group("0") == ["0"]
    assert looking._complete_asset("cluster_h") == ["cluster_heads"]
    assert looking._complete_asset("pub") == ["published"]
    assert changing._complete_key("retrieval.") == ["retrieval.tau="]
    monkeypatch.chdir(path.parent.parent)
    assert looking._complete_group("") == looking._complete_asset("") == []


def test_a_result_as_json_by_group_and_at_the_tab_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One store for all three: making it takes longer than looking at it.
    check_status(path)
    check_clusters(path)
    check_completion(path, monkeypatch)


def test_the_version_is_told() -> None:
    assert tac("--version").stdout == f"tac {tac_pipeline.__version__}\n"
