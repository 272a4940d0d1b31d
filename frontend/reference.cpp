// The reference engine: a run evaluates the user's graph operator by operator, after gradients are expanded and before anything is
// rewritten.
#include <algorithm>
#include <cstring>

#include "frontend/compile.h"
#include "ir/extent_checks.h"
#include "ir/interpreter.h"
#include "ir/produced.h"

namespace kiln::detail {

namespace {

struct Reference {
  ir::Module module;
  ir::Program signature;  ///< ports, symbols, variables, custom calls, prints and checks of extents; it has no statements
  std::map<std::pair<const ir::Graph*, ir::NodeId>, std::int64_t> custom_calls, prints;  ///< which one a node is
};

Shape concrete(const ir::Dims& dims, const ir::Program& signature, const std::int64_t* symbols) {
  std::vector<std::int64_t> extents;
  for (const ir::Dim& dim : dims)
    extents.push_back(ir::evaluate(dim, [&](std::string_view name) -> std::optional<std::int64_t> {
      const std::optional<std::size_t> index = ir::symbol_index(signature, name);
      return index ? std::optional(symbols[*index]) : std::nullopt;
    }));
  return Shape(std::move(extents));
}

/// Ends an interpretation: the status that the run ends with.
struct Stop {
  std::int32_t status;
};

std::int32_t run(kiln_call* call) {
  const Reference& reference = *static_cast<const Reference*>(call->program);
  const ir::Program& signature = reference.signature;
  std::vector<Array> inputs;
  for (std::size_t i = 0; i < signature.inputs.size(); ++i)
    inputs.push_back(
        Array::adopt(signature.inputs[i].dtype, concrete(signature.inputs[i].dims, signature, call->symbols), call->inputs[i], nullptr));
  std::map<std::string, Array> variables;
  for (std::size_t i = 0; i < signature.variables.size(); ++i) {
    const ir::ProgramVariable& variable = signature.variables[i];
    variables.emplace(variable.name,
                      Array::adopt(variable.dtype, concrete(variable.dims, signature, call->symbols), call->variables[i], nullptr));
  }
  ir::InterpretHooks hooks;
  hooks.poll = [&] {
    if (const std::int32_t status = call->poll ? call->poll(call->poll_context) : KILN_OK; status != KILN_OK) throw Stop{status};
  };
  hooks.print = [&](const ir::Graph& graph, ir::NodeId node, const Array& value) {
    if (!call->print) return;
    const std::int64_t index = reference.prints.at({&graph, node});
    if (call->print(call->print_context, index, value.raw(), value.shape().begin()) == 0) return;
    call->detail = index;
    throw Stop{KILN_PRINT_FAILED};
  };
  hooks.produced = [&](const std::string& symbol, std::int64_t value) { call->symbols[ir::symbol_index(signature, symbol).value()] = value; };
  hooks.custom_call = [&](const ir::Graph& graph, ir::NodeId node, std::span<const Array> operands, std::span<const Shape> shapes) {
    const std::int64_t index = reference.custom_calls.at({&graph, node});
    std::vector<Array> results;
    std::vector<const void*> read;
    std::vector<void*> written;
    for (const Array& operand : operands) read.push_back(operand.raw());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      results.emplace_back(graph.type(graph.node(node).first_result + static_cast<ir::ValueId>(i)).dtype, shapes[i]);
      written.push_back(results.back().mutable_raw());
    }
    if (call->custom_call && call->custom_call(call->custom_call_context, index, read.data(), written.data()) == 0) return results;
    call->detail = index;
    throw Stop{KILN_CUSTOM_CALL};
  };
  ir::RunResult result;
  try {
    result = ir::interpret(reference.module, inputs, variables, hooks);
    hooks.poll();
  } catch (const Stop& stop) {
    return stop.status;
  }
  for (std::size_t i = 0; i < result.results.size(); ++i)
    if (result.results[i].bytes() > 0) std::memcpy(call->outputs[i], result.results[i].raw(), result.results[i].bytes());
  for (std::size_t i = 0; i < signature.variables.size(); ++i) {
    const auto assigned = result.assigned.find(signature.variables[i].name);
    if (assigned == result.assigned.end()) continue;
    if (assigned->second.bytes() > 0) std::memcpy(call->shadows[i], assigned->second.raw(), assigned->second.bytes());
    std::swap(call->variables[i], call->shadows[i]);
  }
  return KILN_OK;
}

std::int32_t plan(void* program, const std::int64_t* symbols, std::int64_t* values) {
  return ir::interpret_plan(&static_cast<Reference*>(program)->signature, symbols, values);
}

/// The produced symbols with their bounds, those of main first: results mention no others.
void list_produced(const ir::Module& module, ir::Program& signature) {
  const auto list = [&](const ir::Graph& graph) {
    for (ir::NodeId n = 0; n < graph.node_count(); ++n) {
      const std::string* name = ir::produced_symbol(graph.node(n));
      if (!name || std::ranges::find(signature.produced, *name, &ir::ProducedExtent::name) != signature.produced.end()) continue;
      signature.produced.push_back({*name, upper_bound(signature, graph.type(graph.node(n).operands[0]).dims[0])});
    }
  };
  list(module.main_graph());
  for (const auto& graph : module.graphs) list(*graph);
}

ir::Program signature_of(const ir::Module& module) {
  ir::Program signature;
  signature.locations.clear();
  for (ir::LocationId id = 0; id < module.location_count(); ++id) signature.locations.push_back(module.location(id));
  const ir::Graph& main = module.main_graph();
  const auto port = [&](ir::ValueId value) {
    const ir::Type& type = main.type(value);
    return ir::ProgramPort{main.value_name(value), type.dtype, type.dims, main.definition(value).location};
  };
  for (const ir::ValueId value : main.parameters) signature.inputs.push_back(port(value));
  for (const ir::ValueId value : main.results) signature.outputs.push_back(port(value));
  list_produced(module, signature);
  for (const auto* ports : {&signature.inputs, &signature.outputs})
    for (const ir::ProgramPort& p : *ports)
      for (const ir::Dim& dim : p.dims)
        for (const std::string& name : ir::symbols_of(dim)) {
          const auto known = [&](const auto& info) { return info->name == name; };
          if (std::ranges::find(signature.produced, name, &ir::ProducedExtent::name) != signature.produced.end()) continue;
          if (std::any_of(signature.symbols.begin(), signature.symbols.end(), known)) continue;
          const auto found = std::find_if(module.symbols.begin(), module.symbols.end(), known);
          if (found != module.symbols.end()) {
            signature.symbols.push_back(*found);
          } else {
            auto info = std::make_shared<ir::SymbolInfo>();
            info->name = name;
            signature.symbols.push_back(std::move(info));
          }
        }
  for (const ir::Variable& variable : module.variables) {
    ir::ProgramVariable& spec = signature.variables.emplace_back();
    spec.name = variable.name;
    spec.dtype = variable.type.dtype;
    spec.dims = variable.type.dims;
    spec.location = variable.location;
    for (ir::NodeId n = 0; n < main.node_count(); ++n) {
      const ir::Node& node = main.node(n);
      if ((node.op != ir::Op::variable && node.op != ir::Op::assign) || node.attributes.text("name") != variable.name) continue;
      (node.op == ir::Op::variable ? spec.read : spec.assigned) = true;
    }
    spec.shadowed = spec.assigned;
  }
  return signature;
}

/// Lists the custom calls of all graphs in the signature.
void list_custom_calls(Reference& reference) {
  for (const auto& graph : reference.module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n) {
      const ir::Node& node = graph->node(n);
      if (node.op != ir::Op::custom_call) continue;
      std::vector<ir::ProgramCustomCall>& calls = reference.signature.custom_calls;
      reference.custom_calls[{graph.get(), n}] = static_cast<std::int64_t>(calls.size());
      ir::ProgramCustomCall& call = calls.emplace_back();
      call.name = node.attributes.text("name");
      call.location = node.location;
      for (const ir::ValueId v : node.operands) call.operands.push_back(graph->type(v));
      for (std::uint32_t i = 0; i < node.result_count; ++i) call.results.push_back(graph->type(node.first_result + i));
    }
}

/// The same for prints.
void list_prints(Reference& reference) {
  for (const auto& graph : reference.module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n) {
      const ir::Node& node = graph->node(n);
      if (node.op != ir::Op::print) continue;
      std::vector<ir::ProgramPrint>& prints = reference.signature.prints;
      reference.prints[{graph.get(), n}] = static_cast<std::int64_t>(prints.size());
      prints.push_back({node.attributes.text("message"), graph->type(node.operands[0]), node.location});
    }
}

void list_extent_checks(const ir::Module& module, ir::Program& signature) {
  for (ir::ExtentRequirement& requirement : ir::extent_requirements(module)) {
    const auto check = static_cast<std::uint32_t>(signature.checks.size());
    signature.checks.push_back({ErrorCode::shape_mismatch, std::move(requirement.message), requirement.location, ir::unequal_extents_hint});
    signature.extent_checks.push_back({requirement.left, requirement.right, check});
  }
}

bool watches(const ir::Module& module) {
  for (const auto& graph : module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n)
      if (graph->node(n).op == ir::Op::check_finite) return true;
  return false;
}

}  // namespace

runtime::Program reference_program(ir::Module module) {
  passes::run_passes(module, {"dead_code", "gradients"}, {});
  // What check_finite blames are primitives.
  if (watches(module)) passes::run_passes(module, {"inline_calls", "expand_finite_checks"}, {});
  auto reference = std::make_shared<Reference>();
  reference->signature = signature_of(module);
  reference->module = std::move(module);
  list_custom_calls(*reference);
  list_prints(*reference);
  list_extent_checks(reference->module, reference->signature);
  runtime::Program program = describe(reference->signature);
  program.entry = run;
  program.plan = plan;
  program.self = reference.get();
  program.code = std::move(reference);
  return program;
}

}  // namespace kiln::detail
