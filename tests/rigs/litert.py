"""TFLite models read back, and run in LiteRT on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

NAMES = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()
}  # fmt: skip


def logits(content: bytes, images: np.ndarray) -> np.ndarray:
    """What a model makes of `images` [n, channels, height, width], by its signature."""
    run = interpreter(content).get_signature_runner()
    found: np.ndarray = run(input=images.transpose(0, 2, 3, 1))["logits"]
    return found


def interpreter(content: bytes) -> Interpreter:
    loaded = Interpreter(model_content=content, num_threads=1)
    loaded.allocate_tensors()
    return loaded


def partitions(content: bytes) -> int:
    """How many pieces of the network XNNPACK runs."""
    operators = interpreter(content)._get_ops_details()
    return sum(each["op_name"] == "DELEGATE" for each in operators)


def is_one_partition(content: bytes) -> bool:
    """Whether XNNPACK runs all of the network, from the input to the logits, in one piece."""
    loaded = interpreter(content)
    operators = loaded._get_ops_details()
    computed = {int(i) for each in operators for i in each["outputs"]}
    delegates = [each for each in operators if each["op_name"] == "DELEGATE"]
    if len(delegates) != 1:
        return False
    inputs, outputs = ({int(i) for i in delegates[0][kind]} for kind in ("inputs", "outputs"))
    (image,), (result,) = loaded.get_input_details(), loaded.get_output_details()
    # Apart from constants it reads the image alone: nothing that another operator computes.
    return image["index"] in inputs and not inputs & computed and outputs == {result["index"]}


def parsed(content: bytes) -> Any:
    """The schema's ModelT."""
    return schema.ModelT.InitFromPackedBuf(content)


def operators(content: bytes) -> list[str]:
    """The names of the operators, in order."""
    model = parsed(content)
    codes = [NAMES[code.builtinCode] for code in model.operatorCodes]
    return [codes[each.opcodeIndex] for each in model.subgraphs[0].operators]


def misaligned_buffers(content: bytes) -> list[int]:
    """The buffers whose content is outside of the flatbuffer, or not at a multiple of 16."""
    model = schema.Model.GetRootAs(content)
    found = []
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        inside = not buffer.DataIsNone() or i == 0
        data = 0 if buffer.DataIsNone() else buffer._tab.Vector(buffer._tab.Offset(4))
        if not inside or data % 16:
            found.append(i)
    return found
