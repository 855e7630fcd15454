"""Labels against the classes that a network tells apart."""

import warnings

import pytest
import torch

from cwda.errors import DataError
from cwda.models.classes import compare_classes


def network(classes):
    return lambda images: torch.zeros(len(images), classes)


def compared(classes, labels, **how):
    data = (torch.zeros(len(labels), 3, 2, 2), torch.tensor(labels))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        compare_classes(network(classes), data, data, **{"needs_labels": False} | how)
    return [str(warning.message) for warning in told]


def test_the_same_classes_are_no_news():
    assert compared(4, [0, 1, 2, 3]) == []
    assert compared(1, [0, 0]) == []  # one output is not a class


@pytest.mark.parametrize(("n", "told"), [(9, 0), (10, 1)])
def test_few_classes_are_told_where_chance_would_not_leave_the_others_out(n, told):
    assert (2 / 4) ** 9 > 1e-3 > (2 / 4) ** 10
    assert len(compared(4, [0, 1] * 5)) == 1
    assert len(compared(4, ([0, 1] * 5)[:n])) == told


def test_labels_that_the_network_lacks_are_refused_where_they_are_needed():
    assert "tells 4 classes apart, but the labels end at 4" in compared(4, [0, 4])[0]
    with pytest.raises(DataError, match="labels run from 0 to 4, but the model has 4 classes"):
        compared(4, [0, 4], needs_labels=True)


def test_of_batches_that_are_not_all_known_few_classes_say_nothing():
    images, labels = torch.zeros(40, 3, 2, 2), torch.zeros(40, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_classes(network(9), iter([]), (images, labels), needs_labels=True)
        compare_classes(network(9), [], (images, None), needs_labels=True)
    with pytest.warns(RuntimeWarning, match="labels end at 0"):
        compare_classes(network(9), [(images, labels)], (images, labels), needs_labels=True)
