// Bounds of Dims, and the comparisons that follow from them.
//
// Interval arithmetic over single terms is cheap and exact for linear expressions in symbols, but blind to terms that depend on each other:
// n - min(n, m) and ceildiv(10*n, 64) - ceildiv(n, 64) come out unbounded. `refined_minimum` therefore replaces one function at a time by
// something linear that is smaller for every value of the symbols, and takes the interval bound of the result:
//   + floordiv(p, k) >= (p - k + 1) / k     (multiplied through by k; the bound is rounded up at the end, as values are integers)
//   - floordiv(p, k) >= -p / k
//   - mod(p, k)      >= -p                  when p >= 0
//   + min(p, q): the smaller of the bounds with p and with q in its place; - min(p, q): the larger; max the other way round
// and at the end shifts symbols by their lower bounds, s = s' + s.min, which shows n*m - n >= 0 for n, m >= 1.
#include <algorithm>
#include <numeric>

#include "ir/dim_detail.h"

namespace kiln::ir {

namespace detail {

namespace {

constexpr std::int64_t lowest = INT64_MIN, highest = INT64_MAX;  // in an Interval: unbounded
constexpr int refinement_budget = 6;  // nested replacements; min and max branch, so at most 2^6 interval evaluations

/// Sum and product that saturate. The end given as `infinity` absorbs; in a product both do.
std::int64_t saturating_add(std::int64_t a, std::int64_t b, std::int64_t infinity) {
  if (a == infinity || b == infinity) return infinity;
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? lowest : highest) : sum;
}

std::int64_t saturating_multiply(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  const bool negative = (a < 0) != (b < 0);
  std::int64_t product = 0;
  if (a == lowest || a == highest || b == lowest || b == highest || __builtin_mul_overflow(a, b, &product))
    return negative ? lowest : highest;
  return product;
}

struct Occurrence {
  const Term* term = nullptr;
  const Atom* atom = nullptr;
};

/// The first function atom that stands alone in power one.
Occurrence first_function(const Dim& a) {
  for (const Term& term : terms_of(a))
    for (const auto& [atom, power] : term.monomial->factors)
      if (atom->kind != DimAtom::Kind::symbol && power == 1) return {&term, atom.get()};
  return {};
}

/// `a` with symbols of known positive lower bound written as that bound plus something >= 0.
Dim shifted(const Dim& a) {
  return substitute(a, [](const SymbolInfo& info) -> std::optional<Dim> {
    if (info.min <= 0 || info.min == highest) return std::nullopt;
    auto rest = std::make_shared<SymbolInfo>();
    rest->name = info.name;
    rest->max = info.max == highest ? highest : info.max - info.min;
    return Dim::symbol(std::shared_ptr<const SymbolInfo>(std::move(rest))) + Dim(info.min);
  });
}

bool is_nonlinear(const Dim& a) {
  return std::ranges::any_of(terms_of(a), [](const Term& term) { return term.monomial->degree > 1; });
}

/// A lower bound of `a`; stops early once it is at least `enough`. May throw on overflow.
std::int64_t refined_minimum(const Dim& a, std::int64_t enough, int budget) {
  std::int64_t best = term_bounds(a).min;
  if (best >= enough || budget == 0) return best;
  const Occurrence found = first_function(a);
  if (!found.atom) return is_nonlinear(a) ? std::max(best, term_bounds(shifted(a)).min) : best;

  const Atom& atom = *found.atom;
  const Dim &p = *atom.a, &q = *atom.b;
  const Dim factor = without_factor(found.term->coefficient, *found.term->monomial, atom);
  const Interval sign = term_bounds(factor);
  const Dim rest = a - from_term(found.term->coefficient, found.term->monomial);
  const auto minimum = [&](const Dim& replaced, std::int64_t wanted) { return refined_minimum(replaced, wanted, budget - 1); };

  switch (atom.kind) {
    case DimAtom::Kind::floordiv:
      if (q.is_constant() && (sign.min >= 0 || sign.max <= 0)) {
        const std::int64_t k = q.constant();
        const Dim bound = sign.min >= 0 ? p - Dim(k - 1) : p;
        const std::int64_t scaled = minimum(rest * q + factor * bound, saturating_multiply(enough, k));
        // The scaled bound, rounded up after division by k.
        if (scaled != lowest) best = std::max(best, scaled == highest ? highest : -floor_quotient(-scaled, k));
      } else if (sign.max <= 0 && term_bounds(p).min >= 0) {
        best = std::max(best, minimum(rest + factor * p, enough));
      }
      break;
    case DimAtom::Kind::mod:
      if (sign.max <= 0 && term_bounds(p).min >= 0) best = std::max(best, minimum(rest + factor * p, enough));
      break;
    default: {
      const std::int64_t with_p = minimum(rest + factor * p, enough), with_q = minimum(rest + factor * q, enough);
      const bool largest = atom.kind == DimAtom::Kind::max ? sign.min >= 0 : sign.max <= 0;
      best = std::max(best, largest ? std::max(with_p, with_q) : std::min(with_p, with_q));
      break;
    }
  }
  return best;
}

bool worth_refining(const Dim& a) { return first_function(a).atom || is_nonlinear(a); }

/// The least value >= `bound` that `a` can have: all its values are equal modulo the divisor of its symbolic part.
std::int64_t rounded_up(std::int64_t bound, const Dim& a) {
  const std::int64_t divisor = known_divisor(a - Dim(a.constant_term()));
  if (divisor <= 1 || bound == lowest || bound == highest) return bound;
  const std::int64_t remainder = floor_remainder(bound, divisor), wanted = floor_remainder(a.constant_term(), divisor);
  return saturating_add(bound, wanted >= remainder ? wanted - remainder : wanted - remainder + divisor, lowest);
}

/// Lower bound, refined as far as `enough` asks for.
std::int64_t lower_bound(const Dim& a, std::int64_t enough) {
  const std::int64_t plain = term_bounds(a).min;
  if (plain >= enough || a.is_constant()) return plain;
  try {
    return rounded_up(worth_refining(a) ? refined_minimum(a, enough, refinement_budget) : plain, a);
  } catch (const Error&) {
    return plain;  // the bound's own arithmetic overflowed
  }
}

std::int64_t upper_bound(const Dim& a, std::int64_t enough) {
  const std::int64_t plain = term_bounds(a).max;
  if (plain <= enough || a.is_constant()) return plain;
  try {
    const Dim negated = -a;
    const std::int64_t wanted = enough == lowest ? highest : -enough;
    const std::int64_t bound =
        rounded_up(worth_refining(a) ? refined_minimum(negated, wanted, refinement_budget) : term_bounds(negated).min, negated);
    return std::min(plain, bound == lowest ? highest : -bound);
  } catch (const Error&) {
    return plain;
  }
}

std::optional<Dim> difference(const Dim& a, const Dim& b) {
  try {
    return a - b;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

Interval add(Interval a, Interval b) { return {saturating_add(a.min, b.min, lowest), saturating_add(a.max, b.max, highest)}; }

Interval multiply(Interval a, Interval b) {
  const std::int64_t products[] = {saturating_multiply(a.min, b.min), saturating_multiply(a.min, b.max), saturating_multiply(a.max, b.min),
                                   saturating_multiply(a.max, b.max)};
  const auto [least, greatest] = std::minmax_element(std::begin(products), std::end(products));
  return {*least, *greatest};
}

Interval scale(Interval a, std::int64_t factor) { return multiply(a, {factor, factor}); }

Interval term_bounds(const Dim& a) {
  Interval sum{a.constant_term(), a.constant_term()};
  for (const Term& term : terms_of(a)) sum = add(sum, scale(term.monomial->bounds, term.coefficient));
  return sum;
}

Interval function_bounds(DimAtom::Kind kind, const Dim& a, const Dim& b) {
  const Interval x = bounds(a), y = bounds(b);
  switch (kind) {
    case DimAtom::Kind::min: return {std::min(x.min, y.min), std::min(x.max, y.max)};
    case DimAtom::Kind::max: return {std::max(x.min, y.min), std::max(x.max, y.max)};
    case DimAtom::Kind::floordiv: {
      // Towards zero with growing divisor, which is at least 1.
      const std::int64_t small = std::max<std::int64_t>(y.min, 1), large = std::max(y.max, small);
      const auto quotient = [](std::int64_t numerator, std::int64_t divisor) {
        if (numerator == lowest || numerator == highest) return numerator;
        return divisor == highest ? (numerator < 0 ? std::int64_t{-1} : std::int64_t{0}) : floor_quotient(numerator, divisor);
      };
      return {quotient(x.min, x.min < 0 ? small : large), quotient(x.max, x.max < 0 ? large : small)};
    }
    default: {
      Interval result{0, y.max == highest ? highest : std::max<std::int64_t>(y.max, 1) - 1};
      if (x.min >= 0) result.max = std::min(result.max, x.max);
      return result;
    }
  }
}

}  // namespace detail

Interval bounds(const Dim& a) { return {detail::lower_bound(a, detail::highest), detail::upper_bound(a, detail::lowest)}; }

std::int64_t known_divisor(const Dim& a) {
  std::int64_t divisor = a.constant_term() == INT64_MIN ? 1 : a.constant_term();
  for (const detail::Term& term : detail::terms_of(a)) {
    std::int64_t factor = 0;
    if (term.coefficient == INT64_MIN || __builtin_mul_overflow(term.coefficient, term.monomial->divisor, &factor))
      factor = term.monomial->divisor;
    divisor = std::gcd(divisor, factor);
  }
  return divisor < 0 ? -divisor : divisor;
}

Truth less_equal(const Dim& a, const Dim& b) {
  const auto gap = detail::difference(b, a);
  if (!gap) return Truth::unknown;
  if (detail::lower_bound(*gap, 0) >= 0) return Truth::yes;
  if (detail::upper_bound(*gap, -1) < 0) return Truth::no;
  return Truth::unknown;
}

Truth less(const Dim& a, const Dim& b) {
  const Truth reverse = less_equal(b, a);
  return reverse == Truth::yes ? Truth::no : reverse == Truth::no ? Truth::yes : Truth::unknown;
}

Truth equals(const Dim& a, const Dim& b) {
  if (a == b) return Truth::yes;
  const auto gap = detail::difference(a, b);
  if (!gap) return Truth::unknown;
  if (gap->is_constant()) return gap->constant() == 0 ? Truth::yes : Truth::no;
  const std::int64_t least = detail::lower_bound(*gap, 1), greatest = detail::upper_bound(*gap, -1);
  if (least > 0 || greatest < 0) return Truth::no;
  if (least == 0 && greatest == 0) return Truth::yes;
  // Every value of the symbolic part is a multiple of its divisor.
  const std::int64_t divisor = known_divisor(*gap - Dim(gap->constant_term()));
  if (divisor > 1 && gap->constant_term() % divisor != 0) return Truth::no;
  return Truth::unknown;
}

}  // namespace kiln::ir
