// Child processes, and their numbers.
#include "example.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace kiln::examples {

Finished run(const std::string& program, const std::vector<std::string>& arguments, const std::string& cache) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("XDG_CACHE_HOME", cache.c_str(), 1);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  Finished finished;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) finished.output.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  if (child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status)) finished.status = WEXITSTATUS(status);
  return finished;
}

std::vector<double> numbers(const std::string& text) {
  std::vector<double> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    char* end = nullptr;
    const double value = std::strtod(line.c_str(), &end);
    if (end != line.c_str() && *end == '\0') found.push_back(value);
  }
  return found;
}

std::vector<double> numbers_after(const std::string& text, const std::string& label) {
  std::vector<double> found;
  for (std::size_t at = text.find(label); at != std::string::npos; at = text.find(label, at + label.size()))
    found.push_back(std::strtod(text.c_str() + at + label.size(), nullptr));
  return found;
}

const std::string& scratch_folder() {
  struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / "kiln-examples-XXXXXX").string();
    Folder() { path = ::mkdtemp(path.data()); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

}  // namespace kiln::examples
