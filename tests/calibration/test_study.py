"""A study is seeded, goes on where it was cut off, and counts right."""

import json

import pytest
from scipy import stats

from cwda.calibration import PROCEDURES, SIZES, Size, calibrate, read_study, to_markdown
from cwda.calibration.designs import DESIGNS
from cwda.calibration.judgement import COLUMNS, binomial_interval, judge
from cwda.calibration.procedure import Draw
from cwda.calibration.published import summary
from cwda.conditions import variance
from cwda.errors import CwdaError

SMALL = [Size(16, 3, 9)]


def counts(study):
    return {key: (cell.replicates, cell.counts) for key, cell in study.cells.items()}


def test_same_seed_same_counts_other_seed_other_counts():
    once = calibrate(["mean"], 40, designs="t5,mean 0.1", sizes=SMALL)
    assert counts(once) == counts(calibrate(["mean"], 40, designs="t5,mean 0.1", sizes=SMALL))
    assert counts(once) != counts(
        calibrate(["mean"], 40, designs="t5,mean 0.1", sizes=SMALL, seed=1)
    )


def test_a_cell_does_not_depend_on_which_others_run():
    alone = calibrate(["epsilon"], 10, designs="cwda", sizes=SMALL)
    many = calibrate(
        ["Shapiro-Wilk", "mean", "epsilon"], 10, designs="*cwda,iid", sizes=[Size(8, 2, 4), *SMALL]
    )
    (key,) = alone.cells
    assert many.cells[key].counts == alone.cells[key].counts


def test_counts_are_those_of_a_plain_loop():
    study = calibrate(["variance"], 12, designs="variance 0.5", sizes=SMALL, seed=3)
    design = DESIGNS["variance 0.5"]
    rows = [
        variance(Draw(design, SMALL[0], 3, i, "cpu", []).layer, device="cpu") for i in range(12)
    ]
    (cell,) = study.cells.values()
    assert cell.counts["test"] == (sum(row.pvalue <= 0.05 for row in rows), 12)
    covered = sum(row.effect_low <= 0.5 <= row.effect_high for row in rows)
    assert cell.counts["interval"] == (covered, 12)
    assert cell.counts["holds"] == (sum(row.verdict == "holds" for row in rows), 12)


def test_a_killed_run_continues(tmp_path, monkeypatch):
    monkeypatch.setattr("cwda.calibration.study.PIECE", 5)
    how = {"designs": "iid,t5", "sizes": SMALL}
    whole = calibrate(["mean", "variance"], 20, tmp_path / "whole.json", **how)

    def kill(done, total):
        if done >= total / 2 - 5:
            raise KeyboardInterrupt

    cut = tmp_path / "cut.json"
    with pytest.raises(KeyboardInterrupt):
        calibrate(["mean", "variance"], 20, cut, **how, on_progress=kill)
    begun = read_study(cut)
    assert 0 < sum(cell.replicates for cell in begun.cells.values()) < 80
    calibrate(["mean", "variance"], 20, cut, **how)
    assert counts(read_study(cut)) == counts(whole)
    assert cut.read_text() == (tmp_path / "whole.json").read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_more_replicates_extend_a_study(tmp_path):
    path = tmp_path / "study.json"
    calibrate(["mean"], 7, path, designs="iid", sizes=SMALL)
    calibrate(["variance", "mean"], 11, path, designs="iid", sizes=SMALL)
    whole = calibrate(["variance", "mean"], 11, designs="iid", sizes=SMALL)
    assert counts(read_study(path)) == counts(whole)
    calibrate(["mean"], 3, path, designs="iid", sizes=SMALL)
    assert counts(read_study(path)) == counts(whole)


@pytest.mark.slow
def test_processes_count_alike():
    how = {"designs": "iid", "sizes": SMALL}
    assert counts(calibrate(["mean"], 60, workers=2, **how)) == counts(
        calibrate(["mean"], 60, **how)
    )


def test_every_procedure_runs():
    study = calibrate(None, 1, sizes=[Size(32, 16, 9)], designs="iid,cwda,homogeneity 0.125")
    table = study.table
    assert list(table.columns) == list(COLUMNS)
    assert set(table["procedure"]) == set(PROCEDURES)
    assert set(table["replicates"]) == {1}
    page = to_markdown(study)
    for heading in ("Summary", "Domains", "Type I error", "Coverage", "Limits", "Power"):
        assert f"\n## {heading}\n" in page
    widths = [line.count("|") for line in page.splitlines() if line.startswith("| spearman")]
    assert len(set(widths)) <= 1


def test_what_is_not_applicable_has_no_cell():
    study = calibrate(
        ["epsilon", "independence", "mean"],
        2,
        designs="iid",
        sizes=[Size(16, 4, 1), Size(16, 1, 4)],
    )
    found = {(key.procedure, str(key.size)) for key in study.cells}
    assert found == {
        ("mean", "16x4x1"),
        ("mean", "16x1x4"),
        ("independence", "16x4x1"),
        ("epsilon", "16x1x4"),
    }


@pytest.mark.parametrize(("happened", "trials"), [(0, 30), (1, 30), (17, 400), (30, 30)])
def test_binomial_interval_is_scipys(happened, trials):
    reference = stats.binomtest(happened, trials).proportion_ci(0.95, method="exact")
    assert binomial_interval(happened, trials) == pytest.approx(tuple(reference), abs=1e-12)


@pytest.mark.parametrize(
    ("measure", "low", "high", "nominal", "verdict"),
    [
        ("test", 0.031, 0.069, 0.05, "ok"),
        ("test", 0.02, 0.06, 0.05, "undecided"),
        ("test", 0.071, 0.09, 0.05, "too liberal"),
        ("test", 0.5, 0.6, float("nan"), ""),
        ("interval", 0.95, 0.97, 0.90, "too conservative"),
        ("interval", 0.87, 0.93, 0.90, "ok"),
        ("interval", 0.90, 0.92, 0.95, "too liberal"),
        ("holds", 0.0, 0.01, 0.05, "ok"),
        ("fails", 0.06, 0.08, 0.05, "undecided"),
    ],
)
def test_judgement(measure, low, high, nominal, verdict):
    assert judge(measure, low, high, nominal) == verdict


def test_nominal_rates_follow_the_truth():
    study = calibrate(
        ["mean"], 4, designs="iid,mean 0.05,mean 0.1,mean 0.2", sizes=[Size(16, 3, 1)]
    )
    nominal = study.table.pivot(index="design", columns="measure", values="nominal")
    tests = nominal["test"]
    assert tests["iid"] == 0.05
    assert tests.drop("iid").isna().all()
    assert nominal["holds"].fillna(0).to_dict() == {
        "iid": 0, "mean 0.05": 0, "mean 0.1": 0.05, "mean 0.2": 0.05,
    }  # fmt: skip
    assert nominal["fails"].fillna(0).to_dict() == {
        "iid": 0.05, "mean 0.05": 0.05, "mean 0.1": 0.05, "mean 0.2": 0,
    }  # fmt: skip
    assert (summary(study.table)["cells"] > 0).all()


def test_bad_input_is_one_line(tmp_path):
    path = tmp_path / "study.json"
    with pytest.raises(CwdaError, match="unknown name 'median'"):
        calibrate(["median"], 1)
    with pytest.raises(CwdaError, match="they are called iid"):
        calibrate(["mean"], 1, designs="nosuch")
    with pytest.raises(CwdaError, match="1 or more"):
        calibrate(["mean"], 0)
    path.write_text("[1, 2]")
    with pytest.raises(CwdaError, match="is not a calibration study"):
        calibrate(["mean"], 1, path)
    path.unlink()
    calibrate(["mean"], 1, path, designs="iid", sizes=SMALL)
    with pytest.raises(CwdaError, match="made with seed 0"):
        calibrate(["mean"], 1, path, designs="iid", sizes=SMALL, seed=5)
    old = json.loads(path.read_text())
    old["versions"]["cwda"] = "0.0.1"
    path.write_text(json.dumps(old))
    with pytest.raises(CwdaError, match=r"cwda 0\.0\.1"):
        calibrate(["mean"], 1, path, designs="iid", sizes=SMALL)
    with pytest.raises(CwdaError, match="cannot be read"):
        read_study(tmp_path / "absent.json")


def test_sizes_are_told_apart():
    assert len({str(size) for size in SIZES}) == len(SIZES)
