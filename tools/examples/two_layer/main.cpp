// two_layer --program NAME --data DIR: ten small training programs on one network, each in a file of its own beside this one.
#include <cstdio>
#include <exception>
#include <functional>
#include <map>

#include <CLI/CLI.hpp>

#include "kiln/files.h"
#include "two_layer.h"

namespace two_layer {

kiln::Array Setup::load(const std::string& file) const { return kiln::Array::load(folder + "/" + file).convert(dtype); }

std::vector<std::int64_t> Setup::depths() const {
  const kiln::Array depths = kiln::Array::load(folder + "/depths.npy").convert(kiln::i64);
  return {depths.data<std::int64_t>().begin(), depths.data<std::int64_t>().end()};
}

void print_loss(const kiln::Array& loss) { std::printf("%.17g\n", kiln::element_as_double(loss, 0)); }

}  // namespace two_layer

int main(int argc, char** argv) {
  using namespace two_layer;
  const std::map<std::string, std::function<void(const Setup&)>> programs = {
      {"static_graph_sgd_1e-6", static_graph},
      {"manual_gradient", manual_gradient},
      {"custom_relu", custom_relu},
      {"nn_sequential_sgd_1e-4", [](const Setup& s) { nn_sequential(s, Method::sgd); }},
      {"adam_1e-4", [](const Setup& s) { nn_sequential(s, Method::adam); }},
      {"adamw_1e-4_wd_1e-2", [](const Setup& s) { nn_sequential(s, Method::adamw); }},
      {"rmsprop_1e-4", [](const Setup& s) { nn_sequential(s, Method::rmsprop); }},
      {"adagrad_1e-2", [](const Setup& s) { nn_sequential(s, Method::adagrad); }},
      {"nesterov_1e-4_m_0.9", [](const Setup& s) { nn_sequential(s, Method::nesterov); }},
      {"dynamic_net_momentum_1e-4_m_0.9", dynamic_net},
  };
  std::vector<std::string> names;
  for (const auto& [name, function] : programs) names.push_back(name);

  CLI::App app("Trains y = relu(x w1) w2 on the arrays of a folder and prints the loss before each step, one a line.");
  std::string program = "static_graph_sgd_1e-6", dtype = "f32", device = "cpu", engine = "compiled";
  Setup setup;
  app.add_option("--program", program, "Which program")->check(CLI::IsMember(names))->capture_default_str();
  app.add_option("--data", setup.folder, "Folder with x.npy, y.npy and the initial weights")->required()->check(CLI::ExistingDirectory);
  app.add_option("--dtype", dtype, "Element type")->check(CLI::IsMember({"f32", "f64"}))->capture_default_str();
  app.add_option("--device", device, "Where to compute")->check(CLI::IsMember({"cpu"}))->capture_default_str();
  app.add_option("--steps", setup.steps, "How many updates")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--threads", setup.session.threads, "Threads; 0: as many as there are processors")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--engine", engine, "What executes: machine code, or one of the interpreters that check it")
      ->check(CLI::IsMember({"compiled", "program_interpreter", "reference"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  setup.dtype = *kiln::dtype_from_name(dtype);
  setup.session.engine = engine == "compiled"    ? kiln::Engine::compiled
                         : engine == "reference" ? kiln::Engine::reference
                                                 : kiln::Engine::program_interpreter;
  try {
    programs.at(program)(setup);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
