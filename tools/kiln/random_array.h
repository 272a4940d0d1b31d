// Arrays to try programs with.
#pragma once

#include <cstdint>

#include "kiln/array.h"

namespace kiln::command {

/// Normal with mean 0 and deviation 1 for floats, 0 to 9 for integers, either for bool. Equal seeds give equal arrays.
Array random_array(DType dtype, const Shape& shape, std::uint64_t seed);

}  // namespace kiln::command
