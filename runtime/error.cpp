// Texts of errors, and the table of file names that locations read from text point into.
#include "kiln/error.h"

#include <mutex>
#include <set>

namespace kiln {
namespace {

std::string full_text(const std::string& message, const Location& where, const std::string& hint) {
  std::string text;
  if (where.known()) text = to_string(where) + ": ";
  text += "error: " + message;
  if (!hint.empty()) text += "\n  hint: " + hint;
  return text;
}

}  // namespace

Location Location::interned(const std::string& file, std::uint32_t line, std::uint32_t column) {
  // Nodes of a set never move, so that the pointers stay valid; leaked on purpose, as locations may outlive static destruction.
  static std::mutex& mutex = *new std::mutex;
  static std::set<std::string>& files = *new std::set<std::string>;
  Location location;
  {
    std::lock_guard lock(mutex);
    location.file = files.insert(file).first->c_str();
  }
  location.line = line;
  location.column = column;
  return location;
}

std::string to_string(const Location& location) {
  if (!location.known()) return "unknown location";
  return std::string(location.file) + ":" + std::to_string(location.line);
}

Error::Error(ErrorCode code, const std::string& message, Location where, const std::string& hint)
    : std::runtime_error(full_text(message, where, hint)), code_(code), where_(where), message_(message), hint_(hint) {}

InternalError::InternalError(const std::string& message, std::source_location where)
    : std::logic_error("internal error of Kiln (" + to_string(Location(where)) + "): " + message) {}

}  // namespace kiln
