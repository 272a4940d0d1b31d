// Every operator of ONNX on dense tensors of numbers, up to the newest opset of each domain, can be said in Kiln, for every attribute that
// changes what an importer builds.
//
// onnx_operators.txt lists all operators of the domains ai.onnx, ai.onnx.ml, ai.onnx.preview and ai.onnx.preview.training with the opset
// that introduced them, and says which are not numeric, and why. Expectations are numbers of the reference evaluator of ONNX
// (make_onnx_expectations.py).
#include "onnx.h"

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "kiln/files.h"

using namespace kiln;
using namespace kiln::test;

namespace {

const std::string folder = std::string(KILN_SOURCE_DIR) + "/tests/coverage/";

/// Operators of the list: whether they are numeric.
std::map<std::string, bool> listed() {
  std::map<std::string, bool> result;
  std::ifstream file(folder + "onnx_operators.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string domain, name, opset, kind;
    words >> domain >> name >> opset >> kind;
    EXPECT_TRUE(kind == "numeric" || (kind == "not" && line.find("not numeric: ") != std::string::npos)) << line;
    EXPECT_TRUE(result.emplace(name, kind == "numeric").second) << line;
  }
  return result;
}

std::vector<Rows> families() {
  return {onnx_elementwise(), onnx_reductions(),    onnx_products(),  onnx_shapes(),  onnx_windows(),
          onnx_resizes(),     onnx_normalization(), onnx_sequences(), onnx_control(), onnx_learning()};
}

TEST(Onnx, EveryNumericOperatorHasARowAndEveryCaseIsRun) {
  const std::map<std::string, bool> operators = listed();
  EXPECT_GT(operators.size(), 200U);
  std::set<std::string> ops, cases;
  for (const Rows& rows : families())
    for (const Row& row : rows) {
      ops.insert(row.op);
      EXPECT_TRUE(cases.insert(row.op + "/" + row.variant).second) << row.op << "/" << row.variant << " is there twice";
    }
  for (const RandomRow& row : onnx_random()) ops.insert(row.op);
  for (const auto& [name, numeric] : operators) EXPECT_EQ(ops.contains(name), numeric) << name;
  for (const std::string& op : ops) EXPECT_TRUE(operators.contains(op)) << op << " is not in the list";
  std::set<std::string> made;
  for (const auto& [key, array] : read_safetensors(folder + "expectations/onnx.safetensors"))
    made.insert(key.substr(0, key.find('/', key.find('/') + 1)));
  EXPECT_EQ(cases, made);
}

std::vector<Array> arrays_of(const std::map<std::string, Array>& all, const Row& row, const std::string& kind) {
  std::vector<Array> found;
  for (int i = 0; i < 16; ++i)
    if (const auto at = all.find(row.op + "/" + row.variant + "/" + kind + "/" + std::to_string(i)); at != all.end())
      found.push_back(at->second);
  return found;
}

void check(const Rows& rows) {
  const std::map<std::string, Array> all = read_safetensors(folder + "expectations/onnx.safetensors");
  for (const Row& row : rows) {
    const std::string what = row.op + "/" + row.variant;
    SCOPED_TRACE(what);
    try {
      Graph graph;
      In in{graph, {}};
      std::vector<Feed> feeds;
      for (const Array& value : arrays_of(all, row, "in")) {
        in.tensors.push_back(graph.placeholder("x" + std::to_string(feeds.size()), value.dtype(), Dims(value.shape())));
        feeds.push_back({in.tensors.back(), value});
      }
      const std::vector<Tensor> built = row.build(in);
      const std::vector<Array> expected = arrays_of(all, row, "out");
      ASSERT_EQ(built.size(), expected.size());
      Session session(graph, options());
      const std::vector<Array> results = session.run(std::vector<Key>(built.begin(), built.end()), feeds);
      for (std::size_t i = 0; i < results.size(); ++i)
        expect_near(results[i], expected[i], row.tolerance, what + " result " + std::to_string(i));
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": " << error.what();
    }
  }
}

TEST(Onnx, Elementwise) { check(onnx_elementwise()); }
TEST(Onnx, ReductionsAndOrder) { check(onnx_reductions()); }
TEST(Onnx, ProductsAndQuantization) { check(onnx_products()); }
TEST(Onnx, ShapesAndIndexing) { check(onnx_shapes()); }
TEST(Onnx, Windows) { check(onnx_windows()); }
TEST(Onnx, Resizes) { check(onnx_resizes()); }
TEST(Onnx, NormalizationAndLosses) { check(onnx_normalization()); }
TEST(Onnx, SequencesAndSignals) { check(onnx_sequences()); }
TEST(Onnx, Control) { check(onnx_control()); }
TEST(Onnx, MachineLearningAndTraining) { check(onnx_learning()); }

TEST(Onnx, Random) {
  for (const RandomRow& row : onnx_random()) {
    SCOPED_TRACE(row.op);
    Graph graph;
    const std::vector<Tensor> built = row.build(In{graph, {}});
    Session session(graph, options());
    for (const Array& result : session.run(std::vector<Key>(built.begin(), built.end()))) row.property(result);
  }
}

}  // namespace
