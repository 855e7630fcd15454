"""Epochs from the names of checkpoints, as trainers and people give them."""

import numpy as np
import pytest
import torch

import cwda
from cwda.callbacks.epochs import epochs_in
from cwda.errors import CwdaError


@pytest.mark.parametrize(
    ("names", "epochs"),
    [
        # Lightning: with a monitored value, by default, and several within one epoch
        (["epoch=499-val_loss=0.65", "epoch=000-val_loss=2.31"], [499, 0]),
        (["epoch=4-step=500", "epoch=9-step=1000"], [4, 9]),
        (["epoch=4-step=500", "epoch=4-step=600"], [500, 600]),
        # Hugging Face, DeepSpeed, MMDetection, Keras
        (["checkpoint-500", "checkpoint-1000"], [500, 1000]),
        (["global_step100/model", "global_step200/model"], [100, 200]),
        (["iter_1000", "iter_2000"], [1000, 2000]),
        (["cp-0001", "cp-0010"], [1, 10]),
        # people
        (["model_0001", "model_0002"], [1, 2]),
        (["net-epoch-10", "net-epoch-5"], [10, 5]),
        (["resnet20-e10", "resnet20-e5"], [10, 5]),
        (["resnet20-e10-acc0.91", "resnet20-e5-acc0.3"], [10, 5]),
        (["ck_ep010_loss0.2", "ck_EP020_loss0.1"], [10, 20]),
        (["net_10epochs", "net_20epochs"], [10, 20]),
        (["lr1e-4-wd0.5-10", "lr1e-4-wd0.5-20"], [10, 20]),
        (["vgg16-3", "vgg16-30"], [3, 30]),
        (["first-1", "second-2"], [1, 2]),
        (["deep10-3", "deep10-4"], [3, 4]),
        (["net-epoch-1.5", "net-epoch-2"], [1.5, 2]),
        (["rfb-320-epoch-400"], [400]),
    ],
)
def test_the_epoch_is_the_number_behind_its_word_or_the_one_that_varies(names, epochs):
    assert epochs_in(names) == epochs


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["net-10-0.65", "net-20-0.71"], "not clear in the names 'net-10-0.65', 'net-20-0.71'; "),
        (["vgg16-1", "vgg19-2"], "not clear"),
        (["vgg16-1", "last-2"], "not clear"),
        (["vgg16-1"], "not clear"),
        (["epoch=4-step=500", "last-v1"], "not clear"),
        (["epoch-4-v1", "epoch-4-v2"], "checkpoints of the same epoch: epoch-4-v1, epoch-4-v2"),
        (["net-4", "net-04"], "same epoch"),
        (["net-4", "best"], "no epoch in the name 'best'"),
    ],
)
def test_names_that_leave_a_doubt_are_refused(names, words):
    with pytest.raises(CwdaError, match=words) as caught:
        epochs_in(names)
    assert "\n" not in str(caught.value)


def test_files_of_one_name_have_the_epochs_of_their_folders(tmp_path):
    draw = np.random.default_rng(0)
    for step in (500, 1000):
        folder = tmp_path / f"run7-seed3/checkpoint-{step}/weights"
        folder.mkdir(parents=True)
        weights = {"conv.weight": torch.from_numpy(draw.normal(size=(16, 4, 3, 3)))}
        torch.save(weights, folder / "model.pth")
    along = cwda.trajectory(sorted(tmp_path.rglob("*.pth")), ["mean"], progress=False)
    assert along.epochs == [500, 1000]
