// Reference evaluation at the edges: what each op gives for NaN, infinities, signed zeros, denormals, integer limits and division by zero,
// with expectations written out by hand.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/ops/philox.h"
#include "tests/ir/op_cases.h"

namespace kiln::test {
namespace {
using namespace ir;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

Array run(Op op, const std::vector<Array>& operands, Attributes attributes = {}) {
  Module module;
  if (module.main == none) module.main = module.add_graph("main");
  std::vector<ValueId> ids;
  for (const Array& a : operands) {
    Type type{.dtype = a.dtype(), .dims = {}};
    for (const std::int64_t extent : a.shape()) type.dims.push_back(extent);
    ids.push_back(module.main_graph().add_parameter(type));
  }
  Builder builder(module, module.main);
  module.main_graph().results = {builder.create(op, ids, std::move(attributes))};
  return interpret(module, operands, {}).results[0];
}

template <class T>
Array vector(std::initializer_list<T> values) {
  return Array({static_cast<std::int64_t>(values.size())}, values);
}

#define EXPECT_IDENTICAL(got, wanted) EXPECT_EQ(difference((got), (wanted), 0), "")

template <class T>
constexpr T lowest = std::numeric_limits<T>::min();
template <class T>
constexpr T highest = std::numeric_limits<T>::max();

TEST(Evaluate, IntegersWrap) {
  EXPECT_IDENTICAL(run(Op::add, {vector<std::int8_t>({127, -128}), vector<std::int8_t>({1, -1})}), vector<std::int8_t>({-128, 127}));
  EXPECT_IDENTICAL(run(Op::subtract, {vector<std::uint8_t>({0}), vector<std::uint8_t>({1})}), vector<std::uint8_t>({255}));
  EXPECT_IDENTICAL(run(Op::multiply, {vector<std::uint16_t>({65535}), vector<std::uint16_t>({65535})}), vector<std::uint16_t>({1}));
  EXPECT_IDENTICAL(run(Op::multiply, {vector<std::int64_t>({lowest<std::int64_t>}), vector<std::int64_t>({-1})}),
                   vector<std::int64_t>({lowest<std::int64_t>}));
  EXPECT_IDENTICAL(run(Op::negate, {vector<std::int32_t>({lowest<std::int32_t>, 7})}), vector<std::int32_t>({lowest<std::int32_t>, -7}));
  EXPECT_IDENTICAL(run(Op::negate, {vector<std::uint8_t>({1})}), vector<std::uint8_t>({255}));
  EXPECT_IDENTICAL(run(Op::abs, {vector<std::int16_t>({lowest<std::int16_t>, -3})}), vector<std::int16_t>({lowest<std::int16_t>, 3}));
}

TEST(Evaluate, IntegerDivision) {
  constexpr std::int32_t least = lowest<std::int32_t>;
  const Array a = vector<std::int32_t>({7, -7, 7, -7, 5, 0, least, least});
  const Array b = vector<std::int32_t>({2, 2, -2, -2, 0, 0, -1, 0});
  EXPECT_IDENTICAL(run(Op::divide, {a, b}), vector<std::int32_t>({3, -3, -3, 3, -1, -1, least, -1}));
  EXPECT_IDENTICAL(run(Op::remainder, {a, b}), vector<std::int32_t>({1, -1, 1, -1, 5, 0, 0, least}));
  const Array c = vector<std::uint64_t>({7, 5, highest<std::uint64_t>}), d = vector<std::uint64_t>({2, 0, highest<std::uint64_t>});
  EXPECT_IDENTICAL(run(Op::divide, {c, d}), vector<std::uint64_t>({3, highest<std::uint64_t>, 1}));
  EXPECT_IDENTICAL(run(Op::remainder, {c, d}), vector<std::uint64_t>({1, 5, 0}));
  EXPECT_IDENTICAL(run(Op::divide, {vector<std::int8_t>({-128}), vector<std::int8_t>({-1})}), vector<std::int8_t>({-128}));
}

TEST(Evaluate, FloatDivision) {
  EXPECT_IDENTICAL(run(Op::divide, {vector<float>({1, -1, 0, 1, 1}), vector<float>({0, 0, 0, -0.0f, INFINITY})}),
                   vector<float>({INFINITY, -INFINITY, NAN, -INFINITY, 0}));
  EXPECT_IDENTICAL(run(Op::remainder, {vector<double>({5.5, -5.5, 5.5, -4, 1, inf}), vector<double>({2, 2, -2, 2, inf, 1})}),
                   vector<double>({1.5, -1.5, 1.5, -0.0, 1, nan}));
}

TEST(Evaluate, MaximumAndMinimumPropagateNanAndChooseTheSecondOfEqualZeros) {
  const Array a = vector<double>({nan, 1, 0.0, -0.0, -inf, 2}), b = vector<double>({1, nan, -0.0, 0.0, inf, 3});
  EXPECT_IDENTICAL(run(Op::maximum, {a, b}), vector<double>({nan, nan, -0.0, 0.0, inf, 3}));
  EXPECT_IDENTICAL(run(Op::minimum, {a, b}), vector<double>({nan, nan, -0.0, 0.0, -inf, 2}));
  EXPECT_IDENTICAL(run(Op::maximum, {vector<std::uint8_t>({200}), vector<std::uint8_t>({100})}), vector<std::uint8_t>({200}));
}

TEST(Evaluate, Clamp) {
  EXPECT_IDENTICAL(run(Op::clamp, {Array(-1.0), vector<double>({-5, -1, 0, 2, 9, nan, -inf}), Array(2.0)}),
                   vector<double>({-1, -1, 0, 2, 2, nan, -1}));
  EXPECT_IDENTICAL(run(Op::clamp, {Array(3), vector<std::int32_t>({0, 5}), Array(1)}),
                   vector<std::int32_t>({1, 1}));  // bounds crossed: max wins
}

TEST(Evaluate, Comparisons) {
  const Array a = vector<double>({nan, 1, 0.0, -inf, 2}), b = vector<double>({nan, nan, -0.0, inf, 1});
  const auto compare = [&](const char* direction) { return run(Op::compare, {a, b}, {{"direction", std::string(direction)}}); };
  EXPECT_IDENTICAL(compare("eq"), vector<bool>({false, false, true, false, false}));
  EXPECT_IDENTICAL(compare("ne"), vector<bool>({true, true, false, true, true}));
  EXPECT_IDENTICAL(compare("lt"), vector<bool>({false, false, false, true, false}));
  EXPECT_IDENTICAL(compare("le"), vector<bool>({false, false, true, true, false}));
  EXPECT_IDENTICAL(compare("gt"), vector<bool>({false, false, false, false, true}));
  EXPECT_IDENTICAL(compare("ge"), vector<bool>({false, false, true, false, true}));
  EXPECT_IDENTICAL(
      run(Op::compare, {vector<std::uint64_t>({highest<std::uint64_t>}), vector<std::uint64_t>({1})}, {{"direction", std::string("gt")}}),
      vector<bool>({true}));
}

TEST(Evaluate, SelectKeepsBits) {
  EXPECT_IDENTICAL(
      run(Op::select, {vector<bool>({true, false, true}), vector<float>({-0.0f, 1, 1e-40f}), vector<float>({2, -INFINITY, 3})}),
      vector<float>({-0.0f, -INFINITY, 1e-40f}));
  EXPECT_IDENTICAL(run(Op::select, {Array(false), vector<std::int8_t>({1, 2}), vector<std::int8_t>({3, 4})}), vector<std::int8_t>({3, 4}));
}

TEST(Evaluate, Rounding) {
  const Array x = vector<double>({0.5, 1.5, 2.5, -0.5, -1.5, -0.0, 0.3, -0.7, inf, nan, 4503599627370497.0});
  EXPECT_IDENTICAL(run(Op::round_nearest_even, {x}), vector<double>({0, 2, 2, -0.0, -2, -0.0, 0, -1, inf, nan, 4503599627370497.0}));
  EXPECT_IDENTICAL(run(Op::floor, {x}), vector<double>({0, 1, 2, -1, -2, -0.0, 0, -1, inf, nan, 4503599627370497.0}));
  EXPECT_IDENTICAL(run(Op::ceil, {x}), vector<double>({1, 2, 3, -0.0, -1, -0.0, 1, -0.0, inf, nan, 4503599627370497.0}));
}

TEST(Evaluate, Signs) {
  EXPECT_IDENTICAL(run(Op::sign, {vector<double>({-2, -0.0, 0.0, 3, nan, -inf})}), vector<double>({-1, -0.0, 0.0, 1, nan, -1}));
  EXPECT_IDENTICAL(run(Op::sign, {vector<std::int8_t>({-128, 0, 5})}), vector<std::int8_t>({-1, 0, 1}));
  EXPECT_IDENTICAL(run(Op::abs, {vector<float>({-0.0f, -INFINITY, -1e-40f})}), vector<float>({0, INFINITY, 1e-40f}));
  EXPECT_IDENTICAL(run(Op::negate, {vector<float>({0.0f, -0.0f})}), vector<float>({-0.0f, 0.0f}));
  EXPECT_IDENTICAL(run(Op::is_finite, {vector<double>({1, inf, -inf, nan, 5e-324, 1e308})}),
                   vector<bool>({true, false, false, false, true, true}));
}

TEST(Evaluate, FunctionsAtTheEdges) {
  const auto at = [](Op op, double x) { return run(op, {Array(x)}).item<double>(); };
  EXPECT_EQ(at(Op::exp, -inf), 0);
  EXPECT_EQ(at(Op::exp, 800), inf);
  EXPECT_EQ(at(Op::expm1, 1e-20), 1e-20);
  EXPECT_EQ(at(Op::log, 0), -inf);
  EXPECT_TRUE(std::isnan(at(Op::log, -1)));
  EXPECT_EQ(at(Op::log1p, -1), -inf);
  EXPECT_TRUE(std::signbit(at(Op::sqrt, -0.0)));
  EXPECT_TRUE(std::isnan(at(Op::sqrt, -1)));
  EXPECT_EQ(at(Op::rsqrt, 0), inf);
  EXPECT_EQ(at(Op::rsqrt, -0.0), -inf);
  EXPECT_EQ(at(Op::rsqrt, inf), 0);
  EXPECT_DOUBLE_EQ(at(Op::cbrt, -27), -3);
  EXPECT_EQ(at(Op::tanh, inf), 1);
  EXPECT_EQ(at(Op::logistic, -inf), 0);
  EXPECT_EQ(at(Op::logistic, 0), 0.5);
  EXPECT_GT(at(Op::logistic, -745), 0);  // a denormal
  EXPECT_EQ(at(Op::erf, -inf), -1);
  EXPECT_TRUE(std::isnan(at(Op::sin, inf)));
  EXPECT_EQ(run(Op::power, {Array(0.0), Array(0.0)}).item<double>(), 1);
  EXPECT_EQ(run(Op::power, {Array(nan), Array(0.0)}).item<double>(), 1);
  EXPECT_TRUE(std::isnan(run(Op::power, {Array(-1.0), Array(0.5)}).item<double>()));
  EXPECT_DOUBLE_EQ(run(Op::atan2, {Array(0.0), Array(-0.0)}).item<double>(), M_PI);
  EXPECT_DOUBLE_EQ(run(Op::atan2, {Array(-1.0), Array(-1.0)}).item<double>(), -0.75 * M_PI);
}

TEST(Evaluate, HalfPrecisionRoundsOnce) {
  // 2048 + 1 lies between neighbours of f16 and goes to the even one; f32 holds it exactly.
  EXPECT_IDENTICAL(run(Op::add, {Array(float16(2048)), Array(float16(1))}), Array(float16(2048)));
  EXPECT_IDENTICAL(run(Op::add, {Array(float16(2048)), Array(float16(3))}), Array(float16(2052)));
  EXPECT_IDENTICAL(run(Op::multiply, {Array(float16(300)), Array(float16(300))}), Array(float16(INFINITY)));
  // A sum in f16 would stop at 2048; in f32 it does not.
  EXPECT_IDENTICAL(run(Op::reduce, {Array::full(DType::f16, {4096}, 1)},
                       {{"combiner", std::string("add")}, {"dimensions", std::vector<std::int64_t>{0}}}),
                   Array(float16(4096)));
  EXPECT_IDENTICAL(run(Op::reduce, {Array::full(DType::bf16, {1024}, 1)},
                       {{"combiner", std::string("add")}, {"dimensions", std::vector<std::int64_t>{0}}}),
                   Array(bfloat16(1024)));
}

TEST(Evaluate, Shifts) {
  const Array a = vector<std::int8_t>({1, 1, 1, -128, -128, -128, 64}), b = vector<std::int8_t>({3, 7, 8, 7, 100, -1, 1});
  EXPECT_IDENTICAL(run(Op::shift_left, {a, b}), vector<std::int8_t>({8, -128, 0, 0, 0, 0, -128}));
  EXPECT_IDENTICAL(run(Op::shift_right_logical, {a, b}), vector<std::int8_t>({0, 0, 0, 1, 0, 0, 32}));
  EXPECT_IDENTICAL(run(Op::shift_right_arithmetic, {a, b}), vector<std::int8_t>({0, 0, 0, -1, -1, -1, 32}));
  EXPECT_IDENTICAL(run(Op::shift_left, {vector<std::uint64_t>({1}), vector<std::uint64_t>({64})}), vector<std::uint64_t>({0}));
}

TEST(Evaluate, Logic) {
  const Array a = vector<bool>({false, false, true, true}), b = vector<bool>({false, true, false, true});
  EXPECT_IDENTICAL(run(Op::and_, {a, b}), vector<bool>({false, false, false, true}));
  EXPECT_IDENTICAL(run(Op::or_, {a, b}), vector<bool>({false, true, true, true}));
  EXPECT_IDENTICAL(run(Op::xor_, {a, b}), vector<bool>({false, true, true, false}));
  EXPECT_IDENTICAL(run(Op::not_, {a}), vector<bool>({true, true, false, false}));
  EXPECT_IDENTICAL(run(Op::and_, {Array(0b1100), Array(0b1010)}), Array(0b1000));
  EXPECT_IDENTICAL(run(Op::not_, {Array(std::uint8_t{0x0F})}), Array(std::uint8_t{0xF0}));
}

TEST(Evaluate, Convert) {
  const auto to = [](const Array& x, DType dtype) { return run(Op::convert, {x}, {{"dtype", dtype}}); };
  const Array x = vector<double>({nan, inf, -inf, 1.9, -1.9, 1e10, -0.0});
  EXPECT_IDENTICAL(to(x, DType::i32),
                   vector<std::int32_t>({0, highest<std::int32_t>, lowest<std::int32_t>, 1, -1, highest<std::int32_t>, 0}));
  EXPECT_IDENTICAL(to(x, DType::u8), vector<std::uint8_t>({0, 255, 0, 1, 0, 255, 0}));
  EXPECT_IDENTICAL(to(x, DType::boolean), vector<bool>({true, true, true, true, true, true, false}));
  EXPECT_IDENTICAL(to(vector<std::int32_t>({300, -1}), DType::u8), vector<std::uint8_t>({44, 255}));
  EXPECT_IDENTICAL(to(vector<std::uint8_t>({200}), DType::i8), vector<std::int8_t>({-56}));
  EXPECT_IDENTICAL(to(vector<bool>({true, false}), DType::f32), vector<float>({1, 0}));
  EXPECT_IDENTICAL(to(vector<std::int64_t>({16777217}), DType::f32), vector<float>({16777216}));
  EXPECT_IDENTICAL(to(vector<double>({1e-40}), DType::f32), vector<float>({1e-40f}));
}

TEST(Evaluate, Pad) {
  const auto pad = [](const Array& x, Dims low, Dims high, std::vector<std::int64_t> interior) {
    return run(Op::pad, {x, Array(9)}, {{"low", std::move(low)}, {"high", std::move(high)}, {"interior", std::move(interior)}});
  };
  const Array x = vector<std::int32_t>({1, 2, 3});
  EXPECT_IDENTICAL(pad(x, {2}, {1}, {0}), vector<std::int32_t>({9, 9, 1, 2, 3, 9}));
  EXPECT_IDENTICAL(pad(x, {0}, {0}, {1}), vector<std::int32_t>({1, 9, 2, 9, 3}));
  EXPECT_IDENTICAL(pad(x, {-1}, {1}, {0}), vector<std::int32_t>({2, 3, 9}));
  EXPECT_IDENTICAL(pad(x, {-1}, {-1}, {2}), vector<std::int32_t>({9, 9, 2, 9, 9}));
  EXPECT_IDENTICAL(pad(Array::zeros(DType::i32, {0}), {1}, {1}, {5}), vector<std::int32_t>({9, 9}));
}

TEST(Evaluate, ShapeOps) {
  const Array x({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto list = [](std::vector<std::int64_t> v) { return v; };
  EXPECT_IDENTICAL(run(Op::transpose, {x}, {{"permutation", list({1, 0})}}), Array({3, 2}, {1, 4, 2, 5, 3, 6}));
  EXPECT_IDENTICAL(run(Op::reverse, {x}, {{"dimensions", list({1})}}), Array({2, 3}, {3, 2, 1, 6, 5, 4}));
  EXPECT_IDENTICAL(run(Op::slice, {x}, {{"starts", Dims{0, 0}}, {"limits", Dims{2, 3}}, {"strides", list({1, 2})}}),
                   Array({2, 2}, {1, 3, 4, 6}));
  EXPECT_IDENTICAL(run(Op::broadcast_in_dim, {vector<int>({1, 2})}, {{"dims", Dims{2, 3}}, {"positions", list({0})}}),
                   Array({2, 3}, {1, 1, 1, 2, 2, 2}));
  EXPECT_IDENTICAL(run(Op::concatenate, {x, Array({2, 1}, {7, 8})}, {{"dim", std::int64_t{1}}}), Array({2, 4}, {1, 2, 3, 7, 4, 5, 6, 8}));
  EXPECT_IDENTICAL(run(Op::iota, {}, {{"dtype", DType::u8}, {"dims", Dims{2, 3}}, {"dim", std::int64_t{1}}}),
                   Array({2, 3}, std::vector<std::uint8_t>{0, 1, 2, 0, 1, 2}));
}

TEST(Evaluate, GatherClampsItsIndices) {
  const auto list = [](std::vector<std::int64_t> v) { return v; };
  const Array table({3, 2}, {1, 2, 3, 4, 5, 6});
  const Attributes rows{{"offset_dims", list({1})}, {"collapsed_slice_dims", list({0})}, {"start_index_map", list({0})},
                        {"index_vector_dim", std::int64_t{1}}, {"slice_sizes", Dims{1, 2}}};
  EXPECT_IDENTICAL(run(Op::gather, {table, vector<std::int64_t>({2, -5, 99})}, rows), Array({3, 2}, {5, 6, 1, 2, 5, 6}));
  EXPECT_IDENTICAL(run(Op::gather, {table, vector<std::uint64_t>({highest<std::uint64_t>, 0})}, rows), Array({2, 2}, {5, 6, 1, 2}));
  // StableHLO's example of windows of 2 x 2 at pairs of (column, row).
  const Array image({3, 4}, {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23});
  EXPECT_IDENTICAL(run(Op::gather, {image, Array({2, 2}, std::vector<std::int64_t>{1, 0, 3, 9})},
                       {{"offset_dims", list({1, 2})}, {"start_index_map", list({1, 0})}, {"index_vector_dim", std::int64_t{1}},
                        {"slice_sizes", Dims{2, 2}}}),
                   Array({2, 2, 2}, {1, 2, 11, 12, 12, 13, 22, 23}));
}

TEST(Evaluate, ScatterSkipsWhatLiesOutside) {
  const auto list = [](std::vector<std::int64_t> v) { return v; };
  const auto rows = [&](const char* combiner) {
    return Attributes{{"combiner", std::string(combiner)}, {"update_window_dims", list({1})}, {"inserted_window_dims", list({0})},
                      {"scatter_dims_to_operand_dims", list({0})}, {"index_vector_dim", std::int64_t{1}}};
  };
  const Array operand({3, 2}, {1, 1, 1, 1, 1, 1}), updates({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Array indices = vector<std::int64_t>({2, -1, 2, 3});
  EXPECT_IDENTICAL(run(Op::scatter, {operand, indices, updates}, rows("add")), Array({3, 2}, {1, 1, 1, 1, 7, 9}));
  EXPECT_IDENTICAL(run(Op::scatter, {operand, indices, updates}, rows("multiply")), Array({3, 2}, {1, 1, 1, 1, 5, 12}));
  EXPECT_IDENTICAL(run(Op::scatter, {operand, indices, updates}, rows("maximum")), Array({3, 2}, {1, 1, 1, 1, 5, 6}));
  EXPECT_IDENTICAL(run(Op::scatter, {operand, indices, updates}, rows("minimum")), operand);
  EXPECT_IDENTICAL(run(Op::scatter, {operand, indices, updates}, rows("replace")), Array({3, 2}, {1, 1, 1, 1, 5, 6}));
  EXPECT_IDENTICAL(run(Op::scatter, {operand, vector<std::uint64_t>({highest<std::uint64_t>, 0, 1, 1}), updates}, rows("add")),
                   Array({3, 2}, {4, 5, 13, 15, 1, 1}));
  // Of a window that lies half outside, what is inside is written.
  EXPECT_IDENTICAL(run(Op::scatter, {vector<int>({0, 0, 0, 0}), vector<std::int64_t>({-1, 3}), Array({2, 2}, {1, 2, 3, 4})},
                       {{"combiner", std::string("replace")}, {"update_window_dims", list({1})}, {"scatter_dims_to_operand_dims", list({0})},
                        {"index_vector_dim", std::int64_t{1}}}),
                   vector<int>({2, 0, 0, 3}));
}

TEST(Evaluate, DynamicSlicesAreMovedInside) {
  const Array x = vector<int>({0, 1, 2, 3, 4});
  const auto slice = [&](const Array& start) { return run(Op::dynamic_slice, {x, start}, {{"sizes", Dims{2}}}); };
  EXPECT_IDENTICAL(slice(Array(1)), vector<int>({1, 2}));
  EXPECT_IDENTICAL(slice(Array(-7)), vector<int>({0, 1}));
  EXPECT_IDENTICAL(slice(Array(highest<std::uint64_t>)), vector<int>({3, 4}));
  EXPECT_IDENTICAL(run(Op::dynamic_update_slice, {x, vector<int>({8, 9}), Array(4)}), vector<int>({0, 1, 2, 8, 9}));
}

TEST(Evaluate, Reduce) {
  const auto reduce = [](const char* combiner, const Array& x, std::vector<std::int64_t> dimensions) {
    return run(Op::reduce, {x}, {{"combiner", std::string(combiner)}, {"dimensions", std::move(dimensions)}});
  };
  const Array x({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_IDENTICAL(reduce("add", x, {0}), vector<int>({5, 7, 9}));
  EXPECT_IDENTICAL(reduce("multiply", x, {1}), vector<int>({6, 120}));
  EXPECT_IDENTICAL(reduce("maximum", x, {0, 1}), Array(6));
  EXPECT_IDENTICAL(reduce("minimum", x, {}), x);
  EXPECT_IDENTICAL(reduce("maximum", Array({2, 2}, {1.0, nan, -inf, -inf}), {1}), vector<double>({nan, -inf}));
  EXPECT_IDENTICAL(reduce("and", vector<bool>({true, true}), {0}), Array(true));
  // The empty fold gives the identity.
  const Array none_f32 = Array::zeros(DType::f32, {0}), none_u8 = Array::zeros(DType::u8, {0}), none_i8 = Array::zeros(DType::i8, {0});
  EXPECT_IDENTICAL(reduce("add", none_f32, {0}), Array(0.0f));
  EXPECT_IDENTICAL(reduce("multiply", none_f32, {0}), Array(1.0f));
  EXPECT_IDENTICAL(reduce("maximum", none_f32, {0}), Array(-INFINITY));
  EXPECT_IDENTICAL(reduce("minimum", none_f32, {0}), Array(INFINITY));
  EXPECT_IDENTICAL(reduce("maximum", none_u8, {0}), Array(std::uint8_t{0}));
  EXPECT_IDENTICAL(reduce("minimum", none_u8, {0}), Array(std::uint8_t{255}));
  EXPECT_IDENTICAL(reduce("maximum", none_i8, {0}), Array(std::int8_t{-128}));
  EXPECT_IDENTICAL(reduce("and", none_i8, {0}), Array(std::int8_t{-1}));
  EXPECT_IDENTICAL(reduce("or", none_i8, {0}), Array(std::int8_t{0}));
  EXPECT_IDENTICAL(reduce("and", Array::zeros(DType::boolean, {0}), {0}), Array(true));
}

TEST(Evaluate, DotGeneral) {
  const auto list = [](std::vector<std::int64_t> v) { return v; };
  const Array a({2, 3}, {1, 2, 3, 4, 5, 6}), b({3, 2}, {1, 0, 0, 1, 1, 1});
  EXPECT_IDENTICAL(run(Op::dot_general, {a, b}, {{"lhs_contract", list({1})}, {"rhs_contract", list({0})}}), Array({2, 2}, {4, 5, 10, 11}));
  EXPECT_IDENTICAL(run(Op::dot_general, {a, a},
                       {{"lhs_batch", list({0})}, {"rhs_batch", list({0})}, {"lhs_contract", list({1})}, {"rhs_contract", list({1})}}),
                   vector<int>({14, 77}));
  EXPECT_IDENTICAL(run(Op::dot_general, {Array::zeros(DType::f32, {2, 0}), Array::zeros(DType::f32, {0, 1})},
                       {{"lhs_contract", list({1})}, {"rhs_contract", list({0})}}),
                   Array::zeros(DType::f32, {2, 1}));
  // One fma per step: 1 + 2^-30 squared minus 1 keeps the square's last digits only if the product is not rounded first.
  const double e = 0x1p-30;
  EXPECT_EQ(run(Op::dot_general, {vector<double>({-1, 1 + e}), vector<double>({1, 1 + e})},
                {{"lhs_contract", list({0})}, {"rhs_contract", list({0})}})
                .item<double>(),
            2 * e + e * e);
}

/// kat_vectors of Random123, philox4x32 with 10 rounds.
TEST(Evaluate, PhiloxKnownAnswers) {
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(ops::philox_4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(ops::philox_4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(ops::philox_4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Evaluate, RandomBitsTakeTheirWordsFromSeedRunIterationAndStream) {
  const Array bits = run(Op::rng_bits, {Array(std::uint64_t{0x1'00000002}), Array(std::uint64_t{0xF'00000003}), Array(std::uint64_t{4})},
                         {{"stream", std::int64_t{5}}, {"dims", Dims{2, 3}}});
  const auto first = ops::philox_4x32({0, 4, 3, 5}, {2, 1}), second = ops::philox_4x32({1, 4, 3, 5}, {2, 1});
  EXPECT_IDENTICAL(bits, Array({2, 3}, std::vector<std::uint32_t>{first[0], first[1], first[2], first[3], second[0], second[1]}));
  const Array without_iteration =
      run(Op::rng_bits, {Array(std::uint64_t{2}), Array(std::uint64_t{3})}, {{"stream", std::int64_t{5}}, {"dims", Dims{1}}});
  EXPECT_EQ(without_iteration.data<std::uint32_t>()[0], ops::philox_4x32({0, 0, 3, 5}, {2, 0})[0]);
}

}  // namespace
}  // namespace kiln::test
