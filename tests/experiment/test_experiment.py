"""One-shot experiments: numbers, resumption, determinism, and what goes wrong."""

from __future__ import annotations

import copy
import importlib
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from cwda.coupling import couple
from cwda.errors import CriterionError, CwdaError, DataError, SelectionError
from cwda.experiment import ExperimentResult, FineTuning, run_experiment
from cwda.experiment.finetune import fine_tune
from cwda.models import accuracy
from cwda.pruning import Masks, Plan, make_plan, masked, overlap

CRITERIA = ["l1", "l2", "taylor_l1", "random"]
FINE = FineTuning(epochs=2, batch_size=32, precision="float32")
SHAPE = (1, 3, 8, 8)


def run(model, data, **options):
    options = {"finetuning": FINE, "finetune_at": [0.5], "seeds": 2, "samples": 32} | options
    return run_experiment(model, data, CRITERIA, ratios=[0.25, 0.5], **options)


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        a.drop(columns="seconds"), b.drop(columns="seconds"), check_exact=True
    )


@pytest.fixture(scope="module")
def found(model, data, tmp_path_factory):
    return run(model, data, folder=tmp_path_factory.mktemp("whole"))


class KilledError(Exception):
    pass


def kill(monkeypatch, target: str, place: str, after: int) -> None:
    """Stands for a kill: raises in the work on the cells whose name holds `place`."""
    calls = [0]
    owner, _, name = target.rpartition(".")
    work = getattr(importlib.import_module(owner), name)

    def killed(*given: object, **options: object) -> object:
        calls[0] += place in str(given) + str(options)
        if calls[0] > after:
            raise KilledError
        return work(*given, **options)

    monkeypatch.setattr(target, killed)


def test_the_table_has_a_row_for_each_cell(found, model, data):
    cells = 2 * 2 * len(CRITERIA) * 2
    assert len(found.table) == 1 + cells + cells // 2
    assert found.baseline == accuracy(model, data.test)
    row = found.table.iloc[0]
    share = row.accuracy / 100
    assert row.accuracy_se == pytest.approx(100 * math.sqrt(share * (1 - share) / 40), abs=1e-12)
    tuned = found.table[found.table.stage == "finetuned"]
    assert (tuned.epochs == 2).all()
    assert tuned.loss.notna().all()
    assert (tuned.reason == "").all()


def test_pruned_accuracy_is_that_of_a_masked_copy(found, model, data):
    """By `masked`, from a plan of the scores of the free convolutions alone."""
    free = [f"layer{i}.0.conv1" for i in (1, 2, 3)]
    scores = {name: model.get_submodule(name).weight.flatten(1).abs().sum(1) for name in free}
    plan = make_plan(model, scores, 0.5, SHAPE, strategy="global")
    rows = found.table.query("strategy == 'global' and criterion == 'l1' and ratio == .5")
    rows = rows[rows.stage == "pruned"]
    assert set(rows.accuracy) == {accuracy(masked(model, plan, SHAPE), data.test)}
    assert set(rows.filters_pruned) == {28}
    assert set(rows.parameters) == {plan.after.parameters}
    saved = Plan.load(found.folder / "plans" / "global-l1-0.5-seed0.json")
    assert overlap(plan, saved) == 1


def test_scope_all_prunes_tied_filters_together(model, data):
    found = run_experiment(
        model, data, ["l1", "l2"], ratios=[0.5], strategies=["layerwise"], scope="all"
    )
    coupling = couple(model, SHAPE)
    assert set(found.table.filters[1:]) == {sum(map(len, coupling.filters.values()))}


def test_pairs_hold_overlap_similarity_and_differences(found, model):
    row = found.pairs.query("strategy == 'layerwise' and ratio == .5").set_index(
        ["criterion_a", "criterion_b"]
    ).loc[("l1", "l2")]  # fmt: skip
    plans = [
        Plan.load(found.folder / "plans" / f"layerwise-{each}-0.5-seed0.json")
        for each in ("l1", "l2")
    ]
    assert row.overlap == overlap(*plans)
    rhos = []
    for i in (1, 2, 3):
        weight = model.get_submodule(f"layer{i}.0.conv1").weight.detach().double().flatten(1)
        norms = weight.abs().sum(1).numpy(), weight.square().sum(1).sqrt().numpy()
        rhos.append(scipy.stats.spearmanr(*norms).statistic)
    assert row.spearman == pytest.approx(np.median(rhos), abs=1e-12)
    assert 0.8 < row.spearman_predicted < 1
    table = found.table.query("strategy == 'layerwise' and ratio == .5 and stage == 'finetuned'")
    wide = table.pivot(index="seed", columns="criterion", values="accuracy")
    assert row.difference_finetuned == pytest.approx((wide.l1 - wide.l2).abs().mean(), abs=1e-12)
    foreign = found.pairs[found.pairs.criterion_b == "random"]
    assert foreign.spearman_predicted.isna().all()


def test_agreement_is_a_rank_correlation_over_pairs(found):
    row = found.agreement().query("strategy == 'global' and stage == 'pruned'").iloc[0]
    pairs = found.pairs.query(f"strategy == 'global' and ratio == {row.ratio}")
    expected = scipy.stats.spearmanr(pairs.overlap, pairs.difference_pruned).statistic
    assert row.overlap == pytest.approx(expected, abs=1e-12)
    assert row.pairs == 6


def test_one_seed_is_one_result(found, model, data):
    same(found.table, run(model, data).table)


def test_seeds_differ_where_chance_rules(found):
    plans = found.folder / "plans"

    def alike(criterion: str) -> bool:
        texts = [plans / f"layerwise-{criterion}-0.5-seed{seed}.json" for seed in (0, 1)]
        return texts[0].read_text() == texts[1].read_text()

    assert alike("l1")
    assert not alike("random")
    tuned = found.table[(found.table.stage == "finetuned") & (found.table.criterion == "l1")]
    assert tuned.groupby(["strategy", "seed"]).loss.first().nunique() == 4


@pytest.mark.parametrize(
    ("target", "place", "after"),
    [
        ("cwda.experiment.bench.make_plan", "", 9),
        ("cwda.experiment.finetune.save_checkpoint", "global-l2-0.5-seed0-finetuned", 1),
        ("cwda.experiment.bench.fine_tune", "seed1-finetuned", 0),
    ],
)
def test_a_killed_run_resumes(found, model, data, tmp_path, monkeypatch, target, place, after):
    """Between trials, in the second epoch of a fine-tuning, and between seeds."""
    with monkeypatch.context() as patched:
        kill(patched, target, place, after)
        with pytest.raises(KilledError):
            run(model, data, folder=tmp_path)
    done = (tmp_path / "trials.jsonl").read_text()
    assert 0 < done.count('"Trial"') < len(found.table)
    kept = list((tmp_path / "checkpoints").glob("*.pt"))
    assert len(kept) == ("global" in place)
    same(found.table, run(model, data, folder=tmp_path).table)
    assert (tmp_path / "trials.jsonl").read_text().startswith(done), "a finished trial was redone"
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_folder_grows_but_does_not_mix(model, data, tmp_path):
    small = run_experiment(
        model, data, ["l1"], ratios=[0.5], strategies=["global"], folder=tmp_path
    )
    grown = run_experiment(
        model,
        data,
        ["l1", "l2"],
        ratios=[0.5],
        strategies=["global"],
        folder=tmp_path,
        finetuning=FINE,
    )
    assert len(grown.table) == 5
    assert grown.table.seconds[1] == small.table.seconds[1]
    other = copy.deepcopy(model)
    other.linear.weight.data[0, 0] += 1e-3
    with pytest.raises(CwdaError, match=r"another experiment \(weights: "):
        run_experiment(other, data, ["l1"], ratios=[0.5], strategies=["global"], folder=tmp_path)
    with pytest.raises(CwdaError, match=r"another experiment \(data: "):
        run_experiment(model, replace(data, std=(1, 1, 1)), ["l1"], ratios=[0.5], folder=tmp_path)
    with pytest.raises(CwdaError, match=r"another experiment \(finetuning: "):
        run_experiment(
            model, data, ["l1"], ratios=[0.5], folder=tmp_path, finetuning=replace(FINE, epochs=3)
        )
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(CwdaError, match=r"damaged.*delete it"):
        run_experiment(model, data, ["l1"], ratios=[0.5], strategies=["global"], folder=tmp_path)


def test_masks_hold_after_fine_tuning(model, data, tmp_path):
    plan = make_plan(model, "l2", 0.5, SHAPE)
    twin = copy.deepcopy(model)
    fine_tune(twin, Masks(twin, plan, SHAPE), data.train, FINE, checkpoint=tmp_path / "x.pt")
    pruned = {(name, i) for name, indices in plan.pruned.items() for i in indices}
    assert pruned
    for name, part in twin.named_modules():
        if isinstance(part, torch.nn.Conv2d):
            for i, row in enumerate(part.weight.detach()):
                assert bool((row == 0).all()) == ((name, i) in pruned)
    kept = twin.layer1[0].conv1.weight != model.layer1[0].conv1.weight
    assert bool(kept.any()), "nothing was trained"


def test_fine_tuning_improves_a_pruned_network(model, data, tmp_path):
    plan = make_plan(model, "l2", 0.25, SHAPE)
    twin = masked(model, plan, SHAPE)
    before = accuracy(twin, data.train)
    how = FineTuning(epochs=12, batch_size=32, learning_rate=0.05)
    found = fine_tune(twin, Masks(twin, plan, SHAPE), data.train, how, checkpoint=tmp_path / "x.pt")
    assert found.epochs == 12
    assert not twin.training
    assert accuracy(twin, data.train) > before + 20


class DivergesIn(torch.nn.Module):
    """Gives NaN from one training step on."""

    def __init__(self, model: torch.nn.Module, step: int) -> None:
        super().__init__()
        self.inner, self.left = copy.deepcopy(model), step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.left -= 1
        outputs = self.inner(x)
        return outputs * math.nan if self.training and self.left < 0 else outputs


@pytest.mark.parametrize(("step", "epochs"), [(0, 0), (4, 1)])
def test_a_loss_that_is_not_finite_keeps_the_last_good_state(model, data, tmp_path, step, epochs):
    plan = make_plan(model, "l2", 0.5, SHAPE)
    pruned = masked(model, plan, SHAPE)
    twin = DivergesIn(pruned, step)
    masks = Masks(twin.inner, plan, SHAPE)
    found = fine_tune(twin, masks, data.train, FINE, checkpoint=tmp_path / "x.pt")
    assert found.epochs == epochs
    assert f"not finite in epoch {epochs + 1}" in found.reason
    good = pruned.state_dict()
    if epochs:
        kept = torch.load(tmp_path / "x.pt", weights_only=True)
        good = {name.removeprefix("inner."): value for name, value in kept["model"].items()}
    assert all(torch.equal(value, good[name]) for name, value in twin.inner.state_dict().items())


def test_divergence_is_a_row_with_its_reason(model, data, tmp_path):
    how = replace(FINE, learning_rate=1e30)
    found = run_experiment(
        model,
        data,
        ["l1", "l2"],
        ratios=[0.5],
        strategies=["global"],
        finetuning=how,
        folder=tmp_path,
    )
    rows = found.table.set_index(["criterion", "stage"])
    for each in ("l1", "l2"):
        tuned = rows.loc[(each, "finetuned")]
        assert "lower the learning rate" in tuned.reason
        assert tuned.epochs == 0
        assert tuned.accuracy == rows.loc[(each, "pruned")].accuracy


def test_out_of_memory_halves_the_batch_and_says_so(model, data, tmp_path, monkeypatch):
    twin = copy.deepcopy(model)
    forward, seen = twin.forward, []

    def limited(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        if len(x) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(x)

    plan = make_plan(model, "l2", 0.5, SHAPE)
    masks = Masks(twin, plan, SHAPE)
    monkeypatch.setattr(twin, "forward", limited)
    with pytest.warns(RuntimeWarning, match="going on with"):
        found = fine_tune(twin, masks, data.train, FINE, checkpoint=tmp_path / "x.pt")
    assert found.epochs == 2
    assert seen[:6] == [32, 16, 8, 8, 8, 8]
    assert math.isfinite(found.loss)


def test_a_criterion_without_scores_keeps_its_rows(model, data):
    bare = copy.deepcopy(model)
    for block in (bare.layer1[0], bare.layer2[0], bare.layer3[0]):
        block.bn1 = torch.nn.Identity()
    found = run_experiment(bare, data, ["l1", "bn_gamma"], ratios=[0.5], strategies=["layerwise"])
    row = found.table.set_index("criterion").loc["bn_gamma"]
    assert np.isnan(row.accuracy)
    assert "BatchNorm" in row.reason
    assert found.pairs.overlap.isna().all()


def test_equal_selections_are_measured_once(model, data, monkeypatch):
    from cwda.experiment.specimen import Specimen

    calls = []
    measured = Specimen.accuracy
    monkeypatch.setattr(
        Specimen, "accuracy", lambda self, *given: calls.append(1) or measured(self, *given)
    )
    run_experiment(model, data, ["l2"], ratios=[0.25, 0.5], strategies=["layerwise"], seeds=3)
    assert len(calls) == 3  # the network itself, and one of each ratio


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": slice(1), "x_test": slice(1)}, "3 channels, the data have 1"),
        ({"y_test": 9}, "has 4 classes, the data have 10"),
        ({"y_train": -2, "y_test": -2}, "has 4 classes, the data have 2"),
    ],
)
def test_data_that_do_not_fit(model, data, change, message):
    fields = {}
    for name, value in change.items():
        old = getattr(data, name)
        fields[name] = old[:, value] if isinstance(value, slice) else old.clone()
        if value == 9:
            fields[name][0] = 9
        if value == -2:
            fields[name] %= 2
    with pytest.raises(DataError, match=message):
        run_experiment(model, replace(data, **fields), ["l1"], ratios=[0.5])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ratios": [1.5]}, SelectionError, "between 0 and 1 .exclusive., not 1.5"),
        ({"ratios": []}, SelectionError, "no pruning ratio"),
        ({"strategies": ["locl"]}, CwdaError, "unknown strategy 'locl'"),
        ({"seeds": 0}, CwdaError, "1 or more"),
        ({"finetuning": FINE, "finetune_at": [0.3]}, CwdaError, "the ratios are 0.5"),
        ({"criteria": ["l3"]}, CriterionError, "no criterion 'l3'"),
        ({"scope": "tied"}, CwdaError, "unknown scope 'tied'; known are free, all"),
        ({"subset": 0}, DataError, "a number of images, is a whole number, 1 or more"),
    ],
)
def test_impossible_requests(model, data, options, error, message):
    options = {"criteria": ["l1"], "ratios": [0.5]} | options
    with pytest.raises(error, match=message):
        run_experiment(model, data, **options)


def test_a_network_of_tied_filters_alone(data):
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                self.a, self.b = (torch.nn.Conv2d(3, 8, 3, padding=1) for _ in range(2))
                self.head = torch.nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head((self.a(x) + self.b(x)).relu().mean((2, 3)))

    with pytest.raises(CwdaError, match="take scope 'all'"):
        run_experiment(Tied(), data, ["l1"], ratios=[0.5])
    assert len(run_experiment(Tied(), data, ["l1"], ratios=[0.5], scope="all").table) == 3


def test_the_model_and_its_weights_stay_as_they_are(model, data):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run_experiment(model, data, ["l1"], ratios=[0.5], finetuning=FINE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_answer_is_saved_and_shown(found, tmp_path):
    found.save(tmp_path / "experiment.json")
    again = ExperimentResult.load(tmp_path / "experiment.json")
    pd.testing.assert_frame_equal(again.table, found.table)
    pd.testing.assert_frame_equal(again.pairs, found.pairs)
    assert again.folder == found.folder
    assert f"CifarResNet, {found.baseline:.2f} % unpruned" in repr(found)


def test_seeds_follow_the_first(found, model, data):
    second = run(model, data, seed=1, seeds=1).table
    expected = found.table[(found.table.seed == 1) | (found.table.stage == "unpruned")]
    same(second, expected.reset_index(drop=True))


@pytest.mark.gpu
def test_on_a_gpu(model, data, tmp_path):
    found = run(model, data, device="cuda", folder=tmp_path, finetuning=replace(FINE, epochs=1))
    tuned = found.table[found.table.stage == "finetuned"]
    assert tuned.loss.notna().all()
    assert (
        json.loads((tmp_path / "trials.jsonl").read_text().partition("\n")[0])["claim"][
            "finetuning"
        ]["epochs"]
        == 1
    )


def test_a_subset_is_the_same_for_all_cells(model, data):
    found = run_experiment(model, data, ["l1"], ratios=[0.5], strategies=["global"], subset=30)
    assert set(found.table.images) == {30}
    expected = accuracy(model, data.test.sample(30))
    assert found.baseline == expected


def test_without_a_folder_nothing_is_left(model, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = run_experiment(model, data, ["l1"], ratios=[0.5], strategies=["global"])
    assert found.folder is None
    assert not list(tmp_path.iterdir())
