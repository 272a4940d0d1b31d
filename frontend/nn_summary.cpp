// summary(): a model is called in a graph of its own while a Tracer notes the calls; then the table is printed.
//
// Floating-point operations are those of matrix products and convolutions, two for each multiply-add, as profilers count them; everything
// else is memory traffic. They are read from the graph that the call built: those of a loop's body count as often as it runs where that is
// known before the run (scan; while_loop with max_trip_count), else once; of two branches the first counts.
#include "kiln/nn/summary.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <set>

#include "frontend/nn_module.h"
#include "frontend/nn_trace.h"

namespace kiln::nn {

using detail::ModuleState;
using detail::Tracer;
using kiln::detail::Access;
using kiln::detail::GraphState;

// ---- the record

namespace {

thread_local Tracer* tracing = nullptr;

/// The states of a module, of its parts and of the owners of what is tied.
std::vector<ModuleState*> states_of(Module& module) {
  std::vector<ModuleState*> found, pending{ModuleState::of(module)};
  std::set<const ModuleState*> seen;
  while (!pending.empty()) {
    ModuleState* root = pending.back();
    pending.pop_back();
    for (ModuleState* state : ModuleState::subtree(*root)) {
      if (!seen.insert(state).second) continue;
      found.push_back(state);
      for (const auto& [name, tie] : state->ties) pending.push_back(ModuleState::of(*tie.owner));
    }
  }
  return found;
}

}  // namespace

namespace detail {

Tracer::Tracer(Module& module, GraphState& state) : state_(state) {
  for (ModuleState* own : states_of(module)) {
    saved_.push_back({own, std::move(own->parameters), std::move(own->buffers), own->built});
    own->parameters.clear();
    own->buffers.clear();
  }
  tracing = this;
}

Tracer::~Tracer() {
  tracing = nullptr;
  for (Saved& saved : saved_) {
    saved.state->parameters = std::move(saved.parameters);
    saved.state->buffers = std::move(saved.buffers);
    saved.state->built = saved.built;
  }
}

Tracer* Tracer::active() { return tracing; }

std::size_t Tracer::enter(const Module& module) {
  const int depth = innermost_ ? entries_[innermost_ - 1].depth + 1 : 0;
  const auto first = static_cast<ir::NodeId>(state_.module.main_graph().node_count());
  entries_.push_back({&module, ModuleState::of(module), depth, "", first, first, innermost_});
  return innermost_ = entries_.size();
}

void Tracer::leave(std::size_t entry) {
  Entry& left = entries_[entry - 1];
  left.last = static_cast<ir::NodeId>(state_.module.main_graph().node_count());
  left.type = left.module->type_name();
  left.name = ModuleState::path(*left.state);
  if (!left.name.empty()) left.name.pop_back();
  innermost_ = left.parent;
}

void Tracer::returns(std::size_t entry, const Tensor& result) { entries_[entry - 1].output = to_string(result); }

}  // namespace detail

// ---- counting

namespace {

ir::Dim product(const ir::Dims& dims) {
  ir::Dim result(1);
  for (const ir::Dim& dim : dims) result *= dim;
  return result;
}

ir::Dim flops_of(const ir::Graph& graph, const ir::Node& node) {
  if (node.op == ir::Op::dot_general) {
    ir::Dim k(1);
    const ir::Dims& lhs = graph.type(node.operands[0]).dims;
    for (const std::int64_t axis : ir::integers_or_empty(node.attributes, "lhs_contract")) k *= lhs[static_cast<std::size_t>(axis)];
    return 2 * product(graph.type(node.first_result).dims) * k;
  }
  if (node.op == ir::Op::convolution) {
    ir::Dim k(1);
    const ir::Dims& kernel = graph.type(node.operands[1]).dims;
    const std::int64_t out = node.attributes.integer("rhs_output_feature");
    for (std::size_t i = 0; i < kernel.size(); ++i)
      if (static_cast<std::int64_t>(i) != out) k *= kernel[i];
    return 2 * product(graph.type(node.first_result).dims) * k;
  }
  return 0;
}

/// Nodes first .. last - 1 of the main graph, with what they call.
ir::Dim count_flops(const ir::Module& module, ir::NodeId first, ir::NodeId last) {
  struct Part {
    ir::GraphId graph;
    ir::NodeId first, last;
    ir::Dim times;
  };
  ir::Dim total(0);
  std::vector<Part> pending{{module.main, first, last, ir::Dim(1)}};
  while (!pending.empty()) {
    const Part part = pending.back();
    pending.pop_back();
    const ir::Graph& graph = module.graph(part.graph);
    for (ir::NodeId n = part.first; n < part.last; ++n) {
      const ir::Node& node = graph.node(n);
      total += part.times * flops_of(graph, node);
      ir::Dim times = part.times;
      if (node.op == ir::Op::scan) times *= node.attributes.dims("length")[0];
      if (node.op == ir::Op::while_loop && node.attributes.find("max_trip_count")) times *= node.attributes.integer("max_trip_count");
      for (const auto& [name, value] : node.attributes.items())
        if (const auto* called = std::get_if<ir::GraphRef>(&value); called && name != "backward" && name != "else")
          pending.push_back({called->id, 0, static_cast<ir::NodeId>(module.graph(called->id).node_count()), times});
    }
  }
  return total;
}

std::int64_t elements(const Variable& variable) {
  std::int64_t count = 1;
  for (const Dim& dim : variable.dims()) count *= dim.value();
  return count;
}

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string count_text(const Dim& dim) { return dim.is_constant() ? with_commas(dim.value()) : to_string(dim); }

}  // namespace

Summary summary(Module& module, const std::function<void(Graph&)>& call, std::source_location location) {
  if (Tracer::active())
    throw Error(ErrorCode::invalid_argument, "summary: called within a call of summary()", location, "call one after the other");
  Graph graph;
  GraphState& state = Access::state(graph);
  Summary result;
  Tracer tracer(module, state);
  call(graph);
  const std::vector<Tracer::Entry>& entries = tracer.entries();
  if (entries.empty() || entries[0].state != ModuleState::of(module))
    throw Error(ErrorCode::invalid_argument, "summary: the function called no module, or another one first", location,
                "call the module in the graph that the function is given");
  // What a call's parts did is theirs.
  std::vector<ir::Dim> flops;
  for (const Tracer::Entry& entry : entries) {
    flops.push_back(count_flops(state.module, entry.first, entry.last));
    if (entry.parent) flops[entry.parent - 1] -= flops.back();
  }
  std::set<std::string> counted;
  ir::Dim total(0);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Tracer::Entry& entry = entries[i];
    SummaryRow row{entry.name, entry.type, entry.depth, entry.output, 0, kiln::detail::DimValue::wrap(flops[i])};
    for (const auto& [name, variable] : entry.state->parameters)
      if (counted.insert(variable.name()).second) row.parameters += elements(variable);
    total += flops[i];
    result.rows.push_back(std::move(row));
  }
  result.flops = kiln::detail::DimValue::wrap(total);
  for (const NamedParameter& parameter : module.named_parameters(location)) result.parameters += elements(parameter.variable);
  for (const Variable& variable : module.parameters(location)) result.trainable_parameters += elements(variable);
  for (const Variable& variable : module.buffers(location)) result.buffers += elements(variable);
  return result;
}

Summary summary(Module& module, const Dims& input, DType dtype, Mode mode, std::source_location location) {
  return summary(module, [&](Graph& graph) { module(graph.placeholder("input", dtype, input, location), mode, location); }, location);
}

std::string Summary::text() const {
  std::vector<std::array<std::string, 4>> cells{{"module", "output", "parameters", "flops"}};
  for (const SummaryRow& row : rows) {
    const std::string own = row.name.substr(row.name.rfind('.') + 1);
    cells.push_back({std::string(static_cast<std::size_t>(2 * row.depth), ' ') + (own.empty() ? row.type : own + ": " + row.type),
                     row.output, row.parameters ? with_commas(row.parameters) : "", row.flops == Dim(0) ? "" : count_text(row.flops)});
  }
  std::array<std::size_t, 4> widths{};
  for (const auto& line : cells)
    for (std::size_t i = 0; i < 4; ++i) widths[i] = std::max(widths[i], line[i].size());
  const std::string rule(widths[0] + widths[1] + widths[2] + widths[3] + 6, '-');
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    std::string line = fmt::format("{:<{}}  {:<{}}  {:>{}}  {:>{}}", cells[i][0], widths[0], cells[i][1], widths[1], cells[i][2], widths[2],
                                   cells[i][3], widths[3]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
    if (i == 0 || i + 1 == cells.size()) text += rule + "\n";
  }
  text += fmt::format("parameters: {}", with_commas(parameters));
  if (trainable_parameters != parameters) text += fmt::format(", {} of them trainable", with_commas(trainable_parameters));
  if (buffers) text += fmt::format("; buffers: {}", with_commas(buffers));
  return text + fmt::format("\nflops: {}\n", count_text(flops));
}

}  // namespace kiln::nn
