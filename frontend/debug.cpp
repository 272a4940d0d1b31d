// Operations that look at values: print, check_finite.
#include "kiln/debug.h"

#include <fmt/format.h>

#include "frontend/state.h"

namespace kiln {

using namespace detail;

namespace {

/// The effect that was appended last. In a body it runs with the body, and there is nothing to fetch.
Operation last_effect(Emitter& emitter) {
  if (emitter.state().open.size() > 1) return {};
  return Access::operation(emitter.state(), {static_cast<ir::NodeId>(emitter.builder().graph().node_count() - 1)});
}

}  // namespace

Operation print(const Operand& x, const std::string& message) {
  Emitter emitter({&x}, "print");
  emitter.builder().create_many(ir::Op::print, {emitter.use(x.tensor())}, {{"message", message}});
  return last_effect(emitter);
}

Operation check_finite(const Operand& x) {
  Emitter emitter({&x}, "check_finite");
  const ir::ValueId value = emitter.use(x.tensor());
  emitter.require_dtypes(value, is_floating, "floating", "integers and bools are always finite");
  emitter.builder().create_many(ir::Op::check_finite, {value});
  return last_effect(emitter);
}

}  // namespace kiln
