// Values of a module's parameters by name: reading them out of a session, and setting them from a file.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <set>

#include "frontend/nn_module.h"
#include "frontend/nn_state.h"
#include "kiln/session.h"

namespace kiln::nn {

using detail::ModuleState;
using kiln::detail::LocationScope;

namespace {

std::vector<NamedParameter> all_of(const Module& module, const std::source_location& location) {
  std::vector<NamedParameter> all = module.named_parameters(location);
  for (NamedParameter& buffer : module.named_buffers(location)) all.push_back(std::move(buffer));
  return all;
}

/// Paths under which PyTorch lists tied parameters a second time.
std::set<std::string> aliases(const Module& module) {
  std::set<std::string> found;
  for (const ModuleState* state : ModuleState::subtree(*ModuleState::of(module)))
    for (const auto& [name, tie] : state->ties) found.insert(ModuleState::path(*state) + name);
  return found;
}

/// Up to eight names of a list.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 8;
  if (names.size() <= shown) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + shown, ", "), names.size() - shown);
}

}  // namespace

std::map<std::string, Array> state(const Session& session, const Module& module, std::source_location location) {
  std::map<std::string, Array> values;
  for (const NamedParameter& parameter : all_of(module, location)) values.emplace(parameter.name, session.value(parameter.name, location));
  return values;
}

void load_state(Session& session, const Module& module, const std::map<std::string, Array>& values, LoadOptions options,
                std::source_location location) {
  const Location where = LocationScope::resolve(location);
  const std::vector<NamedParameter> all = all_of(module, location);
  std::vector<std::string> missing, unexpected;
  std::set<std::string> known = aliases(module);
  std::vector<std::pair<std::string, Array>> chosen;
  for (const NamedParameter& parameter : all) {
    known.insert(parameter.name);
    const auto found = values.find(parameter.name);
    if (found == values.end()) {
      missing.push_back(parameter.name);
      continue;
    }
    const Array& value = found->second;
    if (!(parameter.variable.dims() == Dims(value.shape())))
      throw Error(ErrorCode::shape_mismatch,
                  fmt::format("load_state: the parameter \"{}\" is {}, but the value given is {}{}", parameter.name,
                              to_string(parameter.variable), name_of(value.dtype()), to_string(value.shape())),
                  where, "the values belong to a model of other sizes");
    const DType wanted = parameter.variable.dtype();
    if (wanted != value.dtype() && !(is_floating(wanted) && is_floating(value.dtype())))
      throw Error(ErrorCode::dtype_mismatch,
                  fmt::format("load_state: the parameter \"{}\" is {}, but the value given is {}{}", parameter.name,
                              to_string(parameter.variable), name_of(value.dtype()), to_string(value.shape())),
                  where, "only floating values are converted");
    chosen.emplace_back(parameter.name, wanted == value.dtype() ? value : value.convert(wanted));
  }
  for (const auto& [name, value] : values)
    if (!known.contains(name)) unexpected.push_back(name);
  if (options.strict && (!missing.empty() || !unexpected.empty()))
    throw Error(ErrorCode::invalid_argument,
                fmt::format("load_state: the names do not fit the module{}{}{}{}", missing.empty() ? "" : "; missing: ", listed(missing),
                            unexpected.empty() ? "" : "; left over: ", listed(unexpected)),
                where, "load_state(session, module, values, {.strict = false}) takes what fits");
  std::set<std::string> in_session;
  for (const VariableInfo& variable : session.variables(location)) in_session.insert(variable.name);
  for (const auto& [name, value] : chosen)
    if (!in_session.contains(name))
      throw Error(ErrorCode::invalid_argument, fmt::format("load_state: the session's graph has no variable \"{}\"", name), where,
                  "the session must be of a graph in which this model was built, under the same name");
  for (const auto& [name, value] : chosen) session.set_value(name, value, location);
}

}  // namespace kiln::nn
