// Dim and Dims: the public face of ir::Dim.
#include "kiln/dim.h"

#include <cctype>

#include "frontend/state.h"

namespace kiln {

namespace detail {

Dim DimValue::wrap(const ir::Dim& dim) {
  if (dim.is_constant()) return Dim(dim.constant());
  Dim wrapped;
  wrapped.symbolic_ = std::make_shared<const DimValue>(DimValue{dim});
  return wrapped;
}

ir::Dim DimValue::unwrap(const Dim& dim) { return dim.symbolic_ ? dim.symbolic_->dim : ir::Dim(dim.constant_); }

ir::Dims to_ir(const Dims& dims) {
  ir::Dims result;
  result.reserve(dims.rank());
  for (const Dim& dim : dims) result.push_back(DimValue::unwrap(dim));
  return result;
}

Dims from_ir(const ir::Dims& dims) {
  std::vector<Dim> result;
  result.reserve(dims.size());
  for (const ir::Dim& dim : dims) result.push_back(DimValue::wrap(dim));
  return result;
}

}  // namespace detail

using detail::DimValue;

Dim::Dim(const std::string& name, DimOptions options, std::source_location location) {
  bool valid = !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0]));
  for (const char c : name) valid = valid && (std::isalnum(static_cast<unsigned char>(c)) || c == '_');
  if (!valid)
    throw Error(ErrorCode::invalid_argument, "\"" + name + "\" is no name for an extent", location,
                "a name has letters, digits and underscores, and does not start with a digit");
  if (options.min < 0 || options.max < options.min || options.multiple_of < 1 || options.typical < 0)
    throw Error(ErrorCode::invalid_argument,
                "options of the extent \"" + name + "\" make no sense: min " + std::to_string(options.min) + ", max " +
                    std::to_string(options.max) + ", multiple_of " + std::to_string(options.multiple_of) + ", typical " +
                    std::to_string(options.typical),
                location, "0 <= min <= max, multiple_of >= 1, typical >= 0");
  auto info = std::make_shared<ir::SymbolInfo>();
  *info = {name, options.min, options.max, options.multiple_of, options.typical};
  *this = DimValue::wrap(ir::Dim::symbol(std::move(info)));
}

Dim::Dim(const char* name, DimOptions options, std::source_location location) : Dim(std::string(name), options, location) {}

std::int64_t Dim::value(std::source_location location) const {
  if (symbolic_)
    throw Error(ErrorCode::invalid_argument, "the extent " + to_string(*this) + " has a value only in a run", location,
                "Graph::size() is its value as a tensor; functions that take a Dim take it as it is");
  return constant_;
}

Dim operator+(const Dim& a, const Dim& b) { return DimValue::wrap(DimValue::unwrap(a) + DimValue::unwrap(b)); }
Dim operator-(const Dim& a, const Dim& b) { return DimValue::wrap(DimValue::unwrap(a) - DimValue::unwrap(b)); }
Dim operator*(const Dim& a, const Dim& b) { return DimValue::wrap(DimValue::unwrap(a) * DimValue::unwrap(b)); }

namespace {
ir::Dim divisor(const Dim& b) {
  ir::Dim dim = DimValue::unwrap(b);
  if (ir::less(0, dim) != ir::Truth::yes)
    throw Error(ErrorCode::invalid_argument, "an extent can only be divided by one that is certainly positive, not by " + to_string(b), {},
                "give the symbol a minimum: Dim(\"n\", {.min = 1})");
  return dim;
}
}  // namespace

Dim operator/(const Dim& a, const Dim& b) { return DimValue::wrap(ir::floordiv(DimValue::unwrap(a), divisor(b))); }
Dim operator%(const Dim& a, const Dim& b) { return DimValue::wrap(ir::mod(DimValue::unwrap(a), divisor(b))); }
bool operator==(const Dim& a, const Dim& b) { return DimValue::unwrap(a) == DimValue::unwrap(b); }
Dim ceildiv(const Dim& a, const Dim& b) { return DimValue::wrap(ir::ceildiv(DimValue::unwrap(a), divisor(b))); }
Dim smaller(const Dim& a, const Dim& b) { return DimValue::wrap(ir::min(DimValue::unwrap(a), DimValue::unwrap(b))); }
Dim larger(const Dim& a, const Dim& b) { return DimValue::wrap(ir::max(DimValue::unwrap(a), DimValue::unwrap(b))); }

std::string to_string(const Dim& dim) { return ir::to_string(DimValue::unwrap(dim)); }
std::string to_string(const Dims& dims) { return ir::to_string(detail::to_ir(dims)); }

}  // namespace kiln
