// The record that summary() makes of a model's calls.
#pragma once

#include <vector>

#include "frontend/nn_state.h"
#include "frontend/state.h"
#include "kiln/nn/module.h"

namespace kiln::nn::detail {

/// While one lives, calls of modules on this thread are noted, and the traced module's parameters are those of another graph; afterwards
/// they are what they were.
class Tracer {
 public:
  struct Entry {
    const Module* module = nullptr;  ///< valid during the call
    const ModuleState* state = nullptr;
    int depth = 0;
    std::string output;
    ir::NodeId first = 0, last = 0;  ///< nodes of the main graph that the call appended
    std::size_t parent = 0;          ///< entry of the enclosing call + 1, or 0
    std::string name = {}, type = {};
  };

  Tracer(Module& module, kiln::detail::GraphState& state);
  ~Tracer();
  Tracer(const Tracer&) = delete;

  static Tracer* active();
  /// The entry's index + 1.
  std::size_t enter(const Module& module);
  void leave(std::size_t entry);
  void returns(std::size_t entry, const Tensor& result);

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  struct Saved {
    ModuleState* state;
    std::vector<std::pair<std::string, Variable>> parameters, buffers;
    bool built;
  };
  kiln::detail::GraphState& state_;
  std::vector<Entry> entries_;
  std::size_t innermost_ = 0;
  std::vector<Saved> saved_;
};

}  // namespace kiln::nn::detail
