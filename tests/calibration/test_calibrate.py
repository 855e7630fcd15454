"""A calibration is seeded, resumes where it was cut off, and counts right."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cwda.calibration import (
    PROCEDURES,
    SIZES,
    CalibrationResult,
    Size,
    calibrate,
    condense,
    published,
    read_calibration,
    sizes_of,
    to_markdown,
)
from cwda.calibration.designs import DESIGNS
from cwda.calibration.judgement import judge
from cwda.calibration.procedure import Draw
from cwda.conditions import CONDITIONS, check, variance
from cwda.errors import CwdaError
from cwda.layers import Network, Provenance

SMALL = [Size(16, 3, 9)]


def same(a, b):
    pd.testing.assert_frame_equal(a.table, b.table, check_exact=True)


def test_same_seed_same_rates_other_seed_other_rates():
    options = {"designs": "t5,mean 0.1", "sizes": SMALL, "replicates": 40}
    once = calibrate(["mean"], **options)
    same(once, calibrate(["mean"], **options))
    assert (
        once.table["rate"].tolist() != calibrate(["mean"], **options, seed=1).table["rate"].tolist()
    )


def test_a_rate_does_not_depend_on_what_else_is_measured():
    alone = calibrate(["epsilon"], designs="cwda", sizes=SMALL, replicates=10)
    together = calibrate(
        ["Shapiro-Wilk", "mean", "epsilon"],
        designs="*cwda,iid",
        sizes=[Size(8, 2, 4), *SMALL],
        replicates=10,
    )
    rows = set(together.rows)
    assert len(alone) == 6
    assert all(row in rows for row in alone)


def test_rates_are_those_of_a_plain_loop():
    result = calibrate(["variance"], designs="variance 0.5", sizes=SMALL, replicates=12, seed=3)
    design = DESIGNS["variance 0.5"]
    rows = [
        variance(Draw(design, SMALL[0], 3, i, "cpu", []).layer, device="cpu") for i in range(12)
    ]
    rates = {row.measure: row.rate for row in result}
    assert {row.replicates for row in result} == {12}
    assert rates["test"] == sum(row.pvalue <= 0.05 for row in rows) / 12
    covered = sum(row.effect_low <= 0.5 <= row.effect_high for row in rows)
    assert rates["interval"] == covered / 12
    assert rates["holds"] == sum(row.verdict == "holds" for row in rows) / 12


def test_a_killed_run_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("cwda.calibration.run.BLOCK", 5)
    options = {"designs": "iid,t5", "sizes": SMALL, "replicates": 20}
    whole = calibrate(["mean", "variance"], output=tmp_path / "whole.jsonl", **options)
    cut, drawn = tmp_path / "cut.jsonl", []
    draw = Draw.__init__

    def kill(self, *given):
        drawn.append(given)
        if len(drawn) > 17:
            raise KeyboardInterrupt
        draw(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Draw, "__init__", kill)
        with pytest.raises(KeyboardInterrupt):
            calibrate(["mean", "variance"], output=cut, **options)
    assert {row.replicates for row in read_calibration(cut)} == {15}
    same(calibrate(["mean", "variance"], output=cut, **options), whole)
    assert cut.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_more_replicates_extend_a_calibration(tmp_path):
    options = {"designs": "iid", "sizes": SMALL}
    path = tmp_path / "calibration.jsonl"
    calibrate(["mean"], output=path, replicates=7, **options)
    calibrate(["variance", "mean"], output=path, replicates=11, **options)
    whole = calibrate(["variance", "mean"], replicates=11, **options)
    same(read_calibration(path), whole)
    same(calibrate(["mean"], output=path, replicates=3, **options), whole)


@pytest.mark.slow
def test_processes_count_alike():
    options = {"designs": "iid", "sizes": SMALL, "replicates": 60}
    same(calibrate(["mean"], workers=2, **options), calibrate(["mean"], **options))


def test_every_procedure_runs():
    result = calibrate(sizes=[Size(32, 16, 9)], designs="iid,cwda,homogeneity 0.125", replicates=1)
    table = result.table
    assert set(table["procedure"]) == set(PROCEDURES)
    assert set(table["replicates"]) == {1}
    page = to_markdown(result)
    for heading in ("Summary", "The worst cells", "Undecided cells", "Domains", "Mean"):
        assert f"\n## {heading}\n" in page
    widths = [line.count("|") for line in page.splitlines() if line.startswith("| spearman")]
    assert len(set(widths)) <= 1


def test_what_is_not_applicable_has_no_row():
    result = calibrate(
        ["epsilon", "independence", "mean"],
        designs="iid",
        sizes=[Size(16, 4, 1), Size(16, 1, 4)],
        replicates=2,
    )
    assert {(row.procedure, row.channels, row.kernel_size) for row in result} == {
        ("mean", 4, 1), ("mean", 1, 4), ("independence", 4, 1), ("epsilon", 1, 4),
    }  # fmt: skip


def test_intervals_are_clopper_and_pearsons():
    table = published().table.drop_duplicates(["rate", "replicates"])
    assert {0.0, 1.0} <= set(table["rate"])
    for row in table.itertuples():
        happened = round(row.rate * row.replicates)
        low, high = stats.binomtest(happened, row.replicates).proportion_ci(0.95, method="exact")
        np.testing.assert_allclose((row.low, row.high), (low, high), rtol=0, atol=1e-12)


def test_a_calibration_is_saved_and_shown(tmp_path):
    result = calibrate(["mean"], designs="iid", sizes=SMALL, replicates=2)
    result.save(tmp_path / "calibration.json")
    same(CalibrationResult.load(tmp_path / "calibration.json"), result)
    assert repr(result).startswith("CalibrationResult: 6 rates of 1 procedure; .table has 6 rows\n")


@pytest.mark.parametrize(
    ("measure", "low", "high", "nominal", "verdict"),
    [
        ("test", 0.031, 0.069, 0.05, "ok"),
        ("test", 0.02, 0.06, 0.05, "undecided"),
        ("test", 0.071, 0.09, 0.05, "too liberal"),
        ("test", 0.5, 0.6, float("nan"), ""),
        ("interval", 0.971, 0.98, 0.90, "conservative"),
        ("interval", 0.96, 0.98, 0.90, "ok"),
        ("interval", 0.87, 0.93, 0.90, "ok"),
        ("interval", 0.86, 0.88, 0.90, "undecided"),
        ("interval", 0.80, 0.869, 0.90, "too liberal"),
        ("interval", 0.931, 0.969, 0.95, "ok"),
        ("interval", 0.971, 0.98, 0.95, "conservative"),
        ("interval", 0.92, 0.929, 0.95, "too liberal"),
        ("interval", 0.90, 0.92, 0.95, "too liberal"),
        ("holds", 0.0, 0.01, 0.05, "ok"),
        ("fails", 0.049, 0.08, 0.05, "undecided"),
        ("fails", 0.049, 0.0699, 0.05, "ok"),
        ("fails", 0.051, 0.06, 0.05, "too liberal"),
    ],
)
def test_judgement(measure, low, high, nominal, verdict):
    assert judge(measure, low, high, nominal) == verdict


def test_nominal_rates_follow_the_truth():
    result = calibrate(
        ["mean"],
        designs="iid,mean 0.05,mean 0.1,mean 0.2",
        sizes=[Size(16, 3, 1)],
        replicates=4,
    )
    nominal = result.table.pivot(index="design", columns="measure", values="nominal")
    tests = nominal["test"]
    assert tests["iid"] == 0.05
    assert tests.drop("iid").isna().all()
    assert nominal["holds"].fillna(0).to_dict() == {
        "iid": 0, "mean 0.05": 0, "mean 0.1": 0.05, "mean 0.2": 0.05,
    }  # fmt: skip
    assert nominal["fails"].fillna(0).to_dict() == {
        "iid": 0.05, "mean 0.05": 0.05, "mean 0.1": 0.05, "mean 0.2": 0,
    }  # fmt: skip
    # At 0 only the lower limit can miss.
    assert nominal["interval"].to_dict() == {
        "iid": 0.95, "mean 0.05": 0.9, "mean 0.1": 0.9, "mean 0.2": 0.9,
    }  # fmt: skip
    assert (result.summary()["cells"] > 0).all()


def test_bad_input_is_one_line(tmp_path):
    path = tmp_path / "calibration.jsonl"
    options = {"output": path, "designs": "iid", "sizes": SMALL, "replicates": 1}
    with pytest.raises(CwdaError, match="unknown procedure 'median'"):
        calibrate(["median"])
    with pytest.raises(CwdaError, match="they are called iid"):
        calibrate(["mean"], designs="nosuch")
    with pytest.raises(CwdaError, match="1 or more"):
        calibrate(["mean"], replicates=0)
    path.write_text("[1, 2]")
    with pytest.raises(CwdaError, match="does not hold the cells of a calibration"):
        calibrate(["mean"], **options)
    path.unlink()
    calibrate(["mean"], **options)
    with pytest.raises(CwdaError, match=r"another calibration \(seed: 0, now 5\)"):
        calibrate(["mean"], **options, seed=5)
    head, _, rest = path.read_text().partition("\n")
    claim = json.loads(head)
    claim["claim"]["cwda"] = "0.0.1"
    path.write_text(json.dumps(claim) + "\n" + rest)
    with pytest.raises(CwdaError, match=r"cwda: 0\.0\.1"):
        calibrate(["mean"], **options)
    with pytest.raises(CwdaError, match="no such file"):
        read_calibration(tmp_path / "absent.jsonl")


def test_sizes_are_told_apart():
    assert len({str(size) for size in SIZES}) == len(SIZES)


def test_each_design_has_its_sizes():
    assert Size(512, 16, 9) in sizes_of("iid")
    assert Size(64, 1, 9) in sizes_of("smooth kernels 0.9")
    assert all(size.channels == 3 for size in sizes_of("first layer"))
    for name in DESIGNS:
        assert all(DESIGNS[name].fits(size) for size in sizes_of(name))


def test_a_draw_is_judged_as_check_does():
    draw = Draw(DESIGNS["cwda"], SMALL[0], 0, 3, "cpu", [*CONDITIONS])
    rows = check(Network("simulated", (draw.layer,), Provenance("simulated", "array")))
    for row in rows:
        mine = draw.checked[row.condition]
        assert mine.verdict == row.verdict
        found = (mine.effect, mine.effect_low, mine.effect_high, mine.pvalue)
        expected = (row.effect, row.effect_low, row.effect_high, row.pvalue)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_truths_without_a_closed_form_are_measured_once(tmp_path, monkeypatch):
    monkeypatch.setattr("cwda.calibration.truths._FILTERS", 64)
    path = tmp_path / "calibration.jsonl"
    options = {"designs": "populations even", "sizes": [Size(16, 4, 9)], "output": path}
    few = calibrate(["homogeneity", "mean"], replicates=2, **options)
    [truth] = {row.truth for row in few if row.procedure == "homogeneity"}
    assert truth < 0  # a filter strong in even channels is weak in odd ones
    assert all(row.truth_error > 0 for row in few if row.procedure == "homogeneity")
    assert {row.truth for row in few if row.procedure == "mean"} == {0.0}

    def measured(*given):
        raise AssertionError("the truth is known")

    monkeypatch.setattr("cwda.calibration.run.measured_truths", measured)
    more = calibrate(["homogeneity", "mean"], replicates=4, **options)
    assert {row.truth for row in more if row.procedure == "homogeneity"} == {truth}


def test_a_condensed_study_has_the_same_rates(tmp_path, monkeypatch):
    monkeypatch.setattr("cwda.calibration.run.BLOCK", 2)
    path, short = tmp_path / "calibration.jsonl", tmp_path / "short.jsonl"
    options = {"designs": "iid,dead filters 10 %", "sizes": SMALL, "output": path}
    calibrate(["mean"], replicates=5, **options)
    whole = calibrate(["mean", "variance"], replicates=3, **options)
    condense(path, short)
    same(read_calibration(short), whole)
    assert len(short.read_text().splitlines()) == 1 + 4
    options["output"] = short
    longer = calibrate(["mean"], replicates=7, **options)
    assert {row.replicates for row in longer if row.procedure == "mean"} == {7}
