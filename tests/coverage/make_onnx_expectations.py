#!/usr/bin/env python3
"""Writes expectations/onnx.safetensors: for every numeric ONNX operator, one small node per way in which its attributes change what an
importer builds. onnx_*.cpp build the same from Kiln's public functions.

Made with onnx 1.23.2 and NumPy 2; needs safetensors too.
"""
import numpy as np
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array
from onnx.reference import ReferenceEvaluator

from onnx_node import a, b1, body, case, f, f32, i8, i32, i64, model_of, n, save, u8, write

node = helper.make_node


def elementwise():
    for op in ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Neg", "Relu", "Sigmoid", "Sin", "Softplus", "Softsign", "Tan", "Tanh", "Sinh", "Cosh",
               "Atan", "Asinh", "Mish", "HardSwish", "Identity"):
        case(f"{op}/plain", [f(2, 3, low=-3, high=3)])
    for op in ("Acos", "Asin", "Atanh"):
        case(f"{op}/plain", [f(2, 3, low=-0.9, high=0.9)])
    for op in ("Log", "Sqrt", "Reciprocal"):
        case(f"{op}/plain", [f(2, 3, low=0.1, high=3)])
    case("Acosh/plain", [f(2, 3, low=1.1, high=5)])
    case("Sign/plain", [a([-2, -0.0, 0, 3, np.inf])])
    case("Round/ties", [a([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6])])
    case("IsNaN/plain", [a([1, np.nan, np.inf])])
    case("IsInf/both", [a([1, np.nan, np.inf, -np.inf])])
    case("IsInf/positive", [a([1, np.nan, np.inf, -np.inf])], detect_negative=0)
    case("IsInf/negative", [a([1, np.nan, np.inf, -np.inf])], detect_positive=0)
    case("Celu/alpha", [f(2, 3)], alpha=2.0)
    case("Elu/alpha", [f(2, 3)], alpha=2.0)
    case("Selu/default", [f(2, 3)])
    case("Selu/constants", [f(2, 3)], alpha=2.0, gamma=3.0)
    case("Gelu/none", [f(2, 3)])
    case("Gelu/tanh", [f(2, 3)], approximate="tanh")
    case("HardSigmoid/default", [f(2, 3, low=-4, high=4)])
    case("HardSigmoid/constants", [f(2, 3)], alpha=0.5, beta=0.6)
    case("LeakyRelu/alpha", [f(2, 3)], alpha=0.1)
    case("ThresholdedRelu/alpha", [f(2, 3)], alpha=0.5)
    case("Swish/alpha", [f(2, 3)], alpha=1.5)
    case("Shrink/lambda", [f(2, 3)], lambd=1.0)
    case("Shrink/bias", [f(2, 3)], lambd=1.0, bias=1.0)
    case("PRelu/one", [f(2, 3), a([0.3])])
    case("PRelu/channels", [f(2, 3, 2, 2), f(3, 1, 1)])
    case("Clip/both", [f(2, 3), a(-1), a(0.5)])
    case("Clip/low", [f(2, 3), a(-1)])
    case("Clip/high", [f(2, 3), None, a(0.5)])
    case("Clip/none", [f(2, 3)])
    case("Clip/integers", [n(2, 3, low=-9, dtype=i8), a(-2, i8), a(5, i8)])
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        case(f"{op}/broadcast", [f(2, 1, 3), f(4, 1, low=0.5)])
    case("Add/integers", [a([250, 7], u8), a([10, 1], u8)])
    case("Div/integers", [a([7, -7, 9], i32), a([2, 2, -4], i32)])
    case("Sub/integers", [a([1, 7], u8), a([3, 1], u8)])
    case("Max/many", [f(2, 3), f(3), f(2, 1)])
    case("Min/many", [f(2, 3), f(3), f(2, 1)])
    case("Max/one", [f(2, 3)])
    case("Max/nan", [a([np.nan, 1]), a([0, np.nan])])
    case("Sum/many", [f(2, 3), f(3), f(2, 1)])
    case("Mean/many", [f(2, 3), f(3), f(2, 1)])
    case("Mod/floor", [a([-4, 7, 5, 4, -7, 8], i32), a([2, -3, 8, -2, 3, 5], i32)])
    case("Mod/fmod", [a([-4.3, 7.2, 5, 4.3, -7.2, 8]), a([2.1, -3.4, 8, -2.1, 3.4, 5])], fmod=1)
    case("Mod/unsigned", [a([4, 7, 5], u8), a([2, 3, 8], u8)])
    case("Pow/broadcast", [f(2, 3, low=0.1), f(3)])
    case("Pow/dtypes", [f(2, 3, low=0.1), a([2, 3, 0], i64)])
    case("Pow/integers", [a([2, -3, 5], i32), a([3, 3, 0], i32)])
    case("BitShift/left", [a([16, 4, 1], u8), a([1, 2, 7], u8)], direction="LEFT")
    case("BitShift/right", [a([16, 4, 1], u8), a([1, 2, 3], u8)], direction="RIGHT")
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        case(f"{op}/broadcast", [n(2, 3, low=-99, high=99, dtype=i32), n(3, low=-99, high=99, dtype=i32)])
    case("BitwiseNot/plain", [n(2, 3, low=-99, high=99, dtype=i32)])
    for op in ("And", "Or", "Xor"):
        case(f"{op}/broadcast", [n(2, 3, high=2, dtype=b1), n(3, high=2, dtype=b1)])
    case("Not/plain", [n(2, 3, high=2, dtype=b1)])
    for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        case(f"{op}/broadcast", [n(2, 3, high=3).astype(f32), n(3, high=3).astype(f32)])
    case("Equal/bool", [n(2, 3, high=2, dtype=b1), n(3, high=2, dtype=b1)])
    case("Where/broadcast", [n(2, 1, high=2, dtype=b1), f(2, 3), f(3)])
    case("Cast/truncates", [a([-2.7, 2.7, 0, 100])], to=TensorProto.INT32)
    case("Cast/bool", [a([0, -0.0, 0.1, np.nan])], to=TensorProto.BOOL)
    case("Cast/half", [f(2, 3)], to=TensorProto.FLOAT16)
    case("Cast/wraps", [a([1, 200, 300], i32)], to=TensorProto.UINT8)
    case("CastLike/plain", [f(2, 3), a([1], i64)])
    case("BitCast/same_width", [f(2, 3)], to=TensorProto.INT32, opset=26)
    case("Dropout/inference", [f(2, 3)])
    case("SwiGLU/default", [f(2, 3), f(2, 3)], opset=28)
    case("SwiGLU/alpha", [f(2, 3), f(2, 3)], opset=28, alpha=1.5)


def reductions():
    for op in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
               "ReduceSumSquare"):
        x = f(2, 3, 4, low=0.1)
        case(f"{op}/keepdims", [x, a([1], i64)], keepdims=1)
        case(f"{op}/two_axes", [x, a([0, -1], i64)], keepdims=0)
        case(f"{op}/all", [x], keepdims=1)
        case(f"{op}/noop", [x], keepdims=1, noop_with_empty_axes=1)
        case(f"{op}/axes_attribute", [x], keepdims=0, axes=[-2], opset=11 if op == "ReduceSum" else 13)
    case("ReduceMax/bool", [n(2, 3, high=2, dtype=b1), a([1], i64)], keepdims=0)
    case("ReduceMin/bool", [n(2, 3, high=2, dtype=b1), a([1], i64)], keepdims=0)
    case("ReduceSum/integers", [n(2, 3, dtype=i32), a([1], i64)], keepdims=0)
    for op in ("ArgMax", "ArgMin"):
        x = a([[2, 2, 1], [3, 10, 10], [1, 5, 1]])
        case(f"{op}/first", [x], axis=1, keepdims=1)
        case(f"{op}/last", [x], axis=-1, keepdims=0, select_last_index=1)
        case(f"{op}/axis_0", [x], axis=0, keepdims=0)
    case("CumSum/plain", [f(2, 3), a(1, i64)])
    case("CumSum/exclusive_reverse", [f(2, 3), a(-1, i64)], exclusive=1, reverse=1)
    case("CumProd/plain", [f(2, 3), a(1, i64)], opset=26)
    case("CumProd/exclusive_reverse", [f(2, 3), a(0, i64)], exclusive=1, reverse=1, opset=26)
    case("TopK/largest", [f(2, 5), a([3], i64)], outputs=2, axis=1, largest=1)
    case("TopK/smallest", [f(2, 5), a([2], i64)], outputs=2, axis=0 - 1, largest=0)
    case("TopK/axis_0", [f(4, 2), a([2], i64)], outputs=2, axis=0)
    x = a([2, 1, 1, 3, 4, 3])
    case("Unique/sorted", [x], outputs=4, sorted=1)
    case("Unique/unsorted", [x], outputs=4, sorted=0)
    case("Unique/axis_0", [a([[1, 0, 0], [1, 0, 0], [0, 3, 4]])], outputs=4, axis=0, sorted=1)
    case("Unique/axis_1", [a([[2, 1, 2, 1], [0, 1, 0, 0]])], outputs=4, axis=1, sorted=1)
    case("NonZero/plain", [a([[1, 0], [1, 1]])])
    case("Compress/axis", [f(3, 2), a([0, 1, 1], b1)], axis=0)
    case("Compress/flat", [f(3, 2), a([0, 1, 0, 0, 1], b1)])


def products():
    case("MatMul/matrices", [f(2, 3), f(3, 4)])
    case("MatMul/batch", [f(2, 1, 2, 3), f(4, 3, 2)])
    case("MatMul/vector", [f(3), f(3, 2)])
    case("MatMul/integers", [n(2, 3, dtype=i32), n(3, 2, dtype=i32)])
    case("Gemm/all", [f(3, 2), f(4, 3), f(1, 4)], alpha=0.25, beta=0.35, transA=1, transB=1)
    case("Gemm/no_bias", [f(2, 3), f(3, 4)])
    case("Gemm/scalar_bias", [f(2, 3), f(3, 4), a(3.14)])
    case("Einsum/batch", [f(2, 3, 4), f(2, 4, 2)], equation="bij, bjk -> bik")
    case("Einsum/diagonal", [f(2, 3, 3)], equation="...ii ->...i")
    case("Einsum/implicit", [f(3, 2), f(2, 3)], equation="ij,ji")
    case("Det/batch", [f(2, 3, 3)])
    case("MatMulInteger/zero_points", [n(4, 3, high=255, dtype=u8), n(3, 2, high=255, dtype=u8), a(12, u8), a(0, u8)])
    case("MatMulInteger/rows", [n(4, 3, high=255, dtype=u8), n(3, 2, high=255, dtype=u8), a([[1], [2], [3], [4]], u8), a([5, 6], u8)])
    case("QLinearMatMul/plain", [n(2, 4, high=255, dtype=u8), a(0.0066), a(113, u8), n(4, 3, high=255, dtype=u8), a(0.00705), a(114, u8),
                                 a(0.0107), a(118, u8)], opset=21)
    case("QLinearMatMul/batch_i8", [n(2, 2, 4, low=-128, high=127, dtype=i8), a(0.0066), a(-14, i8), n(2, 4, 3, low=-128, high=127, dtype=i8),
                                    a(0.00705), a(-15, i8), a(0.0107), a(-9, i8)], opset=21)


def quantization():
    x = a([[-162, 10, -100], [0, 13, 1000], [3.5, 1, -0.5]])
    case("QuantizeLinear/default", [a([0, 2, 4, 1000, -254, 1]), a(2)])
    case("QuantizeLinear/tensor", [x, a(2), a(128, u8)])
    case("QuantizeLinear/axis", [x, a([2, 4, 5]), a([84, 24, 196], u8)], axis=1)
    case("QuantizeLinear/blocks", [f(3, 4, low=-9, high=9), f(3, 2, low=0.1, high=0.2), n(3, 2, low=-5, high=5, dtype=i8)], axis=1, block_size=2)
    case("QuantizeLinear/output_dtype", [x, a(2)], output_dtype=TensorProto.INT16)
    case("DequantizeLinear/tensor", [a([0, 3, 128, 255], u8), a(2), a(128, u8)])
    case("DequantizeLinear/no_zero_point", [a([-500, 3, 128], i32), a(0.5)])
    case("DequantizeLinear/axis", [n(2, 3, high=255, dtype=u8), a([2, 4, 5]), a([84, 24, 196], u8)], axis=-1)
    case("DequantizeLinear/blocks", [n(5, 2, low=-99, high=99, dtype=i8), f(3, 2, low=0.1), n(3, 2, low=-5, high=5, dtype=i8)], axis=0, block_size=2)
    case("DynamicQuantizeLinear/both_signs", [a([0, 2, -3, -2.5, 1.34, 0.5])], outputs=3)
    case("DynamicQuantizeLinear/negative", [a([-1, -2.1, -1.3, -2.5, -3.34, -4])], outputs=3)
    case("DynamicQuantizeLinear/positive", [a([[1, 2.1, 1.3], [1.5, 3.3, 2.4]])], outputs=3)
    case("ConvInteger/padding", [a(np.arange(2, 11).reshape(1, 1, 3, 3), u8), a(np.ones((1, 1, 2, 2)), u8), a(1, u8)], pads=[1, 1, 1, 1])
    case("ConvInteger/groups", [n(1, 4, 4, 4, high=255, dtype=u8), n(6, 2, 3, 3, high=255, dtype=u8), a(9, u8), a(7, u8)], group=2, strides=[2, 2],
         pads=[1, 0, 1, 0], dilations=[1, 1])
    case("QLinearConv/plain", [n(1, 1, 5, 5, high=255, dtype=u8), a(0.0037), a(132, u8), n(1, 1, 2, 2, high=255, dtype=u8), a(0.0017), a(20, u8),
                               a(0.0016), a(123, u8)])
    case("QLinearConv/channels_bias", [n(1, 2, 4, 4, high=255, dtype=u8), a(0.02), a(120, u8), n(3, 2, 2, 2, low=-100, high=100, dtype=i8),
                                       a([0.02, 0.03, 0.01]), a([0, 0, 0], i8), a(1.5), a(100, u8), a([100, -200, 300], i32)], pads=[1, 0, 0, 1])


def shapes():
    x = f(2, 3, 4)
    case("Reshape/zero_and_rest", [x, a([0, -1], i64)])
    case("Reshape/allowzero", [np.zeros((0, 3), f32), a([3, 0], i64)], allowzero=1)
    case("Flatten/axis_1", [x], axis=1)
    case("Flatten/axis_0", [x], axis=0)
    case("Flatten/negative", [x], axis=-1)
    case("Transpose/default", [x])
    case("Transpose/perm", [x], perm=[1, 2, 0])
    case("Squeeze/axes", [f(1, 3, 1), a([0], i64)])
    case("Squeeze/all", [f(1, 3, 1)])
    case("Unsqueeze/axes", [x, a([0, -1], i64)])
    case("Expand/both_ways", [f(3, 1), a([2, 1, 4], i64)])
    case("Tile/plain", [f(2, 3), a([2, 1], i64)])
    case("Concat/axis", [f(2, 3), f(2, 1)], axis=-1)
    case("Split/sizes", [f(2, 6), a([2, 4], i64)], outputs=2, axis=1)
    case("Split/uneven", [f(7)], outputs=3, num_outputs=3, axis=0)
    case("Slice/steps", [f(5, 6), a([1, -1], i64), a([5, -100], i64), a([0, 1], i64), a([2, -2], i64)])
    case("Slice/default_axes", [f(4, 3), a([1, 0], i64), a([1000, -1], i64)])
    case("Slice/fed", [f(9), a([2], i64), a([8], i64), a([0], i64), a([3], i64)])
    case("Shape/all", [x])
    case("Shape/part", [x], start=-2, end=3)
    case("Size/plain", [x])
    case("Pad/constant", [f(2, 3), a([0, 2, 1, 0], i64), a(1.5)])
    x = f(2, 4)
    save("Pad/axes_negative", [x], [np.pad(x, ((0, 0), (0, 2)))[:, 1:]])  # pads [-1, 2] of axes [1]
    for mode in ("reflect", "edge", "wrap"):
        case(f"Pad/{mode}", [f(3, 4), a([1, 2, 2, 1], i64)], mode=mode)
    case("Gather/axis_1", [f(3, 4), a([[0, -1], [2, 1]], i64)], axis=1)
    case("GatherElements/negative", [f(3, 3), a([[-1, 0, 2], [0, -3, 1]], i64)], axis=0)
    case("GatherND/plain", [f(2, 2, 3), a([[0, 1], [1, -1]], i64)])
    case("GatherND/batch", [f(2, 2, 3), a([[1], [0]], i64)], batch_dims=1)
    case("ScatterElements/replace", [f(3, 3), a([[1, 0, 2], [0, 2, -2]], i64), f(2, 3)], axis=0)
    y, put = f(2, 3), f(1, 3)
    z = y.copy()
    for column, row in enumerate((1, 0, 1)):
        z[row, column] = put[0, column]
    save("Scatter/replace", [y, a([[1, 0, 1]], i64), put], [z])  # ScatterElements before opset 11
    for mode in ("add", "mul", "max", "min"):
        case(f"ScatterElements/{mode}", [f(1, 5), a([[1, 1]], i64), f(1, 2)], axis=1, reduction=mode)
    case("ScatterND/replace", [f(4, 2), a([[2], [0]], i64), f(2, 2)])
    for mode in ("add", "mul", "max", "min"):
        case(f"ScatterND/{mode}", [f(4, 2), a([[2], [2]], i64), f(2, 2)], reduction=mode)
    case("TensorScatter/linear", [f(2, 1, 4, 3), f(2, 1, 2, 3), a([1, 2], i64)], mode="linear")
    case("TensorScatter/circular", [f(2, 1, 4, 3), f(2, 1, 2, 3), a([1, 3], i64)], mode="circular")
    case("OneHot/axis", [a([1, -1, 7], i64), a(5, i64), a([2, 4])], axis=0)
    case("OneHot/last", [a([[0, 2]], i64), a(3, i64), a([0, 1])])
    case("Range/integers", [a(10, i32), a(6, i32), a(-3, i32)])
    case("Range/floats", [a(1), a(5), a(2)])
    case("ConstantOfShape/value", [a([2, 3], i64)], value=from_array(a([7], i32)))
    case("ConstantOfShape/default", [a([2], i64)])
    case("Constant/value", [], value=from_array(a([[1, 2], [3, 4]])))
    case("EyeLike/k", [f(3, 4)], k=1, dtype=TensorProto.FLOAT)
    case("Trilu/upper", [f(2, 3, 4)])
    case("Trilu/lower_k", [f(2, 3, 4), a(-1, i64)], upper=0)
    case("ReverseSequence/time_first", [f(4, 3, 2), a([4, 1, 2], i64)], time_axis=0, batch_axis=1)
    case("ReverseSequence/batch_first", [f(3, 4), a([4, 1, 2], i64)], time_axis=1, batch_axis=0)
    case("DepthToSpace/dcr", [f(1, 8, 2, 3)], blocksize=2, mode="DCR")
    case("DepthToSpace/crd", [f(1, 8, 2, 3)], blocksize=2, mode="CRD")
    case("SpaceToDepth/plain", [f(1, 2, 4, 6)], blocksize=2)
    case("CenterCropPad/crop", [f(5, 4), a([3, 3], i64)])
    case("CenterCropPad/crop_and_pad", [f(5, 4), a([2, 7], i64)])
    case("CenterCropPad/axes", [f(5, 4), a([7], i64)], axes=[-1])
    case("Col2Im/plain", [f(1, 5, 5), a([5, 5], i64), a([1, 5], i64)])
    case("Col2Im/strides", [f(1, 9, 4), a([5, 5], i64), a([3, 3], i64)], strides=[2, 2])
    case("Col2Im/pads", [f(1, 5, 15), a([5, 5], i64), a([1, 5], i64)], pads=[0, 1, 0, 1])
    case("Col2Im/dilations", [f(1, 4, 5), a([6, 6], i64), a([2, 2], i64)], dilations=[1, 5])


def windows():
    x = f(1, 2, 6, 7)
    case("MaxPool/valid", [x], kernel_shape=[2, 3], strides=[2, 2])
    case("MaxPool/ceil", [f(1, 1, 4, 4)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case("MaxPool/pads_dilations", [x], kernel_shape=[2, 2], dilations=[2, 2], pads=[1, 0, 1, 1])
    case("MaxPool/same_upper", [x], kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
    case("MaxPool/same_lower", [x], kernel_shape=[2, 2], auto_pad="SAME_LOWER")
    case("MaxPool/indices", [f(2, 2, 4, 4)], outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    case("MaxPool/column_major", [f(1, 1, 4, 4)], outputs=2, kernel_shape=[2, 2], strides=[2, 2], storage_order=1)
    case("MaxPool/1d_u8", [n(1, 2, 6, dtype=u8)], kernel_shape=[2])
    case("AveragePool/valid", [x], kernel_shape=[2, 3], strides=[2, 2])
    case("AveragePool/ceil", [f(1, 1, 4, 4)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case("AveragePool/pads", [x], kernel_shape=[3, 3], pads=[2, 1, 2, 1], strides=[2, 2])
    case("AveragePool/pads_counted", [x], kernel_shape=[3, 3], pads=[2, 1, 2, 1], strides=[2, 2], count_include_pad=1)
    case("AveragePool/same_upper", [x], kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    case("AveragePool/same_lower", [x], kernel_shape=[2, 2], auto_pad="SAME_LOWER")
    case("AveragePool/dilations", [x], kernel_shape=[2, 2], dilations=[2, 2])
    case("LpPool/p2", [x], kernel_shape=[2, 2])
    case("LpPool/p3_pads", [x], kernel_shape=[3, 3], p=3, pads=[1, 1, 1, 1], strides=[2, 2])
    case("LpPool/same", [x], kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    case("LpPool/dilations", [x], kernel_shape=[2, 2], dilations=[2, 2])
    case("GlobalAveragePool/plain", [x])
    case("GlobalMaxPool/plain", [x])
    save("GlobalLpPool/p3", [x], [((np.abs(x.astype(np.float64)) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)).astype(f32)])
    v = a([[[[1, 2], [3, 4]]]])
    case("MaxUnpool/default", [v, a([[[[5, 7], [13, 15]]]], i64)], kernel_shape=[2, 2], strides=[2, 2])
    case("MaxUnpool/output_shape", [v, a([[[[5, 7], [13, 15]]]], i64), a([1, 1, 5, 5], i64)], kernel_shape=[2, 2], strides=[2, 2])
    c = f(1, 2, 5, 6)
    case("Conv/pads", [c, f(3, 2, 3, 3)], pads=[1, 0, 1, 1])
    case("Conv/strides_bias", [c, f(3, 2, 3, 2), f(3)], strides=[2, 1])
    case("Conv/same_lower", [c, f(3, 2, 2, 2)], auto_pad="SAME_LOWER", strides=[2, 2])
    case("Conv/same_upper", [c, f(3, 2, 2, 2)], auto_pad="SAME_UPPER")
    case("Conv/groups_dilations", [c, f(4, 1, 2, 2)], group=2, dilations=[2, 1])
    case("Conv/1d", [f(1, 2, 5), f(3, 2, 2)])
    case("Conv/3d", [f(1, 1, 3, 3, 3), f(2, 1, 2, 2, 2)])
    t = f(1, 2, 3, 3)
    case("ConvTranspose/plain", [t, f(2, 2, 3, 3)])
    case("ConvTranspose/pads_strides", [t, f(2, 2, 3, 3), f(2)], strides=[3, 2], pads=[1, 2, 1, 2])
    case("ConvTranspose/output_padding", [t, f(2, 2, 3, 3)], strides=[3, 2], output_padding=[1, 1])
    case("ConvTranspose/output_shape", [t, f(2, 2, 3, 3)], strides=[3, 2], output_shape=[10, 8])
    case("ConvTranspose/same", [t, f(2, 2, 3, 3)], strides=[2, 2], auto_pad="SAME_UPPER")
    case("ConvTranspose/dilations", [t, f(2, 2, 2, 2)], dilations=[2, 2])
    w = f(2, 2, 2, 2)
    halves = [ReferenceEvaluator(model_of([node("ConvTranspose", ["x", "w"], ["y"])], [("x", t[:, i:i + 1]), ("w", w[i:i + 1])], ["y"], 24, ""))
              .run(None, {"x": t[:, i:i + 1], "w": w[i:i + 1]})[0] for i in range(2)]
    save("ConvTranspose/groups", [t, w], [np.concatenate(halves, 1)])  # the evaluator of this version refuses groups
    case("ConvTranspose/1d", [f(1, 1, 3), f(1, 2, 3)])
    case("DeformConv/plain", [f(1, 1, 3, 3), f(1, 1, 2, 2), f(1, 8, 4, 4, low=-1, high=1)], kernel_shape=[2, 2], pads=[1, 1, 1, 1])
    case("DeformConv/mask_bias", [f(1, 1, 3, 3), f(1, 1, 2, 2), f(1, 8, 4, 4, low=-1, high=1), f(1), f(1, 4, 4, 4)], kernel_shape=[2, 2],
         pads=[1, 1, 1, 1])
    case("DeformConv/groups", [f(1, 4, 4, 4), f(2, 2, 2, 2), f(1, 16, 3, 3, low=-1, high=1)], kernel_shape=[2, 2], group=2, offset_group=2)
    case("DeformConv/strides", [f(2, 2, 5, 5), f(2, 2, 2, 2), f(2, 8, 2, 2, low=-1, high=1)], kernel_shape=[2, 2], strides=[2, 2], dilations=[2, 2])
    save("MaxRoiPool/plain", [np.arange(36, dtype=f32).reshape(1, 1, 6, 6), a([[0, 0, 0, 3, 3], [0, 1, 2, 5, 4]])],
         # By hand: box 1 covers rows and columns 0..3, bins of 2; box 2 columns 1..5 in bins of 2.5, rows 2..4 in bins of 1.5.
         [a([[[[7, 9], [19, 21]]], [[[21, 23], [27, 29]]]])])
    r = f(2, 2, 8, 8)
    boxes, where = a([[0, 0, 6, 6], [1, 2, 3.5, 7], [2.5, 0.5, 9, 9]]), a([0, 1, 1], i64)
    case("RoiAlign/half_pixel", [r, boxes, where], output_height=2, output_width=2, sampling_ratio=2, spatial_scale=1.0)
    case("RoiAlign/output_half_pixel", [r, boxes, where], output_height=2, output_width=2, sampling_ratio=2, spatial_scale=0.5,
         coordinate_transformation_mode="output_half_pixel")
    case("RoiAlign/max", [r, boxes, where], output_height=2, output_width=2, sampling_ratio=2, mode="max")
    case("RoiAlign/adaptive", [r, boxes, where], output_height=2, output_width=3)
    case("AffineGrid/2d", [f(2, 2, 3), a([2, 1, 3, 4], i64)])
    case("AffineGrid/align_corners", [f(1, 2, 3), a([1, 1, 3, 4], i64)], align_corners=1)
    case("AffineGrid/3d", [f(1, 3, 4), a([1, 1, 2, 3, 2], i64)])
    g = f(1, 2, 3, 2, low=-1.2, high=1.2)
    for mode in ("linear", "nearest", "cubic"):
        for padding in ("zeros", "border", "reflection"):
            case(f"GridSample/{mode}_{padding}", [f(1, 2, 4, 5), g], mode=mode, padding_mode=padding, align_corners=int(padding == "border"))
    case("GridSample/3d", [f(1, 1, 3, 2, 3), f(1, 2, 2, 2, 3, low=-1, high=1)], mode="linear")


def resizes():
    x = f(1, 1, 4, 5)
    none, empty = None, np.zeros(0, f32)

    def resize(name, scales=None, sizes=None, roi=None, x=x, opset=19, **attributes):
        case(f"Resize/{name}", [x, roi, a(scales) if scales else None, a(sizes, i64) if sizes else None], opset=opset, **attributes)
    for mode in ("nearest", "linear", "cubic"):
        resize(f"up_{mode}", [1, 1, 2, 1.5], mode=mode)
        resize(f"down_{mode}", [1, 1, 0.6, 0.5], mode=mode)
    for coordinates in ("align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"):
        resize(f"linear_{coordinates}", sizes=[1, 1, 7, 3], mode="linear", coordinate_transformation_mode=coordinates)
    for nearest in ("floor", "ceil", "round_prefer_ceil"):
        resize(f"nearest_{nearest}", sizes=[1, 1, 7, 8], mode="nearest", nearest_mode=nearest)
    resize("cubic_coefficient", [1, 1, 2, 2], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
    resize("antialias_linear", [1, 1, 0.6, 0.6], mode="linear", antialias=1)
    resize("antialias_excluding", [1, 1, 0.6, 0.6], mode="cubic", antialias=1, exclude_outside=1)
    resize("antialias_cubic", sizes=[1, 1, 2, 2], mode="cubic", antialias=1)
    resize("crop", sizes=[1, 1, 3, 3], roi=a([0, 0, 0.4, 0.6, 1, 1, 0.6, 0.8]), mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
    resize("crop_outside", sizes=[1, 1, 3, 3], roi=a([0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7]), mode="linear",
           coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=10.0)
    resize("axes", [2, 1.5], mode="linear", axes=[3, 2])
    resize("not_larger", sizes=[7, 8], mode="nearest", axes=[2, 3], keep_aspect_ratio_policy="not_larger")
    resize("not_smaller", sizes=[7, 8], mode="nearest", axes=[2, 3], keep_aspect_ratio_policy="not_smaller")
    save("Upsample/nearest", [a([[[[1, 2], [3, 4]]]])], [a([[[[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4], [3, 3, 3, 4, 4, 4]]]])])


def normalization():
    x = f(2, 4, 3, 2)
    case("BatchNormalization/inference", [x, f(4), f(4), f(4), f(4, low=0.5)], epsilon=1e-2)
    case("BatchNormalization/training", [x, f(4), f(4), f(4), f(4, low=0.5)], outputs=3, training_mode=1, momentum=0.8)
    case("InstanceNormalization/plain", [x, f(4), f(4)], epsilon=1e-2)
    case("LayerNormalization/last", [f(2, 3, 4), f(4), f(4)], outputs=3)
    case("LayerNormalization/two_axes", [f(2, 3, 4), f(3, 4)], axis=1, epsilon=1e-2)
    case("RMSNormalization/two_axes", [f(2, 3, 4), f(3, 4)], axis=-2, epsilon=1e-2)
    case("GroupNormalization/plain", [x, f(4), f(4)], num_groups=2)
    case("LpNormalization/l2", [f(2, 3)], axis=1)
    p = f(2, 3)
    save("LpNormalization/l1", [p], [p / np.abs(p).sum(0, keepdims=True)])  # the evaluator of this version forgets the absolute value
    case("MeanVarianceNormalization/default", [x])
    case("MeanVarianceNormalization/axes", [f(2, 3)], axes=[1])
    y = f(1, 5, 2, 2)
    for name, size, before, after in (("odd", 3, 1, 1), ("even", 4, 1, 2)):  # the evaluator of this version counts channels by the batch
        sums = np.stack([(y[:, max(0, c - before):c + after + 1] ** 2).sum(1) for c in range(5)], 1)
        save(f"LRN/{name}", [y], [y / np.sqrt(2 + np.float32(0.2) / size * sums)])
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        case(f"{op}/last", [f(2, 3, 4)])
        case(f"{op}/axis", [f(2, 3, 4)], axis=1)
    case("Hardmax/ties", [a([[3, 3, 3, 1]])])
    y = f(2, 3, 4)
    flat = y.reshape(2, 12)
    e = np.exp(flat - flat.max(1, keepdims=True))
    save("Softmax/flattened", [y], [(e / e.sum(1, keepdims=True)).reshape(2, 3, 4)])  # before opset 13
    logits, labels = f(3, 5, 2), n(3, 2, high=5)
    for op in ("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"):
        scores = logits if op.startswith("S") else (logits - 3)
        case(f"{op}/mean", [scores, labels], reduction="mean")
        case(f"{op}/sum_weights", [scores, labels, f(5, low=0.1)], reduction="sum")
        case(f"{op}/none", [scores, labels], reduction="none")
        case(f"{op}/mean_weights_ignore", [scores, labels, f(5, low=0.1)], reduction="mean", ignore_index=int(labels[0, 0]))
    case("SoftmaxCrossEntropyLoss/log_prob", [logits, labels], outputs=2, reduction="mean")


def sequences():
    x, h, b = f(3, 2, 4), 3, 2  # [time, batch, input], hidden, batch

    def recurrent(op, gates, name, directions=1, bias=True, lengths=None, state=False, outputs=2, **attributes):
        rows = gates * h
        inputs = [x, f(directions, rows, 4, low=-1, high=1), f(directions, rows, h, low=-1, high=1)]
        inputs += [f(directions, 2 * rows, low=-1, high=1) if bias else None, a(lengths, i32) if lengths else None,
                   f(directions, b, h) if state else None]
        if op == "LSTM" and (state or "peepholes" in name):
            inputs.append(f(directions, b, h) if state else None)
            if "peepholes" in name:
                inputs.append(f(directions, 3 * h))
        while inputs and inputs[-1] is None:
            inputs.pop()
        case(f"{op}/{name}", inputs, outputs=outputs, hidden_size=h, **attributes)
    for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        recurrent(op, gates, "forward", outputs=3 if op == "LSTM" else 2)
        recurrent(op, gates, "initial_state", state=True)
        recurrent(op, gates, "reverse", direction="reverse")
        recurrent(op, gates, "bidirectional", directions=2, direction="bidirectional")
    recurrent("GRU", 3, "linear_before_reset", linear_before_reset=1)
    recurrent("LSTM", 4, "peepholes")
    q, k, v = f(2, 2, 3, 4), f(2, 2, 5, 4), f(2, 2, 5, 4)
    case("Attention/plain", [q, k, v])
    case("Attention/mask_scale", [q, k, v, f(3, 5)], scale=0.3)
    case("Attention/bool_mask", [q, k, v, a([[1, 0, 1, 1, 0]] * 3, b1)])
    case("Attention/causal", [q, k, v], is_causal=1)
    case("Attention/softcap", [q, k, v], softcap=2.0)
    case("Attention/grouped", [f(2, 4, 3, 4), k, v])
    case("Attention/3d", [f(2, 3, 8), f(2, 5, 8), f(2, 5, 8)], q_num_heads=2, kv_num_heads=2)
    case("Attention/past", [q, f(2, 2, 2, 4), f(2, 2, 2, 4, low=-1), None, f(2, 2, 3, 4), f(2, 2, 3, 4)], outputs=3)
    case("Attention/scores", [q, k, v], outputs=4, keep=[0, 3], qk_matmul_output_mode=0)
    position = a([[0, 1, 2], [1, 2, 3]], i64)
    case("RotaryEmbedding/4d", [f(2, 2, 3, 4), f(5, 2), f(5, 2), position])
    case("RotaryEmbedding/interleaved", [f(2, 2, 3, 4), f(5, 2), f(5, 2), position], interleaved=1)
    case("RotaryEmbedding/3d_partial", [f(2, 3, 16), f(5, 2), f(5, 2), position], num_heads=2, rotary_embedding_dim=4)
    case("RotaryEmbedding/no_positions", [f(2, 2, 3, 4), f(2, 3, 2), f(2, 3, 2)])
    case("LinearAttention/linear", [f(1, 3, 4), f(1, 3, 4), f(1, 3, 4)], opset=27, outputs=2, q_num_heads=2, kv_num_heads=2, update_rule="linear")
    case("LinearAttention/gated_delta", [f(1, 3, 4), f(1, 3, 4), f(1, 3, 4), f(1, 2, 2, 2), f(1, 3, 2, low=-1, high=0), f(1, 3, 2, low=0, high=1)],
         opset=27, outputs=2, q_num_heads=2, kv_num_heads=2, update_rule="gated_delta")
    case("CausalConvWithState/plain", [f(2, 3, 5), f(3, 1, 3), f(3), f(2, 3, 2)], opset=27, outputs=2)
    case("CausalConvWithState/silu", [f(2, 3, 5), f(3, 1, 3)], opset=27, outputs=2, activation="silu")


def signals():
    x = f(1, 6, 1)
    case("DFT/real", [x, None, a(1, i64)])
    case("DFT/onesided", [x, None, a(1, i64)], onesided=1)
    case("DFT/complex_inverse", [f(1, 5, 2), None, a(1, i64)], inverse=1)
    case("DFT/length", [f(1, 6, 2), a(4, i64), a(1, i64)])
    case("DFT/longer", [f(1, 3, 1), a(5, i64), a(1, i64)])
    case("STFT/window", [f(1, 10, 1), a(3, i64), f(4, low=0.1), a(4, i64)])
    case("STFT/twosided", [f(1, 10, 1), a(2, i64), None, a(4, i64)], onesided=0)
    for op in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        case(f"{op}/periodic", [a(6, i32)])
        case(f"{op}/symmetric", [a(6, i32)], periodic=0)
    case("MelWeightMatrix/plain", [a(8, i32), a(16, i32), a(8192, i32), a(0), a(4096)])


def boxes():
    b = a([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [0, 10.1, 1, 11.1], [0, 100, 1, 101]]])
    s = a([[[0.9, 0.75, 0.6, 0.95, 0.5, 0.3]]])
    case("NonMaxSuppression/plain", [b, s, a([3], i64), a([0.5]), a([0])])
    case("NonMaxSuppression/score_threshold", [b, s, a([3], i64), a([0.5]), a([0.4])])
    case("NonMaxSuppression/two_classes", [b, np.concatenate([s, s[..., ::-1]], 1), a([2], i64), a([0.5]), a([0])])
    center = a([[[0.5, 0.5, 1, 1], [0.5, 0.6, 1, 1], [0.5, 0.4, 1, 1], [0.5, 10.5, 1, 1], [0.5, 10.6, 1, 1], [0.5, 100.5, 1, 1]]])
    case("NonMaxSuppression/center", [center, s, a([3], i64), a([0.5]), a([0])], center_point_box=1)


def control():
    F = TensorProto.FLOAT
    then = body([node("Neg", ["x0"], ["t"])], [], [("t", F, [2, 3])])
    otherwise = body([node("Exp", ["x0"], ["e"])], [], [("e", F, [2, 3])])
    # If captures x0; the evaluator wants it in the main graph.
    for name, flag in (("then", True), ("else", False)):
        x, c = a([[1, 2, 3], [0, -1, 0.5]]), np.array(flag)
        m = model_of([node("If", ["x1"], ["y0"], then_branch=then, else_branch=otherwise)], [("x0", x), ("x1", c)], ["y0"], 24, "")
        save(f"If/{name}", [x, c], ReferenceEvaluator(m).run(None, {"x0": x, "x1": c}))
    # Loop: the state is multiplied until it is above 20; every state is an output.
    step = body([node("Mul", ["s", "two"], ["next"]), node("Less", ["next", "limit"], ["go"]), node("Identity", ["next"], ["out"])],
                [("i", TensorProto.INT64, []), ("go_in", TensorProto.BOOL, []), ("s", F, [])],
                [("go", TensorProto.BOOL, []), ("next", F, []), ("out", F, [])])
    for name, most in (("condition", 10), ("trip_count", 3)):
        s, two, limit = a(1), a(2), a(20)
        m = model_of([node("Loop", ["m", "c", "x0"], ["y0", "y1"], body=step)],
                     [("x0", s), ("m", a(most, i64)), ("c", np.array(True)), ("two", two), ("limit", limit)], ["y0", "y1"], 24, "")
        last, states = ReferenceEvaluator(m).run(None, {"x0": s, "m": a(most, i64), "c": np.array(True), "two": two, "limit": limit})
        save(f"Loop/{name}", [s, a(most, i64)], [last, states.reshape(-1)])  # the evaluator stacks scalars as vectors of one
    total = body([node("Add", ["s", "x"], ["next"]), node("Identity", ["next"], ["out"])], [("s", F, [2]), ("x", F, [2])],
                 [("next", F, [2]), ("out", F, [2])])
    case("Scan/sum", [a([0, 0]), a([[1, 2], [3, 4], [5, 6]])], outputs=2, num_scan_inputs=1, body=total)
    # Axes and directions (the evaluator has forward along axis 0 alone): sums of columns from the last to the first.
    save("Scan/reverse_axis_1", [a([0, 0]), a([[1, 3, 5], [2, 4, 6]])], [a([9, 12]), a([[9, 8, 5], [12, 10, 6]])])
    save("Gradient/product", [a([1, 2]), a([3, -4])], [a([2 * 1 * 3, 2 * 2 * -4]), a([1, 4])])  # of sum(x^2 y)


def learning():
    """ai.onnx.ml and the training preview; those that the evaluator lacks follow the formulas of the specification."""
    ml = {"domain": "ai.onnx.ml"}
    x = f(3, 4)
    case("Binarizer/threshold", [x], threshold=0.3, **ml)
    case("ArrayFeatureExtractor/plain", [x, a([[2, 0]], i64)], **ml)
    p, q = f(2, 3), f(2, 2)
    save("FeatureVectorizer/plain", [p, q], [np.concatenate([p, q], 1)])
    case("Scaler/plain", [x], offset=[1.0, 2.0, 3.0, 4.0], scale=[0.5, 2.0, 1.0, 3.0], **ml)
    case("Imputer/nan", [a([[0, 1, np.nan, 3]])], imputed_value_floats=[9.0], replaced_value_float=float("nan"), **ml)
    save("Imputer/value", [a([[0, 1, -7, 3], [-7, 2, 0, 1]])], [a([[0, 1, 30, 3], [10, 2, 0, 1]])])
    for norm in ("MAX", "L1", "L2"):
        case(f"Normalizer/{norm.lower()}", [x], norm=norm, **ml)
    case("LabelEncoder/integers", [a([3, 1, 7], i64)], keys_int64s=[1, 3, 5], values_floats=[0.5, 1.5, 2.5], default_float=-1.0, **ml)
    case("OneHotEncoder/integers", [a([2, 9, 4], i64)], cats_int64s=[2, 3, 4], zeros=1, **ml)
    case("LinearRegressor/plain", [f(2, 3)], coefficients=[float(v) for v in (0.5, -1, 2, 1, 0, -0.5)], intercepts=[0.25, -1.0], targets=2, **ml)
    case("LinearClassifier/softmax", [f(4, 2)], outputs=2, coefficients=[1.0, -2.0, 0.5, 1.5, -1.0, 0.25], intercepts=[0.1, 0.2, -0.3],
         classlabels_ints=[7, 8, 9], post_transform="SOFTMAX", multi_class=0, **ml)
    case("SVMRegressor/rbf", [f(4, 2)], kernel_type="RBF", kernel_params=[0.5, 0.0, 3.0], support_vectors=[1.0, 0.0, -1.0, 0.5, 0.0, 2.0],
         n_supports=3, coefficients=[0.7, -1.2, 0.4], rho=[0.3], **ml)
    case("SVMRegressor/linear", [f(4, 2)], kernel_type="LINEAR", kernel_params=[0.5, 0.0, 3.0], support_vectors=[1.0, 0.0, -1.0, 0.5],
         n_supports=2, coefficients=[0.7, -1.2], rho=[0.3], **ml)
    z = f(4, 2)
    score = z @ np.array([[1, 0], [-1, 0.5]], f32).T @ np.array([0.7, -1.2], f32) + 0.3
    save("SVMClassifier/two_classes", [z], [np.where(score > 0, 8, 3).astype(i64)])
    # Two trees of depth 2 and 1: nodes and leaves as the specification lists them.
    trees = dict(nodes_treeids=[0, 0, 0, 0, 0, 1, 1, 1], nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2], nodes_featureids=[0, 1, 0, 0, 0, 1, 0, 0],
                 nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
                 nodes_values=[0.2, -0.5, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0], nodes_truenodeids=[1, 3, 0, 0, 0, 1, 0, 0],
                 nodes_falsenodeids=[2, 4, 0, 0, 0, 2, 0, 0])
    case("TreeEnsembleRegressor/sum", [f(5, 2)], opset=18, target_treeids=[0, 0, 0, 1, 1], target_nodeids=[2, 3, 4, 1, 2], target_ids=[0] * 5,
         target_weights=[1.0, 2.0, 4.0, 10.0, 20.0], n_targets=1, **trees, **ml)
    case("TreeEnsemble/sum", [f(5, 2)], opset=21, n_targets=1, tree_roots=[0, 2], nodes_featureids=[0, 1, 1], nodes_modes=from_array(a([0, 0, 0], u8)),
         nodes_splits=from_array(a([0.2, -0.5, 0.7])), nodes_truenodeids=[1, 1, 3], nodes_trueleafs=[0, 1, 1], nodes_falsenodeids=[0, 2, 4],
         nodes_falseleafs=[1, 1, 1], leaf_targetids=[0] * 5, leaf_weights=from_array(a([1.0, 2.0, 4.0, 10.0, 20.0])), **ml)
    case("TreeEnsembleClassifier/argmax", [f(5, 2)], opset=18, outputs=2, class_treeids=[0, 0, 0, 1, 1], class_nodeids=[2, 3, 4, 1, 2],
         class_ids=[0, 1, 2, 0, 1], class_weights=[1.0, 2.0, 4.0, 1.5, 2.5], classlabels_int64s=[5, 6, 7], **trees, **ml)

    pre = "Adagrad/step", "Adam/step", "Momentum/standard", "Momentum/nesterov"
    w, g, h, m, s = f(3), f(3, low=-1), f(3, low=0), f(3, low=-1, high=1), f(3, low=0, high=1)
    r, t, norm, eps = 0.1, 3, 0.01, 1e-6
    reg = norm * w + g
    rate = r / (1 + t * 0.05)
    acc = h + reg * reg
    save(pre[0], [w, g, h], [w - rate * reg / (np.sqrt(acc) + eps), acc])
    v1, v2 = 0.9 * m + 0.1 * reg, 0.999 * s + 0.001 * reg * reg
    save(pre[1], [w, g, m, s], [w - r * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * v1 / (np.sqrt(v2) + eps), v1, v2])
    v = 0.95 * m + 0.1 * reg
    save(pre[2], [w, g, m], [w - r * v, v])
    save(pre[3], [w, g, m], [w - r * (reg + 0.95 * v), v])


def attention_with_functions():
    q, k, v = f(1, 2, 3, 4), f(1, 1, 5, 4), f(1, 1, 5, 4)
    s = np.einsum("bhqd,bkd->bhqk", q, k[:, 0]) * 0.5 * 2  # score_mod: twice
    p = np.exp(s - s.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    save("FlexAttention/score_and_prob", [q, k, v], [np.einsum("bhqk,bkd->bhqd", p * p, v[:, 0])])  # prob_mod: squared


def texts():
    tokens = a([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]], i32)
    pool = dict(min_gram_length=2, max_gram_length=2, ngram_counts=[0, 4], ngram_indexes=[0, 1, 2, 3, 4, 5, 6], pool_int64s=[2, 3, 5, 4, 5, 6, 7, 8, 6, 7])
    case("TfIdfVectorizer/bigrams", [tokens], mode="TF", max_skip_count=0, **pool)
    case("TfIdfVectorizer/skips", [tokens], mode="TF", max_skip_count=5, **pool)
    case("TfIdfVectorizer/both", [tokens], mode="TF", max_skip_count=5, **{**pool, "min_gram_length": 1})
    case("TfIdfVectorizer/weights", [tokens], mode="TFIDF", max_skip_count=1, weights=[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5], **{**pool, "min_gram_length": 1})
    case("TfIdfVectorizer/idf", [tokens], mode="IDF", max_skip_count=1, weights=[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5], **{**pool, "min_gram_length": 1})


for group in (elementwise, reductions, products, quantization, shapes, windows, resizes, normalization, sequences, signals, boxes, control, learning,
              attention_with_functions, texts):
    group()
write("onnx")
