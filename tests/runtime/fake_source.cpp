#include "fake_source.h"

namespace kiln::testing {

using runtime::DimSpec;
using runtime::PortSpec;
using runtime::Program;
using runtime::VariableSpec;

namespace {

class FakeSource : public runtime::ProgramSource {
 public:
  explicit FakeSource(const FakeGraph& graph) : graph_(graph) {}

  std::shared_ptr<const Program> compile(std::span<const Key> fetches, std::span<const Key> feeds, const SessionOptions&,
                                         Location where) override {
    ++graph_.compiled;
    std::string name;
    for (const Key& key : fetches) name += (name.empty() ? "" : ",") + std::string(key.name());
    const auto found = graph_.programs.find(name);
    if (found == graph_.programs.end()) throw Error(ErrorCode::invalid_argument, "nothing is named '" + name + "'", where);
    Program program = finished(found->second);
    for (const PortSpec& input : program.inputs) {
      std::int32_t position = -1;
      for (std::size_t i = 0; i < feeds.size(); ++i)
        if (feeds[i].name() == input.name) position = static_cast<std::int32_t>(i);
      if (position < 0) throw Error(ErrorCode::missing_feed, "placeholder '" + input.name + "' is not fed", where);
      program.input_feeds.push_back(position);
    }
    if (program.fetch_outputs.empty()) {
      std::int32_t output = 0;
      for (const Key& key : fetches) program.fetch_outputs.push_back(key.name().starts_with('!') ? -1 : output++);
    }
    return std::make_shared<const Program>(std::move(program));
  }

  std::shared_ptr<const Program> initializer(const SessionOptions&, Location) override {
    return std::make_shared<const Program>(finished(graph_.initializer));
  }

  std::vector<VariableInfo> variables() const override { return graph_.variables; }

  VariableInfo find_variable(const Key& key, Location where) const override {
    for (const VariableInfo& info : graph_.variables)
      if (info.name == key.name()) return info;
    throw Error(ErrorCode::invalid_argument, "no variable is named '" + std::string(key.name()) + "'", where);
  }

 private:
  static Program finished(const FakeProgram& fake) {
    Program program = fake.description;
    const auto code = std::make_shared<const FakeProgram>(fake);
    program.code = code;
    program.self = const_cast<FakeProgram*>(code.get());
    program.entry = [](kiln_call* call) { return static_cast<FakeProgram*>(call->program)->body(*call); };
    if (code->plan)
      program.plan = [](void* self, const std::int64_t* symbols, std::int64_t* values) {
        return static_cast<FakeProgram*>(self)->plan(symbols, values);
      };
    return program;
  }

  const FakeGraph& graph_;
};

const float* input(const kiln_call& call, int i) { return static_cast<const float*>(call.inputs[i]); }
float* output(const kiln_call& call, int i) { return static_cast<float*>(call.outputs[i]); }
float* variable(const kiln_call& call, int i) { return static_cast<float*>(call.variables[i]); }

}  // namespace

std::shared_ptr<runtime::ProgramSource> make_program_source(const FakeGraph& graph) { return std::make_shared<FakeSource>(graph); }

DimSpec constant_dim(std::int64_t extent) { return {DimSpec::Kind::constant, extent, std::to_string(extent)}; }
DimSpec symbol_dim(std::int64_t index, std::string name) { return {DimSpec::Kind::symbol, index, std::move(name)}; }
DimSpec value_dim(std::int64_t index, std::string text) { return {DimSpec::Kind::expression, index, std::move(text)}; }

Location user_line(std::uint32_t line) { return Location::interned("model.cpp", line); }

TestGraph::TestGraph() {
  const std::vector<DimSpec> batch_by_3 = {symbol_dim(0, "batch"), constant_dim(3)};
  const PortSpec x{"x", f32, batch_by_3, user_line(11)}, y{"y", f32, batch_by_3, user_line(12)};
  graph.variables = {{"w", f32, {3}, false, false, user_line(21)},
                     {"c", f32, {3}, false, false, user_line(22)},
                     {"kiln.seed", u64, {}, true, false, {}},
                     {"kiln.run", u64, {}, true, false, {}}};
  const VariableSpec read_w{"w", f32, {3}, true, false, false, user_line(21)}, read_c{"c", f32, {3}, true, false, false, user_line(22)};
  const auto with_batch = [&](FakeProgram& program) { program.description.symbols = {{"batch", 2, 1000, 1}}; };
  const auto sum = [](const kiln_call& call, float* out) {
    for (std::int64_t i = 0; i < call.symbols[0] * 3; ++i) out[i] = input(call, 0)[i] + input(call, 1)[i];
  };
  const auto scaled = [](const kiln_call& call, float* out) {
    for (std::int64_t i = 0; i < call.symbols[0] * 3; ++i) out[i] = input(call, 0)[i] * variable(call, 0)[i % 3];
  };

  FakeProgram& sum_program = graph.programs["sum"];
  with_batch(sum_program);
  sum_program.description.inputs = {x, y};
  sum_program.description.outputs = {{"sum", f32, batch_by_3, user_line(31)}};
  sum_program.body = [sum](kiln_call& call) { return sum(call, output(call, 0)), KILN_OK; };

  FakeProgram& scaled_program = graph.programs["scaled"];
  with_batch(scaled_program);
  scaled_program.description.inputs = {x};
  scaled_program.description.outputs = {{"scaled", f32, batch_by_3, user_line(32)}};
  scaled_program.description.variables = {read_w};
  scaled_program.body = [scaled](kiln_call& call) { return scaled(call, output(call, 0)), KILN_OK; };

  FakeProgram& both = graph.programs["sum,scaled"];
  with_batch(both);
  both.description.inputs = {x, y};
  both.description.outputs = {{"sum", f32, batch_by_3, user_line(31)}, {"scaled", f32, batch_by_3, user_line(32)}};
  both.description.variables = {read_w};
  both.body = [=](kiln_call& call) { return sum(call, output(call, 0)), scaled(call, output(call, 1)), KILN_OK; };

  FakeProgram& twice = graph.programs["twice,again"];
  twice = sum_program;
  twice.description.fetch_outputs = {0, 0};

  FakeProgram& step = graph.programs["!step"];
  with_batch(step);
  step.description.inputs = {x};
  step.description.variables = {{"w", f32, {3}, true, true, true, user_line(21)}, {"c", f32, {3}, false, true, false, user_line(22)}};
  step.description.custom_calls = {{"scale", {}, {}, user_line(43), {}}};
  step.description.checks = {{ErrorCode::check_failed, "x must be finite", user_line(41), "look at the data"}};
  step.body = [this](kiln_call& call) -> std::int32_t {
    float* shadow = static_cast<float*>(call.shadows[0]);
    for (int j = 0; j < 3; ++j) {
      shadow[j] = variable(call, 0)[j];
      for (std::int64_t i = 0; i < call.symbols[0]; ++i) shadow[j] += input(call, 0)[i * 3 + j];
    }
    if (step_status != 0) return step_status;
    for (int j = 0; j < 3; ++j) variable(call, 1)[j] = variable(call, 0)[j];
    std::swap(call.variables[0], call.shadows[0]);
    return KILN_OK;
  };

  FakeProgram& state = graph.programs["w,c"];
  state.description.outputs = {{"w", f32, {constant_dim(3)}, {}}, {"c", f32, {constant_dim(3)}, {}}};
  state.description.variables = {read_w, read_c};
  state.body = [](kiln_call& call) {
    for (int v = 0; v < 2; ++v) std::memcpy(output(call, v), variable(call, v), 12);
    return KILN_OK;
  };

  // w = 1, 2, 3 + the number of draws so far; c = the seed. Drawing advances kiln.run.
  const VariableSpec seed{"kiln.seed", u64, {}, true, false, false, {}}, run{"kiln.run", u64, {}, true, true, false, {}};
  graph.initializer.description.variables = {
      {"w", f32, {3}, false, true, false, user_line(21)}, {"c", f32, {3}, false, true, false, user_line(22)}, seed, run};
  graph.initializer.body = [](kiln_call& call) {
    auto& run_number = *static_cast<std::uint64_t*>(call.variables[3]);
    for (int j = 0; j < 3; ++j) {
      variable(call, 0)[j] = static_cast<float>(j + 1) + static_cast<float>(run_number);
      variable(call, 1)[j] = static_cast<float>(*static_cast<std::uint64_t*>(call.variables[2]));
    }
    ++run_number;
    return KILN_OK;
  };
}

}  // namespace kiln::testing
