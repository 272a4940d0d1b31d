// What a module holds besides its class's own members: shared by all copies of the module.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kiln/nn/module.h"

namespace kiln::nn::detail {

struct ModuleState {
  struct Tie {
    std::shared_ptr<Module> owner;
    std::string name;
  };

  std::string prefix;  ///< set by the user; counts for a module that is no part
  std::string name;    ///< within the parent
  std::weak_ptr<ModuleState> parent;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> parts;
  std::vector<std::pair<std::string, Variable>> parameters, buffers;  ///< by name within this module
  std::map<std::string, Tie> ties;
  InitializationRule rule;
  bool built = false;  ///< called or built at least once
  bool frozen = false;

  /// "encoder.0.": the path from the outermost module.
  static std::string path(const ModuleState& state);
  /// The states of a module and of its parts, each once, in order of addition.
  static std::vector<ModuleState*> subtree(ModuleState& root);
  static ModuleState* of(const Module& module) { return module.state_.get(); }
};

}  // namespace kiln::nn::detail
