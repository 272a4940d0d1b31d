// Values that a run shows: the hook that generated code calls. Internal to the runtime.
#pragma once

#include <cstdint>
#include <exception>

#include "kiln/session.h"
#include "runtime/program.h"

namespace kiln::runtime {

/// The prints of one run. What the receiver of the lines throws does not pass through generated code: the hook keeps it and reports
/// failure, and fail() throws it once the code has returned.
class Prints {
 public:
  Prints(const SessionOptions& options, const Program& program) : options_(options), program_(program) {}

  /// kiln_call::print, with this object as its context.
  static std::int32_t hook(void* self, std::int64_t index, const void* data, const std::int64_t* extents) noexcept;
  [[noreturn]] void fail() const;

 private:
  const SessionOptions& options_;
  const Program& program_;
  std::exception_ptr thrown_;
};

/// The line for a value: "message: f32[3] {1, 2, 3}", abbreviated as arrays are.
std::string print_line(const std::string& message, const ArrayView& value);

}  // namespace kiln::runtime
