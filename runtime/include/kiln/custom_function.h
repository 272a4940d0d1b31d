// Functions of the user that programs call while they run.
#pragma once

#include <functional>
#include <span>

#include "kiln/array.h"

namespace kiln {

/// Reads the inputs and writes every element of the results. The views hold the shapes of this run and are valid during the call only.
///
/// It may throw: the run then fails with Error(custom_call_failed), to which the exception is nested (std::rethrow_if_nested), and no
/// variable changes. It runs on the thread that called run(), and when several threads run a session, on several at once. It must not use
/// the session that runs it.
using CustomFunction = std::function<void(std::span<const ArrayView> inputs, std::span<MutableArrayView> results)>;

}  // namespace kiln
