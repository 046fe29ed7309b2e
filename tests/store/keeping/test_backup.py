"""Backup and restore: what comes back is what was there, verified before anything is replaced, and nothing escapes."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tac_pipeline.errors import ArtifactDamaged, InputError, StoreError, TacError
from tac_pipeline.files import write_atomically
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.digests import describe_files, write_sealed
from tac_pipeline.store.keeping.backup import back_up, restore
from tac_pipeline.store.ledger import TABLES
from tac_pipeline.store.publication import Publication


def publish(store: Store, clusters: int) -> None:
    """A published version and a ledger entry, in their smallest form."""
    publication = Publication(store.published_folder)
    ids = list(range(clusters))
    schema = {"image_id": pl.String, "cluster_id": pl.Int32}
    assignments = pl.DataFrame({"image_id": [f"{id_}" for id_ in ids], "cluster_id": ids}, schema=schema).with_columns(
        cluster_name=pl.lit("a name"), confidence=0.9, runner_up=0, similarity=0.8, curated=False
    )
    one = pl.DataFrame({"cluster_id": ids}, schema={"cluster_id": pl.Int32})
    named = {"name": pl.lit("a name"), "alternatives": pl.lit(["other"]), "medoids": pl.lit(["a"])}
    groups = one.with_columns(
        **named,
        size=1,
        share=0.1,
        confidence=0.9,
        lineage=pl.lit("born"),
        alternative_weights=pl.lit([0.1]),
        name_confidence=0.5,
        curated=False,
    )
    lineage = one.with_columns(entry=1, event=pl.lit("born"), other_id=None, shared=0, images_before=0, images_after=1)
    tables = {"assignments": assignments, "clusters": groups, "lineage": lineage}
    version = publication.publish(tables, source={"clusters": str(clusters)}, entry=1)
    entry = store.ledger_folder / f"{version.number:06d}"
    entry.mkdir(parents=True)
    record = {"entry": version.number, "key": f"k{clusters}", "parent": None, "next_id": clusters}
    for name in TABLES:
        (entry / f"{name}.parquet").write_text(f"{name} {clusters}")
    write_sealed(entry / "entry.json", {**record, "files": describe_files(entry.iterdir())})


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for room in ("ledger", "published")
        for path in sorted((folder / room).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "data" / "photos")
    publish(store, 2)
    publish(store, 3)
    (tmp_path / "corrections.yaml").write_text("names: {0: sea}\n")
    return store


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {"corrections.yaml": tmp_path / "corrections.yaml"}


FORMS = pytest.mark.parametrize("name", ["kept", "kept.tar"])


@FORMS
def test_what_was_backed_up_comes_back(store: Store, tmp_path: Path, files: dict[str, Path], name: str) -> None:
    before = tree(store.folder)
    made = back_up(store, tmp_path / name, settings=files)
    assert (made.entries, made.version) == (2, 2)
    assert [path.name for path in tmp_path.glob(".kept*")] == []
    (store.ledger_folder / "000002" / "ids.parquet").write_bytes(b"harm")
    (store.published_folder / "v000002" / "clusters.parquet").unlink()
    files["corrections.yaml"].write_text("names: {}\n")
    _, kept = restore(store, tmp_path / name, settings=files)
    assert tree(store.folder) == before
    assert Publication(store.published_folder).latest().number == 2  # type: ignore[union-attr]
    assert files["corrections.yaml"].read_text() == "names: {0: sea}\n"
    assert kept is not None
    with store.lock():  # which sweeps what killed processes left, and not this
        pass
    assert (kept / "ledger" / "000002" / "ids.parquet").read_bytes() == b"harm"
    assert (kept / "settings" / "corrections.yaml").read_text() == "names: {}\n"


@FORMS
def test_a_store_that_is_gone_comes_back(store: Store, tmp_path: Path, name: str) -> None:
    before = tree(store.folder)
    back_up(store, tmp_path / name, settings={})
    fresh = Store(tmp_path / "other" / "photos")
    assert restore(fresh, tmp_path / name, settings={})[1] is None
    assert tree(fresh.folder) == before


def test_a_newer_store_is_not_replaced_unasked(store: Store, tmp_path: Path) -> None:
    back_up(store, tmp_path / "kept", settings={})
    publish(store, 4)
    before = tree(store.folder)
    with pytest.raises(StoreError, match=r"ledger entry 3, and the backup .* ends with 2.*--force"):
        restore(store, tmp_path / "kept", settings={})
    assert tree(store.folder) == before
    _, kept = restore(store, tmp_path / "kept", settings={}, force=True)
    assert kept is not None
    assert tree(kept) == before
    assert len(list(store.ledger_folder.iterdir())) == 2


@FORMS
@pytest.mark.parametrize("harm", ["other bytes", "cut", "gone", "manifest"])
def test_a_damaged_backup_replaces_nothing(store: Store, tmp_path: Path, name: str, harm: str) -> None:
    back_up(store, tmp_path / "kept", settings={})
    path = tmp_path / "kept" / "ledger" / "000001" / "ids.parquet"
    manifest = tmp_path / "kept" / "manifest.json"
    if harm == "gone":
        path.unlink()
    elif harm == "manifest":
        manifest.write_text(manifest.read_text().replace('"latest"', '"Latest"'))
    else:
        path.write_bytes(b"other" if harm == "other bytes" else path.read_bytes()[:-1])
    if name.endswith(".tar"):
        with tarfile.open(tmp_path / name, "w") as tar:
            tar.add(tmp_path / "kept", "")
    before = tree(store.folder)
    with pytest.raises(TacError, match=r"Nothing was restored|must be a backup"):
        restore(store, tmp_path / name, settings={})
    assert tree(store.folder) == before
    assert [path.name for path in store.folder.iterdir() if path.name.startswith(".b")] == []


OUTSIDE = [
    "../evil",
    "/tmp/evil",
    "ledger/../../evil",
    "ledger//evil",
    "ledger",
    "other/evil",
    "ledger/a\\..\\b",
    "ledger/c:evil",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_a_backup(store: Store, tmp_path: Path, name: str) -> None:
    back_up(store, tmp_path / "kept", settings={})
    manifest = tmp_path / "kept" / "manifest.json"
    record = json.loads(manifest.read_text())
    record["files"][name] = {"size": 4, "sha256": "0" * 64}
    del record["seal"]
    write_sealed(manifest, record)
    before = tree(store.folder)
    with pytest.raises(InputError, match="names a file that is not a backup's"):
        restore(store, tmp_path / "kept", settings={})
    assert tree(store.folder) == before


@pytest.mark.parametrize("latest", ["../../x", "v1", "/etc", 7])
def test_the_link_to_the_latest_leads_to_a_version(store: Store, tmp_path: Path, latest: Any) -> None:
    back_up(store, tmp_path / "kept", settings={})
    manifest = tmp_path / "kept" / "manifest.json"
    record = json.loads(manifest.read_text())
    del record["seal"]
    write_sealed(manifest, {**record, "latest": latest})
    with pytest.raises(InputError, match="versions that cannot be"):
        restore(store, tmp_path / "kept", settings={})


def test_links_in_a_backup_are_not_followed(store: Store, tmp_path: Path) -> None:
    back_up(store, tmp_path / "kept.tar", settings={})
    secret = tmp_path / "secret"
    secret.write_text("ids 2")
    with tarfile.open(tmp_path / "kept.tar") as tar, tarfile.open(tmp_path / "bad.tar", "w") as bad:
        for member in tar:
            if member.name.endswith("000001/ids.parquet"):
                member.type, member.linkname, member.size = tarfile.SYMTYPE, str(secret), 0
                bad.addfile(member)
            else:
                bad.addfile(member, tar.extractfile(member))
    with pytest.raises(ArtifactDamaged, match=r"lacks its file ledger/000001/ids\.parquet"):
        restore(store, tmp_path / "bad.tar", settings={})


NO_BACKUPS: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_bytes(b"not a tar" * 99),
    "an empty folder": lambda path: path.mkdir(),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("kind", NO_BACKUPS)
def test_what_is_no_backup_is_refused(store: Store, tmp_path: Path, kind: str) -> None:
    NO_BACKUPS[kind](tmp_path / "x")
    before = tree(store.folder)
    with pytest.raises(TacError, match=r"must be a|cannot restore"):
        restore(store, tmp_path / "x", settings={})
    assert tree(store.folder) == before


def test_a_damaged_ledger_is_not_backed_up(store: Store, tmp_path: Path) -> None:
    (store.ledger_folder / "000001" / "ids.parquet").write_bytes(b"harm")
    with pytest.raises(StoreError, match=r"what is damaged is not backed up: .*ids\.parquet"):
        back_up(store, tmp_path / "kept", settings={})
    assert not (tmp_path / "kept").exists()


def test_a_destination_that_is_taken_or_in_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", "something")
    with pytest.raises(InputError, match="is there already"):
        back_up(store, tmp_path / "kept", settings={})
    with pytest.raises(InputError, match="outside the store"):
        back_up(store, store.folder / "kept", settings={})
    only_images = Store(tmp_path / "only images")
    only_images.history.add("image_manifest", "r1", version="v", written={})
    for without in (Store(tmp_path / "none"), only_images):
        with pytest.raises(StoreError, match="has no ledger yet"):
            back_up(without, tmp_path / "new", settings={})


def test_a_backup_that_cannot_be_written_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tac_pipeline.store.keeping.backup.shutil.copyfile", full)
    with pytest.raises(StoreError, match=r"No space left on device\. Nothing was left there"):
        back_up(store, tmp_path / "to" / "kept", settings={})
    assert list((tmp_path / "to").iterdir()) == []
