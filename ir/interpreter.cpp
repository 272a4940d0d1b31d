// Reference interpreter of tensor IR.
//
// Graphs run in frames on an explicit stack, so that regions may nest as deep as memory allows. A frame holds the live values of one
// running graph; a value is dropped after its last use, so a long chain needs no more memory than its widest point. A node with regions
// starts a frame for one of them and waits; when the frame ends, its results become the node's, or go round the loop once more.
//
// Symbols are bound from the shapes of the inputs, or by a shrink, and mean the same in every graph of the run. Ops see concrete shapes
// only: dims in their attributes are replaced by numbers before `evaluate` is called.
#include "ir/interpreter.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "ir/op.h"

namespace kiln::ir {

namespace {

/// A value while the interpreter runs: a tensor or, where `is_tape`, a stack of tensors. Tapes are linear, so handing one on moves it.
struct RuntimeValue {
  Array tensor;
  std::vector<Array> tape;
  bool is_tape = false;
};

/// A while_loop in progress: its frame is running the condition or the body.
struct Loop {
  std::vector<RuntimeValue> carried;
  std::vector<RuntimeValue> captured;
  std::int64_t trips = 0;
  bool in_body = false;
};

/// A scan in progress: its frame is running the body.
struct Scan {
  std::vector<Array> carried, sequences, captured;
  std::vector<std::vector<Array>> outputs;  // by output, in order of the iterations
  std::int64_t length = 0, trips = 0;
};

struct Frame {
  GraphId graph = none;
  NodeId next = 0;  ///< the node to run; for a waiting frame, the one that waits
  std::unordered_map<ValueId, RuntimeValue> values;
  std::optional<Loop> loop;
  std::optional<Scan> scan;
};

class Symbols {
 public:
  /// Checks an input against the parameter's type and binds the symbols that are extents of their own.
  void bind(const Type& type, const Array& input, const std::string& name, const Location& where) {
    if (type.dtype != input.dtype() || type.rank() != input.shape().rank()) mismatch(type, input, name, where, "");
    for (std::size_t d = 0; d < type.rank(); ++d) {
      const SymbolInfo* symbol = type.dims[d].symbol_info();
      if (!symbol) continue;
      const auto [found, added] = values_.try_emplace(symbol->name, input.shape()[d]);
      if (found->second != input.shape()[d])
        mismatch(type, input, name, where, fmt::format(", where {} is already {}", symbol->name, found->second));
      if (!is_allowed(*symbol, found->second)) mismatch(type, input, name, where, allowed_values(*symbol));
    }
  }

  /// The other extents, once all such symbols are bound. They may determine further symbols, as 2*n + 1 does n.
  void bind_expressions(const Type& type, const Array& input, const std::string& name, const Location& where) {
    for (std::size_t d = 0; d < type.rank(); ++d) {
      const Dim& dim = type.dims[d];
      if (const auto symbol = only_unknown(dim)) {
        const auto linear = linear_in(dim, symbol->name);
        const std::int64_t coefficient = linear ? value(linear->coefficient) : 0;
        if (coefficient != 0) {
          const std::int64_t solution = (input.shape()[d] - value(linear->rest)) / coefficient;
          if (!is_allowed(*symbol, solution)) mismatch(type, input, name, where, allowed_values(*symbol));
          values_[symbol->name] = solution;
        }
      }
      for (const std::string& symbol : symbols_of(dim))
        if (!values_.contains(symbol))
          throw Error(ErrorCode::invalid_argument,
                      fmt::format("the extent {} of input {} does not determine the symbol {}", to_string(dim), name, symbol), where,
                      "make the symbol an extent of its own in some input");
      if (const std::int64_t wanted = value(dim); wanted != input.shape()[d])
        mismatch(type, input, name, where, fmt::format(", where {} is {}", to_string(dim), wanted));
    }
  }

  /// A shrink gives its symbol a value; in a loop body, a new one in each iteration.
  void produce(const std::string& symbol, std::int64_t value) { values_[symbol] = value; }

  std::int64_t value(const Dim& dim) const {
    if (dim.is_constant()) return dim.constant();
    return evaluate(dim, [&](std::string_view name) -> std::optional<std::int64_t> {
      const auto found = values_.find(name);
      if (found == values_.end()) return std::nullopt;
      return found->second;
    });
  }

  Shape shape(const Dims& dims) const {
    std::vector<std::int64_t> extents;
    extents.reserve(dims.size());
    for (const Dim& dim : dims) extents.push_back(value(dim));
    return Shape(std::move(extents));
  }

  /// The attributes with constant Dims.
  Attributes concrete(const Attributes& attributes) const {
    Attributes result = attributes;
    for (const auto& [name, given] : attributes.items()) {
      const Dims* dims = std::get_if<Dims>(&given);
      if (!dims || std::ranges::all_of(*dims, [](const Dim& dim) { return dim.is_constant(); })) continue;
      Dims numbers;
      for (const Dim& dim : *dims) numbers.emplace_back(value(dim));
      result = result.with(name, std::move(numbers));
    }
    return result;
  }

 private:
  [[noreturn]] static void mismatch(const Type& type, const Array& input, const std::string& name, const Location& where,
                                    const std::string& why) {
    throw Error(
        ErrorCode::invalid_feed,
        fmt::format("input {} is {}{}, but must be {}{}", name, name_of(input.dtype()), to_string(input.shape()), to_string(type), why),
        where);
  }

  static bool is_allowed(const SymbolInfo& symbol, std::int64_t value) {
    return value >= symbol.min && value <= symbol.max && value % std::max<std::int64_t>(symbol.multiple_of, 1) == 0;
  }

  static std::string allowed_values(const SymbolInfo& symbol) {
    std::string text = fmt::format("; {} must be at least {}", symbol.name, symbol.min);
    if (symbol.max != INT64_MAX) text += fmt::format(" and at most {}", symbol.max);
    if (symbol.multiple_of > 1) text += fmt::format(" and a multiple of {}", symbol.multiple_of);
    return text;
  }

  /// The symbol without a value, if there is exactly one.
  std::shared_ptr<const SymbolInfo> only_unknown(const Dim& dim) const {
    std::shared_ptr<const SymbolInfo> unknown;
    for (const auto& info : symbol_infos_of(dim)) {
      if (values_.contains(info->name)) continue;
      if (unknown) return nullptr;
      unknown = info;
    }
    return unknown;
  }

  std::map<std::string, std::int64_t, std::less<>> values_;
};

class Interpreter {
 public:
  Interpreter(const Module& module, const std::map<std::string, Array>& variables, const InterpretHooks& hooks)
      : module_(module), variables_(variables), hooks_(hooks) {}

  RunResult run(const std::vector<Array>& inputs) {
    const Graph& main = module_.main_graph();
    if (inputs.size() != main.parameters.size())
      throw Error(inputs.size() < main.parameters.size() ? ErrorCode::missing_feed : ErrorCode::invalid_feed,
                  fmt::format("graph @{} takes {} inputs, but was given {}", main.name, main.parameters.size(), inputs.size()));
    const auto for_inputs = [&](auto&& visit) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const ValueId parameter = main.parameters[i];
        const std::string& name = main.value_name(parameter);
        visit(main.type(parameter), inputs[i], name.empty() ? std::to_string(i) : name,
              module_.location(main.definition(parameter).location));
      }
    };
    for_inputs([&](const auto&... input) { symbols_.bind(input...); });
    for_inputs([&](const auto&... input) { symbols_.bind_expressions(input...); });

    std::vector<RuntimeValue> arguments;
    for (const Array& input : inputs) arguments.push_back({input, {}, false});
    enter(module_.main, std::move(arguments));
    while (true) {
      Frame& frame = stack_.back();
      if (frame.next < graph_of(frame).node_count()) {
        step(frame);
        continue;
      }
      std::vector<RuntimeValue> results = leave();
      if (stack_.empty()) {
        for (RuntimeValue& value : results) result_.results.push_back(std::move(value.tensor));
        return std::move(result_);
      }
      resume(stack_.back(), std::move(results));
    }
  }

 private:
  const Graph& graph_of(const Frame& frame) const { return module_.graph(frame.graph); }

  /// For each value of a graph, the last node that uses it; node_count for results; its own node when nothing does.
  const std::vector<NodeId>& last_uses(GraphId id) {
    std::vector<NodeId>& last = last_uses_[id];
    const Graph& graph = module_.graph(id);
    if (last.size() == graph.value_count()) return last;
    last.resize(graph.value_count());
    for (NodeId n = 0; n < graph.node_count(); ++n) {
      const Node& node = graph.node(n);
      for (std::uint32_t i = 0; i < node.result_count; ++i) last[node.first_result + i] = n;
      for (const ValueId operand : node.operands) last[operand] = n;
    }
    for (const ValueId result : graph.results) last[result] = static_cast<NodeId>(graph.node_count());
    return last;
  }

  void enter(GraphId id, std::vector<RuntimeValue> arguments) {
    const Graph& graph = module_.graph(id);
    internal_check(arguments.size() == graph.parameters.size(), "a region is given as many arguments as it has parameters");
    Frame& frame = stack_.emplace_back();
    frame.graph = id;
    for (std::size_t i = 0; i < arguments.size(); ++i) frame.values[graph.parameters[i]] = std::move(arguments[i]);
  }

  /// Ends the top frame; its results.
  std::vector<RuntimeValue> leave() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    const Graph& graph = graph_of(frame);
    std::vector<RuntimeValue> results;
    for (const ValueId id : graph.results) {
      RuntimeValue& value = frame.values.at(id);
      if (value.is_tape)
        results.push_back(std::move(value));
      else
        results.push_back(value);
    }
    return results;
  }

  /// Operand i; a tape is moved out, as this is its only use.
  RuntimeValue operand(Frame& frame, const Node& node, std::size_t i) {
    RuntimeValue& value = frame.values.at(node.operands[i]);
    if (value.is_tape) return std::move(value);
    return value;
  }

  std::vector<RuntimeValue> operands(Frame& frame, const Node& node, std::size_t first = 0) {
    std::vector<RuntimeValue> values;
    for (std::size_t i = first; i < node.operands.size(); ++i) values.push_back(operand(frame, node, i));
    return values;
  }

  /// Stores the results of the frame's current node, drops what is used no more, and goes on to the next node.
  void finish(Frame& frame, std::vector<RuntimeValue> results) {
    const Graph& graph = graph_of(frame);
    const Node& node = graph.node(frame.next);
    internal_check(results.size() == node.result_count, "a node yields as many values as it has results");
    const std::vector<NodeId>& last = last_uses(frame.graph);
    for (const ValueId v : node.operands)
      if (last[v] == frame.next) frame.values.erase(v);
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      const ValueId v = node.first_result + i;
      check_type(graph, v, results[i]);
      if (last[v] != frame.next) frame.values[v] = std::move(results[i]);
    }
    ++frame.next;
  }

  void finish(Frame& frame, std::vector<Array> arrays) {
    std::vector<RuntimeValue> results;
    for (Array& array : arrays) results.push_back({std::move(array), {}, false});
    finish(frame, std::move(results));
  }

  void finish(Frame& frame, Array result) {
    std::vector<Array> results;
    results.push_back(std::move(result));
    finish(frame, std::move(results));
  }

  /// What an evaluator returned must be what inference promised.
  void check_type(const Graph& graph, ValueId v, const RuntimeValue& value) const {
    const Type& type = graph.type(v);
    if (value.is_tape) return;
    if (value.tensor.dtype() == type.dtype && value.tensor.shape() == symbols_.shape(type.dims)) return;
    throw InternalError(fmt::format("{} in @{} yields {}{}, but its type is {}", info(graph.definition(v).op).name, graph.name,
                                    name_of(value.tensor.dtype()), to_string(value.tensor.shape()), to_string(type)));
  }

  void step(Frame& frame) {
    const Graph& graph = graph_of(frame);
    const Node& node = graph.node(frame.next);
    switch (node.op) {
      case Op::parameter: ++frame.next; return;  // its value is there since the frame was entered
      case Op::constant: return finish(frame, node.attributes.literal("value"));
      case Op::variable: return finish(frame, variable(node));
      case Op::stop_gradient: return finish(frame, operand(frame, node, 0).tensor);
      case Op::dim_size: return finish(frame, Array(symbols_.value(node.attributes.dims("dims").at(0))));
      case Op::assign: return assign(frame, node);
      case Op::check: return check(frame, node);
      case Op::print:
        if (hooks_.print) hooks_.print(graph, frame.next, operand(frame, node, 0).tensor);
        return finish(frame, std::vector<RuntimeValue>{});
      case Op::check_finite: throw InternalError("check_finite must be expanded before a module is interpreted");
      case Op::shrink: return shrink(frame, node);
      case Op::call:
      case Op::kernel: return enter(node.attributes.graph("body"), operands(frame, node));
      case Op::composite: return enter(node.attributes.graph("decomposition"), operands(frame, node));
      case Op::cond: {
        const bool predicate = operand(frame, node, 0).tensor.item<bool>();
        return enter(node.attributes.graph(predicate ? "then" : "else"), operands(frame, node, 1));
      }
      case Op::while_loop: return start_loop(frame, node);
      case Op::scan: return start_scan(frame, node);
      case Op::tape_new: {
        std::vector<RuntimeValue> results(1);
        results[0].is_tape = true;
        return finish(frame, std::move(results));
      }
      case Op::tape_push: return push(frame, node);
      case Op::tape_pop: return pop(frame, node);
      case Op::custom_call: return custom_call(frame, node);
      case Op::gradients: throw InternalError("gradients must be expanded before a module is interpreted");
      default: return evaluate_node(frame, node);
    }
  }

  void evaluate_node(Frame& frame, const Node& node) {
    const OpInfo& entry = info(node.op);
    if (!entry.evaluate) throw InternalError("the interpreter does not know " + std::string(entry.name));
    const Graph& graph = graph_of(frame);
    std::vector<Array> arguments;
    for (const ValueId v : node.operands) arguments.push_back(frame.values.at(v).tensor);
    std::vector<Shape> shapes;
    std::vector<DType> dtypes;
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      const Type& type = graph.type(node.first_result + i);
      shapes.push_back(symbols_.shape(type.dims));
      dtypes.push_back(type.dtype);
    }
    const Attributes attributes = symbols_.concrete(node.attributes);
    finish(frame, entry.evaluate({node.op, arguments, attributes, shapes, dtypes}));
  }

  void custom_call(Frame& frame, const Node& node) {
    if (!hooks_.custom_call)
      throw Error(ErrorCode::unsupported, fmt::format("the function \"{}\" is not known here", node.attributes.text("name")),
                  module_.location(node.location));
    const Graph& graph = graph_of(frame);
    std::vector<Array> arguments;
    for (const ValueId v : node.operands) arguments.push_back(frame.values.at(v).tensor);
    std::vector<Shape> shapes;
    for (std::uint32_t i = 0; i < node.result_count; ++i) shapes.push_back(symbols_.shape(graph.type(node.first_result + i).dims));
    finish(frame, hooks_.custom_call(graph, frame.next, arguments, shapes));
  }

  // ---- state

  Array variable(const Node& node) const {
    const std::string& name = node.attributes.text("name");
    const auto found = variables_.find(name);
    if (found == variables_.end())
      throw Error(ErrorCode::uninitialized, "variable @" + name + " has no value", module_.location(node.location),
                  "initialize the session or give the variable a value");
    return found->second;
  }

  void assign(Frame& frame, const Node& node) {
    const std::string& name = node.attributes.text("name");
    RuntimeValue value = operand(frame, node, 0);
    const Shape wanted = symbols_.shape(graph_of(frame).type(node.first_result).dims);
    if (value.tensor.shape() != wanted)
      throw Error(ErrorCode::shape_mismatch,
                  fmt::format("variable @{} has shape {}, but is assigned {}", name, to_string(wanted), to_string(value.tensor.shape())),
                  module_.location(node.location));
    result_.assigned[name] = value.tensor;
    finish(frame, std::move(value.tensor));
  }

  void check(Frame& frame, const Node& node) {
    if (!operand(frame, node, 0).tensor.item<bool>()) {
      const AttributeValue* hint = node.attributes.find("hint");
      throw Error(static_cast<ErrorCode>(node.attributes.integer("code")), node.attributes.text("message"), module_.location(node.location),
                  hint ? std::get<std::string>(*hint) : "");
    }
    std::vector<RuntimeValue> guarded;
    if (node.operands.size() > 1) guarded.push_back(operand(frame, node, 1));
    finish(frame, std::move(guarded));
  }

  void shrink(Frame& frame, const Node& node) {
    const Array from = operand(frame, node, 0).tensor;
    const std::int64_t count = std::clamp<std::int64_t>(operand(frame, node, 1).tensor.item<std::int64_t>(), 0, from.shape()[0]);
    symbols_.produce(node.attributes.text("symbol"), count);
    if (hooks_.produced) hooks_.produced(node.attributes.text("symbol"), count);
    Array result(from.dtype(), symbols_.shape(graph_of(frame).type(node.first_result).dims));
    if (result.bytes() > 0) std::memcpy(result.mutable_raw(), from.raw(), result.bytes());
    finish(frame, std::move(result));
  }

  // ---- control

  /// The frame above this one has ended: its results complete the waiting node, or its loop goes on.
  void resume(Frame& frame, std::vector<RuntimeValue> results) {
    if (frame.scan) return end_iteration(frame, std::move(results));
    if (!frame.loop) return finish(frame, std::move(results));
    Loop& loop = *frame.loop;
    if (loop.in_body) {
      loop.carried = std::move(results);
      return enter_loop(frame, "condition");
    }
    const Node& node = graph_of(frame).node(frame.next);
    if (results.at(0).tensor.item<bool>()) {
      if (const AttributeValue* most = node.attributes.find("max_trip_count"); most && loop.trips >= std::get<std::int64_t>(*most))
        throw Error(ErrorCode::check_failed, fmt::format("the loop runs more than its max_trip_count = {} times", loop.trips),
                    module_.location(node.location));
      ++loop.trips;
      return enter_loop(frame, "body");
    }
    std::vector<RuntimeValue> carried = std::move(loop.carried);
    frame.loop.reset();
    finish(frame, std::move(carried));
  }

  void start_loop(Frame& frame, const Node& node) {
    const auto carried = static_cast<std::size_t>(node.attributes.integer("carried"));
    Loop& loop = frame.loop.emplace();
    for (std::size_t i = 0; i < node.operands.size(); ++i) (i < carried ? loop.carried : loop.captured).push_back(operand(frame, node, i));
    enter_loop(frame, "condition");
  }

  void enter_loop(Frame& frame, const char* region) {
    const Node& node = graph_of(frame).node(frame.next);
    Loop& loop = *frame.loop;
    loop.in_body = std::string_view(region) == "body";
    if (loop.in_body && hooks_.poll) hooks_.poll();
    std::vector<RuntimeValue> arguments;
    for (RuntimeValue& value : loop.carried) {
      // The body consumes carried tapes and yields them again. The condition cannot use a tape, so it is shown an empty one.
      if (!value.is_tape)
        arguments.push_back(value);
      else if (loop.in_body)
        arguments.push_back(std::move(value));
      else
        arguments.push_back({Array(), {}, true});
    }
    arguments.insert(arguments.end(), loop.captured.begin(), loop.captured.end());
    enter(node.attributes.graph(region), std::move(arguments));
  }

  void start_scan(Frame& frame, const Node& node) {
    const auto carried = static_cast<std::size_t>(node.attributes.integer("carried"));
    const auto sequences = static_cast<std::size_t>(node.attributes.integer("sequences"));
    Scan& scan = frame.scan.emplace();
    scan.length = symbols_.value(node.attributes.dims("length")[0]);
    for (std::size_t i = 0; i < node.operands.size(); ++i)
      (i < carried ? scan.carried : i < carried + sequences ? scan.sequences : scan.captured).push_back(operand(frame, node, i).tensor);
    scan.outputs.resize(node.result_count - carried);
    next_iteration(frame);
  }

  /// Part `index` of an array along dim 0, as a copy.
  static Array part_of(const Array& array, std::int64_t index) {
    std::vector<std::int64_t> extents;
    for (std::size_t d = 1; d < array.shape().rank(); ++d) extents.push_back(array.shape()[d]);
    Array part(array.dtype(), Shape(std::move(extents)));
    if (part.bytes() != 0)
      std::memcpy(part.mutable_raw(), static_cast<const char*>(array.raw()) + static_cast<std::size_t>(index) * part.bytes(), part.bytes());
    return part;
  }

  void next_iteration(Frame& frame) {
    const Node& node = graph_of(frame).node(frame.next);
    Scan& scan = *frame.scan;
    if (scan.trips == scan.length) return end_scan(frame);
    if (hooks_.poll) hooks_.poll();
    const std::int64_t index = is_reversed(node) ? scan.length - 1 - scan.trips : scan.trips;
    ++scan.trips;
    std::vector<RuntimeValue> arguments;
    for (Array& array : scan.carried) arguments.push_back({std::move(array), {}, false});
    for (const Array& array : scan.sequences) arguments.push_back({part_of(array, index), {}, false});
    for (const Array& array : scan.captured) arguments.push_back({array, {}, false});
    enter(node.attributes.graph("body"), std::move(arguments));
  }

  static bool is_reversed(const Node& node) { return node.attributes.find("reverse") && node.attributes.flag("reverse"); }

  void end_iteration(Frame& frame, std::vector<RuntimeValue> results) {
    Scan& scan = *frame.scan;
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (i < scan.carried.size())
        scan.carried[i] = std::move(results[i].tensor);
      else
        scan.outputs[i - scan.carried.size()].push_back(std::move(results[i].tensor));
    }
    next_iteration(frame);
  }

  void end_scan(Frame& frame) {
    const Graph& graph = graph_of(frame);
    const Node& node = graph.node(frame.next);
    Scan scan = std::move(*frame.scan);
    frame.scan.reset();
    std::vector<Array> results = std::move(scan.carried);
    for (std::vector<Array>& parts : scan.outputs) {
      const Type& type = graph.type(node.first_result + static_cast<ValueId>(results.size()));
      Array stack(type.dtype, symbols_.shape(type.dims));
      if (is_reversed(node)) std::ranges::reverse(parts);
      std::size_t offset = 0;
      for (const Array& part : parts) {
        if (part.bytes() != 0) std::memcpy(static_cast<char*>(stack.mutable_raw()) + offset, part.raw(), part.bytes());
        offset += part.bytes();
      }
      results.push_back(std::move(stack));
    }
    finish(frame, std::move(results));
  }

  void push(Frame& frame, const Node& node) {
    RuntimeValue tape = operand(frame, node, 0);
    tape.tape.push_back(operand(frame, node, 1).tensor);
    std::vector<RuntimeValue> results;
    results.push_back(std::move(tape));
    finish(frame, std::move(results));
  }

  void pop(Frame& frame, const Node& node) {
    RuntimeValue tape = operand(frame, node, 0);
    if (tape.tape.empty()) throw InternalError("tape_pop of an empty tape in @" + graph_of(frame).name);
    Array top = std::move(tape.tape.back());
    tape.tape.pop_back();
    std::vector<RuntimeValue> results;
    results.push_back(std::move(tape));
    results.push_back({std::move(top), {}, false});
    finish(frame, std::move(results));
  }

  const Module& module_;
  const std::map<std::string, Array>& variables_;
  const InterpretHooks& hooks_;
  Symbols symbols_;
  std::vector<Frame> stack_;
  std::unordered_map<GraphId, std::vector<NodeId>> last_uses_;
  RunResult result_;
};

}  // namespace

RunResult interpret(const Module& module, const std::vector<Array>& inputs, const std::map<std::string, Array>& variables,
                    const InterpretHooks& hooks) {
  return Interpreter(module, variables, hooks).run(inputs);
}

}  // namespace kiln::ir
