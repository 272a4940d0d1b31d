// Programs as bytes and back.
#include "runtime/program_io.h"

#include <gtest/gtest.h>

#include "fake_source.h"
#include "temporary.h"

namespace kiln {
namespace {

using runtime::Program;
using testing::error_of;

Program sample() {
  Program p;
  p.inputs = {
      {"x", f32, {testing::symbol_dim(0, "batch"), testing::constant_dim(3), testing::value_dim(1, "2*batch")}, testing::user_line(3)}};
  p.outputs = {{"y", bf16, {}, {}}};
  p.symbols = {{"batch", 1, 64, 8}};
  p.variables = {{"w", f64, {4, 5}, true, true, true, testing::user_line(7)}};
  p.checks = {{ErrorCode::shape_mismatch, "must agree", testing::user_line(9), "make them agree"}};
  p.dim_checks = {{1, 2, 0}};
  p.custom_calls = {{"f", {{f32, {testing::symbol_dim(0, "batch")}}}, {{i64, {}}, {f32, {testing::value_dim(2, "batch/2")}}}, testing::user_line(5), {}}};
  p.constants = {Array::from({1.f, 2.f}), Array(f32, {0, 3}), Array(true)};
  p.input_feeds = {1};
  p.fetch_outputs = {0, -1};
  p.produced = 1;
  p.outputs.push_back({"found", i64, {testing::symbol_dim(1, "found")}, {}, 2});
  p.plan_values = 3;
  return p;
}

Program back(const std::string& bytes) {
  return runtime::deserialize({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}, "model.so");
}

TEST(ProgramIo, RoundTrips) {
  const std::string bytes = runtime::serialize(sample());
  const Program p = back(bytes);
  EXPECT_EQ(runtime::serialize(p), bytes);
  EXPECT_EQ(p.inputs[0].dims[2].text, "2*batch");
  EXPECT_EQ(p.inputs[0].dims[2].kind, runtime::DimSpec::Kind::expression);
  EXPECT_EQ(to_string(p.inputs[0].where), "model.cpp:3");
  EXPECT_EQ(p.outputs[0].dtype, bf16);
  EXPECT_EQ(p.symbols[0].multiple_of, 8);
  EXPECT_EQ(p.variables[0].shape, (Shape{4, 5}));
  EXPECT_TRUE(p.variables[0].shadowed);
  EXPECT_EQ(p.checks[0].hint, "make them agree");
  EXPECT_EQ(p.custom_calls[0].name, "f");
  EXPECT_EQ(p.custom_calls[0].inputs[0].dims[0].text, "batch");
  EXPECT_EQ(p.custom_calls[0].results[1].dims[0].value, 2);
  EXPECT_EQ(to_string(p.custom_calls[0].where), "model.cpp:5");
  EXPECT_FALSE(p.custom_calls[0].function);
  EXPECT_TRUE(identical(p.constants[0], sample().constants[0]));
  EXPECT_EQ(p.constants[1].shape(), (Shape{0, 3}));
  EXPECT_EQ(p.fetch_outputs, (std::vector<std::int32_t>{0, -1}));
  EXPECT_EQ(p.plan_values, 3);
  EXPECT_EQ(p.produced, 1);
  EXPECT_EQ(p.outputs[0].capacity, -1);
  EXPECT_EQ(p.outputs[1].capacity, 2);
  EXPECT_EQ(p.outputs[1].dims[0].value, 1);
}

TEST(ProgramIo, RefersToNothingThatIsNotThere) {
  const auto message = [](auto&& change) {
    Program p = sample();
    change(p);
    return error_of(ErrorCode::corrupt_file, [&] { back(runtime::serialize(p)); });
  };
  const std::string start = "error: 'model.so' is damaged or not a compiled Kiln file: ";
  EXPECT_EQ(message([](Program& p) { p.custom_calls[0].inputs[0].dims[0].value = 2; }), start + "a dimension of 'f' refers to nothing");
  EXPECT_EQ(message([](Program& p) { p.custom_calls[0].results[1].dims[0].value = 3; }), start + "a dimension of 'f' refers to nothing");
  EXPECT_EQ(message([](Program& p) { p.inputs[0].dims[0].value = 1; }), start + "a dimension of 'x' is not known before a run");
  EXPECT_EQ(message([](Program& p) { p.outputs[1].dims[0].value = 2; }), start + "a dimension of 'found' refers to nothing");
  EXPECT_EQ(message([](Program& p) { p.outputs[1].capacity = 3; }), start + "the size of 'found' refers to nothing");
  EXPECT_EQ(message([](Program& p) { p.produced = -1; }), start + "the number of produced symbols makes no sense");
  EXPECT_EQ(message([](Program& p) { p.inputs[0].dims[2].value = 3; }), start + "a dimension of 'x' refers to nothing");
  EXPECT_EQ(message([](Program& p) { p.dim_checks[0].right = -1; }), start + "a check of extents refers to nothing");
  EXPECT_EQ(message([](Program& p) { p.fetch_outputs[0] = 2; }), start + "a fetch refers to no output");
  EXPECT_EQ(message([](Program& p) { p.input_feeds.push_back(0); }), start + "inputs and their feeds differ in number");
  EXPECT_EQ(message([](Program& p) { p.plan_values = 0; }), start + "the number of plan values makes no sense");
  EXPECT_EQ(error_of(ErrorCode::corrupt_file, [] { back(runtime::serialize(sample()) + "x"); }), start + "1 bytes are left over");
  EXPECT_EQ(error_of(ErrorCode::corrupt_file, [] { back("ELF"); }), start + "it does not begin with KILNPRG2");
}

}  // namespace
}  // namespace kiln
