// CUDA: nothing of it is needed, and nothing is linked. NVRTC compiles kernels, the driver runs them; both are looked for as a program that
// uses them would look. The prototypes are ours.
#include <dlfcn.h>
#include <fmt/format.h>

#include "tools/kiln/doctor.h"

namespace kiln::command {

namespace {

/// The first of the libraries that loads, or nothing. Stays loaded: unloading a driver is no use to anybody.
struct Library {
  std::string name;
  void* handle = nullptr;

  template <class Function>
  Function* function(const char* symbol) const {
    return reinterpret_cast<Function*>(dlsym(handle, symbol));
  }
};

Library first_library(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return {name, handle};
  return {};
}

Json describe_nvrtc() {
  Json result;
  const Library nvrtc = first_library({"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"});
  result["found"] = nvrtc.handle != nullptr;
  if (!nvrtc.handle) {
    result["hint"] = "Needed only to compile for NVIDIA GPUs: NVIDIA's libnvrtc, on the linker's path";
    return result;
  }
  result["library"] = nvrtc.name;
  int major = 0, minor = 0;
  const auto get_version = nvrtc.function<int(int*, int*)>("nvrtcVersion");
  result["version"] = get_version && get_version(&major, &minor) == 0 ? fmt::format("{}.{}", major, minor) : "unknown";
  return result;
}

Json describe_driver() {
  Json result;
  const Library driver = first_library({"libcuda.so.1", "libcuda.so"});
  result["found"] = driver.handle != nullptr;
  if (!driver.handle) {
    result["hint"] = "Needed only to run on NVIDIA GPUs: it comes with NVIDIA's driver package";
    return result;
  }
  result["library"] = driver.name;
  int version = 0;
  const auto get_version = driver.function<int(int*)>("cuDriverGetVersion");
  result["version"] = get_version && get_version(&version) == 0 ? fmt::format("{}.{}", version / 1000, version % 1000 / 10) : "unknown";
  Json devices = Json::array();
  const auto initialize = driver.function<int(unsigned)>("cuInit");
  const auto count_devices = driver.function<int(int*)>("cuDeviceGetCount");
  const auto get_device = driver.function<int(int*, int)>("cuDeviceGet");
  const auto get_name = driver.function<int(char*, int, int)>("cuDeviceGetName");
  int count = 0;
  if (initialize && count_devices && get_device && get_name && initialize(0) == 0 && count_devices(&count) == 0)
    for (int i = 0; i < count; ++i) {
      int device = 0;
      char name[256] = "";
      if (get_device(&device, i) == 0 && get_name(name, sizeof name, device) == 0) devices.push_back(name);
    }
  result["devices"] = devices;
  return result;
}

}  // namespace

Json describe_cuda() {
  Json cuda;
  cuda["nvrtc"] = describe_nvrtc();
  cuda["driver"] = describe_driver();
  return cuda;
}

}  // namespace kiln::command
