// Dims as polynomials: construction, arithmetic, comparison of normal forms, taking apart. Simplification of floordiv, mod, min and max is
// in dim_functions.cpp, bounds and what follows from them in dim_bounds.cpp, text in dim_text.cpp.
#include "ir/dim.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_set>

#include "ir/dim_detail.h"

namespace kiln::ir {

namespace detail {

namespace {

std::size_t mix(std::size_t seed, std::size_t value) {
  seed ^= value + 0x9E3779B97F4A7C15ull + (seed << 6) + (seed >> 2);
  return seed * 0xFF51AFD7ED558CCDull;
}

int compare(std::int64_t a, std::int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

int compare_names(const std::string& a, const std::string& b) {
  const bool tile_a = !a.empty() && a[0] == '$', tile_b = !b.empty() && b[0] == '$';
  if (tile_a != tile_b) return tile_a ? 1 : -1;
  return a.compare(b);
}

MonomialPtr make_monomial(std::vector<std::pair<AtomPtr, int>> factors) {
  auto monomial = std::make_shared<Monomial>();
  Interval bounds{1, 1};
  for (const auto& [atom, power] : factors) {
    monomial->degree += power;
    monomial->hash = mix(mix(monomial->hash, atom->hash), static_cast<std::size_t>(power));
    for (int i = 0; i < power; ++i) {
      bounds = multiply(bounds, atom->bounds);
      std::int64_t divisor = 0;
      // A divisor that no longer fits is of no use to anyone; any factor of it is still true.
      if (!__builtin_mul_overflow(monomial->divisor, atom->divisor, &divisor)) monomial->divisor = divisor;
    }
  }
  if (monomial->degree > max_depth) throw_too_large();
  monomial->bounds = bounds;
  monomial->factors = std::move(factors);
  return monomial;
}

MonomialPtr multiply_monomials(const Monomial& a, const Monomial& b) {
  std::vector<std::pair<AtomPtr, int>> factors;
  factors.reserve(a.factors.size() + b.factors.size());
  auto i = a.factors.begin(), j = b.factors.begin();
  while (i != a.factors.end() || j != b.factors.end()) {
    const int order = i == a.factors.end() ? 1 : j == b.factors.end() ? -1 : detail::compare(*i->first, *j->first);
    if (order < 0)
      factors.push_back(*i++);
    else if (order > 0)
      factors.push_back(*j++);
    else {
      factors.emplace_back(i->first, i->second + j->second);
      ++i, ++j;
    }
  }
  return make_monomial(std::move(factors));
}

}  // namespace

void throw_overflow() { throw Error(ErrorCode::out_of_memory, "size overflows: an extent or a number of bytes does not fit in 64 bits"); }

void throw_too_large() {
  throw Error(ErrorCode::unsupported, "size expression is too large", {},
              "give the intermediate extents names of their own: fewer, larger symbols");
}

std::int64_t checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) throw_overflow();
  return sum;
}

std::int64_t checked_multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw_overflow();
  return product;
}

int compare(const Atom& a, const Atom& b) {
  if (&a == &b) return 0;
  if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
  if (a.kind == DimAtom::Kind::symbol) return a.symbol == b.symbol ? 0 : compare_names(a.symbol->name, b.symbol->name);
  if (const int order = compare(*a.a, *b.a)) return order;
  return compare(*a.b, *b.b);
}

int compare(const Monomial& a, const Monomial& b) {
  if (&a == &b) return 0;
  if (a.degree != b.degree) return a.degree > b.degree ? -1 : 1;
  const std::size_t n = std::min(a.factors.size(), b.factors.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (const int order = compare(*a.factors[i].first, *b.factors[i].first)) return order;
    if (a.factors[i].second != b.factors[i].second) return a.factors[i].second > b.factors[i].second ? -1 : 1;
  }
  return 0;  // equal degree, equal common part: equal
}

int compare(const Dim& a, const Dim& b) {
  if (a.expr() != b.expr()) {
    const auto ta = terms_of(a), tb = terms_of(b);
    for (std::size_t i = 0; i < std::min(ta.size(), tb.size()); ++i) {
      if (const int order = compare(*ta[i].monomial, *tb[i].monomial)) return order;
      if (const int order = compare(ta[i].coefficient, tb[i].coefficient)) return order;
    }
    if (ta.size() != tb.size()) return ta.size() > tb.size() ? -1 : 1;  // constants last
  }
  return compare(a.constant_term(), b.constant_term());
}

std::span<const Term> terms_of(const Dim& a) { return a.expr() ? std::span<const Term>(a.expr()->terms) : std::span<const Term>(); }

Dim from_terms(std::vector<Term> terms, std::int64_t constant) {
  if (terms.empty()) return constant;
  if (terms.size() > max_terms) throw_too_large();
  auto expr = std::make_shared<Dim::Expr>();
  for (const Term& term : terms) expr->hash = mix(mix(expr->hash, term.monomial->hash), static_cast<std::size_t>(term.coefficient));
  expr->terms = std::move(terms);
  return Dim(std::shared_ptr<const Dim::Expr>(std::move(expr))) + Dim(constant);
}

Dim from_term(std::int64_t coefficient, const MonomialPtr& monomial) {
  if (coefficient == 0) return 0;
  if (monomial->factors.empty()) return coefficient;
  return from_terms({{coefficient, monomial}}, 0);
}

Dim from_atom(const AtomPtr& atom) { return from_term(1, make_monomial({{atom, 1}})); }

Dim from_function(DimAtom::Kind kind, Dim a, Dim b) {
  auto atom = std::make_shared<Atom>();
  atom->kind = kind;
  atom->hash = mix(mix(static_cast<std::size_t>(kind) + 77, a.hash()), b.hash());
  atom->bounds = function_bounds(kind, a, b);
  for (const Dim* operand : {&a, &b})
    for (const Term& term : terms_of(*operand))
      for (const auto& [inner, power] : term.monomial->factors) {
        atom->depth = std::max(atom->depth, inner->depth + 1);
        atom->weight += inner->weight;
        if (atom->depth > max_depth || atom->weight > max_weight) throw_too_large();
      }
  const std::int64_t da = known_divisor(a), db = known_divisor(b);
  if (kind == DimAtom::Kind::floordiv)
    atom->divisor = b.is_constant() && da % b.constant() == 0 ? da / b.constant() : 1;
  else
    atom->divisor = std::gcd(da, db);
  if (atom->divisor == 0) atom->divisor = 1;
  atom->a = std::make_shared<const Dim>(std::move(a));
  atom->b = std::make_shared<const Dim>(std::move(b));
  return from_atom(atom);
}

const Atom* as_atom(const Dim& a) {
  const auto terms = terms_of(a);
  if (terms.size() != 1 || a.constant_term() != 0 || terms[0].coefficient != 1 || terms[0].monomial->degree != 1) return nullptr;
  return terms[0].monomial->factors[0].first.get();
}

Dim without_factor(std::int64_t coefficient, const Monomial& monomial, const Atom& atom) {
  auto factors = monomial.factors;
  for (auto i = factors.begin(); i != factors.end(); ++i)
    if (i->first.get() == &atom) {
      if (--i->second == 0) factors.erase(i);
      return from_term(coefficient, make_monomial(std::move(factors)));
    }
  throw InternalError("without_factor: the monomial lacks the atom");
}

}  // namespace detail

using detail::Term;

Dim::Dim(std::shared_ptr<const Expr> expr) : expr_(std::move(expr)) {}

Dim Dim::symbol(std::string_view name) {
  auto info = std::make_shared<SymbolInfo>();
  info->name = name;
  return symbol(std::shared_ptr<const SymbolInfo>(std::move(info)));
}

Dim Dim::symbol(std::shared_ptr<const SymbolInfo> info) {
  auto atom = std::make_shared<detail::Atom>();
  atom->kind = DimAtom::Kind::symbol;
  atom->hash = std::hash<std::string>{}(info->name);
  atom->bounds = {info->min, info->max};
  atom->divisor = std::max<std::int64_t>(info->multiple_of, 1);
  atom->symbol = std::move(info);
  return detail::from_atom(atom);
}

std::int64_t Dim::constant() const {
  if (expr_) throw InternalError("constant() of the symbolic dim " + to_string(*this));
  return constant_;
}

const SymbolInfo* Dim::symbol_info() const {
  const detail::Atom* atom = detail::as_atom(*this);
  return atom && atom->kind == DimAtom::Kind::symbol ? atom->symbol.get() : nullptr;
}

std::optional<std::string_view> Dim::as_symbol() const {
  if (const SymbolInfo* info = symbol_info()) return info->name;
  return std::nullopt;
}

std::size_t Dim::hash() const { return detail::mix(static_cast<std::size_t>(constant_), expr_ ? expr_->hash : 0); }

Dim operator+(const Dim& a, const Dim& b) {
  const std::int64_t constant = detail::checked_add(a.constant_, b.constant_);
  if (!a.expr_ || !b.expr_) {
    Dim sum = a.expr_ ? a : b;
    sum.constant_ = constant;
    return sum;
  }
  std::vector<Term> merged;
  const auto &ta = a.expr_->terms, &tb = b.expr_->terms;
  merged.reserve(ta.size() + tb.size());
  auto i = ta.begin(), j = tb.begin();
  while (i != ta.end() || j != tb.end()) {
    const int order = i == ta.end() ? 1 : j == tb.end() ? -1 : detail::compare(*i->monomial, *j->monomial);
    if (order < 0)
      merged.push_back(*i++);
    else if (order > 0)
      merged.push_back(*j++);
    else {
      const std::int64_t coefficient = detail::checked_add(i->coefficient, j->coefficient);
      if (coefficient != 0) merged.push_back({coefficient, i->monomial});
      ++i, ++j;
    }
  }
  return detail::from_terms(std::move(merged), constant);
}

Dim Dim::operator-() const { return *this * Dim(-1); }

Dim operator-(const Dim& a, const Dim& b) {
  if (!b.expr_ && b.constant_ != INT64_MIN) return a + Dim(-b.constant_);
  return a + -b;
}

Dim operator*(const Dim& a, const Dim& b) {
  if (!a.expr_ || !b.expr_) {
    const Dim& symbolic = a.expr_ ? a : b;
    const std::int64_t factor = a.expr_ ? b.constant_ : a.constant_;
    if (factor == 0) return 0;
    if (factor == 1) return symbolic;
    const std::int64_t constant = detail::checked_multiply(symbolic.constant_, factor);
    if (!symbolic.expr_) return constant;
    std::vector<Term> scaled = symbolic.expr_->terms;
    for (Term& term : scaled) term.coefficient = detail::checked_multiply(term.coefficient, factor);
    return detail::from_terms(std::move(scaled), constant);
  }
  if ((a.expr_->terms.size() + 1) * (b.expr_->terms.size() + 1) > 16 * detail::max_terms) detail::throw_too_large();
  // (A + c)(B + d) = AB + dA + cB + cd, with AB merged by monomial.
  const auto before = [](const detail::MonomialPtr& x, const detail::MonomialPtr& y) { return detail::compare(*x, *y) < 0; };
  std::map<detail::MonomialPtr, std::int64_t, decltype(before)> sums(before);
  for (const Term& x : a.expr_->terms)
    for (const Term& y : b.expr_->terms) {
      std::int64_t& sum = sums[detail::multiply_monomials(*x.monomial, *y.monomial)];
      sum = detail::checked_add(sum, detail::checked_multiply(x.coefficient, y.coefficient));
    }
  std::vector<Term> merged;
  merged.reserve(sums.size());
  for (const auto& [monomial, sum] : sums)
    if (sum != 0) merged.push_back({sum, monomial});
  Dim product = detail::from_terms(std::move(merged), 0);
  if (b.constant_ != 0) product += Dim(a.expr_) * Dim(b.constant_);
  if (a.constant_ != 0) product += Dim(b.expr_) * Dim(a.constant_);
  return product + Dim(a.constant_) * Dim(b.constant_);
}

bool operator==(const Dim& a, const Dim& b) {
  if (a.constant_ != b.constant_) return false;
  if (a.expr_ == b.expr_) return true;
  if (!a.expr_ || !b.expr_ || a.expr_->hash != b.expr_->hash) return false;
  return detail::compare(a, b) == 0;
}

bool structurally_less(const Dim& a, const Dim& b) { return detail::compare(a, b) < 0; }

std::vector<DimTerm> terms(const Dim& a) {
  std::vector<DimTerm> result;
  for (const Term& term : detail::terms_of(a)) {
    DimTerm& out = result.emplace_back();
    out.coefficient = term.coefficient;
    for (const auto& [atom, power] : term.monomial->factors) out.factors.emplace_back(*atom, power);
  }
  if (a.constant_term() != 0) result.push_back({a.constant_term(), {}});
  return result;
}

namespace {

/// Calls visit(symbol) for every occurrence, in text order, until it returns true.
template <class Visit>
bool visit_symbols(const Dim& a, const Visit& visit) {
  for (const Term& term : detail::terms_of(a))
    for (const auto& [atom, power] : term.monomial->factors) {
      if (atom->kind == DimAtom::Kind::symbol ? visit(atom->symbol) : visit_symbols(*atom->a, visit) || visit_symbols(*atom->b, visit))
        return true;
    }
  return false;
}

/// The atom after substitution, or nothing when it stays.
std::optional<Dim> substitute(const detail::Atom& atom, const std::function<std::optional<Dim>(const SymbolInfo&)>& replace) {
  if (atom.kind == DimAtom::Kind::symbol) return replace(*atom.symbol);
  Dim a = ir::substitute(*atom.a, replace), b = ir::substitute(*atom.b, replace);
  // By identity: a symbol may be replaced by one of the same name with other bounds.
  const auto same = [](const Dim& x, const Dim& y) { return x.expr() == y.expr() && x.constant_term() == y.constant_term(); };
  if (same(a, *atom.a) && same(b, *atom.b)) return std::nullopt;
  switch (atom.kind) {
    case DimAtom::Kind::floordiv: return floordiv(a, b);
    case DimAtom::Kind::mod: return mod(a, b);
    case DimAtom::Kind::min: return min(a, b);
    default: return max(a, b);
  }
}

}  // namespace

std::vector<std::shared_ptr<const SymbolInfo>> symbol_infos_of(const Dim& a) {
  std::vector<std::shared_ptr<const SymbolInfo>> infos;
  std::unordered_set<std::string_view> seen;
  visit_symbols(a, [&](const std::shared_ptr<const SymbolInfo>& info) {
    if (seen.insert(info->name).second) infos.push_back(info);
    return false;
  });
  return infos;
}

std::vector<std::string> symbols_of(const Dim& a) {
  std::vector<std::string> names;
  for (const auto& info : symbol_infos_of(a)) names.push_back(info->name);
  return names;
}

bool mentions(const Dim& a, std::string_view symbol) {
  return visit_symbols(a, [&](const std::shared_ptr<const SymbolInfo>& info) { return info->name == symbol; });
}

std::optional<Linear> linear_in(const Dim& a, std::string_view symbol) {
  Linear result{0, a.constant_term()};
  for (const Term& term : detail::terms_of(a)) {
    const detail::Atom* found = nullptr;
    for (const auto& [atom, power] : term.monomial->factors) {
      if (atom->kind == DimAtom::Kind::symbol) {
        if (atom->symbol->name != symbol) continue;
        if (power != 1) return std::nullopt;
        found = atom.get();
      } else if (mentions(*atom->a, symbol) || mentions(*atom->b, symbol)) {
        return std::nullopt;
      }
    }
    if (found)
      result.coefficient += detail::without_factor(term.coefficient, *term.monomial, *found);
    else
      result.rest += detail::from_term(term.coefficient, term.monomial);
  }
  return result;
}

Dim substitute(const Dim& a, const std::function<std::optional<Dim>(const SymbolInfo&)>& replace) {
  Dim result = a.constant_term();
  bool changed = false;
  for (const Term& term : detail::terms_of(a)) {
    std::vector<std::optional<Dim>> replaced;
    bool here = false;
    for (const auto& [atom, power] : term.monomial->factors) {
      replaced.push_back(substitute(*atom, replace));
      here |= replaced.back().has_value();
    }
    changed |= here;
    if (!here) {
      result += detail::from_term(term.coefficient, term.monomial);
      continue;
    }
    Dim product = term.coefficient;
    for (std::size_t i = 0; i < replaced.size(); ++i) {
      const auto& [atom, power] = term.monomial->factors[i];
      const Dim factor = replaced[i] ? *replaced[i] : detail::from_atom(atom);
      for (int k = 0; k < power; ++k) product *= factor;
    }
    result += product;
  }
  return changed ? result : a;
}

std::int64_t evaluate(const Dim& a, const std::function<std::optional<std::int64_t>(std::string_view)>& value_of) {
  std::int64_t sum = a.constant_term();
  for (const Term& term : detail::terms_of(a)) {
    std::int64_t product = term.coefficient;
    for (const auto& [atom, power] : term.monomial->factors) {
      std::int64_t value = 0;
      if (atom->kind == DimAtom::Kind::symbol) {
        const auto found = value_of(atom->symbol->name);
        if (!found) throw InternalError("no value for symbol " + atom->symbol->name + " of " + to_string(a));
        value = *found;
      } else {
        const std::int64_t x = evaluate(*atom->a, value_of), y = evaluate(*atom->b, value_of);
        switch (atom->kind) {
          case DimAtom::Kind::min: value = std::min(x, y); break;
          case DimAtom::Kind::max: value = std::max(x, y); break;
          default:
            if (y <= 0)
              throw Error(ErrorCode::invalid_argument, "the extent " + to_string(a) + " divides by " + to_string(*atom->b) + ", which is " +
                                                           std::to_string(y) + " in this run");
            value = atom->kind == DimAtom::Kind::floordiv ? detail::floor_quotient(x, y) : detail::floor_remainder(x, y);
        }
      }
      for (int i = 0; i < power; ++i) product = detail::checked_multiply(product, value);
    }
    sum = detail::checked_add(sum, product);
  }
  return sum;
}

Dim product(std::span<const Dim> dims) {
  Dim result = 1;
  for (const Dim& dim : dims) result *= dim;
  return result;
}

}  // namespace kiln::ir
