// Machine code for x86-64 through LLVM: one module per program, run at once or written as an object file. LLVM is seen by the .cpp files of
// this folder alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/program.h"
#include "kiln/abi.h"

namespace kiln::codegen {

struct X86Options {
  std::string target = "native";  ///< "native", an x86-64 level ("x86-64-v3") or a CPU name that LLVM knows
  int compile_threads = 0;        ///< 0: as many as there are processors
  bool single_object =
      false;  ///< the result is one plain ELF object, for linkers; otherwise it may be a bundle that only load_object reads
};

/// What the running CPU is to LLVM, and its features: part of every cache key.
struct HostCpu {
  std::string name;      ///< "sapphirerapids"
  std::string features;  ///< "+avx512f,..."
  std::string level;     ///< the highest of "x86-64-v2", "-v3", "-v4" that it has
};
const HostCpu& host_cpu();
/// "19.1.7".
std::string llvm_version();

/// The object file (ELF) of a program. Entry symbols: NAME_entry and NAME_plan with the signatures of kiln/abi.h. Undefined symbols: none,
/// or memcpy, memset, memmove. The same program and options give the same bytes.
std::vector<char> compile_object(const ir::Program& program, const std::string& name, const X86Options& options);

/// Machine code ready to run, from an object file made by compile_object.
struct LoadedCode {
  kiln_entry entry = nullptr;
  kiln_plan plan = nullptr;
  std::shared_ptr<const void> owner;  ///< keeps the code mapped
};
LoadedCode load_object(std::vector<char> object, const std::string& name);

/// For people: the LLVM IR or the assembly of a program.
std::string llvm_text(const ir::Program& program, const X86Options& options);
std::string assembly_text(const ir::Program& program, const X86Options& options);

}  // namespace kiln::codegen
