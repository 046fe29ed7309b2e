"""Arrays and lists of a pickle, read without unpickling.

A pickle is a program, and unpickling runs it. This reader knows the few instructions that a dictionary of texts,
whole numbers, flat lists and NumPy's arrays of bytes needs. It imports nothing and calls nothing. An array is a place
in the file, so that memory does not grow with it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tac_pipeline.errors import SourceError

# Longer texts are left in the file.
HELD_BYTES = 64 << 10
# The largest data set of this form has 50,000 rows of a name and two numbers.
MAX_STEPS = 20_000_000
MAX_HELD_BYTES = 256 << 20
MAX_DEPTH = 1_000_000
MAX_NAME_BYTES = 200
_MARK = object()


@dataclass(frozen=True)
class ArrayPlace:
    """An array of bytes in a file.

    Attributes
    ----------
    offset : int
        Of its first byte.
    shape : tuple of int
    by_columns : bool
        Whether the first side varies fastest, and not the last.
    """

    offset: int
    shape: tuple[int, ...]
    by_columns: bool


@dataclass(frozen=True)
class _Bytes:
    """Bytes that stay in the file."""

    offset: int
    size: int


@dataclass(frozen=True)
class _Name:
    """One of the three names of NumPy that an array is made of; nothing is looked up by it."""

    name: str


@dataclass
class _Array:
    """An array that is being put together."""

    place: ArrayPlace | None = None


@dataclass
class _Kind:
    """The kind of an array's values."""

    code: str


class _Refused(Exception):
    """The pickle holds something else; the message says what."""


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Name("reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): _Name("reconstruct"),
    ("numpy", "ndarray"): _Name("ndarray"),
    ("numpy", "dtype"): _Name("dtype"),
}


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle: its values are texts, whole numbers, flat lists of those, and arrays of bytes.

    Parameters
    ----------
    path : Path
        A pickle of protocol 2 to 4, by Python 2 or 3.

    Returns
    -------
    dict
        An array of bytes is an ArrayPlace.

    Raises
    ------
    SourceError
        The file is cut, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            return _plain(_Machine(file, os.fstat(file.fileno()).st_size).run())
    except EOFError as error:
        raise SourceError(
            f"{path} must be a whole pickle; it ends after {path.stat().st_size:,} bytes, in the middle. "
            "Download it again."
        ) from error
    except (_Refused, struct.error, IndexError, KeyError, ValueError, TypeError) as error:
        told = str(error) if isinstance(error, _Refused) else "it is damaged"
        raise SourceError(
            f"{path} must be a pickle of arrays and lists alone; {told}. It was not unpickled, because that would run "
            "what is in it. Download the data set again from its own page."
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


class _Machine:
    """The stack on which a pickle puts its values together."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._length = file, length
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._held = 0

    def run(self) -> Any:
        for _ in range(MAX_STEPS):
            code = self._take(1)
            if code == b".":
                return self._stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise _Refused(f"it has the instruction {code!r}, which they do not need")
            step(self)
            if len(self._stack) > MAX_DEPTH:
                raise _Refused(f"it piles up more than {MAX_DEPTH:,} values")
        raise _Refused(f"it has more than {MAX_STEPS:,} instructions")

    # --- bytes of the file

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise EOFError
        return data

    def _number(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _line(self) -> str:
        line = self._file.readline(MAX_NAME_BYTES)
        if not line.endswith(b"\n"):
            if len(line) < MAX_NAME_BYTES:
                raise EOFError
            raise _Refused("it has a name that is too long")
        return line[:-1].decode("ascii", "backslashreplace")

    def _hold(self, count: int) -> bytes:
        self._held += count
        if self._held > MAX_HELD_BYTES:
            raise _Refused(f"its texts are more than {MAX_HELD_BYTES >> 20} MB")
        return self._take(count)

    # --- instructions

    def protocol(self) -> None:
        if self._take(1)[0] not in (2, 3, 4):
            raise _Refused("it is of another protocol than 2, 3 or 4")

    def frame(self) -> None:
        self._take(8)

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def whole(self, form: str) -> None:
        self.push(self._number(form))

    def long(self) -> None:
        size = self._number("<B")
        if size > 8:
            raise _Refused("it has a number of more than 8 bytes")
        self.push(int.from_bytes(self._take(size), "little", signed=True))

    def text(self, form: str, *, is_bytes: bool) -> None:
        size = self._number(form)
        offset = self._file.tell()
        if size > self._length - offset:
            raise EOFError
        if is_bytes and size > HELD_BYTES:
            self._file.seek(size, os.SEEK_CUR)
            self.push(_Bytes(offset, size))
            return
        # The values of a small array are needed by their place, so both are kept.
        self.push(_Text(self._hold(size), _Bytes(offset, size) if is_bytes else None))

    def name(self) -> None:
        self._find(self._line(), self._line())

    def name_on_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._find(str(module), str(name))

    def _find(self, module: str, name: str) -> None:
        found = _NAMES.get((module, name))
        if found is None:
            raise _Refused(f"it wants {module}.{name}")
        self.push(found)

    def put(self, form: str) -> None:
        self._memo[self._number(form)] = self._stack[-1]

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, form: str) -> None:
        self.push(self._memo[self._number(form)])

    def _to_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def tuple_of(self, count: int | None) -> None:
        items = self._to_mark() if count is None else self._stack[len(self._stack) - count :]
        if count:
            del self._stack[-count:]
        self.push(tuple(items))

    def append(self) -> None:
        item = self._stack.pop()
        self._list().append(item)

    def appends(self) -> None:
        items = self._to_mark()
        self._list().extend(items)

    def _list(self) -> list[Any]:
        if not isinstance(self._stack[-1], list):
            raise _Refused("it appends to what is no list")
        return self._stack[-1]

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def set_items(self) -> None:
        self._set(self._to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise _Refused("it sets an item of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _Text):
                raise _Refused("it has a key that is no text")
            target[str(key)] = value

    def reduce(self) -> None:
        arguments, made = self._stack.pop(), self._stack.pop()
        if not isinstance(made, _Name) or not isinstance(arguments, tuple):
            raise _Refused("it calls something")
        if made.name == "reconstruct" and arguments[:1] == (_NAMES["numpy", "ndarray"],):
            self.push(_Array())
        elif made.name == "dtype" and arguments and isinstance(arguments[0], _Text):
            self.push(_Kind(str(arguments[0])))
        else:
            raise _Refused("it calls something")

    def build(self) -> None:
        state, made = self._stack.pop(), self._stack[-1]
        if isinstance(made, _Kind):
            return  # bytes have no order and no parts
        if not isinstance(made, _Array) or not isinstance(state, tuple) or len(state) != 5:
            raise _Refused("it builds something other than an array")
        _, shape, kind, by_columns, values = state
        place = values.place if isinstance(values, _Text) else values
        if not isinstance(kind, _Kind) or kind.code not in ("u1", "|u1"):
            raise _Refused("it has an array of other values than bytes (u1)")
        if by_columns not in (0, 1) or not isinstance(place, _Bytes):
            raise _Refused("it has an array whose bytes are not in the file as they are")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise _Refused("it has an array without a shape")
        size = 1
        for side in shape:
            size *= side
        if size != place.size:
            raise _Refused(f"it has an array of the shape {shape} with {place.size:,} bytes")
        made.place = ArrayPlace(place.offset, shape, by_columns == 1)


class _Text(str):
    """A text of a pickle, and the place of its bytes where they may be an array's."""

    __slots__ = ("place",)
    place: _Bytes | None

    def __new__(cls, data: bytes, place: _Bytes | None) -> _Text:
        made = super().__new__(cls, data.decode("utf-8", "backslashreplace"))
        made.place = place
        return made


_Step = Callable[[_Machine], None]
_STEPS: dict[bytes, _Step] = {
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"(": lambda machine: machine.push(_MARK),
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"}": lambda machine: machine.push({}),
    b"]": lambda machine: machine.push([]),
    b")": lambda machine: machine.push(()),
    b"K": lambda machine: machine.whole("<B"),
    b"M": lambda machine: machine.whole("<H"),
    b"J": lambda machine: machine.whole("<i"),
    b"\x8a": _Machine.long,
    b"U": lambda machine: machine.text("<B", is_bytes=True),
    b"T": lambda machine: machine.text("<I", is_bytes=True),
    b"C": lambda machine: machine.text("<B", is_bytes=True),
    b"B": lambda machine: machine.text("<I", is_bytes=True),
    b"\x8e": lambda machine: machine.text("<Q", is_bytes=True),
    b"X": lambda machine: machine.text("<I", is_bytes=False),
    b"\x8c": lambda machine: machine.text("<B", is_bytes=False),
    b"c": _Machine.name,
    b"\x93": _Machine.name_on_stack,
    b"q": lambda machine: machine.put("<B"),
    b"r": lambda machine: machine.put("<I"),
    b"\x94": _Machine.memoize,
    b"h": lambda machine: machine.get("<B"),
    b"j": lambda machine: machine.get("<I"),
    b"t": lambda machine: machine.tuple_of(None),
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"a": _Machine.append,
    b"e": _Machine.appends,
    b"s": _Machine.set_item,
    b"u": _Machine.set_items,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}


def _plain(found: Any) -> dict[str, Any]:
    """The dictionary with plain values."""
    if not isinstance(found, dict):
        raise _Refused("it holds no dictionary")
    return {str(key): _plain_value(key, value) for key, value in found.items()}


def _plain_value(key: str, value: Any) -> Any:
    if isinstance(value, _Array) and value.place is not None:
        return value.place
    if type(value) is int:
        return value
    if isinstance(value, _Text):
        return str(value)
    if isinstance(value, list) and all(type(item) is int for item in value):
        return value
    if isinstance(value, list) and all(isinstance(item, _Text) for item in value):
        return [str(item) for item in value]
    raise _Refused(f"{key} is neither an array of bytes nor a list of numbers or of texts")
