// Text of numbers and literal arrays in tensor IR, for print.cpp and parse.cpp.
#pragma once

#include <string>

#include "ir/text_scanner.h"
#include "kiln/array.h"

namespace kiln::ir {

/// Appends a number that reads back to the same bits and always looks like a floating number: "1.0", "1e-06", "-inf",
/// "nan(0x7ff8000000000001)".
void print_number(double value, std::string& out);
double parse_number(TextScanner& scanner);

/// Appends the elements as nested lists: "{{1, 2}, {3, 4}}", "5" for rank 0, "{}" for none.
void print_elements(const Array& array, std::string& out);
/// The inverse. `text_size` is that of the whole text: more elements than characters are refused before memory is taken for them.
Array parse_elements(TextScanner& scanner, DType dtype, const Shape& shape, std::size_t text_size);

/// 32 hexadecimal digits that stand for the content (dtype, shape, elements).
std::string content_hash(const Array& array);

}  // namespace kiln::ir
