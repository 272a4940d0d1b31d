// The rewrite rules by family. A rule replaces a node by something with the same bits for all inputs, infinities, signed zeros, denormals
// and rounding included; only a NaN's sign and payload, which IEEE 754 leaves open, may differ.
#pragma once

#include <span>

#include "passes/rewrite.h"

namespace kiln::passes {

std::span<const Rule> canonical_rules();    ///< canonicalize.cpp
std::span<const Rule> arithmetic_rules();   ///< simplify_arithmetic.cpp
std::span<const Rule> shape_rules();        ///< simplify_shape.cpp
std::span<const Rule> contraction_rules();  ///< simplify_contraction.cpp

/// `value`, if it can stand for the match's result; else ir::none. Extents may be equal without looking equal, and a replacement must look
/// so.
inline ir::ValueId if_same_type(const Match& m, ir::ValueId value) { return m.type_of(value) == m.type ? value : ir::none; }

}  // namespace kiln::passes
