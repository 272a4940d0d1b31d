// Text of loop IR; canonical like ir/text.h.
//
//   kernel @dot_relu(x: f32[batch, 1000], w1: f32[1000, 100], h: f32[batch, 100] output) symbols(batch) work(12800000) {  // h = relu(x *
//   w1)
//     for parallel t in 0 .. ceildiv(batch, 8) {
//       %0 = constant 0 : f32x16[8,2]
//       %5 = for k in 0 .. 1000 carry (%1 = %0) {
//         %2 = load x[8*t + $r, k] : f32[8,1]
//         %3 = load w1[k, 32*j + $v] : f32x16[1,2]
//         %4 = fma %2, %3, %1 : f32x16[8,2]
//         yield %4
//       }
//       store h[8*t + $r, 32*j + $v], %5 if %m : f32x16[8,2]
//     }
//   }
#pragma once

#include <string>
#include <vector>

#include "ir/loop.h"

namespace kiln::ir {

std::string print(const Kernel& kernel);
/// Names of the kernel and of its buffers, and the comment, do not count: two kernels with equal bodies have equal canonical text.
std::string canonical_text(const Kernel& kernel);
/// One instruction on one line, as it stands in the kernel's text; of a loop or branch its head. Works on kernels that break invariants:
/// for messages.
std::string describe(const Kernel& kernel, const Instruction& instruction);
/// "0.5", "-inf", "true": reads back to the same bits, except for the payload of a NaN.
std::string to_string(const Literal& literal);
/// Throws Error(parse) at line and column of `file`, also when a kernel breaks an invariant. Nesting beyond max_block_depth is an error.
std::vector<Kernel> parse_kernels(std::string_view text, const std::string& file = "<text>");

/// How deep blocks may nest; printers, interpreters and emitters may recurse over blocks.
inline constexpr int max_block_depth = 64;

/// Throws InternalError naming the numbered invariant (listed in loop_verify.cpp) that the kernel breaks.
void verify(const Kernel& kernel);
/// The same as a message; empty when the kernel is sound.
std::string find_violation(const Kernel& kernel);

}  // namespace kiln::ir
