#include "codegen/x86/object_bundle.h"

#include <cstdint>
#include <cstring>

#include "kiln/error.h"

namespace kiln::codegen {
namespace {

constexpr char magic[8] = {'K', 'I', 'L', 'N', 'O', 'B', 'J', '1'};

std::size_t aligned(std::size_t offset) { return (offset + 15) / 16 * 16; }

}  // namespace

std::vector<char> bundle_objects(const std::vector<std::vector<char>>& objects) {
  if (objects.size() == 1) return objects[0];
  std::vector<char> blob(sizeof magic + 8 * (objects.size() + 1));
  std::memcpy(blob.data(), magic, sizeof magic);
  const auto put = [&](std::size_t at, std::uint64_t value) { std::memcpy(blob.data() + at, &value, sizeof value); };
  put(sizeof magic, objects.size());
  for (std::size_t i = 0; i < objects.size(); ++i) put(sizeof magic + 8 * (i + 1), objects[i].size());
  for (const auto& object : objects) {
    blob.resize(aligned(blob.size()));
    blob.insert(blob.end(), object.begin(), object.end());
  }
  return blob;
}

std::vector<std::span<const char>> unbundle_objects(std::span<const char> blob) {
  if (blob.size() < sizeof magic || std::memcmp(blob.data(), magic, sizeof magic) != 0) return {blob};
  const auto damaged = [] { return Error(ErrorCode::corrupt_file, "a bundle of object files is damaged"); };
  const auto get = [&](std::size_t at) {
    std::uint64_t value = 0;
    if (at + sizeof value > blob.size()) throw damaged();
    std::memcpy(&value, blob.data() + at, sizeof value);
    return value;
  };
  const std::uint64_t count = get(sizeof magic);
  if (count > blob.size() / 8) throw damaged();
  std::vector<std::span<const char>> objects;
  std::size_t offset = sizeof magic + 8 * (count + 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t size = get(sizeof magic + 8 * (i + 1));
    offset = aligned(offset);
    if (offset > blob.size() || size > blob.size() - offset) throw damaged();
    objects.push_back(blob.subspan(offset, size));
    offset += size;
  }
  return objects;
}

}  // namespace kiln::codegen
