// floordiv, mod, min and max of Dims, simplified as far as the operands' coefficients and bounds allow.
//
// Division by a constant b writes the numerator as b*q + r, where q takes all terms whose coefficients b divides, and the constant's whole
// multiples:
//   floordiv(b*q + r, b) = q + floordiv(r, b),     mod(b*q + r, b) = mod(r, b)
// and then tries, on r:
//   - r between k*b and (k+1)*b - 1 for all values of the symbols: the quotient is k;
//   - for a common factor g of b and of some of r's terms, r = g*s + t with 0 <= t < g: floordiv(r, b) = floordiv(s, b/g), mod(r, b) =
//   g*mod(s, b/g) + t;
//   - nested functions: floordiv(floordiv(x, k) + c, b) = floordiv(x + c*k, k*b); mod(x, k) inside mod b is x when b divides k;
//     floordiv(mod(x, k), b) = mod(floordiv(x, b), k/b) when b divides k.
// These are the rewrites that undo a row-major flattening: floordiv(100*i + j, 100) = i and mod(100*i + j, 100) = j for 0 <= j < 100.
#include <algorithm>
#include <numeric>
#include <set>

#include "ir/dim_detail.h"

namespace kiln::ir {

namespace {

using detail::Term;
using Kind = DimAtom::Kind;

struct Split {
  Dim multiple;  ///< of the divisor, divided by it
  Dim rest;
};

/// Terms and whole multiples of the constant that `divisor` divides, and the others; the rest's constant is in [0, divisor).
Split split_multiples(const Dim& a, std::int64_t divisor) {
  std::vector<Term> multiple, rest;
  for (const Term& term : detail::terms_of(a)) {
    if (term.coefficient % divisor == 0)
      multiple.push_back({term.coefficient / divisor, term.monomial});
    else
      rest.push_back(term);
  }
  return {detail::from_terms(std::move(multiple), detail::floor_quotient(a.constant_term(), divisor)),
          detail::from_terms(std::move(rest), detail::floor_remainder(a.constant_term(), divisor))};
}

/// A factor g > 1 of `divisor` for which r = g*multiple + rest with 0 <= rest < g, if there is one; g = 1 otherwise.
std::int64_t common_factor(const Dim& r, std::int64_t divisor, Split& split) {
  std::set<std::int64_t, std::greater<>> candidates;
  for (const Term& term : detail::terms_of(r))
    if (term.coefficient != INT64_MIN) candidates.insert(std::gcd(term.coefficient, divisor));
  for (const std::int64_t g : candidates) {
    if (g <= 1) break;
    split = split_multiples(r, g);
    const Interval range = bounds(split.rest);
    if (range.min >= 0 && range.max < g) return g;
  }
  return 1;
}

/// The quotient when it is the same for all values of the symbols.
std::optional<std::int64_t> constant_quotient(const Dim& r, std::int64_t divisor) {
  const Interval range = bounds(r);
  if (range.min == INT64_MIN || range.max == INT64_MAX) return std::nullopt;
  const std::int64_t quotient = detail::floor_quotient(range.min, divisor);
  if (quotient != detail::floor_quotient(range.max, divisor)) return std::nullopt;
  return quotient;
}

/// x when the Dim is kind(x, k) + constant with a constant k.
const detail::Atom* function_plus_constant(const Dim& a, Kind kind) {
  const auto terms = detail::terms_of(a);
  if (terms.size() != 1 || terms[0].coefficient != 1 || terms[0].monomial->degree != 1) return nullptr;
  const detail::Atom* atom = terms[0].monomial->factors[0].first.get();
  return atom->kind == kind && atom->b->is_constant() ? atom : nullptr;
}

/// The quotient of the polynomials when the division leaves nothing. `b` is known to be positive wherever the result is used.
std::optional<Dim> exact_quotient(const Dim& a, const Dim& b) {
  const auto leading = detail::terms_of(b);
  Dim quotient = 0, rest = a;
  // Each step removes the leading term of the rest, so the steps of a division without remainder are the terms of the quotient.
  for (int steps = 0; steps < 64 && !rest.is_constant(); ++steps) {
    const Term head = detail::terms_of(rest)[0];
    if (head.coefficient == INT64_MIN || head.coefficient % leading[0].coefficient != 0) return std::nullopt;
    Dim ratio = detail::from_term(head.coefficient / leading[0].coefficient, head.monomial);
    for (const auto& [divisor, power] : leading[0].monomial->factors)
      for (int i = 0; i < power; ++i) {
        const auto terms = detail::terms_of(ratio);
        const detail::Atom* factor = nullptr;
        if (!terms.empty())
          for (const auto& [atom, unused] : terms[0].monomial->factors)
            if (detail::compare(*atom, *divisor) == 0) factor = atom.get();
        if (!factor) return std::nullopt;
        ratio = detail::without_factor(terms[0].coefficient, *terms[0].monomial, *factor);
      }
    quotient += ratio;
    rest -= ratio * b;
  }
  if (rest.is_constant(0)) return quotient;
  return std::nullopt;
}

/// The terms of `a` that the single-term symbolic divisor `b` divides, and the others.
Split split_symbolic(const Dim& a, const Dim& b) {
  Split split{0, a.constant_term()};
  for (const Term& term : detail::terms_of(a)) {
    const Dim part = detail::from_term(term.coefficient, term.monomial);
    if (const auto quotient = exact_quotient(part, b))
      split.multiple += *quotient;
    else
      split.rest += part;
  }
  return split;
}

Dim floordiv_by_constant(const Dim& a, std::int64_t divisor) {
  internal_check(divisor > 0, "floordiv by a number that is not positive");
  if (divisor == 1) return a;
  if (a.is_constant()) return detail::floor_quotient(a.constant(), divisor);
  const auto [multiple, r] = split_multiples(a, divisor);
  if (const auto quotient = constant_quotient(r, divisor)) return multiple + Dim(*quotient);
  Split split;
  if (const std::int64_t g = common_factor(r, divisor, split); g > 1) return multiple + floordiv_by_constant(split.multiple, divisor / g);
  if (const detail::Atom* inner = function_plus_constant(r, Kind::floordiv)) {
    const std::int64_t k = inner->b->constant();
    std::int64_t product = 0, offset = 0;
    if (!__builtin_mul_overflow(k, divisor, &product) && !__builtin_mul_overflow(r.constant_term(), k, &offset))
      return multiple + floordiv_by_constant(*inner->a + Dim(offset), product);
  }
  if (const detail::Atom* inner = function_plus_constant(r, Kind::mod);
      inner && r.constant_term() == 0 && inner->b->constant() % divisor == 0)
    return multiple + mod(floordiv_by_constant(*inner->a, divisor), inner->b->constant() / divisor);
  return multiple + detail::from_function(Kind::floordiv, r, divisor);
}

/// `r` with every term c*mod(x, k) replaced by c*x where `divisor` divides k.
Dim without_inner_mods(const Dim& r, std::int64_t divisor) {
  Dim result = r.constant_term();
  for (const Term& term : detail::terms_of(r)) {
    const detail::Atom* atom = term.monomial->degree == 1 ? term.monomial->factors[0].first.get() : nullptr;
    if (atom && atom->kind == Kind::mod && atom->b->is_constant() && atom->b->constant() % divisor == 0)
      result += Dim(term.coefficient) * *atom->a;
    else
      result += detail::from_term(term.coefficient, term.monomial);
  }
  return result;
}

Dim mod_by_constant(const Dim& a, std::int64_t divisor) {
  internal_check(divisor > 0, "mod by a number that is not positive");
  if (divisor == 1) return 0;
  if (a.is_constant()) return detail::floor_remainder(a.constant(), divisor);
  Dim r = split_multiples(a, divisor).rest;
  if (const auto quotient = constant_quotient(r, divisor)) return r - Dim(*quotient) * Dim(divisor);
  if (const Dim inner = without_inner_mods(r, divisor); inner != r) return mod_by_constant(inner, divisor);
  // Terms that are multiples of the divisor by what is known of their symbols.
  std::vector<Term> kept;
  for (const Term& term : detail::terms_of(r))
    if (known_divisor(detail::from_term(term.coefficient, term.monomial)) % divisor != 0) kept.push_back(term);
  if (kept.size() != detail::terms_of(r).size()) return mod_by_constant(detail::from_terms(std::move(kept), r.constant_term()), divisor);
  Split split;
  if (const std::int64_t g = common_factor(r, divisor, split); g > 1)
    return Dim(g) * mod_by_constant(split.multiple, divisor / g) + split.rest;
  return detail::from_function(Kind::mod, r, divisor);
}

void collect(const Dim& a, Kind kind, std::vector<Dim>& operands) {
  const detail::Atom* atom = detail::as_atom(a);
  if (atom && atom->kind == kind) {
    collect(*atom->a, kind, operands);
    collect(*atom->b, kind, operands);
  } else {
    operands.push_back(a);
  }
}

/// min and max: flattened, without operands that another one makes redundant, in canonical order.
Dim extremum(Kind kind, const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant())
    return kind == Kind::min ? std::min(a.constant(), b.constant()) : std::max(a.constant(), b.constant());
  std::vector<Dim> operands, kept;
  collect(a, kind, operands);
  collect(b, kind, operands);
  for (const Dim& candidate : operands) {
    const auto wins = [&](const Dim& x, const Dim& y) { return (kind == Kind::min ? less_equal(x, y) : less_equal(y, x)) == Truth::yes; };
    if (std::ranges::any_of(kept, [&](const Dim& other) { return wins(other, candidate); })) continue;
    std::erase_if(kept, [&](const Dim& other) { return wins(candidate, other); });
    kept.push_back(candidate);
  }
  std::ranges::sort(kept, [](const Dim& x, const Dim& y) { return structurally_less(x, y); });
  Dim result = kept[0];
  for (std::size_t i = 1; i < kept.size(); ++i) result = detail::from_function(kind, std::move(result), kept[i]);
  return result;
}

}  // namespace

Dim floordiv(const Dim& a, const Dim& b) {
  if (b.is_constant()) return floordiv_by_constant(a, b.constant());
  if (const auto quotient = exact_quotient(a, b)) return *quotient;
  const Split split = detail::terms_of(b).size() == 1 && b.constant_term() == 0 ? split_symbolic(a, b) : Split{0, a};
  const Interval range = bounds(split.rest);
  if (range.min >= 0 && less(split.rest, b) == Truth::yes) return split.multiple;
  return split.multiple + detail::from_function(Kind::floordiv, split.rest, b);
}

Dim mod(const Dim& a, const Dim& b) {
  if (b.is_constant()) return mod_by_constant(a, b.constant());
  if (exact_quotient(a, b)) return 0;
  const Split split = detail::terms_of(b).size() == 1 && b.constant_term() == 0 ? split_symbolic(a, b) : Split{0, a};
  if (bounds(split.rest).min >= 0 && less(split.rest, b) == Truth::yes) return split.rest;
  return detail::from_function(Kind::mod, split.rest, b);
}

Dim ceildiv(const Dim& a, const Dim& b) { return floordiv(a + b - Dim(1), b); }
Dim min(const Dim& a, const Dim& b) { return extremum(Kind::min, a, b); }
Dim max(const Dim& a, const Dim& b) { return extremum(Kind::max, a, b); }

}  // namespace kiln::ir
