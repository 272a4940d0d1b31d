// Text of Dims.
//
//   sum     := ['-'] product (('+' | '-') product)*
//   product := factor ('*' factor)*
//   factor  := integer | name | function '(' sum ',' sum ')' | '(' sum ')'
//   function := floordiv | ceildiv | mod | min | max
//
// Printing needs no parentheses, as a Dim is a sum of products. floordiv(a + b - 1, b) prints as ceildiv(a, b) for a constant b. A name is
// quoted where it is no identifier; names of functions are names of symbols too, unless a parenthesis follows.
#include <algorithm>

#include "ir/dim_detail.h"
#include "ir/text_scanner.h"

namespace kiln::ir {

namespace {

void print(const Dim& a, std::string& out);

void print_function(std::string_view name, const Dim& a, const Dim& b, std::string& out) {
  out += name;
  out += '(';
  print(a, out);
  out += ", ";
  print(b, out);
  out += ')';
}

void print(const detail::Atom& atom, std::string& out) {
  switch (atom.kind) {
    case DimAtom::Kind::symbol: out += name_text(atom.symbol->name); break;
    case DimAtom::Kind::floordiv:
      if (atom.b->is_constant() && atom.b->constant() > 1 && atom.a->constant_term() == atom.b->constant() - 1)
        print_function("ceildiv", *atom.a - Dim(atom.a->constant_term()), *atom.b, out);
      else
        print_function("floordiv", *atom.a, *atom.b, out);
      break;
    case DimAtom::Kind::mod: print_function("mod", *atom.a, *atom.b, out); break;
    case DimAtom::Kind::min: print_function("min", *atom.a, *atom.b, out); break;
    case DimAtom::Kind::max: print_function("max", *atom.a, *atom.b, out); break;
  }
}

void print(const Dim& a, std::string& out) {
  if (a.is_constant()) {
    out += std::to_string(a.constant_term());
    return;
  }
  bool first = true;
  const auto sign = [&](std::int64_t value) {
    if (!first)
      out += value < 0 ? " - " : " + ";
    else if (value < 0)
      out += '-';
    first = false;
    // The magnitude of INT64_MIN exists only as an unsigned number.
    return value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  };
  for (const detail::Term& term : detail::terms_of(a)) {
    const std::uint64_t magnitude = sign(term.coefficient);
    if (magnitude != 1) out += std::to_string(magnitude) + "*";
    bool first_factor = true;
    for (const auto& [atom, power] : term.monomial->factors)
      for (int i = 0; i < power; ++i) {
        if (!first_factor) out += '*';
        first_factor = false;
        print(*atom, out);
      }
  }
  if (a.constant_term() != 0) {
    const std::uint64_t magnitude = sign(a.constant_term());
    out += std::to_string(magnitude);
  }
}

class Parser {
 public:
  Parser(TextScanner& scanner, const TextScanner::SymbolFunction& symbol_of) : scanner_(scanner), symbol_of_(symbol_of) {}

  Dim sum() {
    // Functions and parentheses nest on the machine's stack.
    if (++depth_ > detail::max_depth) scanner_.fail("this expression nests too deep");
    Dim result = product(false);
    while (true) {
      if (scanner_.accept("+"))
        result += product(false);
      else if (scanner_.accept("-"))
        result += product(true);
      else
        break;
    }
    --depth_;
    return result;
  }

 private:
  Dim product(bool negative) {
    while (scanner_.accept("-")) negative = !negative;
    // The sign belongs to the first number, so that -2^63 can be read.
    Dim result = factor(negative);
    while (scanner_.accept("*")) result *= factor(false);
    return result;
  }

  Dim factor(bool negative) {
    const char next = scanner_.peek_char();
    if (next >= '0' && next <= '9') {
      std::uint64_t magnitude = scanner_.magnitude("a number");
      if (magnitude > static_cast<std::uint64_t>(INT64_MAX) + (negative ? 1 : 0)) scanner_.fail("this number does not fit in 64 bits");
      return static_cast<std::int64_t>(negative ? -magnitude : magnitude);
    }
    Dim result = unsigned_factor(next);
    return negative ? -result : result;
  }

  Dim unsigned_factor(char next) {
    if (scanner_.accept("(")) {
      Dim result = sum();
      scanner_.expect(")");
      return result;
    }
    const std::size_t start = scanner_.position();
    const std::string name = scanner_.name("a number, a symbol or a function of them");
    if (next == '"' || !scanner_.peek("(")) return symbol_of_(name);
    using Function = Dim (*)(const Dim&, const Dim&);
    const std::pair<std::string_view, Function> functions[] = {
        {"floordiv", floordiv}, {"ceildiv", ceildiv}, {"mod", mod}, {"min", min}, {"max", max}};
    const auto found = std::ranges::find(functions, std::string_view(name), &std::pair<std::string_view, Function>::first);
    if (found == std::end(functions))
      scanner_.fail_at(start, "unknown function '" + name + "': there are floordiv, ceildiv, mod, min and max");
    scanner_.expect("(");
    const Dim a = sum();
    scanner_.expect(",");
    const std::size_t divisor = scanner_.position();
    const Dim b = sum();
    scanner_.expect(")");
    const bool divides = name != "min" && name != "max";
    if (divides && b.is_constant() && b.constant() <= 0) scanner_.fail_at(divisor, "the divisor must be positive");
    return found->second(a, b);
  }

  TextScanner& scanner_;
  const TextScanner::SymbolFunction& symbol_of_;
  int depth_ = 0;
};

}  // namespace

std::string to_string(const Dim& a) {
  std::string text;
  print(a, text);
  return text;
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i > 0) text += ", ";
    print(dims[i], text);
  }
  return text + "]";
}

Dim parse_dim(TextScanner& scanner, const TextScanner::SymbolFunction& symbol_of) {
  const std::size_t start = scanner.position();
  try {
    return Parser(scanner, symbol_of).sum();
  } catch (const Error& error) {
    if (error.where().known()) throw;
    scanner.fail_at(start, error.message());  // arithmetic that overflows, an expression that is too large
  }
}

Dim parse_dim(std::string_view text, const std::function<Dim(std::string_view)>& symbol_of) {
  TextScanner scanner(text, "<dim>");
  Dim result = parse_dim(scanner, symbol_of);
  if (!scanner.at_end()) scanner.fail("unexpected text after the dim");
  return result;
}

}  // namespace kiln::ir
