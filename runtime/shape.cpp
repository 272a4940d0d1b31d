// Concrete shapes.
#include "kiln/shape.h"

#include "kiln/error.h"

namespace kiln {

std::int64_t Shape::size() const {
  std::int64_t product = 1;
  bool empty = false, overflow = false;
  for (std::int64_t extent : dims()) {
    if (extent < 0) throw Error(ErrorCode::invalid_argument, "a shape has a negative extent: " + to_string(*this));
    if (extent == 0)
      empty = true;
    else if (__builtin_mul_overflow(product, extent, &product))
      overflow = true, product = 1;
  }
  // An empty array is fine whatever its other extents are: [1 << 40, 1 << 40, 0] has no elements.
  if (empty) return 0;
  if (overflow) throw Error(ErrorCode::out_of_memory, "the number of elements of shape " + to_string(*this) + " does not fit in 63 bits");
  return product;
}

std::vector<std::int64_t> Shape::strides() const {
  std::vector<std::int64_t> result(rank());
  std::int64_t stride = 1;
  for (std::size_t i = rank(); i-- > 0;) {
    result[i] = stride;
    if (__builtin_mul_overflow(stride, (*this)[i], &stride)) {
      size();  // throws, unless the array is empty: then strides are never used to find an element
      stride = 0;
    }
  }
  return result;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace kiln
