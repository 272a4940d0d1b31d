#include "composites.h"

#include <set>

#include "kiln/files.h"

namespace kiln::test {

namespace {

using Arrays = std::map<std::string, Array>;

/// NAME/KIND/0, NAME/KIND/1 ... as far as they exist.
std::vector<std::string> keys(const Arrays& arrays, const std::string& name, const std::string& kind) {
  std::vector<std::string> found;
  for (int i = 0; i < 16; ++i)
    if (const std::string key = name + "/" + kind + "/" + std::to_string(i); arrays.contains(key)) found.push_back(key);
  return found;
}

std::string index_of(const std::string& key) { return key.substr(key.rfind('/') + 1); }

void check_case(const Arrays& arrays, const Case& test, bool symbolic) {
  Graph graph;
  Inputs inputs;
  std::vector<Feed> feeds;
  const std::vector<std::string> in = keys(arrays, test.name, "in"), out = keys(arrays, test.name, "out");
  std::vector<Array> values;
  values.reserve(in.size());
  for (const std::string& key : in) {
    values.push_back(arrays.at(key));
    std::vector<Dim> dims;
    for (const std::int64_t extent : values.back().shape())
      dims.push_back(symbolic && extent > 1 ? Dim("n" + std::to_string(extent)) : Dim(extent));
    inputs.push_back(graph.placeholder("in" + index_of(key), values.back().dtype(), dims));
    feeds.push_back({inputs.back(), values.back()});
  }
  std::vector<Tensor> fetches = test.build(graph, inputs);
  ASSERT_EQ(fetches.size(), out.size());
  Tensor total;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto cot = arrays.find(test.name + "/cot/" + std::to_string(i));
    if (cot == arrays.end()) continue;
    Tensor weights = graph.constant(cot->second);
    if (symbolic) {
      weights = graph.placeholder("cot" + std::to_string(i), f64, fetches[i].dims());
      feeds.push_back({weights, cot->second});
    }
    const Tensor part = reduce_sum(fetches[i] * weights);
    total = total.valid() ? total + part : part;
  }
  const std::vector<std::string> grad = keys(arrays, test.name, "grad");
  if (!grad.empty()) {
    std::vector<Tensor> with_respect_to;
    for (const std::string& key : grad) with_respect_to.push_back(inputs[static_cast<std::size_t>(std::stoi(index_of(key)))]);
    for (const Tensor& g : gradients(total, std::span<const Tensor>(with_respect_to))) fetches.push_back(g);
  }
  Session session(graph, options());
  const std::vector<Key> wanted(fetches.begin(), fetches.end());
  const std::vector<Array> results = session.run(wanted, feeds);
  for (std::size_t i = 0; i < out.size(); ++i) expect_near(results[i], arrays.at(out[i]), test.tolerance, "result " + std::to_string(i));
  for (std::size_t i = 0; i < grad.size(); ++i) expect_near(results[out.size() + i], arrays.at(grad[i]), test.tolerance, grad[i]);
}

}  // namespace

void check_cases(const std::string& group, const std::vector<Case>& cases) {
  const Arrays arrays = read_safetensors(std::string(KILN_SOURCE_DIR) + "/tests/composites/expectations/" + group + ".safetensors");
  std::set<std::string> left;
  for (const auto& [key, array] : arrays) left.insert(key.substr(0, key.find('/')));
  for (const Case& test : cases) {
    ASSERT_TRUE(left.erase(test.name)) << test.name << " has no expectation, or is there twice";
    for (const bool symbolic : {false, true}) {
      if (symbolic && !test.symbolic) continue;
      SCOPED_TRACE(test.name + (symbolic ? ", symbolic" : ""));
      try {
        check_case(arrays, test, symbolic);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
  for (const std::string& name : left) ADD_FAILURE() << "nothing tests the expectation " << name;
}

std::vector<Array> evaluate(const std::vector<Array>& inputs, const Build& build, std::uint64_t seed) {
  Graph graph;
  Inputs tensors;
  std::vector<Feed> feeds;
  for (const Array& input : inputs) {
    tensors.push_back(graph.placeholder("in" + std::to_string(tensors.size()), input.dtype(), Dims(input.shape())));
    feeds.push_back({tensors.back(), input});
  }
  const std::vector<Tensor> fetches = build(graph, tensors);
  SessionOptions chosen = options();
  chosen.seed = seed;
  Session session(graph, chosen);
  session.initialize();
  const std::vector<Key> wanted(fetches.begin(), fetches.end());
  return session.run(wanted, feeds);
}

void check_derivatives(const std::vector<Array>& inputs, const std::function<Tensor(const Inputs&)>& f, double tolerance) {
  // One graph yields the value, the first derivative, and the derivative of a weighted sum of first derivatives.
  Graph graph;
  Inputs tensors;
  for (const Array& input : inputs)
    tensors.push_back(graph.placeholder("in" + std::to_string(tensors.size()), input.dtype(), Dims(input.shape())));
  const auto weighted_sum = [&](const Tensor& x) {
    std::vector<std::int64_t> extents;
    for (const Dim& dim : x.dims()) extents.push_back(dim.value());
    return reduce_sum(x * graph.constant(random_array(f64, Shape(extents), -1, 1, 77)));
  };
  const Tensor value = weighted_sum(f(tensors));
  const std::vector<Tensor> first = gradients(value, std::span<const Tensor>(tensors));
  Tensor sum;
  for (const Tensor& g : first) sum = sum.valid() ? sum + weighted_sum(g) : weighted_sum(g);
  const std::vector<Tensor> second = gradients(sum, std::span<const Tensor>(tensors));
  Session session(graph, options());
  const auto run = [&](const std::vector<Array>& values, const std::vector<Tensor>& fetches) {
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < values.size(); ++i) feeds.push_back({tensors[i], values[i]});
    return session.run(std::vector<Key>(fetches.begin(), fetches.end()), feeds);
  };
  std::vector<Tensor> all = first;
  all.insert(all.end(), second.begin(), second.end());
  const std::vector<Array> derived = run(inputs, all);
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (std::int64_t e = 0; e < inputs[i].size(); ++e) {
      const auto moved = [&](double by) {
        std::vector<Array> values = inputs;
        values[i].mutable_data<double>()[static_cast<std::size_t>(e)] += by;
        return run(values, {value, sum});
      };
      const std::vector<Array> up = moved(h), down = moved(-h);
      for (std::size_t order = 0; order < 2; ++order) {
        const double expected = (up[order].item<double>() - down[order].item<double>()) / (2 * h);
        const double actual = element_as_double(derived[order * inputs.size() + i], e);
        ASSERT_NEAR(actual, expected, tolerance * std::max(1.0, std::abs(expected)))
            << "derivative " << order + 1 << ", input " << i << ", element " << e;
      }
    }
}

}  // namespace kiln::test
