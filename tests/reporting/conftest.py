"""Networks and reports that several tests look at."""

import pickle

import numpy as np
import pytest
import torch

import cwda
from cwda.reporting import build
from cwda.reporting.typesetting import html_bytes, pdf_bytes

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


def document_of(source, path, **options):
    """What a report hands to the typesetter."""
    documents = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.FORMATS, ".pdf", lambda document: documents.append(document) or b"")
        cwda.report(source, path, date="2001-02-03", device="cpu", progress=False, **options)
    return documents[0]


@pytest.fixture(scope="session")
def document_made_once(made_once):
    """A document that every process of a run reads, made by one of them."""

    def document(name, source, **options):
        def make(path):
            found = document_of(source, path.with_suffix(".pdf"), **options)
            path.write_bytes(pickle.dumps(found))

        return pickle.loads(made_once(f"{name}.pickle", make).read_bytes())  # noqa: S301

    return document


@pytest.fixture(scope="session")
def document(result, document_made_once):
    """The report of the network with a page per layer; `pdf` and `html` are made of it."""
    return document_made_once("detail", result, detail=True)


@pytest.fixture(scope="session")
def pdf(document, folder):
    path = folder / "net.pdf"
    path.write_bytes(pdf_bytes(document))
    return path


@pytest.fixture(scope="session")
def html(document, folder):
    path = folder / "net.html"
    path.write_bytes(html_bytes(document))
    return path
