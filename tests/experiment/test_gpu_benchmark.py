"""The benchmark of stages against their floors runs where there is no GPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks import gpu


def test_without_cuda_it_says_so_and_ends_well(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("no CUDA device")


def test_floors_are_work_over_rates():
    device = gpu.Device.__new__(gpu.Device)
    device.bandwidth, device.rates = 2e9, {torch.float64: 5e9}
    assert device.floors(gpu.Work(4e9, 1e10, torch.float64)) == (2.0, 2.0)


def test_activations_are_written_and_read_once():
    from cwda.models import cifar_resnet

    # 7 convolutions of 16 x 32 x 32, 6 of 32 x 16 x 16, 6 of 64 x 8 x 8 numbers
    numbers = 7 * 16 * 32**2 + 6 * 32 * 16**2 + 6 * 64 * 8**2
    assert gpu._activations(cifar_resnet(20), (1, 3, 32, 32)) == 2 * numbers
