// The compiler behind Session(graph): prune, look into the cache, else run the passes and generate code.
//
// The cache key is the text of the pruned module, without locations and with literals by their hash, together with the target and whatever
// identifies this build. What is kept is the object file and the program's description. Locations in it are ordinals (frontend/prune.h),
// which the current graph turns into lines: a program that moved in its source file is found, and its errors name the new lines.
#include "frontend/compile.h"

#include <fmt/format.h>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "codegen/cache.h"
#include "codegen/x86/x86.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "runtime/memory.h"
#include "runtime/program_io.h"
#include "runtime/program_source.h"

namespace kiln::detail {

passes::CpuTarget cpu_target(const std::string& target) {
  const std::string& level = target == "native" ? codegen::host_cpu().level : target;
  if (level == "x86-64-v4") return {.name = level, .registers = 32, .register_bytes = 64, .fma = true};
  if (level == "x86-64-v3") return {.name = level, .registers = 16, .register_bytes = 32, .fma = true};
  if (level == "x86-64-v2") return {.name = level, .registers = 16, .register_bytes = 16, .fma = false};
  throw Error(ErrorCode::unsupported, fmt::format("there is no target \"{}\"", target), LocationScope::resolve({}),
              "targets are native, x86-64-v2, x86-64-v3 and x86-64-v4");
}

runtime::Program describe(const ir::Program& program) {
  runtime::Program result;
  std::int64_t next_value = 1;  // values[0] is the arena's size
  const auto location = [&](ir::LocationId id) { return id < program.locations.size() ? program.locations[id] : Location{}; };
  const auto dims_of = [&](const ir::Dims& dims) {
    std::vector<runtime::DimSpec> specs;
    for (const ir::Dim& dim : dims) {
      runtime::DimSpec& extent = specs.emplace_back();
      extent.text = ir::to_string(dim);
      if (dim.is_constant()) {
        extent.value = dim.constant();
      } else if (const auto symbol = dim.as_symbol()) {
        const std::optional<std::size_t> found = ir::symbol_index(program, *symbol);
        internal_check(found.has_value(), "the types that a program is described by mention only its symbols");
        extent.kind = runtime::DimSpec::Kind::symbol;
        extent.value = static_cast<std::int64_t>(*found);
      } else {
        extent.kind = runtime::DimSpec::Kind::expression;
        extent.value = next_value++;
      }
    }
    return specs;
  };
  const auto ports = [&](const std::vector<ir::ProgramPort>& given, std::vector<runtime::PortSpec>& specs) {
    for (const ir::ProgramPort& port : given) {
      runtime::PortSpec spec;
      spec.name = port.name;
      spec.dtype = port.dtype;
      spec.where = location(port.location);
      spec.dims = dims_of(port.dims);
      specs.push_back(std::move(spec));
    }
  };
  ports(program.inputs, result.inputs);
  ports(program.outputs, result.outputs);
  for (const auto& info : program.symbols) result.symbols.push_back({info->name, info->min, info->max, info->multiple_of});
  for (const ir::ProgramVariable& variable : program.variables) {
    runtime::VariableSpec spec;
    spec.name = variable.name;
    spec.dtype = variable.dtype;
    std::vector<std::int64_t> shape;
    for (const ir::Dim& dim : variable.dims) shape.push_back(dim.constant());
    spec.shape = Shape(std::move(shape));
    spec.read = variable.read;
    spec.assigned = variable.assigned;
    spec.shadowed = variable.shadowed;
    spec.where = location(variable.location);
    result.variables.push_back(std::move(spec));
  }
  for (const ir::ProgramCheck& check : program.checks)
    result.checks.push_back({check.code, check.message, location(check.location), check.hint});
  for (const ir::ExtentCheck& check : program.extent_checks) {
    result.dim_checks.push_back(
        {static_cast<std::int32_t>(next_value), static_cast<std::int32_t>(next_value + 1), static_cast<std::int32_t>(check.check)});
    next_value += 2;
  }
  for (const ir::ProgramCustomCall& call : program.custom_calls) {
    runtime::CustomCallSpec& spec = result.custom_calls.emplace_back();
    spec.name = call.name;
    for (const ir::Type& type : call.operands) spec.inputs.push_back({type.dtype, dims_of(type.dims)});
    for (const ir::Type& type : call.results) spec.results.push_back({type.dtype, dims_of(type.dims)});
    spec.where = location(call.location);
  }
  for (const ir::ProgramPrint& print : program.prints)
    result.prints.push_back({print.message, print.type.dtype, static_cast<std::int32_t>(print.type.rank()), location(print.location)});
  result.memory.limit = static_cast<std::uint64_t>(program.memory.limit);
  result.memory.needed = static_cast<std::uint64_t>(program.memory.needed);
  result.memory.without = static_cast<std::uint64_t>(program.memory.without);
  result.memory.extra_permille = program.memory.extra_permille;
  for (const ir::MemoryPlan::Part& part : program.memory.recomputed)
    result.memory.recomputed.push_back({part.operations, location(part.first), location(part.last)});
  for (std::size_t o = 0; o < program.outputs.size(); ++o)
    if (ir::has_produced_extents(program, program.outputs[o])) result.outputs[o].capacity = static_cast<std::int32_t>(next_value++);
  result.produced = static_cast<std::int32_t>(program.produced.size());
  result.constants = program.constants;
  result.plan_values = static_cast<std::int32_t>(next_value);
  internal_check(static_cast<std::size_t>(next_value) == ir::plan_dims(program).size(), "the plan computes what the description counts");
  return result;
}

passes::MemoryRequest memory_request(const ir::Module& graph, const ir::Module& pruned, const SessionOptions& options,
                                     const std::map<std::string, std::int64_t>* extents) {
  passes::MemoryRequest request;
  request.limit = static_cast<std::int64_t>(std::min<std::uint64_t>(options.memory_limit, INT64_MAX));
  if (request.limit == 0) return request;
  request.allocated = [](std::int64_t bytes) {
    return static_cast<std::int64_t>(runtime::allocated_bytes(static_cast<std::uint64_t>(bytes)));
  };
  for (const ir::Variable& variable : graph.variables)
    request.variables += request.allocated(product(variable.type.dims).constant() * static_cast<std::int64_t>(size_of(variable.type.dtype)));
  if (extents) request.symbols = *extents;
  // A program for symbols of unknown values is replaced by the run that needs less.
  request.required = extents || pruned.symbols.empty();
  return request;
}

namespace {

/// What of the request decides about the program.
std::string memory_key(const passes::MemoryRequest& request) {
  if (request.limit == 0) return "";
  std::string key = fmt::format("memory {} {} {}", request.limit, request.variables, request.required);
  for (const auto& [name, value] : request.symbols) key += fmt::format(" {}={}", name, value);
  return key + "\n";
}

constexpr const char* object_name = "kiln_program";

/// One blob of the cache: the description's length, the description, the object.
std::vector<char> pack(const std::string& description, const std::vector<char>& object) {
  const std::uint64_t length = description.size();
  std::vector<char> blob(sizeof length + description.size() + object.size());
  std::memcpy(blob.data(), &length, sizeof length);
  std::memcpy(blob.data() + sizeof length, description.data(), description.size());
  if (!object.empty()) std::memcpy(blob.data() + sizeof length + description.size(), object.data(), object.size());
  return blob;
}

struct Unpacked {
  runtime::Program program;
  std::vector<char> object;
};
/// Nothing when the blob is of no use: the program is then compiled.
std::optional<Unpacked> unpack(const std::vector<char>& blob) {
  std::uint64_t length = 0;
  if (blob.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, blob.data(), sizeof length);
  if (length > blob.size() - sizeof length) return std::nullopt;
  try {
    const auto* bytes = reinterpret_cast<const unsigned char*>(blob.data()) + sizeof length;
    Unpacked result{runtime::deserialize({bytes, static_cast<std::size_t>(length)}, "cached program"), {}};
    result.object.assign(blob.begin() + static_cast<std::ptrdiff_t>(sizeof length + length), blob.end());
    return result;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void attach(runtime::Program& program, codegen::LoadedCode code) {
  program.entry = code.entry;
  program.plan = code.plan;
  program.code = std::move(code.owner);
}

void locate(runtime::Program& program, const std::vector<Location>& table) {
  for (auto* ports : {&program.inputs, &program.outputs})
    for (runtime::PortSpec& port : *ports) port.where = numbered_location(table, port.where);
  for (runtime::VariableSpec& variable : program.variables) variable.where = numbered_location(table, variable.where);
  for (runtime::CustomCallSpec& call : program.custom_calls) call.where = numbered_location(table, call.where);
  for (runtime::PrintSpec& print : program.prints) print.where = numbered_location(table, print.where);
  for (runtime::MemorySpec::Part& part : program.memory.recomputed)
    for (Location* where : {&part.first, &part.last}) *where = numbered_location(table, *where);
  for (runtime::CheckSpec& check : program.checks) check.where = numbered_location(table, check.where);
}

/// Runs `work`, whose errors carry ordinals instead of lines.
template <class Work>
auto with_lines(const std::vector<Location>& table, const Location& where, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    const Location line = numbered_location(table, error.where());
    throw Error(error.code(), error.message(), line.known() ? line : where, error.hint());
  }
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
}

/// The next numbered folder in that of KILN_DUMP; "" when nothing is to be dumped.
std::string next_dump_folder() {
  const char* folder = std::getenv("KILN_DUMP");
  if (!folder || !*folder) return "";
  static std::atomic<int> count = 0;
  return (std::filesystem::path(folder) / fmt::format("{:03}", count++)).string();
}

/// Compiles with all stages written to a folder: nothing is cached, and the stages show the user's lines.
runtime::Program compile_dumped(ir::Module module, passes::PipelineOptions options, const std::string& folder, Engine engine,
                                std::shared_ptr<ir::Program>& scheduled) {
  options.dump_folder = folder;
  options.target = cpu_target("native");
  scheduled = std::make_shared<ir::Program>(passes::run_pipeline(std::move(module), options).program);
  runtime::Program program = describe(*scheduled);
  if (engine == Engine::compiled) {
    write_text(std::filesystem::path(folder) / "llvm.ll", codegen::llvm_text(*scheduled, {}));
    write_text(std::filesystem::path(folder) / "assembly.s", codegen::assembly_text(*scheduled, {}));
    attach(program, codegen::load_object(codegen::compile_object(*scheduled, object_name, {}), object_name));
  }
  return program;
}

void interpret_with(runtime::Program& program, std::shared_ptr<ir::Program> scheduled) {
  program.entry = ir::interpret_program;
  program.plan = ir::interpret_plan;
  program.self = scheduled.get();
  program.code = std::move(scheduled);
}

runtime::Program compile_module(ir::Module module, const SessionOptions& session, const passes::MemoryRequest& memory,
                                const Location& where) {
  if (session.engine == Engine::reference) return reference_program(std::move(module));
  passes::PipelineOptions options;
  options.target = cpu_target("native");
  options.memory = memory;
  if (const std::string folder = next_dump_folder(); !folder.empty()) {
    std::shared_ptr<ir::Program> scheduled;
    runtime::Program program =
        with_lines({}, where, [&] { return compile_dumped(std::move(module), options, folder, session.engine, scheduled); });
    if (session.engine == Engine::program_interpreter) interpret_with(program, std::move(scheduled));
    return program;
  }

  const std::vector<Location> table = number_locations(module);
  if (session.engine == Engine::program_interpreter) {
    auto scheduled =
        with_lines(table, where, [&] { return std::make_shared<ir::Program>(passes::run_pipeline(std::move(module), options).program); });
    runtime::Program program = describe(*scheduled);
    locate(program, table);
    interpret_with(program, std::move(scheduled));
    return program;
  }

  const codegen::DiskCache cache(session.cache_folder ? *session.cache_folder : codegen::default_cache_folder());
  std::string key;
  if (!cache.folder().empty()) {
    key = codegen::cache_salt() + "\n" + options.target.name + "\n" + memory_key(memory) + ir::print(module, {.elide_large = true});
    if (const auto blob = cache.find(key)) {
      if (auto found = unpack(*blob)) {
        attach(found->program, codegen::load_object(std::move(found->object), object_name));
        locate(found->program, table);
        return std::move(found->program);
      }
    }
  }
  return with_lines(table, where, [&] {
    const ir::Program scheduled = passes::run_pipeline(std::move(module), options).program;
    runtime::Program program = describe(scheduled);
    std::vector<char> object = codegen::compile_object(scheduled, object_name, {});
    if (!key.empty()) cache.store(key, pack(runtime::serialize(program), object));
    attach(program, codegen::load_object(std::move(object), object_name));
    locate(program, table);
    return program;
  });
}

/// Adds a check_finite of everything that a run returns or assigns.
void watch_results(ir::Module& module, const Location& where) {
  ir::Graph& main = module.main_graph();
  std::vector<ir::ValueId> watched = main.results;
  for (ir::NodeId n = 0; n < main.node_count(); ++n)
    if (main.node(n).op == ir::Op::assign) watched.push_back(main.node(n).operands[0]);
  std::erase_if(watched, [&](ir::ValueId v) { return !is_floating(main.type(v).dtype); });
  if (watched.empty()) return;
  ir::Builder builder(module, module.main);
  builder.location = module.add_location(where);
  builder.create_many(ir::Op::check_finite, std::move(watched));
}

class GraphSource final : public runtime::ProgramSource {
 public:
  explicit GraphSource(std::shared_ptr<GraphState> state) : state_(std::move(state)) {}

  std::shared_ptr<const runtime::Program> compile(std::span<const Key> fetches, std::span<const Key> feeds, const SessionOptions& options,
                                                  Location where) override {
    return compile_request(fetches, feeds, options, nullptr, where);
  }

  std::shared_ptr<const runtime::Program> compile_for(std::span<const Key> fetches, std::span<const Key> feeds,
                                                      const SessionOptions& options, const std::map<std::string, std::int64_t>& extents,
                                                      Location where) override {
    if (options.engine == Engine::reference) return nullptr;  // it keeps values for as long as it likes
    return compile_request(fetches, feeds, options, &extents, where);
  }

  std::shared_ptr<const runtime::Program> initializer(const SessionOptions& options, Location where) override {
    std::lock_guard lock(state_->compiling);
    ir::Module module = initializer_module(*state_);
    require_functions(*state_, module, where);
    auto program = std::make_shared<runtime::Program>(compile_module(std::move(module), options, {}, where));
    attach_functions(*state_, *program);
    return program;
  }

  std::vector<VariableInfo> variables() const override {
    std::lock_guard lock(state_->compiling);
    std::vector<VariableInfo> result;
    for (std::uint32_t i = 0; i < state_->module.variables.size(); ++i) result.push_back(info(i));
    return result;
  }

  VariableInfo find_variable(const Key& key, Location where) const override {
    std::lock_guard lock(state_->compiling);
    return info(resolve_variable(*state_, key, where));
  }

 private:
  std::shared_ptr<const runtime::Program> compile_request(std::span<const Key> fetches, std::span<const Key> feeds,
                                                          const SessionOptions& options, const std::map<std::string, std::int64_t>* extents,
                                                          const Location& where) {
    std::lock_guard lock(state_->compiling);
    PrunedModule pruned = prune(*state_, fetches, feeds, where);
    require_functions(*state_, pruned.module, where);
    if (options.check_finite) watch_results(pruned.module, where);
    const passes::MemoryRequest memory = memory_request(state_->module, pruned.module, options, extents);
    auto program = std::make_shared<runtime::Program>(compile_module(std::move(pruned.module), options, memory, where));
    attach_functions(*state_, *program);
    program->input_feeds = std::move(pruned.input_feeds);
    program->fetch_outputs = std::move(pruned.fetch_outputs);
    return program;
  }

  VariableInfo info(std::uint32_t index) const {
    const ir::Variable& variable = state_->module.variables[index];
    VariableInfo result;
    result.name = variable.name;
    result.dtype = variable.type.dtype;
    std::vector<std::int64_t> shape;
    for (const ir::Dim& dim : variable.type.dims) shape.push_back(dim.constant());
    result.shape = Shape(std::move(shape));
    result.hidden = variable.hidden;
    result.where = state_->module.location(variable.location);
    return result;
  }

  std::shared_ptr<GraphState> state_;
};

}  // namespace
}  // namespace kiln::detail

namespace kiln {

std::shared_ptr<runtime::ProgramSource> make_program_source(const Graph& graph) {
  return std::make_shared<detail::GraphSource>(detail::Access::shared(graph));
}

}  // namespace kiln
