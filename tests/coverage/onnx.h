// The rows of ONNX by family; onnx_test.cpp runs them.
#pragma once

#include "coverage.h"

namespace kiln::test {

Rows onnx_elementwise();
Rows onnx_reductions();
Rows onnx_products();
Rows onnx_shapes();
Rows onnx_windows();
Rows onnx_resizes();
Rows onnx_normalization();
Rows onnx_sequences();
Rows onnx_control();
Rows onnx_learning();
std::vector<RandomRow> onnx_random();

}  // namespace kiln::test
