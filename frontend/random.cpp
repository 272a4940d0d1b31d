// Random bits, uniform and normal numbers (kiln/graph.h, frontend/draws.h). What is made of them: distributions.cpp, dropout.cpp.
//
// Bits come from Philox (ir/ops/random.cpp), whose counter holds the run's number, the iterations of the loops around the draw, and the
// draw's stream: a hash of its scope and ordinal, so that equal programs draw equal numbers.
//
// Uniform numbers have as many random bits as their dtype's fraction: bits * 2^-24 for f32 and below, 2^-53 from two words for f64. Open
// ones have one bit less and lie in the middle of their interval, (bits + 1/2) * 2^-23: 0 and 1 never come, and logarithms of both u and 1
// - u are finite. Normal ones by Box and Muller: sqrt(-2 log(1 - u)) cos(2 pi v), where 1 - u lies in (0, 1].
#include "frontend/draws.h"

#include <fmt/format.h>
#include <cmath>
#include <numbers>

namespace kiln {

using namespace detail;

namespace detail {

namespace {

/// Odd multiplier of Knuth's multiplicative hashing: (outer, inner) iteration pairs below 2^16 get distinct counters.
constexpr std::uint64_t iteration_stride = 2654435761u;

Tensor shift_right(const Tensor& x, int count) {
  return apply(ir::Op::shift_right_logical, {x, broadcast_to(zeros_like(x) + count, x.dims())});
}

}  // namespace

Tensor draw_bits(GraphState& state, const char* op, const ir::Dims& dims, const Location& location) {
  Emitter emitter(state, op, location);
  ir::Builder& builder = emitter.builder();
  std::vector<ir::ValueId> operands;
  bool in_initializer = false;
  for (const Region& region : state.open) in_initializer |= !region.may_capture;
  if (in_initializer) {
    // Initializers draw as of run 0; they are evaluated outside all loops.
    state.hidden_variable("kiln.seed");
    operands = {builder.create(ir::Op::variable, {}, {{"name", std::string("kiln.seed")}}), builder.constant(Array(std::uint64_t{0}))};
  } else {
    for (const char* name : {"kiln.seed", "kiln.run"})
      operands.push_back(emitter.use(Access::make<Tensor>(state, state.module.main, state.variable_value(state.hidden_variable(name)))));
    ir::ValueId iteration = ir::none;
    for (std::size_t i = 0; i < state.open.size(); ++i) {
      if (!state.open[i].iteration) continue;
      const ir::ValueId counter = state.open[i].iteration();
      const ir::ValueId here = emitter.use(Access::make<Tensor>(state, state.open[i].graph, counter));
      iteration = iteration == ir::none ? here : builder.add(builder.multiply(iteration, builder.constant(Array(iteration_stride))), here);
    }
    if (iteration != ir::none) operands.push_back(iteration);
  }
  std::vector<ir::Attributes::Item> attributes{{"stream", state.next_stream(state.innermost().scope)}};
  if (!dims.empty()) attributes.emplace_back("dims", dims);
  return emitter.wrap(builder.create(ir::Op::rng_bits, std::move(operands), ir::Attributes(std::move(attributes))));
}

namespace {

Tensor draw_bits(Composite& of, const Dims& dims) { return draw_bits(of.state(), of.emitter().op(), to_ir(dims), of.emitter().location()); }

/// Two words as 53 bits: a whole number below 2^53, in f64.
Tensor whole_f64(Composite& of, const Dims& dims) {
  const Tensor high = convert(shift_right(draw_bits(of, dims), 5), f64);
  const Tensor low = convert(shift_right(draw_bits(of, dims), 6), f64);
  return high * 0x1p26 + low;
}

}  // namespace

Tensor draw_unit(Composite& of, DType dtype, const Dims& dims) {
  if (dtype == DType::f64) return whole_f64(of, dims) * 0x1p-53;
  // The small dtypes draw as f32 does, but with their own number of bits, so that no draw rounds up to 1.
  const int kept = dtype == DType::f16 ? 11 : dtype == DType::bf16 ? 8 : 24;
  return convert(convert(shift_right(draw_bits(of, dims), 32 - kept), f32) * std::ldexp(1.0, -kept), dtype);
}

Tensor draw_open_unit(Composite& of, DType dtype, const Dims& dims) {
  if (dtype == DType::f64) {
    const Tensor high = convert(shift_right(draw_bits(of, dims), 6), f64);
    const Tensor low = convert(shift_right(draw_bits(of, dims), 6), f64);
    return (high * 0x1p26 + low + 0.5) * 0x1p-52;
  }
  return (convert(shift_right(draw_bits(of, dims), 9), f32) + 0.5) * 0x1p-23;
}

Tensor draw_normal(Composite& of, DType dtype, const Dims& dims) {
  const DType compute = dtype == DType::f64 ? f64 : f32;
  const Tensor u = draw_unit(of, compute, dims);
  const Tensor v = draw_unit(of, compute, dims);
  return sqrt(-2 * log(1 - u)) * cos(v * (2 * std::numbers::pi));
}

Tensor draw_gumbel(Composite& of, DType dtype, const Dims& dims) { return convert(-log(-log(draw_open_unit(of, dtype, dims))), dtype); }

}  // namespace detail

namespace {

void require_floating(const char* op, DType dtype, const Location& location) {
  if (!is_floating(dtype))
    throw Error(ErrorCode::dtype_mismatch, fmt::format("{}: there are no such numbers of dtype {}", op, name_of(dtype)), location,
                "draw in f32, and convert() the result");
}

}  // namespace

Tensor Graph::random_bits(const Dims& dims, std::source_location location) {
  const ir::Dims extents = to_ir(dims);
  state_->use_symbols(extents, LocationScope::resolve(location));
  return draw_bits(*state_, "random_bits", extents, location);
}

Tensor Graph::random_uniform(DType dtype, const Dims& dims, UniformOptions options, std::source_location location) {
  LocationScope scope{Location(location)};
  const Location where = LocationScope::resolve(location);
  require_floating("random_uniform", dtype, where);
  if (!(options.low <= options.high))
    throw Error(ErrorCode::invalid_argument, fmt::format("random_uniform: low is {}, high is {}", options.low, options.high), where,
                "low <= high");
  const ir::Dims extents = to_ir(dims);
  state_->use_symbols(extents, where);
  Composite of(*this, "random_uniform", location);
  const Tensor u = draw_unit(of, dtype, dims);
  if (options.low == 0 && options.high == 1) return u;
  return u * (options.high - options.low) + options.low;
}

Tensor Graph::random_normal(DType dtype, const Dims& dims, NormalOptions options, std::source_location location) {
  LocationScope scope{Location(location)};
  const Location where = LocationScope::resolve(location);
  require_floating("random_normal", dtype, where);
  if (!(options.stddev >= 0))
    throw Error(ErrorCode::invalid_argument, fmt::format("random_normal: stddev is {}", options.stddev), where, "stddev >= 0");
  const ir::Dims extents = to_ir(dims);
  state_->use_symbols(extents, where);
  Composite of(*this, "random_normal", location);
  const Tensor z = draw_normal(of, dtype, dims);
  return convert(z * options.stddev + options.mean, dtype);
}

}  // namespace kiln
