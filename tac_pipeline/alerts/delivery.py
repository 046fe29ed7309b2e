"""Sending messages within bounded time: a server that hangs holds up neither the other ways to tell nor the caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tac_pipeline.alerts.channels import TOLD, Send
from tac_pipeline.alerts.message import Message


@dataclass
class Delivery:
    """What came of sending.

    Attributes
    ----------
    arrived : dict of str to list of str
        The ids of messages that arrived, by channel.
    failed : dict of str to str
        Why the rest did not, by channel, in words.
    """

    arrived: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def deliver(wanted: Mapping[str, Sequence[Message]], channels: Mapping[str, Send], *, timeout: float) -> Delivery:
    """Send each channel its messages, all channels at once; returns after `timeout` seconds at the latest.

    A channel stops at its first failure: the others would fail too.
    """
    arrived: dict[str, list[str]] = {name: [] for name in wanted}
    failed: dict[str, str] = {}

    def send(name: str, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                channels[name](message)
            except TOLD as error:
                failed[name] = str(error)
                return
            except Exception as error:  # noqa: BLE001 - telling must never end a run; the text may hold an address
                failed[name] = f"the message could not be sent ({type(error).__name__})"
                return
            arrived[name].append(message.id)

    # Daemons: a server that never answers does not keep the process from ending.
    threads = {name: threading.Thread(target=send, args=(name, wanted[name]), daemon=True) for name in wanted}
    for thread in threads.values():
        thread.start()
    ends = time.monotonic() + timeout
    for name, thread in threads.items():
        thread.join(max(ends - time.monotonic(), 0.0))
        if thread.is_alive():
            failed.setdefault(name, f"not all was sent within {timeout:g} s")
    # A copy: a thread that is late may still write.
    return Delivery({name: list(ids) for name, ids in arrived.items()}, dict(failed))
