// Representation of Dim, shared by the dim*.cpp files and by nobody else.
//
// A Dim is `constant_ + expr_`. The Expr holds the non-constant terms, each a coefficient times a Monomial; a Monomial is a product of
// powers of Atoms. Monomials and atoms are immutable, shared, and carry what is asked for most (hash, bounds, divisor), so adding two Dims
// merges two short arrays of pointers, and adding a constant allocates nothing.
//
// Order: monomials by falling degree, then as in a dictionary over their atoms (graded lexicographic order, which polynomial division
// relies on); atoms: symbols by name with the tile coordinates ("$...") last, then the functions by their operands.
#pragma once

#include "ir/dim.h"
#include "kiln/error.h"

namespace kiln::ir::detail {

struct Atom : DimAtom {
  std::size_t hash = 0;
  Interval bounds;
  std::int64_t divisor = 1;
  int depth = 0;   ///< nesting of functions; 0 for a symbol
  int weight = 1;  ///< atoms in the whole expression tree
};
using AtomPtr = std::shared_ptr<const Atom>;

struct Monomial {
  std::vector<std::pair<AtomPtr, int>> factors;  ///< in atom order, powers >= 1
  int degree = 0;
  std::size_t hash = 0;
  Interval bounds;
  std::int64_t divisor = 1;
};
using MonomialPtr = std::shared_ptr<const Monomial>;

struct Term {
  std::int64_t coefficient = 0;
  MonomialPtr monomial;
};

// Limits of one expression. Extents of real programs nest a few levels and have a handful of terms; beyond these sizes an expression is an
// attack or a runaway loop, and functions over the tree recurse.
inline constexpr int max_depth = 256;
inline constexpr int max_weight = 4096;
inline constexpr std::size_t max_terms = 4096;

[[noreturn]] void throw_overflow();
[[noreturn]] void throw_too_large();
std::int64_t checked_add(std::int64_t a, std::int64_t b);
std::int64_t checked_multiply(std::int64_t a, std::int64_t b);
/// Rounded towards minus infinity; b > 0.
constexpr std::int64_t floor_quotient(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
constexpr std::int64_t floor_remainder(std::int64_t a, std::int64_t b) { return a % b < 0 ? a % b + b : a % b; }

/// < 0, 0, > 0 as `a` comes before, equals, comes after `b`.
int compare(const Atom& a, const Atom& b);
int compare(const Monomial& a, const Monomial& b);
int compare(const Dim& a, const Dim& b);

std::span<const Term> terms_of(const Dim& a);  ///< the non-constant ones
/// From terms in canonical order without zeros, and a constant.
Dim from_terms(std::vector<Term> terms, std::int64_t constant);
Dim from_term(std::int64_t coefficient, const MonomialPtr& monomial);
/// The Dim that is this atom alone; `a` and `b` are the operands of a function.
Dim from_function(DimAtom::Kind kind, Dim a, Dim b);
/// The atom when the Dim is exactly one atom, else null.
const Atom* as_atom(const Dim& a);
/// `a` without one factor of that atom.
Dim without_factor(std::int64_t coefficient, const Monomial& monomial, const Atom& atom);
Dim from_atom(const AtomPtr& atom);

Interval add(Interval a, Interval b);
Interval multiply(Interval a, Interval b);
Interval scale(Interval a, std::int64_t factor);
/// Bounds from each term alone: cheap, and blind to terms that depend on each other.
Interval term_bounds(const Dim& a);
/// Bounds of a function of two Dims.
Interval function_bounds(DimAtom::Kind kind, const Dim& a, const Dim& b);

}  // namespace kiln::ir::detail

namespace kiln::ir {

struct Dim::Expr {
  std::vector<detail::Term> terms;  ///< at least one
  std::size_t hash = 0;
};

}  // namespace kiln::ir
