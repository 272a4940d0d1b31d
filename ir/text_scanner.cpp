// TextScanner and the printing of names that it reads back (ir/text_scanner.h).
#include "ir/text_scanner.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace kiln::ir {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '.'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

void TextScanner::fail_at(std::size_t position, const std::string& message) const {
  const std::size_t line_start = position == 0 ? 0 : text_.rfind('\n', position - 1) + 1;  // npos + 1 == 0
  const auto column = static_cast<std::uint32_t>(position - line_start + 1);
  throw Error(ErrorCode::parse, fmt::format("column {}: {}", column, message), Location::interned(file_, line_of(position), column));
}

std::uint32_t TextScanner::line_of(std::size_t position) const {
  return static_cast<std::uint32_t>(std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(position), '\n') + 1);
}

void TextScanner::skip() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++position_;
    } else if (text_.substr(position_, 2) == "//") {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else {
      return;
    }
  }
}

bool TextScanner::peek(std::string_view token) {
  skip();
  if (text_.substr(position_, token.size()) != token) return false;
  // A word must not continue: "for" is not a prefix of "format".
  const std::size_t end = position_ + token.size();
  return !is_word(token.back()) || token == ".." || end == text_.size() || !is_word(text_[end]) || text_.substr(end, 2) == "..";
}

void TextScanner::expect(std::string_view token) {
  if (accept(token)) return;
  if (at_end()) fail(fmt::format("expected '{}', found the end of the text", token));
  std::string found(word());
  if (found.empty()) found = text_.substr(position_, 1);
  fail(fmt::format("expected '{}', found {}", token, quoted_text(found)));
}

std::string_view TextScanner::word() {
  skip();
  std::size_t end = position_;
  while (end < text_.size() && is_word(text_[end]) && text_.substr(end, 2) != "..") ++end;
  return text_.substr(position_, end - position_);
}

void TextScanner::skip_word() {
  const std::size_t length = word().size();
  position_ = std::min(position_ + (length == 0 ? 1 : length), text_.size());
}

std::string TextScanner::name(std::string_view what) {
  if (peek_char() == '"') return quoted(what);
  const std::string_view w = word();
  if (w.empty() || !is_letter(w[0])) fail(fmt::format("expected {}", what));
  position_ += w.size();
  return std::string(w);
}

std::string TextScanner::name_after(char sigil, std::string_view what) {
  if (peek_char() != sigil) fail(fmt::format("expected {} ('{}' and a name)", what, sigil));
  const std::size_t start = position_++;
  if (position_ < text_.size() && text_[position_] == '"') return quoted(what);
  std::size_t end = position_;
  while (end < text_.size() && is_word(text_[end]) && text_.substr(end, 2) != "..") ++end;
  if (end == position_) fail_at(start, fmt::format("expected {} ('{}' and a name)", what, sigil));
  std::string result(text_.substr(position_, end - position_));
  position_ = end;
  return result;
}

std::string TextScanner::quoted(std::string_view what) {
  if (peek_char() != '"') fail(fmt::format("expected {} in double quotes", what));
  const std::size_t start = position_++;
  std::string result;
  while (true) {
    if (position_ >= text_.size() || text_[position_] == '\n') fail_at(start, "this string does not end");
    const char c = text_[position_++];
    if (c == '"') return result;
    if (c != '\\') {
      result += c;
      continue;
    }
    const char escape = position_ < text_.size() ? text_[position_++] : '\0';
    switch (escape) {
      case 'n': result += '\n'; break;
      case 't': result += '\t'; break;
      case '"': result += '"'; break;
      case '\\': result += '\\'; break;
      case 'x': {
        const int high = position_ + 1 < text_.size() ? hex_digit(text_[position_]) : -1;
        const int low = position_ + 1 < text_.size() ? hex_digit(text_[position_ + 1]) : -1;
        if (high < 0 || low < 0) fail_at(position_ - 2, "\\x needs two hexadecimal digits");
        result += static_cast<char>(16 * high + low);
        position_ += 2;
        break;
      }
      default: fail_at(position_ - 1, "unknown escape in a string; known are \\n \\t \\\" \\\\ \\xNN");
    }
  }
}

std::int64_t TextScanner::integer(std::string_view what) {
  skip();
  std::int64_t value = 0;
  const char* const begin = text_.data() + position_;
  const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  if (error == std::errc::result_out_of_range) fail(fmt::format("{} does not fit in 64 bits", what));
  if (error != std::errc{}) fail(fmt::format("expected {}, an integer", what));
  position_ += static_cast<std::size_t>(end - begin);
  return value;
}

std::uint64_t TextScanner::magnitude(std::string_view what) {
  skip();
  std::uint64_t value = 0;
  const char* const begin = text_.data() + position_;
  const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  if (error == std::errc::result_out_of_range) fail(fmt::format("{} does not fit in 64 bits", what));
  if (error != std::errc{}) fail(fmt::format("expected {}", what));
  position_ += static_cast<std::size_t>(end - begin);
  return value;
}

std::uint64_t TextScanner::hexadecimal(std::string_view what) {
  skip();
  std::uint64_t value = 0;
  const char* const begin = text_.data() + position_ + 2;
  if (text_.substr(position_, 2) != "0x") fail(fmt::format("expected {}, 0x...", what));
  const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value, 16);
  if (error == std::errc::result_out_of_range) fail(fmt::format("{} does not fit in 64 bits", what));
  if (error != std::errc{}) fail(fmt::format("expected {}, 0x...", what));
  position_ = static_cast<std::size_t>(end - text_.data());
  return value;
}

std::uint32_t TextScanner::index(std::string_view what) {
  const std::size_t start = position();
  const std::int64_t value = integer(what);
  if (value < 0 || value >= UINT32_MAX) fail_at(start, fmt::format("{} is out of range", what));
  return static_cast<std::uint32_t>(value);
}

Literal TextScanner::literal(DType dtype) {
  const std::size_t start = position();
  if (dtype == DType::boolean) {
    if (accept("true")) return Literal::of_bits(dtype, 1);
    if (accept("false")) return Literal::of_bits(dtype, 0);
    fail("expected true or false");
  }
  const char* const begin = text_.data() + position_;
  const char* const limit = text_.data() + text_.size();
  if (is_floating(dtype)) {
    const bool negative = accept("-");
    double value = 0;
    if (accept("inf")) {
      value = std::numeric_limits<double>::infinity();
    } else if (accept("nan")) {
      value = std::numeric_limits<double>::quiet_NaN();
    } else {
      const char* const digits = text_.data() + position_;
      if (digits == limit || !(is_digit(*digits) || *digits == '.')) fail(fmt::format("expected a number of type {}", name_of(dtype)));
      const auto [end, error] = std::from_chars(digits, limit, value);
      if (error != std::errc{}) fail_at(start, fmt::format("not a number of type {}", name_of(dtype)));
      if (dtype != DType::f64) {  // rounded once, from the digits
        float single = 0;
        if (std::from_chars(digits, limit, single).ec != std::errc{}) fail_at(start, fmt::format("not a number of type {}", name_of(dtype)));
        value = single;
      }
      position_ += static_cast<std::size_t>(end - digits);
    }
    return Literal::of(dtype, std::copysign(value, negative ? -1.0 : 1.0));
  }
  const int bits = 8 * static_cast<int>(size_of(dtype));
  if (is_signed_integer(dtype)) {
    const std::int64_t value = integer("a literal");
    const std::int64_t greatest = INT64_MAX >> (64 - bits);
    if (value > greatest || value < -greatest - 1) fail_at(start, fmt::format("{} does not fit in {}", value, name_of(dtype)));
    return Literal::of_bits(dtype, value);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(begin, limit, value);
  if (error != std::errc{} || value > UINT64_MAX >> (64 - bits)) fail_at(start, fmt::format("expected a literal of type {}", name_of(dtype)));
  position_ += static_cast<std::size_t>(end - begin);
  return Literal::of_bits(dtype, static_cast<std::int64_t>(value));
}

DType TextScanner::dtype() {
  const std::size_t start = position();
  const std::string_view w = word();
  const auto found = dtype_from_name(w);
  if (!found) fail_at(start, "expected a dtype: bool, i8 ... f64");
  position_ += w.size();
  return *found;
}

RegisterType TextScanner::register_type() {
  const std::size_t start = position();
  const std::string_view w = word();
  const std::size_t x = w.find('x');
  const auto found = dtype_from_name(w.substr(0, x));
  if (!found) fail_at(start, "expected a register type such as f32, f32x16 or f32x16[8,2]");
  RegisterType type{*found};
  auto extent = [&](std::string_view what) {
    const std::size_t at = position();
    const std::int64_t value = integer(what);
    if (value < 1 || value > INT16_MAX) fail_at(at, fmt::format("{} must lie in 1 .. {}", what, INT16_MAX));
    return static_cast<std::int16_t>(value);
  };
  position_ += std::min(x, w.size());
  if (x != std::string_view::npos) {
    ++position_;
    if (position_ >= text_.size() || !is_digit(text_[position_])) fail_at(start, "expected the number of lanes after 'x'");
    type.lanes = extent("the number of lanes");
  }
  if (position_ < text_.size() && text_[position_] == '[') {
    ++position_;
    type.rows = extent("the number of rows");
    expect(",");
    type.cols = extent("the number of columns");
    expect("]");
  }
  return type;
}

Dim TextScanner::dim(const SymbolFunction& symbol_of) { return parse_dim(*this, symbol_of); }

Dims TextScanner::dims(const SymbolFunction& symbol_of) {
  Dims result;
  expect("[");
  if (accept("]")) return result;
  do result.push_back(dim(symbol_of));
  while (accept(","));
  expect("]");
  return result;
}

std::string TextScanner::trailing_comment() {
  std::size_t at = position_;
  while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) ++at;
  if (text_.substr(at, 2) != "//") return "";
  at += 2;
  if (at < text_.size() && text_[at] == ' ') ++at;
  const std::size_t end = std::min(text_.find('\n', at), text_.size());
  position_ = end;
  return std::string(text_.substr(at, end - at));
}

std::string name_text(std::string_view name) {
  const bool bare = !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), is_word) && name.find("..") == name.npos;
  return bare ? std::string(name) : quoted_text(name);
}

std::string quoted_text(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '\n': result += "\\n"; break;
      case '\t': result += "\\t"; break;
      case '"': result += "\\\""; break;
      case '\\': result += "\\\\"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else result += c;
    }
  }
  return result + '"';
}

std::string symbol_text(const SymbolInfo& info) {
  std::vector<std::string> facts;
  if (info.min != 0) facts.push_back(fmt::format("min = {}", info.min));
  if (info.max != INT64_MAX) facts.push_back(fmt::format("max = {}", info.max));
  if (info.multiple_of != 1) facts.push_back(fmt::format("multiple_of = {}", info.multiple_of));
  if (info.typical != 0) facts.push_back(fmt::format("typical = {}", info.typical));
  std::string text = name_text(info.name);
  for (std::size_t i = 0; i < facts.size(); ++i) text += (i == 0 ? " {" : ", ") + facts[i];
  return facts.empty() ? text : text + "}";
}

void parse_symbol_info(TextScanner& scanner, SymbolInfo& info) {
  if (!scanner.accept("{")) return;
  do {
    const std::size_t at = scanner.position();
    const std::string key = scanner.name("min, max, multiple_of or typical");
    scanner.expect("=");
    const std::int64_t value = scanner.integer(key);
    if (key == "min") info.min = value;
    else if (key == "max") info.max = value;
    else if (key == "multiple_of") info.multiple_of = value;
    else if (key == "typical") info.typical = value;
    else scanner.fail_at(at, fmt::format("'{}' is not known of symbols; known are min, max, multiple_of and typical", key));
    if (info.multiple_of < 1 || info.min < 0 || info.max < info.min) scanner.fail_at(at, "these bounds of a symbol make no sense");
  } while (scanner.accept(","));
  scanner.expect("}");
}

}  // namespace kiln::ir
