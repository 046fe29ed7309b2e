"""The UI of a store, from the real webserver: as a person uses it in a browser, and over GraphQL as its pages ask.

The tests use one UI, in the order of the file.
"""

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chromium import find_chromium
from command_line import below
from small_store import REPOSITORY
from ui_page import browser_page, open_graph, run_from_the_graph
from ui_server import SETTINGS, TAU, Ui, clean_environment, free_port, serving, tac_ui, write_store

from assets.graph import GROWTH, STEPS
from assets.orchestration.build import IMAGE_STORE
from assets.orchestration.publishing import PUBLISHED
from tac_pipeline.settings.project import load_project

NAMES = [*(step.name for step in STEPS), PUBLISHED]
# Everything that hangs on retrieval.tau.
COUNTERPARTS_DOWN = below("text_counterparts") | {PUBLISHED}
CHECKS = {
    "unreadable_images": "image_embeddings",
    "centers_without_noun": "noun_vocabulary",
    "heads_converged": "cluster_heads",
    "learned_as_before": "cluster_ids",
    "drift": "assignments",
    "cluster_sizes": "clusters",
    "readers_are_current": "published",
}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`tac ui` on a small store; tests leave the settings as they found them."""
    with tac_ui(write_store(tmp_path_factory.mktemp("store"))) as running:
        yield running


@pytest.fixture(scope="module")
def filled_ui(ui: Ui) -> Ui:
    """The same, after "Materialize all": in the browser, where there is one."""
    if ui.stale():
        run = ui.materialize(NAMES)
        assert run["status"] == "SUCCESS", ui.failures(run["runId"])
    return ui


@pytest.fixture(autouse=True)
def server_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """When a test fails, pytest shows what the server logged."""
    yield
    if "ui" in request.fixturenames:
        print(request.getfixturevalue("ui").log.read_text(encoding="utf-8")[-10_000:])  # noqa: T201


def test_the_code_location_loads_with_its_jobs(ui: Ui) -> None:
    location = ui.location
    assert location["loadStatus"] == "LOADED"
    [repository] = location["locationOrLoadError"]["repositories"]
    jobs = {job["name"]: job["description"] for job in repository["jobs"] if not job["name"].startswith("__")}
    assert set(jobs) == {"observe", "grow", "recluster", "set_settings", "publish", "rollback"}
    assert all(jobs.values())


def test_every_step_is_an_asset_with_its_group_kinds_description_and_version(ui: Ui) -> None:
    assets = ui.assets()
    settings = load_project(ui.settings).settings
    assert set(assets) == {*NAMES, IMAGE_STORE}
    for step in STEPS:
        node = assets[step.name]
        assert node["assetKey"]["path"] == ["small", step.name]
        assert node["groupName"] == step.group.replace(" ", "_")
        assert set(node["kinds"]) == set(step.kinds)
        assert node["description"].startswith(step.description)
        assert node["opVersion"] == step.version(settings)
        assert {"grow"} & set(node["jobNames"]) == ({"grow"} if step in GROWTH else set())


def test_every_asset_shows_its_columns(ui: Ui) -> None:
    assets = ui.assets()
    for step in STEPS:
        [entry] = [e for e in assets[step.name]["metadataEntries"] if e["label"] == "dagster/column_schema"]
        shown = entry["schema"]["columns"]
        assert [column["name"] for column in shown] == [column.name for column in step.schema.columns]
        assert all(column["type"] and column["description"] for column in shown)


def test_the_edges_are_those_of_the_steps(ui: Ui) -> None:
    assets = ui.assets()
    for step in STEPS:
        above = {key["path"][-1] for key in assets[step.name]["dependencyKeys"]} - {IMAGE_STORE}
        assert above == {dep.name for dep in (*step.upstream, *step.deps_if_any)}


def test_the_source_can_be_observed_and_not_materialized(ui: Ui) -> None:
    node = ui.assets()[IMAGE_STORE]
    assert (node["isObservable"], node["isMaterializable"]) == (True, False)
    assert "images.parquet" in node["description"]


@pytest.mark.browser
def test_materialize_all_watch_the_run_and_read_the_groups(ui: Ui, tmp_path: Path) -> None:
    find_chromium()
    with browser_page(tmp_path / "last.png") as (page, complaints):
        open_graph(page, ui)
        run_from_the_graph(page, ui)
        assert ui.stale() == {}

        page.goto(f"{ui.url}/assets/small/clusters")
        names = page.locator(".dagster-markdown table")
        for color in ("red", "green", "blue"):
            names.get_by_text(f"{color} thing").first.wait_for()
        assert names.locator("tbody tr").count() == 3
        page.get_by_text("what sets its members apart").first.wait_for()  # the column's meaning
        page.get_by_text("Every group: its name and alternatives").wait_for()  # the asset's description

        page.goto(f"{ui.url}/assets/small/cluster_heads")
        curve = page.locator(".dagster-markdown img[alt='loss curve']")
        # A picture is too long to be shown directly: the UI puts it behind a link.
        page.get_by_text("[Show Markdown]").click()
        curve.wait_for()
        assert curve.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300

        page.goto(f"{ui.url}/assets/small/clusters?view=checks")
        page.get_by_text("All 3 clusters have images, none is a giant.").wait_for()
        assert complaints == []


def test_materialize_all_leaves_everything_fresh_and_described(filled_ui: Ui) -> None:
    assert filled_ui.stale() == {}
    assets = filled_ui.assets()
    for name in NAMES:
        shown = metadata(assets[name])
        assert name == PUBLISHED or shown["reused"]["boolValue"] is False
        assert Path(shown["path"]["path"]).is_dir()
        # Without image files the page has no pictures, this method does not whiten, and the settings ask for no more.
        empty = (PUBLISHED, "report", "whitening", "criterion", "known_labels", "lessons", "image_splits")
        assert name in empty or shown["dagster/row_count"]["intValue"] > 0
        assert name == PUBLISHED or shown["seconds"]["floatValue"] >= 0
    assert metadata(assets[PUBLISHED])["decision"]["text"] == "version 1 is published"
    assert metadata(assets["assignments"])["dagster/row_count"]["intValue"] == 60
    assert metadata(assets["cluster_count"])["count"]["intValue"] == 3


def test_the_groups_are_shown_by_name_and_the_plots_as_pictures(filled_ui: Ui) -> None:
    assets = filled_ui.assets()
    table = metadata(assets["clusters"])["clusters"]["mdStr"]
    assert all(f"{color} thing" in table for color in ("red", "green", "blue"))
    picture = metadata(assets["cluster_heads"])["loss curve"]["mdStr"]
    assert picture.startswith("![loss curve](data:image/png;base64,")
    assert metadata(assets["evaluation"])["scores"]["mdStr"].count("\n") == 5  # heading, rule, four results


def test_the_checks_are_declared_and_say_what_they_found(filled_ui: Ui) -> None:
    checks = filled_ui.checks()
    assert {name: check["asset"] for name, check in checks.items()} == CHECKS
    for check in checks.values():
        assert check["description"] and check["blocking"] is False
        assert check["executionForLatestMaterialization"]["evaluation"]["severity"] == "WARN"
        assert check["executionForLatestMaterialization"]["evaluation"]["description"]
    assert checks["cluster_sizes"]["executionForLatestMaterialization"]["status"] == "SUCCEEDED"
    assert checks["unreadable_images"]["executionForLatestMaterialization"]["status"] == "SUCCEEDED"


def test_an_edited_setting_marks_exactly_its_chain_and_going_back_costs_nothing(filled_ui: Ui) -> None:
    ui, below = filled_ui, sorted(COUNTERPARTS_DOWN)
    ui.edit(TAU, "tau: 0.02")
    try:
        assert ui.stale() == dict.fromkeys(below, "STALE")
        run = ui.materialize(below)
        assert run["status"] == "SUCCESS", ui.failures(run["runId"])
        assert ui.stale() == {}
        made_by = {
            name: node["assetMaterializations"][0]["runId"] for name, node in ui.assets().items() if name in NAMES
        }
        assert {name for name, run_id in made_by.items() if run_id == run["runId"]} == COUNTERPARTS_DOWN
    finally:
        ui.edit("tau: 0.02", TAU)
    assert ui.stale() == dict.fromkeys(below, "STALE")
    run = ui.materialize(below)
    assert run["status"] == "SUCCESS", ui.failures(run["runId"])
    assert ui.stale() == {}
    assets = ui.assets()
    # The page shows the changes since the version before, so it is written again.
    steps = COUNTERPARTS_DOWN - {PUBLISHED, "report"}
    assert {name for name in steps if metadata(assets[name])["reused"]["boolValue"]} == steps


def test_a_step_without_its_inputs_fails_with_what_to_build_first(filled_ui: Ui) -> None:
    ui = filled_ui
    ui.edit(TAU, "tau: 0.03")
    try:
        run = ui.materialize(["assignments"])
        assert run["status"] == "FAILURE"
        [failure] = ui.failures(run["runId"]).values()
    finally:
        ui.edit("tau: 0.03", TAU)
    said = failure["failureMetadata"]["description"]
    assert said.startswith("assignments reads cluster_heads, which was made for other settings. Build first: ")
    assert "text_counterparts, text_weight, text_neighbors, training_free_clusters, cluster_heads, cluster_ids" in said
    # The first thing to read is our message, not a stack trace.
    assert failure["error"]["className"] == "Failure"
    assert said in failure["error"]["message"]
    assert ui.stale() == {}


def test_a_wrong_setting_shows_its_message_at_the_code_location(ui: Ui) -> None:
    problem = ui.edit(TAU, "tau: -1")["locationOrLoadError"]
    line = SETTINGS.splitlines().index(f"  {TAU}") + 1
    mended = ui.edit("tau: -1", TAU)["locationOrLoadError"]
    assert problem["__typename"] == "PythonError"
    messages = [cause["message"] for cause in problem["causes"]]
    assert messages[0].endswith(f"SettingsError: retrieval.tau must be > 0; got -1 (tac.yaml, line {line})\n")
    assert mended["__typename"] == "RepositoryLocation"


def test_tac_ui_listens_on_this_machine_alone(ui: Ui) -> None:
    addresses = listening_addresses(ui.port)
    assert addresses
    assert all(address.is_loopback for address in addresses)
    assert f"Dagster UI on http://127.0.0.1:{ui.port}" in ui.log.read_text(encoding="utf-8")


def test_the_workspace_of_the_repository_loads(tmp_path: Path) -> None:
    """`dagster-webserver` without arguments reads workspace.yaml in the repository's root."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(REPOSITORY / "workspace.yaml"), "-p", str(port)]
    home = tmp_path / "instance"
    home.mkdir()
    log = tmp_path / "webserver.log"
    with (
        serving(command, url=url, log=log, env=clean_environment(HOME=str(tmp_path), DAGSTER_HOME=str(home))),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        server = Ui(client, REPOSITORY / "tac.yaml", log, port)
        location, assets = server.location, server.assets()
    assert location["name"] == "demo"
    assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation", location
    store = load_project(REPOSITORY / "tac.yaml").settings.store
    assert {tuple(node["assetKey"]["path"]) for node in assets.values()} == {
        (store, name) for name in (*NAMES, IMAGE_STORE)
    }


def metadata(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of an asset's last materialization, by label."""
    [last] = node["assetMaterializations"]
    return {entry["label"]: entry for entry in last["metadataEntries"]}


def listening_addresses(port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of this machine with a listener at a port, from the kernel's own table."""
    found = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, number = local.split(":")
            if state == "0A" and int(number, 16) == port:
                # The kernel writes each group of four bytes in the machine's byte order.
                words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
                found.append(ipaddress.ip_address(b"".join(words)))
    return found
