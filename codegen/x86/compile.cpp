// From a program to machine code. Kernels are grouped into LLVM modules by a rule that looks at the program only, so the bytes do not
// depend on the number of threads that compile them; the entry and the plan are a module of their own.
//
// No optimisation pass of LLVM's middle end runs: the loop IR arrives hand-shaped (hoisted, vectorised, unrolled). One round on a loaded
// machine, a two-layer training step of six kernels and a 512^3 product, with EarlyCSE alone or with SimplifyCFG, LICM or InstCombine: none
// made code measurably faster (step 0.149 to 0.167 ms against 0.151, product 1.198 to 1.335 ms against 1.194; the slow ends, LICM and
// SimplifyCFG, were not repeated), and compile time stayed within 3 % (108 to 112 ms of CPU against 109). The code generator runs at its
// highest level. A pass added in front must be preceded by the target's TargetTransformInfo: without it the same step took 25 times as long
// to compile and ran 3 times slower.
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <numeric>
#include <thread>

#include "codegen/x86/emit_module.h"
#include "codegen/x86/object_bundle.h"
#include "codegen/x86/target.h"
#include "codegen/x86/x86.h"

namespace kiln::codegen {
namespace {

/// Kernels share a module until it holds about this many LLVM values: enough to make the fixed cost of a module (about 0.5 ms) small, few
/// enough that a program of several large kernels spreads over the processors.
constexpr std::int64_t module_values = 400;

std::int64_t values_of(const ir::Block& block, const ir::Kernel& kernel) {
  std::int64_t count = 0;
  for (const ir::Instruction& instruction : block.instructions) {
    const ir::RegisterType& type = instruction.results.empty() ? instruction.type : kernel.registers[instruction.results[0]];
    count += std::max(1, type.rows * type.cols);
    for (const ir::Block& inner : instruction.blocks) count += values_of(inner, kernel);
  }
  return count;
}

/// Which kernels a module holds; the last group of a program also has the entry.
struct Group {
  std::vector<std::size_t> kernels;
  std::int64_t values = 0;
  bool entry = false;
};

std::vector<Group> group_kernels(const ir::Program& program, bool single) {
  std::vector<Group> groups(1);
  for (std::size_t i = 0; i < program.kernels.size(); ++i) {
    const std::int64_t values = values_of(program.kernels[i].body, program.kernels[i]);
    if (!single && groups.back().values > 0 && groups.back().values + values > module_values) groups.emplace_back();
    groups.back().kernels.push_back(i);
    groups.back().values += values;
  }
  groups.back().entry = true;
  return groups;
}

std::string kernel_symbol(const ir::Program& program, const std::string& name, std::size_t kernel) {
  return name + "." + std::to_string(kernel) + "." + program.kernels[kernel].name;
}

/// LLVM's own handler would print and exit the process.
struct ThrowingDiagnostics : llvm::DiagnosticHandler {
  bool handleDiagnostics(const llvm::DiagnosticInfo& info) override {
    if (info.getSeverity() != llvm::DS_Error) return true;
    std::string text;
    llvm::raw_string_ostream stream(text);
    llvm::DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
    throw InternalError("LLVM: " + text);
  }
};

void emit_group(ModuleEmitter& m, const ir::Program& program, const std::string& name, const Group& group, bool single) {
  std::vector<llvm::Function*> functions(program.kernels.size());
  const auto declare = [&](std::size_t i) {
    functions[i] = m.new_function(kernel_symbol(program, name, i), kernel_type(m, program.kernels[i]), single, !single);
  };
  if (group.entry)
    for (std::size_t i = 0; i < program.kernels.size(); ++i) declare(i);
  for (const std::size_t i : group.kernels) {
    if (!functions[i]) declare(i);
    emit_kernel(m, program.kernels[i], functions[i]);
  }
  if (group.entry) emit_program(m, program, name, functions);
  for (llvm::Function& function : m.module) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    if (!function.isDeclaration() && llvm::verifyFunction(function, &stream)) {
      function.print(stream);
      throw InternalError("code generation made invalid LLVM IR: " + text);
    }
  }
}

/// Runs the code generator over a module.
std::vector<char> generate(ModuleEmitter& m, llvm::TargetMachine& machine, llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  internal_check(!machine.addPassesToEmitFile(passes, stream, nullptr, type), "LLVM cannot write this kind of file");
  passes.run(m.module);
  return {bytes.begin(), bytes.end()};
}

/// A module with its context, from a group.
template <class Use>
auto with_module(const ir::Program& program, const std::string& name, const Group& group, bool single, const Target& target,
                 llvm::TargetMachine& machine, Use&& use) {
  llvm::LLVMContext context;
  context.setDiagnosticHandler(std::make_unique<ThrowingDiagnostics>());
  ModuleEmitter m(context, name, target);
  m.module.setTargetTriple(machine.getTargetTriple().str());
  m.module.setDataLayout(machine.createDataLayout());
  emit_group(m, program, name, group, single);
  return use(m);
}

}  // namespace

std::vector<char> compile_object(const ir::Program& program, const std::string& name, const X86Options& options) {
  const Target target = resolve_target(options.target);
  const std::vector<Group> groups = group_kernels(program, options.single_object);
  std::vector<std::vector<char>> objects(groups.size());

  // The largest modules first: the last one to finish is then a small one.
  std::vector<std::size_t> order(groups.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return groups[a].values > groups[b].values; });
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> failures(groups.size());
  const auto work = [&] {
    std::unique_ptr<llvm::TargetMachine> machine;
    for (std::size_t i = next++; i < order.size(); i = next++) {
      const std::size_t at = order[i];
      try {
        if (!machine) machine = make_machine(target);
        objects[at] = with_module(program, name, groups[at], options.single_object, target, *machine,
                                  [&](ModuleEmitter& m) { return generate(m, *machine, llvm::CodeGenFileType::ObjectFile); });
      } catch (...) {
        failures[at] = std::current_exception();
      }
    }
  };
  const std::size_t wanted =
      options.compile_threads > 0 ? static_cast<std::size_t>(options.compile_threads) : std::thread::hardware_concurrency();
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min(std::max<std::size_t>(wanted, 1), groups.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return bundle_objects(objects);
}

std::string llvm_text(const ir::Program& program, const X86Options& options) {
  const Target target = resolve_target(options.target);
  const auto machine = make_machine(target);
  return with_module(program, program.name, group_kernels(program, true)[0], true, target, *machine, [](ModuleEmitter& m) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    m.module.print(stream, nullptr);
    return text;
  });
}

std::string assembly_text(const ir::Program& program, const X86Options& options) {
  const Target target = resolve_target(options.target);
  const auto machine = make_machine(target);
  return with_module(program, program.name, group_kernels(program, true)[0], true, target, *machine, [&](ModuleEmitter& m) {
    const std::vector<char> text = generate(m, *machine, llvm::CodeGenFileType::AssemblyFile);
    return std::string(text.begin(), text.end());
  });
}

}  // namespace kiln::codegen
