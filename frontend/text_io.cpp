// Graphs as text: writing, reading, and what is rebuilt of a graph's names on the way in.
#include <fmt/format.h>
#include <filesystem>

#include "frontend/state.h"
#include "ir/text.h"
#include "kiln/files.h"
#include "runtime/formats.h"

namespace kiln {

using namespace detail;

namespace {

std::string side_file(const std::string& path) { return std::filesystem::path(path).replace_extension(".safetensors").string(); }

/// Without regions that building left behind, such as those of a body that threw.
ir::Module swept(const GraphState& state) {
  ir::Module module = state.module.clone();
  module.sweep();
  return module;
}

std::shared_ptr<GraphState> state_of(ir::Module module) {
  auto state = std::make_shared<GraphState>();
  state->module = std::move(module);
  state->open.front().graph = state->module.main;
  ir::Graph& main = state->module.main_graph();
  for (const auto& info : state->module.symbols) state->symbols.emplace(info->name, info);
  for (std::uint32_t i = 0; i < state->module.variables.size(); ++i) {
    ir::Variable& variable = state->module.variables[i];
    variable.hidden = variable.hidden || variable.name.starts_with("kiln.");
    state->variables.emplace(variable.name, i);
    state->variable_values.push_back(ir::none);
    state->trainable.push_back(!variable.hidden && is_floating(variable.type.dtype));
  }
  for (const auto& graph : state->module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n)
      if (const ir::Node& node = graph->node(n); node.op == ir::Op::rng_bits && node.attributes.find("stream"))
        state->streams.insert(static_cast<std::uint32_t>(node.attributes.integer("stream")));
      else if (node.op == ir::Op::custom_call && node.attributes.integer("ordinal") < INT64_MAX)
        state->next_custom_call = std::max(state->next_custom_call, node.attributes.integer("ordinal") + 1);
  for (ir::NodeId n = 0; n < main.node_count(); ++n) {
    const ir::Node& node = main.node(n);
    if (node.op == ir::Op::variable)
      if (ir::ValueId& value = state->variable_values[state->variables.at(node.attributes.text("name"))]; value == ir::none)
        value = node.first_result;
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      if (const std::string& name = main.value_name(node.first_result + i); !name.empty())
        state->names.emplace(name, node.first_result + i);
  }
  return state;
}

}  // namespace

std::string Graph::text() const { return ir::print(swept(*state_), {.elide_large = true}); }

void Graph::write(const std::string& path, std::source_location location) const {
  const Location where = LocationScope::resolve(location);
  std::map<std::string, Array> literals;
  const std::string text = ir::print(swept(*state_), {.locations = true, .store = &literals});
  // The literals first: a reader never finds a text whose literals are not there yet.
  if (!literals.empty()) write_safetensors(side_file(path), literals, where);
  const runtime::Bytes pieces[] = {runtime::bytes_of(text)};
  runtime::write_file(path, pieces, where);
}

Graph Graph::read(const std::string& path, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  const std::vector<unsigned char> bytes = runtime::read_file(path, where);
  std::map<std::string, Array> literals;
  const std::string side = side_file(path);
  if (std::error_code failed; std::filesystem::exists(side, failed)) literals = read_safetensors(side, where);
  return Access::graph(state_of(ir::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, &literals, ir::ModuleRole::program)));
}

Graph Graph::parse(const std::string& text, const std::string& name) { return Access::graph(state_of(ir::parse(text, name, nullptr, ir::ModuleRole::program))); }

}  // namespace kiln
