// Symbolic integers: the extents of tensors, and the index expressions of loops.
//
// A Dim is a polynomial with int64 coefficients over atoms, in normal form (terms sorted, like terms merged, no zero terms), so two Dims
// are equal as polynomials exactly when they compare equal. An atom is a named symbol or one of floordiv, mod, min, max of two Dims that
// could not be simplified. Arithmetic that overflows int64 throws Error(out_of_memory).
//
// The same class serves three places: shapes ("batch", "2*n + 1"), sizes and offsets in the memory plan, and indices in loops, where the
// atoms are loop variables. Symbols are compared by name: in one graph the same name means the same value.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::ir {

/// What is known of a symbol. `typical` feeds cost models only.
struct SymbolInfo {
  std::string name;
  std::int64_t min = 0;
  std::int64_t max = INT64_MAX;
  std::int64_t multiple_of = 1;
  std::int64_t typical = 0;  ///< 0: not given
};

/// Inclusive bounds; INT64_MIN / INT64_MAX mean unbounded.
struct Interval {
  std::int64_t min = INT64_MIN;
  std::int64_t max = INT64_MAX;
};

/// Answers of comparisons that hold for all values of the symbols.
enum class Truth : std::uint8_t { no, yes, unknown };

class Dim {
 public:
  Dim(std::int64_t value = 0) : constant_(value) {}
  Dim(int value) : constant_(value) {}
  /// A symbol. Info is shared by all Dims made from it.
  static Dim symbol(std::string_view name);
  static Dim symbol(std::shared_ptr<const SymbolInfo> info);

  bool is_constant() const { return expr_ == nullptr; }
  bool is_constant(std::int64_t value) const { return expr_ == nullptr && constant_ == value; }
  /// The value of a constant; InternalError otherwise.
  std::int64_t constant() const;
  /// The symbol's name when the Dim is exactly one symbol, else nothing.
  std::optional<std::string_view> as_symbol() const;
  const SymbolInfo* symbol_info() const;  ///< likewise; null otherwise
  /// The term without atoms: 3 of "n + 3".
  std::int64_t constant_term() const { return constant_; }

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  Dim operator-() const;
  Dim& operator+=(const Dim& other) { return *this = *this + other; }
  Dim& operator-=(const Dim& other) { return *this = *this - other; }
  Dim& operator*=(const Dim& other) { return *this = *this * other; }

  /// Structural equality of normal forms; "not equal" does not mean that the values always differ: see equals().
  friend bool operator==(const Dim& a, const Dim& b);
  /// A total order on normal forms (for sorting), not on values.
  friend bool structurally_less(const Dim& a, const Dim& b);

  std::size_t hash() const;

  struct Expr;  // implementation, dim.cpp
  const Expr* expr() const { return expr_.get(); }
  explicit Dim(std::shared_ptr<const Expr> expr);

 private:
  std::int64_t constant_ = 0;           ///< the constant term
  std::shared_ptr<const Expr> expr_;    ///< the other terms; null when there are none
};

/// Quotient and remainder rounded towards minus infinity, b > 0. Exact multiples and parts with known bounds are taken out:
/// floordiv(4*a + b, 4) is a when 0 <= b < 4 is known.
Dim floordiv(const Dim& a, const Dim& b);
Dim mod(const Dim& a, const Dim& b);
Dim ceildiv(const Dim& a, const Dim& b);
Dim min(const Dim& a, const Dim& b);
Dim max(const Dim& a, const Dim& b);

/// a <= b, a < b, a == b for all values of the symbols? Uses the symbols' bounds.
Truth less_equal(const Dim& a, const Dim& b);
Truth less(const Dim& a, const Dim& b);
Truth equals(const Dim& a, const Dim& b);
/// Bounds over all values of the symbols.
Interval bounds(const Dim& a);
/// A constant that divides every value of `a` (0 for the constant 0).
std::int64_t known_divisor(const Dim& a);

/// Terms of the polynomial, for whoever must take it apart (emitters, stride analysis).
struct DimAtom {
  enum class Kind : std::uint8_t { symbol, floordiv, mod, min, max };
  Kind kind = Kind::symbol;
  std::shared_ptr<const SymbolInfo> symbol;  ///< for Kind::symbol
  std::shared_ptr<const Dim> a, b;           ///< operands of the others
};
struct DimTerm {
  std::int64_t coefficient = 0;
  std::vector<std::pair<DimAtom, int>> factors;  ///< atom and power >= 1; empty for the constant term
};
/// In canonical order; a constant has one term without factors (none for 0).
std::vector<DimTerm> terms(const Dim& a);

/// Names of all symbols in it, each once, in order of first occurrence.
std::vector<std::string> symbols_of(const Dim& a);
bool mentions(const Dim& a, std::string_view symbol);
/// The symbols themselves, likewise.
std::vector<std::shared_ptr<const SymbolInfo>> symbol_infos_of(const Dim& a);
/// `a` as coefficient * symbol + rest when it is linear in the symbol and neither part mentions it; nothing otherwise.
struct Linear {
  Dim coefficient, rest;
};
std::optional<Linear> linear_in(const Dim& a, std::string_view symbol);

/// Replaces symbols by Dims; the function returns nothing to keep a symbol.
Dim substitute(const Dim& a, const std::function<std::optional<Dim>(const SymbolInfo&)>& replace);
/// The value for given symbol values; throws Error(out_of_memory) on overflow, InternalError when a symbol has no value.
std::int64_t evaluate(const Dim& a, const std::function<std::optional<std::int64_t>(std::string_view)>& value_of);

/// Canonical text: "2*batch + 1", "floordiv(n, 4)", "min(a, b)".
std::string to_string(const Dim& a);
/// The inverse; throws Error(parse). Symbols come from `symbol_of` (which makes or finds them).
Dim parse_dim(std::string_view text, const std::function<Dim(std::string_view)>& symbol_of);

using Dims = std::vector<Dim>;
std::string to_string(const Dims& dims);  ///< "[batch, 1000]"
/// Product of extents.
Dim product(std::span<const Dim> dims);

}  // namespace kiln::ir
