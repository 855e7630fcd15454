"""What the text of a TorchScript archive says of its convolutions; it is searched, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cwda.containers.archives import Archive
from cwda.containers.tensors import NamedTensor
from cwda.errors import UnreadableError
from cwda.layers import Skipped

__all__ = ["of_constants", "packed", "require_readable", "with_groups"]

#: Groups in the text of a class: a constant where it was scripted, an argument where traced.
_CLASS = re.compile(r"^class (\w+)\(Module\):$")
_SCRIPTED = re.compile(r"  groups : Final\[int\] = (\d{1,9})")
_TRACED = re.compile(r"(?:True|False), \[[\d, ]{0,80}\], (\d{1,9}), ")
#: Longest line that is searched for calls.
_MAX_LINE = 100_000


def require_readable(archive: Archive, root: str) -> None:
    """Refuse archives of compiled engines, which have no weights of their own."""
    if any(
        name.startswith(f"{root}code/__torch__/torch/classes/tensorrt") for name in archive.names
    ):
        raise UnreadableError(
            "this is a TorchScript archive with TensorRT engines inside, whose weights are "
            "compiled; give the model it was compiled from"
        )


def with_groups(
    tensor: NamedTensor, archive: Archive, root: str, texts: dict[str, dict[str, int]]
) -> NamedTensor:
    """Add the groups that the text of a TorchScript class states."""
    module, _, name = tensor.origin.rpartition(".")
    entry = f"{root}code/{module.replace('.', '/')}.py"
    if not tensor.is_conv or tensor.groups is not None or entry not in archive:
        return tensor
    if entry not in texts:  # many classes may share one text
        texts[entry] = _script_groups(archive.read(entry).decode("utf-8", "replace"))
    groups = texts[entry].get(name)
    return tensor if groups is None else replace(tensor, groups=groups)


def _script_groups(text: str) -> dict[str, int]:
    """Groups by class, line by line: no search may take more than linear time."""
    groups: dict[str, int] = {}
    name = ""
    for line in text.splitlines():
        if start := _CLASS.match(line):
            name = start.group(1)
        elif stated := _SCRIPTED.fullmatch(line):
            groups.setdefault(name, int(stated.group(1)))
        elif "torch._convolution(" in line and (traced := _TRACED.findall(line)):
            groups.setdefault(name, int(traced[-1]))
    return groups


@dataclass(frozen=True, slots=True)
class _Call:
    """A convolution of a constant: the constant's number, groups and transposition."""

    constant: int
    groups: int
    transposed: bool


_FROZEN = (
    "frozen TorchScript, whose layers have no names: a normalisation after a convolution may have "
    "been folded into its weights"
)


def of_constants(constants: list[NamedTensor], archive: Archive, root: str) -> list[NamedTensor]:
    """The constants of frozen code, those of convolutions first and in the order of their use.

    Names of constants are their numbers.
    """
    uses: dict[tuple[str, bool], list[_Call]] = {}
    for line in _lines(archive, root):
        for call in _calls(line):
            uses.setdefault((str(call.constant), call.transposed), []).append(call)
    by_name = {tensor.name: tensor for tensor in constants}
    used = [
        replace(
            by_name[name],
            name=f"c{name}_transposed" if transposed and (name, False) in uses else f"c{name}",
            is_conv=True,
            groups=calls[0].groups,
            transposed=transposed,
            assumption="; ".join(filter(None, (_FROZEN, _several(calls)))),
        )
        for (name, transposed), calls in uses.items()
        if name in by_name
    ]
    convolved = {name for name, _ in uses}
    others = [replace(t, is_conv=False) for t in constants if t.name not in convolved]
    return used + others


def _several(calls: list[_Call]) -> str:
    """That one constant may be several layers, which freezing does not keep apart."""
    if len(calls) < 2:
        return ""
    return (
        f"one constant that {len(calls)} convolutions use: tied or equal weights, or a layer that "
        "is used again"
    )


_PACKED = re.compile(r"ops\.prim\.mkldnn_convolution\w*\(\w+, (\w+), ")


def packed(archive: Archive, root: str) -> list[Skipped]:
    """Convolutions whose weights the archive does not hold."""
    reason = "packed by optimize_for_inference: its values are not in the file"
    return [
        Skipped(name, (), reason)
        for line in _lines(archive, root)
        for name in _PACKED.findall(line)
    ]


def _lines(archive: Archive, root: str) -> Iterator[str]:
    """Lines of the archive's code that name a convolution."""
    for name in archive.names:
        if name.startswith(f"{root}code/") and name.endswith(".py"):
            for line in archive.read(name).decode("utf-8", "replace").splitlines():
                if "conv" in line and len(line) <= _MAX_LINE:
                    yield line


_START = re.compile(r"(?:torch|ops\.aten)\.(_?conv\w*)\(")
_CONSTANT = re.compile(r"CONSTANTS\.c(\d{1,9})")


def _calls(line: str) -> Iterator[_Call]:
    """Convolutions of constants in a line, the inner ones of nested calls too."""
    for start in _START.finditer(line):
        arguments = _arguments(line, start.end())
        constant = _CONSTANT.fullmatch(arguments[1]) if len(arguments) > 1 else None
        if constant is None:
            continue
        function = start.group(1)
        transposed = "transpose" in function
        place = 6  # in conv2d and in conv_transpose2d, though what comes before differs
        if function in ("_convolution", "convolution"):
            transposed, place = arguments[6:7] == ["True"], 8
        groups = arguments[place] if len(arguments) > place else "1"
        if groups.isdecimal() and len(groups) < 10 and int(groups) > 0:
            yield _Call(int(constant.group(1)), int(groups), transposed)


#: Most arguments of a call that are looked at, and most characters.
_MAX_ARGUMENTS, _MAX_CALL = 14, 4_000


def _arguments(line: str, start: int) -> list[str]:
    """Arguments of the call whose bracket opens before `start`."""
    arguments, depth, begin = [], 0, start
    for place in range(start, min(len(line), start + _MAX_CALL)):
        letter = line[place]
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        if depth < 0 or (letter == "," and depth == 0):
            arguments.append(line[begin:place].strip())
            begin = place + 1
        if depth < 0 or len(arguments) == _MAX_ARGUMENTS:
            break
    return arguments
