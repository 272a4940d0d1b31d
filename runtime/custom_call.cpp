// Calls of the user's functions out of a run (runtime/custom_call.h).
#include "runtime/custom_call.h"

#include <utility>
#include <vector>

#include "runtime/session_state.h"

namespace kiln::runtime {
namespace {

/// The custom calls that this thread is inside of: a function may run another session, whose programs may have functions too.
struct Active {
  const SessionState* session;
  const Active* outer;
};
thread_local const Active* active = nullptr;

struct ActiveScope {
  explicit ActiveScope(const SessionState& session) : here{&session, active} { active = &here; }
  ~ActiveScope() { active = here.outer; }
  ActiveScope(const ActiveScope&) = delete;
  ActiveScope& operator=(const ActiveScope&) = delete;
  Active here;
};

Shape shape_of(const ValueSpec& value, const Frame& frame) {
  Shape shape = Shape::of_rank(value.dims.size());
  for (std::size_t d = 0; d < value.dims.size(); ++d) shape[d] = extent_of(value.dims[d], frame);
  return shape;
}

}  // namespace

void CustomCalls::call(std::int64_t index, const void* const* inputs, void* const* outputs) const {
  const CustomCallSpec& spec = program_.custom_calls.at(static_cast<std::size_t>(index));
  internal_check(spec.function != nullptr, "a program is run before the functions of its custom calls are known");
  // Extents may depend on what the run has produced so far.
  if (program_.produced > 0) program_.plan(program_.self, frame_.symbols.data(), frame_.values.data());
  std::vector<ArrayView> in;
  in.reserve(spec.inputs.size());
  for (std::size_t i = 0; i < spec.inputs.size(); ++i) in.emplace_back(spec.inputs[i].dtype, shape_of(spec.inputs[i], frame_), inputs[i]);
  std::vector<MutableArrayView> out;
  out.reserve(spec.results.size());
  for (std::size_t i = 0; i < spec.results.size(); ++i)
    out.emplace_back(spec.results[i].dtype, shape_of(spec.results[i], frame_), outputs[i]);
  const ActiveScope scope(session_);
  spec.function(in, out);
}

std::int32_t CustomCalls::hook(void* self, std::int64_t index, const void* const* inputs, void* const* outputs) noexcept {
  auto& calls = *static_cast<CustomCalls*>(self);
  try {
    calls.call(index, inputs, outputs);
    return 0;
  } catch (...) {
    calls.thrown_ = std::current_exception();
    return 1;
  }
}

void CustomCalls::fail(std::int64_t index, const Location& where) const {
  internal_check(index >= 0 && static_cast<std::size_t>(index) < program_.custom_calls.size(),
                 "generated code reports a custom call that does not exist");
  const CustomCallSpec& spec = program_.custom_calls[static_cast<std::size_t>(index)];
  const auto error = [&](const std::string& what) {
    return Error(ErrorCode::custom_call_failed, "the custom call \"" + spec.name + "\" failed: " + what,
                 spec.where.known() ? spec.where : where);
  };
  if (thrown_ == nullptr) throw error("it returned an error");
  try {
    std::rethrow_exception(thrown_);
  } catch (const InternalError&) {
    throw;  // of Kiln, not of the user's function
  } catch (const std::exception& exception) {
    std::throw_with_nested(error(exception.what()));
  } catch (...) {
    std::throw_with_nested(error("it threw something that is no std::exception"));
  }
}

void refuse_in_custom_call(const SessionState& session, const Location& where) {
  for (const Active* at = active; at != nullptr; at = at->outer) {
    if (at->session != &session) continue;
    throw Error(ErrorCode::invalid_argument, "a custom call uses the session that is running it, and would wait for itself", where,
                "pass what it needs as inputs of the call, or use another session");
  }
}

}  // namespace kiln::runtime
