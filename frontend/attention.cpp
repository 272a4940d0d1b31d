// Attention and positions (kiln/attention.h).
//
// Scores, their softmax and the weighted sum are written as they are defined. Grouped heads become an axis of their own, [..., key heads,
// group, queries, width], so that keys and values are not repeated. Masks are comparisons of positions, which fuse with the softmax.
#include "kiln/attention.h"

#include <fmt/format.h>
#include <cmath>
#include <limits>
#include <numeric>

#include "frontend/composite.h"
#include "kiln/normalization.h"
#include "kiln/random.h"

namespace kiln {

using namespace detail;

namespace {

struct Attention {
  Attention(const Operand& query, const Operand& key, const Operand& value, const AttentionOptions& given)
      : of({&query, &key, &value}, "scaled_dot_product_attention"),
        q(of.tensor(query)),
        k(of.tensor(key)),
        v(of.tensor(value)),
        options(given) {
    check();
  }

  Tensor run() {
    const std::size_t batch = q.rank() - 2;  // all axes but the last two
    std::vector<std::int64_t> shared(batch);
    std::iota(shared.begin(), shared.end(), 0);
    const Tensor queries = groups == 1 ? q : reshaped(q, grouped(q.dims()));
    const auto last = static_cast<std::int64_t>(queries.rank()) - 1, key_last = static_cast<std::int64_t>(k.rank()) - 1;
    const double scale = options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(q.dim(-1).value()));
    Tensor scores = dot_general(queries * scale, k, shared, shared, {last}, {key_last});  // [..., (group,) queries, keys]
    if (groups != 1) scores = reshaped(scores, full_dims());
    if (options.softcap > 0) scores = options.softcap * tanh(scores / options.softcap);

    Tensor seen = visible();
    if (options.mask.valid()) {
      const Tensor mask = options.mask;
      if (mask.dtype() == DType::boolean) {
        seen = seen.valid() ? logical_and(seen, mask) : mask;
      } else {
        scores = scores + of.tensor(mask);
        of.require_same_dims(scores, full, "the masked scores", "the scores");
        // A row of -inf sees nothing.
        const Tensor finite = not_equal(scores, -std::numeric_limits<double>::infinity());
        seen = seen.valid() ? logical_and(seen, finite) : finite;
      }
    }
    Tensor weights = seen.valid() ? masked_softmax(scores, broadcast_to(seen, scores.dims()), -1) : softmax(scores, -1);
    if (options.dropout > 0) weights = dropout(weights, options.dropout);
    if (groups != 1) weights = reshaped(weights, grouped(weights.dims()));
    const auto row = static_cast<std::int64_t>(weights.rank());
    const Tensor result = dot_general(weights, v, shared, shared, {row - 1}, {key_last - 1});
    if (groups == 1) return result;
    std::vector<Dim> dims;
    for (const Dim& dim : q.dims()) dims.push_back(dim);
    dims.back() = v.dim(-1);
    return reshaped(result, dims);
  }

 private:
  void check() {
    of.require_floating(q);
    const auto explain = [&](const char* what) {
      return fmt::format("q {}, k {} and v {}: {}", to_string(q), to_string(k), to_string(v), what);
    };
    const auto mismatch = [&](const char* what, const char* hint) { of.fail(ErrorCode::shape_mismatch, explain(what), hint); };
    const char* shapes = "q is [..., heads, queries, width], k [..., key heads, keys, width], v [..., key heads, keys, value width]";
    if (q.rank() < 2 || k.rank() != q.rank() || v.rank() != q.rank()) mismatch("the ranks do not fit together", shapes);
    const std::size_t rank = q.rank();
    const auto same = [&](const Tensor& a, const Tensor& b, std::size_t i) {
      return ir::equals(type_of(a).dims[i], type_of(b).dims[i]) == ir::Truth::yes;
    };
    for (std::size_t i = 0; i + 3 < rank; ++i)
      if (!same(q, k, i) || !same(k, v, i)) mismatch("the batch axes differ", shapes);
    if (!same(q, k, rank - 1)) mismatch("the widths of q and k differ", shapes);
    if (!same(k, v, rank - 2)) mismatch("there are not as many keys as values", shapes);
    if (rank >= 3) {
      if (!same(k, v, rank - 3)) mismatch("k and v have different heads", shapes);
      if (!same(q, k, rank - 3)) {
        const Dim heads = q.dim(-3), own = k.dim(-3);
        if (!heads.is_constant() || !own.is_constant() || own.value() == 0 || heads.value() % own.value() != 0)
          mismatch("the key heads do not divide the heads", "each key head serves as many heads");
        groups = heads.value() / own.value();
      }
    }
    of.require(options.dropout >= 0 && options.dropout < 1, fmt::format("dropout is {}", options.dropout), "0 <= dropout < 1");
    of.require(options.softcap >= 0, fmt::format("softcap is {}", options.softcap), "softcap > 0, or 0 for none");
    of.require(!options.window || *options.window > 0, "the window is empty",
               "a query sees at least the key at its own position: window >= 1");
    of.require(options.scale || q.dim(-1).is_constant(), fmt::format("the width of {} is symbolic", to_string(q)), "give the scale");
    full = of.full(DType::boolean, full_dims(), true);
    if (options.mask.valid() && options.mask.dtype() != DType::boolean && options.mask.dtype() != q.dtype())
      of.fail(ErrorCode::dtype_mismatch, fmt::format("the mask is {}, the scores {}", to_string(options.mask), name_of(q.dtype())),
              "a mask is bool, or has the dtype of q");
    if (options.mask.valid() && options.mask.dtype() == DType::boolean)
      of.require_same_dims(logical_and(full, options.mask), full, "the scores with their mask", "the scores");
  }

  /// [..., heads, queries, keys]
  Dims full_dims() const {
    Dims dims = q.dims();
    dims[q.rank() - 1] = k.dim(-2);
    return dims;
  }

  /// [..., heads, a, b] -> [..., key heads, group, a, b]
  Dims grouped(const Dims& dims) const {
    std::vector<Dim> split;
    for (std::size_t i = 0; i < dims.rank(); ++i) {
      if (i + 3 == dims.rank()) {
        split.push_back(dims[i].value() / groups);
        split.push_back(groups);
      } else {
        split.push_back(dims[i]);
      }
    }
    return split;
  }

  /// What positions and lengths let a query see; invalid when it is everything.
  Tensor visible() {
    const std::size_t rank = q.rank();
    const auto position = [&](std::size_t axis, const Dim& n) {
      std::vector<Dim> dims(rank, Dim(1));
      dims[axis] = n;
      return of.iota(i64, dims, static_cast<std::int64_t>(axis));
    };
    const Tensor key = position(rank - 1, k.dim(-2));
    Tensor query = position(rank - 2, q.dim(-2));
    if (!(options.query_offset == Dim(0))) query = query + of.count({options.query_offset}, {0}, i64);
    Tensor seen;
    const auto add = [&](const Tensor& condition) { seen = seen.valid() ? logical_and(seen, condition) : condition; };
    if (options.causal) add(less_equal(key, query));
    if (options.window) {
      add(less(query - key, *options.window));
      if (!options.causal) add(less(key - query, *options.window));
    }
    if (options.key_lengths.valid()) {
      const Tensor& lengths = options.key_lengths;
      of.require_integer(lengths, "the key lengths");
      const std::size_t batch = rank < 3 ? 0 : rank - 3;
      bool fits = lengths.rank() == batch;
      for (std::size_t i = 0; fits && i < batch; ++i) fits = ir::equals(type_of(lengths).dims[i], type_of(q).dims[i]) == ir::Truth::yes;
      if (!fits)
        of.fail(ErrorCode::shape_mismatch, fmt::format("the key lengths are {}, but q is {}", to_string(lengths), to_string(q)),
                "give one length per batch element: the axes before the heads");
      std::vector<Dim> dims(rank, Dim(1));
      for (std::size_t i = 0; i < batch; ++i) dims[i] = q.dims()[i];
      add(less(key, reshaped(convert(lengths, i64), dims)));
    }
    return seen;
  }

  Composite of;
  Tensor q, k, v, full;
  const AttentionOptions& options;
  std::int64_t groups = 1;
};

}  // namespace

Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v, const AttentionOptions& options) {
  return Attention(q, k, v, options).run();
}

Tensor split_heads(const Operand& operand, std::int64_t heads) {
  Composite of({&operand}, "split_heads");
  const Tensor x = of.tensor(operand);
  of.require_rank(x, 2, "a sequence", "x is [..., time, heads * width]");
  if (heads < 1 || !(x.dim(-1) % heads == Dim(0)))
    of.fail(ErrorCode::invalid_argument, fmt::format("the width of {} is not divided by {} heads", to_string(x), heads),
            "heads divide the width");
  std::vector<Dim> dims;
  for (const Dim& dim : x.dims()) dims.push_back(dim);
  dims.back() = heads;
  dims.push_back(x.dim(-1) / heads);
  const auto rank = static_cast<std::int64_t>(dims.size());
  return swap_axes(reshaped(x, dims), rank - 3, rank - 2);
}

Tensor merge_heads(const Operand& operand) {
  Composite of({&operand}, "merge_heads");
  const Tensor x = of.tensor(operand);
  of.require_rank(x, 3, "a sequence of heads", "x is [..., heads, time, width]");
  const auto rank = static_cast<std::int64_t>(x.rank());
  std::vector<Dim> dims;
  for (std::int64_t i = 0; i < rank - 3; ++i) dims.push_back(x.dim(i));
  dims.push_back(x.dim(-2));
  dims.push_back(x.dim(-3) * x.dim(-1));
  return reshaped(swap_axes(x, rank - 3, rank - 2), dims);
}

Tensor rotary_embedding(const Operand& operand, const RotaryOptions& options) {
  Composite of({&operand}, "rotary_embedding");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  of.require_rank(x, 2, "a sequence", "x is [..., time, width]");
  const Dim width = x.dim(-1);
  of.require(width.is_constant() && width.value() % 2 == 0, fmt::format("the width of {} is not an even number", to_string(x)),
             "elements are turned in pairs");
  of.require(options.base > 0, fmt::format("the base is {}", options.base), "base > 0");
  const std::int64_t half = width.value() / 2;
  const std::size_t rank = x.rank();
  const DType compute = x.dtype() == f64 ? f64 : f32;

  // Angles [..., time, half], with axes of extent 1 before.
  Tensor position;
  std::vector<Dim> dims(rank, Dim(1));
  dims[rank - 2] = x.dim(-2);
  if (options.positions.valid()) {
    of.require_integer(options.positions, "the positions");
    const Tensor& given = options.positions;
    bool fits = (given.rank() == 1 || (given.rank() == 2 && rank >= 3)) && given.dim(-1) == x.dim(-2);
    if (fits && given.rank() == 2) {
      fits = given.dim(0) == x.dim(0);
      dims[0] = x.dim(0);
    }
    if (!fits)
      of.fail(ErrorCode::shape_mismatch, fmt::format("the positions are {}, but the tensor is {}", to_string(given), to_string(x)),
              "positions are [time], or [batch, time] with x's first axis");
    position = reshaped(convert(given, compute), dims);
  } else {
    position = of.iota(i64, dims, static_cast<std::int64_t>(rank) - 2);
    if (!(options.offset == Dim(0))) position = position + of.count({options.offset}, {0}, i64);
    position = convert(position, compute);
  }
  std::vector<double> frequencies(static_cast<std::size_t>(half));
  for (std::int64_t i = 0; i < half; ++i)
    frequencies[static_cast<std::size_t>(i)] = std::pow(options.base, -2.0 * static_cast<double>(i) / static_cast<double>(width.value()));
  const Tensor angle =
      position * along(of.graph().constant(Array(Shape{half}, frequencies).convert(compute)), static_cast<std::int64_t>(rank) - 1, rank);
  const Tensor c = convert(cos(angle), x.dtype()), s = convert(sin(angle), x.dtype());

  const auto part = [&](std::int64_t start, std::int64_t limit, std::int64_t stride) {
    Dims starts(std::vector<Dim>(rank, Dim(0))), limits = x.dims();
    std::vector<std::int64_t> strides(rank, 1);
    starts[rank - 1] = start;
    limits[rank - 1] = limit;
    strides[rank - 1] = stride;
    return slice(x, starts, limits, strides);
  };
  if (!options.interleaved) {
    const Tensor a = part(0, half, 1), b = part(half, 2 * half, 1);
    return concatenate({a * c - b * s, b * c + a * s}, -1);
  }
  const Tensor a = part(0, 2 * half, 2), b = part(1, 2 * half, 2);
  return reshaped(stack({a * c - b * s, b * c + a * s}, -1), x.dims());
}

Tensor alibi_bias(Graph& graph, DType dtype, std::int64_t heads, const Dim& queries, const Dim& keys, const Dim& query_offset,
                  std::source_location location) {
  Composite of(graph, "alibi_bias", location);
  of.require(heads >= 1, fmt::format("there are {} heads", heads), "heads >= 1");
  of.require(is_floating(dtype), fmt::format("there are no biases of dtype {}", name_of(dtype)), "use f32");
  std::vector<double> slopes;
  const auto add = [&](std::int64_t of_heads, std::int64_t first, std::int64_t stride) {
    for (std::int64_t i = first; i <= of_heads && static_cast<std::int64_t>(slopes.size()) < heads; i += stride)
      slopes.push_back(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(of_heads)));
  };
  std::int64_t power = 1;
  while (power * 2 <= heads) power *= 2;
  add(power, 1, 1);
  add(power * 2, 1, 2);
  const Tensor key = of.iota(i64, {1, 1, keys}, 2);
  Tensor query = of.iota(i64, {1, queries, 1}, 1);
  if (!(query_offset == Dim(0))) query = query + of.count({query_offset}, {0}, i64);
  const Tensor slope = of.graph().constant(Array(Shape{heads, 1, 1}, slopes).convert(dtype));
  return -slope * convert(abs(query - key), dtype);
}

Tensor sinusoidal_positions(Graph& graph, DType dtype, const Dim& time, std::int64_t width, double base, std::source_location location) {
  Composite of(graph, "sinusoidal_positions", location);
  of.require(width >= 1, fmt::format("the width is {}", width), "width >= 1");
  of.require(is_floating(dtype), fmt::format("there are no positions of dtype {}", name_of(dtype)), "use f32");
  const DType compute = dtype == f64 ? f64 : f32;
  std::vector<double> frequencies(static_cast<std::size_t>(width));
  for (std::int64_t i = 0; i < width; ++i)
    frequencies[static_cast<std::size_t>(i)] = std::pow(base, -static_cast<double>(i - i % 2) / static_cast<double>(width));
  const Tensor angle = of.iota(compute, {time, 1}, 0) * of.graph().constant(Array(Shape{1, width}, frequencies).convert(compute));
  const Tensor even = equal(of.iota(i64, {1, width}, 1) % 2, 0);
  return convert(select(even, sin(angle), cos(angle)), dtype);
}

}  // namespace kiln
