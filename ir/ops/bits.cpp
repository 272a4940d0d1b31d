// Bits and rounding, element by element.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::popcnt>::info = {.name = "popcnt"};

template <>
constinit const OpInfo OpEntry<Op::count_leading_zeros>::info = {.name = "count_leading_zeros"};

template <>
constinit const OpInfo OpEntry<Op::round_nearest_afz>::info = {.name = "round_nearest_afz"};

template <>
constinit const OpInfo OpEntry<Op::reduce_precision>::info = {.name = "reduce_precision"};

template <>
constinit const OpInfo OpEntry<Op::bitcast_convert>::info = {.name = "bitcast_convert"};

}  // namespace kiln::ir
