"""Data-based criteria against plain loops over filters, images and batches."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cwda.errors import CriterionError, DataError, TracingError
from cwda.loading import load
from cwda.models import Images, cifar_resnet, initialise
from cwda.pruning import select
from cwda.scoring import (
    DATA_BASED,
    NEEDS,
    PAPER,
    Filters,
    collect,
    criteria,
    criterion,
    get_criterion,
    register_statistic,
    scores,
    similarity,
)
from cwda.scoring.registry import _REGISTER
from cwda.scoring.statistics import OfActivation
from cwda.scoring.statistics.recorder import Recorder
from tests.helpers.modules import (
    ACTIVATED,
    DIFFERENTIATED,
    NORMALISED,
    gradient_filters,
    images,
    mixed,
    naive_entropy,
    naive_obd,
    naive_rank,
    naive_taylor,
)

BATCH = 4


@pytest.fixture(scope="module")
def measured():
    """Model, data, and a function from criterion and layer to scores."""
    model, data = mixed(), images()
    table = scores(model, [*criteria()], device="cpu", data=data, batch_size=BATCH).table
    model.eval()

    def of(name, layer):
        rows = table[(table["criterion"] == name) & (table["layer"] == layer)]
        return rows["score"].to_numpy()

    return model, data, of


@pytest.fixture
def register(monkeypatch):
    ours = {name: _REGISTER[name] for name in PAPER}
    monkeypatch.setattr("cwda.scoring.registry._REGISTER", ours)


@pytest.mark.parametrize("layer", DIFFERENTIATED)
def test_gradient_criteria_equal_loops(measured, layer):
    model, (x, y), of = measured
    expected = {
        "taylor_l1": naive_taylor(model, layer, x, y, 1, BATCH),
        "taylor_l2": naive_taylor(model, layer, x, y, 2, BATCH),
        "taylor_image_l1": naive_taylor(model, layer, x, y, 1, 1),
        "taylor_image_l2": naive_taylor(model, layer, x, y, 2, 1),
        "snip": [abs(w * g).sum() for w, g in gradient_filters(model, layer, x, y)],
        "obd": naive_obd(model, layer, x, y),
    }
    for name, naive in expected.items():
        np.testing.assert_allclose(of(name, layer), naive, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("layer", ACTIVATED)
def test_activation_criteria_equal_loops(measured, layer):
    model, (x, _), of = measured
    with torch.no_grad():
        maps = model.activations(x)[layer].numpy()
    channels = range(maps.shape[1])
    expected = {
        "apoz": [(maps[:, j] != 0).mean() for j in channels],
        "mean_activation": [maps[:, j].mean() for j in channels],
        "entropy": naive_entropy(maps),
        "hrank": naive_rank(maps),
    }
    for name, naive in expected.items():
        np.testing.assert_allclose(of(name, layer), naive, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("layer", NORMALISED)
def test_batchnorm_criteria_are_its_parameters(measured, layer):
    model, _, of = measured
    norm = model.get_submodule(f"{layer}_bn")
    np.testing.assert_array_equal(of("bn_gamma", layer), norm.weight.detach().abs())
    np.testing.assert_array_equal(of("bn_beta", layer), norm.bias.detach().abs())


@pytest.mark.parametrize(
    ("layer", "name", "reason"),
    [
        ("up", "bn_gamma", "no BatchNorm takes the output"),
        ("last", "apoz", "no activation follows"),
        ("last", "hrank", "no activation follows"),
        ("twice", "taylor_l1", "applies this convolution 2 times"),
        ("unused", "obd", "does not use this convolution"),
    ],
)
def test_what_does_not_exist_is_a_row_with_its_reason(layer, name, reason):
    table = scores(mixed(), ["l1", name], device="cpu", data=images()).table
    rows = table[(table["layer"] == layer) & (table["criterion"] == name)]
    assert len(rows) > 0
    assert rows["score"].isna().all()
    assert rows["reason"].str.contains(reason).all()
    assert table.loc[(table["criterion"] == "l1"), "score"].notna().all()


def test_a_batchnorm_without_scale_and_a_head_beside_the_loss_are_told():
    class Sides(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)
            self.side = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = torch.relu(self.bn(self.conv(x)))
            self.side(x)
            return x.mean(dim=(2, 3))

    with torch.random.fork_rng(devices=[]):
        model = Sides()
    found = collect(model, data=images(dtype=torch.float32), device="cpu").layers
    assert found["conv"].missing == {"batchnorm": "its BatchNorm has no scale and shift"}
    assert found["side"].missing["gradients"] == "the loss does not depend on it"
    assert found["side"].missing["image_gradients"] == "the loss does not depend on it"


def test_without_data_or_model_the_rows_say_what_to_do():
    model = mixed()
    table = scores(model, ["bn_gamma", "apoz"], device="cpu").table
    stem = table[table["layer"] == "stem"].groupby("criterion")["reason"].first()
    assert stem["bn_gamma"] == ""
    assert "give data=" in stem["apoz"]
    reasons = scores(load(model), ["apoz"], device="cpu").table["reason"]
    assert reasons.str.contains("give the nn.Module and data=").all()
    with pytest.raises(DataError, match="data need a model"):
        scores(load(model), ["apoz"], data=images())


def test_only_the_batches_of_taylor_matter():
    model, data = mixed(), images()
    small, large = (
        scores(model, [*criteria()], device="cpu", data=data, batch_size=size).table
        for size in (3, 10)
    )
    taylor = small["criterion"].isin(["taylor_l1", "taylor_l2"])
    np.testing.assert_allclose(small["score"][~taylor], large["score"][~taylor], rtol=1e-9)
    defined = taylor & small["score"].notna()
    assert not np.allclose(small["score"][defined], large["score"][defined], rtol=1e-3)


def test_out_of_memory_halves_what_is_taken_at_a_time_and_changes_nothing(monkeypatch):
    model, data = mixed(), images()
    whole = scores(model, [*criteria()], device="cpu", data=data, batch_size=8).table
    forward, sizes = Recorder._forward, []

    def limited(self, x):
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x)

    monkeypatch.setattr(Recorder, "_forward", limited)
    with pytest.warns(RuntimeWarning) as told:
        halved = scores(model, [*criteria()], device="cpu", data=data, batch_size=8).table
    assert [str(each.message).split(";")[1] for each in told] == [
        " going on with 4",
        " going on with 2",
    ]
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    np.testing.assert_allclose(halved["score"], whole["score"], rtol=1e-9)


def test_the_model_is_left_as_it_was():
    model = mixed().train()
    model.stem.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    collect(model, data=images(), device="cpu")
    assert model.training
    assert model.stem_bn.training
    assert not model.stem.weight.requires_grad
    assert model.up.weight.grad is None
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_parametrised_weight_is_scored_as_it_is_used():
    model = mixed()
    plain = scores(model, ["snip", "obd"], device="cpu", data=images()).table

    class Half(nn.Module):
        def forward(self, weight):
            return weight / 2

    model.stem.weight.data *= 2
    nn.utils.parametrize.register_parametrization(model.stem, "weight", Half())
    found = scores(model, ["snip", "obd"], device="cpu", data=images()).table
    np.testing.assert_allclose(found["score"], plain["score"], rtol=1e-9)


def test_half_precision_is_computed_in_float32():
    model = mixed().half()
    same = scores(model.float(), ["snip"], device="cpu", data=images(dtype=torch.float32)).table
    found = scores(model.half(), ["snip"], device="cpu", data=images(dtype=torch.float32)).table
    np.testing.assert_array_equal(found["score"], same["score"])


@pytest.mark.usefixtures("register")
def test_a_user_adds_a_criterion_that_needs_data():
    @criterion("rms", formula="root mean square of A_j", needs="activations")
    def rms(filters):
        return filters.activations.mean_square.sqrt()

    @criterion("undeclared", formula="-")
    def undeclared(filters):
        return filters.activations.mean

    model, (x, _) = mixed(), images()
    table = scores(model, ["rms"], device="cpu", data=x).table
    with torch.no_grad():
        maps = model.eval().activations(x)["up"]
    rows = table[table["layer"] == "up"]
    np.testing.assert_allclose(rows["score"], maps.square().mean((0, 2, 3)).sqrt())
    reason = scores(model, ["undeclared"], device="cpu", data=x).table["reason"].iloc[0]
    assert "say needs='activations' where the criterion is defined" in reason
    with pytest.raises(CriterionError, match="did you mean 'activations'"):
        criterion("x", formula="-", needs="activation")


@pytest.mark.usefixtures("register")
def test_a_user_adds_a_statistic(monkeypatch):
    monkeypatch.delitem(NEEDS, "peaks", raising=False)
    monkeypatch.setitem(NEEDS, "peaks", None)  # is taken out again

    class Peaks(OfActivation):
        name, meaning = "peaks", "largest value of the activation, mean over images"

        def observe(self, activation):
            return activation.flatten(2).amax(2).sum(0)

        def finish(self, sums, images):
            return sums / images

    @criterion("peak", formula="mean_i max A_j", needs=register_statistic(Peaks()))
    def peak(filters):
        return filters.peaks

    model, (x, _) = mixed(), images()
    found = scores(model, [peak], device="cpu", data=x, batch_size=BATCH)
    with torch.no_grad():
        maps = model.eval().activations(x)["up"]
    np.testing.assert_allclose(found.wide("up")["peak"], maps.amax((2, 3)).mean(0))
    assert "no activation follows" in found.table.set_index("layer")["reason"]["last"].iloc[0]
    with pytest.raises(AttributeError, match="no attribute 'peeks'"):
        Filters(torch.ones(2, 2)).peeks  # noqa: B018
    other = type("Other", (Peaks,), {})
    with pytest.raises(CriterionError, match="'peaks' already"):
        register_statistic(other())


def test_criteria_declare_what_they_need():
    assert {need for name in PAPER for need in get_criterion(name).needs} == {
        "batchnorm",
        "activations",
        "gradients",
    }
    assert len(PAPER) == len(set(PAPER)) == 10
    assert set(PAPER) <= set(criteria())
    with pytest.raises(CriterionError, match="no gradients known"):
        get_criterion("taylor_l1")(Filters(torch.ones(2, 2, dtype=torch.float64)))


def _resnet8():
    model = cifar_resnet(8)
    initialise(model, 0)
    return model


def _cifar_like(n=24):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(n) % 10)


def test_ten_criteria_give_ten_by_ten_matrices_by_layer_and_averaged():
    model, data = _resnet8(), _cifar_like()
    found = similarity(model, PAPER, device="cpu", data=data)
    conv1 = found.matrix("conv1")
    assert conv1.shape == (10, 10)
    assert conv1.loc["bn_gamma"].isna().all()  # all gammas of a new network are 1
    layers = [found.matrix(each.name) for each in found.networks[0]]
    mean = found.matrix()
    np.testing.assert_allclose(
        mean.loc["l1", "taylor_l1"], np.mean([m.loc["l1", "taylor_l1"] for m in layers])
    )
    assert (
        np.diag(mean.drop(["bn_gamma", "bn_beta"]).drop(columns=["bn_gamma", "bn_beta"])) == 1
    ).all()


def test_one_collection_serves_scores_similarity_and_selection():
    model, data = _resnet8(), _cifar_like()
    once = collect(model, ["activations", "gradients"], data=data, device="cpu")
    assert (once.images, once.batches) == (24, 1)
    for measure in (
        lambda d: scores(model, ["taylor_l2"], device="cpu", data=d).table,
        lambda d: similarity(model, ["taylor_l2", "apoz"], device="cpu", data=d).table,
        lambda d: select(model, "entropy", 0.5, device="cpu", data=d).table,
    ):
        assert measure(once).equals(measure(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((torch.zeros(2, 1, 12, 10), torch.zeros(2).long()), "1 x 12 x 10 do not fit the model"),
        ((torch.zeros(2, 3, 12, 10), torch.tensor([0, 3])), "labels run from 0 to 3.*3 classes"),
        ((torch.zeros(2, 3, 12, 10), torch.tensor([0, -1])), "1 of 2 are not, such as -1"),
        (
            (torch.zeros(2, 3, 12, 10), torch.zeros(3).long()),
            r"2 images but labels of shape \(3,\)",
        ),
        (torch.zeros(2, 3, 12, 10), "gradients need labels"),
        (torch.zeros(0, 3, 12, 10), "no images"),
        ([], "hold no images"),
        (torch.zeros(2, 3, 12, 10, dtype=torch.uint8), "normalised, not torch.uint8"),
        (torch.full((2, 3, 12, 10), torch.nan), "NaN"),
        (["x"], "not str"),
        (7, "not int"),
    ],
)
def test_data_that_do_not_fit_are_told_in_one_line(data, message):
    with pytest.raises(DataError, match=message) as told:
        collect(mixed(), data=data, device="cpu")
    assert "\n" not in str(told.value)


def test_a_model_that_cannot_be_traced_is_told_in_one_line():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(x) if x.sum() > 0 else x

    with torch.random.fork_rng(devices=[]):
        model = Branching()
    with pytest.raises(TracingError, match="Branching depends on the values of its input") as told:
        scores(model, ["apoz"], data=torch.zeros(1, 3, 4, 4))
    assert "\n" not in str(told.value)
    assert scores(model, ["l1"]).table["score"].notna().all()
    with pytest.raises(TracingError, match=r"give its \.module"):
        collect(nn.DataParallel(model), data=torch.zeros(1, 3, 4, 4))


def test_a_loss_that_is_not_finite_although_the_weights_are_is_refused():
    model, (x, y) = mixed(), images()
    model.linear.weight.data.fill_(1e308)
    with pytest.raises(DataError, match="loss is not finite; check"):
        collect(model, "gradients", data=(1000 * x, y), device="cpu")


OF_THE_LOSS = ("taylor_l1", "taylor_image_l1", "obd", "snip", "oracle")


@pytest.mark.parametrize("broken", ["linear", "stem"])
def test_weights_without_a_finite_loss_are_named_and_stop_nothing_else(broken):
    model = mixed()
    model.get_parameter(f"{broken}.weight").data[0] = torch.nan
    names = ["l2", *OF_THE_LOSS, "apoz", "entropy", "hrank"]
    table = scores(model, names, data=images(), batch_size=4, device="cpu").table
    reasons = table.groupby(["criterion", "layer"])["reason"].first()
    for name in OF_THE_LOSS:
        said = f"the loss is not finite: layer {broken}: "
        assert reasons[name, "residual"].startswith(said)
        assert reasons[name, "residual"].endswith(" weights are NaN or infinite")
        assert reasons[name, "last"] == reasons[name, "residual"]
        assert table.loc[table["criterion"] == name, "score"].isna().all()
    sound = reasons["l2"].drop(broken, errors="ignore")
    assert (sound == "").all()
    sees_nan = broken == "stem"  # all behind it is NaN
    for name in ("apoz", "entropy", "hrank"):
        assert ("not finite" in reasons[name, "residual"]) == sees_nan
        assert (reasons[name, "residual"] == "") != sees_nan


@pytest.mark.gpu
def test_the_gpu_gives_the_ranks_of_the_cpu():
    from cwda.loading import load_model

    model = load_model("resnet20-cifar10")
    data = _cifar_like(64)
    names = [name for name in criteria() if name != "random"]
    cpu, gpu = (scores(model, names, device=device, data=data).table for device in ("cpu", "cuda"))
    # Bins of the entropy and small singular values decide by thresholds.
    exact = ~cpu["criterion"].isin(["entropy", "hrank"])
    largest = cpu.groupby(["layer", "criterion"])["score"].transform(lambda s: s.abs().max())
    error = (cpu["score"] - gpu["score"]).abs() / largest
    assert error[exact].max() < 1e-5
    assert error.max() < 0.05
    for (_, name), rows in cpu.groupby(["layer", "criterion"]):
        rho = rows["score"].corr(gpu.loc[rows.index, "score"], method="spearman")
        assert rho > (0.99 if name in ("entropy", "hrank") else 0.9999), name


def test_the_nine_criteria_beside_random_are_orientated_small_first():
    """A filter whose activation is dead comes first under every criterion that sees it."""
    model = _resnet8()
    with torch.no_grad():
        model.layer1[0].bn1.weight[3] = 0
        model.layer1[0].bn1.bias[3] = 0
    seeing = [*DATA_BASED, "mean_activation", "hrank", "snip", "obd", "taylor_image_l1"]
    seeing = [name for name in seeing if name != "bn_beta"]  # all shifts of a new network are 0
    table = scores(model, seeing, device="cpu", data=_cifar_like()).table
    for name, rows in table[table["layer"] == "layer1.0.conv1"].groupby("criterion"):
        assert rows["score"].to_numpy().argmin() == 3, name
        assert rows["score"].iloc[3] == 0, name


def test_every_need_is_collected_at_once():
    found = collect(mixed(), data=images(), device="cpu")
    at_once = [name for name in NEEDS if name != "removal"]  # which takes a pass per filter
    assert found.needs == set(at_once)
    assert found.layers["stem"].missing == {}
    assert repr(found) == f"Collected(8 layers, 10 images: {', '.join(at_once)})"
