// Which CPU code is generated for. "native" is spelled out to LLVM as the CPU's name plus every feature that cpuid reports: virtual
// machines often hide features that the model's name would imply. Code never depends on the tuning model for its results, only for its
// speed.
#include "codegen/x86/target.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <algorithm>
#include <map>
#include <vector>

#include "codegen/x86/x86.h"
#include "kiln/error.h"

namespace kiln::codegen {
namespace {

constexpr const char* triple = "x86_64-unknown-linux-gnu";

const llvm::Target* llvm_target() {
  static const llvm::Target* const target = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    std::string message;
    const llvm::Target* found = llvm::TargetRegistry::lookupTarget(triple, message);
    if (!found) throw InternalError("LLVM has no x86 target: " + message);
    return found;
  }();
  return target;
}

bool has_all(const std::map<std::string, bool>& features, std::initializer_list<const char*> names) {
  return std::all_of(names.begin(), names.end(), [&](const char* name) {
    const auto it = features.find(name);
    return it != features.end() && it->second;
  });
}

HostCpu detect_host() {
  HostCpu host;
  host.name = llvm::sys::getHostCPUName().str();
  std::map<std::string, bool> features;  // sorted: the string is part of cache keys and object bytes
  const auto host_features = llvm::sys::getHostCPUFeatures();
  for (const auto& feature : host_features) features[feature.first().str()] = feature.second;
  for (const auto& [name, present] : features) {
    if (!host.features.empty()) host.features += ',';
    host.features += (present ? '+' : '-') + name;
  }
  host.level = "x86-64-v1";
  if (has_all(features, {"cx16", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"})) {
    host.level = "x86-64-v2";
    if (has_all(features, {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})) {
      host.level = "x86-64-v3";
      if (has_all(features, {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})) host.level = "x86-64-v4";
    }
  }
  return host;
}

}  // namespace

const HostCpu& host_cpu() {
  static const HostCpu host = detect_host();
  return host;
}

std::string llvm_version() { return LLVM_VERSION_STRING; }

Target resolve_target(const std::string& name) {
  Target target;
  if (name == "native") {
    target.cpu = host_cpu().name;
    target.features = host_cpu().features;
  } else {
    target.cpu = name;
  }
  const std::unique_ptr<llvm::MCSubtargetInfo> info(llvm_target()->createMCSubtargetInfo(triple, "", ""));
  if (!info->isCPUStringValid(target.cpu)) {
    throw Error(ErrorCode::unsupported, "'" + name + "' is not an x86-64 CPU that this build can generate code for", {},
                "use \"native\", a level such as \"x86-64-v3\", or a CPU name such as \"skylake\"");
  }
  const std::unique_ptr<llvm::MCSubtargetInfo> exact(llvm_target()->createMCSubtargetInfo(triple, target.cpu, target.features));
  const auto has = [&](const char* feature) { return exact->checkFeatures(feature); };
  if (!has("+sse4.1") || !has("+64bit")) {
    throw Error(ErrorCode::unsupported, "CPU '" + name + "' lacks SSE4.1; the least that code is generated for is x86-64-v2");
  }
  target.fma = has("+fma");
  target.f16c = has("+f16c");
  target.avx512 = has("+avx512f") && has("+avx512bw") && has("+avx512dq") && has("+avx512vl");
  return target;
}

std::unique_ptr<llvm::TargetMachine> make_machine(const Target& target) {
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;  // fma where the loop IR says so, nowhere else
  options.FunctionSections = false;
  std::unique_ptr<llvm::TargetMachine> machine(llvm_target()->createTargetMachine(
      triple, target.cpu, target.features, options, llvm::Reloc::PIC_, llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
  internal_check(machine != nullptr, "LLVM makes no target machine");
  return machine;
}

}  // namespace kiln::codegen
