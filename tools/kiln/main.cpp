// kiln: looks into programs and runs them. `kiln --help` lists the subcommands.
#include <cstdio>
#include <exception>

#include "codegen/x86/x86.h"
#include "kiln/error.h"
#include "tools/kiln/command.h"

namespace kiln::command {

std::string version() { return KILN_VERSION; }

void usage_error(const std::string& message) { throw CLI::ValidationError(message); }

namespace {

constexpr int failed = 1, bad_usage = 2, internal_failure = 3;

/// Runs `work`, and turns what it throws into a message and an exit status.
template <class Work>
int guarded(const CLI::App& app, Work work) {
  try {
    work();
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : bad_usage;  // help and version arrive here too
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return failed;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: out of memory\n");
    return failed;
  } catch (const std::exception& error) {
    std::fprintf(stderr,
                 "%s\nThis is a bug in Kiln, not in your program. Please report it with the text above, the file and the command.\n",
                 error.what());
    return internal_failure;
  }
}

}  // namespace
}  // namespace kiln::command

int main(int argc, char** argv) {
  using namespace kiln::command;
  CLI::App app("Looks into Kiln programs and runs them.", "kiln");
  app.set_version_flag("--version", [] { return "kiln " + version() + " (LLVM " + kiln::codegen::llvm_version() + ")"; });
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all subcommands");
  app.footer(
      "A MODEL.kiln file is what graph.write() writes: text of the tensor IR, with large literals in a .safetensors file beside it.\n"
      "Exit status: 0 done, 1 an error in a file or request, 2 wrong usage, 3 a bug in Kiln.");
  add_print(app);
  add_opt(app);
  add_run(app);
  add_doctor(app);
  add_doc(app);
  const int status = guarded(app, [&] { app.parse(argc, argv); });
  // A result that did not reach its reader is no success.
  if (std::fflush(stdout) != 0) {
    std::perror("error: writing the output");
    return status == 0 ? failed : status;
  }
  return status;
}
