// Operators that move elements: reshape, transpose, slice, pad, concatenate.
#include <fmt/format.h>
#include <algorithm>

#include "frontend/state.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

Tensor reshape(const Operand& x, const Dims& dims) {
  Emitter emitter({&x}, "reshape");
  const ir::ValueId value = emitter.use(x.tensor());
  const ir::Type& type = emitter.builder().type(value);
  ir::Dims wanted = to_ir(dims);
  emitter.state().use_symbols(wanted, emitter.location());
  const ir::Dim total = ir::product(type.dims);
  const std::string asked = ir::to_string(wanted);
  const auto fail = [&](const std::string& what, const std::string& hint) {
    emitter.fail(ErrorCode::shape_mismatch, fmt::format("{} to {}: {}", ir::to_string(type), asked, what), hint);
  };
  std::size_t open = wanted.size();
  ir::Dim rest = 1;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].is_constant(-1)) {
      rest *= wanted[i];
    } else if (open != wanted.size()) {
      fail("two extents are -1", "only one extent can be left open");
    } else {
      open = i;
    }
  }
  if (open != wanted.size()) {
    if (rest.is_constant(0)) fail("an extent of 0 leaves -1 undetermined", "write the extent instead of -1");
    const ir::Dim extent = ir::less(0, rest) == ir::Truth::yes ? ir::floordiv(total, rest) : ir::Dim(-1);
    // A symbolic divisor is taken out factor by factor, as its minimum may be 0.
    ir::Dim quotient = extent;
    if (extent.is_constant(-1)) {
      quotient = 1;
      ir::Dims left = type.dims;
      for (const ir::Dim& dim : wanted) {
        if (dim.is_constant()) continue;
        const auto found = std::find(left.begin(), left.end(), dim);
        if (found == left.end())
          fail(fmt::format("{} elements cannot be divided by {} for certain", ir::to_string(total), ir::to_string(rest)),
               "write the extent instead of -1");
        left.erase(found);
      }
      std::int64_t constant = 1;
      for (const ir::Dim& dim : wanted)
        if (dim.is_constant() && !dim.is_constant(-1)) constant *= dim.constant();
      quotient = ir::floordiv(ir::product(left), constant);
    }
    wanted[open] = quotient;
    if (ir::equals(quotient * rest, total) != ir::Truth::yes)
      fail(fmt::format("{} elements cannot be divided by {}", ir::to_string(total), ir::to_string(rest)),
           "the product of the other extents must divide the number of elements");
  }
  for (const ir::Dim& dim : wanted)
    if (ir::less(dim, 0) == ir::Truth::yes)
      fail(fmt::format("the extent {} is negative", ir::to_string(dim)), "-1 stands for what the other extents leave");
  const ir::Dim count = ir::product(wanted);
  const ir::Truth same = ir::equals(count, total);
  if (same == ir::Truth::no || (same == ir::Truth::unknown && !emitter.builder().checkable(total, count)))
    fail(fmt::format("{} elements {} {}", ir::to_string(total), same == ir::Truth::no ? "are not" : "are not for certain",
                     ir::to_string(count)),
         "a reshape keeps the number of elements; one extent may be -1");
  return emitter.wrap(wanted == type.dims ? value : emitter.builder().reshape(value, wanted));
}

Tensor flatten(const Operand& x, std::int64_t first_axis) {
  Emitter emitter({&x}, "flatten");
  const ir::ValueId value = emitter.use(x.tensor());
  const ir::Dims& dims = emitter.builder().type(value).dims;
  const std::int64_t first = dims.empty() ? 0 : emitter.axis(first_axis, dims.size());
  ir::Dims flat(dims.begin(), dims.begin() + first);
  flat.push_back(ir::product(std::span(dims).subspan(static_cast<std::size_t>(first))));
  return emitter.wrap(flat == dims ? value : emitter.builder().reshape(value, flat));
}

Tensor transpose(const Operand& x) {
  Emitter emitter({&x}, "transpose");
  const ir::ValueId value = emitter.use(x.tensor());
  std::vector<std::int64_t> permutation(emitter.builder().type(value).rank());
  for (std::size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<std::int64_t>(permutation.size() - 1 - i);
  return emitter.wrap(permutation.size() < 2 ? value : emitter.builder().transpose(value, std::move(permutation)));
}

Tensor transpose(const Operand& x, const std::vector<std::int64_t>& permutation) {
  Emitter emitter({&x}, "transpose");
  const ir::ValueId value = emitter.use(x.tensor());
  const ir::Type& type = emitter.builder().type(value);
  std::vector<std::int64_t> axes;
  std::vector<bool> used(type.rank());
  if (permutation.size() != type.rank())
    emitter.fail(ErrorCode::invalid_argument,
                 fmt::format("{} has {} axes, the permutation {}", ir::to_string(type), type.rank(), permutation.size()),
                 "the permutation names each axis once, in the order that the result has");
  for (const std::int64_t a : permutation) {
    axes.push_back(emitter.axis(a, type.rank()));
    if (used[static_cast<std::size_t>(axes.back())])
      emitter.fail(ErrorCode::invalid_argument, fmt::format("the permutation of {} names axis {} twice", ir::to_string(type), axes.back()),
                   "the permutation names each axis once, in the order that the result has");
    used[static_cast<std::size_t>(axes.back())] = true;
  }
  return emitter.wrap(emitter.builder().transpose(value, std::move(axes)));
}
Tensor permute(const Operand& x, const std::vector<std::int64_t>& permutation) { return transpose(x, permutation); }

Tensor expand_dims(const Operand& x, std::int64_t axis) {
  Emitter emitter({&x}, "expand_dims");
  const ir::ValueId value = emitter.use(x.tensor());
  ir::Dims dims = emitter.builder().type(value).dims;
  dims.insert(dims.begin() + emitter.axis(axis, dims.size() + 1), ir::Dim(1));
  return emitter.wrap(emitter.builder().reshape(value, dims));
}

Tensor unsqueeze(const Operand& x, std::int64_t axis) { return expand_dims(x, axis); }

Tensor squeeze(const Operand& x, std::int64_t axis) {
  Emitter emitter({&x}, "squeeze");
  const ir::ValueId value = emitter.use(x.tensor());
  const ir::Type& type = emitter.builder().type(value);
  const std::int64_t dim = emitter.axis(axis, type.rank());
  ir::Dims dims = type.dims;
  if (!dims[static_cast<std::size_t>(dim)].is_constant(1))
    emitter.fail(
        ErrorCode::shape_mismatch,
        fmt::format("axis {} of {} has the extent {}, not 1", dim, ir::to_string(type), ir::to_string(dims[static_cast<std::size_t>(dim)])),
        "reduce_sum() and its kin remove longer axes");
  dims.erase(dims.begin() + dim);
  return emitter.wrap(emitter.builder().reshape(value, dims));
}

Tensor broadcast_to(const Operand& x, const Dims& dims) {
  Emitter emitter({&x}, "broadcast_to");
  const ir::ValueId value = emitter.use(x.tensor());
  const ir::Type& type = emitter.builder().type(value);
  const ir::Dims wanted = to_ir(dims);
  emitter.state().use_symbols(wanted, emitter.location());
  bool fits = wanted.size() >= type.rank();
  for (std::size_t i = 0; fits && i < type.rank(); ++i) {
    const ir::Dim& extent = type.dims[i];
    fits = extent.is_constant(1) || ir::equals(extent, wanted[wanted.size() - type.rank() + i]) == ir::Truth::yes;
  }
  if (!fits)
    emitter.fail(ErrorCode::shape_mismatch, fmt::format("{} cannot be repeated to {}", ir::to_string(type), ir::to_string(wanted)),
                 "dims are aligned at the right, and only an extent of 1 is repeated");
  return emitter.wrap(emitter.broadcast_to(value, wanted));
}

Tensor slice(const Operand& x, const Dims& starts, const Dims& limits, const std::vector<std::int64_t>& strides) {
  Emitter emitter({&x}, "slice");
  const ir::ValueId value = emitter.use(x.tensor());
  const ir::Type& type = emitter.builder().type(value);
  const ir::Dims from = to_ir(starts), to = to_ir(limits);
  std::vector<std::int64_t> steps = strides.empty() ? std::vector<std::int64_t>(type.rank(), 1) : strides;
  if (from.size() != type.rank() || to.size() != type.rank() || steps.size() != type.rank())
    emitter.fail(ErrorCode::invalid_argument,
                 fmt::format("{} has {} axes, but there are {} starts, {} limits and {} strides", ir::to_string(type), type.rank(),
                             from.size(), to.size(), steps.size()),
                 "give one of each for every axis");
  for (std::size_t i = 0; i < type.rank(); ++i) {
    const auto range = [&] {
      return fmt::format("elements {} to {} of axis {} of {}", ir::to_string(from[i]), ir::to_string(to[i]), i, ir::to_string(type));
    };
    if (ir::less(from[i], 0) == ir::Truth::yes || ir::less(to[i], from[i]) == ir::Truth::yes ||
        ir::less(type.dims[i], to[i]) == ir::Truth::yes)
      emitter.fail(ErrorCode::shape_mismatch, range() + " do not exist", "0 <= start <= limit <= extent");
    if (steps[i] < 1)
      emitter.fail(ErrorCode::invalid_argument, fmt::format("the stride {} of axis {} is not positive", steps[i], i),
                   "reverse() turns an axis round");
  }
  return emitter.wrap(emitter.builder().slice(value, from, to, std::move(steps)));
}

Tensor pad(const Operand& x, const Dims& low, const Dims& high, const Operand& value) {
  Emitter emitter({&x, &value}, "pad");
  if (!x.is_tensor()) emitter.fail(ErrorCode::invalid_argument, "pads a tensor, but was given a number", "");
  const ir::ValueId operand = emitter.use(x.tensor());
  const ir::Type& type = emitter.builder().type(operand);
  const ir::Dims before = to_ir(low), after = to_ir(high);
  if (before.size() != type.rank() || after.size() != type.rank())
    emitter.fail(ErrorCode::invalid_argument,
                 fmt::format("{} has {} axes, but there are {} low and {} high amounts", ir::to_string(type), type.rank(), before.size(),
                             after.size()),
                 "give one of each for every axis");
  emitter.common_dtype({&x, &value});
  const ir::ValueId filling = emitter.use(value, type.dtype);
  if (emitter.builder().type(filling).rank() != 0)
    emitter.fail(ErrorCode::shape_mismatch,
                 fmt::format("the value must be a scalar, but is {}", ir::to_string(emitter.builder().type(filling))),
                 "pad with one number");
  return emitter.wrap(emitter.builder().pad(operand, filling, before, after, std::vector<std::int64_t>(type.rank(), 0)));
}

Tensor reverse(const Operand& x, const Axes& axes) {
  Emitter emitter({&x}, "reverse");
  const ir::ValueId value = emitter.use(x.tensor());
  const std::size_t rank = emitter.builder().type(value).rank();
  std::vector<std::int64_t> list;
  if (axes.all()) {
    for (std::size_t i = 0; i < rank; ++i) list.push_back(static_cast<std::int64_t>(i));
  } else {
    for (const std::int64_t axis : axes.list()) list.push_back(emitter.axis(axis, rank));
    std::sort(list.begin(), list.end());
    if (std::adjacent_find(list.begin(), list.end()) != list.end())
      emitter.fail(ErrorCode::invalid_argument, "an axis is given twice", "name each axis once");
  }
  return emitter.wrap(list.empty() ? value : emitter.builder().create(ir::Op::reverse, {value}, {{"dimensions", std::move(list)}}));
}

namespace {

GraphState& state_of(std::span<const Tensor> parts, const char* op, const Location& location) {
  if (parts.empty())
    throw Error(ErrorCode::invalid_argument, std::string(op) + ": there is nothing to join", LocationScope::resolve(location),
                "give at least one tensor");
  type_of(parts[0]);
  return *Access::state(parts[0]);
}

}  // namespace

Tensor concatenate(std::span<const Tensor> parts, std::int64_t axis, std::source_location location) {
  Emitter emitter(state_of(parts, "concatenate", location), "concatenate", location);
  std::vector<ir::ValueId> values;
  for (const Tensor& part : parts) values.push_back(emitter.use(part));
  const ir::Type& first = emitter.builder().type(values[0]);
  const std::int64_t dim = emitter.axis(axis, first.rank());
  for (const ir::ValueId value : values) {
    const ir::Type& type = emitter.builder().type(value);
    const auto explain = [&] {
      return fmt::format("{} and {} cannot be joined along axis {}", ir::to_string(first), ir::to_string(type), dim);
    };
    if (type.dtype != first.dtype)
      emitter.fail(ErrorCode::dtype_mismatch, explain(), fmt::format("convert one of them: convert(x, {})", name_of(first.dtype)));
    bool fits = type.rank() == first.rank();
    for (std::size_t i = 0; fits && i < type.rank(); ++i) {
      const ir::Truth same = ir::equals(type.dims[i], first.dims[i]);
      fits = static_cast<std::int64_t>(i) == dim || same == ir::Truth::yes ||
             (same == ir::Truth::unknown && emitter.builder().checkable(type.dims[i], first.dims[i]));
    }
    if (!fits) emitter.fail(ErrorCode::shape_mismatch, explain(), "all other axes must be equal; stack() joins along a new axis");
  }
  if (values.size() == 1) return emitter.wrap(values[0]);
  return emitter.wrap(emitter.builder().concatenate(std::move(values), dim));
}

Tensor concatenate(std::initializer_list<Tensor> parts, std::int64_t axis, std::source_location location) {
  return concatenate(std::span<const Tensor>(parts.begin(), parts.size()), axis, location);
}

Tensor stack(std::span<const Tensor> parts, std::int64_t axis, std::source_location location) {
  Emitter emitter(state_of(parts, "stack", location), "stack", location);
  LocationScope scope{Location(location)};
  const ir::Type& first = type_of(parts[0]);
  const std::int64_t dim = emitter.axis(axis, first.rank() + 1);
  std::vector<Tensor> expanded;
  for (const Tensor& part : parts) {
    const ir::Type& type = type_of(part);
    if (!(type == first))
      emitter.fail(type.dtype != first.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                   fmt::format("{} and {} cannot be stacked", ir::to_string(first), ir::to_string(type)),
                   "all parts must have one dtype and shape");
    expanded.push_back(expand_dims(part, dim));
  }
  return concatenate(expanded, dim, location);
}

Tensor stack(std::initializer_list<Tensor> parts, std::int64_t axis, std::source_location location) {
  return stack(std::span<const Tensor>(parts.begin(), parts.size()), axis, location);
}

namespace {
Tensor filled_like(const char* name, const Operand& x, Scalar value) {
  Emitter emitter({&x}, name);
  const ir::Type type = emitter.builder().type(emitter.use(x.tensor()));
  return emitter.wrap(emitter.broadcast_to(emitter.scalar(value, type.dtype), type.dims));
}
}  // namespace

Tensor zeros_like(const Operand& x) { return filled_like("zeros_like", x, 0); }
Tensor ones_like(const Operand& x) { return filled_like("ones_like", x, 1); }
Tensor full_like(const Operand& x, Scalar value) { return filled_like("full_like", x, value); }

}  // namespace kiln
