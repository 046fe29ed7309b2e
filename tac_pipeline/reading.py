"""Reading images ahead: reads wait for a network or a disk in threads of their own, decoding takes the cores.

Bytes that are read and not yet decoded are counted: a budget bounds them, whatever the images' sizes. Nothing waits for
an image that does not come, except the reader that reads it. What must stay out: what is read (sources/), what becomes
of the pixels (embedding.py).
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Read and not yet decoded, for all images together; a single image may be larger, and is then alone.
HELD_BYTES = 256 * 2**20
# How long a batch waits for an image that comes later than those behind it.
PATIENCE = 1.0  # seconds


class ByteBudget:
    """A number of bytes that reads share; who asks first gets them first.

    Parameters
    ----------
    size : int
        The most bytes that are held at once; more are given only to a single holder.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._waiting: deque[object] = deque()
        self._freed = threading.Condition()

    @property
    def size(self) -> int:
        """All bytes there are."""
        return self._size

    def take(self, size: int) -> None:
        """Wait until that many bytes are free."""
        ticket = object()
        with self._freed:
            self._waiting.append(ticket)
            self._freed.wait_for(
                lambda: self._waiting[0] is ticket and (not self._held or self._held + size <= self._size)
            )
            self._waiting.popleft()
            self._held += size
            self._freed.notify_all()

    def give_back(self, size: int) -> None:
        """That many bytes are free again."""
        with self._freed:
            self._held -= size
            self._freed.notify_all()


class ReadAhead(Generic[Item, Result]):
    """Makes results of items: `read` runs in threads that mostly wait, `decode` in as many threads as there are cores.

    The reading threads are daemons: what does not answer never holds up the end of the process.

    Parameters
    ----------
    read : callable
        Takes an item; returns what decode takes.
    decode : callable
        Takes what read returned; returns the result.
    readers, decoders : int
        How many threads there are of each; decoders None = the cores.
    """

    def __init__(
        self,
        read: Callable[[Item], Callable[[], Result]],
        *,
        readers: int,
        decoders: int | None = None,
    ) -> None:
        self._read, self._readers = read, readers
        self._asked: queue.SimpleQueue[tuple[Item, Future[Result]] | None] = queue.SimpleQueue()
        self._decoding = ThreadPoolExecutor(decoders or os.cpu_count() or 1, thread_name_prefix="decode")
        self._threads = 0
        self._ended = False

    def __enter__(self) -> ReadAhead[Item, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        for _ in range(self._threads):
            self._asked.put(None)
        # After an interruption nothing is waited for, least of all a server.
        self._decoding.shutdown(wait=kind is None, cancel_futures=True)

    def submit(self, item: Item) -> Future[Result]:
        """The result of an item, some time."""
        if self._threads < self._readers:
            self._threads += 1
            threading.Thread(target=self._serve, name=f"read-{self._threads}", daemon=True).start()
        found: Future[Result] = Future()
        self._asked.put((item, found))
        return found

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None and not self._ended:
            item, found = asked
            try:
                decode = self._read(item)
                self._decoding.submit(self._decode, decode, found)
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
                found.set_exception(error)

    @staticmethod
    def _decode(decode: Callable[[], Result], found: Future[Result]) -> None:
        try:
            found.set_result(decode())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
            found.set_exception(error)


def batches(
    results: Iterable[Future[Result]], *, size: int, ahead: int, any_order: bool, patience: float = PATIENCE
) -> Iterator[list[Result]]:
    """Results in batches, in their order; with any_order those that come late are in a later batch.

    Parameters
    ----------
    results : iterable of Future
        Each is asked for when it is taken from here.
    size : int
        Of a batch.
    ahead : int
        How many results are asked for at once.
    any_order : bool
        Whether a batch waits only `patience` seconds for results that come later than those behind them. Results that
        come in time are in the same batches as without it.
    """
    window = _Window(iter(results), size=size, ahead=ahead)
    while window.refill():
        ready = window.in_time(patience) if any_order else window.first()
        yield [found.result() for found in window.take(ready)]


class _Window(Generic[Result]):
    """The results that are asked for and not yet taken."""

    def __init__(self, source: Iterator[Future[Result]], *, size: int, ahead: int) -> None:
        self._source, self._size, self._ahead = source, size, ahead
        self._waiting: list[Future[Result]] = []
        # Nothing waits for these a second time.
        self._late: set[Future[Result]] = set()

    def refill(self) -> bool:
        """Ask for more; False when there is nothing left."""
        # Late ones take no place, until they are as many as those in time.
        wanted = self._ahead + min(len(self._late), self._ahead) - len(self._waiting)
        self._waiting += islice(self._source, max(0, wanted))
        return bool(self._waiting)

    def take(self, ready: list[Future[Result]]) -> list[Future[Result]]:
        """Take these out."""
        taken = set(ready)
        self._waiting = [found for found in self._waiting if found not in taken]
        self._late -= taken
        return ready

    def first(self) -> list[Future[Result]]:
        """The first batch of results, however late."""
        return self._waiting[: self._size]

    def in_time(self, patience: float) -> list[Future[Result]]:
        """The first results if they come in time, else as many as have come."""
        first = [found for found in self._waiting if found.done() or found not in self._late][: self._size]
        _, late = wait(first, timeout=patience)
        if first and not late:
            return first
        self._late |= late
        while True:
            came = [found for found in self._waiting if found.done()][: self._size]
            coming = [found for found in self._waiting if not found.done()]
            if len(came) == self._size or not coming:
                return came
            # Less than a batch is passed on when nothing more comes for a while.
            if not wait(coming, timeout=patience, return_when=FIRST_COMPLETED).done and came:
                return came
