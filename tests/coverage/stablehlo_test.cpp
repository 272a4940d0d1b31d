// Every operation of StableHLO's specification on dense tensors of numbers can be said in Kiln and has its semantics, at the edges too: NaN
// and signed zeros, overflow, indices outside, empty tensors, dilation in every place.
//
// stablehlo_operations.txt lists the operations of the specification and of CHLO, and says which are not numeric, and why. A row is a node
// of tensor IR, a piece of text, or a function of public calls; operands are fed, so that nothing is folded before the run, and results are
// literals that follow from the specification's words.
#include "stablehlo.h"

#include <fstream>
#include <map>
#include <set>
#include <sstream>

using namespace kiln;
using namespace kiln::test;

namespace {

std::map<std::string, bool> listed() {
  std::map<std::string, bool> result;
  std::ifstream file(std::string(KILN_SOURCE_DIR) + "/tests/coverage/stablehlo_operations.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name, kind;
    words >> name >> kind;
    EXPECT_TRUE(kind == "numeric" || line.find(" not numeric: ") != std::string::npos) << line;
    EXPECT_TRUE(result.emplace(name, kind == "numeric").second) << line;
  }
  return result;
}

std::vector<StablehloRow> all_rows() {
  std::vector<StablehloRow> all;
  for (const auto& rows : {stablehlo_elementwise(), stablehlo_structure(), stablehlo_indexing(), stablehlo_functions()})
    all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

TEST(StableHlo, EveryNumericOperationHasARow) {
  const std::map<std::string, bool> operations = listed();
  EXPECT_GT(operations.size(), 120U);
  std::set<std::string> ops;
  for (const StablehloRow& row : all_rows()) ops.insert(row.op);
  for (const auto& [name, numeric] : operations) EXPECT_EQ(ops.contains(name), numeric) << name;
  for (const std::string& op : ops) EXPECT_TRUE(operations.contains(op)) << op << " is not in the list";
}

/// "f32[2]" of "f32[2] {1, 2}".
std::string type_in(const std::string& literal) { return literal.substr(0, literal.find(']') + 1); }

Array literal(const std::string& text) {
  Graph graph = Graph::parse("graph @main() -> (%c) {\n  %c = constant {value = " + text + "} : " + type_in(text) + "\n}\n");
  return Session(graph, reference_options()).run(graph.results()[0]);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string result;
  for (const std::string& part : parts) result += (result.empty() ? "" : ", ") + part;
  return result;
}

/// Results of a row as text of the IR: operands are %a, %b ..., results %r0, %r1 ...
std::vector<Array> run_text(const StablehloRow& row, const std::vector<Array>& operands) {
  std::vector<std::string> parameters, results, types;
  for (std::size_t i = 0; i < row.operands.size(); ++i)
    parameters.push_back(std::string("%") + static_cast<char>('a' + i) + ": " + type_in(row.operands[i]));
  for (std::size_t i = 0; i < row.results.size(); ++i) {
    results.push_back("%r" + std::to_string(i));
    types.push_back(type_in(row.results[i]));
  }
  const std::string text = "graph @main(" + joined(parameters) + ") -> (" + joined(results) + ") {\n" + row.before + "  " +
                           joined(results) + " = " + row.node + " : " + joined(types) + "\n}\n" + row.graphs;
  Graph graph = Graph::parse(text);
  const std::vector<Tensor> built = graph.results(), inputs = graph.placeholders();
  std::vector<Feed> feeds;
  for (std::size_t i = 0; i < inputs.size(); ++i) feeds.push_back({inputs[i], operands[i]});
  return Session(graph, options()).run(std::vector<Key>(built.begin(), built.end()), feeds);
}

std::vector<Array> run_function(const StablehloRow& row, const std::vector<Array>& operands) {
  Graph graph;
  In in{graph, {}};
  std::vector<Feed> feeds;
  for (const Array& operand : operands) {
    in.tensors.push_back(graph.placeholder("x" + std::to_string(feeds.size()), operand.dtype(), Dims(operand.shape())));
    feeds.push_back({in.tensors.back(), operand});
  }
  const std::vector<Tensor> built = (*row.build)(in);
  return Session(graph, options()).run(std::vector<Key>(built.begin(), built.end()), feeds);
}

void check(const std::vector<StablehloRow>& rows) {
  for (const StablehloRow& row : rows) {
    const std::string what = row.op + ": " + (row.build ? row.title : row.node) + " of " + joined(row.operands);
    try {
      std::vector<Array> operands;
      for (const std::string& operand : row.operands) operands.push_back(literal(operand));
      const std::vector<Array> results = row.build ? run_function(row, operands) : run_text(row, operands);
      ASSERT_EQ(results.size(), row.results.size()) << what;
      for (std::size_t i = 0; i < results.size(); ++i) {
        const Array expected = literal(row.results[i]);
        // Without a tolerance the sign of zero counts, but not the bits of NaN.
        if (row.tolerance == 0)
          EXPECT_EQ(to_string(results[i]), to_string(expected)) << what;
        else
          expect_near(results[i], expected, row.tolerance, what);
      }
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": " << error.what();
    }
  }
}

TEST(StableHlo, Elementwise) { check(stablehlo_elementwise()); }
TEST(StableHlo, Structure) { check(stablehlo_structure()); }
TEST(StableHlo, Indexing) { check(stablehlo_indexing()); }
TEST(StableHlo, Functions) { check(stablehlo_functions()); }

}  // namespace
