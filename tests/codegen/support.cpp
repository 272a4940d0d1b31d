#include "tests/codegen/support.h"

namespace kiln::test {

ir::Program program_of(const ir::Kernel& kernel) {
  ir::Program program;
  program.name = "test";
  program.symbols = kernel.symbols;
  program.kernels.push_back(kernel);
  ir::Statement call;
  call.kind = ir::StatementKind::call;
  for (const ir::Buffer& buffer : kernel.buffers) {
    ir::ProgramBuffer place;
    place.name = buffer.name;
    place.dtype = buffer.dtype;
    place.extents = buffer.extents;
    const bool input = buffer.role == ir::Buffer::Role::input;
    auto& ports = input ? program.inputs : program.outputs;
    place.storage = input ? ir::Storage::input : ir::Storage::output;
    place.index = static_cast<std::uint32_t>(ports.size());
    ports.push_back({buffer.name, buffer.dtype, buffer.extents, 0});
    call.buffers.push_back(static_cast<std::uint32_t>(program.buffers.size()));
    program.buffers.push_back(place);
  }
  program.body.push_back(call);
  return program;
}

Compiled compile(const ir::Program& program, const codegen::X86Options& options) {
  std::vector<char> object = codegen::compile_object(program, "test", options);
  Compiled compiled;
  compiled.object_bytes = object.size();
  compiled.code = codegen::load_object(std::move(object), "test");
  return compiled;
}

kiln_call* Call::prepare() {
  call.inputs = inputs.data();
  call.outputs = outputs.data();
  call.variables = variables.data();
  call.shadows = shadows.data();
  call.constants = constants.data();
  call.symbols = symbols.data();
  call.values = values.data();
  auto start = reinterpret_cast<std::uintptr_t>(arena.data());
  call.arena = arena.data() + ((64 - start % 64) % 64);
  return &call;
}

void run_kernel(const ir::Kernel& kernel, const std::vector<void*>& buffers, const std::vector<std::int64_t>& symbols, const codegen::X86Options& options) {
  const Compiled compiled = compile(program_of(kernel), options);
  Call call;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    if (kernel.buffers[i].role == ir::Buffer::Role::input) call.inputs.push_back(buffers[i]);
    else call.outputs.push_back(buffers[i]);
  }
  call.symbols = symbols;
  compiled.code.entry(call.prepare());
}

bool host_runs(const std::string& level) { return codegen::host_cpu().level >= level; }

}  // namespace kiln::test
