r"""Predicted against measured rank correlation over many networks, by family and task.

    python -m benchmarks.rank_correlation measure FOLDER --to ROWS.csv
    python -m benchmarks.rank_correlation table ROWS.csv [--networks MANIFEST.csv] \
        [--development ROWS.csv]
    python -m benchmarks.rank_correlation fit ROWS.csv

`measure` predicts every checkpoint in a folder (or the files that are named) by every rung and
compares; `table` prints errors, those of a constant among them, and coverage with the interval
over families that `cwda.population` has; `fit` estimates the constants of
`cwda/theory/log_scores/model_error.py` anew. Layers have 16 filters or more and several channels. A
manifest has columns `network` (the file's name), `family`, `task`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

import cwda
from cwda.comparison import compare
from cwda.errors import CwdaError
from cwda.layers import ConvLayer, Network
from cwda.population.tables import sample_of
from cwda.theory import predict, simulate
from cwda.theory.criteria import CRITERIA
from cwda.theory.log_scores.model_error import FREEDOM
from cwda.theory.log_scores.score_moments import log_scores, robust_correlation
from cwda.theory.model import fit_or_reason
from cwda.theory.moments import expected_spearman

#: Layers with fewer filters or channels are left out, and so are networks with more weights.
FEWEST_FILTERS, FEWEST_CHANNELS = 16, 2

KEYS = ["network", "layer", "criterion_a", "criterion_b"]


def in_scope(layer: ConvLayer) -> bool:
    return layer.n_filters >= FEWEST_FILTERS and layer.channels >= FEWEST_CHANNELS


def measure(source: Path, rungs: list[str] | None = None) -> pd.DataFrame:
    """Rows of all pairs, rungs and both methods, with what the interval is fitted to."""
    whole = cwda.load(source)
    names = [layer.name for layer in whole.layers if in_scope(layer)]
    if not names:
        raise CwdaError("no layer in scope")
    network = Network(source.name, tuple(map(whole.__getitem__, names)), whole.provenance)
    measured = cwda.similarity(network, CRITERIA, progress=False)
    closed = predict(network, rungs=rungs, progress=False)
    drawn = simulate(network, rungs="cross-fitted", progress=False)
    table = compare(measured, [closed, drawn]).table
    return table.merge(pd.DataFrame(map(_moments, network.layers)), on="layer", how="left")


def _moments(layer: ConvLayer) -> dict[str, object]:
    """What the table has not: live filters, misfits, variances, and how halves predict halves."""
    fitted, _ = fit_or_reason(layer, device="auto")
    if fitted is None or fitted.scores is None:
        return {"layer": layer.name}
    moments = fitted.scores.moments
    found: dict[str, object] = {"layer": layer.name, "live": moments.live}
    for i, a in enumerate(CRITERIA):
        for j, b in enumerate(CRITERIA[i + 1 :], i + 1):
            found[f"misfit {a}-{b}"] = float(moments.misfit[i, j])
    logs, _, _ = log_scores(layer.blocks("cpu").flatten(1))
    ratio = logs[0] - logs[1]
    found |= {"var_x": float(logs[1].var()), "var_r": float(ratio.var())}
    found["var_x_ratio"] = float(logs[1].var()) / fitted.moments.l2_relative
    found["var_r_ratio"] = float(ratio.var()) / fitted.moments.log_ratio_variance
    found["cor_xr"] = float(np.corrcoef(logs[1], ratio)[0, 1])
    m = logs.shape[1]
    if m >= 32:
        order = np.random.default_rng(0).permutation(m)
        one, other = logs[:, order[: m // 2]], logs[:, order[m // 2 :]]
        rho = float(robust_correlation(one)[0, 0, 1])
        if np.isfinite(rho):
            found["half"] = expected_spearman(rho, other.shape[1])
            found["half_own"] = float(stats.spearmanr(one[0], one[1]).statistic)
            found["half_other"] = float(stats.spearmanr(other[0], other[1]).statistic)
    return found


def errors(rows: pd.DataFrame) -> dict[str, object]:
    """Errors over layers, and coverage with limits over families, or the networks of one."""
    rows = rows.dropna(subset=["difference"]).assign(hash=lambda rows: rows["network"])
    if "family" not in rows:
        rows = rows.assign(family=rows["network"])
    found: dict[str, object] = {
        "families": rows["family"].nunique(),
        "networks": rows["network"].nunique(),
        "layers": len(rows),
    }
    found["mae"] = rows["difference"].abs().mean()
    found["median"] = rows["difference"].abs().median()
    found["bias"] = rows["difference"].mean()
    if rows["inside"].notna().any() and len(rows):
        covered = sample_of(rows, 0.95, each=None).share(rows["inside"].astype(float))
        found |= {"coverage": covered.value, "low": covered.low, "high": covered.high}
    return found


def bound_rows(rows: pd.DataFrame) -> pd.DataFrame:
    bound = rows.dropna(subset=["bound"]).drop_duplicates(KEYS)
    return bound.assign(difference=bound["bound"] - bound["measured"], inside=None, rung="bound")


def constant_rows(rows: pd.DataFrame, development: pd.DataFrame | None) -> pd.DataFrame:
    """What constants would err: of l1 with l2 the value of many isotropic filters, .930.

    And for each pair the median that the layers of development networks show.
    """
    predicted = (rows["rung"] == "cross-fitted") & (rows["method"] == "closed form")
    each = rows[predicted].dropna(subset=["difference"]).assign(inside=None)
    isotropic = 6 / np.pi * np.arcsin(1 / np.sqrt(np.pi - 2) / 2)
    of_norms = each[(each["criterion_a"] == "l1") & (each["criterion_b"] == "l2")]
    found = [of_norms.assign(predicted=isotropic, rung=f"constant {isotropic:.3f}")]
    if development is not None:
        shown = development.drop_duplicates(KEYS).groupby(KEYS[2:])["measured"].median()
        known = pd.MultiIndex.from_frame(each[KEYS[2:]])
        median = shown.reindex(known).to_numpy()
        found.append(each.assign(predicted=median, rung="constant, median of development"))
    constant = pd.concat(found)
    return constant.assign(difference=constant["predicted"] - constant["measured"])


def tables(rows: pd.DataFrame, development: pd.DataFrame | None = None) -> None:
    rows = rows.assign(pair=rows["criterion_a"] + "-" + rows["criterion_b"])
    constant = constant_rows(rows, development)
    closed = pd.concat([rows[rows["method"] == "closed form"], bound_rows(rows), constant])
    _print("Rungs and pairs, closed form", closed, ["pair", "rung"])
    best = rows[rows["rung"] == "cross-fitted"]
    _print("cross-fitted, closed form and simulated", best, ["pair", "method"])
    best = best[best["method"] == "closed form"]
    for column in ("family", "task"):
        if column in best:
            for pair in ("l1-l2", "l2-gm", "l2-fermat"):
                _print(f"{pair} by {column}", best[best["pair"] == pair], [column])
    halves = best[best["pair"] == "l1-l2"].dropna(subset=["half", "half_other"])
    for name in ("half", "half_own"):
        _print(
            f"{name} predicts the other half",
            halves.assign(difference=halves[name] - halves["half_other"], inside=None),
            ["pair"],
        )


def _print(title: str, rows: pd.DataFrame, by: list[str]) -> None:
    found = [
        dict(zip(by, key, strict=True)) | errors(group)
        for key, group in rows.groupby(by, sort=False)
    ]
    print(f"\n{title}\n{pd.DataFrame(found).round(4).to_string(index=False)}")


#: Coefficients between which `fit` says the coverage.
EDGES = (-1.0, 0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0)


def fit(rows: pd.DataFrame) -> None:
    """Constants of each pair by Student's likelihood, and coverage with a fifth left out.

    The coverage stands for all layers, and by the coefficient predicted.
    """
    rows = rows[(rows["rung"] == "cross-fitted") & (rows["method"] == "closed form")]
    for (a, b), group in rows.dropna(subset=["difference"]).groupby(["criterion_a", "criterion_b"]):
        group = group.assign(misfit=group[f"misfit {a}-{b}"])
        fold = pd.factorize(group["network"])[0] % 5
        inside = pd.Series(0.0, index=group.index)
        for k in range(5):
            left_out = _inside(group[fold == k], _constants(group[fold != k]))
            inside.loc[fold == k] = left_out.astype(float)
        constants = ", ".join(f"{x:.3f}" for x in _constants(group))
        print(f"{a}-{b}: {constants}; coverage {inside.mean():.3f} of {len(group)} layers")
        by_size = inside.groupby(pd.cut(group["predicted"], EDGES), observed=True)
        print(by_size.agg(["size", "mean"]).round(3).T.to_string())


def _deviation(rows: pd.DataFrame) -> np.ndarray:
    """Errors on Fisher's scale."""
    most = _most(rows)
    measured, predicted = (
        np.arctanh(np.minimum(np.maximum(rows[name], -most), most))
        for name in ("measured", "predicted")
    )
    return np.asarray(measured - predicted)


def _most(rows: pd.DataFrame) -> pd.Series:
    """Half a step of Spearman's coefficient below 1."""
    return 1 - 6 / (rows["n_filters"] ** 3 - rows["n_filters"])


def _sd(rows: pd.DataFrame, constants: np.ndarray) -> np.ndarray:
    """The root of the variance of `ModelError`, of many layers."""
    sampling, growth, misfit = constants
    room = 1 - np.minimum(rows["predicted"] ** 2, _most(rows) ** 2)
    variance = sampling * room**-growth / (rows["live"] - 6) + misfit * rows["misfit"] ** 2
    return np.asarray(np.sqrt(variance))


def _constants(rows: pd.DataFrame) -> np.ndarray:
    deviation = _deviation(rows)
    weight = rows.groupby("network")["network"].transform("size").to_numpy() ** -0.5

    def loss(logs: np.ndarray) -> float:
        sd = _sd(rows, np.exp(logs))
        density = stats.t.logpdf(deviation / sd, FREEDOM) - np.log(sd)
        return -float((weight * density).sum() / weight.mean())

    start = np.log([0.06, 0.6, 0.3])
    return np.asarray(np.exp(optimize.minimize(loss, start, method="Nelder-Mead").x))


def _inside(rows: pd.DataFrame, constants: np.ndarray) -> np.ndarray:
    radius = float(special.stdtrit(FREEDOM, 0.975)) * _sd(rows, constants)
    return np.asarray(np.abs(_deviation(rows)) <= radius)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=["measure", "table", "fit"])
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, help="where `measure` writes its rows")
    parser.add_argument("--networks", type=Path, help="families and tasks of the networks")
    parser.add_argument("--development", type=Path, help="rows whose medians are the constants")
    options = parser.parse_args()
    if options.do == "measure":
        files = [file for path in options.sources for file in _files(path)]
        for file in files:
            try:
                rows = measure(file)
            except CwdaError as error:
                print(f"{file.name}: {error}", file=sys.stderr, flush=True)
                continue
            new = options.to is None or not options.to.exists()
            rows.to_csv(options.to or sys.stdout, mode="a", header=new, index=False)
        return
    rows = pd.concat([pd.read_csv(path, low_memory=False) for path in options.sources])
    if options.networks:
        about = pd.read_csv(options.networks)[["network", "family", "task"]]
        rows = rows.merge(about.drop_duplicates("network"), on="network", how="left")
    if options.do == "fit":
        fit(rows)
        return
    development = options.development and pd.read_csv(options.development, low_memory=False)
    tables(rows, development)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


if __name__ == "__main__":
    main()
