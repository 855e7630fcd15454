"""Laws of the scores against scipy, and against layers drawn from the model."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from cwda.errors import CriterionError
from cwda.numerics.spread import spread
from cwda.scoring import NORM_BASED, get_criterion
from cwda.theory.criteria import CRITERIA
from cwda.theory.draws import sample_filters
from cwda.theory.log_scores.score_moments import importance_scores
from cwda.theory.model import fit_layer
from cwda.theory.rungs import BLOCK, ISOTROPIC, SCALE
from cwda.theory.score_law import LAWS, DistanceSumLaw, ScoreLaw, score_law
from tests.theory.exact import isotropic_moments
from tests.theory.test_closed_form import draw, layer

PROBABILITIES = np.array([1e-6, 0.01, 0.3, 0.5, 0.9, 1 - 1e-6])


def test_log_normal_closed_forms():
    law = ScoreLaw(location=0.7, signal=0.04, noise=0.02)
    expected = stats.lognorm(s=math.sqrt(0.06), scale=math.exp(0.7))
    assert law.mean == pytest.approx(expected.mean(), rel=1e-12)
    assert law.sd == pytest.approx(expected.std(), rel=1e-12)
    assert law.quantile(PROBABILITIES) == pytest.approx(expected.ppf(PROBABILITIES), rel=1e-12)
    assert law.cdf(np.array([-1.0, 0.0, 2.0])) == pytest.approx([0, 0, expected.cdf(2.0)])
    assert law.q90_q10 == pytest.approx(expected.ppf(0.9) / expected.ppf(0.1), rel=1e-12)
    # Gini = 2 int F (1 - F) / (2 mean)
    area, _ = integrate.quad(lambda x: expected.cdf(x) * expected.sf(x), 0, 40, epsabs=1e-13)
    assert law.gini == pytest.approx(area / expected.mean(), rel=1e-9)
    assert law.gini == pytest.approx(2 * stats.norm.cdf(math.sqrt(0.06 / 2)) - 1, rel=1e-12)
    assert law.signal_share == pytest.approx(2 / 3)


@pytest.mark.parametrize("signal", [0.0, 0.04, 0.36])
def test_distance_sum_law_by_integration(signal):
    law = DistanceSumLaw(0.4, signal, 0.002, 63.0, signal + 0.0019)
    z = np.linspace(-9, 9, 1201)
    density = stats.norm.pdf(z)
    u = 0.4 + math.sqrt(law.variance) * z
    other = 0.4 + math.sqrt(law.others) * z
    score = 63 * np.trapezoid(
        np.sqrt(np.exp(2 * u)[:, None] + np.exp(2 * other)) * density, z, axis=1
    )
    mean = np.trapezoid(score * density, z)
    sd = math.sqrt(np.trapezoid((score - mean) ** 2 * density, z))
    gini = np.trapezoid((2 * stats.norm.cdf(z) - 1) * score * density, z) / mean
    assert [law.mean, law.sd, law.gini] == pytest.approx([mean, sd, gini], rel=1e-8)
    assert law.cv == pytest.approx(sd / mean, rel=1e-8)
    assert law.quantile(stats.norm.cdf(z[200:1000:100])) == pytest.approx(
        score[200:1000:100], rel=1e-8
    )
    p = PROBABILITIES
    assert law.cdf(law.quantile(p)) == pytest.approx(p, rel=1e-4)
    assert law.cdf(np.array([-1.0, 0.0, 1e9])).tolist() == [0, 0, 1]


def test_a_law_answers_alike_whatever_was_asked_before():
    def law():
        return DistanceSumLaw(0.4, 0.04, 0.002, 63.0, 0.042)

    scores = law().quantile(PROBABILITIES)
    asked = law()
    assert [asked.cdf(score) for score in scores[::-1]] == [
        law().cdf(score) for score in scores[::-1]
    ]
    assert asked.cdf(scores).tolist() == law().cdf(scores).tolist()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_each_criterion_has_its_own_law_by_name_and_as_an_object(criterion):
    fitted = fit_layer(layer(draw(np.random.default_rng(3))))
    law = score_law(fitted, criterion)
    assert law == score_law(fitted, get_criterion(criterion))
    assert all(law != score_law(fitted, other) for other in CRITERIA if other != criterion)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ("nonsense", r"unknown criterion 'nonsense'; known are l1, l2, gm, fermat"),
        ("fermatt", r"unknown criterion 'fermatt'; did you mean 'fermat'\?"),
        (get_criterion("taylor_l1"), "unknown criterion 'taylor_l1'"),
        (3, "a criterion is named by a text.*, not 3"),
    ],
    ids=str,
)
def test_a_criterion_without_a_law_is_refused(criterion, message):
    fitted = fit_layer(layer(draw(np.random.default_rng(3))))
    with pytest.raises(CriterionError, match=message):
        score_law(fitted, criterion)


def test_distances_move_half_as_much_as_norms():
    law = DistanceSumLaw(0.0, 0.0, 1e-4, 1.0, 1e-4)
    assert law.cv == pytest.approx(0.01 / 2, rel=1e-3)


@pytest.mark.parametrize("dim", [27, 576])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_isotropic_law_has_the_exact_moments(criterion, dim):
    x = draw(np.random.default_rng(0), n=64, dim=dim)
    fitted = fit_layer(layer(x), device="cpu")
    law = score_law(ISOTROPIC(fitted), criterion)
    mean, variance = isotropic_moments(criterion, dim, fitted.unit, 64)
    slack = 2 / dim**2 + {"gm": 1e-3, "fermat": 1e-4}.get(criterion, 0.0)
    assert law.mean == pytest.approx(mean, rel=slack)
    # l1 is exact, the others to leading order in 1/d and 1/n
    slack = 1e-12 if criterion == "l1" else 1.5 / dim + 0.5 / 64
    assert law.cv == pytest.approx(math.sqrt(variance) / mean, rel=slack)


@pytest.mark.parametrize(
    ("rung", "options"),
    [(BLOCK, {"correlation": 0.4}), (SCALE, {"scale": 0.3})],
    ids=lambda value: getattr(value, "name", ""),
)
def test_laws_meet_layers_drawn_from_the_model(rung, options):
    x = draw(np.random.default_rng(1), n=256, dim=144, **options)
    fitted = rung(fit_layer(layer(3 * x), device="cpu"))
    scores = torch.cat([importance_scores(chunk) for chunk in sample_filters(fitted, 20, seed=0)])
    found = spread(scores.transpose(0, 1).reshape(4, -1))
    for i, criterion in enumerate(CRITERIA):
        law = score_law(fitted, criterion)
        median = float(scores[:, i].median())
        if rung is BLOCK:  # drawn layers have scales of median 1, and `unit` taken off
            assert law.quantile(np.array(0.5)) == pytest.approx(fitted.unit * median, rel=0.01)
        # the shrunk scales of 256 filters are normal up to their own scatter
        slack = 0.03 if rung is BLOCK else 0.12
        assert law.cv == pytest.approx(float(found.cv[i]), rel=slack), criterion
        assert law.gini == pytest.approx(float(found.gini[i]), rel=slack), criterion
        assert law.q90_q10 == pytest.approx(float(found.q90_q10[i]), rel=slack), criterion


def test_unit_scales_the_scores_alone():
    x = draw(np.random.default_rng(2), scale=0.2)
    one, other = (fit_layer(layer(factor * x), device="cpu") for factor in (1.0, 1e-3))
    for criterion in CRITERIA:
        a, b = (score_law(fitted, criterion) for fitted in (one, other))
        assert b.mean == pytest.approx(1e-3 * a.mean, rel=1e-9)
        assert b.cv == pytest.approx(a.cv, rel=1e-9)


def test_cwda_has_no_signal_and_scale_has():
    fitted = fit_layer(layer(draw(np.random.default_rng(3), scale=0.3)), device="cpu")
    assert score_law(BLOCK(fitted), "l2").signal_share == 0
    assert score_law(SCALE(fitted), "l2").signal_share > 0.9
    assert score_law(fitted, "l1").signal >= score_law(SCALE(fitted), "l1").signal


def test_each_criterion_of_the_theory_is_a_norm_and_has_a_law():
    assert tuple(LAWS) == CRITERIA == NORM_BASED
