"""The tables of a survey: their columns, what they mean, and their types in Parquet."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from cwda.answers import column, columns_of, common
from cwda.comparison.applicability import LayerApplicability
from cwda.comparison.results import ComparedCorrelation
from cwda.conditions.results import ConditionResult
from cwda.conditions.whole.result import NetworkCondition
from cwda.errors import CwdaError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "MEASURED",
    "NETWORKS",
    "STATUSES",
    "TABLES",
    "LayerFacts",
    "NetworkRecord",
    "Status",
    "Table",
    "require_pyarrow",
    "storable",
]

Status = Literal["done", "duplicate", "failed", "timed out", "out of memory", "unavailable"]

#: All that can become of a source.
STATUSES: tuple[Status, ...] = typing.get_args(Status)

_HASH = (
    "SHA-256 of the convolution weights in the order of the layers, whatever they are called and "
    "however the file stores them; the key of the other tables"
)


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """What became of one source: a row of the table `networks`."""

    source: str = column("path, URL or name")
    name: str = column("name of the network; several may have the same")
    hash: str = column(f"{_HASH}; empty where the weights could not be read", default="")
    status: Status = column(
        "`done`; `duplicate` if another source has the same weights; `failed`; `timed out`; "
        "`out of memory`; `unavailable` if nothing is there, such as a misspelt name"
    )
    reason: str = column("why it is not done, or of which source it is a duplicate", default="")
    task: str = column("what the network was trained for, where known, else empty", default="")
    family: str = column("family of its architecture, where known, else empty", default="")
    n_layers: int = column("number of convolutions", default=0)
    n_filters: int = column("number of filters of all of them", default=0)
    n_weights: int = column("number of their weights", default=0)
    verdict: str = column(
        "whether CWDA holds for the network: `holds`, `fails`, `inconclusive` or `not "
        "applicable`; empty unless done",
        default="",
    )
    sentence: str = column("what was found, in words", default="")
    seconds: float = column("seconds that it took, reading included", default=0.0)
    processor_seconds: float = column(
        "seconds of a processor that it took; fewer than `seconds` where others use it too",
        default=0.0,
    )
    peak_memory: float = column("largest memory of the process, in MiB", default=0.0)
    format: str = column("format of the file", default="")
    sha256: str = column("SHA-256 of the file; empty for what is no file", default="")
    stamp: str = column("size and time of change of the file: a changed one is read again")
    cwda: str = column("version of cwda", default="")
    torch: str = column("version of torch", default="")
    numpy: str = column("version of numpy", default="")
    python: str = column("version of Python", default="")
    finished: str = column("when it was finished, in UTC")


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """Size and place of one convolution: a row of the table `layers`."""

    network: str = common("network")
    layer: str = common("layer")
    position: int = column("place in the network, from 0")
    depth: float = column("place in the network, from 0 for the first to 1 for the last layer")
    n_filters: int = common("n_filters")
    channels: int = column("number of input channels that a filter sees, $N$")
    kernel: str = column("sides of the kernel, such as `3x3`")
    kernel_size: int = column("number of positions of the kernel, $k^2$")
    dim: int = common("dim")
    n_weights: int = common("n_weights")
    groups: int = column("number of groups")
    transposed: bool = column("whether it is a transposed convolution")
    batchnorm: bool = column("whether a BatchNorm is known to stand behind it")
    dead_filters: int = column("number of filters whose weights are all zero")
    transition: bool = column(
        "whether the layer changes the number of channels: a kernel of several positions, and "
        "more or fewer filters than its input has channels, of which there are 5 or more"
    )


@dataclass(frozen=True)
class Table:
    """One table of a survey.

    Attributes
    ----------
    name : str
        What the folder of its parts and the attribute of `Survey` are called.
    about : str
        What one row is about.
    row : type
        The rows from which it is made: a dataclass of columns.
    left_out : frozenset of str
        Columns of these rows that are the same in all rows, or stand in another table.

    Examples
    --------
    >>> from cwda.surveys.tables import TABLES
    >>> list(TABLES)
    ['networks', 'layers', 'conditions', 'network_conditions', 'similarity', 'applicability']
    >>> list(TABLES["layers"].columns)[:4]
    ['hash', 'layer', 'position', 'depth']
    """

    name: str
    about: str
    row: type
    left_out: frozenset[str] = field(default=frozenset())

    @cached_property
    def columns(self) -> dict[str, str]:
        """Names and meanings of the columns; `hash` stands for the name of the network."""
        found = columns_of(self.row)
        keys = {"hash": _HASH} if "network" in found else {}
        return keys | {
            name: meaning
            for name, meaning in found.items()
            if name != "network" and name not in self.left_out
        }

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with their types in Parquet."""
        import pyarrow as pa

        hints = typing.get_type_hints(self.row) | {"hash": str}
        return pa.schema([(name, _type_of(hints[name])) for name in self.columns])

    def cells(self, rows: Iterable[Any], digest: str) -> list[dict[str, Any]]:
        """The rows of one network as they are stored."""
        return [
            {
                name: digest if name == "hash" else storable(getattr(row, name))
                for name in self.columns
            }
            for row in rows
        ]

    def frame(self, stored: pa.Table) -> pd.DataFrame:
        """What was stored as a data frame."""
        frame: pd.DataFrame = stored.to_pandas()
        hints = typing.get_type_hints(self.row)
        undecided = [name for name in self.columns if hints.get(name) == bool | None]
        return frame.astype(dict.fromkeys(undecided, "boolean"))


def storable(value: Any) -> Any:
    r"""A value as a table holds it: bytes of a name that are no UTF-8 are written out.

    Examples
    --------
    >>> storable("net-\udcff.pth"), storable(3)
    ('net-\\udcff.pth', 3)
    """
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def _type_of(hint: Any) -> pa.DataType:
    import pyarrow as pa

    plain: Mapping[Any, pa.DataType] = {
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        bool | None: pa.bool_(),
    }
    return plain.get(hint, pa.string())  # texts, and literals of them


NETWORKS = Table("networks", "one source", NetworkRecord)
_SIZES = {"n_filters", "dim", "n_weights"}

#: What is measured in the networks that are done.
MEASURED = (
    Table("layers", "one layer", LayerFacts),
    Table(
        "conditions",
        "one condition in one layer, as in `cwda.check(...).table`",
        ConditionResult,
        frozenset(_SIZES | {"method", "percentile", "percentile_low", "comparable"}),
    ),
    Table(
        "network_conditions",
        "one condition in one network as a whole, as in `cwda.check(...).network.table`",
        NetworkCondition,
    ),
    Table(
        "similarity",
        "two criteria in one layer, measured and predicted by the rung `cross-fitted`, as in "
        "`cwda.compare(...).table`",
        ComparedCorrelation,
        frozenset(_SIZES | {"method", "rung", "transition"}),
    ),
    Table(
        "applicability",
        "one criterion in one layer, as in `cwda.applicability(...).table`",
        LayerApplicability,
        frozenset(_SIZES | {"method", "statement", "ratio"}),
    ),
)

#: All tables by their names.
TABLES: dict[str, Table] = {table.name: table for table in (NETWORKS, *MEASURED)}


def require_pyarrow() -> None:
    """Raise unless Parquet can be read and written.

    Raises
    ------
    CwdaError
        If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise CwdaError('a survey needs pyarrow: pip install "cwda[survey]"') from None
