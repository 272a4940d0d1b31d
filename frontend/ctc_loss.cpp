// Connectionist temporal classification (kiln/losses.h): Graves, Fernandez, Gomez, Schmidhuber, ICML 2006.
//
// The target with blanks around each symbol has 2 length + 1 states. alpha(t, s) is the log-probability of all paths that stand in state s
// after frame t; a path stays, moves to the next state, or skips a blank between different symbols:
//   alpha(t, s) = log(sum of exp of alpha(t - 1, s), alpha(t - 1, s - 1), and alpha(t - 1, s - 2) where a skip is allowed) + log p(t,
//   symbol of s)
// Paths that end in the last symbol or the blank after it make up the probability. States after a target's end are never read, as no path
// leads back. "Impossible" is a large finite number, so that no derivative is inf - inf.
#include <fmt/format.h>
#include <limits>

#include "frontend/composite.h"
#include "kiln/control.h"
#include "kiln/losses.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double impossible = -1e30, infinite = 1e29;

/// x moved `by` places to higher positions of its last axis; what enters is `value`.
Tensor moved(const Tensor& x, std::int64_t by, const Operand& value) { return pad(x, {0, by}, {0, -by}, value); }

Tensor log_sum(const std::vector<Tensor>& terms) {
  Tensor top = terms[0];
  for (std::size_t i = 1; i < terms.size(); ++i) top = maximum(top, terms[i]);
  top = stop_gradient(top);
  Tensor sum = exp(terms[0] - top);
  for (std::size_t i = 1; i < terms.size(); ++i) sum = sum + exp(terms[i] - top);
  return log(sum) + top;
}

}  // namespace

Tensor ctc_loss(const Operand& log_probabilities, const Operand& target_symbols, const Operand& input_lengths,
                const Operand& target_lengths, const CtcOptions& options) {
  Composite of({&log_probabilities}, "ctc_loss");
  const Tensor given = of.tensor(log_probabilities);
  of.require_floating(given);
  const Tensor targets = target_symbols.tensor(), frames = input_lengths.tensor(), lengths = target_lengths.tensor();
  of.require_integer(targets, "the targets");
  of.require_integer(frames, "the input lengths");
  of.require_integer(lengths, "the target lengths");
  const auto fits = [&] {
    return given.rank() == 3 && targets.rank() == 2 && frames.rank() == 1 && lengths.rank() == 1 && targets.dim(0) == given.dim(1) &&
           frames.dim(0) == given.dim(1) && lengths.dim(0) == given.dim(1);
  };
  if (!fits())
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("log-probabilities {}, targets {}, input lengths {} and target lengths {} do not fit together", to_string(given),
                        to_string(targets), to_string(frames), to_string(lengths)),
            "they are [time, batch, classes], [batch, length], [batch] and [batch]");
  of.require(options.blank >= 0 && (!given.dim(2).is_constant() || options.blank < given.dim(2).value()),
             fmt::format("the blank is {} of {} classes", options.blank, to_string(given.dim(2))), "0 <= blank < classes");
  const DType compute = given.dtype() == f64 ? f64 : f32;
  const Tensor scores = maximum(convert(given, compute), impossible);
  const Dim time = given.dim(0), batch = given.dim(1), length = targets.dim(1), states = 2 * length + 1;

  // Symbols of the states: blank, first, blank, second ... blank.
  const Tensor wide = convert(targets, i64), blank = of.full(i64, {batch, length}, options.blank);
  const Tensor symbols = concatenate({reshaped(stack({blank, wide}, -1), {batch, 2 * length}), of.full(i64, {batch, 1}, options.blank)}, 1);
  const Tensor state = of.iota(i64, {batch, states}, 1);
  const Tensor may_skip = logical_and(logical_and(equal(state % 2, 1), greater(state, 1)), not_equal(symbols, moved(symbols, 2, -1)));
  // Scores of the states' symbols at every frame: [time, batch, states].
  const Tensor emitted = apply(ir::Op::gather, {scores, symbols},
                               {{"offset_dims", std::vector<std::int64_t>{0}},
                                {"collapsed_slice_dims", std::vector<std::int64_t>{2}},
                                {"operand_batching_dims", std::vector<std::int64_t>{1}},
                                {"start_indices_batching_dims", std::vector<std::int64_t>{0}},
                                {"start_index_map", std::vector<std::int64_t>{2}},
                                {"index_vector_dim", std::int64_t{2}},
                                {"slice_sizes", to_ir({time, 1, 1})}});
  const Tensor start = select(less(state, 2), 0, of.full(compute, {batch, states}, impossible));
  const Tensor frame_count = expand_dims(convert(frames, i64), -1);

  WhileOptions loop;
  if (time.is_constant()) loop.max_trip_count = time.value();
  const Tensor last_frame = of.count({time}, {0}, i64);
  const Tensor alpha = time == Dim(0) ? of.full(compute, {batch, states}, impossible)
                                      : while_loop([&](const auto& v) { return less(v[0], last_frame); },
                                                   [&](const auto& v) {
                                                     const Tensor& before = v[1];
                                                     const Tensor skipped = select(may_skip, moved(before, 2, impossible), impossible);
                                                     const Tensor reached = select(
                                                         equal(v[0], 0), start, log_sum({before, moved(before, 1, impossible), skipped}));
                                                     const Tensor next = reached + take(emitted, v[0], 0);
                                                     return std::vector<Tensor>{v[0] + 1, select(less(v[0], frame_count), next, before)};
                                                   },
                                                   {of.number(0, i64), of.full(compute, {batch, states}, impossible)}, loop)[1];

  const Tensor end = expand_dims(2 * convert(lengths, i64), -1);
  const auto final = [&](const Tensor& position) { return reduce_sum(select(equal(state, position), alpha, 0), -1); };
  const Tensor in_symbol = select(greater(lengths, of.number(0, lengths.dtype())), final(end - 1), impossible);
  Tensor loss = -log_sum({final(end), in_symbol});
  loss = select(greater(loss, infinite), options.zero_infinity ? 0 : std::numeric_limits<double>::infinity(), loss);
  loss = convert(loss, given.dtype());
  switch (options.reduction) {
    case Reduction::none: return loss;
    case Reduction::sum: return reduce_sum(loss);
    case Reduction::mean: break;
  }
  return reduce_mean(loss / convert(maximum(lengths, 1), loss.dtype()));
}

}  // namespace kiln
