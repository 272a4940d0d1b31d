// Folds over sliding windows.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::reduce_window>::info = {.name = "reduce_window"};

template <>
constinit const OpInfo OpEntry<Op::window_argument>::info = {.name = "window_argument"};

template <>
constinit const OpInfo OpEntry<Op::window_select>::info = {.name = "window_select"};

}  // namespace kiln::ir
