// The two kinds of failure: kiln::Error (the user's graph, feed or file is at fault) and kiln::InternalError (Kiln is).
#pragma once

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>

namespace kiln {

/// Where in the user's program something was written. `file` lives for the whole process; an empty file means unknown.
struct Location {
  const char* file = "";
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  constexpr Location() = default;
  constexpr Location(const std::source_location& l) : file(l.file_name()), line(l.line()), column(l.column()) {}
  /// A location read from text; the file name is interned for the life of the process.
  static Location interned(const std::string& file, std::uint32_t line, std::uint32_t column = 0);

  constexpr bool known() const { return line != 0; }
};

/// "train.cpp:12", or "unknown location".
std::string to_string(const Location& location);

/// What kind of mistake an Error reports, for programs that react to it.
enum class ErrorCode : std::uint8_t {
  invalid_argument,     ///< a value that makes no sense where it was given
  shape_mismatch,       ///< shapes that do not fit together
  dtype_mismatch,       ///< dtypes that do not fit together
  foreign_graph,        ///< a tensor of another graph, or one that escaped its loop or branch body
  not_differentiable,   ///< a gradient that does not exist
  missing_feed,         ///< a placeholder that the fetches need was not fed
  invalid_feed,         ///< a feed of the wrong shape or dtype, or of something that is no placeholder
  uninitialized,        ///< a variable was read before it had a value
  conflicting_assign,   ///< two assigns to one variable in one run, or an assign in a loop or branch body
  check_failed,         ///< a run-time check of the graph was false
  deadline_exceeded,    ///< the run's deadline passed
  cancelled,            ///< the run was cancelled
  out_of_memory,        ///< memory could not be had, or a size overflowed
  io,                   ///< a file could not be read or written
  corrupt_file,         ///< a file's content is damaged or of another format
  parse,                ///< text that is not valid Kiln text
  unsupported,          ///< a target or feature that this build or machine does not have
  custom_call_failed,   ///< a user's function threw or returned an error
  poisoned,             ///< the session met a device error after it had begun to commit
};

/// A mistake in the user's graph, feed or file. what() is the whole message; its first line is "file:line: error: ...", if the line is known.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, Location where = {}, const std::string& hint = "");
  ErrorCode code() const { return code_; }
  /// The user's line that caused it; unknown for errors that have none.
  const Location& where() const { return where_; }
  /// The message alone, without location and hint.
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }

 private:
  ErrorCode code_;
  Location where_;
  std::string message_, hint_;
};

/// A broken invariant of Kiln itself: a bug to report.
class InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& message, std::source_location where = std::source_location::current());
};

/// Throws InternalError unless `condition` holds.
inline void internal_check(bool condition, const char* what, std::source_location where = std::source_location::current()) {
  if (!condition) [[unlikely]] throw InternalError(what, where);
}

}  // namespace kiln
