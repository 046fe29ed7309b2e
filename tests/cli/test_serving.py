"""`tac report` and `tac ui`, as far as they go without a server: tests/assets/serving has the real one."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import tac, told

from tac_pipeline.cli import serving
from tac_pipeline.cli.terminal.group import Stopped

Writer = Callable[..., Path]


def test_a_report_of_a_store_that_was_never_built_starts_nothing(vector_store: Writer) -> None:
    path = vector_store()
    refused = tac("report", "--no-open", "-s", path)
    assert refused.exit_code == 1
    assert told(refused) == (
        f"error: nothing was built yet in {path.parent}/data/small: `tac run` builds it, and then the page"
    )
    assert not (path.parent / "data").exists()


def test_what_the_server_is_handed(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = vector_store(), list[Any]()

    def run(command: list[str], *, pass_fds: list[int], on_stop: Callable[[], None]) -> int:
        plan = json.loads(command[-1])
        assert pass_fds == [plan["listener"], plan["lock"]]
        assert [os.fstat(number).st_mode > 0 for number in pass_fds] == [True, True]
        on_stop()
        seen.append((command[1:3], plan))
        return 5

    monkeypatch.setattr(serving, "run_group", run)
    ended = tac("ui", "-s", path, "--port", "0", "--read-only", "--token", "--name", "a.example", "--name", "b:1")
    assert ended.exit_code == 5
    assert ended.stderr.startswith("stopping the UI, which takes some seconds")
    [(module, plan)] = seen
    assert module == ["-m", "assets.serving"]
    assert plan["stores"] == {str(path): "small"}
    assert (plan["read_only"], plan["ask_token"], plan["pid"]) == (True, True, os.getpid())
    assert plan["forwarded"] == ["a.example", "b:1"]
    assert json.loads(Path(plan["workspace"]).read_text())["load_from"]


@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130), (1, 129)])
def test_a_stopped_ui_says_so(vector_store: Writer, monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
    def stopped(*_: Any, **__: Any) -> int:
        raise Stopped(number)

    monkeypatch.setattr(serving, "_serve", stopped)
    ended = tac("ui", "-s", vector_store())
    assert (ended.exit_code, ended.stderr) == (code, "stopped: the UI is down\n")


def test_a_host_of_another_machine_is_refused(vector_store: Writer) -> None:
    refused = tac("ui", "-s", vector_store(), "--host", "192.0.2.1")
    assert refused.exit_code == 1
    assert told(refused) == "error: --host must be a name or an address of this machine; got '192.0.2.1'"


def test_a_folder_of_stores_is_one_location_and_a_broken_file_takes_none_away(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = list[Any]()
    monkeypatch.setattr(serving, "run_group", lambda command, **_: plans.append(json.loads(command[-1])) or 0)
    one, two = vector_store({"store": "one"}, name="one.yaml"), vector_store({"store": "two"}, name="two.yaml")
    one.with_name("broken.yaml").write_text("store: broken\nimages: {sauce: x}\n")
    ended = tac("ui", "--folder", one.parent, "--port", "0")
    assert ended.exit_code == 0, ended.output
    assert "broken.yaml" in ended.stderr and "This store is left out until the file is mended" in told(ended)
    [plan] = plans
    assert plan["stores"] == {str(one): "one", str(two): "two"}
    [location] = json.loads(Path(plan["workspace"]).read_text())["load_from"]
    assert f"stores_in({str(one.parent)!r})" in Path(location["python_file"]["relative_path"]).read_text()


def test_a_folder_that_cannot_be_served_is_refused(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store()
    both = tac("ui", "-s", path, "--folder", path.parent)
    assert (both.exit_code, "it names all settings files itself" in told(both)) == (2, True)
    (tmp_path / "empty").mkdir()
    empty = tac("ui", "--folder", tmp_path / "empty")
    assert (empty.exit_code, "no settings file is in" in told(empty)) == (1, True)
    path.write_text("store: [\n")
    broken = tac("ui", "--folder", path.parent)
    assert (broken.exit_code, "tac.yaml" in told(broken)) == (1, True)
