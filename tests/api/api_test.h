// What the tests of the public interface share.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "kiln/kiln.h"

namespace kiln::test {

/// The engine under test: that of KILN_TEST_ENGINE (reference, interpreter, compiled), else the compiled one. Nothing is cached.
inline SessionOptions options() {
  const char* name = std::getenv("KILN_TEST_ENGINE");
  const std::string engine = name ? name : "compiled";
  SessionOptions result;
  result.engine = engine == "reference" ? Engine::reference : engine == "interpreter" ? Engine::program_interpreter : Engine::compiled;
  result.cache_folder = "";
  result.threads = 1;
  return result;
}

/// The reference engine, for expectations.
inline SessionOptions reference_options() {
  SessionOptions result = options();
  result.engine = Engine::reference;
  return result;
}

/// Uniform numbers, the same in every run.
inline Array random_array(DType dtype, const Shape& shape, double low = -1, double high = 1, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::vector<double> values(static_cast<std::size_t>(shape.size()));
  for (double& value : values) value = low + (high - low) * (generator() / 4294967296.0);
  return Array(shape, values).convert(dtype);
}

inline void expect_near(const Array& actual, const Array& expected, double tolerance, const std::string& what = "") {
  ASSERT_EQ(actual.dtype(), expected.dtype()) << what;
  ASSERT_EQ(to_string(actual.shape()), to_string(expected.shape())) << what;
  for (std::int64_t i = 0; i < actual.size(); ++i) {
    const double a = element_as_double(actual, i), e = element_as_double(expected, i);
    if (std::isnan(a) && std::isnan(e)) continue;
    if (a == e) continue;
    ASSERT_NEAR(a, e, tolerance * std::max(1.0, std::abs(e))) << what << ", element " << i;
  }
}

}  // namespace kiln::test
