// Every case of the operator table as machine code. All cases of an op are one graph, so they go through fusion, planning and code
// generation together and LLVM compiles once per op; the cases with a symbolic extent run again for each of its values. Machine code must
// give the bits of the program interpreter, and both what the op's reference evaluation says, within the op's tolerance.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/text.h"
#include "kiln/kiln.h"
#include "tests/ir/op_cases.h"

namespace kiln::test {
namespace {
using namespace ir;

constexpr std::int64_t symbolic_extents[] = {5, 0, 1, 40};

struct Case {
  OpCase c;
  std::vector<std::string> inputs, results;  ///< names in the program
};

/// The op's cases, each with inputs and results of its own, in one module; all bind the symbol n by one more input.
struct Cases {
  ir::Module module;
  std::vector<Case> list;
};

Cases all_cases(Op op) {
  Cases all;
  if (all.module.main == none) all.module.main = all.module.add_graph("main");
  ir::Graph& main = all.module.main_graph();
  Builder builder(all.module, all.module.main);
  main.add_parameter({.dtype = DType::boolean, .dims = {ir::Dim::symbol("n")}}, "n_elements");
  for (OpCase& c : op_cases(op)) {
    Case entry;
    std::vector<ValueId> operands;
    for (std::size_t i = 0; i < c.operands.size(); ++i) {
      entry.inputs.push_back(fmt::format("c{}_x{}", all.list.size(), i));
      operands.push_back(main.add_parameter(c.operands[i], entry.inputs.back()));
    }
    for (const ValueId result : builder.create_many(op, operands, c.sample.attributes)) {
      entry.results.push_back(fmt::format("c{}_y{}", all.list.size(), entry.results.size()));
      main.set_value_name(result, entry.results.back());
      main.results.push_back(result);
    }
    entry.c = std::move(c);
    all.list.push_back(std::move(entry));
  }
  return all;
}

struct Batch {
  std::vector<Key> fetches;
  std::vector<Feed> feeds;
};
/// What a run of all cases fetches and feeds. It refers to the names and arrays given.
Batch batch_of(const std::vector<Case>& cases, const std::vector<OpCase>& values, const Array& elements) {
  Batch batch;
  batch.feeds.push_back({"n_elements", elements});
  for (std::size_t i = 0; i < cases.size(); ++i) {
    for (std::size_t k = 0; k < cases[i].inputs.size(); ++k) batch.feeds.push_back({cases[i].inputs[k], values[i].values[k]});
    for (const std::string& result : cases[i].results) batch.fetches.push_back(result);
  }
  return batch;
}

class MachineCode : public testing::TestWithParam<Op> {};

TEST_P(MachineCode, AgreesWithInterpreterAndEvaluation) {
  const Cases all = all_cases(GetParam());
  const kiln::Graph graph = kiln::Graph::parse(print(all.module), "cases");
  const auto session = [&](Engine engine) {
    SessionOptions options;
    options.engine = engine;
    options.cache_folder = "";
    options.threads = 1;
    return Session(graph, options);
  };
  Session compiled = session(Engine::compiled), interpreted = session(Engine::program_interpreter);
  for (const std::int64_t extent : symbolic_extents) {
    // All cases are fetched and fed every time, so that one program serves: the values of the static ones do not change.
    const std::vector<OpCase> values = op_cases(GetParam(), extent);
    ASSERT_EQ(values.size(), all.list.size());
    const Array elements = Array::zeros(DType::boolean, {extent});
    const Batch batch = batch_of(all.list, values, elements);
    const std::vector<Array> code = compiled.run(batch.fetches, batch.feeds), loops = interpreted.run(batch.fetches, batch.feeds);
    std::size_t at = 0;
    for (std::size_t i = 0; i < all.list.size(); ++i) {
      const std::size_t first = at;
      at += all.list[i].results.size();
      if (extent != symbolic_extents[0] && all.list[i].c.sample.kind != SampleClass::symbolic) continue;
      SCOPED_TRACE(fmt::format("{}, n = {}", all.list[i].c.name, extent));
      const std::vector<Array> wanted = reference(values[i]);
      for (std::size_t r = 0; r < wanted.size(); ++r) {
        ASSERT_EQ(difference(code[first + r], loops[first + r], 0), "") << "machine code against the interpreter";
        ASSERT_EQ(difference(code[first + r], wanted[r], info(GetParam()).tolerance), "") << "machine code against the evaluation";
      }
    }
  }
}

/// Ops that kernels are made of.
std::vector<Op> lowered_ops() {
  std::vector<Op> ops;
  for (const Op op : all_ops())
    if (info(op).element || info(op).structured || info(op).update || info(op).ordering) ops.push_back(op);
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Ops, MachineCode, testing::ValuesIn(lowered_ops()),
                         [](const testing::TestParamInfo<Op>& info) { return std::string(ir::info(info.param).name); });

}  // namespace
}  // namespace kiln::test
