// Compiled code on disk, found again by what it was compiled from.
//
// The cache is a folder of files named by the hash of their key. It is an optimisation and nothing else: whatever goes wrong (no folder, no
// permission, a damaged or foreign file, a full disk) is a miss, never an error. Files that the current user does not own alone are not
// trusted, since what they hold will be executed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::codegen {

struct Hash128 {
  std::uint64_t high = 0, low = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
/// MurmurHash3_x64_128 (Austin Appleby, public domain): fast and well spread, not cryptographic.
Hash128 hash128(std::string_view bytes, std::uint32_t seed = 0);
/// 32 hexadecimal digits.
std::string to_string(const Hash128& hash);

/// What every key must contain: names this build of Kiln (its sources), LLVM's version, and the CPU with its features.
const std::string& cache_salt();

/// $XDG_CACHE_HOME/kiln, else ~/.cache/kiln; empty when neither is known.
std::string default_cache_folder();

class DiskCache {
 public:
  /// An empty folder means a cache in which nothing is found. The folder is made on the first store.
  explicit DiskCache(std::string folder = default_cache_folder(), std::uint64_t max_bytes = std::uint64_t{1} << 30)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}

  /// What was stored under the key; nothing when it is absent or damaged. Counts as a use.
  std::optional<std::vector<char>> find(std::string_view key) const;
  /// Stores; visible to others only when complete. Removes the least recently used files when the folder grows beyond its limit.
  void store(std::string_view key, const std::vector<char>& blob) const;

  const std::string& folder() const { return folder_; }

 private:
  std::string path_of(std::string_view key) const;
  void evict() const;

  std::string folder_;
  std::uint64_t max_bytes_;
};

}  // namespace kiln::codegen
