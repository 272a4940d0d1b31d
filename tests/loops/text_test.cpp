// Text of loop IR: round trips, canonical text, errors with their place, arbitrary bytes.
#include <random>

#include <gtest/gtest.h>

#include "ir/loop_text.h"
#include "tests/loops/kernels.h"

namespace kiln::ir {
namespace {

Kernel parse_one(const std::string& text) {
  std::vector<Kernel> kernels = parse_kernels(text, "k.kiln");
  EXPECT_EQ(kernels.size(), 1U);
  return std::move(kernels.at(0));
}

std::string parse_error(const std::string& text) {
  try {
    parse_kernels(text, "k.kiln");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::parse);
    return error.what();
  }
  return "no error";
}

TEST(LoopText, RoundTripOfAProduct) { EXPECT_EQ(print(parse_one(dot_relu_text)), dot_relu_text); }

TEST(LoopText, RoundTripOfEveryConstruct) {
  const std::string once = print(parse_one(all_constructs_text));
  EXPECT_EQ(print(parse_one(once)), once);
  // The only differences from what was written: the names of the last loop's registers.
  std::string expected = all_constructs_text;
  expected.replace(expected.find("%24, %27 = for s in 0 .. n step 2 carry (%25 = %1, %26 = %2)"), 61,
                   "%26, %27 = for s in 0 .. n step 2 carry (%24 = %1, %25 = %2) ");
  expected.replace(expected.find("yield %26, %25"), 14, "yield %25, %24");
  EXPECT_EQ(once, expected);
}

TEST(LoopText, LiteralsReadBackToTheSameBits) {
  for (const DType dtype : {f16, bf16, f32, f64}) {
    for (const double value : {0.0, -0.0, 1.0, 0.1, 1e-40, 5e-324, 3.4e38, 1e300, 65504.0, -1.0 / 3}) {
      const Literal literal = Literal::of(dtype, value);
      const std::string text = "kernel @k() {\n  %0 = constant " + to_string(literal) + " : " + std::string(name_of(dtype)) + "\n}\n";
      EXPECT_EQ(parse_one(text).body.instructions.at(0).literal, literal) << text;
    }
  }
}

TEST(LoopText, NamesThatAreNoIdentifiersAreQuoted) {
  Kernel kernel = parse_one("kernel @k(x: f32[]) {\n}\n");
  kernel.name = "layer 1/dot";
  kernel.buffers[0].name = "weight \"w\"";
  EXPECT_EQ(print(kernel), "kernel @\"layer 1/dot\"(\"weight \\\"w\\\"\": f32[]) {\n}\n");
  EXPECT_EQ(print(parse_one(print(kernel))), print(kernel));
}

TEST(LoopText, CanonicalTextLeavesOutNames) {
  Kernel kernel = parse_one(dot_relu_text);
  const std::string canonical = canonical_text(kernel);
  kernel.name = "other";
  kernel.buffers[0].name = "input";
  kernel.comment = "";
  EXPECT_EQ(canonical_text(kernel), canonical);
  kernel.buffers[0].alignment = 64;
  EXPECT_NE(canonical_text(kernel), canonical);
}

TEST(LoopText, ErrorsNameThePlace) {
  EXPECT_EQ(parse_error("kernel @k() {\n  %0 = frobnicate %1 : f32\n}\n"),
            "k.kiln:2: error: column 8: 'frobnicate' is no operation of loop IR");
  EXPECT_EQ(parse_error("kernel @k() {\n  %0 = negate %1 : f32\n}\n"),
            "k.kiln:2: error: column 15: register %1 is not defined before this");
  EXPECT_EQ(parse_error("kernel @k() {\n  %0 = constant 300 : u8\n}\n"), "k.kiln:2: error: column 17: expected a literal of type u8");
  EXPECT_EQ(parse_error("kernel @k(x: f32[n) {\n}\n"), "k.kiln:1: error: column 19: expected ']', found \")\"");
  EXPECT_EQ(parse_error("kernel @k() {\n  %0 = constant 1 : f32x0\n}\n"),
            "k.kiln:2: error: column 25: the number of lanes must lie in 1 .. 32767");
  EXPECT_EQ(parse_error("kernel @k(x: f32[4]) {\n  %0 = load y[0] : f32\n}\n"), "k.kiln:2: error: column 13: no buffer is named 'y'");
  EXPECT_EQ(parse_error("kernel @k(x: f32[4]) {\n  %0 = load x[0] : f32\n  store x[1], %0 : f32\n}\n"),
            "k.kiln:1: error: column 1: kernel @k breaks invariant 11 of loop IR: buffer 'x' is an input: `store x[1], %0 : f32`");
  EXPECT_EQ(parse_error("kernel @k() {\n"), "k.kiln:2: error: column 1: expected '}', found the end of the text");
  EXPECT_EQ(parse_error("nothing"), "k.kiln:1: error: column 1: expected 'kernel', found \"nothing\"");
}

TEST(LoopText, DeepNestingIsAnError) {
  std::string text = "kernel @k() {\n";
  for (int i = 0; i < 10000; ++i) text += "for i" + std::to_string(i) + " in 0 .. 2 {\n";
  EXPECT_NE(parse_error(text).find("blocks nest more than 64 deep"), std::string::npos);
  EXPECT_NE(parse_error("kernel @k(x: f32[" + std::string(100000, '(') + "]) {\n}\n").find("nests too deep"), std::string::npos);
}

// Damaged text gives an error or another kernel, never a crash.
TEST(LoopText, ArbitraryBytes) {
  std::mt19937 random(1);
  int errors = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = round % 2 == 0 ? dot_relu_text : all_constructs_text;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int c = 0; c < changes; ++c) {
      if (text.empty()) break;
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random() % 256); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
        default: text.resize(at + 1);
      }
    }
    try {
      for (const Kernel& kernel : parse_kernels(text)) EXPECT_EQ(print(parse_one(print(kernel))), print(kernel));
    } catch (const Error& error) {
      errors += error.code() == ErrorCode::parse;
    }
  }
  EXPECT_GT(errors, 2000);
}

}  // namespace
}  // namespace kiln::ir
