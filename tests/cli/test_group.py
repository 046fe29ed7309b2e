"""A group of processes that ends with the command that started it, whatever ends that one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_store import REPOSITORY
from waiting import PATIENCE, wait_for

from tac_pipeline.cli.terminal import group, stopping
from tac_pipeline.cli.terminal.group import Stopped, run_group, stops_told

# What `tac ui` does, around a leader that has a child.
STARTER = """
import signal, sys
from tac_pipeline.cli.terminal import group
group.GRACE_SECONDS = 1.0
try:
    with group.stops_told():
        code = group.run_group([sys.executable, "-c", sys.argv[1]], on_stop=lambda: print("stopping", flush=True))
except group.Stopped as stop:
    code = stop.code
sys.exit(code)
"""
LEADER = """
import os, subprocess, sys, time
{before}
heard, said = os.pipe()
ready = f"import os, time; {child}os.write({{said}}, b'.'); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", ready], pass_fds=[said])
os.read(heard, 1)
print(os.getpid(), child.pid, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("a trace of what was cut off", flush=True)
"""
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
TIED = "from assets.serving import lifeline; lifeline.GRACE_SECONDS = 0.5; lifeline.end_with_starter()"


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ignoring(*numbers: int) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("number", "ignored", "code"),
    [
        (signal.SIGTERM, (signal.SIGINT,), 143),
        (signal.SIGINT, (signal.SIGINT,), 130),
        (signal.SIGHUP, (), 129),
        (signal.SIGKILL, (), -9),
    ],
    ids=["SIGTERM, in the background", "SIGINT, in the background", "the terminal closes", "SIGKILL"],
)
@pytest.mark.parametrize("child", ["", DEAF], ids=["", "a deaf child"])
def test_everything_ends_with_the_command(number: int, ignored: tuple[int, ...], code: int, child: str) -> None:
    leader = LEADER.format(before=TIED, child=child)
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, leader],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        preexec_fn=lambda: ignoring(*ignored),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        family = [int(word) for word in process.stdout.readline().split()]
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == code
        wait_for(lambda: all(gone(pid) for pid in family) or None, what="the group to end")
        assert process.stderr.read() == ""
        assert process.stdout.read() == ("" if number == signal.SIGKILL else "stopping\n"), "and no trace"


def test_a_hang_up_that_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops_told():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_are_put_back_and_a_second_signal_is_passed_over() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(Stopped, match="signal 15") as stopped, stops_told():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
    assert stopped.value.code == 143
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_what_it_prints_is_passed_on_and_its_exit_code(
    capfdbinary: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_last_rites", [])
    script = "import sys; print('serving'); print('a complaint', file=sys.stderr); sys.exit(7)"
    assert run_group([sys.executable, "-c", script], on_stop=print) == 7
    assert len(stopping._last_rites) == 1
    assert capfdbinary.readouterr() == (b"serving\n", b"a complaint\n")


def test_what_a_leader_leaves_behind_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when the leader is killed: its child must not go on alone."""
    monkeypatch.setattr(stopping, "_last_rites", [])
    note = tmp_path / "child"
    script = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(note)!r}, "w").write(str(child.pid))
os.kill(os.getpid(), 9)
"""
    assert run_group([sys.executable, "-c", script], on_stop=print) == -9
    wait_for(lambda: gone(int(note.read_text())) or None, what="the child to end")


def test_output_that_nobody_reads_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(stopping, "_last_rites", [])

    class Closed:
        class buffer:
            @staticmethod
            def write(_: bytes) -> None:
                raise BrokenPipeError

    monkeypatch.setattr(group.sys, "stdout", Closed)
    assert run_group([sys.executable, "-c", "print('x\\n' * 100_000)"], on_stop=lambda: None) == 0
