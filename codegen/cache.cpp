#include "codegen/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>

#include <fmt/format.h>

#include "codegen/source_hash.h"
#include "codegen/x86/x86.h"

namespace kiln::codegen {
namespace {

namespace fs = std::filesystem;

constexpr char magic[8] = {'K', 'I', 'L', 'N', 'C', 'A', 'C', '1'};
constexpr const char* suffix = ".kilncache";
constexpr const char* temporary_prefix = "writing-";
constexpr std::uint32_t name_seed = 0, check_seed = 0x9e3779b9, content_seed = 0x85ebca6b;
constexpr std::time_t abandoned_after = 3600;  // seconds; a writer that died leaves its temporary file

/// In front of the content. `check` is a second, independent hash of the key: with the name 256 bits have to collide.
struct Header {
  char magic[8];
  Hash128 check;
  std::uint64_t size;
  Hash128 content;
};

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }
  explicit operator bool() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  bool close() {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0;
  }

 private:
  int descriptor_;
};

bool read_all(int descriptor, char* to, std::size_t count) {
  while (count > 0) {
    const ssize_t got = ::read(descriptor, to, count);
    if (got <= 0) return false;
    to += got;
    count -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(int descriptor, const char* from, std::size_t count) {
  while (count > 0) {
    const ssize_t put = ::write(descriptor, from, count);
    if (put <= 0) return false;
    from += put;
    count -= static_cast<std::size_t>(put);
  }
  return true;
}

/// Ours, and writable by nobody else.
bool trusted(const struct stat& status) { return status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0; }

bool trusted_folder(const std::string& folder) {
  struct stat status{};
  return ::stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && trusted(status);
}

bool make_folder(const std::string& folder) {
  std::error_code error;
  const fs::path path(folder);
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  ::mkdir(folder.c_str(), 0700);  // fails harmlessly when it exists
  return trusted_folder(folder);
}

std::string_view view(const std::vector<char>& bytes) { return {bytes.data(), bytes.size()}; }

std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdULL;
  value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return value ^ (value >> 33);
}

}  // namespace

Hash128 hash128(std::string_view bytes, std::uint32_t seed) {
  constexpr std::uint64_t c1 = 0x87c37b91114253d5ULL, c2 = 0x4cf5ad432745937fULL;
  std::uint64_t h1 = seed, h2 = seed;
  const auto scramble1 = [](std::uint64_t k) { return std::rotl(k * c1, 31) * c2; };
  const auto scramble2 = [](std::uint64_t k) { return std::rotl(k * c2, 33) * c1; };
  std::size_t at = 0;
  for (; at + 16 <= bytes.size(); at += 16) {
    std::uint64_t k1 = 0, k2 = 0;
    std::memcpy(&k1, bytes.data() + at, 8);
    std::memcpy(&k2, bytes.data() + at + 8, 8);
    h1 = (std::rotl(h1 ^ scramble1(k1), 27) + h2) * 5 + 0x52dce729;
    h2 = (std::rotl(h2 ^ scramble2(k2), 31) + h1) * 5 + 0x38495ab5;
  }
  const std::size_t rest = bytes.size() - at;
  std::uint64_t k1 = 0, k2 = 0;
  if (rest > 8) std::memcpy(&k2, bytes.data() + at + 8, rest - 8);
  if (rest > 0) std::memcpy(&k1, bytes.data() + at, std::min<std::size_t>(rest, 8));
  h2 ^= scramble2(k2);
  h1 ^= scramble1(k1);
  h1 ^= bytes.size();
  h2 ^= bytes.size();
  h1 += h2;
  h2 += h1;
  h1 = mixed(h1);
  h2 = mixed(h2);
  h1 += h2;
  h2 += h1;
  return {h1, h2};
}

std::string to_string(const Hash128& hash) { return fmt::format("{:016x}{:016x}", hash.high, hash.low); }

const std::string& cache_salt() {
  static const std::string salt =
      fmt::format("kiln {} llvm {} cpu {} {}", KILN_SOURCE_HASH, llvm_version(), host_cpu().name, host_cpu().features);
  return salt;
}

std::string default_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && cache[0] == '/') return std::string(cache) + "/kiln";
  if (const char* home = std::getenv("HOME"); home && home[0] == '/') return std::string(home) + "/.cache/kiln";
  return "";
}

std::string DiskCache::path_of(std::string_view key) const { return folder_ + "/" + to_string(hash128(key, name_seed)) + suffix; }

std::optional<std::vector<char>> DiskCache::find(std::string_view key) const {
  if (folder_.empty() || !trusted_folder(folder_)) return std::nullopt;
  const std::string path = path_of(key);
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || !trusted(status)) return std::nullopt;
  Header header;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  bool sound = size >= sizeof header && read_all(file.get(), reinterpret_cast<char*>(&header), sizeof header) &&
               std::memcmp(header.magic, magic, sizeof magic) == 0 && header.size == size - sizeof header;
  if (sound && header.check != hash128(key, check_seed)) return std::nullopt;  // another key's file: leave it
  std::vector<char> blob;
  if (sound) {
    blob.resize(header.size);
    sound = read_all(file.get(), blob.data(), blob.size()) && header.content == hash128(view(blob), content_seed);
  }
  if (!sound) {
    ::unlink(path.c_str());
    return std::nullopt;
  }
  ::futimens(file.get(), nullptr);
  return blob;
}

void DiskCache::store(std::string_view key, const std::vector<char>& blob) const {
  if (folder_.empty() || blob.size() > max_bytes_ || !make_folder(folder_)) return;
  std::string temporary = folder_ + "/" + temporary_prefix + "XXXXXX";
  File file(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!file) return;
  Header header;
  std::memset(static_cast<void*>(&header), 0, sizeof header);
  std::memcpy(header.magic, magic, sizeof magic);
  header.check = hash128(key, check_seed);
  header.size = blob.size();
  header.content = hash128(view(blob), content_seed);
  const bool written =
      write_all(file.get(), reinterpret_cast<const char*>(&header), sizeof header) && write_all(file.get(), blob.data(), blob.size());
  if (!file.close() || !written || ::rename(temporary.c_str(), path_of(key).c_str()) != 0) {
    ::unlink(temporary.c_str());
    return;
  }
  evict();
}

void DiskCache::evict() const {
  struct Entry {
    std::string path;
    std::uint64_t bytes = 0;
    struct timespec used{};
  };
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder_, error)) {
    const std::string path = item.path().string(), name = item.path().filename().string();
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (name.starts_with(temporary_prefix)) {
      if (std::time(nullptr) - status.st_mtime > abandoned_after) ::unlink(path.c_str());
    } else if (name.ends_with(suffix)) {
      entries.push_back({path, static_cast<std::uint64_t>(status.st_size), status.st_mtim});
      total += entries.back().bytes;
    }
  }
  if (total <= max_bytes_) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.used.tv_sec != b.used.tv_sec) return a.used.tv_sec < b.used.tv_sec;
    if (a.used.tv_nsec != b.used.tv_nsec) return a.used.tv_nsec < b.used.tv_nsec;
    return a.path < b.path;
  });
  for (const Entry& entry : entries) {
    if (total <= max_bytes_) break;
    if (::unlink(entry.path.c_str()) == 0) total -= entry.bytes;
  }
}

}  // namespace kiln::codegen
