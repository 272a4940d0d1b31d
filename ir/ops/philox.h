// Philox 4x32-10, the reference: see random.cpp.
#pragma once

#include <array>
#include <cstdint>

namespace kiln::ir::ops {

/// Four random words for a 128-bit counter under a 64-bit key, least significant words first.
std::array<std::uint32_t, 4> philox_4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace kiln::ir::ops
