// Running kernels and programs through code generation, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codegen/x86/x86.h"
#include "ir/loop.h"
#include "ir/program.h"

namespace kiln::test {

/// A program that calls each kernel once: its inputs are inputs of the program; output, inout and scratch buffers are outputs. Symbols are
/// those of all kernels.
ir::Program program_of(const std::vector<ir::Kernel>& kernels);
inline ir::Program program_of(const ir::Kernel& kernel) { return program_of(std::vector{kernel}); }

/// A compiled program.
struct Compiled {
  codegen::LoadedCode code;
  std::size_t object_bytes = 0;
};
Compiled compile(const ir::Program& program, const codegen::X86Options& options = {});

/// The kiln_call of a run, with storage for its tables.
struct Call {
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  std::vector<void*> variables, shadows;
  std::vector<const void*> constants;
  std::vector<std::int64_t> symbols, values;
  kiln_call call{};
  /// Points the tables of `call` at the vectors.
  kiln_call* prepare();
};

/// Memory whose last byte lies in front of a page that cannot be touched (up to the padding that `alignment` needs).
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes, std::size_t alignment = 1);
  GuardedMemory(GuardedMemory&& other) noexcept;
  GuardedMemory(const GuardedMemory&) = delete;
  ~GuardedMemory();
  void* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* pages_ = nullptr;
  std::size_t mapped_ = 0;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Values of a dtype worth testing: zeros, ones, limits, halves, NaN, infinities, denormals, shift counts. `count` elements; with `stride`
/// s the list advances every s elements, so that stride 1 against stride special_count() pairs every value with every other.
void fill_special(void* data, DType dtype, std::size_t count, std::size_t stride);
std::size_t special_count(DType dtype);

/// Runs every kernel in the loop interpreter and as machine code for `options.target`, on equal memory, and expects equal bits (any NaN
/// equals any NaN) in all buffers that are not inputs. `symbols`: values by position of each kernel's symbols. Buffers are filled with
/// special values; masks (bool) with a pattern.
void expect_same(const std::vector<ir::Kernel>& kernels, const std::vector<std::int64_t>& symbols, const codegen::X86Options& options);
/// The same for every level that this CPU runs, and native; v2 is left out when `fma` (it rounds twice).
void expect_same_everywhere(const std::vector<ir::Kernel>& kernels, const std::vector<std::int64_t>& symbols = {}, bool fma = false);

/// Does this CPU run code for the level?
bool host_runs(const std::string& level);
/// "native" and the levels that this CPU runs.
std::vector<std::string> runnable_targets();

}  // namespace kiln::test
