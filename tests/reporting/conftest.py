"""Networks and reports that several tests look at."""

import numpy as np
import pytest
import torch

import cwda

#: What typesetters, HTML and matplotlib each give a meaning, and glyphs that fonts lack.
AWKWARD = "a*b_c#$d$<b>&[x]\\層.conv"


def weights(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.fixture(scope="session")
def network():
    """Four layers, one of each kind that a report treats differently."""
    return cwda.load(
        {
            f"{AWKWARD}.weight": weights(0, 32, 8, 3, 3),
            "first.weight": weights(1, 16, 3, 3, 3),
            "pointwise.weight": weights(2, 24, 16, 1, 1),
            "dead.weight": torch.zeros(16, 4, 3, 3),
        },
        name="net *1*",
    )


@pytest.fixture(scope="session")
def result(network):
    return cwda.check(network, device="cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="session")
def pdf(result, folder):
    return cwda.report(result, folder / "net.pdf", date="2001-02-03", detail=True, device="cpu")


@pytest.fixture(scope="session")
def html(result, folder):
    return cwda.report(result, folder / "net.html", date="2001-02-03", detail=True, device="cpu")
