// Names and small values of loop IR: types, literals, the table of operations.
#include "ir/loop.h"

#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace kiln::ir {

namespace {

struct OpEntry {
  std::string_view name;
  int operands;
};

constexpr std::string_view without_underscore(std::string_view name) { return name.back() == '_' ? name.substr(0, name.size() - 1) : name; }

constexpr OpEntry op_table[] = {
#define KILN_LOOP_OP(name, operands, doc) {without_underscore(#name), operands},
#include "ir/loop_ops.def"
#undef KILN_LOOP_OP
};

/// Saturating conversion, NaN -> 0.
std::int64_t to_integer(DType dtype, double value) {
  if (std::isnan(value)) return 0;
  const int bits = 8 * static_cast<int>(size_of(dtype));
  if (is_signed_integer(dtype)) {
    const double limit = std::ldexp(1.0, bits - 1);
    const std::int64_t greatest = std::numeric_limits<std::int64_t>::max() >> (64 - bits);
    if (value >= limit) return greatest;
    if (value < -limit) return -greatest - 1;
    return static_cast<std::int64_t>(value);
  }
  if (value <= 0) return 0;
  if (value >= std::ldexp(1.0, bits)) return static_cast<std::int64_t>(~std::uint64_t{0} >> (64 - bits));
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(value));
}

}  // namespace

std::string_view name_of(LoopOp op) { return op_table[static_cast<std::size_t>(op)].name; }

std::optional<LoopOp> loop_op_from_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(op_table); ++i)
    if (op_table[i].name == name) return static_cast<LoopOp>(i);
  return std::nullopt;
}

int operand_count(LoopOp op) { return op_table[static_cast<std::size_t>(op)].operands; }

bool is_combiner(LoopOp op) {
  switch (op) {
    case LoopOp::add:
    case LoopOp::multiply:
    case LoopOp::minimum:
    case LoopOp::maximum:
    case LoopOp::and_:
    case LoopOp::or_: return true;
    default: return false;
  }
}

std::string to_string(const RegisterType& type) {
  std::string text(name_of(type.dtype));
  if (type.lanes != 1) text += fmt::format("x{}", type.lanes);
  if (type.rows != 1 || type.cols != 1) text += fmt::format("[{},{}]", type.rows, type.cols);
  return text;
}

Literal Literal::of(DType dtype, double value) {
  Literal literal;
  literal.dtype = dtype;
  switch (dtype) {
    case DType::boolean: literal.integer = value != 0; break;
    case DType::f16: literal.number = static_cast<float>(float16(static_cast<float>(value))); break;
    case DType::bf16: literal.number = static_cast<float>(bfloat16(static_cast<float>(value))); break;
    case DType::f32: literal.number = static_cast<float>(value); break;
    case DType::f64: literal.number = value; break;
    default: literal.integer = to_integer(dtype, value);
  }
  return literal;
}

Literal Literal::of_bits(DType dtype, std::int64_t value) {
  Literal literal;
  literal.dtype = dtype;
  switch (dtype) {
    case DType::f16: {
      float16 half;
      half.bits = static_cast<std::uint16_t>(value);
      literal.number = static_cast<float>(half);
      break;
    }
    case DType::bf16: {
      bfloat16 half;
      half.bits = static_cast<std::uint16_t>(value);
      literal.number = static_cast<float>(half);
      break;
    }
    case DType::f32: literal.number = std::bit_cast<float>(static_cast<std::uint32_t>(value)); break;
    case DType::f64: literal.number = std::bit_cast<double>(value); break;
    default: literal.integer = value;
  }
  return literal;
}

bool operator==(const Literal& a, const Literal& b) {
  if (a.dtype != b.dtype || a.integer != b.integer) return false;
  if (std::isnan(a.number) && std::isnan(b.number)) return true;
  return std::bit_cast<std::uint64_t>(a.number) == std::bit_cast<std::uint64_t>(b.number);
}

}  // namespace kiln::ir
