"""Small ONNX nodes and their results by the reference evaluator of the package `onnx` (Apache-2.0), an implementation in NumPy that shares
nothing with Kiln. Run by make_onnx_expectations.py.
"""
import pathlib
import zlib

import numpy as np
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import save_file

f32, i64, i32, u8, i8, b1 = np.float32, np.int64, np.int32, np.uint8, np.int8, np.bool_
arrays = {}
drawn = {}
TYPES = {np.dtype(k): v for k, v in {
    np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.float16: TensorProto.FLOAT16, np.int8: TensorProto.INT8,
    np.int16: TensorProto.INT16, np.int32: TensorProto.INT32, np.int64: TensorProto.INT64, np.uint8: TensorProto.UINT8,
    np.uint16: TensorProto.UINT16, np.uint32: TensorProto.UINT32, np.uint64: TensorProto.UINT64, np.bool_: TensorProto.BOOL}.items()}


def rng(*key):
    """Numbers that depend on the shape and on how many of that shape the case has drawn, so that cases do not disturb each other."""
    drawn[key] = drawn.get(key, 0) + 1
    return np.random.default_rng(zlib.crc32(repr((key, drawn[key])).encode()))


def f(*shape, low=-2.0, high=2.0):
    return rng("f", shape).uniform(low, high, shape).astype(f32)


def n(*shape, low=0, high=10, dtype=i64):
    return rng("n", shape).integers(low, high, shape).astype(dtype)


def a(values, dtype=f32):
    return np.array(values, dtype)


def model_of(nodes, inputs, outputs, opset, domain):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, TYPES[value.dtype], value.shape) for name, value in inputs],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs])
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1 if domain != "ai.onnx.ml" else 5 if opset > 20 else 3))
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def case(name, inputs, opset=24, outputs=1, domain="", keep=None, **attributes):
    """Operator/variant: one node on these inputs (None: left out). `keep`: which outputs are compared."""
    drawn.clear()
    operator = name.split("/")[0]
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    given = [(key, value) for key, value in zip(names, inputs) if key]
    out = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(operator, names, out, domain=domain, **attributes)
    results = ReferenceEvaluator(model_of([node], given, out, opset, domain)).run(None, dict(given))
    save(name, [value for _, value in given], [r for i, r in enumerate(results) if keep is None or i in keep])


def save(name, inputs, outputs):
    assert f"{name}/out/0" not in arrays, name
    for kind, values in (("in", inputs), ("out", outputs)):
        for i, value in enumerate(values):
            value = np.asarray(value)
            value = value.astype(np.float32) if value.dtype == np.float64 else value
            assert value.dtype in TYPES, (name, value.dtype)
            arrays[f"{name}/{kind}/{i}"] = np.ascontiguousarray(value).reshape(value.shape)


def body(nodes, inputs, outputs):
    """A subgraph; inputs and outputs are (name, type, shape)."""
    info = [[helper.make_tensor_value_info(*v) for v in values] for values in (inputs, outputs)]
    return helper.make_graph(nodes, "body", info[0], info[1])


def write(group):
    save_file(arrays, pathlib.Path(__file__).parent / "expectations" / f"{group}.safetensors")
    print(len({k.rsplit("/", 2)[0] for k in arrays}), "cases,", sum(v.nbytes for v in arrays.values()), "bytes")
