"""ONNX files, written by the onnx package and computed by its reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cwda.errors import UnreadableError
from cwda.loading import load

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
make, stored = onnx.helper.make_node, onnx.numpy_helper.from_array


def random(*shape, dtype="float32"):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def save(path, nodes, tensors, outputs=(), functions=(), inputs=("x",)):
    """A model; tensors are arrays by name or tensors of onnx."""
    if isinstance(tensors, dict):
        tensors = [stored(value, name) for name, value in tensors.items()]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [info(name, 1, None) for name in inputs],
        [info(name, 1, None) for name in outputs],
        initializer=tensors,
    )
    domains = {"": 21, **{function.domain: 1 for function in functions}}
    imports = [onnx.helper.make_opsetid(*domain) for domain in domains.items()]
    model = onnx.helper.make_model(
        graph, ir_version=10, opset_imports=imports, functions=list(functions)
    )
    onnx.save(model, path)
    return model


def network_of(tmp_path, nodes, tensors, **more):
    save(tmp_path / "m.onnx", nodes, tensors, **more)
    return load(tmp_path / "m.onnx")


def reasons(network):
    return {entry.name: entry.reason for entry in network.skipped}


def computed(nodes, tensors, name):
    """The value of a name by onnx's reference implementation."""
    if isinstance(tensors, dict):
        tensors = [stored(value, key) for key, value in tensors.items()]
    output = onnx.helper.make_empty_tensor_value_info(name)
    graph = onnx.helper.make_graph(nodes, "g", [], [output], initializer=tensors)
    imports = [onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=imports)
    return reference.ReferenceEvaluator(model).run(None, {})[0]


WEIGHT = random(6, 4, 3, 3)


# What a convolution's weight is


def test_only_what_feeds_a_convolution_is_one(tmp_path):
    tensors = {
        "conv.weight": random(16, 3, 3, 3),
        "experts.weight": random(8, 16, 32),
        "ln.weight": random(16, 14, 14),
        "lstm.weight": random(1, 64, 16),
        "table.kernel": random(4, 4, 4),
        "image.weight": random(1, 3, 8, 8),
        "rotated.weight": random(4, 6, 5),
        "head.weight": random(10, 16),
    }
    nodes = [
        make("Conv", ["x", "conv.weight"], ["a"]),
        make("MatMul", ["a", "experts.weight"], ["b"]),
        make("Mul", ["b", "ln.weight"], ["c"]),
        make("LSTM", ["c", "lstm.weight", "r"], ["d"]),
        make("Conv", ["image.weight", "conv.weight"], ["e"]),
        make("Transpose", ["rotated.weight"], ["t"], perm=[0, 2, 1]),
        make("MatMul", ["d", "t"], ["f"]),
        make("Add", ["d", "t"], ["g"]),
    ]
    network = network_of(tmp_path, nodes, tensors)
    assert [layer.name for layer in network] == ["conv"]
    assert reasons(network) == {
        "experts.weight": "feeds MatMul, not a convolution's weight",
        "ln.weight": "feeds Mul, not a convolution's weight",
        "lstm.weight": "feeds LSTM, not a convolution's weight",
        "table.kernel": "feeds no operator",
        "image.weight": "feeds input 0 of Conv, not a convolution's weight",
        "rotated.weight": "feeds MatMul and Add, not a convolution's weight",
    }


def test_layers_come_in_the_order_of_the_nodes(tmp_path):
    names = [f"net.{number}.weight" for number in (2, 10, 1)]
    nodes = [make("Conv", ["x", name], [f"y{name}"]) for name in names]
    network = network_of(tmp_path, nodes, {name: random(4, 3, 3, 3) for name in sorted(names)})
    assert [layer.name for layer in network] == ["net.2", "net.10", "net.1"]


def test_a_model_without_convolutions_says_what_it_has(tmp_path):
    nodes = [make("MatMul", ["x", "w"], ["y"]), make("MatMul", ["y", "w"], ["z"])]
    with pytest.raises(UnreadableError, match=r"without a convolution \(its operators: 2 MatMul\)"):
        network_of(tmp_path, nodes, {"w": random(3, 3, 3)})
    with pytest.raises(UnreadableError, match="without operators"):
        network_of(tmp_path, [], {"w": random(3, 3, 3)})


# From stored tensors to a weight


def constants(**numbers):
    return {name: np.array(value) for name, value in numbers.items()}


f4 = np.float32
WAYS = {
    "Transpose": (
        [make("Transpose", ["w"], ["k"], perm=[3, 2, 0, 1])],
        {"w": random(3, 3, 4, 6)},
    ),
    "Reshape with 0 and -1": (
        [make("Reshape", ["w", "s"], ["k"])],
        {"w": random(6, 36)} | constants(s=[0, -1, 3, 3]),
    ),
    "Squeeze, Unsqueeze, Flatten": (
        [
            make("Squeeze", ["w", "a"], ["v"]),
            make("Flatten", ["v"], ["u"], axis=1),
            make("Unsqueeze", ["u", "b"], ["k"]),
        ],
        {"w": random(6, 1, 4, 3)} | constants(a=[1], b=[-1, 1]),
    ),
    "shape of constants": (
        [
            make("Shape", ["w"], ["s"]),
            make("Slice", ["s", "one", "two"], ["size"]),
            make("Concat", ["size", "rest"], ["to"], axis=0),
            make("Reshape", ["w", "to"], ["k"]),
        ],
        {"w": random(36, 6)} | constants(one=[1], two=[2], rest=[4, 3, 3]),
    ),
    "weight norm": (
        [
            make("ReduceL2", ["v", "a"], ["n"]),
            make("Div", ["v", "n"], ["d"]),
            make("Mul", ["d", "g"], ["k"]),
        ],
        {"v": WEIGHT, "g": random(6, 1, 1, 1)} | constants(a=[1, 2, 3]),
    ),
    "weight norm by parts": (
        [
            make("Constant", [], ["two"], value_float=2.0),
            make("Pow", ["v", "two"], ["p"]),
            make("ReduceSum", ["p", "a"], ["n"]),
            make("Sqrt", ["n"], ["r"]),
            make("Reciprocal", ["r"], ["i"]),
            make("Mul", ["v", "i"], ["k"]),
        ],
        {"v": WEIGHT} | constants(a=[1, 2, 3]),
    ),
    "standardised": (
        [
            make("ReduceMean", ["v", "a"], ["m"]),
            make("Sub", ["v", "m"], ["c"]),
            make("Mul", ["c", "c"], ["q"]),
            make("ReduceMean", ["q", "a"], ["r"]),
            make("Sqrt", ["r"], ["d"]),
            make("Div", ["c", "d"], ["k"]),
        ],
        {"v": WEIGHT} | constants(a=[1, 2, 3]),
    ),
    "spectral norm": (
        [
            make("Flatten", ["w"], ["m"]),
            make("MatMul", ["m", "v"], ["wv"]),
            make("MatMul", ["u", "wv"], ["s"]),
            make("Div", ["w", "s"], ["k"]),
        ],
        {"w": WEIGHT, "u": random(6), "v": random(36)},
    ),
    "pieces": (
        [
            make("Split", ["w", "sizes"], ["p", "q"], axis=0),
            make("Slice", ["q", "from", "to", "axes", "steps"], ["r"]),
            make("Gather", ["p", "which"], ["o"], axis=0),
            make("Concat", ["o", "r"], ["t"], axis=0),
            make("Pad", ["t", "pads"], ["k"]),
        ],
        {"w": random(8, 4, 3, 3)}
        | constants(sizes=[2, 6], which=[1, 0, 1], axes=[2, 0], steps=[-1, 2])
        | {"from": np.array([-1, 0]), "to": np.array([-(2**63), 5])}
        | constants(pads=[0, 0, 1, 1, 0, 0, 1, 1]),
    ),
    "Cast": ([make("Cast", ["w"], ["k"], to=1)], {"w": WEIGHT.astype("float16")}),
    "narrowing Cast": (
        [make("Cast", ["w"], ["h"], to=10), make("Cast", ["h"], ["k"], to=1)],
        {"w": WEIGHT},
    ),
    "dequantised": (
        [make("DequantizeLinear", ["w", "s", "z"], ["k"])],
        {"w": (WEIGHT * 40).astype("int8"), "s": f4(0.025), "z": np.int8(3)},
    ),
    "dequantised per filter": (
        [make("DequantizeLinear", ["w", "s", "z"], ["k"], axis=0)],
        {
            "w": (WEIGHT * 40 + 128).astype("uint8"),
            "s": np.linspace(0.01, 0.02, 6, dtype=f4),
            "z": np.arange(125, 131, dtype="uint8"),
        },
    ),
    "dequantised, then transposed": (
        [
            make("DequantizeLinear", ["w", "s"], ["d"], axis=-1),
            make("Transpose", ["d"], ["k"], perm=[3, 2, 0, 1]),
        ],
        {
            "w": (random(3, 3, 4, 6) * 40).astype("int8"),
            "s": np.linspace(0.01, 0.02, 6, dtype=f4),
        },
    ),
    "quantised and dequantised": (
        [
            make("QuantizeLinear", ["w", "s", "z"], ["q"], axis=0),
            make("DequantizeLinear", ["q", "s", "z"], ["k"], axis=0),
        ],
        {
            "w": WEIGHT * 2,
            "s": np.linspace(0.01, 0.02, 6, dtype=f4),
            "z": np.zeros(6, "int8"),
        },
    ),
    "Gemm": (
        [
            make("Gemm", ["a", "b", "c"], ["m"], alpha=0.5, beta=2.0, transB=1),
            make("Reshape", ["m", "shape"], ["k"]),
        ],
        {"a": random(6, 5), "b": random(36, 5) + f4(1), "c": random(36)}
        | constants(shape=[6, 4, 3, 3]),
    ),
    "fixed mask": (
        [make("Greater", ["m", "half"], ["c"]), make("Where", ["c", "w", "zero"], ["k"])],
        {"w": WEIGHT, "m": np.abs(WEIGHT), "half": f4(0.5), "zero": f4(0)},
    ),
    **{
        f"BatchNormalization {mode}": (
            [
                make("Reshape", ["w", "flat"], ["r"]),
                make(
                    "BatchNormalization",
                    ["r", "g", "b", "mean", "var"],
                    ["n", "rm", "rv"][: 3 if mode else 1],
                    training_mode=mode,
                    epsilon=1e-3,
                ),
                make("Reshape", ["n", "shape"], ["k"]),
            ],
            {"w": WEIGHT, "g": random(6), "b": random(6), "mean": random(6), "var": random(6) ** 2}
            | constants(flat=[1, 6, 36], shape=[6, 4, 3, 3]),
        )
        for mode in (0, 1)
    },
    "InstanceNormalization": (
        [
            make("Reshape", ["w", "flat"], ["r"]),
            make("InstanceNormalization", ["r", "g", "b"], ["n"]),
            make("Reshape", ["n", "shape"], ["k"]),
        ],
        {"w": WEIGHT, "g": random(6), "b": random(6)}
        | constants(flat=[1, 6, 36], shape=[6, 4, 3, 3]),
    ),
    "dequantised by blocks": (
        [make("DequantizeLinear", ["w", "s"], ["k"], axis=1, block_size=2)],
        {"w": (WEIGHT * 40).astype("int8"), "s": np.abs(random(6, 2, 3, 3)) + f4(0.1)},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_weight_is_what_the_graph_makes_of_stored_tensors(tmp_path, way):
    nodes, tensors = WAYS[way]
    conv = make("Conv", ["x", "k"], ["y"], name="/stem/Conv")
    network = network_of(tmp_path, [*nodes, conv], tensors)
    (layer,) = network.layers
    expected = computed(nodes, tensors, "k")
    assert layer.weight.shape == expected.shape
    np.testing.assert_allclose(layer.weight.numpy(), expected, rtol=2e-6, atol=5e-7)
    assert network.skipped == ()
    assert bool(network.assumptions) == ("Cast" not in way)


def test_assumptions_say_how_a_weight_was_made(tmp_path):
    for way, words in {
        "Transpose": "by Transpose",
        "dequantised": "dequantised by scale and zero point",
        "quantised and dequantised": "quantised and dequantised",
        "weight norm": "effective weights: computed from stored tensors by ReduceL2, Div, Mul",
    }.items():
        nodes, tensors = WAYS[way]
        network = network_of(tmp_path, [*nodes, make("Conv", ["x", "k"], ["y"])], tensors)
        assert words in network.assumptions[0]


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2", "UINT16"])
def test_small_and_rare_types_are_dequantised(tmp_path, kind):
    number = getattr(onnx.TensorProto, kind)
    values = (random(5, 3, 3, 3) * 3).clip(0 if kind[0] == "U" else -8, 7)
    values = values if kind.startswith("FLOAT") else values.round()
    tensors = [
        onnx.helper.make_tensor("c.weight_quantized", number, values.shape, values.ravel()),
        stored(np.linspace(0.1, 0.2, 5, dtype=f4), "s"),
    ]
    nodes = [make("DequantizeLinear", ["c.weight_quantized", "s"], ["k"], axis=0)]
    network = network_of(tmp_path, [*nodes, make("Conv", ["x", "k"], ["y"])], tensors)
    np.testing.assert_allclose(network["c"].weight.numpy(), computed(nodes, tensors, "k"), 1e-6)


def test_bfloat16_is_read(tmp_path):
    tensor = onnx.helper.make_tensor("c.weight", 16, (6, 4, 3, 3), WEIGHT.ravel())
    network = network_of(tmp_path, [make("Conv", ["x", "c.weight"], ["y"])], [tensor])
    assert torch.equal(network["c"].weight, torch.from_numpy(WEIGHT).bfloat16())


def test_integer_convolutions_are_dequantised(tmp_path):
    packed = (WEIGHT * 40).astype("int8")
    scales = np.linspace(0.01, 0.02, 6, dtype=f4)
    tensors = {
        "a.weight_quantized": packed,
        "b.weight_quantized": packed + np.int8(1),
        "c.weight_quantized": packed + np.int8(2),
        "scales": scales,
        "zero": np.zeros(6, "int8"),
        "one": f4(0.5),
        "three": np.int8(3),
    }
    nodes = [
        make(
            "QLinearConv",
            ["x", "xs", "xz", "a.weight_quantized", "scales", "zero", "ys", "yz"],
            ["a"],
        ),
        make("ConvInteger", ["x", "b.weight_quantized", "xz", "three"], ["i"]),
        make("Cast", ["i"], ["f"], to=1),
        make("Mul", ["xs", "one"], ["m"]),
        make("Mul", ["f", "m"], ["b"]),
        make("ConvInteger", ["x", "c.weight_quantized"], ["c"]),
    ]
    network = network_of(tmp_path, nodes, tensors)
    expected = packed * scales[:, None, None, None]
    np.testing.assert_allclose(network["a"].weight.numpy(), expected, rtol=1e-6)
    expected = (packed.astype(f4) + 1 - 3) * 0.5
    np.testing.assert_allclose(network["b"].weight.numpy(), expected, rtol=1e-6)
    assert reasons(network) == {"c": "quantised weights of ConvInteger, whose scale is not stored"}


# Weights that cannot be had


def test_what_is_left_out_says_the_true_reason(tmp_path):
    tensors = {
        "w": WEIGHT,
        "flat": random(6, 4),
        "a.weight": random(6, 4, 3, 3),
        "b.weight": random(9, 4, 3, 3),
        "c.weight": random(4, 4, 5, 5),
        "size": np.array([1 << 20, 1 << 20, 3, 3]),
    }
    nodes = [
        make("Conv", ["x", "w"], ["good"]),
        make("Relu", ["w"], ["positive"]),
        make("Conv", ["x", "positive"], ["y1"], name="relu"),
        make("Conv", ["x", "x"], ["y2"], name="given"),
        make("Conv", ["x", "nowhere"], ["y3"], name="nothing"),
        make("Mul", ["w", "again"], ["again"]),
        make("Conv", ["x", "again"], ["y4"], name="cycle"),
        make("Conv", ["x", "flat"], ["y5"], name="two axes"),
        make("Conv", ["x", "b.weight"], ["y6"], group=2),
        make("Conv", ["x", "c.weight"], ["y7"], kernel_shape=[3, 3]),
        make("Expand", ["w", "size"], ["huge"]),
        make("Conv", ["x", "huge"], ["y8"], name="huge"),
        make("Conv", ["x", "a.weight"], ["y9"], domain="com.microsoft.nchwc"),
        make("Conv", ["x"], ["y10"], name="without"),
    ]
    network = network_of(tmp_path, nodes, tensors)
    assert [layer.name for layer in network] == ["w"]
    found = reasons(network)
    assert found.pop("relu") == "the weight of this Conv: computed by Relu, which is not evaluated"
    assert "an input of the model" in found.pop("given")
    assert "made by no operator" in found.pop("nothing")
    assert "computed from itself" in found.pop("cycle")
    assert "2 axes" in found.pop("flat")
    assert "2 groups, which do not divide 9" in found.pop("b")
    assert "a kernel of 3x3" in found.pop("c")
    assert "not fit" in found["huge"] or "more elements" in found["huge"]
    del found["huge"]
    assert "laid out in blocks" in found.pop("a")
    assert "not given" in found.pop("without")
    assert found == {}


def test_when_nothing_is_left_the_first_reason_is_told(tmp_path):
    nodes = [make("Relu", ["w"], ["p"]), make("Conv", ["x", "p"], ["y"], name="c")]
    with pytest.raises(UnreadableError, match=r"none of its 1 convolutions .* c: .* by Relu"):
        network_of(tmp_path, nodes, {"w": WEIGHT})


# Names


NAMES = {
    ("onnx::Conv_193", "/layer1/layer1.0/conv1/Conv"): "layer1.0.conv1",
    ("193", "/features/features.1/conv/conv.0/conv.0.0/Conv"): "features.1.conv.0.0",
    ("507", "Conv_12"): "Conv_12",
    ("507", ""): "y",
    ("conv1.weight", "/other/Conv"): "conv1",
    ("conv10_w_0", "n"): "conv10_w_0",
    ("fire2/squeeze1x1_w_0", "n"): "fire2/squeeze1x1_w_0",
    ("model/conv1/Conv2D/ReadVariableOp:0", "model/conv1/Conv2D"): "model/conv1",
    ("StatefulPartitionedCall/model/c/Conv2D/ReadVariableOp:0__17", "n"): "model/c",
    ("const_fold_opt__57", "StatefulPartitionedCall/model/c/Conv2D"): "model/c",
    ("conv2d/kernel:0__12", "conv2d"): "conv2d",
    ("ConvBnFusion_W_conv1.weight", "n"): "conv1",
    ("model.ema.conv.weight", "n"): "model.ema.conv",
    ("optimizer.mask", "n"): "optimizer.mask",
}


@pytest.mark.parametrize(("names", "expected"), NAMES.items())
def test_names_are_the_users(tmp_path, names, expected):
    tensor, node = names
    other = make("Conv", ["x", "z"], ["u"])
    nodes = [make("Conv", ["x", tensor], ["y"], name=node), other]
    network = network_of(tmp_path, nodes, {tensor: WEIGHT, "z": random(4, 3, 3, 3)})
    wanted = [expected, "z"]
    if expected.startswith("model.ema"):  # an attention module, not an average
        assert network.skipped == ()
    assert [layer.name for layer in network] == wanted


def test_names_are_unique(tmp_path):
    paths = [f"model/s/separable_conv2d/ReadVariableOp{end}:0" for end in ("", "_1")]
    nodes = [make("Conv", ["x", path], [f"y{path}"]) for path in paths]
    network = network_of(
        tmp_path, nodes, {path: random(4, 3, 3, 3) * (i + 1) for i, path in enumerate(paths)}
    )
    names = [layer.name for layer in network]
    assert len(set(names)) == 2
    assert all("model" in name for name in names)


def test_one_tensor_of_several_convolutions_is_one_layer(tmp_path):
    tensors = {"a.weight": WEIGHT, "q": (WEIGHT * 40).astype("int8"), "s": f4(0.02)}
    nodes = [
        make("Conv", ["x", "a.weight"], ["y1"], name="/a/Conv"),
        make("Identity", ["a.weight"], ["b.weight"]),
        make("Conv", ["x", "b.weight"], ["y2"], name="/b/Conv"),
        make("ConvTranspose", ["x", "a.weight"], ["y3"], name="/up/ConvTranspose"),
        make("DequantizeLinear", ["q", "s"], ["d"]),
        make("DequantizeLinear", ["q", "s"], ["e"]),
        make("Conv", ["x", "d"], ["y4"], name="/q/Conv"),
        make("Conv", ["x", "e"], ["y5"], name="/q/Conv_1"),
    ]
    network = network_of(tmp_path, nodes, tensors)
    assert [layer.name for layer in network] == ["a", "up", "q"]
    assert torch.equal(network["up"].weight, network["a"].weight.transpose(0, 1))
    text = " ".join(network.assumptions)
    assert "one tensor under several names is one layer: a also as b" in text
    assert "one tensor that 2 operators use" in text


# Graphs inside graphs


def test_subgraphs_and_what_they_see_around_them(tmp_path):
    info = onnx.helper.make_empty_tensor_value_info
    inner = onnx.helper.make_graph(
        [make("Conv", ["x", "outer.weight"], ["p"]), make("Conv", ["p", "inner.weight"], ["o"])],
        "then",
        [],
        [info("o")],
        initializer=[stored(random(4, 6, 1, 1), "inner.weight")],
    )
    other = onnx.helper.make_graph([make("Identity", ["x"], ["i"])], "else", [], [info("i")])
    nodes = [
        make("Conv", ["x", "first.weight"], ["a"]),
        make("If", ["c"], ["b"], then_branch=inner, else_branch=other),
        make("Conv", ["b", "last.weight"], ["y"], group=2),
    ]
    tensors = {
        name: random(6, 4, 3, 3) + number
        for number, name in enumerate(("last.weight", "outer.weight", "first.weight"))
    }
    network = network_of(tmp_path, nodes, tensors)
    assert [layer.name for layer in network] == ["first", "outer", "inner", "last"]
    assert network["last"].groups == 2


def test_functions_of_the_model_are_entered_at_each_call(tmp_path):
    inner = [
        make("Transpose", ["w"], ["t"], perm=[3, 2, 0, 1]),
        make("Conv", ["i", "t"], ["o"]),
    ]
    attribute = onnx.helper.make_attribute("group", 1)
    attribute.ref_attr_name, attribute.type = "parts", onnx.AttributeProto.INT
    attribute.ClearField("i")
    inner[1].attribute.append(attribute)
    imports = [onnx.helper.make_opsetid("", 21)]
    block = onnx.helper.make_function(
        "own", "Block", ["i", "w"], ["o"], inner, imports, attributes=["parts"]
    )
    scaled = onnx.helper.make_function(
        "own", "Scaled", ["w"], ["s"], [make("Neg", ["w"], ["s"])], imports
    )
    nodes = [
        make("Block", ["x", "a.weight"], ["a"], domain="own", parts=1),
        make("Block", ["a", "b.weight"], ["b"], domain="own", parts=2),
        make("Scaled", ["c.weight"], ["negative"], domain="own"),
        make("Conv", ["b", "negative"], ["y"]),
    ]
    tensors = {f"{name}.weight": random(3, 3, 4, 6) + i for i, name in enumerate("ab")}
    tensors["c.weight"] = WEIGHT
    network = network_of(tmp_path, nodes, tensors, functions=[block, scaled])
    assert [layer.name for layer in network] == ["a", "b", "c"]
    assert [layer.groups for layer in network] == [1, 2, 1]
    assert (network["b"].weight.numpy() == tensors["b.weight"].transpose(3, 2, 0, 1)).all()
    assert (network["c"].weight.numpy() == -WEIGHT).all()


@pytest.mark.parametrize(
    ("operator", "domain"),
    [("FusedConv", "com.microsoft"), ("NhwcConv", "com.microsoft"), ("DeformConv", "")],
)
def test_other_operators_that_convolve(tmp_path, operator, domain):
    node = make(operator, ["x", "a.weight", "b"], ["y"], domain=domain, group=2)
    network = network_of(tmp_path, [node], {"a.weight": WEIGHT})
    assert network["a"].groups == 2


def test_an_initializer_may_also_be_an_input(tmp_path):
    nodes = [make("Conv", ["x", "a.weight"], ["y"])]
    network = network_of(tmp_path, nodes, {"a.weight": WEIGHT}, inputs=("x", "a.weight"))
    assert (network["a"].weight.numpy() == WEIGHT).all()


# Constants that nobody trained


def test_constants_are_left_out_with_their_reason(tmp_path):
    time, frequency = np.arange(64), np.arange(33)[:, None]
    window = np.hanning(64)
    angles = 2 * np.pi * frequency * time / 64
    basis = np.concatenate([window * np.cos(angles), -window * np.sin(angles)])[:, None]
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    tensors = {
        "stft.weight": basis,
        "blur.weight": np.tile(blur, (8, 1, 1, 1)),
        "pool.weight": np.full((8, 1, 3, 3), 1 / 9),
        "same.weight": np.eye(4)[:, :, None, None],
        "sobel.weight": np.outer([1, 2, 1], [1, 0, -1])[None, None],
        "conv.weight": WEIGHT,
        "depthwise.weight": random(64, 1, 3, 3),
        "dead.weight": np.zeros((4, 3, 3, 3)),
        "waveform.weight": random(64, 1, 32),
    }
    nodes = [make("Conv", ["x", name], [f"y{name}"]) for name in tensors]
    network = network_of(tmp_path, nodes, {k: v.astype(f4) for k, v in tensors.items()})
    assert [layer.name for layer in network] == ["conv", "depthwise", "dead", "waveform"]
    found = reasons(network)
    assert found["stft"] == "a fixed Fourier basis, not trained weights"
    assert "one fixed kernel" in found["blur"]
    assert "an average" in found["pool"]
    assert "unchanged" in found["same"]
    assert "edge filters" in found["sobel"]


# Types and files


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_types_groups_and_transposition(tmp_path, raw, dtype):
    weights = {
        "a.weight": random(4, 3, 3, 3).astype(dtype),
        "g.weight": random(6, 2, 3, 3).astype(dtype),
        "up.weight": random(4, 3, 2, 2).astype(dtype),
        "other": random(4, 4, 4).astype(dtype),
    }
    tensors = []
    for name, value in weights.items():
        if raw:
            tensors.append(stored(value, name))
        else:
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
            tensors.append(onnx.helper.make_tensor(name, kind, value.shape, value.ravel()))
    nodes = [
        make("Conv", ["x", "a.weight"], ["y1"]),
        make("Conv", ["x", "g.weight"], ["y2"], group=3),
        make("ConvTranspose", ["x", "up.weight"], ["y3"], group=2),
        make("MatMul", ["x", "other"], ["y4"]),
    ]
    save(tmp_path / "m.bin", nodes, tensors)
    network = load(tmp_path / "m.bin")
    assert [layer.name for layer in network] == ["a", "g", "up"]
    assert [layer.groups for layer in network] == [1, 3, 2]
    assert [layer.transposed for layer in network] == [False, False, True]
    assert (network["a"].weight.numpy() == weights["a.weight"]).all()
    assert network["up"].weight.shape == (6, 2, 2, 2)
    assert [entry.name for entry in network.skipped] == ["other"]
    assert network.assumptions == ()


def test_constants_casts_and_what_is_computed(tmp_path):
    weight = random(4, 3, 3, 3)
    constant = stored(weight, "")
    packed = stored(np.ones((4, 3, 3, 3), np.int8), "packed")
    half = stored(weight.astype("float16"), "onnx::Conv_7")
    nodes = [
        make("Constant", [], ["c"], value=constant),
        make("Conv", ["x", "c"], ["yc"]),
        make("Cast", ["onnx::Conv_7"], ["wide"], to=1),
        make("Conv", ["x", "wide"], ["y"], name="/layer1/conv1/Conv"),
        make("ConvInteger", ["x", "packed"], ["z"]),
        make("Relu", ["c"], ["positive"]),
        make("Conv", ["x", "positive"], ["v"], name="computed"),
    ]
    save(tmp_path / "m.onnx", nodes, [half, packed])
    network = load(tmp_path / "m.onnx")
    assert {layer.name for layer in network} == {"c", "layer1.conv1"}
    reasons = {entry.name: entry.reason for entry in network.skipped}
    assert "quantised" in reasons["packed"]
    assert "computed" in reasons["computed"]


def test_external_data_stays_in_its_folder(tmp_path):
    weight = random(64, 32, 3, 3)
    folder = tmp_path / "model"
    folder.mkdir()

    def write(name):
        tensor = stored(weight, "a.weight")
        model = save(folder / name, [make("Conv", ["x", "a.weight"], ["y"])], [tensor])
        onnx.save(model, folder / name, save_as_external_data=True, location="data.bin")
        return folder / name

    path = write("m.onnx")
    assert (load(path)["a"].weight.numpy() == weight).all()
    (folder / "data.bin").rename(tmp_path / "data.bin.x")
    with pytest.raises(UnreadableError, match="missing"):
        load(path)
    (folder / "data.bin").symlink_to(tmp_path / "data.bin.x")
    with pytest.raises(UnreadableError, match="outside"):
        load(path)
    for place in (b"/etc/pwd", b"../d.bin"):
        (folder / "bad.onnx").write_bytes(path.read_bytes().replace(b"data.bin", place))
        with pytest.raises(UnreadableError, match="outside"):
            load(folder / "bad.onnx")


# Hostile graphs


def chain(operator, length, *second):
    return [
        make(
            operator,
            [f"k{i - 1}" if i else "w", *(f"k{i - 1}" if i else "w" for _ in second)],
            [f"k{i}"],
        )
        for i in range(length)
    ]


def own(name, nodes, inputs=("i", "w"), outputs=("o",)):
    imports = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("own", 1)]
    return onnx.helper.make_function("own", name, list(inputs), list(outputs), nodes, imports)


def call(name, *inputs, output="o"):
    return make(name, list(inputs), [output], domain="own")


GOOD = make("Conv", ["x", "w"], ["good"])
DOUBLING = [
    own(
        f"F{i}",
        [
            call(f"F{i + 1}", "w", output="a"),
            call(f"F{i + 1}", "w", output="b"),
            make("Add", ["a", "b"], ["o"]),
        ],
        ["w"],
    )
    for i in range(30)
]
HOSTILE = {
    "a long chain": (chain("Neg", 5000), [], "more than 64 operators"),
    "more elements than stored": (
        [make("Expand", ["s", "sizes"], ["k4999"])],
        [],
        "more elements than the file stores",
    ),
    "an outer product": ([make("MatMul", ["s", "t"], ["k4999"])], [], "more elements"),
    "a long product": (
        [make("MatMul", ["b", "c"], ["u"]), make("Reshape", ["u", "cube"], ["k4999"])],
        [],
        "more length",
    ),
    "a function of itself": (
        [call("F", "w", output="k4999")],
        [own("F", [call("F", "w")], ["w"])],
        "deep",
    ),
    "functions that double": (
        [call("F0", "w", output="k4999")],
        [*DOUBLING, own("F30", [make("Neg", ["w"], ["o"])], ["w"])],
        "more than 64 operators",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ways_to_a_weight_lose_no_other_layer(tmp_path, name):
    nodes, functions, reason = HOSTILE[name]
    tensors = {
        "w": WEIGHT,
        "s": random(100_000, 1),
        "t": random(1, 100_000),
        "sizes": np.array([100_000, 1 << 20]),
        "b": random(1000, 100),
        "c": random(100, 1000),
        "cube": np.array([1000, 1000, 1]),
    }
    bad = make("Conv", ["x", "k4999"], ["y"], name="bad")
    network = network_of(tmp_path, [GOOD, *nodes, bad], tensors, functions=functions)
    assert [layer.name for layer in network] == ["w"]
    assert reason in network.skipped[0].reason


def test_sharing_is_not_unfolded(tmp_path):
    nodes = [*chain("Add", 50, "again"), make("Conv", ["x", "k49"], ["y"], name="c")]
    network = network_of(tmp_path, nodes, {"w": WEIGHT})
    np.testing.assert_allclose(network.layers[0].weight.numpy(), WEIGHT * 2.0**50, rtol=1e-6)


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ([own("F0", [make("Conv", ["i", "w"], ["a"]), call("F0", "a", "w")])], "nested"),
        (
            [
                own(f"F{i}", [call(f"F{i + 1}", "i", "w", output="a"), call(f"F{i + 1}", "a", "w")])
                for i in range(30)
            ]
            + [own("F30", [make("Conv", ["i", "w"], ["o"])])],
            "unfold",
        ),
    ],
    ids=["recursion", "doubling"],
)
def test_functions_without_end_are_refused(tmp_path, functions, reason):
    with pytest.raises(UnreadableError, match=reason):
        network_of(tmp_path, [call("F0", "x", "w")], {"w": WEIGHT}, functions=functions)


def test_impossible_sizes_lose_no_other_layer(tmp_path):
    tensors = [stored(WEIGHT, "w")]
    for name, sizes in {"far": [1 << 40, 3, 3], "beyond": [1 << 62, 1 << 62, -1]}.items():
        tensors.append(onnx.TensorProto(name=name, data_type=1, dims=sizes, raw_data=b"abcd"))
    nodes = [GOOD, make("Conv", ["x", "far"], ["y"]), make("Conv", ["x", "beyond"], ["z"])]
    found = reasons(network_of(tmp_path, nodes, tensors))
    assert "its data end after 4 of" in found["far"]
    assert "impossible" in found["beyond"]


BROKEN = [
    make("Unsqueeze", ["w", "twice"], ["k"]),
    make("Squeeze", ["w", "one"], ["k"]),
    make("Transpose", ["w"], ["k"], perm=[0, 9, 1, 2]),
    make("Reshape", ["w", "w"], ["k"]),
    make("Gather", ["w", "far"], ["k"]),
    make("Split", ["w", "far"], ["k"]),
    make("Slice", ["w", "one"], ["k"]),
    make("DequantizeLinear", ["w", "twice"], ["k"]),
    make("DequantizeLinear", ["w"], ["k"]),
    make("ReduceSum", ["w", "far"], ["k"]),
    make("Cast", ["w"], ["k"], to=99),
    make("Pad", ["w", "one"], ["k"]),
    make("Flatten", ["w"], ["k"], axis=3),
]


@pytest.mark.parametrize("node", BROKEN, ids=lambda node: node.op_type)
def test_operators_that_do_not_fit_lose_no_other_layer(tmp_path, node):
    tensors = {"w": WEIGHT, "twice": np.array([0, 0]), "one": np.array([1]), "far": np.array([99])}
    nodes = [GOOD, node, make("Conv", ["x", "k"], ["y"], name="bad")]
    network = network_of(tmp_path, nodes, tensors)
    assert [layer.name for layer in network] == ["w"]
    assert len(network.skipped) == 1
