// Differential checks of schedules: a kernel body as text, lowered, run by the loop interpreter, compared with the reference interpreter of
// the same text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/loop.h"
#include "ir/loop_text.h"
#include "ir/text.h"
#include "kiln/array.h"
#include "passes/passes.h"

namespace kiln::test {

using Symbols = std::map<std::string, std::int64_t>;

passes::CpuTarget v3();
passes::CpuTarget v4();

struct CheckOptions {
  double tolerance = 0;       ///< of floats, relative to max(1, |expected|); 0: equal bits
  double low = -2, high = 2;  ///< range of random inputs
};

/// Random arrays for the parameters of main, the same at every call.
std::vector<Array> random_inputs(const ir::Module& module, const Symbols& symbols, const CheckOptions& options);

/// Runs a kernel lowered from main; results in the order of main's.
std::vector<Array> run(const ir::Kernel& kernel, const ir::Module& module, const std::vector<Array>& inputs, const Symbols& symbols,
                       bool reversed = false);

/// Runs a kernel with one result whose memory is that of input `shared`; the result.
Array run_in_place(const ir::Kernel& kernel, const ir::Module& module, std::vector<Array> inputs, const Symbols& symbols,
                   std::size_t shared);

/// The text with every symbol replaced by its value.
std::string with_static_shapes(std::string text, const Symbols& symbols);

/// Lowers main and asserts: the kernel verifies, prints and parses back; agrees with the reference; has the same bits for both CPU levels,
/// for parallel loops in reverse, with functions expanded for both levels, and with the symbols replaced by their values.
void check(const std::string& text, const Symbols& symbols = {}, const CheckOptions& options = {});

}  // namespace kiln::test
