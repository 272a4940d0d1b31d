// Session: programs by request, variables, checkpoints. How a program runs is in run.cpp.
#include "kiln/session.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "kiln/files.h"
#include "runtime/session_state.h"

namespace kiln {
namespace runtime {
namespace {

std::size_t mix(std::size_t hash, std::size_t value) {
  hash ^= value;
  hash *= 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

std::size_t hash_of(std::size_t hash, const Key& key) {
  if (key.kind() == Key::Kind::name) return mix(hash, std::hash<std::string_view>()(key.name()));
  return mix(mix(hash, reinterpret_cast<std::uintptr_t>(key.graph())), key.id() * 4 + static_cast<std::size_t>(key.kind()));
}

bool matches(const CachedProgram& cached, std::size_t hash, std::span<const Key> fetches, const Strided<Key>& feeds) {
  if (cached.hash != hash || cached.fetches.size() != fetches.size() || cached.feeds.size() != feeds.size()) return false;
  for (std::size_t i = 0; i < fetches.size(); ++i)
    if (!(cached.fetches[i] == fetches[i])) return false;
  for (std::size_t i = 0; i < feeds.size(); ++i)
    if (!(cached.feeds[i] == feeds[i])) return false;
  return true;
}

std::string described(const Key& key) {
  if (!key.name().empty()) return "'" + std::string(key.name()) + "'";
  return (key.kind() == Key::Kind::operation ? "operation #" : "tensor #") + std::to_string(key.id());
}

std::string type_text(DType dtype, const Shape& shape) { return std::string(name_of(dtype)) + to_string(shape); }

std::string made_at(const Location& where) { return where.known() ? " (made at " + to_string(where) + ")" : ""; }

std::string list_of(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) text += (i > 0 ? ", '" : "'") + names[i] + "'";
  if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

}  // namespace

SessionState::SessionState(std::shared_ptr<ProgramSource> source, SessionOptions options, Location where)
    : source_(std::move(source)),
      options_(std::move(options)),
      meter_(options_.memory_limit),
      pool_(options_.threads > 0 ? options_.threads : available_threads()) {
  internal_check(source_ != nullptr, "a session needs a program source");
  if (options_.threads < 0)
    throw Error(ErrorCode::invalid_argument, "SessionOptions::threads is " + std::to_string(options_.threads), where,
                "give the number of threads, or 0 for as many as this process may use");
  const char* poison = std::getenv("KILN_POISON");
  poison_ = poison != nullptr && std::string_view(poison) == "1";
}

SessionState::~SessionState() {
  for (auto& bucket : buckets_) {
    for (CachedProgram* cached = bucket.load(); cached != nullptr;) delete std::exchange(cached, cached->next);
  }
}

const CachedProgram& SessionState::resolve(std::span<const Key> fetches, const Strided<Key>& feeds, Location where) {
  std::size_t hash = fetches.size();
  for (const Key& key : fetches) hash = hash_of(hash, key);
  for (std::size_t i = 0; i < feeds.size(); ++i) hash = hash_of(hash, feeds[i]);
  auto& bucket = buckets_[hash % bucket_count];
  const auto find = [&]() -> const CachedProgram* {
    for (const CachedProgram* cached = bucket.load(std::memory_order_acquire); cached != nullptr; cached = cached->next)
      if (matches(*cached, hash, fetches, feeds)) return cached;
    return nullptr;
  };
  if (const CachedProgram* cached = find()) return *cached;

  std::lock_guard guard(compile_mutex_);
  if (const CachedProgram* cached = find()) return *cached;  // another thread was first
  std::vector<Key> feed_list;
  for (std::size_t i = 0; i < feeds.size(); ++i) feed_list.push_back(feeds[i]);
  for (std::size_t i = 0; i < feed_list.size(); ++i) {
    if (std::find(feed_list.begin(), feed_list.begin() + i, feed_list[i]) != feed_list.begin() + i)
      throw Error(ErrorCode::invalid_feed, described(feed_list[i]) + " is fed twice", where, "leave one of the two feeds out");
  }
  std::unique_ptr<CachedProgram> made = describe(source_->compile(fetches, feed_list, options_, where), where);
  internal_check(made->program->fetch_outputs.size() == fetches.size(), "a program source must say where each fetch comes from");
  for (std::int32_t feed : made->program->input_feeds)
    internal_check(feed >= 0 && static_cast<std::size_t>(feed) < feeds.size(), "an input of a program is no feed of its request");
  keep_request(*made, fetches, feed_list);
  made->hash = hash;
  made->next = bucket.load(std::memory_order_relaxed);
  bucket.store(made.get(), std::memory_order_release);
  return *made.release();
}

void SessionState::keep_request(CachedProgram& made, std::span<const Key> fetches, std::span<const Key> feeds) {
  const auto owned = [&](const Key& key) {
    const std::string& name = made.names.emplace_back(key.name());
    return key.kind() == Key::Kind::name ? Key(name) : Key(key.kind(), key.graph(), key.id(), name);
  };
  for (const Key& key : fetches) made.fetches.push_back(owned(key));
  for (const Key& key : feeds) made.feeds.push_back(owned(key));
}

std::unique_ptr<CachedProgram> SessionState::describe(std::shared_ptr<const Program> program, Location where) {
  internal_check(program != nullptr && program->entry != nullptr, "a program source gave no program");
  auto made = std::make_unique<CachedProgram>();
  const Program& p = *program;
  internal_check(p.input_feeds.size() == p.inputs.size(), "a program source must say which feed each input is");
  for (const VariableSpec& variable : p.variables) {
    made->slots.push_back(&slot_of(variable.name, variable.dtype, variable.shape, variable.where, where));
    if (variable.assigned)
      made->access = Access::write;
    else if (made->access == Access::none)
      made->access = Access::read;
  }
  if (options_.memory_limit != 0) {
    for (const VariableInfo& variable : source_->variables())
      made->variable_bytes += allocated_bytes(static_cast<std::uint64_t>(variable.shape.size()) * size_of(variable.dtype));
    for (const VariableSpec& variable : p.variables)
      if (variable.shadowed) made->variable_bytes += allocated_bytes(static_cast<std::uint64_t>(variable.shape.size()) * size_of(variable.dtype));
  }
  made->constant_copies.reserve(p.constants.size());
  for (const Array& constant : p.constants) {
    const void* data = constant.raw();
    if (reinterpret_cast<std::uintptr_t>(data) % 64 != 0) data = made->constant_copies.emplace_back(ArrayView(constant)).raw();
    made->constants.push_back(data);
  }
  made->fetch_count = p.fetch_outputs.size();
  made->first_fetch.assign(p.outputs.size(), -1);
  for (std::size_t i = p.fetch_outputs.size(); i-- > 0;)
    if (p.fetch_outputs[i] >= 0) made->first_fetch.at(static_cast<std::size_t>(p.fetch_outputs[i])) = static_cast<std::int32_t>(i);
  for (std::int32_t fetch : made->first_fetch) internal_check(fetch >= 0, "an output of a program is no fetch of its request");
  made->program = std::move(program);
  return made;
}

// The caller holds compile_mutex_. A new slot is seen by no run before this returns.
VariableSlot& SessionState::slot_of(const std::string& name, DType dtype, const Shape& shape, Location made, Location where) {
  for (VariableSlot& slot : slots_) {
    if (slot.name != name) continue;
    internal_check(slot.dtype == dtype && slot.shape == shape, "two variables have the same name");
    return slot;
  }
  VariableSlot slot{name, dtype, shape, made, static_cast<std::size_t>(shape.size()) * size_of(dtype), {}, {}, false};
  slot.storage = Memory(slot.bytes, meter_, "variables", where);
  if (name == seed_variable || name == run_variable) {
    internal_check(dtype == DType::u64 && shape.rank() == 0, "the variables of the random state are u64[]");
    const std::uint64_t value = name == seed_variable ? options_.seed : 0;
    std::memcpy(slot.storage.data(), &value, sizeof value);
    slot.initialized = true;
  }
  return slots_.emplace_back(std::move(slot));
}

// The caller holds compile_mutex_.
std::vector<VariableSlot*> SessionState::all_slots(std::vector<VariableInfo>& infos, Location where) {
  infos = source_->variables();
  std::vector<VariableSlot*> slots;
  for (const VariableInfo& info : infos) slots.push_back(&slot_of(info, where));
  return slots;
}

void SessionState::initialize(Location where) {
  std::unique_ptr<CachedProgram> initializer;
  RandomState random;
  {
    std::lock_guard guard(compile_mutex_);
    initializer = describe(source_->initializer(options_, where), where);
    std::vector<VariableInfo> infos;
    for (VariableSlot* slot : all_slots(infos, where)) {
      if (slot->name == seed_variable) random.seed = slot;
      if (slot->name == run_variable) random.run = slot;
    }
  }
  internal_check(initializer->program->inputs.empty() && initializer->program->outputs.empty(), "an initializer has no inputs and outputs");
  initializer->access = Access::write;
  execute(*initializer, {}, {}, {}, where, random);
  // Second buffers that only the initializer needs would be held for nothing; other programs make theirs again.
  std::lock_guard guard(compile_mutex_);
  RunLockGuard write(run_lock_, Access::write);
  for (VariableSlot& slot : slots_) slot.shadow = Memory();
}

Array SessionState::value(const Key& variable, Location where) {
  refuse_in_custom_call(*this, where);
  VariableSlot* slot;
  {
    std::lock_guard guard(compile_mutex_);
    slot = &slot_of(source_->find_variable(variable, where), where);
  }
  Array result(slot->dtype, slot->shape);
  RunLockGuard guard(run_lock_, Access::read);
  if (!slot->initialized)
    throw Error(ErrorCode::uninitialized, "variable '" + slot->name + "'" + made_at(slot->where) + " has no value yet", where,
                "call session.initialize() first, or give it a value with session.set_value() or session.restore()");
  std::memcpy(result.mutable_raw(), slot->storage.data(), slot->bytes);
  return result;
}

void SessionState::set_value(const Key& variable, const ArrayView& value, Location where) {
  refuse_in_custom_call(*this, where);
  VariableSlot* slot;
  {
    std::lock_guard guard(compile_mutex_);
    slot = &slot_of(source_->find_variable(variable, where), where);
  }
  if (value.dtype() != slot->dtype || value.shape() != slot->shape)
    throw Error(value.dtype() != slot->dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                "variable '" + slot->name + "' is " + type_text(slot->dtype, slot->shape) + made_at(slot->where) + ", the value is " +
                    type_text(value.dtype(), value.shape()),
                where, value.dtype() != slot->dtype ? "convert it: value.convert(" + std::string(name_of(slot->dtype)) + ")" : "");
  RunLockGuard guard(run_lock_, Access::write);
  if (slot->bytes > 0) std::memcpy(slot->storage.data(), value.raw(), slot->bytes);
  slot->initialized = true;
}

std::vector<VariableInfo> SessionState::variables(Location where) {
  refuse_in_custom_call(*this, where);
  std::vector<VariableInfo> infos;
  std::vector<VariableSlot*> slots;
  {
    std::lock_guard guard(compile_mutex_);
    slots = all_slots(infos, where);
  }
  RunLockGuard guard(run_lock_, Access::read);
  for (std::size_t i = 0; i < infos.size(); ++i) infos[i].initialized = slots[i]->initialized;
  return infos;
}

void SessionState::save(const std::string& path, Location where) {
  refuse_in_custom_call(*this, where);
  std::vector<VariableInfo> infos;
  std::vector<VariableSlot*> slots;
  {
    std::lock_guard guard(compile_mutex_);
    slots = all_slots(infos, where);
  }
  // Copied under the lock and written after it: a slow disk holds up no run.
  std::map<std::string, Array> values;
  for (const VariableSlot* slot : slots) values.emplace(slot->name, Array(slot->dtype, slot->shape));
  {
    RunLockGuard guard(run_lock_, Access::read);
    for (const VariableSlot* slot : slots) {
      if (!slot->initialized)
        throw Error(ErrorCode::uninitialized,
                    "cannot save '" + path + "': variable '" + slot->name + "'" + made_at(slot->where) + " has no value yet", where,
                    "call session.initialize() first");
      std::memcpy(values.at(slot->name).mutable_raw(), slot->storage.data(), slot->bytes);
    }
  }
  write_safetensors(path, values, where);
}

void SessionState::restore(const std::string& path, Location where) {
  refuse_in_custom_call(*this, where);
  const std::map<std::string, Array> file = read_safetensors(path, where);
  std::vector<VariableInfo> infos;
  std::vector<VariableSlot*> slots;
  {
    std::lock_guard guard(compile_mutex_);
    slots = all_slots(infos, where);
  }
  std::vector<std::string> missing, unknown;
  for (std::size_t i = 0; i < infos.size(); ++i)
    if (!infos[i].hidden && !file.contains(infos[i].name)) missing.push_back(infos[i].name);
  for (const auto& [name, array] : file) {
    const auto same_name = [&](const VariableInfo& info) { return info.name == name; };
    const bool random_state = name == seed_variable || name == run_variable;
    if (!random_state && std::none_of(infos.begin(), infos.end(), same_name)) unknown.push_back(name);
  }
  if (!missing.empty() || !unknown.empty()) {
    std::string message = "'" + path + "' does not fit the graph:";
    if (!missing.empty()) message += " it lacks " + list_of(missing);
    if (!missing.empty() && !unknown.empty()) message += ", and";
    if (!unknown.empty()) message += " it holds " + list_of(unknown) + ", which no variable is named";
    throw Error(ErrorCode::invalid_argument, message, where,
                "restore() needs a file with exactly the graph's variables; single ones are set with "
                "session.set_value(name, read_safetensors(path).at(name))");
  }
  for (const VariableSlot* slot : slots) {
    const auto found = file.find(slot->name);
    if (found == file.end()) continue;
    const Array& array = found->second;
    if (array.dtype() != slot->dtype || array.shape() != slot->shape)
      throw Error(array.dtype() != slot->dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                  "'" + path + "' holds '" + slot->name + "' as " + type_text(array.dtype(), array.shape()) + ", but the variable is " +
                      type_text(slot->dtype, slot->shape) + made_at(slot->where),
                  where);
  }
  RunLockGuard guard(run_lock_, Access::write);
  for (VariableSlot* slot : slots) {
    const auto found = file.find(slot->name);
    if (found == file.end()) continue;
    std::memcpy(slot->storage.data(), found->second.raw(), slot->bytes);
    slot->initialized = true;
  }
}

}  // namespace runtime

std::string to_string(const Device& device) {
  switch (device.kind) {
    case Device::Kind::cpu: break;
  }
  return "cpu";
}

Session::Session(std::shared_ptr<runtime::ProgramSource> source, SessionOptions options, std::source_location where)
    : state_(std::make_shared<runtime::SessionState>(std::move(source), std::move(options), where)) {}

Session::~Session() = default;

const SessionOptions& Session::options() const { return state_->options(); }
int Session::threads() const { return state_->threads(); }

std::vector<Array> Session::run_list(std::span<const Key> fetches, std::span<const Feed> feeds, const RunOptions& options, Location where) {
  const Feed* first = feeds.data();
  const runtime::Strided<Key> keys(first == nullptr ? nullptr : &first->key, sizeof(Feed), feeds.size());
  const runtime::Strided<ArrayView> values(first == nullptr ? nullptr : &first->value, sizeof(Feed), feeds.size());
  const runtime::CachedProgram& program = state_->resolve(fetches, keys, where);
  std::vector<Array> results(fetches.size());
  state_->run(program, values, results, options, where);
  return results;
}

Array Session::run(const Key& fetch, ListRef<Feed> feeds, const RunOptions& options, std::source_location where) {
  return std::move(run_list({&fetch, 1}, feeds.span(), options, where)[0]);
}

Callable Session::callable_list(std::span<const Key> fetches, std::span<const Key> feeds, Location where) {
  return Callable(state_, &state_->resolve(fetches, feeds, where));
}

std::string Session::memory_report_list(std::span<const Key> fetches, std::span<const Key> feeds, Location where) {
  return state_->memory_report(fetches, feeds, where);
}

void Session::initialize(std::source_location where) { state_->initialize(where); }
Array Session::value(const Key& variable, std::source_location where) const { return state_->value(variable, where); }
void Session::set_value(const Key& variable, const ArrayView& value, std::source_location where) {
  state_->set_value(variable, value, where);
}
std::vector<VariableInfo> Session::variables(std::source_location where) const { return state_->variables(where); }
void Session::save(const std::string& path, std::source_location where) const { state_->save(path, where); }
void Session::restore(const std::string& path, std::source_location where) { state_->restore(path, where); }

}  // namespace kiln
