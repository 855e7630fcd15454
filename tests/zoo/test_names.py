"""Names of models, and downloads from a server on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import re
import threading
from typing import ClassVar

import huggingface_hub
import huggingface_hub.constants
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from cwda.errors import SourceError, UnreadableError
from cwda.loading import load, load_model
from cwda.models import cifar_resnet, initialise
from cwda.models.torchvision_models import builder_options, torchvision_names
from cwda.zoo import available, download
from cwda.zoo import names as zoo


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torch.hub; the folder of its checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that speaks as much of the Hugging Face protocol as a download needs."""

    requests: ClassVar[list[str]] = []
    failures = 0

    def log_message(self, *_):
        pass

    def send_head(self):
        Quiet.requests.append(self.path)
        if Quiet.failures:
            Quiet.failures -= 1
            self.send_error(503)
            return None
        return super().send_head()

    def end_headers(self):
        path = self.translate_path(self.path)
        if "/resolve/" in self.path:
            try:
                with open(path, "rb") as file:
                    self.send_header("ETag", f'"{hashlib.sha256(file.read()).hexdigest()}"')
                self.send_header("X-Repo-Commit", "0" * 40)
            except OSError:
                self.send_header("X-Error-Code", "EntryNotFound")
        super().end_headers()


@pytest.fixture
def server(tmp_path):
    """Folder and URL of a running server."""
    folder = tmp_path / "served"
    folder.mkdir()
    Quiet.requests, Quiet.failures = [], 0
    handler = functools.partial(Quiet, directory=str(folder))
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


def write_weights(folder, name, model):
    """Weights in a file that carries the beginning of its hash, as torchvision's do."""
    state = model if isinstance(model, dict) else model.state_dict()
    torch.save(state, folder / "partial")
    digest = hashlib.sha256((folder / "partial").read_bytes()).hexdigest()
    path = folder / f"{name}-{digest[:8]}.pth"
    (folder / "partial").rename(path)
    return path


def at_url(monkeypatch, url):
    """Let all torchvision weights of a model lie at `url`."""
    original = zoo._torchvision_weights

    class Member:
        def __init__(self, member):
            self.name, self.url = member.name, url

    monkeypatch.setattr(
        zoo, "_torchvision_weights", lambda name: [Member(m) for m in original(name)]
    )


def test_torchvision_name_downloads_once(hub, server, monkeypatch):
    folder, url = server
    model = torchvision.models.mobilenet_v2()
    path = write_weights(folder, "mobilenet_v2", model)
    at_url(monkeypatch, f"{url}/{path.name}")
    first = load("mobilenet_v2:IMAGENET1K_V1")
    assert len(first) == 52
    assert first.name == "mobilenet_v2:IMAGENET1K_V1"
    assert first.provenance.source == f"{url}/{path.name}"
    assert first.provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (hub / path.name).exists()
    second = load("mobilenet_v2:IMAGENET1K_V1")
    assert len(Quiet.requests) == 1  # the second came from the cache
    assert second.assumptions == ()  # the architecture tells the groups
    expected = {n: m.groups for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert {layer.name: layer.groups for layer in second} == expected
    for layer in second:
        assert torch.equal(layer.weight, model.get_submodule(layer.name).weight)


def test_default_weights_and_wrong_ones(hub, server, monkeypatch):
    folder, url = server
    path = write_weights(folder, "resnet18", torchvision.models.resnet18())
    at_url(monkeypatch, f"{url}/{path.name}")
    network = load("resnet18")
    assert len(network) == 20
    assert network.provenance.source.startswith(url)
    with pytest.raises(SourceError, match="resnet18 has no weights 'V9'; it has IMAGENET1K_V1"):
        load("resnet18:V9")


def test_a_wrong_hash_is_refused_and_removed(hub, server, monkeypatch):
    folder, url = server
    (folder / "resnet18-00000000.pth").write_bytes(b"something else")
    at_url(monkeypatch, f"{url}/resnet18-00000000.pth")
    with pytest.raises(UnreadableError, match="removed"):
        load("resnet18")
    assert list(hub.iterdir()) == []
    (hub / "resnet18-00000000.pth").write_bytes(b"something else")
    with pytest.raises(UnreadableError, match="delete it"):
        load("resnet18")


def test_failures_of_the_server_are_tried_again(hub, server, monkeypatch):
    folder, url = server
    path = write_weights(folder, "resnet18", torchvision.models.resnet18())
    Quiet.failures = 2
    at_url(monkeypatch, f"{url}/{path.name}")
    assert len(load("resnet18")) == 20
    assert len(Quiet.requests) == 3


def test_without_network_the_line_says_what_to_do(hub, monkeypatch):
    url = "http://127.0.0.1:9/resnet18-12345678.pth"  # the discard port: nobody listens
    at_url(monkeypatch, url)
    with pytest.raises(SourceError) as error:
        load("resnet18")
    message = str(error.value)
    assert url in message
    assert str(hub) in message
    assert "resnet20-cifar10" in message
    assert "\n" not in message


def test_missing_file_on_the_server_is_not_tried_again(hub, server, monkeypatch):
    _, url = server
    at_url(monkeypatch, f"{url}/resnet18-12345678.pth")
    with pytest.raises(SourceError, match="File not found"):
        load("resnet18")
    assert len(Quiet.requests) == 1


@pytest.fixture
def hugging_face(server, tmp_path, monkeypatch):
    """The server as the Hugging Face hub, with an empty cache."""
    folder, url = server
    monkeypatch.setenv("HF_ENDPOINT", url)
    cache = str(tmp_path / "hf")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", cache)
    for function in ("hf_hub_download", "try_to_load_from_cache"):
        monkeypatch.setattr(
            huggingface_hub,
            function,
            functools.partial(getattr(huggingface_hub, function), cache_dir=cache),
        )
    return folder


def put(folder, repository, name, state=None, text=None):
    path = folder / repository / "resolve" / "main" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        path.write_text(text)
    else:
        save_file(state, path)


STATE = {"a.weight": torch.ones(4, 3, 3, 3)}


def test_hugging_face_repository(hugging_face):
    put(hugging_face, "org/model", "model.safetensors", STATE)
    network = load("hf:org/model")
    assert network.provenance.source == "hf:org/model/model.safetensors"
    assert torch.equal(network["a"].weight, STATE["a.weight"])
    count = len(Quiet.requests)
    load("hf:org/model")
    assert len(Quiet.requests) == count  # from the cache


def test_hugging_face_file_and_shards(hugging_face):
    put(hugging_face, "org/other", "sub/x.safetensors", STATE)
    assert len(load("hf:org/other/sub/x.safetensors")) == 1
    index = json.dumps({"weight_map": {"a.weight": "m-1.safetensors"}})
    put(hugging_face, "org/big", "model.safetensors.index.json", text=index)
    put(hugging_face, "org/big", "m-1.safetensors", STATE)
    assert load("hf:org/big").provenance.format == "sharded"


def test_hugging_face_errors(hugging_face, monkeypatch):
    put(hugging_face, "org/empty", "readme.safetensors", STATE)
    with pytest.raises(SourceError, match="no weights under a usual name"):
        load("hf:org/empty")
    with pytest.raises(SourceError, match="write hf:ORG/REPO"):
        load("hf:alone")
    with pytest.raises(SourceError, match="not a repository"):
        load("hf:a b/c d")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9/org/model/resolve.*resnet20-cifar10"):
        load("hf:org/model/x.safetensors")


def test_timm_name(hugging_face):
    timm = pytest.importorskip("timm")
    model = timm.create_model("mobilenetv3_small_050")
    config = timm.models.get_pretrained_cfg("mobilenetv3_small_050")
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    put(hugging_face, config.hf_hub_id, "model.safetensors", state)
    network = load("timm:mobilenetv3_small_050")
    expected = {n: m.groups for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert {layer.name: layer.groups for layer in network} == expected
    assert network.assumptions == ()
    with pytest.raises(SourceError, match="mobilenetv3_small_050"):
        load("timm:mobilenetv3_smal_050")


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet81", "resnet18"), ("resnet20-cifar", "resnet20-cifar10"), ("vgg61", "vgg16")],
)
def test_unknown_names_are_answered_with_near_ones(name, near):
    with pytest.raises(SourceError, match=near) as error:
        load(name)
    assert "\n" not in str(error.value)


def test_a_name_before_a_folder_of_that_name(tmp_path, hub, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    save_file(STATE, tmp_path / "own" / "model.safetensors")
    assert len(load("own")) == 1
    (tmp_path / "own").rename(tmp_path / "resnet18")
    assert len(load("./resnet18")) == 1
    at_url(monkeypatch, "http://127.0.0.1:9/x.pth")
    with pytest.raises(SourceError, match="cannot download"):
        load("resnet18")


@pytest.fixture
def built_in(tmp_path, monkeypatch):
    """The built-in files in a folder of their own, with known weights."""
    folder = tmp_path / "package" / "weights"
    folder.mkdir(parents=True)
    model = cifar_resnet(20)
    initialise(model, 5)
    save_file(model.state_dict(), folder / "resnet20-cifar10.safetensors")
    (folder / "resnet20-cifar10.json").write_text(json.dumps({"recipe": {"seed": 7}}))
    monkeypatch.setattr(zoo.importlib.resources, "files", lambda _: tmp_path / "package")
    return model


def test_built_in_network_and_its_beginning(built_in):
    network = load("resnet20-cifar10")
    assert (network.name, len(network), network.assumptions) == ("resnet20-cifar10", 19, ())
    assert torch.equal(network["conv1"].weight, built_in.conv1.weight)
    start = load("resnet20-cifar10:init")
    expected = cifar_resnet(20)
    initialise(expected, 7)
    assert torch.equal(start["conv1"].weight, expected.conv1.weight)
    assert "seed 7" in start.provenance.source


def test_missing_built_in_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo.importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(SourceError, match="install cwda again"):
        load("resnet20-cifar10")


def test_list_of_names(hub):
    entries = {entry.name: entry for entry in available()}
    assert entries["resnet20-cifar10"].state == "ready"
    assert entries["resnet18:IMAGENET1K_V1"].state == "to download"
    url = entries["resnet18:IMAGENET1K_V1"].detail
    download.hub_path(url).touch()
    assert {e.name: e for e in available()}["resnet18:IMAGENET1K_V1"].state == "cached"
    assert entries["timm:NAME"].state == "pattern"


def test_blueprints_are_built_without_warnings_or_values():
    from torchvision import models

    for name in ("googlenet", "inception_v3", "densenet121", "vit_b_16", "shufflenet_v2_x0_5"):
        extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        builder = models.get_model_builder(name)
        module = zoo._on_meta(lambda builder=builder, extra=extra: builder(weights=None, **extra))
        assert module is not None, name
        assert all(parameter.is_meta for parameter in module.parameters())


# Earlier names that torchvision's published files have: pattern and what was there.
EARLIER = (
    (r"(_blocks\.\d+)\.0(\.\w+)$", r"\1\2"),
    (r"(rpn\.head\.conv)\.0\.0(\.\w+)$", r"\1\2"),
    (r"(mask_head)\.(\d)\.0(\.\w+)$", lambda m: f"{m[1]}.mask_fcn{int(m[2]) + 1}{m[3]}"),
    (r"(_head\.conv)\.(\d)\.0(\.\w+)$", lambda m: f"{m[1]}.{2 * int(m[2])}{m[3]}"),
)


def earlier(state):
    for pattern, old in EARLIER:
        state = {re.sub(pattern, old, key): value for key, value in state.items()}
    return state


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("maskrcnn_resnet50_fpn", {"weights_backbone": None}),
        ("lraspp_mobilenet_v3_large", {"weights_backbone": None}),
        ("deeplabv3_mobilenet_v3_large", {"weights_backbone": None, "aux_loss": True}),
        ("s3d", {}),
        ("raft_small", {}),
    ],
)
def test_networks_of_other_tasks_by_name(name, options, hub, server, monkeypatch):
    folder, url = server
    model = torchvision.models.get_model(name, weights=None, **options)
    state = earlier(model.state_dict())
    assert name != "maskrcnn_resnet50_fpn" or state.keys() != model.state_dict().keys()
    path = write_weights(folder, name, state)
    at_url(monkeypatch, f"{url}/{path.name}")
    network = load(name)
    assert network.assumptions == ()
    expected = [
        m.weight for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Conv3d)
    ]
    expected += [m.weight for m in model.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert len(network) == len(expected)
    found = load_model(name)
    for key, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
    eps = {part.eps for part in found.modules() if isinstance(part, torch.nn.BatchNorm2d)}
    assert name != "maskrcnn_resnet50_fpn" or eps == {0.0}  # as torchvision sets it


def test_quantised_networks_are_refused_and_others_listed(hub):
    with pytest.raises(SourceError, match="packed integers, which are not read; take resnet18"):
        load("quantized_resnet18")
    names = {entry.name for entry in available()}
    assert {"fcn_resnet50:COCO_WITH_VOC_LABELS_V1", "s3d:KINETICS400_V1"} <= names
    assert not any(name.startswith("quantized") for name in names)
    with pytest.raises(SourceError, match="did you mean fcn_resnet50"):
        load("fcn_resnet5")


def test_blueprints_of_every_task_are_built_without_warnings_or_downloads(hub):
    for name in torchvision_names():
        if name.startswith(("fasterrcnn_m", "ssd300", "deeplabv3_r", "mvit", "raft_s", "s3d")):
            builder = torchvision.models.get_model_builder(name)
            options = builder_options(name)
            module = zoo._on_meta(lambda b=builder, o=options: b(weights=None, **o))
            assert module is not None, name
            assert all(parameter.is_meta for parameter in module.parameters())
    assert list(hub.iterdir()) == []
