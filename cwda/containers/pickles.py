"""Read a pickle as data: nothing in it is looked up, imported, called or executed.

The tables of the standard library's `pickletools` tell the code and argument of each
operation; the machine below carries them out on plain containers. A class or function named in the
stream becomes a `Name`, calling one gives a dead `Record`. Only the names in a closed
table of *our own* functions (see `torch_objects`) build something else.
"""

from __future__ import annotations

import codecs
import functools
import pickletools
import struct
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from cwda.errors import CwdaError, UnreadableError, reason_of

__all__ = ["Builder", "Key", "Name", "Record", "Stateful", "unpickle"]

#: Limits of one stream; a tensor takes forty operations and as many objects and references.
MAX_OPERATIONS = 8_000_000
MAX_OBJECTS = 4_000_000

Builder = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the stream mentions, such as ``torch._utils._rebuild_tensor``."""

    path: str


@dataclass(frozen=True, eq=False, slots=True)
class Key:
    """A dictionary key other than a scalar, told apart by identity.

    Hashing a nested tuple of the stream can take exponential time.
    """

    value: object


class Stateful:
    """An object of ours that takes the state which the stream sets on it."""

    __slots__ = ()

    def set_state(self, state: object) -> None:
        """Take the state."""
        raise NotImplementedError


@dataclass(eq=False, slots=True)
class Record(Stateful):
    """What is left of an instance or a call: its class or function, arguments and state."""

    type: str
    args: tuple[object, ...] = ()
    state: object = None
    items: list[object] = field(default_factory=list)
    entries: dict[Hashable, object] = field(default_factory=dict)

    def set_state(self, state: object) -> None:
        """Keep the state."""
        self.state = state


def unpickle(
    file: IO[bytes],
    builders: Mapping[str, Builder],
    persistent_load: Callable[[object], object] | None = None,
) -> Any:
    """Read one pickle from `file`, which is left after its end.

    Parameters
    ----------
    file : binary file
        Must give no more bytes than it has, as a memory map or `io.BytesIO` does.
    builders : mapping
        The closed table: path of a function or class to a function of ours.
    persistent_load : callable, optional
        Turns a persistent identifier into an object.

    Raises
    ------
    UnreadableError
        If the stream is damaged, exceeds the limits or uses an extension code.
    """
    machine = _Machine(builders, persistent_load)
    try:
        return machine.run(file)
    except CwdaError:
        raise
    except (
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        AttributeError,
        struct.error,
    ) as error:
        raise UnreadableError(
            f"the pickled data are damaged ({reason_of(error, 100)}); "
            "download or copy the file again"
        ) from None


class _Machine:
    """The stack machine of the pickle protocols 0 to 5."""

    def __init__(
        self, builders: Mapping[str, Builder], persistent_load: Callable[[object], object] | None
    ) -> None:
        self.builders = builders
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.objects = 0

    def run(self, file: IO[bytes]) -> Any:
        """Carry out the operations up to the end of the pickle; its result."""
        read, steps = file.read, _STEPS
        for _ in range(MAX_OPERATIONS):
            code = read(1)
            if code == b".":
                return self.stack[-1]
            step = steps.get(code)
            if step is None:
                raise ValueError(
                    f"{code!r} is not an operation that checkpoints use" if code else "cut off"
                )
            reader, action = step
            action(self, reader(file) if reader else None)
        raise UnreadableError(
            f"more than {MAX_OPERATIONS:,} pickle operations, which no checkpoint needs; "
            "save the state dict alone"
        )

    def new(self, value: Any, copied: int = 0) -> None:
        """Push a new object, counting it and the references copied to make it."""
        self.objects += 1 + copied
        if self.objects > MAX_OBJECTS:
            raise UnreadableError(
                f"more than {MAX_OBJECTS:,} pickled objects, which no checkpoint needs; "
                "save the state dict alone"
            )
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        """Everything above the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def drop_to_mark(self, _: Any) -> None:
        self.pop_mark()

    def mark(self, _: Any) -> None:
        self.objects += 1
        if self.objects > MAX_OBJECTS:
            raise ValueError("too many marks")
        self.marks.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("a tuple lacks elements")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.new(items)

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise ValueError("elements are added to something that is not a list")

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise ValueError("a key has no value")
        target = self.stack[-1]
        entries = target.entries if isinstance(target, Record) else target
        if not isinstance(entries, dict):
            raise ValueError("entries are added to something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[_hashable(key)] = value

    def pop_two(self) -> list[Any]:
        value, key = self.stack.pop(), self.stack.pop()
        return [key, value]

    def stack_global(self, _: Any) -> None:
        module, name = self.pop_two()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a class is named by something other than text")
        self.new(Name(f"{module}.{name}"))

    def call(self, function: Any, args: Any) -> None:
        if not isinstance(args, tuple):
            raise ValueError("the arguments are not a tuple")
        if not isinstance(function, Name):
            self.new(Record("call", (function, *args)), len(args))
        elif builder := self.builders.get(function.path):
            # One container named again and again must not be copied without limit.
            copied = sum(len(arg) for arg in args if isinstance(arg, dict | list | tuple))
            self.new(builder(*args), copied + len(args))
        else:
            self.new(Record(function.path, args))

    def reduce(self, _: Any) -> None:
        self.call(*self.pop_two())

    def new_object_with_keywords(self, _: Any) -> None:
        keywords = self.stack.pop()
        function, args = self.pop_two()
        path = function.path if isinstance(function, Name) else "call"
        self.new(Record(path, (*args, keywords)), len(args))

    def instance(self, argument: str) -> None:
        args = tuple(self.pop_mark())
        self.call(Name(argument.replace(" ", ".")), args)

    def object_after_mark(self, _: Any) -> None:
        function, *args = self.pop_mark()
        self.call(function, tuple(args))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        # Attributes set on a container or tensor, such as OrderedDict's _metadata, are not weights.
        if isinstance(self.stack[-1], Stateful):
            self.stack[-1].set_state(state)

    def persistent(self, identifier: Any) -> None:
        if self.persistent_load is None:
            self.new(Record("persistent", (identifier,)))
        else:
            self.new(self.persistent_load(identifier))


def _hashable(key: Any) -> Hashable:
    scalar = key is None or isinstance(key, str | bytes | int | float)
    return key if scalar else Key(key)


def _pairs(items: list[Any]) -> dict[Hashable, Any]:
    if len(items) % 2:
        raise ValueError("a key has no value")
    return {_hashable(k): v for k, v in zip(items[::2], items[1::2], strict=True)}


_IGNORED = frozenset({"PROTO", "FRAME", "READONLY_BUFFER"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUSH_ARGUMENT = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BYTEARRAY8"}
)
# A set becomes a list: its elements may not be hashable here.
_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.drop_to_mark,
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "EMPTY_LIST": lambda m, _: m.new([]),
    "EMPTY_SET": lambda m, _: m.new([]),
    "EMPTY_DICT": lambda m, _: m.new({}),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "LIST": lambda m, _: m.new(m.pop_mark()),
    "FROZENSET": lambda m, _: m.new(m.pop_mark()),
    "TUPLE": lambda m, _: m.new(tuple(m.pop_mark())),
    "DICT": lambda m, _: m.new(_pairs(m.pop_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.append(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items(m.pop_two()),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "GET": lambda m, index: m.stack.append(m.memo[index]),
    "BINGET": lambda m, index: m.stack.append(m.memo[index]),
    "LONG_BINGET": lambda m, index: m.stack.append(m.memo[index]),
    "GLOBAL": lambda m, path: m.new(Name(path.replace(" ", "."))),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_after_mark,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persistent,
    "BINPERSID": lambda m, _: m.persistent(m.stack.pop()),
}


def _line(file: IO[bytes]) -> bytes:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ValueError("cut off")
    return line[:-1]


def _text_line(file: IO[bytes]) -> str:
    return _line(file).decode("utf-8")


def _two_lines(file: IO[bytes]) -> str:
    return f"{_text_line(file)} {_text_line(file)}"


def _quoted(file: IO[bytes]) -> str:
    """A string of protocol 0, in quotes and with escapes, as latin-1 like the other strings."""
    data = _line(file).strip()
    if len(data) < 2 or data[:1] not in (b"'", b'"') or data[:1] != data[-1:]:
        raise ValueError("a string without quotes")
    if b"\\" not in data:
        return data[1:-1].decode("latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python does not know
        decoded, _ = codecs.escape_decode(data[1:-1])
    return decoded.decode("latin-1")


#: In place of readers of `pickletools` that decode escapes, and warn, where none are meant.
_READERS: dict[str, Callable[[Any], Any]] = {
    "GLOBAL": _two_lines,
    "INST": _two_lines,
    "PERSID": _text_line,
    "STRING": _quoted,
}


def _push_constant(constant: object, machine: _Machine, _: Any) -> None:
    machine.stack.append(constant)


def _steps() -> dict[bytes, tuple[Callable[[Any], Any] | None, Callable[[_Machine, Any], None]]]:
    """For each code its argument's reader and what the machine does."""
    table = {}
    for operation in pickletools.opcodes:
        name, argument = operation.name, operation.arg
        action: Callable[[_Machine, Any], None]
        if name in _PUSH_ARGUMENT:
            action = lambda m, argument: m.stack.append(argument)  # noqa: E731
        elif name in _CONSTANTS:
            action = functools.partial(_push_constant, _CONSTANTS[name])
        elif name in _IGNORED:
            action = lambda m, _: None  # noqa: E731
        elif name in _OPERATIONS:
            action = _OPERATIONS[name]
        else:
            continue
        reader = _READERS.get(name, argument.reader if argument is not None else None)
        table[operation.code.encode("latin-1")] = (reader, action)
    return table


_STEPS = _steps()
