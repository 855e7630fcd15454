"""Table 1: the eight filters that each criterion prunes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cwda.errors import CwdaError, reason_of
from cwda.layers import ConvLayer, Network
from cwda.loading import load
from cwda.pruning import pruned_indices
from cwda.reporting.blocks import Block, Column, Heading, Name, Note, Paragraph, Table
from cwda.reproduction.bench import Bench
from cwda.reproduction.finding import Finding
from cwda.reproduction.paper import Part, Section
from cwda.zoo.names import available

__all__ = ["TABLE_1"]

_NAME = "Table 1"

_RULE = (
    "agreed: the same eight filters in the same order; partly: at least six of the eight; not "
    "agreed: fewer"
)
#: Filters of the list that must be the same to agree partly.
_ENOUGH = 6


@dataclass(frozen=True)
class _Column:
    """A column of the table: a layer of a published network, and the lists of the paper."""

    network: str
    weights: str
    words: str
    layer: str
    shape: tuple[int, ...]
    lists: dict[str, tuple[int, ...]]


#: The layers are those whose l1 and l2 lists are the paper's.
_COLUMNS = (
    _Column(
        "VGG16",
        "vgg16:IMAGENET1K_V1",
        "3rd convolution",
        "features.5",
        (128, 64, 3, 3),
        {
            "l1": (102, 28, 9, 88, 66, 109, 86, 45),
            "l2": (102, 28, 88, 9, 109, 66, 86, 45),
            "gm": (102, 28, 9, 88, 109, 66, 45, 86),
            "fermat": (102, 28, 88, 9, 66, 109, 45, 86),
        },
    ),
    _Column(
        "ResNet-18",
        "resnet18:IMAGENET1K_V1",
        "12th convolution",
        "layer3.1.conv2",
        (256, 256, 3, 3),
        {
            "l1": (111, 212, 33, 61, 68, 152, 171, 45),
            "l2": (111, 33, 212, 61, 171, 42, 243, 129),
            "gm": (111, 212, 33, 61, 68, 45, 171, 42),
            "fermat": (111, 212, 33, 61, 45, 171, 42, 68),
        },
    ),
)
#: A criterion of ours that is close to one of the paper's.
_VARIANTS = {"gm": "gm_cityblock"}


def _find(bench: Bench) -> Section:
    findings: list[Finding] = []
    tables: list[tuple[_Column, ConvLayer]] = []
    for column in _COLUMNS:
        try:
            layer = _layer(column, bench.networks)
        except CwdaError as error:
            findings.append(_missing(column, reason_of(error, 240)))
            continue
        tables.append((column, layer))
        findings += [_finding(column, layer, criterion) for criterion in column.lists]
    return Section(findings, lambda: _blocks(tables))


TABLE_1 = Part(
    _NAME,
    "Table 1: the filters pruned first",
    "The criteria prune nearly the same eight filters first.",
    _find,
)


def _layer(column: _Column, networks: Sequence[Network]) -> ConvLayer:
    """The layer in one of the networks given, or in cached weights of the model zoo.

    Raises
    ------
    CwdaError
        If neither is there.
    """
    for network in networks:
        for layer in network:
            if layer.name == column.layer and tuple(layer.weight.shape) == column.shape:
                return layer
    cached = {entry.name for entry in available() if entry.state == "cached"}
    if column.weights not in cached:
        raise CwdaError("which is not cached: cwda test downloads it")
    return load(column.weights)[column.layer]


def _missing(column: _Column, reason: str) -> Finding:
    return Finding(
        part=_NAME,
        claim=f"{column.network}, {column.words}: the first eight by each criterion",
        theirs="four lists",
        ours="",
        rule=_RULE,
        verdict="not run",
        reason=f"needs {column.weights}, {reason}",
    )


def _finding(column: _Column, layer: ConvLayer, criterion: str) -> Finding:
    theirs = column.lists[criterion]
    ours = tuple(pruned_indices(layer, 0, criterion, top=len(theirs)))
    same = len({*ours} & {*theirs})
    said = "in another order" if same == len(theirs) else f"{same} of the eight"
    agree = "agreed" if ours == theirs else "partly" if same >= _ENOUGH else "not agreed"
    return Finding(
        part=_NAME,
        claim=f"{column.network}, {column.words}: the first eight by {criterion}",
        theirs=_listed(theirs),
        ours=f"{_listed(ours)} ({said})" if ours != theirs else "the same list",
        rule=_RULE,
        verdict=agree,
        networks=1,
        layers=1,
    )


def _blocks(tables: Sequence[tuple[_Column, ConvLayer]]) -> Iterator[Block]:
    if not tables:
        return
    yield Paragraph(
        "The paper gives, for one convolution of two networks of torchvision, the indices of the "
        "eight filters with the smallest scores. Its numbers of the convolutions are resolved by "
        "the layers whose l1 and l2 lists are the paper's."
    )
    for column, layer in tables:
        yield Heading(f"{column.network}, {column.words}", 2)
        yield Paragraph(
            [
                "Layer ",
                Name(layer.name),
                f": {layer.n_filters} filters of {layer.dim} weights, {column.weights}.",
            ]
        )
        yield _lists(column, layer)
        if column.network == "VGG16":
            yield Note(
                "The paper's formula of GM sums Euclidean distances; its list comes out with "
                "city-block distances (gm_cityblock), or with Euclidean distances summed kernel by "
                "kernel. Its Fermat list has one pair of neighbours the other way round."
            )


def _lists(column: _Column, layer: ConvLayer) -> Table:
    rows = []
    for criterion, theirs in column.lists.items():
        for name in filter(None, (criterion, _VARIANTS.get(criterion))):
            ours = pruned_indices(layer, 0, name, top=len(theirs))
            same = len({*ours} & {*theirs})
            order = "yes" if tuple(ours) == theirs else "no"
            rows.append([name, _listed(theirs), _listed(ours), f"{same} of {len(theirs)}", order])
    return Table(
        [
            Column("criterion", "text"),
            Column("the paper's list", "text"),
            Column("ours", "text"),
            Column("filters in both"),
            Column("same order", "text"),
        ],
        rows,
        f"Filters with the smallest scores in the {column.words} of {column.network}, the "
        "smallest first.",
    )


def _listed(indices: Sequence[int]) -> str:
    return " ".join(map(str, indices))
