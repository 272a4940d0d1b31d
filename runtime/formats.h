// File formats in memory, and the file access beneath them. Internal to the runtime; tests and fuzzers call the parsers directly.
//
// Parsers take the bytes and the file's name for messages; they throw Error(corrupt_file) or Error(unsupported) and never read outside of
// the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kiln/array.h"

namespace kiln::runtime {

using Bytes = std::span<const unsigned char>;

/// What a parser knows of its file, to say what is wrong with it.
struct Source {
  std::string name;
  Location where;
  /// Throws Error(corrupt_file): "'name' is damaged or not a FORMAT file: WHAT".
  [[noreturn]] void corrupt(const char* format, const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what, const std::string& hint = "") const;
};

Array parse_npy(Bytes file, const Source& source);
std::map<std::string, Array> parse_npz(Bytes file, const Source& source);
/// The arrays point into the bytes, which `owner` keeps alive, where alignment allows that; else they are copies.
std::map<std::string, Array> parse_safetensors(Bytes file, const Source& source, const std::shared_ptr<const void>& owner);

/// The bytes of a .npy file before the elements.
std::string npy_header(DType dtype, const Shape& shape);

/// The whole content of a regular file. Throws Error(io).
std::vector<unsigned char> read_file(const std::string& path, Location where);

/// A regular file mapped for reading.
struct MappedFile {
  Bytes bytes;
  std::shared_ptr<const void> owner;
};
MappedFile map_file(const std::string& path, Location where);

/// Writes a file whole or not at all: the pieces go to a temporary file in the same folder, which is synced and then renamed. Throws
/// Error(io), leaving what was there before.
void write_file(const std::string& path, std::span<const Bytes> pieces, Location where);

inline Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const unsigned char*>(text.data()), text.size()}; }
inline Bytes bytes_of(const ArrayView& array) { return {static_cast<const unsigned char*>(array.raw()), array.bytes()}; }

/// Little-endian integers, as all three formats have them (the machines that Kiln runs on are little-endian as well).
template <class T>
T load_little(const unsigned char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void append_little(std::string& to, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  to.append(bytes, sizeof value);
}

}  // namespace kiln::runtime
