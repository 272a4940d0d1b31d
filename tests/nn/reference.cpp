// Comparison of modules with what PyTorch computed.
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "kiln/files.h"

namespace kiln::test {

const Arrays& reference(const std::string& file) {
  static std::map<std::string, Arrays> read;
  const auto [found, added] = read.try_emplace(file);
  if (added) found->second = read_npz(std::string(KILN_SOURCE_DIR) + "/tests/nn/data/" + file + ".npz");
  return found->second;
}

Arrays under(const Arrays& all, const std::string& name) {
  Arrays found;
  for (auto at = all.lower_bound(name + "/"); at != all.end() && at->first.starts_with(name + "/"); ++at)
    found.emplace(at->first.substr(name.size() + 1), at->second);
  return found;
}

void expect_close(const Array& actual, const Array& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(to_string(actual.shape()), to_string(expected.shape())) << what;
  double largest = 0, difference = 0;
  for (std::int64_t i = 0; i < actual.size(); ++i) {
    const double a = element_as_double(actual, i), e = element_as_double(expected, i);
    largest = std::max(largest, std::abs(e));
    const double apart = std::abs(a - e);
    difference = std::isnan(apart) ? INFINITY : std::max(difference, apart);
  }
  EXPECT_LE(difference, tolerance * std::max(largest, 1e-3)) << what << ": the largest element is " << largest;
  ::testing::Test::RecordProperty("largest_difference", std::to_string(difference / std::max(largest, 1e-3)));
}

void compare(const Arrays& expected, const Model& model, const Comparison& options) {
  const Arrays inputs = under(expected, "x"), outputs = under(expected, "y"), cotangents = under(expected, "c");
  ASSERT_FALSE(inputs.empty());
  Graph graph;
  std::vector<Tensor> x;
  std::vector<Array> x_values;
  for (const auto& [index, value] : inputs) {
    const bool floating = is_floating(value.dtype());
    std::vector<Dim> dims;
    for (std::size_t i = 0; i < value.shape().rank(); ++i)
      dims.push_back(options.symbolic_axis == i && floating ? Dim("n" + std::to_string(i)) : Dim(value.shape()[i]));
    x_values.push_back(floating ? value.convert(options.dtype) : value);
    x.push_back(graph.placeholder("x" + index, x_values.back().dtype(), dims));
  }
  const std::vector<Tensor> y = model.call(x);
  ASSERT_EQ(y.size(), outputs.size());
  Tensor loss = graph.constant(Array(0.0).convert(options.dtype));
  for (std::size_t i = 0; i < y.size(); ++i) {
    x.push_back(graph.placeholder("cotangent" + std::to_string(i), options.dtype, y[i].dims()));
    x_values.push_back(cotangents.at(std::to_string(i)).convert(options.dtype));
    loss = loss + reduce_sum(y[i] * x.back());
  }

  std::vector<Tensor> wanted;
  std::vector<Array> gradients_expected;
  std::vector<std::string> names;
  for (const nn::NamedParameter& p : model.module->named_parameters()) {
    wanted.push_back(p.variable);
    names.push_back("gradient of " + p.name);
    ASSERT_TRUE(expected.contains("g/" + p.name)) << p.name;
    gradients_expected.push_back(expected.at("g/" + p.name));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (is_floating(x[i].dtype())) {
      wanted.push_back(x[i]);
      names.push_back("gradient of input " + std::to_string(i));
      gradients_expected.push_back(expected.at("d/" + std::to_string(i)));
    }
  const std::vector<Tensor> grads = wanted.empty() ? std::vector<Tensor>{} : gradients(loss, std::span<const Tensor>(wanted));
  const Operation updates = model.module->updates();

  const char* engine = std::getenv("KILN_TEST_ENGINE");
  const std::string chosen = engine ? engine : "compiled";
  Session session(graph, {.threads = 1,
                          .cache_folder = "",
                          .engine = chosen == "reference"     ? Engine::reference
                                    : chosen == "interpreter" ? Engine::program_interpreter
                                                              : Engine::compiled});
  session.initialize();
  nn::load_state(session, *model.module, under(expected, "p"));
  std::vector<Key> fetches(y.begin(), y.end());
  fetches.insert(fetches.end(), grads.begin(), grads.end());
  const Arrays after = under(expected, "a");
  if (!after.empty()) fetches.push_back(updates);
  std::vector<Feed> feeds;
  for (std::size_t i = 0; i < x.size(); ++i) feeds.push_back({x[i], x_values[i]});
  const std::vector<Array> results = session.run(fetches, feeds);
  for (std::size_t i = 0; i < y.size(); ++i)
    expect_close(results[i], outputs.at(std::to_string(i)), options.tolerance, "output " + std::to_string(i));
  for (std::size_t i = 0; i < grads.size(); ++i) expect_close(results[y.size() + i], gradients_expected[i], options.tolerance, names[i]);
  const Arrays state = nn::state(session, *model.module);
  for (const auto& [name, value] : after) {
    ASSERT_TRUE(state.contains(name)) << name;
    expect_close(state.at(name), value, options.tolerance, name + " after the call");
  }
}

void expect_own_lines(const Graph& graph) {
  const std::string path = (std::filesystem::temp_directory_path() / ("kiln_nn_" + std::to_string(::getpid()) + ".kiln")).string();
  graph.write(path);
  std::ifstream file(path);
  int nodes = 0;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("  ") || line.find(" : ") == std::string::npos) continue;
    ++nodes;
    // The random state has no line: no user wrote it.
    if (line.find("variable {name = \"kiln.") != std::string::npos) continue;
    const std::size_t at = line.find("loc(\"");
    ASSERT_NE(at, std::string::npos) << line;
    EXPECT_NE(line.find("tests/nn/", at), std::string::npos) << line;
  }
  EXPECT_GT(nodes, 0);
  std::filesystem::remove(path);
  std::filesystem::remove(std::filesystem::path(path).replace_extension(".safetensors"));
}

}  // namespace kiln::test
