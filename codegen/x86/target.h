// The machine that code is generated for, resolved from X86Options::target. Internal to codegen/x86.
#pragma once

#include <memory>
#include <string>

namespace llvm {
class TargetMachine;
}

namespace kiln::codegen {

/// What the emitters and LLVM need to know of a target CPU.
struct Target {
  std::string cpu;       ///< LLVM's name
  std::string features;  ///< "+avx2,-sse4a,...", sorted; empty for named CPUs
  bool fma = false;      ///< has fused multiply-add
  bool f16c = false;     ///< converts half precision in hardware
  bool avx512 = false;   ///< has the 512-bit registers, masks and fast gathers of x86-64-v4
};

/// Resolves "native", an x86-64 level or a CPU name of LLVM. Throws Error(unsupported) for a name that LLVM does not know, and for CPUs
/// below x86-64-v2.
Target resolve_target(const std::string& name);

/// A new code generator for the target; one per thread. Initialises LLVM on first use.
std::unique_ptr<llvm::TargetMachine> make_machine(const Target& target);

}  // namespace kiln::codegen
