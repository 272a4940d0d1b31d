// Errors of the tensor IR parser: place and message of each kind, and that damaged text never does worse than an error.
#include <gtest/gtest.h>

#include <random>

#include "ir/text.h"

namespace kiln::ir {
namespace {

/// "line: column N: message" of the error that parsing gives.
std::string error(const std::string& text) {
  try {
    parse(text, "model.kiln");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::parse) << e.what();
    EXPECT_STREQ(e.where().file, "model.kiln");
    return std::to_string(e.where().line) + ": " + e.message();
  }
  return "no error";
}

/// The error of a body of main(%x: f32[4], %p: bool[]).
std::string body_error(const std::string& body) { return error("graph @main(%x: f32[4], %p: bool[]) {\n" + body + "\n}\n"); }

TEST(ParseError, Structure) {
  EXPECT_EQ(error(""), "1: column 1: there is no graph");
  EXPECT_EQ(error("// only a comment\n"), "2: column 1: there is no graph");
  EXPECT_EQ(error("function @f"), "1: column 1: expected 'symbol', 'variable' or 'graph'");
  EXPECT_EQ(error("graph main() {}"), "1: column 7: expected a graph ('@' and a name)");
  EXPECT_EQ(error("graph @main(x: f32[]) {}"), "1: column 13: expected a value ('%' and a name)");
  EXPECT_EQ(error("graph @main(%x f32[]) {}"), "1: column 16: expected ':', found \"f32\"");
  EXPECT_EQ(error("graph @main() -> (%y) {\n}"), "1: column 19: this result is not defined in the graph");
  EXPECT_EQ(error("graph @main() {"), "1: column 7: the body of this graph does not end");
  EXPECT_EQ(error("graph @main() {}\ngraph @main() {}"), "2: column 7: graph @main is defined twice");
  EXPECT_EQ(error("graph @main(%x: f32[]) {\n  %0 = call %x {body = @f} : f32[]\n}"), "2: column 24: graph @f is not defined");
  EXPECT_EQ(error("graph @main(%x: f32[], %x: f32[]) {}"), "1: column 24: this value is defined twice");
  EXPECT_EQ(error("graph @main() {}\n}"), "2: column 1: expected 'symbol', 'variable' or 'graph'");
}

TEST(ParseError, Types) {
  EXPECT_EQ(error("graph @main(%x: f33[]) {}"), "1: column 17: expected a dtype: bool, i8 ... f64");
  EXPECT_EQ(error("graph @main(%x: f32) {}"), "1: column 20: expected '[', found \")\"");
  EXPECT_EQ(error("graph @main(%x: f32[2, ]) {}"), "1: column 24: expected a number, a symbol or a function of them");
  EXPECT_EQ(error("graph @main(%x: f32[n +]) {}"), "1: column 24: expected a number, a symbol or a function of them");
  EXPECT_EQ(error("graph @main(%x: f32[99999999999999999999]) {}"), "1: column 21: a number does not fit in 64 bits");
  EXPECT_EQ(error("graph @main(%x: f32[2 3]) {}"), "1: column 23: expected ']', found \"3\"");
  EXPECT_EQ(error("graph @main(%x: f32[-1]) {}"), "1: column 13: the extent -1 of f32[-1] is negative");
  EXPECT_EQ(error("graph @main(%x: tape<f32[2]) {}"), "1: column 28: expected '>', found \")\"");
}

TEST(ParseError, Symbols) {
  EXPECT_EQ(error("symbol n {min = 4, max = 3}"), "1: column 20: these bounds of a symbol make no sense");
  EXPECT_EQ(error("symbol n {size = 4}"), "1: column 11: 'size' is not known of symbols; known are min, max, multiple_of and typical");
  EXPECT_EQ(error("symbol n {min = 4}\nsymbol n {min = 4}"), "2: column 8: symbol 'n' is declared twice, or after its first use");
}

TEST(ParseError, Variables) {
  EXPECT_EQ(error("variable @v : f32[n]"), "1: column 15: the extent n is no number >= 0");
  EXPECT_EQ(error("variable @v : f32[2] = {1, 2, 3}"), "1: column 29: expected '}', found \",\"");
  EXPECT_EQ(error("variable @v : f32[2] = {1}"), "1: column 26: expected ',', found \"}\"");
  EXPECT_EQ(error("variable @v : i8[] = 300"), "1: column 22: 300 does not fit in i8");
  EXPECT_EQ(error("variable @v : f32[1000000000000] = {1}"), "1: column 36: the literal has fewer elements than its shape [1000000000000]");
  EXPECT_EQ(error("variable @v : f32[2] = tensor(\"w\")"), "1: column 30: there is no tensor named \"w\" beside this text");
  EXPECT_EQ(error("variable @v : f32[]\nvariable @v : f32[]"), "2: column 10: variable @v is declared twice");
  EXPECT_EQ(error("variable @v : f32[] = @f\ngraph @main() {}\ngraph @f(%x: f32[]) -> (%x) {}"),
            "1: column 1: variable @v is initialized by @f, which must take nothing and yield one f32[]");
  EXPECT_EQ(error("variable @v : f32[] = nan(0x1)"), "1: column 23: these are not the bits of a NaN of this dtype");
}

TEST(ParseError, StoredTensorsMustFit) {
  const std::map<std::string, Array> store = {{"w", Array::full(f32, {3}, 1)}};
  try {
    parse("variable @v : f32[2] = tensor(\"w\")\ngraph @main() {}", "model.kiln", &store);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "column 30: tensor \"w\" is f32[3], but the text says f32[2]");
  }
}

TEST(ParseError, Nodes) {
  EXPECT_EQ(body_error("%0 = frobnicate %x : f32[4]"), "2: column 6: there is no operation 'frobnicate'");
  EXPECT_EQ(body_error("%0 = negate %y : f32[4]"), "2: column 13: this value is not defined before its use");
  EXPECT_EQ(body_error("%0 = negate %0 : f32[4]"), "2: column 13: this value is not defined before its use");
  EXPECT_EQ(body_error("%0 = negate %x"), "3: column 1: expected ':', found \"}\"");
  EXPECT_EQ(body_error("%0, %1 = negate %x : f32[4]"), "2: column 1: 2 results, but 1 types");
  EXPECT_EQ(body_error("%0 = parameter : f32[4]"), "2: column 6: parameters stand in the head of the graph");
  EXPECT_EQ(body_error("%x = negate %x : f32[4]"), "2: column 1: this value is defined twice");
  EXPECT_EQ(body_error("%0 = negate %x : f32[4] loc(train:1)"), "2: column 29: expected a file in double quotes");
}

TEST(ParseError, TypesMustBeTheInferredOnes) {
  EXPECT_EQ(body_error("\n%0 = negate %x : f32[5]"), "3: column 1: result 0 of negate is f32[5], but f32[4] is inferred");
  EXPECT_EQ(body_error("%0 = negate %x, %x : f32[4]"), "2: column 1: negate takes 1 operand, but was given f32[4] and f32[4]");
  EXPECT_EQ(body_error("%0 = exp %p : bool[]"), "2: column 1: exp of dtype bool does not exist: operands are bool[]");
  EXPECT_EQ(body_error("negate %x"), "2: column 1: negate has 0 results, but 1 are inferred");
}

TEST(ParseError, Attributes) {
  EXPECT_EQ(body_error("%0 = convert %x {dtype = f64, dtype = f32} : f64[4]"), "2: column 31: attribute 'dtype' is given twice");
  EXPECT_EQ(body_error("%0 = convert %x {dtype f64} : f64[4]"), "2: column 24: expected '=', found \"f64\"");
  EXPECT_EQ(body_error("%0 = convert %x {dtype = } : f64[4]"), "2: column 26: expected a dtype: bool, i8 ... f64");
  EXPECT_EQ(body_error("%0 = convert %x {dtype = 7} : f64[4]"),
            "2: column 1: convert: attribute 'dtype' must be of kind dtype, but is of kind integer");
  EXPECT_EQ(body_error("%0 = convert %x {dtype = \"f64} : f64[4]"), "2: column 26: this string does not end");
  EXPECT_EQ(body_error("check %p {message = \"a\\q\", code = 1}"),
            "2: column 24: unknown escape in a string; known are \\n \\t \\\" \\\\ \\xNN");
  EXPECT_EQ(body_error("%0 = transpose %x {permutation = [0.5]} : f32[4]"), "2: column 36: expected ']', found \".5\"");
  EXPECT_EQ(body_error("%0 = reshape %x {dims = [99999999999999999999]} : f32[4]"), "2: column 26: a number does not fit in 64 bits");
}

TEST(ParseError, InvariantsOfTheModule) {
  EXPECT_EQ(error("graph @main(%x: f32[]) {\n  %0 = call %x {body = @main} : f32[]\n}"),
            "1: column 7: references between graphs form a cycle through @main");
  EXPECT_EQ(error("variable @v : f32[]\ngraph @main(%x: f32[]) {\n  %0 = call %x {body = @f} : f32[]\n}\ngraph @f(%x: f32[]) -> (%x) {\n"
                  "  %0 = assign %x {name = \"v\"} : f32[]\n}"),
            "6: column 3: assign stands outside of the main graph");
}

constexpr std::string_view sample = R"(symbol batch {min = 1, typical = 64}
variable @w : f32[4, 2] = {{1, 2}, {-3.5, 4}, {inf, nan}, {1e-45, 8}}
hidden variable @seed : u64[] = @seed.initial loc("a.cpp":3)

graph @main(%x: f32[batch, 4], %n: i64[]) -> (%h, %2) {
  %w = variable {name = "w"} : f32[4, 2]
  %h = dot_general %x, %w {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 2]
  %0 = composite %h {backward = @back, decomposition = @double, name = "twice", note = nan(0x7ff8000000000001), shape = dims [batch, 2], sizes = [1, 2]} : f32[batch, 2] loc("train.cpp":7:3)
  %1 = constant {value = i64[] 0} : i64[]
  %2, %3 = while_loop %1, %0, %n {body = @step, carried = 2, condition = @more} : i64[], f32[batch, 2]
  %4 = compare %2, %n {direction = "le"} : bool[]
  check %4 {code = 9, hint = "", message = "too \"many\"\n"}
  %5 = recompute reshape %3 {dims = [2*batch]} : f32[2*batch]
}

graph @back(%x: f32[batch, 2], %y: f32[batch, 2], %c: f32[batch, 2]) -> (%0) {
  %0 = add %c, %c : f32[batch, 2]
}

graph @double(%x: f32[batch, 2]) -> (%0) {
  %0 = add %x, %x : f32[batch, 2]
}

graph @step(%i: i64[], %x: f32[batch, 2], %n: i64[]) -> (%1, %x) {
  %0 = constant {value = i64[] 1} : i64[]
  %1 = add %i, %0 : i64[]
}

graph @more(%i: i64[], %x: f32[batch, 2], %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}

graph @seed.initial() -> (%0) {
  %0 = constant {value = u64[] 7} : u64[]
}
)";

/// Parses damaged text: an Error of kind parse, or a module whose text is stable.
void expect_error_or_module(const std::string& text) {
  try {
    const std::string once = print(parse(text), {.locations = true});
    EXPECT_EQ(print(parse(once), {.locations = true}), once);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::parse) << e.what() << "\n" << text;
  }
}

TEST(ParseError, DamagedTextIsAnErrorAtWorst) {
  ASSERT_EQ(print(parse(sample), {.locations = true}), sample);
  for (std::size_t n = 0; n < sample.size(); n += 3) expect_error_or_module(std::string(sample.substr(0, n)));

  std::mt19937 random(11);
  const auto draw = [&](std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random); };
  const std::string_view pieces[] = {"%x",
                                     "%0",
                                     "@main",
                                     "@step",
                                     "{",
                                     "}",
                                     "(",
                                     ")",
                                     "[",
                                     "]",
                                     "-1",
                                     "0",
                                     "99999999999999999999",
                                     "batch",
                                     "f32",
                                     "tape<f32[2]>",
                                     "\"",
                                     ",",
                                     "=",
                                     ":",
                                     "loc(\"f\":1)",
                                     "recompute",
                                     "nan",
                                     "1e999",
                                     "floordiv(",
                                     "min(batch, 3)",
                                     "i64[]",
                                     "assign",
                                     "\\x"};
  for (int round = 0; round < 6000; ++round) {
    std::string text(sample);
    for (std::size_t edits = 1 + draw(3); edits > 0; --edits) {
      const std::size_t at = draw(text.size());
      switch (draw(5)) {
        case 0: text[at] = static_cast<char>(draw(256)); break;
        case 1: text.erase(at, 1 + draw(20)); break;
        case 2: text.insert(at, pieces[draw(std::size(pieces))]); break;
        case 3: text.insert(at, text.substr(draw(text.size()), 1 + draw(80))); break;
        default: text.replace(at, 1, pieces[draw(std::size(pieces))]); break;
      }
    }
    expect_error_or_module(text);
  }
}

}  // namespace
}  // namespace kiln::ir
