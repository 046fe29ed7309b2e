"""Reading images ahead: reads wait for a network or a disk in threads of their own, decoding takes the cores.

Bytes that are read and not yet decoded are counted: a budget bounds them, whatever the images' sizes. Nothing waits for
an image that does not come, except the reader that reads it. What must stay out: what is read (sources/), what becomes
of the pixels (the package).
"""

from __future__ import annotations

import os
import queue
import threading
import time
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
# A read that takes longer waits for a network or a slow disk: more of them run at once then.
SLOW_READ = 0.004  # seconds


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
        with self._freed:
            if self._waiting or not self._free(size):
                ticket = object()
                self._waiting.append(ticket)
                self._freed.wait_for(lambda: self._waiting[0] is ticket and self._free(size))
                self._waiting.popleft()
                self._freed.notify_all()
            self._held += size

    def give_back(self, size: int) -> None:
        """That many bytes are free again."""
        if size:
            with self._freed:
                self._held -= size
                if self._waiting:
                    self._freed.notify_all()

    def _free(self, size: int) -> bool:
        return not self._held or self._held + size <= self._size


class ReadAhead(Generic[Item, Result]):
    """Makes results of items: `read` runs in threads that mostly wait, `decode` in as many threads as there are cores.

    The reading threads are daemons: what does not answer never holds up the end of the process.

    Parameters
    ----------
    read : callable
        Takes an item; returns what decode takes.
    decode : callable
        Takes what read returned; returns the result.
    readers : int
        How many reads run at once. There are only as many as decoders as long as reads are quick: more threads would
        then only take turns.
    decoders : int, optional
        How many decodings run at once; None = the cores.
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
        decoders = decoders or os.cpu_count() or 1
        self._decoding = ThreadPoolExecutor(decoders, thread_name_prefix="decode")
        self._first = min(readers, decoders)
        # When each reader began to read; None when it has nothing to do.
        self._since: list[float | None] = []
        self._ended = False

    def __enter__(self) -> ReadAhead[Item, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._asked.put(None)
        # After an interruption nothing is waited for, least of all a server.
        self._decoding.shutdown(wait=kind is None, cancel_futures=True)

    def submit(self, item: Item) -> Future[Result]:
        """The result of an item, some time."""
        if not self._since:
            self._start(self._first)
            if self._first < self._readers:
                threading.Thread(target=self._grow, name="read-more", daemon=True).start()
        found: Future[Result] = Future()
        self._asked.put((item, found))
        return found

    def _start(self, count: int) -> None:
        for number in range(len(self._since), len(self._since) + count):
            self._since.append(None)
            threading.Thread(target=self._serve, args=(number,), name=f"read-{number}", daemon=True).start()

    def _grow(self) -> None:
        """Start more readers while those there are all wait and images are left."""
        while not self._ended and len(self._since) < self._readers:
            time.sleep(SLOW_READ)
            before = time.monotonic() - SLOW_READ
            if not self._asked.empty() and all(since is not None and since < before for since in self._since):
                self._start(min(len(self._since), self._readers - len(self._since)))

    def _serve(self, number: int) -> None:
        while (asked := self._asked.get()) is not None and not self._ended:
            item, found = asked
            self._since[number] = time.monotonic()
            try:
                decode = self._read(item)
                self._decoding.submit(self._decode, decode, found)
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
                found.set_exception(error)
            self._since[number] = None
        self._asked.put(None)  # for the next reader

    @staticmethod
    def _decode(decode: Callable[[], Result], found: Future[Result]) -> None:
        try:
            found.set_result(decode())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
            found.set_exception(error)


def batches(results: Iterable[Future[Result]], *, size: int, ahead: int, any_order: bool) -> Iterator[list[Result]]:
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
        Whether a batch waits only PATIENCE seconds for results that come later than those behind them. Results that
        come in time are in the same batches as without it.
    """
    window = _Window(iter(results), size=size, ahead=ahead)
    while window.refill():
        ready = window.in_time(PATIENCE) if any_order else window.first()
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
