"""What the shell offers, and that it is offered without importing torch."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from torchvision.models import list_models

from cwda.cli import completion
from cwda.cli.main import cwda as group
from cwda.cli.main import cwda_test
from cwda.conditions import CONDITIONS
from cwda.scoring import criteria, get_criterion
from cwda.study.arms import FACTORS
from cwda.theory import LADDER
from cwda.zoo import available


def offered(*words, command=group):
    *arguments, begun = words
    found = ShellComplete(command, {}, "cwda", "_CWDA").get_completions(arguments, begun)
    return [item.value for item in found], {item.type for item in found}


def test_the_names_are_those_of_the_package():
    modules = {name: get_criterion(name).score.__module__ for name in criteria()}
    assert completion.criteria() == [
        name for name, module in modules.items() if module.startswith("cwda.scoring.")
    ]
    assert completion.conditions() == list(CONDITIONS)
    assert completion.rungs() == [rung.name for rung in LADDER]
    assert completion.factors() == list(FACTORS)
    offered = set(completion.models())
    builders = {name for name in list_models() if not name.startswith("quantized_")}
    assert offered == builders | {"resnet20-cifar10", "resnet20-cifar10:init"}
    assert {
        entry.name.partition(":")[0] for entry in available() if entry.state != "pattern"
    } <= offered


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("test", "--conditions", "eps"), ["epsilon"]),
        (("test", "--conditions", "epsilon,me"), ["epsilon,mean"]),
        (("similarity", "--criteria", "l1,bn_g"), ["l1,bn_gamma"]),
        (("similarity", "--criteria", "l1,l"), ["l1,l2"]),
        (("experiment", "--criteria", "taylor_im"), ["taylor_image_l1", "taylor_image_l2"]),
        (("prune", "--criterion", "taylor_im"), ["taylor_image_l1", "taylor_image_l2"]),
        (("study", "--factors", "depth,w"), ["depth,weight_decay", "depth,width"]),
        (
            ("predict", "--rungs", "block,s"),
            [f"block,{rung.name}" for rung in LADDER if rung.name.startswith("s")],
        ),
        (("report", "--model", "resnet15"), ["resnet152"]),
        (("global-pruning", "--model", "resnet20"), ["resnet20-cifar10", "resnet20-cifar10:init"]),
    ],
)
def test_options_are_completed(words, expected):
    assert offered(*words)[0] == expected


def test_a_list_is_completed_in_its_own_order_with_the_names_of_its_objects(tmp_path):
    (tmp_path / "b_first.py").write_text(
        'LOW = Rung("low", "words")\nLEFT_OUT = Rung("left out", "words")\n'
        '@criterion("my size", formula="F")\ndef size(filters): ...\n'
        "@condition(margin=0.1)\ndef mean(work): ...\n"
        "OTHERS = (size,)\n"
    )
    (tmp_path / "a_second.py").write_text(
        'HIGH = Rung(name="high", words="words")\nLIST = (LOW, *OTHERS, mean, HIGH, "text")\n'
        'KEYS = {"x": 1, "y": 2}\n'
    )
    listed = completion._listed("LIST", tmp_path)
    assert listed == ["low", "my size", "mean", "high", "text"]
    assert completion._listed("KEYS", tmp_path) == ["x", "y"]
    assert completion._listed("UNKNOWN", tmp_path) == []


def test_sources_are_files_and_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet18-mine.pth").touch()
    (tmp_path / "resnet18-runs").mkdir()
    assert offered("resnet18", command=cwda_test)[0] == [
        "resnet18", "resnet18-mine.pth", "resnet18-runs/",
    ]  # fmt: skip
    assert offered("similarity", "my-net")[1] == {"file"}


def test_completion_does_not_wait_for_torch():
    code = (
        "import sys\n"
        "from cwda.cli.main import cwda\n"
        "try: cwda(prog_name='cwda')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'torchvision'} & set(sys.modules)\n"
        "print(*heavy, file=sys.stderr)"
    )
    for words in ("cwda similarity --criteria l1,", "cwda test resnet1", "cwda test --conditions "):
        env = {"_CWDA_COMPLETE": "bash_complete", "COMP_WORDS": words}
        env["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        found = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | env, capture_output=True, check=True
        )
        assert b"plain," in found.stdout
        assert found.stderr == b"\n"
