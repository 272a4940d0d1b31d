// kiln doctor: what this machine offers to Kiln, and whether Kiln works on it.
#include "tools/kiln/doctor.h"

#include <fmt/format.h>

#include <memory>

#include "codegen/x86/x86.h"
#include "tools/kiln/command.h"

namespace kiln::command {

namespace {

std::string bytes_text(const Json& bytes) {
  if (bytes.is_null()) return "no limit";
  return fmt::format("{:.1f} GiB", bytes.get<double>() / (1 << 30));
}

void line(const std::string& topic, const std::string& text) { fmt::print("{:<12} {}\n", topic, text); }

std::string string_of(const Json& json, const char* key) { return json.at(key).get<std::string>(); }

void print_text(const Json& report) {
  const Json &cpu = report["cpu"], &limits = report["limits"], &cache = report["cache"], &cuda = report["cuda"],
             &test = report["self_test"];
  line("kiln", string_of(report, "version"));
  line("LLVM", string_of(report, "llvm"));
  line("CPU", fmt::format("{}; {} to LLVM, {}", string_of(cpu, "model"), string_of(cpu, "llvm_name"), string_of(cpu, "level")));
  std::string features;
  for (const Json& feature : cpu["vector_features"]) features += (features.empty() ? "" : " ") + feature.get<std::string>();
  line("", features);
  line("processors", fmt::format("{} online, {} allowed by affinity, quota {}: Kiln uses {} threads", limits["processors"].get<int>(),
                                 limits["affinity"].get<int>(),
                                 limits["cpu_quota"].is_null() ? "none" : fmt::format("{:.1f}", limits["cpu_quota"].get<double>()),
                                 limits["threads"].get<int>()));
  line("memory", fmt::format("{} installed, {} available, container {}", bytes_text(limits["memory_bytes"]),
                             bytes_text(limits["memory_available_bytes"]), bytes_text(limits["memory_limit_bytes"])));
  line("huge pages", string_of(limits, "transparent_huge_pages"));
  if (cache["usable"].get<bool>())
    line("cache", fmt::format("{}: {} programs, {:.1f} MiB", string_of(cache, "folder"), cache["files"].get<int>(),
                              cache["bytes"].get<double>() / (1 << 20)));
  else
    line("cache", fmt::format("not used: {}", string_of(cache, "problem")));
  for (const char* part : {"nvrtc", "driver"}) {
    const Json& found = cuda[part];
    if (found["found"].get<bool>()) {
      std::string devices;
      if (found.contains("devices"))
        for (const Json& device : found["devices"]) devices += (devices.empty() ? "; " : ", ") + device.get<std::string>();
      line(part, fmt::format("{} {}{}", string_of(found, "library"), string_of(found, "version"), devices));
    } else {
      line(part, fmt::format("not found. {}", string_of(found, "hint")));
    }
  }
  if (test["passed"].get<bool>())
    line("self test", fmt::format("passed: a training step compiles in {:.1f} ms and runs in {:.1f} us, with the reference's results",
                                  test["compile_ms"].get<double>(), test["run_us"].get<double>()));
  else
    line("self test", "FAILED: " + string_of(test, "error"));
}

void examine(bool json) {
  Json report;
  report["version"] = version();
  report["llvm"] = codegen::llvm_version();
  report["cpu"] = describe_cpu();
  report["limits"] = describe_limits();
  report["cache"] = describe_cache();
  report["cuda"] = describe_cuda();
  report["self_test"] = run_self_test();
  if (json)
    fmt::print("{}\n", report.dump(2));
  else
    print_text(report);
  if (!report["self_test"]["passed"].get<bool>())
    throw Error(ErrorCode::unsupported, "Kiln does not work on this machine: the self test failed", {},
                report["cpu"]["level"] == "x86-64-v1" ? "the CPU must have SSE4.2: level x86-64-v2 or higher" : "");
}

}  // namespace

void add_doctor(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("doctor", "Says what this machine offers to Kiln, and whether Kiln works on it");
  command->add_flag("--json", *json, "As JSON");
  command->callback([json] { examine(*json); });
}

}  // namespace kiln::command
