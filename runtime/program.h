// What a Session runs: a compiled program's description and code, whatever made it (JIT, interpreter, shared object). Internal to Kiln.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kiln/abi.h"
#include "kiln/array.h"
#include "kiln/custom_function.h"

namespace kiln::runtime {

/// One extent of an input or output: exactly one of the three is meant.
struct DimSpec {
  enum class Kind : std::uint8_t { constant, symbol, expression };
  Kind kind = Kind::constant;
  std::int64_t value = 0;  ///< the extent, the index of the symbol (produced ones follow the fed ones), or that in what `plan` computes
  std::string text;        ///< as the user wrote it: "batch", "2*batch + 1"
};

struct PortSpec {
  std::string name;
  DType dtype = DType::f32;
  std::vector<DimSpec> dims;
  Location where;
  /// An output with produced extents: which value of `plan` is the number of elements that there must be room for. Its shape is known after
  /// the run.
  std::int32_t capacity = -1;
};

struct SymbolSpec {
  std::string name;
  std::int64_t min = 0;
  std::int64_t max = INT64_MAX;
  std::int64_t multiple_of = 1;
};

/// A variable that the program reads or assigns. Shapes of variables are static.
struct VariableSpec {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  bool read = false;
  bool assigned = false;
  bool shadowed = false;  ///< needs a second buffer
  Location where;
};

/// A run-time check: what the user is told when it fails. Generated code reports its index.
struct CheckSpec {
  ErrorCode code = ErrorCode::check_failed;
  std::string message;
  Location where;
  std::string hint;
};

/// An extent relation that must hold before a run: plan value `left` equals plan value `right`, else check `check` failed.
struct DimCheck {
  std::int32_t left = 0, right = 0, check = 0;
};

/// What goes into a custom call or comes out of it.
struct ValueSpec {
  DType dtype = DType::f32;
  std::vector<DimSpec> dims;
};

/// A call of a user's function. Generated code reports its index.
struct CustomCallSpec {
  std::string name;
  std::vector<ValueSpec> inputs, results;
  Location where;
  CustomFunction function;  ///< found by name when the program is made ready to run; no part of its description
};

/// A value that a run shows. Generated code reports its index.
struct PrintSpec {
  std::string message;
  DType dtype = DType::f32;
  std::int32_t rank = 0;
  Location where;
};

/// What was done to keep a memory limit; bytes are those of variables, their shadows and the arena together.
struct MemorySpec {
  struct Part {
    std::int64_t operations = 0;
    Location first, last;
  };
  std::uint64_t limit = 0;  ///< 0: there is none
  std::uint64_t needed = 0;
  std::uint64_t without = 0;  ///< what is needed when nothing is computed again
  std::int64_t extra_permille = 0;
  std::vector<Part> recomputed;
};

/// A compiled program: immutable after construction, shared by all runs.
struct Program {
  std::vector<PortSpec> inputs, outputs;
  std::vector<SymbolSpec> symbols;
  std::vector<VariableSpec> variables;
  std::vector<CheckSpec> checks;
  std::vector<DimCheck> dim_checks;
  std::vector<CustomCallSpec> custom_calls;
  std::vector<PrintSpec> prints;
  MemorySpec memory;
  std::vector<Array> constants;
  std::vector<std::int32_t> input_feeds;    ///< of each input: which feed of the request it is
  std::vector<std::int32_t> fetch_outputs;  ///< of each fetch of the request: which output it is, or -1 for an operation
  std::int32_t produced = 0;                ///< how many symbols get their values during a run
  std::int32_t plan_values = 1;             ///< how many values `plan` writes; the first is the arena's bytes
  kiln_plan plan = nullptr;
  kiln_entry entry = nullptr;
  void* self = nullptr;              ///< passed as kiln_call::program and to plan
  std::shared_ptr<const void> code;  ///< keeps the machine code (or interpreter) alive
  bool assigns() const {
    for (const auto& v : variables)
      if (v.assigned) return true;
    return false;
  }
};

}  // namespace kiln::runtime
