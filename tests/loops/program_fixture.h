// Runs programs of program IR on arrays, as a Session would: plan, arena (poisoned), variables with shadows.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "ir/program.h"
#include "kiln/abi.h"
#include "kiln/array.h"

namespace kiln::ir {

struct ProgramRun {
  std::int32_t status = 0;
  std::int64_t detail = 0;
  std::vector<Array> outputs;
  std::int64_t arena_bytes = 0;
  int polls = 0, allocations = 0;
};

/// `variables` holds current values by name and receives the new ones. `stop_at_poll`: the poll that answers KILN_CANCELLED; 0: none.
/// `entry`: the interpreter, or machine code of the program.
inline ProgramRun run_program(const Program& program, const std::vector<Array>& inputs, const std::vector<std::int64_t>& symbols,
                              std::map<std::string, Array>& variables, int stop_at_poll = 0, bool may_allocate = true,
                              kiln_entry entry = interpret_program) {
  ProgramRun run;
  const std::vector<Dim> dims = plan_dims(program);
  std::vector<std::int64_t> values(dims.size());
  std::vector<std::int64_t> symbol_values = symbols;  // produced ones are written by the run
  symbol_values.resize(program.symbols.size() + program.produced.size(), 0);
  run.status = interpret_plan(const_cast<Program*>(&program), symbol_values.data(), values.data());
  if (run.status != KILN_OK) return run;
  run.arena_bytes = values[0];
  const auto value_of = [&](std::string_view name) -> std::optional<std::int64_t> {
    const std::optional<std::size_t> index = symbol_index(program, name);
    return index ? std::optional(symbol_values[*index]) : std::nullopt;
  };
  const auto shape_of = [&](const Dims& extents) {
    std::vector<std::int64_t> shape;
    for (const Dim& dim : extents) shape.push_back(evaluate(dim, value_of));
    return Shape(shape);
  };
  const auto make = [&](DType dtype, const Dims& extents) { return Array(dtype, shape_of(extents)); };
  std::vector<const void*> in, constants;
  std::vector<void*> out, current, shadow;
  for (const Array& array : inputs) in.push_back(array.raw());
  for (const Array& array : program.constants) constants.push_back(array.raw());
  for (const ProgramPort& port : program.outputs) run.outputs.push_back(make(port.dtype, {upper_bound(program, product(port.dims))}));
  for (Array& array : run.outputs) out.push_back(array.mutable_raw());
  std::vector<Array> first, second;
  for (const ProgramVariable& v : program.variables) {
    first.emplace_back(ArrayView(variables.at(v.name)));
    second.push_back(make(v.dtype, v.dims));
  }
  for (std::size_t i = 0; i < first.size(); ++i) {
    current.push_back(first[i].mutable_raw());
    shadow.push_back(program.variables[i].shadowed ? second[i].mutable_raw() : nullptr);
  }
  std::vector<unsigned char> arena(static_cast<std::size_t>(run.arena_bytes) + 64, 0xCD);
  struct Context {
    ProgramRun* run;
    int stop;
    std::vector<std::unique_ptr<unsigned char[]>> memory;
  } context{&run, stop_at_poll, {}};
  kiln_call call{};
  call.inputs = in.data();
  call.outputs = out.data();
  call.variables = current.data();
  call.shadows = shadow.data();
  call.constants = constants.data();
  call.symbols = symbol_values.data();
  call.values = values.data();
  call.arena = arena.data() + (64 - reinterpret_cast<std::uintptr_t>(arena.data()) % 64) % 64;
  call.program = const_cast<Program*>(&program);
  call.poll_context = &context;
  call.poll = [](void* c) -> std::int32_t {
    auto& at = *static_cast<Context*>(c);
    return ++at.run->polls == at.stop ? KILN_CANCELLED : KILN_OK;
  };
  if (may_allocate) {
    call.allocator = &context;
    call.allocate = [](void* c, std::size_t bytes) -> void* {
      auto& at = *static_cast<Context*>(c);
      ++at.run->allocations;
      return at.memory.emplace_back(new unsigned char[bytes]).get();
    };
  }
  run.status = entry(&call);
  run.detail = call.detail;
  // Memory is that of the bounds; the shape is what there is.
  for (std::size_t i = 0; i < run.outputs.size() && run.status == KILN_OK; ++i) {
    const Array& room = run.outputs[i];
    run.outputs[i] = Array(ArrayView(room.dtype(), shape_of(program.outputs[i].dims), room.raw()));
  }
  for (std::size_t i = 0; i < first.size(); ++i) {
    // The current storage is one of the two.
    const bool swapped = current[i] == second[i].raw();
    variables[program.variables[i].name] = swapped ? second[i] : first[i];
  }
  return run;
}

}  // namespace kiln::ir
