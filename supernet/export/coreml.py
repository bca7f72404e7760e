"""Writes a graph and its folded weights as a Core ML program, with coremltools' MIL builder.

Building a program takes a sixth of the time of converting a traced module, and determines exactly
what is written. None of coremltools' graph passes is run: they take two thirds of a conversion and
do not change a byte of these programs (benchmarks/bench_coreml.py). A float16 program casts its
input and its logits, as coremltools' own pass would do it. h-swish is x * sigmoid_hard(x), which is
equal for finite x and one operator less than the converter's form.

Programs have the first version of the format (iOS 15, macOS 12). They can be written on Linux and
macOS, and run with Apple's frameworks only.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from compofa.common.errors import MissingExtra, UserError, file_error
from compofa.supernet.blocks import (
    INPUT,
    OUTPUT,
    Add,
    Conv,
    Layer,
    Linear,
    PoolLayer,
    SqueezeExcite,
)
from compofa.supernet.export.description import metadata
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.packages import MANIFEST, zipped
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph
from compofa.supernet.subnet import Activation


def write_coreml(
    graph: Graph,
    weights: Weights,
    *,
    batch_size: int = 1,
    dtype: Dtype = Dtype.FLOAT32,
    checkpoint_sha256: str | None = None,
) -> bytes:
    """Writes the .mlpackage of `graph` and returns it as a zip.

    The model's input is [n, channels, height, width], its output `logits` [n, classes]. The same
    arguments give the same bytes.

    Args:
        graph: a graph of any family.
        weights: the weights that `weight_shapes` lists.
        batch_size: n.
        dtype: the number type in which it computes, float32 or float16. Input and logits are
            float32 in both.
        checkpoint_sha256: the digest of the checkpoint, which is written into the model.

    Raises:
        MissingExtra: coremltools is not installed.
        UserError: coremltools cannot write programs on this platform, a weight is outside the range
            of `dtype`, or temporary files cannot be written.
    """
    with quiet():
        coremltools = _coremltools()
        model = program(graph, weights, batch_size, dtype)
        spec, files = _converted(coremltools, model)
    _describe(spec, metadata(graph, checkpoint_sha256=checkpoint_sha256))
    return zipped(_fixed(files, spec.SerializeToString(deterministic=True)))


def _coremltools() -> ModuleType:
    """The package coremltools, after a check that it can write programs.

    On a platform for which it has no wheel, it can be installed but lacks its compiled parts.
    """
    try:
        import coremltools
    except ImportError:
        raise MissingExtra("coremltools", "coreml") from None
    if find_spec("coremltools.libmilstoragepython") is None:
        raise UserError(
            "coremltools has no compiled parts for this platform, so it cannot write programs",
            hint="write the file on Linux or macOS; it is the same on both",
        )
    package: ModuleType = coremltools
    return package


def _converted(coremltools: ModuleType, model: Any) -> tuple[Any, dict[str, bytes]]:
    """The protobuf message of a MIL program, and the files of its package."""
    try:
        with tempfile.TemporaryDirectory(prefix="compofa-coreml-") as folder:
            package = Path(folder, "model.mlpackage")
            converted = coremltools.convert(
                model,
                convert_to="mlprogram",
                minimum_deployment_target=coremltools.target.iOS15,
                compute_precision=coremltools.precision.FLOAT32,
                pass_pipeline=coremltools.PassPipeline.EMPTY,
                skip_model_load=True,
                package_dir=str(package),
            )
            files = (path for path in package.rglob("*") if path.is_file())
            contents = {path.relative_to(package).as_posix(): path.read_bytes() for path in files}
            return converted.get_spec(), contents
    except OSError as error:
        raise file_error(error, tempfile.gettempdir(), "cannot write the program") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses coremltools' messages about torch's version, macOS and its progress."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _describe(spec: Any, facts: dict[str, str]) -> None:
    """Replaces coremltools' description, which contains its version and the date."""
    described = spec.description.metadata
    described.Clear()
    described.shortDescription = f"{facts['space']} {facts['subnet']} at {facts['resolution']}"
    described.userDefined.update(facts)


def _fixed(files: dict[str, bytes], spec: bytes) -> dict[str, bytes]:
    """The package's files with this spec, and with identifiers made from paths instead of random.

    The same model then always gives the same bytes.
    """
    manifest = json.loads(files[MANIFEST])
    entries = manifest["itemInfoEntries"]
    names = {old: str(uuid.uuid5(uuid.NAMESPACE_URL, entries[old]["path"])) for old in entries}
    root = manifest["rootModelIdentifier"]
    manifest["itemInfoEntries"] = {names[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = names[root]
    return files | {
        MANIFEST: json.dumps(manifest, indent=4, sort_keys=True).encode(),
        f"Data/{entries[root]['path']}": spec,
    }


def program(graph: Graph, weights: Weights, batch_size: int, dtype: Dtype) -> Any:
    """`graph` as a MIL program."""
    from coremltools import target
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    image = Builder.TensorSpec(shape=(batch_size, *graph.input), dtype=types.fp32)
    build = Builder.program(input_specs=[image], opset_version=target.iOS15)
    # The builder names the program's input after the parameter.
    return build(lambda input: _Writer(weights, dtype).network(graph, input))


class _Writer:
    """Adds layers to the program that is being built; a layer's output has the layer's name."""

    def __init__(self, weights: Weights, dtype: Dtype) -> None:
        from coremltools.converters.mil import Builder

        self.build = Builder
        self.weights = weights
        self.dtype = dtype
        self.values: dict[str, Any] = {}

    def network(self, graph: Graph, image: Any) -> Any:
        """Adds all layers of `graph`, and returns the logits."""
        if self.dtype == Dtype.FLOAT16:
            image = self.build.cast(x=image, dtype="fp16", name=f"{INPUT}/half")
        self.values[INPUT] = image
        for layer in graph.layers:
            self.values[layer.name] = logits = self._added(layer)
        if self.dtype == Dtype.FLOAT16:
            logits = self.build.cast(x=logits, dtype="fp32", name=OUTPUT)
        # The model's output gets this name.
        logits.name = OUTPUT
        return logits

    def _added(self, layer: Layer) -> Any:
        if isinstance(layer, Conv):
            return self._conv(layer)
        if isinstance(layer, SqueezeExcite):
            return self._squeeze_excite(layer)
        if isinstance(layer, Add):
            first, second = (self.values[source] for source in layer.sources)
            total = self.build.add(x=first, y=second, name=f"{layer.name}/sum")
            return self._activated(total, layer.activation, layer.name)
        if isinstance(layer, PoolLayer):
            return self._pool(layer)
        return self._linear(layer)

    def _conv(self, conv: Conv) -> Any:
        bias = {"bias": self._weight(f"{conv.name}.bias")} if conv.batch_norm else {}
        output = self.build.conv(
            x=self.values[conv.source],
            weight=self._weight(f"{conv.name}.weight"),
            strides=[conv.stride] * 2,
            pad_type="custom",
            pad=[conv.kernel // 2] * 4,
            groups=conv.groups,
            name=f"{conv.name}/conv",
            **bias,
        )
        return self._activated(output, conv.activation, conv.name)

    def _squeeze_excite(self, layer: SqueezeExcite) -> Any:
        at, source = layer.name, self.values[layer.source]
        means = self._means(source, f"{at}/means")
        reduced = self._pointwise(means, f"{at}.reduce")
        squeezed = self.build.relu(x=reduced, name=f"{at}/squeezed")
        scale = self._hard_sigmoid(self._pointwise(squeezed, f"{at}.expand"), f"{at}/scale")
        return self.build.mul(x=source, y=scale, name=at)

    def _pointwise(self, source: Any, name: str) -> Any:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self.build.conv(x=source, weight=weight, bias=bias, pad_type="valid", name=name)

    def _pool(self, pool: PoolLayer) -> Any:
        source = self.values[pool.source]
        if pool.kind == "global_average":
            return self._means(source, pool.name)
        window = {"kernel_sizes": [pool.kernel] * 2, "strides": [pool.stride] * 2}
        if pool.kind == "max":
            pads = [pool.kernel // 2] * 4
            return self.build.max_pool(
                x=source, pad_type="custom", pad=pads, name=pool.name, **window
            )
        # If the size is rounded up, the last window extends beyond the image. Only the pixels
        # inside count for its average.
        beyond = pool.output.height * pool.stride - pool.input.height
        return self.build.avg_pool(
            x=source,
            pad_type="custom",
            pad=[0, beyond, 0, beyond],
            exclude_padding_from_average=True,
            name=pool.name,
            **window,
        )

    def _means(self, source: Any, name: str) -> Any:
        return self.build.reduce_mean(x=source, axes=[2, 3], keep_dims=True, name=name)

    def _linear(self, layer: Linear) -> Any:
        source = self.values[layer.source]
        flat = self.build.squeeze(x=source, axes=[2, 3], name=f"{layer.name}/flat")
        weight, bias = self._weight(f"{layer.name}.weight"), self._weight(f"{layer.name}.bias")
        return self.build.linear(x=flat, weight=weight, bias=bias, name=layer.name)

    def _activated(self, x: Any, activation: Activation, name: str) -> Any:
        if activation == "relu":
            return self.build.relu(x=x, name=name)
        if activation == "relu6":
            return self.build.relu6(x=x, name=name)
        if activation == "h_swish":
            return self.build.mul(x=x, y=self._hard_sigmoid(x, f"{name}/gate"), name=name)
        return x

    def _hard_sigmoid(self, x: Any, name: str) -> Any:
        number = np.dtype(self.dtype.value).type
        return self.build.sigmoid_hard(x=x, alpha=number(1 / 6), beta=number(0.5), name=name)

    def _weight(self, name: str) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):
            values = self.weights[name].astype(self.dtype.value, copy=False)
        if not np.isfinite(values).all():
            raise UserError(f"{name} has weights outside the range of {self.dtype}")
        return values
