// Running the example programs, and reading what they print.
#pragma once

#include <string>
#include <vector>

namespace kiln::examples {

struct Finished {
  int status = -1;
  std::string output;  ///< standard output and standard error
};

/// Runs a program with arguments (no shell in between) and waits for it. `cache` is its folder of compiled programs.
Finished run(const std::string& program, const std::vector<std::string>& arguments, const std::string& cache);

/// The numbers of lines that hold nothing else.
std::vector<double> numbers(const std::string& text);

/// The first number behind `label`, once for each occurrence of the label.
std::vector<double> numbers_after(const std::string& text, const std::string& label);

/// A folder that lives as long as this process.
const std::string& scratch_folder();

}  // namespace kiln::examples
