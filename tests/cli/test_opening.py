"""`tac open`: its link opens the page, and Ctrl-C ends it."""

import os
import signal
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from command_line import tac, told
from ready_store import ready


def test_the_browser_is_sent_to_the_page_and_ctrl_c_ends_it(vector_store: Callable[..., Path]) -> None:
    settings, answers = ready(vector_store()), list[httpx.Response]()

    def look(link: str) -> None:
        try:
            with httpx.Client(follow_redirects=True) as visitor:
                answers.append(visitor.get(link))
                # The link's answer left a cookie.
                answers.append(visitor.get(link.partition("?")[0] + "api/store"))
                answers.append(httpx.get(link.partition("?")[0] + "api/store"))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def opened(link: str) -> bool:
        threading.Thread(target=look, args=[link]).start()
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webbrowser, "open", opened)
        result = tac("open", "-s", settings)
    assert result.exit_code == 0, result.output
    assert "workbench of small on http://127.0.0.1:" in result.stdout
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    assert answers[1].json()["store"] == "small"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_port_that_is_taken_is_told(vector_store: Callable[..., Path]) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = tac("open", "--no-browser", "--port", str(port), "-s", ready(vector_store()))
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 is taken" in told(result)


def test_beyond_this_machine_it_warns(vector_store: Callable[..., Path]) -> None:
    def opened(link: str) -> bool:
        assert link.startswith("http://127.0.0.1:")
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webbrowser, "open", opened)
        result = tac("open", "--host", "0.0.0.0", "-s", ready(vector_store()))
    assert result.exit_code == 0, result.output
    assert "warning: the workbench listens at 0.0.0.0" in told(result)
