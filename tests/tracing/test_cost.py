"""What a network costs."""

import pytest

from cwda.errors import SelectionError
from cwda.tracing import count, latency
from tests.helpers.models import Vgg, built, vision

IMAGE = (1, 3, 16, 16)


def test_torchvision_s_published_multiply_adds():
    # torchvision's model card: resnet18 11,689,512 parameters, 1.81 GFLOPS at 224 x 224
    cost = count(vision("resnet18"), (1, 3, 224, 224))
    assert cost.parameters == 11_689_512
    assert cost.flops / 1e9 == pytest.approx(1.81, abs=0.005)


def test_one_timed_pass_is_its_own_interval():
    one = latency(built(Vgg), IMAGE, repeats=1, warm_up=0)
    assert one.low == one.median == one.high > 0
    with pytest.raises(SelectionError, match="at least 1 timed pass"):
        latency(built(Vgg), IMAGE, repeats=0)
