// Calls of the user's functions out of a run: the hook that generated code calls, and what becomes of exceptions. Internal to the runtime.
#pragma once

#include <cstdint>
#include <exception>

#include "kiln/error.h"

namespace kiln::runtime {

struct Frame;
struct Program;
class SessionState;

/// The functions of one run. Exceptions do not pass through generated code: the hook keeps the first one and reports failure, and fail()
/// throws once the code has returned.
class CustomCalls {
 public:
  CustomCalls(const SessionState& session, const Program& program, Frame& frame)
      : session_(session), program_(program), frame_(frame) {}

  /// kiln_call::custom_call, with this object as its context.
  static std::int32_t hook(void* self, std::int64_t index, const void* const* inputs, void* const* outputs) noexcept;

  /// Throws Error(custom_call_failed) for call `index`, with what its function threw nested in it.
  [[noreturn]] void fail(std::int64_t index, const Location& where) const;

 private:
  void call(std::int64_t index, const void* const* inputs, void* const* outputs) const;

  const SessionState& session_;
  const Program& program_;
  Frame& frame_;
  std::exception_ptr thrown_;
};

/// Throws Error(invalid_argument) on a thread that is inside of a custom call of this session: it would wait for itself.
void refuse_in_custom_call(const SessionState& session, const Location& where);

}  // namespace kiln::runtime
