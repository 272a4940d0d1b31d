// What users read when operands do not fit: whole messages.
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/op.h"

namespace kiln::test {
namespace {
using namespace ir;

Type f32_type(Dims dims) { return {.dtype = DType::f32, .dims = std::move(dims)}; }

/// "code: message | hint" of the error, or the result types.
std::string inferred(Op op, std::vector<Type> operands, Attributes attributes = {}, const Module* module = nullptr) {
  try {
    const std::vector<Type> types = infer_types({op, operands, attributes, module});
    return types.empty() ? "" : describe_types(types);
  } catch (const Error& error) {
    const char* code = error.code() == ErrorCode::shape_mismatch       ? "shape"
                       : error.code() == ErrorCode::dtype_mismatch     ? "dtype"
                       : error.code() == ErrorCode::invalid_argument   ? "argument"
                       : error.code() == ErrorCode::not_differentiable ? "gradient"
                                                                       : "other";
    return std::string(code) + ": " + error.message() + (error.hint().empty() ? "" : " | " + error.hint());
  }
}

std::vector<std::int64_t> list(std::initializer_list<std::int64_t> values) { return values; }
const Dim n = Dim::symbol("n"), m = Dim::symbol("m");

TEST(Infer, Elementwise) {
  EXPECT_EQ(inferred(Op::add, {f32_type({n, 3}), f32_type({n, 3})}), "f32[n, 3]");
  EXPECT_EQ(inferred(Op::add, {f32_type({64, 100}), f32_type({64, 10})}),
            "shape: add: shapes differ: f32[64, 100] has 100 at dim 1, f32[64, 10] has 10");
  EXPECT_EQ(inferred(Op::add, {f32_type({64, 100}), f32_type({100})}),
            "shape: add: shapes differ: f32[64, 100] has rank 2, f32[100] has rank 1");
  EXPECT_EQ(inferred(Op::add, {f32_type({n}), f32_type({m})}),
            "shape: add: it cannot be shown that n equals m: shapes differ: f32[n] has n at dim 0, f32[m] has m | use one symbol for both "
            "extents, or "
            "give both a constant");
  EXPECT_EQ(inferred(Op::add, {f32_type({3}), Type{.dtype = DType::f64, .dims = {3}}}),
            "dtype: add: dtypes differ: f32[3] has f32, f64[3] has f64 | convert one of them: convert(x, f64)");
  EXPECT_EQ(inferred(Op::compare, {f32_type({2}), f32_type({2})}, {{"direction", std::string("lt")}}), "bool[2]");
  EXPECT_EQ(inferred(Op::compare, {f32_type({2}), f32_type({2})}, {{"direction", std::string("less")}}),
            "argument: compare: there is no comparison \"less\": there are eq, ne, lt, le, gt, ge");
  EXPECT_EQ(inferred(Op::select, {Type{.dtype = DType::boolean, .dims = {3}}, f32_type({2}), f32_type({2})}),
            "shape: select: shapes differ: bool[3] has 3 at dim 0, f32[2] has 2");
}

TEST(Infer, Convolution) {
  const Attributes plain{{"lhs_batch", std::int64_t{0}},         {"lhs_feature", std::int64_t{1}},        {"lhs_spatial", list({2})},
                         {"rhs_input_feature", std::int64_t{1}}, {"rhs_output_feature", std::int64_t{0}}, {"rhs_spatial", list({2})},
                         {"result_batch", std::int64_t{0}},      {"result_feature", std::int64_t{1}},     {"result_spatial", list({2})}};
  EXPECT_EQ(inferred(Op::convolution, {f32_type({m, 3, n}), f32_type({8, 3, 3})}, plain), "f32[m, 8, max(n - 2, 0)]");
  const Attributes padded = plain.with("low", Dims{1}).with("high", Dims{1});
  EXPECT_EQ(inferred(Op::convolution, {f32_type({m, 3, n}), f32_type({8, 3, 3})}, padded), "f32[m, 8, n]");
  EXPECT_EQ(inferred(Op::convolution, {f32_type({2, 3, 2}), f32_type({8, 3, 3})}, plain), "f32[2, 8, 0]");  // the window fits nowhere
  EXPECT_EQ(inferred(Op::convolution, {f32_type({2, 6, 9}), f32_type({8, 3, 3})}, plain.with("feature_groups", std::int64_t{2})),
            "f32[2, 8, 7]");
  EXPECT_EQ(inferred(Op::convolution, {f32_type({4, 3, 9}), f32_type({8, 3, 3})}, plain.with("batch_groups", std::int64_t{2})),
            "f32[2, 8, 7]");
  EXPECT_EQ(
      inferred(Op::convolution, {f32_type({2, 6, 9}), f32_type({8, 4, 3})}, plain.with("feature_groups", std::int64_t{2})),
      "shape: convolution: f32[2, 6, 9] has 6 features at dim 1 in 2 groups, thus 3 each, but f32[8, 4, 3] has 4 input features at dim 1");
  EXPECT_EQ(inferred(Op::convolution, {f32_type({3, 3, 9}), f32_type({8, 3, 3})}, plain.with("batch_groups", std::int64_t{2})),
            "shape: convolution: the 3 elements of the batch of f32[3, 3, 9] (dim 0) cannot be divided into 2 groups");
  EXPECT_EQ(inferred(Op::convolution, {f32_type({2, 3, 9}), f32_type({8, 3, 3})}, plain.with("strides", list({0}))),
            "argument: convolution: strides [0] must be at least 1");
  EXPECT_EQ(inferred(Op::convolution, {f32_type({2, 3, 9}), f32_type({8, 3, 3})}, plain.with("rhs_dilation", list({1, 1}))),
            "argument: convolution: rhs_dilation [1, 1] needs one entry for each of 1 spatial dims");
  EXPECT_EQ(
      inferred(Op::convolution, {f32_type({2, 3, 9, 9}), f32_type({8, 3, 3})}, plain),
      "shape: convolution: lhs of rank 4 needs 2 spatial dims, but lhs_spatial is [2] (operands are f32[2, 3, 9, 9] and f32[8, 3, 3])");
  EXPECT_EQ(inferred(Op::convolution, {f32_type({2, 3, 9}), f32_type({8, 3, 3})}, plain.with("dtype", DType::f16)),
            "dtype: convolution: f32 operands cannot be summed up in f16 | floats are summed up in a wider float, or in their own dtype");
}

TEST(Infer, DotGeneral) {
  const Attributes matmul{{"lhs_contract", list({1})}, {"rhs_contract", list({0})}};
  EXPECT_EQ(inferred(Op::dot_general, {f32_type({n, 100}), f32_type({100, 10})}, matmul), "f32[n, 10]");
  EXPECT_EQ(inferred(Op::dot_general, {f32_type({64, 100}), f32_type({99, 10})}, matmul),
            "shape: dot_general: contracted dims differ: f32[64, 100] has 100 at dim 1, f32[99, 10] has 99 at dim 0");
  EXPECT_EQ(inferred(Op::dot_general, {f32_type({2, 3, 5}), f32_type({4, 5, 6})},
                     {{"lhs_batch", list({0})}, {"rhs_batch", list({0})}, {"lhs_contract", list({2})}, {"rhs_contract", list({1})}}),
            "shape: dot_general: batch dims differ: f32[2, 3, 5] has 2 at dim 0, f32[4, 5, 6] has 4 at dim 0");
  EXPECT_EQ(inferred(Op::dot_general, {f32_type({2, 3}), f32_type({3, 2})}, {{"lhs_contract", list({1})}, {"rhs_contract", list({2})}}),
            "argument: dot_general: rhs_contract names dim 2, which is not one of 0 to 1");
  EXPECT_EQ(inferred(Op::dot_general, {f32_type({2}), f32_type({2})}, {{"lhs_contract", list({0})}}),
            "argument: dot_general: lhs_contract [0] and rhs_contract [] must have equally many dims");
}

TEST(Infer, WindowsAndRunningFolds) {
  const Attributes window{{"combiner", std::string("maximum")}, {"window", list({3, 1})}, {"strides", list({2, 1})}};
  EXPECT_EQ(inferred(Op::reduce_window, {f32_type({9, 4})}, window), "f32[4, 4]");
  EXPECT_EQ(inferred(Op::reduce_window, {f32_type({2, 4})}, window), "f32[0, 4]");
  EXPECT_EQ(inferred(Op::reduce_window, {f32_type({n, m})}, window.with("low", list({1, 0})).with("high", list({1, 0}))),
            "f32[ceildiv(n, 2), m]");
  EXPECT_EQ(inferred(Op::reduce_window, {f32_type({n})}, {{"combiner", std::string("add")}, {"window", list({3})}}), "f32[max(n - 2, 0)]");
  EXPECT_EQ(inferred(Op::reduce_window, {f32_type({9})}, window),
            "argument: reduce_window: window has 2 entries, but needs 1: one per dim of f32[9]");
  EXPECT_EQ(inferred(Op::reduce_window, {f32_type({9, 4})}, window.with("strides", list({0, 1}))),
            "argument: reduce_window: strides of dim 0 is 0, but must be from 1 to 2147483648");
  EXPECT_EQ(inferred(Op::window_argument, {f32_type({9, 4})}, {{"direction", std::string("most")}, {"window", list({3, 1})}}),
            "argument: window_argument: there is no direction \"most\": there are maximum, minimum");
  EXPECT_EQ(inferred(Op::cumulative, {f32_type({n})}, {{"combiner", std::string("and")}, {"dimension", std::int64_t{0}}}),
            "argument: cumulative: there is no combiner \"and\": there are add, multiply, maximum, minimum");
  EXPECT_EQ(inferred(Op::arg_reduce, {f32_type({n, 3})}, {{"direction", std::string("maximum")}, {"dimension", std::int64_t{1}}}),
            "i64[n]");
  EXPECT_EQ(inferred(Op::linear_recurrence, {f32_type({2, 3}), f32_type({2, 4})}, {{"dimension", std::int64_t{0}}}),
            "shape: linear_recurrence: shapes differ: f32[2, 3] has 3 at dim 1, f32[2, 4] has 4");
}

TEST(Infer, Shapes) {
  EXPECT_EQ(inferred(Op::reshape, {f32_type({n, 6})}, {{"dims", Dims{n * 2, 3}}}), "f32[2*n, 3]");
  EXPECT_EQ(inferred(Op::reshape, {f32_type({4, 6})}, {{"dims", Dims{5, 5}}}), "shape: reshape: f32[4, 6] has 24 elements, [5, 5] has 25");
  EXPECT_EQ(inferred(Op::broadcast_in_dim, {f32_type({3})}, {{"dims", Dims{2, 4}}, {"positions", list({1})}}),
            "shape: broadcast_in_dim: f32[3] cannot become [2, 4]: it has 3 at dim 0, which is to be 4 at dim 1; only an extent of 1 is "
            "repeated");
  // A symbolic extent is never taken for 1.
  EXPECT_EQ(inferred(Op::broadcast_in_dim, {f32_type({n})}, {{"dims", Dims{4}}, {"positions", list({0})}}).substr(0, 54),
            "shape: broadcast_in_dim: it cannot be shown that n equ");
  EXPECT_EQ(inferred(Op::transpose, {f32_type({2, 3})}, {{"permutation", list({0, 0})}}),
            "argument: transpose: permutation names dim 0 twice: [0, 0]");
  EXPECT_EQ(inferred(Op::transpose, {f32_type({2, 3})}, {{"permutation", list({0})}}),
            "argument: transpose: permutation has 1 entry, but needs 2: one per dim of f32[2, 3]");
  EXPECT_EQ(inferred(Op::slice, {f32_type({10})}, {{"starts", Dims{2}}, {"limits", Dims{12}}, {"strides", list({1})}}),
            "shape: slice: dim 0 of f32[10] is sliced from 2 to 12, but 12 <= 10 does not hold");
  EXPECT_EQ(inferred(Op::slice, {f32_type({n})}, {{"starts", Dims{0}}, {"limits", Dims{5}}, {"strides", list({1})}}),
            "shape: slice: dim 0 of f32[n] is sliced from 0 to 5, but it cannot be shown that 5 <= n | give the symbol bounds that imply "
            "it: Dim(\"n\", {.min = ...})");
  EXPECT_EQ(inferred(Op::concatenate, {f32_type({2, 3}), f32_type({2, 4})}, {{"dim", std::int64_t{0}}}),
            "shape: concatenate: f32[2, 3] and f32[2, 4] cannot be joined along dim 0: all other extents must be equal");
  EXPECT_EQ(inferred(Op::concatenate, {f32_type({n, 3}), f32_type({2, 3})}, {{"dim", std::int64_t{0}}}), "f32[n + 2, 3]");
  EXPECT_EQ(inferred(Op::pad, {f32_type({3}), f32_type({})}, {{"low", Dims{-4}}, {"high", Dims{0}}, {"interior", list({0})}}),
            "shape: pad: dim 0 of f32[3] is padded by -4 and 0 to -1, but 0 <= -1 does not hold");
}

/// The gradient of a strided slice is a padding, and that one's a strided slice: the extents must come back as they were, for symbols too.
TEST(Infer, StridedSlicesOfPaddingGiveTheOriginalExtent) {
  for (const std::int64_t stride : {1, 2, 3}) {
    const Type padded = infer_types({Op::pad, std::vector<Type>{f32_type({n}), f32_type({})},
                                     Attributes{{"low", Dims{0}}, {"high", Dims{0}}, {"interior", list({stride - 1})}}})[0];
    EXPECT_EQ(inferred(Op::slice, {padded}, {{"starts", Dims{0}}, {"limits", padded.dims}, {"strides", list({stride})}}), "f32[n]")
        << stride;
  }
}

TEST(Infer, Gather) {
  const Type indices{.dtype = DType::i64, .dims = {7}};
  const Attributes rows{{"offset_dims", list({1})},
                        {"collapsed_slice_dims", list({0})},
                        {"start_index_map", list({0})},
                        {"index_vector_dim", std::int64_t{1}},
                        {"slice_sizes", Dims{1, n}}};
  EXPECT_EQ(inferred(Op::gather, {f32_type({5, n}), indices}, rows), "f32[7, n]");
  EXPECT_EQ(inferred(Op::gather, {f32_type({5, n}), f32_type({7})}, rows),
            "dtype: gather: indices must be integers, but are f32[7] | convert them: convert(indices, i64)");
  EXPECT_EQ(inferred(Op::gather, {f32_type({5, n}), Type{.dtype = DType::i64, .dims = {7, 2}}}, rows),
            "shape: gather: index vectors of i64[7, 2] have 2 components, but start_index_map names 1 dims");
  EXPECT_EQ(inferred(Op::gather, {f32_type({5, n}), indices}, rows.with("slice_sizes", Dims{2, n})),
            "argument: gather: slice_sizes is [2, n], but dim 0 is collapsed or a batch dim: windows have extent 1 there");
  EXPECT_EQ(
      inferred(Op::gather, {f32_type({5, n}), indices}, rows.without("collapsed_slice_dims")),
      "argument: gather: the operand f32[5, n] has 2 dims, but offset_dims, collapsed_slice_dims and operand_batching_dims account for 1");
  EXPECT_EQ(inferred(Op::gather, {f32_type({5, n}), indices}, rows.with("index_vector_dim", std::int64_t{2})),
            "argument: gather: index_vector_dim is 2, but indices i64[7] have the dims 0 to 0 (or 1: indices of one component)");
}

TEST(Infer, Scatter) {
  const Type indices{.dtype = DType::i64, .dims = {7}};
  const Attributes rows{{"combiner", std::string("add")},
                        {"update_window_dims", list({1})},
                        {"inserted_window_dims", list({0})},
                        {"scatter_dims_to_operand_dims", list({0})},
                        {"index_vector_dim", std::int64_t{1}}};
  EXPECT_EQ(inferred(Op::scatter, {f32_type({5, 3}), indices, f32_type({7, 3})}, rows), "f32[5, 3]");
  EXPECT_EQ(inferred(Op::scatter, {f32_type({5, 3}), indices, f32_type({6, 3})}, rows),
            "shape: scatter: dim 0 of the updates f32[6, 3] and dim 0 of the indices i64[7] run together, but differ");
  EXPECT_EQ(inferred(Op::scatter, {f32_type({5, 3}), indices, f32_type({7, 3})}, rows.with("combiner", std::string("subtract"))),
            "argument: scatter: there is no combiner \"subtract\": there are add, multiply, minimum, maximum, replace");
  const auto boolean = [](Dims dims) { return Type{.dtype = DType::boolean, .dims = std::move(dims)}; };
  EXPECT_EQ(inferred(Op::scatter, {boolean({5, 3}), indices, boolean({7, 3})}, rows),
            "dtype: scatter: \"add\" takes numbers, but the operand is bool[5, 3] | convert it to a number dtype");
  EXPECT_EQ(inferred(Op::scatter, {boolean({5, 3}), indices, boolean({7, 3})}, rows.with("combiner", std::string("replace"))),
            "bool[5, 3]");
}

TEST(Infer, DynamicSlices) {
  const Type start{.dtype = DType::i32, .dims = {}};
  EXPECT_EQ(inferred(Op::dynamic_slice, {f32_type({5, n}), start, start}, {{"sizes", Dims{2, n}}}), "f32[2, n]");
  EXPECT_EQ(inferred(Op::dynamic_slice, {f32_type({n}), start}, {{"sizes", Dims{1}}}), "f32[1]");  // n may be 0: reads 0 then
  EXPECT_EQ(inferred(Op::dynamic_slice, {f32_type({5}), start}, {{"sizes", Dims{-1}}}),
            "argument: dynamic_slice: the window has extent -1 in dim 0");
  EXPECT_EQ(inferred(Op::dynamic_slice, {f32_type({5, n}), start}, {{"sizes", Dims{2, n}}}),
            "argument: dynamic_slice: f32[5, n] has 2 dims, but there are 1 starts | give one start for every dim");
  EXPECT_EQ(inferred(Op::dynamic_update_slice, {f32_type({5}), f32_type({2}), f32_type({})}),
            "dtype: dynamic_update_slice: start 0 must be an integer scalar, but is f32[]");
  EXPECT_EQ(inferred(Op::dynamic_update_slice, {f32_type({5, n}), f32_type({2}), start, start}),
            "shape: dynamic_update_slice: the update f32[2] of f32[5, n] must have its rank");
}

TEST(Infer, Reduce) {
  const auto reduce = [](Type type, std::string combiner, std::vector<std::int64_t> dimensions) {
    return inferred(Op::reduce, {std::move(type)}, {{"combiner", std::move(combiner)}, {"dimensions", std::move(dimensions)}});
  };
  EXPECT_EQ(reduce(f32_type({2, n, 4}), "add", {0, 2}), "f32[n]");
  EXPECT_EQ(reduce(f32_type({2}), "mean", {0}),
            "argument: reduce: there is no combiner \"mean\": there are add, multiply, maximum, minimum, and, or");
  EXPECT_EQ(reduce(f32_type({2}), "and", {0}), "dtype: reduce: \"and\" folds bool and integers, but the operand is f32[2] | compare first");
  EXPECT_EQ(reduce(Type{.dtype = DType::boolean, .dims = {2}}, "add", {0}),
            "dtype: reduce: \"add\" folds numbers, but the operand is bool[2] | fold with \"and\" or \"or\", or convert to an integer "
            "dtype to count");
  EXPECT_EQ(reduce(f32_type({2}), "add", {1}), "argument: reduce: dimensions names dim 1, which is not one of 0 to 0");
  EXPECT_EQ(reduce(f32_type({}), "add", {0}), "argument: reduce: dimensions names dim 0, but the tensor has rank 0");
}

TEST(Infer, GradientsNeedAScalarOfAFloatingDType) {
  EXPECT_EQ(inferred(Op::gradients, {f32_type({}), f32_type({n, 3})}), "f32[n, 3]");
  EXPECT_EQ(inferred(Op::gradients, {f32_type({64}), f32_type({3})}),
            "shape: gradients: y must be a scalar, but is f32[64] | reduce it, for example with reduce_sum, or give the cotangent of y");
  EXPECT_EQ(inferred(Op::gradients, {f32_type({}), Type{.dtype = DType::i32, .dims = {3}}}),
            "gradient: gradients: there is no gradient with respect to i32[3]: only floating tensors have gradients");
}

TEST(Infer, State) {
  Module module;
  module.variables.push_back({.name = "w", .type = f32_type({3, 2}), .initial = std::nullopt});
  EXPECT_EQ(inferred(Op::variable, {}, {{"name", std::string("w")}}, &module), "f32[3, 2]");
  EXPECT_EQ(inferred(Op::variable, {}, {{"name", std::string("v")}}, &module), "argument: variable: there is no variable named \"v\"");
  EXPECT_EQ(inferred(Op::assign, {f32_type({3, 3})}, {{"name", std::string("w")}}, &module),
            "shape: assign: variable \"w\" is f32[3, 2], the new value is f32[3, 3]");
  EXPECT_EQ(inferred(Op::assign, {Type{.dtype = DType::f64, .dims = {3, 2}}}, {{"name", std::string("w")}}, &module),
            "dtype: assign: variable \"w\" is f32[3, 2], the new value is f64[3, 2] | convert the value: convert(x, f32)");
}

/// Graphs @same(f32[2]) -> f32[2], @other(f32[2]) -> f32[], @test(f32[2]) -> bool[].
struct Regions {
  Module module;
  GraphRef same, other, test;
  Regions() {
    const auto graph = [&](const char* name) {
      const GraphId id = module.add_graph(name);
      module.graph(id).add_parameter(f32_type({2}), "x");
      return id;
    };
    same.id = graph("same");
    module.graph(same.id).results = {module.graph(same.id).parameters[0]};
    other.id = graph("other");
    Builder b(module, other.id);
    b.graph().results = {b.reduce_add(b.graph().parameters[0], {0})};
    test.id = graph("test");
    Builder t(module, test.id);
    t.graph().results = {t.constant(Array(true))};
  }
};

TEST(Infer, ControlFlow) {
  Regions r;
  const Type predicate{.dtype = DType::boolean, .dims = {}};
  EXPECT_EQ(inferred(Op::call, {f32_type({2})}, {{"body", r.other}}, &r.module), "f32[]");
  EXPECT_EQ(inferred(Op::call, {f32_type({3})}, {{"body", r.other}}, &r.module),
            "shape: call: parameter 0 of @other is f32[2], but operands gives f32[3]");
  EXPECT_EQ(inferred(Op::cond, {predicate, f32_type({2})}, {{"then", r.same}, {"else", r.same}}, &r.module), "f32[2]");
  EXPECT_EQ(inferred(Op::cond, {predicate, f32_type({2})}, {{"then", r.same}, {"else", r.other}}, &r.module),
            "shape: cond: the branches yield different types for result 0: then yields f32[2], else yields f32[]");
  EXPECT_EQ(
      inferred(Op::cond, {Type{.dtype = DType::boolean, .dims = {2}}, f32_type({2})}, {{"then", r.same}, {"else", r.same}}, &r.module),
      "shape: cond: the predicate must be bool[], but is bool[2] | select() chooses element by element");
  const auto loop = [&](GraphRef condition, GraphRef body) {
    return inferred(Op::while_loop, {f32_type({2})}, {{"carried", std::int64_t{1}}, {"condition", condition}, {"body", body}}, &r.module);
  };
  EXPECT_EQ(loop(r.test, r.same), "f32[2]");
  EXPECT_EQ(loop(r.test, r.other),
            "shape: while_loop: carried value 0 enters as f32[2], but the body yields f32[] | a carried value keeps its dtype and shape "
            "through the loop");
  EXPECT_EQ(loop(r.same, r.same), "shape: while_loop: the condition must yield one bool[], but yields f32[2]");
}

TEST(Infer, Tapes) {
  const Type tape = infer_types({Op::tape_new, {}, Attributes{{"dtype", DType::f32}, {"dims", Dims{n}}}})[0];
  EXPECT_EQ(to_string(tape), "tape<f32[n]>");
  EXPECT_EQ(inferred(Op::tape_push, {tape, f32_type({n})}), "tape<f32[n]>");
  EXPECT_EQ(inferred(Op::tape_pop, {tape}), "tape<f32[n]> and f32[n]");
  EXPECT_EQ(inferred(Op::tape_push, {tape, f32_type({3})}), "shape: tape_push: f32[3] cannot be pushed on tape<f32[n]>");
  EXPECT_EQ(inferred(Op::negate, {tape}), "argument: negate: operand 0 must be a tensor, but is tape<f32[n]>");
}

TEST(Infer, OrderAndProducedExtents) {
  const Dim n = Dim::symbol("n");
  const Type count{DType::i64, Type::Kind::tensor, {}};
  const auto symbol = [](const char* name) { return Attributes{{"symbol", std::string(name)}}; };
  EXPECT_EQ(inferred(Op::argsort, {f32_type({3, n}), f32_type({3, n})}, {{"dimension", std::int64_t{1}}}), "i64[3, n]");
  EXPECT_EQ(inferred(Op::shrink, {f32_type({n, 3}), count}, symbol("k")), "f32[k, 3]");
  EXPECT_NE(inferred(Op::argsort, {f32_type({})}, {{"dimension", std::int64_t{0}}}).find("argsort: "), std::string::npos);
  EXPECT_NE(inferred(Op::argsort, {f32_type({3}), f32_type({4})}, {{"dimension", std::int64_t{0}}}).find("shape: argsort: "), std::string::npos);
  EXPECT_EQ(inferred(Op::shrink, {f32_type({}), count}, symbol("k")), "shape: shrink: f32[] has no dim to shrink");
  EXPECT_EQ(inferred(Op::shrink, {f32_type({n}), f32_type({})}, symbol("k")), "shape: shrink: the count must be i64[], but is f32[]");
  EXPECT_NE(inferred(Op::shrink, {f32_type({3, n}), count}, symbol("n")).find("the symbol n stands in f32[3, n] already"), std::string::npos);
}

}  // namespace
}  // namespace kiln::test
