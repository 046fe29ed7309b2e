"""Images encoded by workers elsewhere: the same rows as on one machine, nothing twice, and plain refusals.

The workers are those of a cluster in this process; with Ray installed, the last test starts a true one.
"""

import importlib.util
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize
from colored_store import colored_store, edit, view  # noqa: F401 - a fixture
from fake_ray import FakeRay
from ruamel.yaml import YAML

from assets.engine.execute import open_store
from assets.lookups.exporting import places_to_spare
from tac_pipeline.compute import cluster, work
from tac_pipeline.embedding import hash_keys
from tac_pipeline.errors import ComputeError, MissingDependency, SettingsError
from tac_pipeline.settings.project import load_project
from tac_pipeline.settings.reading import parse_settings
from tac_pipeline.store.shards import gather_vectors

pytestmark = pytest.mark.filterwarnings("ignore:the weights of .* are random")
STEPS = ["image_manifest", "image_embeddings"]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return use(monkeypatch, FakeRay())


def use(monkeypatch: pytest.MonkeyPatch, found: FakeRay) -> FakeRay:
    monkeypatch.setattr(cluster, "import_module", lambda _: found)
    return found


def clustered(path: Path, **compute: object) -> Path:
    tree = YAML().load(path.read_text())
    tree["compute"] = {"engine": "ray", **compute}
    with path.open("w") as file:
        YAML().dump(tree, file)
    return path


def vectors_of(path: Path) -> np.ndarray:
    readable = view(path).filter(pl.col("error").is_null())
    artifact = open_store(load_project(path)).require_current("image_embeddings").artifact
    folder = open_store(load_project(path)).shards_folder
    return gather_vectors(readable, folder, encoder=artifact.facts["encoder"])


def test_workers_give_what_one_machine_gives(store: Path, ray: FakeRay, tmp_path: Path) -> None:
    # Equal bytes are encoded once, wherever they are.
    shutil.copy(tmp_path / "photos/group0/1.png", tmp_path / "photos/group2/again.png")
    local = materialize(store, STEPS)["image_embeddings"].artifact
    alone, rows = vectors_of(store), view(store).drop("shard", "row")
    shutil.rmtree(tmp_path / "data")
    found = materialize(clustered(store), STEPS)["image_embeddings"].artifact
    assert found.content == local.content
    assert view(store).drop("shard", "row").equals(rows)
    assert (vectors_of(store) * alone).sum(axis=1).min() >= 0.9999
    assert [found.facts[name] for name in ("computed", "copied", "unreadable")] == [31, 1, 3]
    assert (ray.actors, ray.begun, ray.is_initialized()) == (2, 1, False)
    assert {actor for actor, name in ray.calls if name == "encode"} == {0, 1}
    assert ray.asked[1] == {"max_restarts": -1, "max_task_retries": 3, "num_gpus": 0.0, "num_cpus": 1}
    assert "runtime_env" not in ray.asked[0]


def test_bytes_that_are_known_are_not_encoded_again(store: Path, ray: FakeRay, tmp_path: Path) -> None:
    materialize(clustered(store, workers=1), STEPS)
    before = vectors_of(store)
    shutil.move(tmp_path / "photos/group0", tmp_path / "photos/moved")
    facts = materialize(store, STEPS)["image_embeddings"].artifact.facts
    assert (facts["computed"], facts["copied"]) == (10, 9)
    after = dict(zip(view(store).filter(pl.col("error").is_null())["image_id"], vectors_of(store), strict=True))
    np.testing.assert_array_equal(after["moved/0.jpg"], before[0])
    # Nothing is new: no cluster is asked.
    begun = ray.begun
    materialize(store, STEPS)
    assert ray.begun == begun


def test_known_bytes_are_told_apart_by_more_than_their_first_digits() -> None:
    start = "0123456789abcde"
    hashes = pl.Series([f"{start}{digit * 49}" for digit in "ab"])
    parts = [hash_keys(hashes, part=part) for part in (0, 1)]
    known = work.KnownImages(*parts, sizes=np.array([[3, 4], [5, 6]], dtype=np.int32))
    assert [known.find(each) for each in hashes] == [(3, 4), (5, 6)]
    assert known.find(start + "c" * 49) is None


def test_the_weights_of_a_second_model_are_spared_by_exports(store: Path, tmp_path: Path) -> None:
    tree = YAML().load(store.read_text())
    tree["encoder"]["second"] = {"model": "test_vit", "pretrained": "second.pth"}
    with store.open("w") as file:
        YAML().dump(tree, file)
    spared = {place.path for place in places_to_spare(load_project(store))}
    assert tmp_path / "second.pth" in spared


def test_what_lost_workers_had_done_is_kept(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "UNIT_BATCHES", 1)
    monkeypatch.setattr("tac_pipeline.store.shards.SHARD_ROWS", 4)
    use(monkeypatch, FakeRay(lost=lambda calls: calls > 5))
    with pytest.raises(ComputeError, match=r"lost more than 3 times .*out of memory.* What was encoded is kept"):
        materialize(clustered(store), STEPS)
    ray = use(monkeypatch, FakeRay())
    made = materialize(store, STEPS)["image_embeddings"].artifact
    assert made.facts["computed"] < 30
    assert [name for _, name in ray.calls].count("encode") < 8
    assert made.facts["readable"] == 27


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"version": "9"}, "worker 1 has tac-pipeline 9, and this machine .*: install the same"),
        ({"encoder": "other"}, "worker 1 has the encoder other, and this machine open_clip:"),
        (
            {"problem": "/photos: no such file"},
            "worker 1 cannot work: /photos: .* a folder that all machines share",
        ),
    ],
)
def test_a_worker_that_is_another_is_refused_before_the_work(
    store: Path, ray: FakeRay, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], sentence: str
) -> None:
    greet = work.ImageWorker.greet
    monkeypatch.setattr(work.ImageWorker, "greet", lambda self, uri: greet(self, uri) | said)
    with pytest.raises(ComputeError, match=sentence):
        materialize(clustered(store), STEPS)
    assert "encode" not in [name for _, name in ray.calls]


def test_a_worker_that_does_not_reach_the_images_says_which(store: Path, tmp_path: Path) -> None:
    from assets.images.embedded import _image_work

    worker = work.ImageWorker(_image_work(load_project(store)))
    assert worker.greet(str(tmp_path / "photos/group0/0.jpg"))["problem"] == ""
    assert "group0/none.jpg: No such file" in worker.greet(str(tmp_path / "photos/group0/none.jpg"))["problem"]


def test_without_ray_or_a_cluster_there_is_one_sentence(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{taken.getsockname()[1]}"
    use(monkeypatch, FakeRay())
    with pytest.raises(ComputeError, match=f"nothing answers at {free}"):
        materialize(clustered(store, address=free), STEPS)
    with pytest.raises(ComputeError, match="gpus_per_worker is 1, and the cluster has 0 GPUs"):
        materialize(clustered(store, gpus_per_worker=1.0), STEPS)

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(cluster, "import_module", absent)
    with pytest.raises(MissingDependency, match=r"pip install 'tac-pipeline\[ray\]'"):
        materialize(clustered(store), STEPS)
    # auto goes on here.
    made = materialize(clustered(store, engine="auto", address=free), STEPS)["image_embeddings"].artifact
    assert made.facts["readable"] == 27
    with pytest.raises(SettingsError, match=r"compute.*must have address where engine is auto"):
        parse_settings("store: a\nimages: {source: b}\nclusters: {count: 3}\ncompute: {engine: auto}\n", name="t")


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or "TAC_RAY" not in os.environ,
    reason="a true Ray takes 45 CPU seconds to start: set TAC_RAY=1 where tac-pipeline[ray] is installed",
)
def test_a_true_ray_gives_the_same(store: Path, tmp_path: Path) -> None:
    local = materialize(store, STEPS)["image_embeddings"].artifact
    alone = vectors_of(store)
    shutil.rmtree(tmp_path / "data")
    found = materialize(clustered(store, workers=2), STEPS)["image_embeddings"].artifact
    assert found.content == local.content
    assert (vectors_of(store) * alone).sum(axis=1).min() >= 0.9999
