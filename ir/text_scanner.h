// Scanner under the parsers of loop IR and program IR: characters with line and column, no token objects. Every function skips blanks and comments first and
// throws Error(parse) at the place where it stood. Bounded on any input: it never reads past the end and never recurses.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/dim.h"
#include "ir/loop.h"
#include "kiln/error.h"

namespace kiln::ir {

class TextScanner {
 public:
  using SymbolFunction = std::function<Dim(std::string_view)>;

  TextScanner(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {}

  bool at_end() { return skip(), position_ == text_.size(); }
  /// Is this punctuation or whole word next?
  bool peek(std::string_view token);
  bool accept(std::string_view token) { return peek(token) && (position_ += token.size(), true); }
  void expect(std::string_view token);
  /// The next character, or 0 at the end.
  char peek_char() { return skip(), position_ < text_.size() ? text_[position_] : '\0'; }

  /// An identifier [A-Za-z_$][A-Za-z0-9_$.]* or, where that does not fit, a quoted string.
  std::string name(std::string_view what);
  /// Letters, digits, dots and underscores after a sigil such as '%' or '@'; or a quoted string after it.
  std::string name_after(char sigil, std::string_view what);
  std::string quoted(std::string_view what);
  std::int64_t integer(std::string_view what);
  /// Digits without a sign.
  std::uint64_t magnitude(std::string_view what);
  /// "0x" and hexadecimal digits.
  std::uint64_t hexadecimal(std::string_view what);
  std::uint32_t index(std::string_view what);
  /// A literal of the dtype: a number, inf, nan, true, false.
  Literal literal(DType dtype);
  DType dtype();
  RegisterType register_type();
  /// A Dim, as long as it goes (grammar: ir/dim_text.cpp); its symbols come from `symbol_of`.
  Dim dim(const SymbolFunction& symbol_of);
  /// "[a, b]"
  Dims dims(const SymbolFunction& symbol_of);
  /// The rest of the line when a // comment is next on it, else "". Does not skip blank lines.
  std::string trailing_comment();

  /// Passes over one word, or one character that is none.
  void skip_word();

  [[noreturn]] void fail(const std::string& message) { skip(), fail_at(position_, message); }
  [[noreturn]] void fail_at(std::size_t position, const std::string& message) const;
  std::size_t position() { return skip(), position_; }
  /// Back (or forward) to a position that position() returned.
  void seek(std::size_t position) { position_ = position; }
  std::uint32_t line_of(std::size_t position) const;
  const std::string& file() const { return file_; }

 private:
  void skip();
  std::string_view word();

  std::string_view text_;
  std::string file_;
  std::size_t position_ = 0;
};

/// Kernels up to the end of the text (ir/loop_text.h).
std::vector<Kernel> parse_kernels(TextScanner& scanner);

/// The longest Dim that starts here (ir/dim_text.cpp); its symbols come from `symbol_of`.
Dim parse_dim(TextScanner& scanner, const TextScanner::SymbolFunction& symbol_of);

/// `name` as the scanner's name() reads it: bare, or quoted where it is no identifier.
std::string name_text(std::string_view name);
/// A string in double quotes with \n, \t, \", \\ and \xNN escapes.
std::string quoted_text(std::string_view text);
/// "batch {min = 1, multiple_of = 8}", the braces only where more than the name is known.
std::string symbol_text(const SymbolInfo& info);
/// The inverse of symbol_text after the name: fills `info`.
void parse_symbol_info(TextScanner& scanner, SymbolInfo& info);

}  // namespace kiln::ir
