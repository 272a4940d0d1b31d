// Text of tensor IR: what prints, and that it parses back to the same bytes.
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "ir/builder.h"
#include "ir/text.h"

namespace kiln::ir {
namespace {

/// Canonical text must print as it stands.
void expect_canonical(const std::string& text, const PrintOptions& options = {}) { EXPECT_EQ(print(parse(text), options), text); }

TEST(Text, AWholeTrainingProgram) {
  expect_canonical(R"(symbol batch {min = 1, max = 65536, typical = 64}
variable @w1 : f32[1000, 100] = @w1.initial
variable @scale : f32[] = 0.5
hidden variable @kiln.seed : u64[] = 18446744073709551615
variable @unset : f64[2, 0]

graph @main(%x: f32[batch, 1000]) -> (%h, %0) {
  %w1 = variable {name = "w1"} : f32[1000, 100]
  %h = dot_general %x, %w1 {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 100]
  %sum = reduce %h {combiner = "add", dimensions = [0, 1]} : f32[]
  %0 = tanh %sum : f32[]
  %1 = recompute tanh %sum : f32[]
  %2 = broadcast_in_dim %1 {dims = [1000, 100]} : f32[1000, 100]
  %w1.1 = assign %2 {name = "w1"} : f32[1000, 100]
}

graph @w1.initial() -> (%1) {
  %0 = constant {value = f32[] 1.25} : f32[]
  %1 = broadcast_in_dim %0 {dims = [1000, 100]} : f32[1000, 100]
}
)");
}

TEST(Text, EveryKindOfAttribute) {
  expect_canonical(R"(symbol n {multiple_of = 8}

graph @main(%x: f32[n, 4]) -> (%0) {
  %0 = composite %x {a_dims = dims [n + 1, 4], a_dtype = bf16, a_flag = true, a_graph = @identity, a_literal = i32[2, 2] {{1, -2}, {3, 4}}, a_text = "line\n\"quoted\" \\ \x01", an_empty_list = [], an_integer = 7, decomposition = @identity, integers = [1, -2], name = "all", "odd name" = false} : f32[n, 4]
  %1 = composite %x {decomposition = @identity, infinite = -inf, name = "numbers", payload = nan(0x7ff8000000000001), small = 1e-07, undefined = nan, whole = 3.0} : f32[n, 4]
  %2 = constant {value = bool[] true} : bool[]
  check %2 {code = 9, message = "never"}
}

graph @identity(%x: f32[n, 4]) -> (%x) {
}
)");
}

TEST(Text, ControlFlowAndTapes) {
  expect_canonical(R"(graph @main(%n: i64[], %x: f32[8]) -> (%y) {
  %0 = constant {value = i64[] 0} : i64[]
  %1 = tape_new {dims = [8], dtype = f32} : tape<f32[8]>
  %i, %y, %tape = while_loop %0, %x, %1, %n {body = @body, carried = 3, condition = @condition, max_trip_count = 100} : i64[], f32[8], tape<f32[8]>
}

graph @body(%i: i64[], %x: f32[8], %tape: tape<f32[8]>, %n: i64[]) -> (%2, %1, %0) {
  %0 = tape_push %tape, %x : tape<f32[8]>
  %1 = sin %x : f32[8]
  %one = constant {value = i64[] 1} : i64[]
  %2 = add %i, %one : i64[]
}

graph @condition(%i: i64[], %x: f32[8], %tape: tape<f32[8]>, %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
)");
}

TEST(Text, GraphsPrintInOrderOfFirstReference) {
  const Module module = parse(R"(
graph @start(%x: f32[]) -> (%1) {
  %0 = call %x {body = @b} : f32[]
  %1 = call %0 {body = @a} : f32[]
}
graph @a(%x: f32[]) -> (%x) {}
graph @unused(%x: f32[]) -> (%x) {}
graph @c(%x: f32[]) -> (%x) {}
graph @b(%x: f32[]) -> (%0) { %0 = call %x {body = @c} : f32[] }
)");
  const std::string text = print(module);
  EXPECT_LT(text.find("graph @start"), text.find("graph @b("));
  EXPECT_LT(text.find("graph @b("), text.find("graph @a("));
  EXPECT_LT(text.find("graph @a("), text.find("graph @c("));
  EXPECT_EQ(text.find("unused"), std::string::npos);
  EXPECT_EQ(print(parse(text)), text);
}

TEST(Text, FloatsReadBackToTheSameBits) {
  expect_canonical(R"(graph @main() -> (%0, %1, %2, %3) {
  %0 = constant {value = f32[12] {0, -0, 1e-45, 3.4028235e+38, 0.1, inf, -inf, nan, -nan, nan(0x7f800001), nan(0xffc00001), 16777216}} : f32[12]
  %1 = constant {value = f64[6] {5e-324, 1.7976931348623157e+308, 0.1, nan, nan(0x7ff8000000000001), -0}} : f64[6]
  %2 = constant {value = f16[6] {6e-08, 65504, 0.1, inf, nan, nan(0x7c01)}} : f16[6]
  %3 = constant {value = bf16[4] {9e-41, 0.1, -inf, nan(0xffc1)}} : bf16[4]
}
)");
  const Module module = parse(R"(graph @main() -> (%0) { %0 = constant {value = f32[3] {nan(0x7f800001), -0, 1e-45}} : f32[3] })");
  const auto values = module.main_graph().node(0).attributes.literal("value").data<float>();
  EXPECT_EQ(std::bit_cast<std::uint32_t>(values[0]), 0x7f800001u);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(values[1]), 0x80000000u);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(values[2]), 1u);
}

TEST(Text, EveryHalfReadsBack) {
  // All 65536 bit patterns of the two 16-bit dtypes.
  for (const DType dtype : {f16, bf16}) {
    Array all(dtype, {65536});
    auto* bits = static_cast<std::uint16_t*>(all.mutable_raw());
    for (int i = 0; i < 65536; ++i) bits[i] = static_cast<std::uint16_t>(i);
    Module module;
    Builder b(module, module.main);
    module.main_graph().results = {b.constant(all)};
    const Module again = parse(print(module));
    EXPECT_TRUE(identical(again.main_graph().node(0).attributes.literal("value"), all)) << name_of(dtype);
  }
}

TEST(Text, IntegerLimitsOfEveryDType) {
  expect_canonical(R"(graph @main() -> (%0) {
  %0 = composite {bool = bool[2] {true, false}, decomposition = @zero, i16 = i16[2] {-32768, 32767}, i32 = i32[2] {-2147483648, 2147483647}, i64 = i64[2] {-9223372036854775808, 9223372036854775807}, i8 = i8[2] {-128, 127}, name = "limits", u16 = u16[] 65535, u32 = u32[] 4294967295, u64 = u64[1] {18446744073709551615}, u8 = u8[] 255} : f32[]
}

graph @zero() -> (%0) {
  %0 = constant {value = f32[] 0} : f32[]
}
)");
}

TEST(Text, EmptyAndNestedLiterals) {
  expect_canonical(R"(graph @main() -> (%0, %1, %2) {
  %0 = constant {value = f32[2, 0] {}} : f32[2, 0]
  %1 = constant {value = i32[2, 1, 3] {{{1, 2, 3}}, {{4, 5, 6}}}} : i32[2, 1, 3]
  %2 = constant {value = f32[1, 1] {{7}}} : f32[1, 1]
}
)");
}

TEST(Text, SymbolicDims) {
  expect_canonical(R"(symbol "batch size" {min = 2}

graph @main(%x: f32["batch size", n], %y: f32[n*n + 2*n, ceildiv(n, 8)], %z: f32[min(m, n), max(n - 3, 0)]) -> (%0, %1) {
  %0 = dim_size {dims = ["batch size"*n - 1]} : i64[]
  %1 = reshape %x {dims = ["batch size"*n]} : f32["batch size"*n]
}
)");
}

TEST(Text, UndeclaredFactsOfSymbolsArePrinted) {
  Module module;
  const auto info = std::make_shared<const SymbolInfo>(SymbolInfo{.name = "n", .min = 3});
  module.main_graph().add_parameter({f32, Type::Kind::tensor, {Dim::symbol(info)}}, "x");
  EXPECT_EQ(print(module), "symbol n {min = 3}\n\ngraph @main(%x: f32[n]) {\n}\n");
}

TEST(Text, NamesOfValuesBecomeUniqueAndOddOnesAreQuoted) {
  Module module;
  Graph& main = module.main_graph();
  const Type scalar{f32, Type::Kind::tensor, {}};
  for (const char* name : {"x", "x", "x.1", "x", "", "0", "a b", "", "graph", "%", "x..y", "layer/1:0"}) main.add_parameter(scalar, name);
  const std::string text = print(module);
  EXPECT_EQ(
      text,
      R"(graph @main(%x: f32[], %x.1: f32[], %x.1.1: f32[], %x.2: f32[], %0: f32[], %"0": f32[], %"a b": f32[], %1: f32[], %graph: f32[], %"%": f32[], %"x..y": f32[], %"layer/1:0": f32[]) {
}
)");
  EXPECT_EQ(print(parse(text)), text);
}

TEST(Text, Locations) {
  const std::string text = R"(variable @v : f32[] loc("train.cpp":3)

graph @main(%x: f32[4] loc("train.cpp":10:7)) -> (%0) {
  %0 = negate %x : f32[4] loc("a \"b\".cpp":11)
  %1 = negate %0 : f32[4]
}
)";
  expect_canonical(text, {.locations = true});
  EXPECT_EQ(print(parse(text)).find("loc("), std::string::npos);
  const Module module = parse(text);
  EXPECT_EQ(to_string(module.location(module.main_graph().node(1).location)), "a \"b\".cpp:11");
}

TEST(Text, DefaultsAreNotPrinted) {
  const Module module = parse(R"(graph @main(%x: f32[4], %y: f32[4]) -> (%0) {
  %0 = dot_general %x, %y {lhs_batch = [], lhs_contract = [0], rhs_batch = [], rhs_contract = [0]} : f32[]
})");
  EXPECT_NE(print(module).find("{lhs_contract = [0], rhs_contract = [0]}"), std::string::npos);
}

TEST(Text, LargeLiteralsGoToTheStoreOrAreElided) {
  Module module;
  Builder b(module, module.main);
  module.add_variable({.name = "w", .type = {f32, Type::Kind::tensor, {100}}, .initial = Array::full(f32, {100}, 0.1)});
  module.main_graph().results = {b.constant(Array::full(f64, {8, 8}, 1.0 / 3)), b.constant(Array::full(f32, {64}, 1)),
                                 b.constant(Array::full(f32, {65}, 2))};
  std::map<std::string, Array> store;
  const std::string text = print(module, {.store = &store});
  EXPECT_NE(text.find("variable @w : f32[100] = tensor(\"w\")"), std::string::npos) << text;
  EXPECT_NE(text.find("f64[8, 8] tensor(\"constant_0\")"), std::string::npos) << text;
  EXPECT_NE(text.find("f32[64] {1, 1"), std::string::npos) << text;
  EXPECT_EQ(store.size(), 3u);
  const Module again = parse(text, "<text>", &store);
  std::map<std::string, Array> second_store;
  EXPECT_EQ(print(again, {.store = &second_store}), text);
  EXPECT_EQ(print(again), print(module));
  EXPECT_THROW(parse(text), Error);

  const std::string elided = print(module, {.elide_large = true});
  EXPECT_LT(elided.size(), 1500u);
  EXPECT_EQ(elided, print(again, {.elide_large = true}));
  Module other = module.clone();
  other.variables[0].initial = Array::full(f32, {100}, 0.1000001);
  EXPECT_NE(elided, print(other, {.elide_large = true}));
}

TEST(Text, OneGraphAlone) {
  const Module module = parse("graph @main(%x: f32[]) -> (%0) { %0 = call %x {body = @f} : f32[] }\ngraph @f(%x: f32[]) -> (%x) {}");
  const GraphId f = regions_of(module.main_graph().node(1)).at(0);
  EXPECT_EQ(print(module, f), "graph @f(%x: f32[]) -> (%x) {\n}\n");
}

TEST(Text, CommentsAndBlanksAreFree) {
  const Module module = parse("// a comment\n\n  graph\t@main ( %x : f32[ 2 ,n ] ) // here\n -> ( %y ) {%y=negate %x:f32[2,n]}\n// end");
  EXPECT_EQ(print(module), "graph @main(%x: f32[2, n]) -> (%y) {\n  %y = negate %x : f32[2, n]\n}\n");
}

}  // namespace
}  // namespace kiln::ir
