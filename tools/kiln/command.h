// The subcommands of `kiln`, one file each. A subcommand registers its options and, as a callback, what it does; what goes wrong in that
// is an Error (the user's file or request; exit status 1) or an InternalError (a bug; exit status 3).
#pragma once

#include <CLI/CLI.hpp>
#include <source_location>
#include <string>
#include <vector>

namespace kiln::command {

void add_print(CLI::App& app);
void add_opt(CLI::App& app);
void add_run(CLI::App& app);
void add_doctor(CLI::App& app);
void add_doc(CLI::App& app);

/// "0.1.0".
std::string version();

/// A request that the option parser cannot see to be wrong; exit status 2.
[[noreturn]] void usage_error(const std::string& message);

/// Passed as the place of calls into Kiln: the mistakes are in the user's files, not on a line of this program.
inline constexpr std::source_location nowhere{};

}  // namespace kiln::command
