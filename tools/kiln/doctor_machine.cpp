// The machine: processor, limits of this process, cache folder. Everything is read from the kernel's text files; what cannot be read is
// reported as unknown.
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "codegen/cache.h"
#include "codegen/x86/x86.h"
#include "runtime/thread_pool.h"
#include "tools/kiln/doctor.h"

namespace kiln::command {

namespace fs = std::filesystem;

namespace {

/// The value behind `key` in a file of "key : value" lines, or "".
std::string value_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);)
    if (text.starts_with(key))
      if (const std::size_t colon = text.find(':'); colon != std::string::npos)
        if (const std::size_t start = text.find_first_not_of(" \t", colon + 1); start != std::string::npos) return text.substr(start);
  return "";
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return text;
}

/// Bytes behind a key of /proc/meminfo, which counts in kB; null when unknown.
Json memory_info(const char* key) {
  const std::string text = value_in("/proc/meminfo", key);
  if (text.empty()) return nullptr;
  return std::strtoll(text.c_str(), nullptr, 10) * 1024;
}

/// The container's limit under either version of cgroups; null when there is none.
Json memory_limit() {
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const std::string text = first_line(path);
    if (text.empty()) continue;
    const long long bytes = std::strtoll(text.c_str(), nullptr, 10);
    constexpr long long unlimited = 1LL << 60;  // version 1 writes a number near 2^63
    if (text != "max" && bytes > 0 && bytes < unlimited) return bytes;
    return nullptr;
  }
  return nullptr;
}

/// Processors' worth of time that the container may use; null when there is no quota.
Json cpu_quota() {
  double quota = 0, period = 0;
  std::string text = first_line("/sys/fs/cgroup/cpu.max");
  if (text.empty()) text = first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") + " " + first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  std::istringstream numbers(text);
  if (numbers >> quota >> period && quota > 0 && period > 0) return quota / period;
  return nullptr;
}

int affinity() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

Json describe_cpu() {
  const codegen::HostCpu& host = codegen::host_cpu();
  Json cpu;
  const std::string model = value_in("/proc/cpuinfo", "model name");
  cpu["model"] = model.empty() ? "unknown model" : model;
  cpu["llvm_name"] = host.name;
  cpu["level"] = host.level;
  Json present = Json::array(), vector = Json::array();
  std::istringstream features(host.features);
  for (std::string feature; std::getline(features, feature, ',');) {
    if (feature.empty() || feature[0] != '+') continue;
    feature.erase(0, 1);
    present.push_back(feature);
    if (feature.starts_with("avx") || feature.starts_with("amx") || feature == "fma" || feature == "f16c") vector.push_back(feature);
  }
  cpu["vector_features"] = vector;
  cpu["features"] = present;
  return cpu;
}

Json describe_limits() {
  Json limits;
  limits["processors"] = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  limits["affinity"] = affinity();
  limits["cpu_quota"] = cpu_quota();
  limits["threads"] = runtime::available_threads();
  limits["memory_bytes"] = memory_info("MemTotal");
  limits["memory_available_bytes"] = memory_info("MemAvailable");
  limits["memory_limit_bytes"] = memory_limit();
  const std::string huge = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = huge.find('['), close = huge.find(']');
  limits["transparent_huge_pages"] =
      open == std::string::npos || close == std::string::npos ? "unknown" : huge.substr(open + 1, close - open - 1);
  return limits;
}

Json describe_cache() {
  Json cache;
  const std::string folder = codegen::default_cache_folder();
  cache["folder"] = folder;
  cache["usable"] = false;
  if (folder.empty()) {
    cache["problem"] = "neither XDG_CACHE_HOME nor HOME names a folder";
    return cache;
  }
  // Tried with the cache itself, since it trusts only folders that nobody else can write to.
  const codegen::DiskCache disk(folder);
  const std::string key = "kiln doctor";
  disk.store(key, {'o', 'k'});
  if (!disk.find(key)) {
    cache["problem"] = folder + " cannot be written to, or others may write to it";
    return cache;
  }
  cache["usable"] = true;
  std::int64_t files = 0;
  std::uintmax_t bytes = 0;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    std::error_code unreadable;
    const std::uintmax_t size = entry.file_size(unreadable);
    if (unreadable) continue;
    ++files;
    bytes += size;
  }
  cache["files"] = files;
  cache["bytes"] = bytes;
  return cache;
}

}  // namespace kiln::command
