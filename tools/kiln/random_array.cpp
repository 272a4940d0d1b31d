// Random arrays from splitmix64 (Steele, Lea, Flood, 2014) and the Box-Muller transform.
#include "tools/kiln/random_array.h"

#include <cmath>
#include <numbers>

namespace kiln::command {

Array random_array(DType dtype, const Shape& shape, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL;
  const auto bits = [&state] {
    std::uint64_t z = state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  };
  const auto unit = [&bits] { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; };  // within (0, 1)
  Array array(f64, shape);
  for (double& value : array.mutable_data<double>()) {
    const double first = unit(), second = unit();
    value = is_floating(dtype)        ? std::sqrt(-2 * std::log(first)) * std::cos(2 * std::numbers::pi * second)
            : dtype == DType::boolean ? std::floor(first * 2)
                                      : std::floor(first * 10);
  }
  return array.convert(dtype);
}

}  // namespace kiln::command
