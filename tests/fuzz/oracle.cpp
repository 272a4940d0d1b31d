#include "tests/fuzz/oracle.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "codegen/x86/x86.h"
#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "tests/loops/program_fixture.h"

namespace kiln::fuzz {

using namespace ir;

namespace {

struct Outcome {
  std::vector<Array> results;
  std::map<std::string, Array> variables;
};

/// Two outcomes side by side: results, then assigned variables.
template <class Function>
void for_each_pair(const Outcome& a, const Outcome& b, Function&& f) {
  for (std::size_t i = 0; i < a.results.size(); ++i) f(fmt::format("result {}", i), a.results[i], b.results.at(i));
  for (const auto& [name, value] : a.variables)
    if (const auto other = b.variables.find(name); other != b.variables.end()) f("variable " + name, value, other->second);
}

/// Equal bits, any NaN equal to any other. "" or where they differ.
std::string bits_differ(const Array& a, const Array& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape()))
    return fmt::format("{}{} against {}{}", name_of(a.dtype()), to_string(a.shape()), name_of(b.dtype()), to_string(b.shape()));
  const auto bytes = static_cast<std::int64_t>(size_of(a.dtype()));
  for (std::int64_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(static_cast<const char*>(a.raw()) + i * bytes, static_cast<const char*>(b.raw()) + i * bytes,
                    static_cast<std::size_t>(bytes)) == 0)
      continue;
    if (is_floating(a.dtype()) && std::isnan(element_as_double(a, i)) && std::isnan(element_as_double(b, i))) continue;
    return fmt::format("element {}: {:.17g} against {:.17g}", i, element_as_double(a, i), element_as_double(b, i));
  }
  return "";
}

std::string bits_differ(const Outcome& a, const Outcome& b) {
  std::string found;
  for_each_pair(a, b, [&](const std::string& what, const Array& x, const Array& y) {
    if (!found.empty()) return;
    if (const std::string where = bits_differ(x, y); !where.empty()) found = what + ", " + where;
  });
  return found;
}

Outcome reference(const Module& module, const Case& c) {
  RunResult run = interpret(module, c.inputs, c.variables);
  Outcome outcome{std::move(run.results), c.variables};
  for (auto& [name, value] : run.assigned) outcome.variables[name] = std::move(value);
  return outcome;
}

double epsilon_of(DType dtype) {
  switch (dtype) {
    case DType::f16: return 0x1p-10;
    case DType::bf16: return 0x1p-7;
    case DType::f32: return 0x1p-23;
    default: return 0x1p-52;
  }
}

/// Multiplies the floating results of inexact nodes, and of those that round what is inexact, by 1 +- a few ULP.
Module perturbed(const Module& module, int sign_bits) {
  Module copy = module.clone();
  std::uint32_t ordinal = 0;
  for (std::size_t g = 0; g < copy.graphs.size(); ++g) {
    const Graph& from = *module.graphs[g];
    auto to = std::make_unique<Graph>();
    to->name = from.name;
    std::vector<ValueId> map(from.value_count(), none);
    Module& target = copy;
    target.graphs[g] = std::move(to);
    Graph& graph = *target.graphs[g];
    Builder b(target, static_cast<GraphId>(g));
    for (NodeId id = 0; id < from.node_count(); ++id) {
      const Node& node = from.node(id);
      std::vector<ValueId> operands;
      for (const ValueId v : node.operands) operands.push_back(map[v]);
      std::vector<Type> types;
      for (std::uint32_t r = 0; r < node.result_count; ++r) types.push_back(from.type(node.first_result + r));
      const NodeId made = graph.append(node.op, operands, node.attributes, types, node.location);
      for (std::uint32_t r = 0; r < node.result_count; ++r) {
        ValueId value = graph.node(made).first_result + r;
        const Type& type = from.type(node.first_result + r);
        const bool floating = type.kind == Type::Kind::tensor && is_floating(type.dtype);
        const bool control = node.op == Op::cond || node.op == Op::while_loop || node.op == Op::call || node.op == Op::scan ||
                             node.op == Op::parameter || node.op == Op::constant || node.op == Op::variable || node.op == Op::assign;
        const DType dtype = node.operands.empty() ? type.dtype : from.type(node.operands[0]).dtype;
        const bool rounds = type.dtype == DType::f16 || type.dtype == DType::bf16 || node.op == Op::convert;
        if (floating && !control && (!keeps_bits(node, dtype) || rounds)) {
          const double ulps = std::max(2.0, std::min(info(node.op).tolerance, 16.0));
          const bool up = (static_cast<std::uint32_t>(sign_bits) * 2654435761u >> (ordinal++ % 29)) & 1;
          // f16 and bf16 have no finer step than one ULP, which may round back to 1.
          const double factor = 1 + (up ? 1 : -1) * epsilon_of(type.dtype) * ulps;
          value = b.multiply(value, b.splat(factor, Type(type)));
        }
        map[node.first_result + r] = value;
      }
    }
    for (const ValueId v : from.parameters) graph.parameters.push_back(map[v]);
    for (const ValueId v : from.results) graph.results.push_back(map[v]);
  }
  return copy;
}

/// Compares with the tolerance that the perturbed outcomes show.
std::string too_far(const Outcome& wanted, const Outcome& got, const std::vector<Outcome>& moved) {
  std::string found;
  std::vector<std::vector<const Array*>> shifted;
  for (const Outcome& m : moved) {
    shifted.emplace_back();
    for_each_pair(wanted, m, [&](const std::string&, const Array&, const Array& y) { shifted.back().push_back(&y); });
  }
  std::size_t index = 0;
  for_each_pair(wanted, got, [&](const std::string& what, const Array& x, const Array& y) {
    const std::size_t at = index++;
    if (!found.empty()) return;
    if (x.dtype() != y.dtype() || !(x.shape() == y.shape()) || !is_floating(x.dtype())) {
      if (const std::string where = bits_differ(x, y); !where.empty()) found = what + ", " + where;
      return;
    }
    double spread = 0, largest = 0;
    bool stable = true;
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const double a = element_as_double(x, i);
      if (std::isfinite(a)) largest = std::max(largest, std::abs(a));
      for (const auto& m : shifted) {
        const double b = element_as_double(*m[at], i);
        if (std::isfinite(a) != std::isfinite(b)) stable = false;
        if (std::isfinite(a) && std::isfinite(b)) spread = std::max(spread, std::abs(a - b));
      }
    }
    if (!stable) return;
    const double eps = epsilon_of(x.dtype());
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const double a = element_as_double(x, i), b = element_as_double(y, i);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      // Without spread everything is exact, up to the last rounding of a function.
      const double allowed = spread == 0 ? 0 : 24 * spread + 8 * eps * std::abs(a) + 2 * eps * largest;
      if (std::isfinite(a) && std::isfinite(b) && std::abs(a - b) <= allowed) continue;
      // Near overflow and underflow an ULP decides between finite and infinite, zero and denormal.
      const double tiny = x.dtype() == DType::f64 ? 1e-300 : x.dtype() == DType::f16 ? 1e-4 : 1e-36;
      if (std::abs(a) < tiny && std::abs(b) < tiny && spread != 0) continue;
      found = fmt::format("{}, element {}: {:.17g} against {:.17g} (allowed difference {:.3g})", what, i, a, b, allowed);
      return;
    }
  });
  return found;
}

std::vector<std::int64_t> symbols_of(const Program& program, const Case& c) {
  std::vector<std::int64_t> symbols;
  for (const auto& symbol : program.symbols) symbols.push_back(symbol->name == "n" ? c.extent : 4);
  return symbols;
}

std::optional<Outcome> run(const Program& program, const Case& c, kiln_entry entry, std::string& problem) {
  std::map<std::string, Array> variables;
  for (const auto& [name, value] : c.variables) variables[name] = Array(ArrayView(value));
  const ProgramRun result = run_program(program, c.inputs, symbols_of(program, c), variables, 0, true, entry);
  if (result.status != KILN_OK) {
    problem = fmt::format("status {}", result.status);
    return std::nullopt;
  }
  return Outcome{result.outputs, variables};
}

/// A graph whose kernels may not run on their own: their results start as a parameter.
bool runs_alone(const Kernel& kernel) {
  return std::ranges::none_of(kernel.buffers, [](const Buffer& buffer) { return buffer.role == Buffer::Role::inout; });
}

/// Every kernel on data of its own, both ways round.
std::string loops_differ(const Program& program, const Case& c) {
  std::uint64_t state = c.recipe.seed * 977 + 13;
  const auto next = [&] { return state = state * 6364136223846793005ull + 1442695040888963407ull, state >> 33; };
  for (const Kernel& kernel : program.kernels) {
    if (!runs_alone(kernel)) continue;
    std::vector<std::int64_t> symbols;
    for (const auto& symbol : kernel.symbols) symbols.push_back(symbol->name == "n" ? c.extent : 4);
    const auto value_of = [&](std::string_view name) -> std::optional<std::int64_t> { return name == "n" ? c.extent : 4; };
    std::vector<Array> arrays;
    for (const Buffer& buffer : kernel.buffers) {
      std::vector<std::int64_t> extents;
      for (const Dim& dim : buffer.extents) extents.push_back(evaluate(dim, value_of));
      Array values(DType::f64, Shape(extents));
      if (buffer.role == Buffer::Role::input)
        for (double& x : values.mutable_data<double>()) x = static_cast<double>(next() % 4000) / 1000 - 1;
      arrays.push_back(values.convert(buffer.dtype));
    }
    std::vector<Array> reversed;
    for (const Array& array : arrays) reversed.emplace_back(ArrayView(array));
    std::vector<BoundBuffer> a, b;
    for (Array& array : arrays) a.push_back({array.mutable_raw()});
    for (Array& array : reversed) b.push_back({array.mutable_raw()});
    interpret(kernel, a, symbols);
    interpret_reversed(kernel, b, symbols);
    for (std::size_t i = 0; i < arrays.size(); ++i)
      if (kernel.buffers[i].role != Buffer::Role::scratch)
        if (const std::string where = bits_differ(arrays[i], reversed[i]); !where.empty())
          return fmt::format("@{}, buffer {}, {}", kernel.name, kernel.buffers[i].name, where);
  }
  return "";
}

/// Directional derivatives of f64 losses against differences, in the unexpanded module: only where three step sizes agree.
std::string gradients_differ(const Case& c, const Outcome& results) {
  const Graph& graph = c.module.main_graph();
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (node.op != Op::gradients || graph.type(node.operands[0]).dtype != DType::f64) continue;
    // Everything up to the loss must be f64 or discrete, else rounding drowns the difference.
    bool fine = true;
    for (const auto& g : c.module.graphs)
      for (NodeId n = 0; n < g->node_count() && fine; ++n) {
        fine = g->node(n).op != Op::stop_gradient && g->node(n).op != Op::reduce_precision;  // whose derivatives are not their slopes
        for (std::uint32_t r = 0; r < g->node(n).result_count; ++r) {
          const Type& type = g->type(g->node(n).first_result + r);
          fine = fine && (!is_floating(type.dtype) || type.dtype == DType::f64);
        }
      }
    if (!fine) continue;
    for (std::uint32_t k = 0; k < node.result_count; ++k) {
      const ValueId wrt = node.operands[k + 1];
      const auto parameter = std::ranges::find(graph.parameters, wrt);
      const auto result = std::ranges::find(graph.results, node.first_result + k);
      if (parameter == graph.parameters.end() || result == graph.results.end()) continue;
      const auto input = static_cast<std::size_t>(parameter - graph.parameters.begin());
      const Array& gradient = results.results[static_cast<std::size_t>(result - graph.results.begin())];
      Module loss_only = c.module.clone();
      loss_only.main_graph().results = {node.operands[0]};
      passes::eliminate_dead_code(loss_only);
      passes::expand_gradients(loss_only);
      double slope = 0, scale = 0;
      std::vector<double> direction;
      for (std::int64_t i = 0; i < gradient.size(); ++i) {
        direction.push_back(std::cos(1.3 * static_cast<double>(i) + 0.4));
        slope += direction.back() * gradient.data<double>()[i];
        scale += std::abs(direction.back() * gradient.data<double>()[i]);
      }
      const auto at = [&](double h) {
        std::vector<Array> inputs;
        for (const Array& array : c.inputs) inputs.emplace_back(ArrayView(array));
        for (std::int64_t i = 0; i < gradient.size(); ++i)
          inputs[input].mutable_data<double>()[i] += h * direction[static_cast<std::size_t>(i)];
        return interpret(loss_only, inputs, c.variables).results[0].item<double>();
      };
      std::vector<double> quotients;
      for (const double h : {4e-5, 1e-5, 2.5e-6}) quotients.push_back((at(h) - at(-h)) / (2 * h));
      const double value = at(0), q = quotients[1];
      const double noise = 1e-10 * (1 + std::abs(value)) / 1e-5;
      if (!std::isfinite(q) || !std::isfinite(slope) || std::abs(value) > 1e6 || scale > 1e8) continue;
      const double trusted = 1e-5 * (1 + std::abs(q)) + noise;
      if (std::abs(quotients[0] - q) > trusted || std::abs(quotients[2] - q) > trusted) continue;
      // One-sided slopes must agree as well: at a kink the quotient is a mean of two.
      const double right = (at(1e-5) - value) / 1e-5, left = (value - at(-1e-5)) / 1e-5;
      if (std::abs(right - left) > 1e-3 * (1 + std::abs(q))) continue;
      if (std::abs(slope - q) > 20 * trusted + 1e-9 * scale)
        return fmt::format("gradient with respect to {}: slope {:.12g}, differences {:.12g}", graph.value_name(wrt), slope, q);
    }
  }
  return "";
}

/// A parallel loop in three pieces, last first.
void in_pieces(void*, std::int64_t count, kiln_parallel_body body, void* context) {
  const std::int64_t a = count / 3, b = count - count / 3;
  if (b < count) body(context, b, count);
  if (a < b) body(context, a, b);
  if (0 < a) body(context, 0, a);
}

thread_local kiln_entry native_entry = nullptr;
std::int32_t native_in_pieces(kiln_call* call) {
  call->parallel_for = in_pieces;
  return native_entry(call);
}

class Clock {
 public:
  Clock(Times* times, const char* name) : times_(times), name_(name), start_(std::chrono::steady_clock::now()) {}
  ~Clock() {
    if (times_) (*times_)[name_] += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  Times* times_;
  const char* name_;
  std::chrono::steady_clock::time_point start_;
};

bool needs_tape(const Module& module) {
  for (const auto& graph : module.graphs)
    for (NodeId id = 0; id < graph->node_count(); ++id)
      if (graph->node(id).op == Op::tape_new) return true;
  return false;
}

Verdict check_stages(const Case& c, const CheckOptions& options, Times* times, std::string& stage) {
  stage = "text";
  {
    const std::string text = print(c.module);
    if (print(parse(text)) != text) return {stage, "the text does not parse back to itself"};
  }
  stage = "gradient pass";
  Module expanded = c.module.clone();
  {
    Clock clock(times, "gradient pass");
    passes::PipelineOptions careful;
    careful.verify_each = true;
    passes::run_passes(expanded, {"dead_code", "gradients"}, careful);
  }
  stage = "reference";
  Outcome wanted;
  {
    Clock clock(times, "reference interpreter");
    wanted = reference(expanded, c);
  }
  stage = "gradients";
  {
    Clock clock(times, "differences");
    if (const std::string where = gradients_differ(c, wanted); !where.empty()) return {stage, where};
  }
  passes::PipelineOptions pipeline;
  pipeline.verify_each = pipeline.round_trip = true;
  stage = "optimised";
  {
    Clock clock(times, "passes");
    pipeline.stop_after = "common_subexpressions";
    const Module optimised = parse(passes::run_pipeline(c.module.clone(), pipeline).stopped_text);
    if (const std::string where = bits_differ(wanted, reference(optimised, c)); !where.empty())
      return {stage, where + "\n" + print(optimised)};
    stage = "fused";
    pipeline.stop_after = "fuse";
    const Module fused = parse(passes::run_pipeline(c.module.clone(), pipeline).stopped_text);
    if (const std::string where = bits_differ(wanted, reference(fused, c)); !where.empty()) return {stage, where + "\n" + print(fused)};
  }
  stage = "program";
  pipeline.stop_after.clear();
  const Program program = passes::run_pipeline(c.module.clone(), pipeline).program;
  Outcome got;
  {
    Clock clock(times, "program interpreter");
    std::string problem;
    const auto outcome = run(program, c, interpret_program, problem);
    if (!outcome) return {stage, problem};
    got = *outcome;
    std::vector<Outcome> moved;
    for (const int signs : {0x2b, 0x1d4c9, 0x7ffffff}) moved.push_back(reference(perturbed(expanded, signs), c));
    if (const std::string where = too_far(wanted, got, moved); !where.empty()) return {stage, where + "\n" + print(program)};
  }
  stage = "loops";
  {
    Clock clock(times, "loop interpreter");
    if (const std::string where = loops_differ(program, c); !where.empty()) return {stage, where + "\n" + print(program)};
  }
  if (!options.machine) return {};
  stage = "machine";
  {
    Clock clock(times, "code generation");
    codegen::X86Options x86;
    x86.compile_threads = 1;
    const codegen::LoadedCode code = codegen::load_object(codegen::compile_object(program, "fuzz", x86), "fuzz");
    std::string problem;
    native_entry = code.entry;
    for (const kiln_entry entry : {code.entry, kiln_entry{native_in_pieces}}) {
      const auto native = run(program, c, entry, problem);
      if (!native) return {stage, problem};
      if (const std::string where = bits_differ(got, *native); !where.empty()) return {stage, where + "\n" + print(program)};
    }
  }
  return {};
}

}  // namespace

Verdict check(const Case& c, const CheckOptions& options, Times* times) {
  std::string stage;
  try {
    return check_stages(c, options, times, stage);
  } catch (const std::exception& error) {
    return {stage, error.what()};
  }
}

namespace {

/// The case with one node's results replaced by literals of their values; nothing when that is not possible.
std::optional<Case> without_node(const Case& c, NodeId id) {
  const Graph& graph = c.module.main_graph();
  const Node& node = graph.node(id);
  if (node.op == Op::parameter || node.op == Op::constant || node.op == Op::gradients || node.result_count == 0) return std::nullopt;
  for (std::uint32_t r = 0; r < node.result_count; ++r)
    for (const Dim& dim : graph.type(node.first_result + r).dims)
      for (const std::string& symbol : symbols_of(dim))
        if (symbol != "n") return std::nullopt;  // produced: it cannot be fed
  Case smaller{c.recipe, c.module.clone(), c.inputs, c.variables, c.extent};
  Graph& target = smaller.module.main_graph();
  // The values: run the graph up to there.
  Module up_to = c.module.clone();
  std::vector<ValueId> values;
  for (std::uint32_t r = 0; r < node.result_count; ++r) values.push_back(node.first_result + r);
  up_to.main_graph().results = values;
  passes::eliminate_dead_code(up_to);
  const std::vector<Array> results = interpret(up_to, c.inputs, c.variables).results;
  // New parameters take the node's place; rebuild in order.
  auto rebuilt = std::make_unique<Graph>();
  rebuilt->name = target.name;
  std::vector<ValueId> map(target.value_count(), none);
  std::vector<Array> inputs = c.inputs;
  std::vector<ValueId> added;
  for (NodeId n = 0; n < target.node_count(); ++n) {
    const Node& from = target.node(n);
    for (std::uint32_t r = 0; r < from.result_count; ++r) {
      if (n == id) {
        map[from.first_result + r] = rebuilt->add_parameter(target.type(from.first_result + r), fmt::format("cut{}_{}", inputs.size(), r));
        added.push_back(map[from.first_result + r]);
        inputs.push_back(results[r]);
      }
    }
    if (n == id) continue;
    std::vector<ValueId> operands;
    for (const ValueId v : from.operands) operands.push_back(map[v]);
    std::vector<Type> types;
    for (std::uint32_t r = 0; r < from.result_count; ++r) types.push_back(target.type(from.first_result + r));
    const NodeId made = rebuilt->append(from.op, operands, from.attributes, types, from.location);
    for (std::uint32_t r = 0; r < from.result_count; ++r) {
      map[from.first_result + r] = rebuilt->node(made).first_result + r;
      if (const std::string& name = target.value_name(from.first_result + r); !name.empty())
        rebuilt->set_value_name(rebuilt->node(made).first_result + r, name);
    }
  }
  rebuilt->parameters.clear();
  for (const ValueId v : target.parameters) rebuilt->parameters.push_back(map[v]);
  for (const ValueId v : added) rebuilt->parameters.push_back(v);
  for (const ValueId v : target.results) rebuilt->results.push_back(map[v]);
  smaller.module.graphs[smaller.module.main] = std::move(rebuilt);
  smaller.inputs = std::move(inputs);
  passes::eliminate_dead_code(smaller.module);
  verify(smaller.module);
  return smaller;
}

}  // namespace

Case shrink(const Case& c, const std::string& stage, const CheckOptions& options) {
  Case best{c.recipe, c.module.clone(), c.inputs, c.variables, c.extent};
  const auto fails = [&](const Case& candidate) { return check(candidate, options).stage == stage; };
  bool progress = true;
  for (int round = 0; progress && round < 12; ++round) {
    progress = false;
    for (std::size_t r = best.module.main_graph().results.size(); r-- > 0 && best.module.main_graph().results.size() > 1;) {
      Case candidate{best.recipe, best.module.clone(), best.inputs, best.variables, best.extent};
      auto& results = candidate.module.main_graph().results;
      results.erase(results.begin() + static_cast<std::ptrdiff_t>(r));
      passes::eliminate_dead_code(candidate.module);
      if (!fails(candidate)) continue;
      best = std::move(candidate);
      progress = true;
    }
    for (NodeId id = static_cast<NodeId>(best.module.main_graph().node_count()); id-- > 0;) {
      if (id >= best.module.main_graph().node_count()) continue;
      try {
        std::optional<Case> candidate = without_node(best, id);
        if (!candidate || size_of_module(candidate->module) >= size_of_module(best.module) || !fails(*candidate)) continue;
        best = std::move(*candidate);
        progress = true;
      } catch (const std::exception&) {
        continue;
      }
    }
  }
  return best;
}

std::string describe(const Case& c) {
  std::ostringstream text;
  text << print(c.module);
  if (c.recipe.symbolic) text << "// n = " << c.extent << "\n";
  const Graph& graph = c.module.main_graph();
  std::set<ValueId> used(graph.results.begin(), graph.results.end());
  for (NodeId id = 0; id < graph.node_count(); ++id) used.insert(graph.node(id).operands.begin(), graph.node(id).operands.end());
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (i < graph.parameters.size() && used.contains(graph.parameters[i]))
      text << "// %" << graph.value_name(graph.parameters[i]) << " = " << c.inputs[i] << "\n";
  return text.str();
}

}  // namespace kiln::fuzz
