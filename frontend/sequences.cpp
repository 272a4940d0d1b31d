// Functions of sequences (kiln/sequences.h), made of comparisons of positions and of one gather.
#include "kiln/sequences.h"

#include <fmt/format.h>
#include <algorithm>
#include <numeric>

#include "frontend/composite.h"
#include "frontend/spatial.h"

namespace kiln {

using namespace detail;

Tensor sequence_mask(const Operand& lengths_, const Dim& size) {
  Composite of({&lengths_}, "sequence_mask");
  const Tensor lengths = of.tensor(lengths_);
  of.require_integer(lengths, "the lengths");
  std::vector<Dim> dims;
  std::vector<std::int64_t> positions;
  for (std::size_t d = 0; d < lengths.rank(); ++d) {
    dims.push_back(lengths.dims()[d]);
    positions.push_back(static_cast<std::int64_t>(d));
  }
  dims.push_back(size);
  of.state().use_symbols(to_ir(dims), of.emitter().location());
  return less(of.iota(i64, dims, static_cast<std::int64_t>(lengths.rank())), spread(convert(lengths, i64), dims, positions));
}

Tensor reverse_sequence(const Operand& x_, const Operand& lengths_, std::int64_t time_axis, std::int64_t batch_axis) {
  Composite of(x_.tensor(), "reverse_sequence", x_.location());
  const Tensor x = x_.tensor(), given = lengths_.tensor();
  of.require_rank(x, 2, "what holds sequences", "it has an axis of time and one of the batch");
  const std::int64_t time = of.axis(time_axis, x), batch = of.axis(batch_axis, x);
  of.require(time != batch, fmt::format("axis {} is both that of time and that of the batch", time), "they are two axes");
  of.require_integer(given, "the lengths");
  if (given.rank() != 1 || ir::equals(type_of(given).dims[0], type_of(x).dims[static_cast<std::size_t>(batch)]) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch, fmt::format("the lengths {} do not fit axis {} of {}", to_string(given), batch, to_string(x)),
            "there is one length for each sequence");
  // In the dtype of positions, and not beyond the end.
  const Dims two{x.dim(time), x.dim(batch)};
  const Tensor length = spread(minimum(convert(given, i64), of.count({x.dim(time)}, {0}, i64)), two, {1});
  const Tensor place = of.iota(i64, two, 0), source = select(less(place, length), length - 1 - place, place);
  std::vector<Dim> dims(x.rank(), Dim(1));
  dims[static_cast<std::size_t>(time)] = x.dim(time);
  dims[static_cast<std::size_t>(batch)] = x.dim(batch);
  return take_along_axis(x, reshaped(time < batch ? source : transpose(source), dims), time);
}

namespace {

/// The elements of x that stand `by` places later along the last axis; 0 where there are none.
Tensor shifted(const Tensor& x, std::int64_t by) {
  std::vector<Dim> low(x.rank(), Dim(0)), high = low;
  low.back() = -by;
  high.back() = by;
  return pad(x, low, high, 0);
}

/// How often each n-gram of one length occurs with this skip: [..., count of n-grams].
Tensor counts_of(Composite& of, const Tensor& x, const std::vector<std::vector<std::int64_t>>& ngrams, std::int64_t skip) {
  const auto length = static_cast<std::int64_t>(ngrams[0].size()), count = static_cast<std::int64_t>(ngrams.size());
  std::vector<Dim> dims = dims_of(x);
  dims.emplace_back(count);
  const auto rank = static_cast<std::int64_t>(x.rank());
  std::vector<std::int64_t> positions(x.rank());
  std::iota(positions.begin(), positions.end(), 0);
  // A window that reaches beyond the end is none.
  const Tensor last = of.count({x.dim(-1)}, {0}, i64) - (length - 1) * (skip + 1);
  Tensor matches = less(of.iota(i64, dims, rank - 1), last);
  for (std::int64_t item = 0; item < length; ++item) {
    std::vector<std::int64_t> wanted;
    for (const std::vector<std::int64_t>& ngram : ngrams) wanted.push_back(ngram[static_cast<std::size_t>(item)]);
    const Tensor items = of.graph().constant(Array({count}, wanted));
    const Tensor here = item == 0 ? x : shifted(x, item * (skip + 1));
    matches = logical_and(matches, equal(spread(here, dims, positions), spread(items, dims, {rank})));
  }
  return reduce_sum(convert(matches, f32), rank - 1);
}

}  // namespace

Tensor tf_idf_vectorizer(const Operand& x_, const NgramOptions& options) {
  Composite of(x_.tensor(), "tf_idf_vectorizer", x_.location());
  of.require_integer(x_.tensor(), "a sequence of items");
  const Tensor x = convert(x_.tensor(), i64);
  of.require_rank(x, 1, "a sequence", "its last axis is time");
  const std::size_t size = options.pool.size();
  of.require(size > 0, "the pool is empty", "it holds the n-grams to be counted");
  of.require(options.min_length >= 1 && options.max_length >= options.min_length && options.max_skip >= 0,
             fmt::format("n-grams of {} to {} items with up to {} left out", options.min_length, options.max_length, options.max_skip),
             "lengths are at least 1, the lesser one first, and max_skip at least 0");
  const auto one_each = [&](std::size_t count, const char* what) {
    of.require(count == 0 || count == size, fmt::format("the pool has {} n-grams, but the list of {} has {}", size, what, count),
               "there is one for each n-gram, or none");
  };
  one_each(options.indices.size(), "indices");
  one_each(options.weights.size(), "weights");
  std::int64_t width = static_cast<std::int64_t>(size);
  if (!options.indices.empty()) {
    of.require(*std::ranges::min_element(options.indices) >= 0, "an index is negative", "indices are places in the result");
    width = *std::ranges::max_element(options.indices) + 1;
  }
  // Counts of each length in turn, at the columns where they belong.
  std::vector<Dim> dims = dims_of(x);
  dims.back() = width;
  Tensor result = of.full(f32, dims, 0);
  for (std::int64_t length = options.min_length; length <= options.max_length; ++length) {
    std::vector<std::vector<std::int64_t>> ngrams;
    std::vector<std::int64_t> columns;
    std::vector<float> weights;
    for (std::size_t i = 0; i < size; ++i) {
      if (static_cast<std::int64_t>(options.pool[i].size()) != length) continue;
      ngrams.push_back(options.pool[i]);
      columns.push_back(options.indices.empty() ? static_cast<std::int64_t>(i) : options.indices[i]);
      weights.push_back(options.weights.empty() ? 1.0F : static_cast<float>(options.weights[i]));
    }
    if (ngrams.empty()) continue;
    const auto count = static_cast<std::int64_t>(ngrams.size());
    Tensor counts;
    for (std::int64_t skip = 0; skip <= (length == 1 ? 0 : options.max_skip); ++skip) {
      const Tensor part = counts_of(of, x, ngrams, skip);
      counts = counts.valid() ? counts + part : part;
    }
    if (options.weighting == NgramWeighting::occurs) counts = convert(greater(counts, 0), f32);
    if (options.weighting != NgramWeighting::counts) counts = counts * of.graph().constant(Array({count}, weights));
    result = index_add(result, -1, of.graph().constant(Array({count}, columns)), counts);
  }
  return result;
}

}  // namespace kiln
