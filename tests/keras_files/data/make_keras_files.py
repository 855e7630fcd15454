"""Made the Keras files in this folder; needs Keras 3 (torch backend), or tf_keras.

Run ``python make_keras_files.py keras`` and ``python make_keras_files.py tf_keras`` in this folder.
The committed files were made by keras 3.15.1 and tf_keras 2.21.0. The tests do not need either:
``keras_files.json`` lists, by file, the name that a layer should get, its class, its groups and
its kernel's shape and first value; the others go up by one from there.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
if sys.argv[1] == "keras":
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
else:
    import tf_keras as keras
L = keras.layers


@keras.saving.register_keras_serializable()
class ResBlock(L.Layer):
    def __init__(self, filters, **options):
        super().__init__(**options)
        self.filters = filters
        self.c1 = L.Conv2D(filters, 3, padding="same")
        self.c2 = L.Conv2D(filters, 1)

    def build(self, shape):
        self.c1.build(shape)
        self.c2.build((*shape[:-1], self.filters))
        self.built = True

    def call(self, x):
        return self.c2(self.c1(x))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


class Block(L.Layer):
    def __init__(self):
        super().__init__()
        self.up, self.dw, self.seq = L.Conv2DTranspose(4, 2), L.DepthwiseConv2D(3), L.Conv1D(3, 5)
        self.mix = L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")
        self.list = [L.Conv2D(5, 1), L.SeparableConv2D(2, 3)]

    def call(self, x):
        x = self.up(x)
        for layer in self.list:
            x = layer(x)
        return self.mix(self.seq(self.dw(x)[:, 0]))


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = Block()

    def call(self, x):
        return self.blocks(x)


def counted():
    L.Conv2D(1, 1), L.Conv2D(1, 1)  # earlier layers of the session
    x = start = keras.Input((9, 9, 4))
    for filters, groups in ((4, 1), (8, 4), (8, 2)):
        x = L.Conv2D(filters, 1, groups=groups)(x)
    x = L.Conv2D(3, 2, name="conv2d")(x)
    x = L.Conv2DTranspose(5, 1, name="conv2d_1")(x)
    model = keras.Model(start, L.DepthwiseConv2D(2, depth_multiplier=2)(x))
    return model, {layer.name: layer for layer in model.layers[1:]}


def custom():
    start = keras.Input((8, 8, 3))
    first, one, two = L.Conv2D(2, 3), ResBlock(4), ResBlock(4)
    model = keras.Model(start, two(one(first(start))))
    inner = {f"{b.name}.{c}": getattr(b, c) for b in (one, two) for c in ("c1", "c2")}
    return model, {first.name: first, **inner}


def attributes():
    model = Net()
    model(np.zeros((1, 9, 9, 6), "float32"))
    block = model.blocks
    own = keras.__version__.startswith("3")  # which states the layers' own names
    names = [layer.name if own else kind for layer, kind in zip(block.list, KINDS, strict=True)]
    holder = "blocks" if own else "block"
    listed = {f"{holder}.list.{name}": layer for name, layer in zip(names, block.list, strict=True)}
    inner = {f"{holder}.{name}": getattr(block, name) for name in ("dw", "seq", "up")}
    return model, {**inner, **listed}


KINDS = ("conv2d", "separable_conv2d")


def nested():
    shared = L.Conv2D(3, 1, name="shared")
    low = keras.Input((9, 9, 3))
    low = keras.Model(low, L.Conv2D(2, 3, name="grouped")(shared(low)), name="low")
    middle = keras.Sequential([keras.Input((9, 9, 3)), low, L.DepthwiseConv2D(3)], name="middle")
    start = keras.Input((9, 9, 3))
    last = L.Conv2D(4, 1, name="grouped")
    model = keras.Model(start, last(middle(shared(start))))
    return model, {
        "shared": shared,
        "middle.low.grouped": low.layers[-1],
        f"middle.{middle.layers[-1].name}": middle.layers[-1],
        "grouped": last,
    }


def wrapped():
    start = keras.Input((3, 5, 5, 2))
    inner = L.Conv2D(3, 3, use_bias=False)
    x = L.TimeDistributed(inner)(start)
    last = L.Conv1D(3, 2, use_bias=False, name="last")
    x = L.Reshape((9, 9))(x)
    model = keras.Model(start, last(L.MultiHeadAttention(2, 3, use_bias=False)(x, x)))
    return model, {"time_distributed.layer": inner, "last": last}


def kernels(layer):
    if "Separable" in type(layer).__name__:
        return {
            ".depthwise_kernel": layer.depthwise_kernel,
            ".pointwise_kernel": layer.pointwise_kernel,
        }
    return {"": layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel}


def fill(layers):
    """Put numbers that go up by one into the kernels, and say what they are."""
    rows, first = [], 0
    for name, layer in layers.items():
        for leaf, kernel in kernels(layer).items():
            shape = tuple(map(int, kernel.shape))
            size = int(np.prod(shape))
            kernel.assign(np.arange(first, first + size, dtype="float32").reshape(shape))
            kind = type(layer).__name__
            rows.append([name + leaf, kind, int(getattr(layer, "groups", 1)), first, list(shape)])
            first += size
    return rows


def main():
    listing = HERE / "keras_files.json"
    told = json.loads(listing.read_text()) if listing.exists() else {}
    endings = {
        counted: (".keras", ".h5"),
        custom: (".keras",),
        attributes: (".weights.h5",),
        nested: (".keras", ".h5"),
        wrapped: (".keras",),
    }
    mark = "" if sys.argv[1] == "keras" else "-tf"
    if mark:
        endings = {custom: (".keras",), attributes: (".weights.h5",)}
    for make, kinds in endings.items():
        keras.backend.clear_session()
        model, layers = make()
        rows = fill(layers)
        for ending in kinds:
            path = HERE / f"keras-{make.__name__}{mark}{ending}"
            (model.save_weights if "weights" in ending else model.save)(path)
            # Files of HDF5 leave the model between a model and its layers out.
            within = ".low" if ending == ".h5" else ""
            told[path.name] = [[row[0].replace(within, ""), *row[1:]] for row in rows]
    lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted(told.items())]
    listing.write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
