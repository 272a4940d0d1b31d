// Words that the printer and the parser of program IR share.
#pragma once

#include <optional>
#include <string_view>

#include "ir/program.h"

namespace kiln::ir {

/// "check_failed", "shape_mismatch" ...: the enumerators' names.
std::string_view name_of(ErrorCode code);
std::optional<ErrorCode> error_code_from_name(std::string_view name);

/// "input", "arena" ...
std::string_view name_of(Storage storage);
std::optional<Storage> storage_from_name(std::string_view name);

/// What the storage says of a buffer: the dtype and extents of the port, variable or constant behind it. Nothing for the arena or a bad
/// index.
struct StorageType {
  DType dtype;
  Dims extents;
};
std::optional<StorageType> type_of_storage(const Program& program, Storage storage, std::uint32_t index);

}  // namespace kiln::ir
