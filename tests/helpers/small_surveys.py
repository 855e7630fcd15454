"""Surveys of networks that never were: tables with known effects."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

MARGINS = {"mean": 0.1, "epsilon": 0.3, "distinctness": 0.2}


def survey(families=4, networks=3, layers=6, seed=0, slope=0.0, spread=(0.4, 0.3, 0.4)):
    """Effects exp(family + network + slope * depth + layer) / 2 margins; distinctness is 0.

    `spread` has the standard deviations of the three random parts. An effect holds within
    80 % of the margin, fails beyond 125 % of it, and is inconclusive between.
    """
    rng = np.random.default_rng(seed)
    facts, places, conditions, wholes, pairs = [], [], [], [], []
    for family in range(families):
        of_family = rng.normal(0, spread[0], len(MARGINS))
        for number in range(networks):
            key = f"{family}-{number}"
            facts.append(
                {
                    "source": f"{key}.pth", "name": f"net {key}", "hash": key, "status": "done",
                    "reason": "", "task": "faces" if family % 2 else "digits",
                    "family": f"family {family}", "n_layers": layers, "n_weights": 1000 * layers,
                    "verdict": "fails",
                }
            )  # fmt: skip
            of_network = of_family + rng.normal(0, spread[1], len(MARGINS))
            effects = {name: [] for name in MARGINS}
            for place in range(layers):
                about = {"hash": key, "layer": f"conv{place}"}
                depth = place / max(layers - 1, 1)
                places.append(
                    about
                    | {
                        "n_filters": int(16 * 2 ** (place % 3)), "channels": 16, "groups": 1,
                        "kernel": "1x1" if place % 3 == 2 else "3x3", "depth": depth,
                    }
                )  # fmt: skip
                for kind, (name, margin) in enumerate(MARGINS.items()):
                    size = of_network[kind] + slope * depth + rng.normal(0, spread[2])
                    effect = 0.0 if name == "distinctness" else float(np.exp(size)) * margin / 2
                    effects[name].append(effect)
                    conditions.append(about | judged(name, effect, margin))
                measured = float(rng.uniform(0.8, 1.0))
                predicted = measured + float(rng.normal(0.01, 0.02))
                pairs.append(
                    about
                    | {
                        "criterion_a": "l1", "criterion_b": "l2", "measured": measured,
                        "predicted": predicted, "low": predicted - 0.04, "high": predicted + 0.04,
                    }
                )  # fmt: skip
            for name, margin in MARGINS.items():
                whole = float(np.sqrt(np.mean(np.square(effects[name]))))
                wholes.append({"hash": key} | judged(name, whole, margin))
    conditions[0] |= {"effect": np.nan, "verdict": "not applicable", "reason": "one filter"}
    facts.append(facts[0] | {"source": "again.pth", "status": "duplicate", "reason": "0-0.pth"})
    lost = {"source": "bad.pth", "name": "bad", "hash": "", "status": "failed", "task": "",
            "reason": "not recognised as a checkpoint", "family": "", "n_layers": 0,
            "n_weights": 0, "verdict": ""}  # fmt: skip
    return SimpleNamespace(
        networks=pd.DataFrame([*facts, lost]),
        layers=pd.DataFrame(places),
        conditions=pd.DataFrame(conditions),
        network_conditions=pd.DataFrame(wholes),
        similarity=pd.DataFrame(pairs),
    )


def judged(condition, effect, margin):
    verdict = "holds" if effect <= 0.8 * margin else "fails" if effect > 1.25 * margin else ""
    return {
        "condition": condition, "effect": effect, "margin": margin, "reason": "",
        "verdict": verdict or "inconclusive",
    }  # fmt: skip
