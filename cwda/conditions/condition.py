"""What a condition is: one object that knows its name, its words, and how it is measured."""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args, overload

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from cwda.arguments import choose
from cwda.choices import Scale
from cwda.conditions.averaging import EFFECTS, Averaging
from cwda.conditions.calibration import Calibration
from cwda.conditions.directions import AS_RAW, Directions
from cwda.conditions.layerwise import check_layer, check_networks, require_level, require_margin
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult, Measurement
from cwda.conditions.table import CheckResult
from cwda.conditions.workspace import Workspace, validated_needs
from cwda.errors import CwdaError, cause_of, is_ours
from cwda.formatting import many
from cwda.layers import ConvLayer, Network
from cwda.loading.sources import layer_of, networks_of
from cwda.numerics.device import is_out_of_memory
from cwda.progress import showing
from cwda.typing import Device

__all__ = ["Condition", "Figure", "Formula", "Measure", "Words", "condition", "require_scale"]

Layer = ConvLayer | Tensor | npt.NDArray[Any]
#: What leads to a network, whose layers are tested one by one.
Whole = str | Path | nn.Module | Mapping[str, Any] | Network
Measure = Callable[[Workspace], Measurement]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Words:
    """What the report says of a condition, in words that do not depend on the network.

    Attributes
    ----------
    title : str
        Heading of its chapter.
    claim : str
        What the assumption says, in two or three words, such as "equal variances".
    asks : str
        What the assumption says and what is asked, in a sentence or two.
    estimator : str
        How the effect is estimated.
    reading : str
        How to read the effect and its margin.
    """

    title: str
    claim: str
    asks: str
    estimator: str
    reading: str = ""


@dataclass(frozen=True)
class Formula:
    """An equation of the report.

    Attributes
    ----------
    typst : str
        Its source, in the mathematics of Typst.
    spoken : str
        The words that a screen reader speaks.
    """

    typst: str
    spoken: str


@dataclass(frozen=True)
class Figure:
    """A figure of single layers that belongs to a condition.

    Attributes
    ----------
    name : str
        A function of `cwda.figures` that draws one layer.
    caption : str
        What it shows, of the layers with the largest effects.
    kind : str
        What such figures are called, in the plural.
    """

    name: str
    caption: str
    kind: str


@dataclass(frozen=True, eq=False)
class Condition:
    """A necessary condition of CWDA; made by the decorator `condition`.

    Called with a network or a layer it tests itself there, and nothing else.

    Attributes
    ----------
    name : str
        Name of the function that measures it; the value of the column ``condition``.
    null : str
        The null hypothesis of the p-value.
    effect : str
        What the effect is, in words.
    margin : float
        Largest effect that counts as negligible, where no other margin is given.
    method : str
        Statistic, null distribution and interval, for the column ``method``.
    measure : callable
        From a `Workspace` to a `Measurement`.
    short : str
        Head of a narrow column.
    needs : frozenset of str
        Kernel matrices of the `Workspace` that it reads: keys of `cwda.conditions.NEEDS`.
    inapplicable : callable, optional
        From a layer to the reason why the condition says nothing about it, or "".
    words, equation, figure
        What the report prints.
    estimate : str
        What the column ``estimate`` holds; empty where it holds nothing.
    details : mapping of str to str
        Its further numbers, with what they mean.
    averaging : Averaging
        What is averaged over the layers of a network, and how that becomes an effect.
    directions : Directions
        What becomes of it where each filter is divided by its root mean square.
    calibration : Calibration, optional
        What the calibration study must know of it.
    """

    name: str
    null: str
    effect: str
    margin: float
    method: str
    measure: Measure
    short: str
    needs: frozenset[str]
    words: Words
    inapplicable: Callable[[ConvLayer], str] | None = None
    equation: Formula | None = None
    figure: Figure | None = None
    estimate: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    averaging: Averaging = EFFECTS
    directions: Directions = AS_RAW
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        # As for any decorated function: `?`, doctest and the reference find the text.
        for attribute in functools.WRAPPER_ASSIGNMENTS:
            if attribute != "__annotations__" and hasattr(self.measure, attribute):
                vars(self)[attribute] = getattr(self.measure, attribute)
        vars(self)["__wrapped__"] = self.measure
        vars(self)["__signature__"] = inspect.signature(type(self).__call__.__get__(self))
        vars(self)["__doc__"] = _documented(self.measure.__doc__ or "")

    def __repr__(self) -> str:
        return f"<condition {self.name}: {self.effect}; margin {self.margin:g}>"

    @overload
    def __call__(
        self,
        source: Whole,
        *,
        margin: float | None = ...,
        scale: Scale = ...,
        level: float = ...,
        device: Device = ...,
        progress: bool = ...,
    ) -> CheckResult: ...
    @overload
    def __call__(
        self,
        source: Layer,
        *,
        margin: float | None = ...,
        scale: Scale = ...,
        level: float = ...,
        device: Device = ...,
        progress: bool = ...,
    ) -> ConditionResult: ...
    def __call__(
        self,
        source: Whole | Layer,
        *,
        margin: float | None = None,
        scale: Scale = "raw",
        level: float = 0.90,
        device: Device = "auto",
        progress: bool = True,
    ) -> CheckResult | ConditionResult:
        """Test this condition in all layers of a network, or in one layer.

        Parameters
        ----------
        source : Network, ConvLayer, array, or anything else that `cwda.load` takes
            A network, one of its layers, an array N x k^2 x N', a name, file, module or state
            dict.
        margin : float, optional
            Largest effect that counts as negligible; `margin` of the condition by default.
        scale : str
            "raw" for filters as they are, or "unit" to divide each by its root mean square first;
            see `cwda.check`.
        level : float
            Confidence of the effect's interval.
        device : str or torch.device
            Where to compute, in float64.
        progress : bool
            Whether long work shows a bar.

        Returns
        -------
        CheckResult, or ConditionResult for one layer or array.

        Raises
        ------
        CwdaError
            If the source has the wrong type or shape, or a parameter is impossible.
        """
        require_level(level)
        require_scale(scale)
        margin = self.margin if margin is None else require_margin(self.name, margin)
        with showing(progress):
            if isinstance(source, ConvLayer | Tensor | np.ndarray):
                layer, margins = layer_of(source), {self.name: margin}
                return check_layer(layer, [self], margins, level, device, scale=scale)[0]
            networks = networks_of(source)
            return check_networks(networks, [self], {self.name: margin}, level, device, scale)

    def test(
        self,
        work: Workspace,
        margin: float,
        network: str = "",
        scale: Scale = "raw",
        left_out: int = 0,
    ) -> ConditionResult:
        """Test the condition in one layer that has been prepared.

        Where `scale` is "unit" the workspace is of the layer's unit directions, from which
        `left_out` filters of norm 0 are missing.

        Raises
        ------
        CwdaError
            If it is measured by a function that does not give a `Measurement`.
        OutOfMemory, torch.OutOfMemoryError, MemoryError or RuntimeError
            If memory runs out.
        """

        def row(reason: str) -> ConditionResult:
            return self.not_applicable(work.layer, margin, network, reason, scale, left_out)

        if work.unfit:
            return row(work.unfit)
        withheld = ""
        try:
            reason = self.inapplicable(work.layer) if self.inapplicable else ""
            if scale == "unit":
                reason = reason or self.directions.inapplicable
            mine = work if is_ours(self.measure) else work.guest(self.needs)
            measurement = None if reason else self.measure(mine)
            if scale == "unit" and isinstance(measurement, Measurement):
                withheld = self.directions.withheld(work)
                measurement = _without_pvalue(measurement) if withheld else measurement
        except Exception as error:
            # One layer that cannot be computed must not lose the others; `check_layer` knows what
            # to do when memory runs out. In a condition of our own other errors are defects.
            expected = isinstance(error, CwdaError) or not is_ours(self.measure)
            if is_out_of_memory(error) or not expected:
                raise
            _LOG.debug("%s in %r", self.name, work.layer, exc_info=True)
            return row(cause_of(error))
        if reason:
            return row(str(reason))
        if not isinstance(measurement, Measurement):
            raise CwdaError(
                f"condition {self.name!r} is measured by a function that gives an object of type "
                f"{type(measurement).__name__}, not a cwda.conditions.Measurement"
            )
        result = row("").measured(measurement, work.level)
        if withheld:  # the method says how a row was tested, whatever its verdict
            result = replace(result, method=f"{result.method}; no p-value: {withheld}")
        return result

    def not_applicable(
        self,
        layer: ConvLayer,
        margin: float,
        network: str,
        reason: str,
        scale: Scale = "raw",
        left_out: int = 0,
    ) -> ConditionResult:
        """The row of a layer in which the condition could not be measured."""
        return ConditionResult.not_applicable(
            layer,
            reason,
            network=network,
            condition=self.name,
            margin=margin,
            scale=scale,
            method=self.method + _on_directions(scale, left_out),
            null_hypothesis=self.null,
        )


def require_scale(scale: object) -> None:
    """Refuse what is neither "raw" nor "unit".

    Raises
    ------
    CwdaError
        If it is something else.
    """
    choose([scale], get_args(Scale), "scale")


def _on_directions(scale: Scale, left_out: int) -> str:
    """What the method says of the division of filters by their root mean square."""
    if scale == "raw":
        return ""
    without = f", {many(left_out, 'filter')} of norm 0 left out" if left_out else ""
    return f"; each filter divided by its root mean square{without}"


def _without_pvalue(measurement: Measurement) -> Measurement:
    nothing = dict.fromkeys(("pvalue", "log10_pvalue", "statistic"), math.nan)
    return replace(measurement, **nothing)  # type: ignore[arg-type]


def _documented(doc: str) -> str:
    """The docstring of the function that measures, with what a call takes and gives back."""
    text, end, rest = inspect.cleandoc(doc), "", ""
    for heading in ("\n\nReferences\n---", "\n\nExamples\n---"):
        if not end:
            text, end, rest = text.partition(heading)
    call = inspect.getdoc(Condition.__call__) or ""
    return "".join([text, "\n\n", call.partition("\n\n")[2], end, rest])


def condition(
    *,
    margin: float,
    null: str,
    effect: str,
    method: str,
    short: str = "",
    needs: str | Iterable[str] = (),
    inapplicable: Callable[[ConvLayer], str] | None = None,
    words: Words | None = None,
    equation: Formula | None = None,
    figure: Figure | None = None,
    estimate: str = "",
    details: Mapping[str, str] | None = None,
    averaging: Averaging = EFFECTS,
    directions: Directions = AS_RAW,
    calibration: Calibration | None = None,
) -> Callable[[Measure], Condition]:
    """Make a condition of a function from `Workspace` to `Measurement`; a decorator.

    From then on it is tested by `cwda.check`, shown in the terminal, described by
    `cwda.describe`, and has a chapter in the report. Its name is that of the function.

    Parameters
    ----------
    margin : float
        Largest effect that counts as negligible, where no other margin is given.
    null : str
        The null hypothesis of the p-value, in words.
    effect : str
        What the effect is, in words.
    method : str
        Statistic, null distribution and interval.
    short : str, optional
        Head of a narrow column; the beginning of the name by default.
    needs : str or iterable of str
        Kernel matrices that it reads: keys of `cwda.conditions.NEEDS`.
    inapplicable : callable, optional
        From a layer to the reason why the condition says nothing about it, or "".
    words : Words, optional
        What the report says; made of the null hypothesis and the effect by default.
    equation : Formula, optional
        Equation of the report.
    figure : Figure, optional
        A figure of single layers, which the report draws for those with the largest effects.
    estimate : str, optional
        What the column ``estimate`` holds.
    details : mapping of str to str, optional
        What its further numbers mean.
    averaging : Averaging, optional
        What is averaged over the layers of a network: the effects themselves by default.
    directions : Directions, optional
        What becomes of it where each filter is divided by its root mean square: by default
        its effect and p-value stay what they are.
    calibration : Calibration, optional
        What `cwda.calibration` must know to measure how often the test errs.

    Raises
    ------
    CwdaError
        If another function has that name already, or an argument is impossible.

    Examples
    --------
    >>> import cwda
    >>> from cwda.conditions import CONDITIONS, Measurement
    >>> @cwda.condition(
    ...     margin=0.01,
    ...     null="no weight is more than six standard deviations from 0",
    ...     effect="share of such weights",
    ...     method="counted; no interval",
    ... )
    ... def outliers(work):
    ...     far = work.filters.abs() > 6 * work.scale
    ...     share = far.double().mean()
    ...     return Measurement(effect=share, low=share, high=share)
    >>> net = cwda.load("resnet20-cifar10")
    >>> outliers(net).summary()["holds"].item()
    19
    >>> CONDITIONS.forget("outliers")
    """
    reads = validated_needs(needs)

    def register(measure: Measure) -> Condition:
        name = getattr(measure, "__name__", "")
        if not name.isidentifier():
            raise CwdaError("a condition is called as its function: define one with `def`")
        made = Condition(
            name=name,
            null=str(null),
            effect=str(effect),
            margin=require_margin(name, margin),
            method=str(method),
            measure=measure,
            short=short or name[:6],
            needs=reads,
            words=words or _plain_words(name, str(null), str(effect), str(method)),
            inapplicable=inapplicable,
            equation=equation,
            figure=figure,
            estimate=str(estimate),
            details=dict(details or {}),
            averaging=averaging,
            directions=directions,
            calibration=calibration,
        )
        CONDITIONS.add(made)
        return made

    return register


def _plain_words(name: str, null: str, effect: str, method: str) -> Words:
    title = name.replace("_", " ").capitalize()
    return Words(
        title=title,
        claim=null,
        asks=f"Under the null hypothesis, {null}.",
        estimator=f"The effect is the {effect}. Method: {method}.",
    )
