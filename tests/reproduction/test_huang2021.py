"""`cwda reproduce huang2021`: what is found on networks whose answer is known, and the document."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

import cwda
from cwda.comparison.transition import is_transition
from cwda.experiment import FineTuning
from cwda.models import ImageData
from cwda.reproduction import PAPERS, SCHEDULES, Reproduction, Schedule, Step, reproduce
from cwda.reproduction.finding import agreed
from cwda.reproduction.huang2021.figure_1 import relative_range
from tests.experiment.conftest import data, images, model  # noqa: F401 (fixtures)
from tests.helpers.pdf import page_texts

TINY = Schedule(
    "a test",
    (
        Step("free", "layerwise", (0.25, 0.5), (0.5,)),
        Step("free", "global", (0.5,)),
        Step("all", "layerwise", (0.5,)),
    ),
    ("l1", "l2", "gm", "fermat", "random"),
    FineTuning(epochs=1, batch_size=32, precision="float32"),
    None,
    32,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reproduction")


@pytest.fixture(scope="module")
def found(model, data, folder):  # noqa: F811
    return reproduce(
        "huang2021", [model], data=data, schedule=TINY, folder=folder / "run",
        output=[folder / "a.pdf", folder / "a.html"], date="", device="cpu", progress=False,
    )  # fmt: skip


def rows(found, part, words=""):
    return [row for row in found if row.part == part and words in row.claim]


def test_each_part_has_rows_and_what_they_rest_on(found):
    assert list(dict.fromkeys(row.part for row in found)) == [
        part.name for part in PAPERS["huang2021"].parts
    ]
    for row in found:
        if row.verdict == "not run":
            assert row.reason
            assert not row.ours
        else:
            assert row.ours
            assert row.rule
            assert row.networks
            assert row.layers
            assert row.basis


def test_verdicts_on_accuracies_follow_their_rule(found, folder, model, data):  # noqa: F811
    """The accuracies are those of the experiment with the same settings, read from its folder."""
    table = cwda.experiment.run_experiment(
        model, data, TINY.criteria, ratios=(0.25, 0.5), strategies="layerwise",
        finetuning=TINY.finetuning, finetune_at=0.5, precision="mixed", samples=32,
        folder=folder / "run" / "experiments" / "CifarResNet-free", device="cpu",
        progress=False,
    ).table  # fmt: skip
    for stage, words in (("pruned", "right after pruning"), ("finetuned", "after fine-tuning")):
        part = table[(table["stage"] == stage) & table["criterion"].isin(TINY.criteria[:4])]
        ranges = part.groupby("ratio")["accuracy"].agg(lambda values: values.max() - values.min())
        near = [value <= 2 for value in ranges]
        [row] = rows(found, "Figure 3", f"{words}: the norms, layer-wise, free")
        assert row.verdict == agreed(near)
        assert f"in {sum(near)} of {len(near)} case" in row.ours
        assert f"widest {ranges.max():.1f} points" in row.ours
        assert (row.networks, row.layers, row.images) == (1, 3, 40)


def test_the_same_folder_is_read_and_gives_the_same_bytes(found, folder, model, data, monkeypatch):  # noqa: F811
    def refuse(*args, **options):
        raise AssertionError("something was measured again")

    for name in ("Specimen.accuracy", "Specimen.scores"):
        monkeypatch.setattr(f"cwda.experiment.specimen.{name}", refuse)
    monkeypatch.setattr("cwda.reproduction.bench.collect", refuse)
    again = reproduce(
        "huang2021", [model], data=[data], schedule=TINY, folder=folder / "run", minutes=0,
        output=folder / "b.pdf", date="", device="cpu", progress=False,
    )  # fmt: skip
    assert again.rows == found.rows
    assert (folder / "a.pdf").read_bytes() == (folder / "b.pdf").read_bytes()


def test_the_document_shows_every_statement_and_picture(found, folder):
    page = (folder / "a.html").read_text()
    text = " ".join(page.split())
    for row in found:
        assert row.verdict in text
    assert "Only the first four pages of the paper" in text
    for place in ("Layer-wise, free layers", "Globally, free layers", "Layer-wise, all layers"):
        assert place in text
    assert page.count("<svg") + page.count("data:image/svg") >= 3
    assert (folder / "a.pdf").read_bytes().startswith(b"%PDF")


def test_no_time_is_told(model, data, tmp_path):  # noqa: F811
    short = reproduce(
        "huang2021", model, data=data, schedule=TINY, folder=tmp_path, minutes=0, device="cpu",
        progress=False,
    )  # fmt: skip
    [row] = rows(short, "Figure 3")
    assert row.verdict == "not run"
    assert "the time was over" in row.reason


def test_an_answer_comes_back_from_its_file(found, tmp_path):
    found.save(tmp_path / "found.json")
    assert Reproduction.load(tmp_path / "found.json").rows == found.rows


def test_rank_correlations_are_scipy_s(found, model):  # noqa: F811
    """Shares over .9 of all pairs of norms by scipy, layer by layer."""
    over = {}
    norms = ("l1", "l2", "gm", "fermat")
    network = cwda.load(model)
    scores = cwda.scores(network, norms)
    for a, b in itertools.combinations(norms, 2):
        wide = [scores.wide(layer.name) for layer in network if layer.channels > 1]
        rho = [scipy.stats.spearmanr(each[a], each[b]).statistic for each in wide]
        over[a, b] = np.mean([value > 0.9 for value in rho])
    [row] = rows(found, "Figure 4", "The norms rank")
    assert f"in {sum(share > 0.5 for share in over.values())} of 6 cases" in row.ours
    assert f"lowest {100 * min(over.values()):.0f} % of the layers" in row.ours
    flat = [np.concatenate([scores.wide(x.name)[name] for x in network]) for name in ("l1", "l2")]
    [whole] = rows(found, "Figure 4", "global pruning")
    value = scipy.stats.spearmanr(*flat).statistic
    assert whole.verdict == ("agreed" if value < 0.9 else "not agreed")
    assert f"{value:.3f}".lstrip("0") in whole.ours


def test_noise_of_the_images_is_taken_out_as_in_similarity(model, data, tmp_path):  # noqa: F811
    """The disattenuated coefficients are those of `cwda.similarity` on the same images."""
    from cwda.reproduction.bench import Bench
    from cwda.reproduction.huang2021.figure_4 import _ranked
    from cwda.reproduction.trained import trained_networks

    schedule = replace(TINY, samples=96)
    bench = Bench(trained_networks(model, [data]), schedule, tmp_path, math.inf, "cpu")
    ranked = _ranked(bench, bench.trained[0])
    images = data.train.sample(96)
    found = cwda.similarity(model, ["l2", "taylor_l1"], data=images, device="cpu", batch_size=12)
    theirs = found.table.set_index("layer")
    for layer, value in ranked.by_pair["l2", "taylor_l1"].items():
        assert value == pytest.approx(theirs.loc[layer, "spearman"], abs=1e-12)
    for layer, value in ranked.freed["l2", "taylor_l1"].items():
        assert value == pytest.approx(theirs.loc[layer, "disattenuated"], abs=1e-9)


def test_table_1_on_the_published_layer(shared_data):
    """l1 and l2 come out as published; GM is city-block, Fermat has two neighbours exchanged."""
    path = shared_data / "checkpoints" / "vgg16-torchvision-features0-12.safetensors"
    table = rows(reproduce("huang2021", path, progress=False), "Table 1")
    verdicts = {row.claim.split()[-1]: row.verdict for row in table[:4]}
    assert verdicts == {"l1": "agreed", "l2": "agreed", "gm": "partly", "fermat": "partly"}
    if table[4].verdict == "not run":
        assert "resnet18:IMAGENET1K_V1" in table[4].reason


def test_a_layer_of_table_1_with_other_weights_does_not_agree():
    generator = torch.Generator().manual_seed(0)
    fake = {"features.5.weight": torch.randn(128, 64, 3, 3, generator=generator)}
    table = rows(reproduce("huang2021", fake, progress=False), "Table 1")
    assert [row.verdict for row in table[:4]] == ["not agreed"] * 4


def test_close_scores_are_told_from_the_others():
    close = torch.tensor([0.91, 0.92, 0.93, 0.92], dtype=torch.float64)
    apart = torch.tensor([0.9, 0.8, 0.4, 0.01], dtype=torch.float64)
    assert relative_range(close) < 0.02
    assert relative_range(apart) > 1
    assert relative_range(7 * apart) == pytest.approx(relative_range(apart))
    assert relative_range(torch.zeros(4, dtype=torch.float64)) == math.inf
    generator = torch.Generator().manual_seed(1)
    filters = torch.randn(64, 16, 3, 3, generator=generator)
    scale = torch.rand(64, 1, 1, 1, generator=generator)
    unit = filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    for weight, verdict in ((unit, "agreed"), (filters * scale, "not agreed")):
        found = reproduce("huang2021", {"conv.weight": weight}, progress=False)
        [row] = [row for row in rows(found, "Figure 1") if row.claim.startswith("l2")]
        assert row.verdict == verdict


def test_transition_layers_are_where_the_number_of_filters_changes(model):  # noqa: F811
    names = {layer.name for layer in cwda.load(model) if is_transition(layer)}
    assert names == {"layer2.0.conv1", "layer3.0.conv1"}


def test_images_go_to_the_network_that_they_fit(model, data):  # noqa: F811
    from cwda.reproduction.trained import trained_networks

    other = ImageData(*images(20, 3, classes=2), *images(20, 4, classes=2))
    [one] = trained_networks(model, [other, data])
    assert one.data is data
    [none] = trained_networks([model], [other])
    assert none.data is None
    assert "2" in none.reason
    first, second = trained_networks([model, model], [data])
    assert (first.name, second.name) == ("CifarResNet", "CifarResNet (2)")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("huang2022",), {}, "did you mean 'huang2021'"),
        (("huang2021", []), {}, "no network given"),
        (("huang2021",), {"schedule": "long"}, "unknown schedule 'long'"),
        (("huang2021",), {"data": 3}, "data"),
        (("huang2021",), {"minutes": -1}, "minutes"),
        (("huang2021",), {"output": "a.txt"}, "a.txt"),
        (("huang2021",), {"device": "warp"}, "device"),
        (("huang2021", "no-such-model"), {}, "neither a known model nor a file"),
    ],
)
def test_bad_requests_are_refused_before_the_work(arguments, options, message):
    with pytest.raises(cwda.CwdaError, match=message) as refused:
        reproduce(*arguments, **options)
    assert "\n" not in str(refused.value)


def test_steps_of_the_schedules_add_to_one_another():
    """A later step of a scope and strategy includes the earlier ones."""
    for schedule in SCHEDULES.values():
        assert {*schedule.criteria} <= {*cwda.criteria()}
        reached: dict[tuple[str, str], Step] = {}
        for step in schedule.steps:
            before = reached.setdefault((step.strategy, step.scope), step)
            assert {*before.ratios} <= {*step.ratios}
            assert {*before.finetune_at} <= {*step.finetune_at} <= {*step.ratios}
            reached[step.strategy, step.scope] = step


def test_the_committed_document_has_every_part_and_is_small():
    path = Path(__file__).resolve().parents[2] / "reports" / "huang2021.pdf"
    text = "\n".join(page_texts(path))
    for part in PAPERS["huang2021"].parts:
        assert f"The paper's {part.name}: " in text.replace("\u2019", "'")
    for name in ("resnet56-4bfd9763", "cifar100-resnet56-f2eff4c8"):
        assert name in text
    assert path.stat().st_size < 2_000_000
