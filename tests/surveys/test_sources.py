"""What the sources of a survey stand for."""

import subprocess
import sys
from pathlib import Path

import pytest

import cwda
from cwda.surveys.sources.expand import expand
from cwda.surveys.sources.labels import Labels, read_labels
from cwda.surveys.sources.urls import at_hand, forget, matching


@pytest.fixture
def nets(tmp_path):
    """A folder of checkpoints, by their names, and of what lies beside them."""
    for name in (
        "one.pth",
        "three.t7",
        "sub/two.safetensors",
        "sub/optimizer.pt",
        "sub/readme.txt",
        "sub/.hidden.pth",
        "sub/big-00001-of-00002.safetensors",
        "sub/big-00002-of-00002.safetensors",
        "dcp/.metadata",
        "dcp/__0_0.distcp",
    ):
        path = tmp_path / "nets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "nets"


def found(folder, *given):
    return [str(Path(source.text).relative_to(folder)) for source in expand(given)]


def test_a_folder_is_all_checkpoints_below(nets):
    assert found(nets, nets) == [
        "one.pth",
        "three.t7",
        "dcp",
        "sub/big-00001-of-00002.safetensors",
        "sub/two.safetensors",
    ]


def test_patterns_lists_and_repetitions(nets, monkeypatch):
    assert found(nets, nets / "**" / "t*.safetensors") == ["sub/two.safetensors"]
    listed = nets.parent / "list.txt"
    listed.write_text("nets/one.pth # the first\n\n#nothing\nnets/sub/t*\nnets/one.pth\n")
    assert found(nets, listed) == ["one.pth", "sub/two.safetensors"]
    monkeypatch.chdir(nets)
    assert found(nets, "one.pth", nets / "one.pth", listed) == ["one.pth", "sub/two.safetensors"]


def test_a_list_may_come_from_another_system(nets):
    listed = nets.parent / "list.txt"
    listed.write_bytes(b"\xef\xbb\xbf# names\r\n\r\n  nets/one.pth   # the first\r\n")
    assert found(nets, listed) == ["one.pth"]


def test_names_have_labels():
    sources = {source.text: source for source in expand(["torchvision:fcn*", "resnet20-cifar10"])}
    assert sources["fcn_resnet50"].task == "segmentation"
    assert sources["fcn_resnet50"].family == "fcn"
    assert sources["resnet20-cifar10"].is_name


def test_labels_of_files_come_from_a_table(nets, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("source,family,task\n*/two.*,vgg,plates\n*.pth,resnet,\n")
    sources = {source.name: source for source in expand([nets], read_labels(table))}
    assert (sources["two.safetensors"].task, sources["two.safetensors"].family) == ("plates", "vgg")
    assert sources["one.pth"].family == "resnet"
    table.write_text("file,kind\n")
    with pytest.raises(cwda.CwdaError, match=r"labels need .* source .* found file, kind"):
        read_labels(table)
    with pytest.raises(cwda.CwdaError, match=r"cannot be read \(No such file"):
        read_labels(tmp_path / "none.csv")


def test_urls_are_listed_and_fetched(nets, tmp_path):
    url = f"file://{nets}"
    assert matching(f"{url}/*.pth") == [f"{url}/one.pth"]
    assert f"{url}/sub/two.safetensors" in matching(f"{url}/")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = at_hand(f"{url}/one.pth", scratch)
    assert path.read_text() == "one.pth"
    forget(f"{url}/one.pth", scratch)
    assert list(scratch.iterdir()) == []
    with pytest.raises(cwda.CwdaError, match=r"three.pth: no such file"):
        at_hand(f"{url}/three.pth", scratch)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("file:///nowhere/*.pth", "nothing there that looks like a checkpoint"),
        ("abc://bucket/net*.pth", "Protocol not known: abc"),
        ("hf:resnet*", "a pattern needs its owner"),
        ("torchvision:resnet18:NONE", "no such weights"),
        ("timm:resnet18.a1_in1kk*", "no such network; did you mean 'resnet18"),
        ("nets/x.pth", "no such file; the folder nets does not exist"),
        ("x" * 5000, "cannot be read (File name too long)"),
        (" ", "an empty source"),
    ],
)
def test_what_stands_for_nothing_has_a_problem(given, line):
    if given.startswith("timm:"):
        pytest.importorskip("timm")
    (source,) = expand([given])
    assert line in source.problem


def test_a_worker_of_a_cluster_does_not_import_torch():
    code = "import sys, cwda.surveys.workers.worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "pattern", ["nets/one.pth", "./nets/one.pth", "nets/o*", "one.pth", "one", "*/nets/one.pth"]
)
def test_labels_match_sources_as_they_are_typed(nets, tmp_path, monkeypatch, pattern):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    table = nets.parent / "labels.csv"  # its own folder counts as much as the current one
    table.write_text(f"source,family\n{pattern},mine\nno-such,other\n")
    for here in (nets.parent, elsewhere):
        monkeypatch.chdir(here)
        labels = read_labels(table)
        sources = expand([nets], labels)
        assert [source.name for source in sources if source.family == "mine"] == ["one.pth"]
        assert labels.unused((each.text, each.name) for each in sources) == ["no-such"]


def test_of_labels_the_first_that_matches_counts():
    labels = Labels((("a*", "1", ""), ("ab.pth", "2", ""), ("ab", "3", "")))
    assert labels.of("/x/ab.pth", "ab.pth") == ("1", "")
    assert Labels(labels.rows[1:]).of("/x/ab.pth", "ab.pth") == ("2", "")
    assert labels.of("/x/c.pth", "c.pth") == ("", "")
