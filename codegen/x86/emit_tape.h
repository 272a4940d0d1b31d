// Tapes in generated code. Internal to codegen/x86.
#pragma once

#include "codegen/x86/emit_module.h"

namespace kiln::codegen {

/// A tape is a stack of equally sized items in a chain of chunks. Its state (in the arena) is { current chunk, items in it, first chunk };
/// a chunk is { previous, next, capacity in items, unused } followed by the items. Chunks come from kiln_call::allocate, each twice as
/// large as the one before up to a limit, and stay with the tape once allocated: popping and clearing keep them for the next push.
inline constexpr std::int64_t tape_header_bytes = 64;

/// void tape_clear(state, ready): empties the tape. `ready`, a byte of the entry's frame, tells whether the state has been initialised in
/// this run.
llvm::Function* tape_clear_helper(ModuleEmitter& m);
/// i32 tape_push(call, state, source, bytes): KILN_OK or KILN_OUT_OF_MEMORY.
llvm::Function* tape_push_helper(ModuleEmitter& m);
/// void tape_pop(state, destination, bytes). The tape is not empty: the program pops what it pushed.
llvm::Function* tape_pop_helper(ModuleEmitter& m);

}  // namespace kiln::codegen
