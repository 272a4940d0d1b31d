// Every operation of loop IR on every dtype that has it, scalar and in vectors, against the loop interpreter, for every CPU level that runs
// here.
#include <cmath>

#include <gtest/gtest.h>

#include "ir/loop_builder.h"
#include "tests/codegen/support.h"

namespace kiln {
namespace {

using ir::Axis;
using ir::Buffer;
using ir::Comparison;
using ir::Dim;
using ir::Kernel;
using ir::KernelBuilder;
using ir::LoopOp;
using ir::RegisterId;
using ir::RegisterType;

constexpr DType all_dtypes[] = {DType::boolean, DType::i8,  DType::i16, DType::i32,  DType::i64, DType::u8, DType::u16,
                                DType::u32,     DType::u64, DType::f16, DType::bf16, DType::f32, DType::f64};

RegisterType typed(RegisterType type, DType dtype) {
  type.dtype = dtype;
  return type;
}

/// y[i] = body(x0[i], x1[i] ...), in steps of two vectors of `lanes`; the inputs together run through all combinations of special values.
Kernel element_kernel(const std::string& name, const std::vector<DType>& inputs, DType output, int lanes,
                      const std::function<RegisterId(KernelBuilder&, std::span<const RegisterId>)>& body) {
  KernelBuilder b(name);
  std::int64_t count = 1;
  for (const DType dtype : inputs) count *= static_cast<std::int64_t>(test::special_count(dtype));
  const RegisterType shape{DType::f32, 1, static_cast<std::int16_t>(lanes == 1 ? 1 : 2), static_cast<std::int16_t>(lanes)};
  const std::int64_t step = shape.elements();
  count = (std::min<std::int64_t>(count, 4096) + step - 1) / step * step;
  std::vector<ir::BufferId> buffers;
  for (const DType dtype : inputs) buffers.push_back(b.buffer("x" + std::to_string(buffers.size()), dtype, {count}, Buffer::Role::input));
  const ir::BufferId y = b.buffer("y", output, {count}, Buffer::Role::output);
  b.for_loop("i", 0, count, step, ir::LoopKind::serial, [&](const Dim& i) {
    std::vector<RegisterId> operands;
    for (std::size_t k = 0; k < inputs.size(); ++k)
      operands.push_back(b.load(buffers[k], {i + Dim::symbol(ir::tile_vector)}, typed(shape, inputs[k])));
    b.store(y, {i + Dim::symbol(ir::tile_vector)}, body(b, operands), typed(shape, output));
  });
  return b.finish();
}

std::vector<int> lane_counts(DType dtype) { return {1, ir::vector_lanes(dtype), 4}; }

void test_operation(LoopOp op, std::size_t operands, const std::function<bool(DType)>& applies, bool fma = false) {
  std::vector<Kernel> kernels;
  for (const DType dtype : all_dtypes) {
    if (!applies(dtype)) continue;
    for (const int lanes : lane_counts(dtype)) {
      kernels.push_back(element_kernel("k" + std::to_string(kernels.size()), std::vector(operands, dtype), dtype, lanes,
                                       [&](KernelBuilder& b, std::span<const RegisterId> x) { return b.apply(op, x); }));
    }
  }
  test::expect_same_everywhere(kernels, {}, fma);
}

bool number(DType dtype) { return dtype != DType::boolean; }
bool bits(DType dtype) { return !is_floating(dtype); }

struct Operation {
  LoopOp op;
  std::size_t operands;
  bool (*applies)(DType);
  const char* name;
};

class Elementwise : public testing::TestWithParam<Operation> {};

TEST_P(Elementwise, MatchesTheInterpreter) {
  const Operation& operation = GetParam();
  test_operation(operation.op, operation.operands, operation.applies, operation.op == LoopOp::fma);
}

INSTANTIATE_TEST_SUITE_P(All, Elementwise,
                         testing::Values(Operation{LoopOp::add, 2, number, "add"}, Operation{LoopOp::subtract, 2, number, "subtract"},
                                         Operation{LoopOp::multiply, 2, number, "multiply"}, Operation{LoopOp::divide, 2, number, "divide"},
                                         Operation{LoopOp::remainder, 2, number, "remainder"},
                                         Operation{LoopOp::fma, 3, is_floating, "fma"}, Operation{LoopOp::minimum, 2, number, "minimum"},
                                         Operation{LoopOp::maximum, 2, number, "maximum"}, Operation{LoopOp::negate, 1, number, "negate"},
                                         Operation{LoopOp::abs, 1, number, "abs"}, Operation{LoopOp::sqrt, 1, is_floating, "sqrt"},
                                         Operation{LoopOp::floor, 1, is_floating, "floor"}, Operation{LoopOp::ceil, 1, is_floating, "ceil"},
                                         Operation{LoopOp::round_nearest_even, 1, is_floating, "round_nearest_even"},
                                         Operation{LoopOp::and_, 2, bits, "and"}, Operation{LoopOp::or_, 2, bits, "or"},
                                         Operation{LoopOp::xor_, 2, bits, "xor"}, Operation{LoopOp::not_, 1, bits, "not"},
                                         Operation{LoopOp::popcnt, 1, is_integer, "popcnt"},
                                         Operation{LoopOp::count_leading_zeros, 1, is_integer, "count_leading_zeros"},
                                         Operation{LoopOp::shift_left, 2, is_integer, "shift_left"},
                                         Operation{LoopOp::shift_right_arithmetic, 2, is_integer, "shift_right_arithmetic"},
                                         Operation{LoopOp::shift_right_logical, 2, is_integer, "shift_right_logical"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Elementwise, Compare) {
  std::vector<Kernel> kernels;
  for (const DType dtype : all_dtypes)
    for (const Comparison comparison : {Comparison::eq, Comparison::ne, Comparison::lt, Comparison::le, Comparison::gt, Comparison::ge})
      for (const int lanes : {1, ir::vector_lanes(dtype)})
        kernels.push_back(
            element_kernel("k" + std::to_string(kernels.size()), {dtype, dtype}, DType::boolean, lanes,
                           [&](KernelBuilder& b, std::span<const RegisterId> x) { return b.compare(comparison, x[0], x[1]); }));
  test::expect_same_everywhere(kernels);
}

TEST(Elementwise, Select) {
  std::vector<Kernel> kernels;
  for (const DType dtype : all_dtypes)
    for (const int lanes : lane_counts(dtype))
      kernels.push_back(element_kernel("k" + std::to_string(kernels.size()), {DType::boolean, dtype, dtype}, dtype, lanes,
                                       [&](KernelBuilder& b, std::span<const RegisterId> x) { return b.select(x[0], x[1], x[2]); }));
  test::expect_same_everywhere(kernels);
}

TEST(Elementwise, Convert) {
  std::vector<Kernel> kernels;
  for (const DType from : all_dtypes)
    for (const DType to : all_dtypes)
      for (const int lanes : {1, 8, 16})
        kernels.push_back(element_kernel("k" + std::to_string(kernels.size()), {from}, to, lanes,
                                         [&](KernelBuilder& b, std::span<const RegisterId> x) { return b.convert(x[0], to); }));
  test::expect_same_everywhere(kernels);
}

TEST(Elementwise, Bitcast) {
  std::vector<Kernel> kernels;
  for (const DType from : all_dtypes)
    for (const DType to : all_dtypes) {
      if (size_of(from) != size_of(to) || from == DType::boolean || to == DType::boolean) continue;
      for (const int lanes : {1, ir::vector_lanes(from)})
        kernels.push_back(element_kernel("k" + std::to_string(kernels.size()), {from}, to, lanes,
                                         [&](KernelBuilder& b, std::span<const RegisterId> x) { return b.bitcast(x[0], to); }));
    }
  test::expect_same_everywhere(kernels);
}

// All 65536 halves and every float whose low bits decide the rounding.
TEST(Elementwise, HalfConversionsAreExact) {
  std::vector<Kernel> kernels;
  for (const DType half : {DType::f16, DType::bf16}) {
    for (const int lanes : {1, 16}) {
      const RegisterType type{DType::u32, 1, 1, static_cast<std::int16_t>(lanes)};
      KernelBuilder b("from_bits" + std::to_string(kernels.size()));
      const ir::BufferId y = b.buffer("y", DType::f32, {65536}, Buffer::Role::output);
      const ir::BufferId z = b.buffer("z", half, {65536}, Buffer::Role::output);
      b.for_loop("i", 0, 65536, lanes, ir::LoopKind::serial, [&](const Dim& i) {
        const Dim at = i + Dim::symbol(ir::tile_vector);
        const RegisterId index = b.index(at, type);
        b.store(y, {at}, b.convert(b.bitcast(b.convert(index, DType::u16), half), DType::f32), typed(type, DType::f32));
        // Floats with these upper bits and lower bits around one half of the last place that stays.
        const RegisterId pattern = b.binary(LoopOp::add, b.index(at * 65536, type), b.index(at * 4099 + 0x7ffe, type));
        b.store(z, {at}, b.convert(b.bitcast(b.convert(pattern, DType::u32), DType::f32), half), typed(type, half));
      });
      kernels.push_back(b.finish());
    }
  }
  test::expect_same_everywhere(kernels);
}

// Operands that are constants take shorter forms of maximum and minimum; those must agree too.
TEST(Elementwise, ExtremaWithConstants) {
  std::vector<Kernel> kernels;
  const double constants[] = {0.0, -0.0, 1.5, -3.0, HUGE_VAL, NAN};
  for (const DType dtype : {DType::f32, DType::f64})
    for (const LoopOp op : {LoopOp::maximum, LoopOp::minimum})
      for (const double constant : constants)
        for (const bool first : {true, false})
          kernels.push_back(
              element_kernel("k" + std::to_string(kernels.size()), {dtype}, dtype, 8, [&](KernelBuilder& b, std::span<const RegisterId> x) {
                const RegisterId c = b.constant(typed(b.type(x[0]), dtype), constant);
                return first ? b.binary(op, c, x[0]) : b.binary(op, x[0], c);
              }));
  test::expect_same_everywhere(kernels);
}

TEST(Elementwise, Reduce) {
  std::vector<Kernel> kernels;
  struct Shape {
    std::int16_t rows, cols, lanes;
  };
  for (const DType dtype : all_dtypes) {
    for (const LoopOp op : {LoopOp::add, LoopOp::multiply, LoopOp::minimum, LoopOp::maximum, LoopOp::and_, LoopOp::or_}) {
      const bool logical = op == LoopOp::and_ || op == LoopOp::or_;
      if (logical ? is_floating(dtype) : dtype == DType::boolean) continue;
      for (const Axis axis : {Axis::lanes, Axis::cols, Axis::rows}) {
        for (const Shape shape : {Shape{3, 2, 8}, Shape{2, 5, 16}, Shape{1, 7, 1}}) {
          KernelBuilder b("k" + std::to_string(kernels.size()));
          const RegisterType type{dtype, shape.rows, shape.cols, shape.lanes};
          const std::int64_t row = shape.cols * shape.lanes;
          const ir::BufferId x = b.buffer("x", dtype, {shape.rows, row}, Buffer::Role::input);
          const Dim r = Dim::symbol(ir::tile_row), v = Dim::symbol(ir::tile_vector);
          const RegisterId folded = b.reduce(b.load(x, {r, v}, type), op, axis);
          const RegisterType result = b.type(folded);
          const ir::BufferId y = b.buffer("y", dtype, {result.rows, result.cols * result.lanes}, Buffer::Role::output);
          b.store(y, {r, v}, folded, result);
          kernels.push_back(b.finish());
        }
      }
    }
  }
  test::expect_same_everywhere(kernels);
}

}  // namespace
}  // namespace kiln
