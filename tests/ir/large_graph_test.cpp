// A chain of a million nodes builds, prints, parses, verifies and runs in linear time and bounded memory, without recursion.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ctime>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace kiln::ir {
namespace {

/// Of this process on its CPU, so that a busy machine does not count.
double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

long peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

Module chain(int length) {
  Module module;
  Builder b(module, module.main);
  b.location = module.add_location(Location::interned("chain.cpp", 1));
  ValueId x = module.main_graph().add_parameter({f32, Type::Kind::tensor, {Dim::symbol("batch"), 4}}, "x");
  for (int i = 0; i < length; ++i) x = b.negate(x);
  module.main_graph().results = {x};
  return module;
}

TEST(LargeGraph, AMillionNodes) {
  const double start = seconds();
  Module module = chain(1'000'000);
  const double built = seconds() - start;
  verify(module);
  const double verified = seconds() - start;
  const std::string text = print(module);
  const double printed = seconds() - start;
  Module again = parse(text);
  const double parsed = seconds() - start;
  EXPECT_EQ(print(again), text);
  again.sweep();
  const Module copy = again.clone();
  EXPECT_EQ(copy.main_graph().node_count(), 1'000'001u);
  const double copied = seconds() - start;
  EXPECT_EQ(interpret(copy, {Array::full(f32, {2, 4}, 5)}, {}).results[0].data<float>()[0], 5);
  std::printf("build %.2f s, verify %.2f s, print %.2f s, parse %.2f s, print, sweep and clone %.2f s, run %.2f s; peak %ld MB\n", built,
              verified - built, printed - verified, parsed - printed, copied - parsed, seconds() - start - copied, peak_megabytes());
}

TEST(LargeGraph, TimeIsLinear) {
  // Ten times the nodes may take at most thirty times as long; a quadratic step would take a hundred times.
  const auto time = [](int length) {
    const double start = seconds();
    const Module module = chain(length);
    verify(parse(print(module)));
    return seconds() - start;
  };
  time(10'000);
  const double small = time(20'000), large = time(200'000);
  EXPECT_LT(large, 30 * small + 0.5);
}

TEST(LargeGraph, ManyGraphsAndVariables) {
  constexpr int count = 20'000;
  Module module;
  Builder b(module, module.main);
  ValueId x = module.main_graph().add_parameter({f32, Type::Kind::tensor, {}}, "x");
  for (int i = 0; i < count; ++i) {
    Variable variable;
    variable.name = "layer/" + std::to_string(i);
    variable.initial = Array(1.F);
    module.add_variable(variable);
    x = b.add(x, b.create(Op::variable, {}, {{"name", variable.name}}));
    const GraphId body = module.add_graph("body");
    module.graph(body).results = {module.graph(body).add_parameter({f32, Type::Kind::tensor, {}})};
    x = b.create(Op::call, {x}, {{"body", GraphRef{body}}});
    module.main_graph().set_value_name(x, "h");
  }
  module.main_graph().results = {x};
  const std::string text = print(module);
  const double start = seconds();
  EXPECT_EQ(print(parse(text)), text);
  EXPECT_LT(seconds() - start, 10);  // names, references and variables are looked up in constant time: this takes 0.2 s
}

}  // namespace
}  // namespace kiln::ir
