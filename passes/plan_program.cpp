// From a fused module to program IR: which buffer holds each value, in which order kernels run, how variables change, and which memory is
// shared.
//
// Order. The nodes of `main` run in their order, except for the *tail*: kernels whose results do nothing but become variables. They run
// last, because from the first one on nothing may fail, and because each must wait for the last reader of the variable that it overwrites.
// Readers before writers can make a cycle (two variables that swap); then one of the variables is double-buffered instead: its new value
// goes to its shadow, and a commit at the very end swaps the two.
//
// In place. A tail kernel may write into the variable that it reads when its loops load each element only before they store it
// (passes/plan_in_place.cpp). An update kernel changes the buffer of the value that its result starts as: that buffer itself where the value
// is read here for the last time and lies in memory of its own (the arena, a loop's carried buffer, a variable in the tail), else a copy
// made just before. So a loop that carries a buffer and changes a slice of it in each step costs no more than the slices. Every value's
// readers are counted down as the statements are made; a value whose count is 0 is dead.
//
// Values that no tail kernel makes (a feed, another variable, a value with other users) are written or copied to the shadow before the
// tail.
//
// Regions. A loop's carried values have buffers of their own; the body computes the next values in place where it can, and else copies them
// there at its end; they start in the buffers of their initial values where nobody else wants those. A branch writes its results straight
// into the buffers of the cond's results. Tapes are used linearly, so a tape value is just the index of its tape. Frames on an explicit
// stack stand for nested regions.
#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <set>

#include <fmt/format.h>

#include "ir/extent_checks.h"
#include "ir/loop_text.h"
#include "ir/op.h"
#include "ir/produced.h"
#include "passes/passes.h"
#include "passes/plan_in_place.h"
#include "passes/plan_memory.h"
#include "passes/plan_order.h"

namespace kiln::passes {
namespace {

using ir::Dim;
using ir::Dims;
using ir::Graph;
using ir::GraphId;
using ir::Module;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Statement;
using ir::StatementKind;
using ir::Storage;
using ir::Type;
using ir::ValueId;

/// Statements and buffers.
class Planner {
 public:
  Planner(const Module& module, const CpuTarget& target) : module_(module), target_(target) {}

  ir::Program run() {
    program_.name = module_.main_graph().name;
    const MainPlan plan = plan_order(module_, [&](GraphId body) -> const ir::Kernel& { return lowered(body); });
    declare_ports();
    require_extents();
    declare_variables(plan);
    choose_main_places();
    emit_main(plan);
    plan_memory(program_);
    return std::move(program_);
  }

 private:
  static constexpr std::uint32_t unset = ir::none;

  // ---- what the program is given and gives ---------------------------------------------------------------------------

  /// `base`, or with .1, .2 ... when that is taken. `names` counts how often each name was asked for, so many equal ones cost no search.
  static std::string unique_name(std::map<std::string, int>& names, const std::string& base) {
    if (names.try_emplace(base, 1).second) return base;
    std::string name;
    do name = fmt::format("{}.{}", base, names[base]++);
    while (!names.try_emplace(name, 1).second);
    return name;
  }

  std::uint32_t buffer(std::string name, DType dtype, Dims extents, Storage storage, std::uint32_t index = 0) {
    if (name.empty()) name = fmt::format("t{}", program_.buffers.size());
    // Names are unique in a program: the second `h` is h.1.
    name = unique_name(names_, name);
    program_.buffers.push_back({std::move(name), dtype, std::move(extents), storage, index, Dim(0)});
    return static_cast<std::uint32_t>(program_.buffers.size() - 1);
  }

  ir::LocationId location(ir::LocationId id) {
    const Location& where = module_.location(id);
    if (!where.known()) return 0;
    const auto [found, fresh] = locations_.emplace(id, static_cast<ir::LocationId>(program_.locations.size()));
    if (fresh) program_.locations.push_back(where);
    return found->second;
  }

  void declare_ports() {
    const Graph& main = module_.main_graph();
    std::set<std::string> known;
    std::map<std::string, int> inputs;
    for (std::size_t i = 0; i < main.parameters.size(); ++i) {
      const ValueId p = main.parameters[i];
      const Type& type = main.type(p);
      const std::string& name = main.value_name(p);
      program_.inputs.push_back({unique_name(inputs, name.empty() ? fmt::format("input{}", i) : name), type.dtype, type.dims,
                                 location(main.definition(p).location)});
      for (const Dim& d : type.dims)
        if (const ir::SymbolInfo* info = d.symbol_info(); info != nullptr && known.insert(info->name).second)
          program_.symbols.push_back(std::make_shared<ir::SymbolInfo>(*info));
    }
    std::map<std::string, int> outputs;
    for (std::size_t o = 0; o < main.results.size(); ++o) {
      const ValueId r = main.results[o];
      const Type& type = main.type(r);
      const std::string& name = main.value_name(r);
      program_.outputs.push_back({unique_name(outputs, name.empty() ? fmt::format("result{}", o) : name), type.dtype, type.dims,
                                  location(main.definition(r).location)});
    }
    const ir::ProducedSymbols produced(module_);
    for (const auto& [name, definitions] : produced.all()) known.insert(name);
    require_known(known);
  }

  void require_extents() {
    for (ir::ExtentRequirement& requirement : ir::extent_requirements(module_)) {
      const auto check = static_cast<std::uint32_t>(program_.checks.size());
      program_.checks.push_back({ErrorCode::shape_mismatch, std::move(requirement.message), location(requirement.location), ir::unequal_extents_hint});
      program_.extent_checks.push_back({requirement.left, requirement.right, check});
    }
  }

  /// Every symbol must be the extent of something that is fed, or be produced.
  void require_known(const std::set<std::string>& known) const {
    for (GraphId g = 0; g < module_.graphs.size(); ++g) {
      const Graph& graph = module_.graph(g);
      for (NodeId i = 0; i < graph.node_count(); ++i) {
        const Node& node = graph.node(i);
        for (std::uint32_t r = 0; r < node.result_count; ++r)
          for (const Dim& d : graph.type(node.first_result + r).dims) {
            if (d.is_constant()) continue;
            for (const std::string& name : ir::symbols_of(d))
              if (!known.count(name))
                throw Error(ErrorCode::missing_feed,
                            fmt::format("the extent '{}' of {} is not known in this run: no fed placeholder has it as an extent of its own",
                                        name, to_string(graph.type(node.first_result + r))),
                            module_.location(node.location), fmt::format("feed a placeholder with an extent that is just '{}'", name));
          }
      }
    }
  }

  void declare_variables(const MainPlan& plan) {
    const Graph& main = module_.main_graph();
    program_variable_.assign(module_.variables.size(), unset);
    for (NodeId i = 0; i < main.node_count(); ++i) {
      const Node& node = main.node(i);
      if (node.op != Op::variable && node.op != Op::assign) continue;
      const std::uint32_t v = *module_.find_variable(node.attributes.text("name"));
      if (program_variable_[v] == unset) {
        program_variable_[v] = static_cast<std::uint32_t>(program_.variables.size());
        const ir::Variable& variable = module_.variables[v];
        program_.variables.push_back({variable.name, variable.type.dtype, variable.type.dims, false, false, plan.shadowed.count(v) != 0,
                                      location(variable.location)});
      }
      ir::ProgramVariable& variable = program_.variables[program_variable_[v]];
      (node.op == Op::variable ? variable.read : variable.assigned) = true;
    }
    storage_.assign(program_.variables.size(), unset);
    shadow_.assign(program_.variables.size(), unset);
    for (std::uint32_t v = 0; v < program_.variables.size(); ++v) {
      const ir::ProgramVariable& variable = program_.variables[v];
      storage_[v] = buffer(variable.name, variable.dtype, variable.dims, Storage::variable, v);
      if (variable.shadowed) shadow_[v] = buffer(variable.name + ".next", variable.dtype, variable.dims, Storage::shadow, v);
    }
  }

  /// Where the values of `main` go that do not simply get a slot of the arena.
  void choose_main_places() {
    const Graph& main = module_.main_graph();
    place_.assign(main.value_count(), unset);
    for (std::size_t i = 0; i < main.parameters.size(); ++i) {
      const ir::ProgramPort& port = program_.inputs[i];
      place_[main.parameters[i]] = buffer(port.name, port.dtype, port.dims, Storage::input, static_cast<std::uint32_t>(i));
    }
    for (NodeId i = 0; i < main.node_count(); ++i) {
      const Node& node = main.node(i);
      if (node.op == Op::variable) place_[node.first_result] = storage_[variable_index(node)];
    }
    for (std::size_t o = 0; o < main.results.size(); ++o) {
      const ir::ProgramPort& port = program_.outputs[o];
      const std::uint32_t out = buffer(port.name, port.dtype, port.dims, Storage::output, static_cast<std::uint32_t>(o));
      const ValueId root = root_of(main, main.results[o]);
      // An update or a loop may start as a copy of an operand, which is whole before a shrink has said how much of it is the result.
      const Node& maker = main.definition(root);
      const bool cut = !(ir::product(main.type(root).dims) == ir::product(port.dims));
      const bool starts_whole = maker.op != Op::kernel || updated_parameter(lowered(maker.attributes.graph("body")));
      if (writes_results(maker.op) && place_[root] == unset && !(cut && starts_whole))
        place_[root] = out;
      else
        output_copies_.push_back({out, root});
    }
    for (NodeId i = 0; i < main.node_count(); ++i) {
      const Node& node = main.node(i);
      if (node.op != Op::assign) continue;
      const std::uint32_t v = variable_index(node);
      const ValueId root = root_of(main, node.operands[0]);
      const std::uint32_t target = program_.variables[v].shadowed ? shadow_[v] : storage_[v];
      if (writes_results(main.definition(root).op) && place_[root] == unset)
        place_[root] = target;
      else
        shadow_copies_.push_back({target, root});
    }
    start_in_place(main);
  }

  /// What a result in an output or shadow starts as (of a loop: its initial value; of an update: its first operand) is made there too, when
  /// nobody else reads it.
  void start_in_place(const Graph& main) {
    const std::vector<std::uint32_t> readers = count_readers(main);
    const auto start = [&](ValueId result, ValueId from) {
      const std::uint32_t place = place_[result];
      if (place == unset || (program_.buffers[place].storage != Storage::output && program_.buffers[place].storage != Storage::shadow)) return;
      const ValueId root = root_of(main, from);
      if (writes_results(main.definition(root).op) && place_[root] == unset && readers[root] == 1) place_[root] = place;
    };
    for (NodeId i = static_cast<NodeId>(main.node_count()); i-- > 0;) {
      const Node& node = main.node(i);
      if (node.op == Op::while_loop)
        for (std::uint32_t k = 0; k < node.result_count; ++k)
          if (!is_tape(main, node.first_result + k)) start(node.first_result + k, node.operands[k]);
      if (node.op == Op::kernel)
        if (const auto updated = updated_parameter(lowered(node.attributes.graph("body"))))
          start(node.first_result, node.operands[*updated]);
    }
  }

  std::uint32_t variable_index(const Node& node) const { return program_variable_[*module_.find_variable(node.attributes.text("name"))]; }

  // ---- statements ------------------------------------------------------------------------------------------------------

  /// One region being emitted.
  struct Frame {
    GraphId graph = ir::none;
    std::vector<std::uint32_t> place;  ///< value -> buffer, or tape for tape types
    std::vector<NodeId> order;
    std::size_t next = 0;
    std::vector<Statement> statements;
    bool polls = true;
    std::vector<std::uint32_t> readers;          ///< root value -> operands and results that are still to read it
    std::map<ValueId, std::uint32_t> wanted_in;  ///< next values of a loop body: the carried buffer that each should be made in
    std::map<std::uint32_t, ValueId> lies_in;    ///< the loop body's own carried buffers -> the value that was put there last
    // What the parent does with the region when it is done.
    enum class Part : std::uint8_t { main, condition, body, then_branch, else_branch, call } part = Part::main;
    NodeId owner = ir::none;  ///< node of the parent frame
  };

  /// A while or cond whose blocks are being emitted.
  struct Pending {
    std::vector<std::uint32_t> carried;  ///< buffers or tapes of carried values (while), of results (cond)
    Statement statement;
  };

  void emit_main(const MainPlan& plan) {
    const Graph& main = module_.main_graph();
    Frame frame;
    frame.graph = module_.main;
    frame.place = std::move(place_);
    frame.order = plan.order;
    frame.readers = count_readers(main);
    frames_.push_back(std::move(frame));
    while (true) {
      Frame& top = frames_.back();
      if (top.next < top.order.size()) {
        emit_node(top.order[top.next++]);
        continue;
      }
      if (frames_.size() == 1) break;
      finish_region();
    }
    // Before the tail: the last chance to stop, then copies that read old values.
    Frame& f = frames_.back();
    const std::set<NodeId> tail(plan.tail.begin(), plan.tail.end());
    auto copy_if = [&](const std::vector<Copy>& copies, bool from_tail) {
      for (const Copy& c : copies)
        if ((tail.count(main.defining_node(c.source)) != 0) == from_tail) copy(f, c.target, at(f, c.source));
    };
    if (!plan.tail.empty() && !f.statements.empty()) f.statements.push_back({StatementKind::poll, 0, {}, {}});
    copy_if(output_copies_, false);
    copy_if(shadow_copies_, false);
    f.polls = false;
    for (NodeId i : plan.tail) emit_node(i);
    copy_if(output_copies_, true);
    copy_if(shadow_copies_, true);
    for (std::uint32_t v = 0; v < program_.variables.size(); ++v)
      if (program_.variables[v].shadowed) f.statements.push_back({StatementKind::commit, v, {}, {}});
    program_.body = std::move(f.statements);
    frames_.clear();
  }

  static void copy(Frame& frame, std::uint32_t target, std::uint32_t source) {
    if (target != source) frame.statements.push_back({StatementKind::copy, 0, {target, source}, {}});
  }

  const Graph& graph_of(const Frame& frame) const { return module_.graph(frame.graph); }

  /// The buffer (or tape) that holds a value.
  std::uint32_t at(const Frame& frame, ValueId v) const { return frame.place[root_of(graph_of(frame), v)]; }

  std::uint32_t new_buffer(const Graph& graph, ValueId v) {
    const Type& type = graph.type(v);
    return buffer(graph.value_name(v), type.dtype, type.dims, Storage::arena);
  }

  void emit_node(NodeId i) {
    Frame& frame = frames_.back();
    const Graph& graph = graph_of(frame);
    const Node& node = graph.node(i);
    for (ValueId v : read_operands(node)) --frame.readers[root_of(graph, v)];
    switch (node.op) {
      case Op::parameter:
      case Op::variable: return;
      case Op::constant: {
        program_.constants.push_back(node.attributes.literal("value"));
        const Type& type = graph.type(node.first_result);
        frame.place[node.first_result] = buffer(graph.value_name(node.first_result), type.dtype, type.dims, Storage::constant,
                                                static_cast<std::uint32_t>(program_.constants.size() - 1));
        return;
      }
      case Op::reshape:
      case Op::stop_gradient:
      case Op::assign: return;
      case Op::shrink: emit_produce(frame, graph, node); return;
      case Op::kernel: emit_kernel(frame, graph, node); return;
      case Op::custom_call: emit_custom_call(frame, graph, node); return;
      case Op::check: {
        program_.checks.push_back({static_cast<ErrorCode>(node.attributes.integer("code")), node.attributes.text("message"),
                                   location(node.location), node.attributes.find("hint") ? node.attributes.text("hint") : ""});
        frame.statements.push_back(
            {StatementKind::check, static_cast<std::uint32_t>(program_.checks.size() - 1), {at(frame, node.operands[0])}, {}});
        return;
      }
      case Op::print:
        program_.prints.push_back({node.attributes.text("message"), graph.type(node.operands[0]), location(node.location)});
        frame.statements.push_back(
            {StatementKind::print, static_cast<std::uint32_t>(program_.prints.size() - 1), {at(frame, node.operands[0])}, {}});
        return;
      case Op::tape_new: {
        const Type& type = graph.type(node.first_result);
        const auto tape = static_cast<std::uint32_t>(program_.tapes.size());
        const std::string name = fmt::format("tape{}", tape);
        Dims extents;  // items of one size, whatever is produced
        for (const Dim& d : type.dims) extents.push_back(upper_bound(program_, d));
        program_.tapes.push_back({name, type.dtype, std::move(extents), buffer(name + ".state", DType::u8, {Dim(64)}, Storage::arena)});
        frame.place[node.first_result] = tape;
        frame.statements.push_back({StatementKind::tape_clear, tape, {}, {}});
        return;
      }
      case Op::tape_push:
        frame.place[node.first_result] = at(frame, node.operands[0]);
        frame.statements.push_back({StatementKind::tape_push, at(frame, node.operands[0]), {at(frame, node.operands[1])}, {}});
        return;
      case Op::tape_pop:
        frame.place[node.first_result] = at(frame, node.operands[0]);
        frame.place[node.first_result + 1] = new_buffer(graph, node.first_result + 1);
        frame.statements.push_back({StatementKind::tape_pop, at(frame, node.operands[0]), {frame.place[node.first_result + 1]}, {}});
        return;
      case Op::while_loop: begin_while(frame, graph, i); return;
      case Op::call: begin_call(frame, graph, i); return;
      case Op::cond: begin_cond(frame, graph, i); return;
      default:
        throw InternalError(fmt::format("plan: {} in @{} is in no kernel; fusion must have placed it", ir::info(node.op).name, graph.name));
    }
  }

  /// A shrink is the memory of its operand. What is left is the value of its symbol; graphs that use one name share it, with the greater
  /// bound.
  void emit_produce(Frame& frame, const Graph& graph, const Node& node) {
    const std::string& name = *ir::produced_symbol(node);
    Statement produce;
    produce.kind = StatementKind::produce;
    produce.limit = graph.type(node.operands[0]).dims[0];
    produce.buffers = {at(frame, node.operands[1])};
    const Dim bound = upper_bound(program_, produce.limit);
    const auto found = std::ranges::find(program_.produced, name, &ir::ProducedExtent::name);
    produce.index = static_cast<std::uint32_t>(found - program_.produced.begin());
    if (found == program_.produced.end())
      program_.produced.push_back({name, bound});
    else
      found->bound = max(found->bound, bound);
    frame.statements.push_back(std::move(produce));
  }

  /// The operands' buffers, then those of the results.
  std::vector<std::uint32_t> buffers_of(Frame& frame, const Graph& graph, const Node& node) {
    std::vector<std::uint32_t> buffers;
    for (ValueId v : node.operands) buffers.push_back(at(frame, v));
    for (std::uint32_t r = 0; r < node.result_count; ++r) {
      std::uint32_t& place = frame.place[node.first_result + r];
      if (place == unset) place = new_buffer(graph, node.first_result + r);
      buffers.push_back(place);
    }
    return buffers;
  }

  void emit_custom_call(Frame& frame, const Graph& graph, const Node& node) {
    ir::ProgramCustomCall call{node.attributes.text("name"), {}, {}, location(node.location)};
    for (ValueId v : node.operands) call.operands.push_back(graph.type(v));
    for (std::uint32_t r = 0; r < node.result_count; ++r) call.results.push_back(graph.type(node.first_result + r));
    program_.custom_calls.push_back(std::move(call));
    if (frame.polls && !frame.statements.empty()) frame.statements.push_back({StatementKind::poll, 0, {}, {}});
    frame.statements.push_back(
        {StatementKind::custom_call, static_cast<std::uint32_t>(program_.custom_calls.size() - 1), buffers_of(frame, graph, node), {}});
  }

  void emit_kernel(Frame& frame, const Graph& graph, const Node& node) {
    const std::uint32_t index = kernel_of(node.attributes.graph("body"));
    const ir::Kernel& kernel = program_.kernels[index];
    if (frame.polls && !frame.statements.empty()) frame.statements.push_back({StatementKind::poll, 0, {}, {}});
    Statement call{StatementKind::call, index, {}, {}};
    if (const auto updated = updated_parameter(kernel)) {
      for (ValueId v : node.operands) call.buffers.push_back(at(frame, v));
      call.buffers[*updated] = place_update(frame, graph, node, *updated);
    } else {
      place_next(frame, graph, node, kernel);
      call.buffers = buffers_of(frame, graph, node);
    }
    for (std::size_t k = call.buffers.size(); k < kernel.buffers.size(); ++k) {
      const ir::Buffer& scratch = kernel.buffers[k];
      call.buffers.push_back(buffer(scratch.name, scratch.dtype, scratch.extents, Storage::arena));
    }
    frame.statements.push_back(std::move(call));
  }

  // ---- in place ----------------------------------------------------------------------------------------------------------

  static std::vector<std::uint32_t> count_readers(const Graph& graph) {
    std::vector<std::uint32_t> readers(graph.value_count(), 0);
    for (NodeId i = 0; i < graph.node_count(); ++i)
      for (ValueId v : read_operands(graph.node(i))) ++readers[root_of(graph, v)];
    for (ValueId v : graph.results) ++readers[root_of(graph, v)];
    return readers;
  }

  /// Is the node that is being emitted the last reader of its operand `v`, by this one operand, and may the operand's memory be written?
  bool ends_here(const Frame& frame, const Node& node, ValueId v) const {
    const Graph& graph = graph_of(frame);
    const ValueId root = root_of(graph, v);
    if (frame.readers[root] != 0) return false;
    if (std::ranges::count_if(node.operands, [&](ValueId other) { return root_of(graph, other) == root; }) != 1) return false;
    if (frame.lies_in.contains(frame.place[root])) return true;
    return graph.definition(root).op != Op::parameter && program_.buffers[frame.place[root]].storage == Storage::arena;
  }

  /// Where the result of an update kernel goes; what it starts as is there when this returns.
  std::uint32_t place_update(Frame& frame, const Graph& graph, const Node& node, std::uint32_t updated) {
    const std::uint32_t start = at(frame, node.operands[updated]);
    std::uint32_t& place = frame.place[node.first_result];
    if (place == unset) place = ends_here(frame, node, node.operands[updated]) ? start : new_buffer(graph, node.first_result);
    if (frame.lies_in.contains(place)) frame.lies_in[place] = node.first_result;
    copy(frame, place, start);
    return place;
  }

  /// Puts next values of a loop body straight into their carried buffers, where the kernel makes them after the last use of what is there,
  /// or loads each element of that before it overwrites it.
  void place_next(Frame& frame, const Graph& graph, const Node& node, const ir::Kernel& kernel) {
    for (std::uint32_t r = 0; r < node.result_count; ++r) {
      const ValueId next = node.first_result + r;
      const auto wanted = frame.wanted_in.find(next);
      if (wanted == frame.wanted_in.end() || frame.place[next] != unset) continue;
      ValueId& old = frame.lies_in.at(wanted->second);
      bool free = frame.readers[old] == 0;
      for (std::size_t o = 0; free && o < node.operands.size(); ++o)
        if (root_of(graph, node.operands[o]) == old)
          free = may_overwrite(kernel, static_cast<ir::BufferId>(o), static_cast<ir::BufferId>(node.operands.size() + r));
      if (!free) continue;
      frame.place[next] = wanted->second;
      old = next;
    }
  }

  const ir::Kernel& lowered(GraphId body) {
    const auto [entry, fresh] = lowered_.try_emplace(body);
    if (fresh) {
      entry->second = lower_kernel(module_, body, target_);
      expand_math(entry->second);
    }
    return entry->second;
  }

  std::uint32_t kernel_of(GraphId body) {
    const auto found = kernel_of_graph_.find(body);
    if (found != kernel_of_graph_.end()) return found->second;
    const ir::Kernel& kernel = lowered(body);
    // Different graphs can come down to the same loops.
    const auto [same, fresh] = kernel_of_text_.emplace(ir::canonical_text(kernel), static_cast<std::uint32_t>(program_.kernels.size()));
    if (fresh) program_.kernels.push_back(kernel);
    kernel_of_graph_[body] = same->second;
    return same->second;
  }

  // ---- regions ---------------------------------------------------------------------------------------------------------

  void enter(GraphId region, Frame::Part part, NodeId owner, const std::vector<std::uint32_t>& arguments, bool polls) {
    Frame frame;
    frame.graph = region;
    const Graph& graph = module_.graph(region);
    frame.place.assign(graph.value_count(), unset);
    for (std::size_t k = 0; k < arguments.size(); ++k) frame.place[graph.parameters[k]] = arguments[k];
    for (NodeId i = 0; i < graph.node_count(); ++i) frame.order.push_back(i);
    frame.readers = count_readers(graph);
    frame.part = part;
    frame.owner = owner;
    frame.polls = polls;
    frames_.push_back(std::move(frame));
  }

  static bool is_tape(const Graph& graph, ValueId v) { return graph.type(v).kind == Type::Kind::tape; }

  /// A call that is no more: its statements run where it stands.
  void begin_call(Frame& frame, const Graph& graph, NodeId i) {
    std::vector<std::uint32_t> arguments;
    for (ValueId v : graph.node(i).operands) arguments.push_back(at(frame, v));
    arguments_.push_back(arguments);
    pending_.emplace_back();
    enter(graph.node(i).attributes.graph("body"), Frame::Part::call, i, arguments, frame.polls);
  }

  /// Results stay in the buffers where the body has made them; what it hands on, or hands out twice, gets a buffer of its own.
  void finish_call(Frame& frame, Frame& parent, const Node& node) {
    const Graph& graph = graph_of(frame);
    std::set<ValueId> handed_out;
    for (std::uint32_t r = 0; r < node.result_count; ++r) {
      const ValueId root = root_of(graph, graph.results[r]);
      std::uint32_t place = at(frame, root);
      if (graph.definition(root).op == Op::parameter || !handed_out.insert(root).second) {
        const std::uint32_t own = new_buffer(graph, graph.results[r]);
        copy(frame, own, place);
        place = own;
      }
      parent.place[node.first_result + r] = place;
    }
    std::ranges::move(frame.statements, std::back_inserter(parent.statements));
  }

  void begin_while(Frame& frame, const Graph& graph, NodeId i) {
    const Node& node = graph.node(i);
    const auto carried = static_cast<std::size_t>(node.attributes.integer("carried"));
    Pending pending;
    std::vector<std::uint32_t> arguments;
    for (std::size_t k = 0; k < node.operands.size(); ++k) {
      const std::uint32_t initial = at(frame, node.operands[k]);
      if (k >= carried || is_tape(graph, node.operands[k])) {
        arguments.push_back(initial);
      } else {
        const auto result = node.first_result + static_cast<ValueId>(k);
        std::uint32_t place = frame.place[result];
        if (place == unset) place = ends_here(frame, node, node.operands[k]) ? initial : new_buffer(graph, result);
        if (frame.lies_in.contains(place)) frame.lies_in[place] = result;
        arguments.push_back(place);
        copy(frame, place, initial);
      }
      if (k < carried) {
        pending.carried.push_back(arguments.back());
        frame.place[node.first_result + k] = arguments.back();
      }
    }
    pending.statement.kind = StatementKind::while_;
    pending.statement.buffers = {buffer("", DType::boolean, {}, Storage::arena)};
    pending.statement.blocks.resize(2);
    arguments_.push_back(arguments);
    pending_.push_back(std::move(pending));
    const bool polls = frame.polls;
    enter(node.attributes.graph("condition"), Frame::Part::condition, i, arguments, polls);
    prepare_results({pending_.back().statement.buffers[0]});
  }

  void begin_cond(Frame& frame, const Graph& graph, NodeId i) {
    const Node& node = graph.node(i);
    Pending pending;
    for (std::uint32_t r = 0; r < node.result_count; ++r) {
      const ValueId v = node.first_result + r;
      pending.carried.push_back(is_tape(graph, v) ? unset : new_buffer(graph, v));
      frame.place[v] = pending.carried.back();
    }
    pending.statement.kind = StatementKind::if_;
    pending.statement.buffers = {at(frame, node.operands[0])};
    pending.statement.blocks.resize(2);
    std::vector<std::uint32_t> arguments;
    for (std::size_t k = 1; k < node.operands.size(); ++k) arguments.push_back(at(frame, node.operands[k]));
    const bool polls = frame.polls;
    arguments_.push_back(arguments);
    pending_.push_back(std::move(pending));
    enter(node.attributes.graph("then"), Frame::Part::then_branch, i, arguments, polls);
    prepare_results(pending_.back().carried);
  }

  /// Results of the region on top that a kernel or function of it makes go straight to their targets. (For loop bodies, where the targets
  /// are still being read: prepare_next.)
  void prepare_results(const std::vector<std::uint32_t>& targets) {
    Frame& frame = frames_.back();
    const Graph& graph = graph_of(frame);
    for (std::size_t k = 0; k < targets.size(); ++k) {
      const ValueId root = root_of(graph, graph.results[k]);
      if (targets[k] != unset && writes_results(graph.definition(root).op) && frame.place[root] == unset) frame.place[root] = targets[k];
    }
  }

  /// Notes which carried buffer each next value of the loop body on top should be made in. Update kernels need no note: they change the
  /// carried buffer itself where they can.
  void prepare_next(const std::vector<std::uint32_t>& carried) {
    Frame& frame = frames_.back();
    const Graph& graph = graph_of(frame);
    std::map<ValueId, int> handed_on;
    for (ValueId v : graph.results) ++handed_on[root_of(graph, v)];
    for (std::size_t k = 0; k < carried.size(); ++k) {
      if (is_tape(graph, graph.parameters[k])) continue;
      frame.lies_in[carried[k]] = graph.parameters[k];
      const ValueId next = root_of(graph, graph.results[k]);
      if (graph.definition(next).op == Op::kernel && handed_on[next] == 1) frame.wanted_in[next] = carried[k];
    }
  }

  void finish_region() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    const Graph& graph = module_.graph(frame.graph);
    Pending& pending = pending_.back();
    Frame& parent = frames_.back();
    const Node& node = graph_of(parent).node(frame.owner);
    std::vector<std::uint32_t> results;
    for (ValueId r : graph.results) results.push_back(at(frame, r));
    switch (frame.part) {
      case Frame::Part::main: return;
      case Frame::Part::call: finish_call(frame, parent, node); break;
      case Frame::Part::condition:
        copy(frame, pending.statement.buffers[0], results[0]);
        pending.statement.blocks[0] = std::move(frame.statements);
        enter(node.attributes.graph("body"), Frame::Part::body, frame.owner, arguments_.back(), parent.polls);
        prepare_next(pending_.back().carried);
        return;
      case Frame::Part::body:
        carry(frame, graph, pending.carried, results);
        if (frame.polls) frame.statements.push_back({StatementKind::poll, 0, {}, {}});
        pending.statement.blocks[1] = std::move(frame.statements);
        break;
      case Frame::Part::then_branch:
      case Frame::Part::else_branch:
        for (std::size_t k = 0; k < results.size(); ++k) {
          if (is_tape(graph, graph.results[k])) {
            internal_check(pending.carried[k] == unset || pending.carried[k] == results[k], "both branches hand out the same tape");
            pending.carried[k] = results[k];
            parent.place[node.first_result + k] = results[k];
          } else {
            copy(frame, pending.carried[k], results[k]);
          }
        }
        if (frame.part == Frame::Part::then_branch) {
          pending.statement.blocks[0] = std::move(frame.statements);
          std::vector<std::uint32_t> targets = pending.carried;
          for (std::size_t k = 0; k < targets.size(); ++k)
            if (is_tape(graph, graph.results[k])) targets[k] = unset;
          enter(node.attributes.graph("else"), Frame::Part::else_branch, frame.owner, arguments_.back(), parent.polls);
          prepare_results(targets);
          return;
        }
        pending.statement.blocks[1] = std::move(frame.statements);
        break;
    }
    if (frame.part != Frame::Part::call) parent.statements.push_back(std::move(pending.statement));
    pending_.pop_back();
    arguments_.pop_back();
  }

  /// The next values become the carried ones, all at once: a next value that is another carried buffer, overwritten before it is read, goes
  /// through a temporary.
  void carry(Frame& frame, const Graph& graph, const std::vector<std::uint32_t>& carried, std::vector<std::uint32_t> next) {
    for (std::size_t k = 0; k < carried.size(); ++k) {
      if (is_tape(graph, graph.results[k]) || next[k] == carried[k]) continue;
      bool overwritten = false;
      for (std::size_t other = 0; other < carried.size(); ++other)
        overwritten |= carried[other] == next[k] && !is_tape(graph, graph.results[other]);
      if (!overwritten) continue;
      const Type& type = graph.type(graph.results[k]);
      const std::uint32_t temporary = buffer("", type.dtype, type.dims, Storage::arena);
      copy(frame, temporary, next[k]);
      next[k] = temporary;
    }
    for (std::size_t k = 0; k < carried.size(); ++k)
      if (!is_tape(graph, graph.results[k])) copy(frame, carried[k], next[k]);
  }

  struct Copy {
    std::uint32_t target;
    ValueId source;
  };

  const Module& module_;
  const CpuTarget& target_;
  ir::Program program_;
  std::map<std::string, int> names_;  // of buffers
  std::map<ir::LocationId, ir::LocationId> locations_;
  std::vector<std::uint32_t> program_variable_, storage_, shadow_;
  std::vector<std::uint32_t> place_;
  std::vector<Copy> output_copies_, shadow_copies_;
  std::map<GraphId, ir::Kernel> lowered_;
  std::map<GraphId, std::uint32_t> kernel_of_graph_;
  std::map<std::string, std::uint32_t> kernel_of_text_;
  std::vector<Frame> frames_;
  std::vector<Pending> pending_;
  std::vector<std::vector<std::uint32_t>> arguments_;
};

}  // namespace

ir::Program plan_program(const ir::Module& module, const CpuTarget& target) { return Planner(module, target).run(); }

}  // namespace kiln::passes
