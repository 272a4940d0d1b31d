// Index expressions as 64-bit LLVM values, placed in the outermost scope that can compute them. Internal to codegen/x86.
//
// A scope is the function's body, a loop's body or a branch; scopes nest. Every index value has the depth of the innermost scope whose
// names it mentions. It is computed in that scope, before the scope that lies inside it and is being emitted: loop-invariant parts are
// hoisted as they are written, and no pass has to find them. Sums are ordered by depth, constants come last: the constant ends up as the
// displacement of an address, the innermost loop's variable as its index. Each scope remembers what it has computed, so equal expressions
// are computed once.
#pragma once

#include <map>
#include <tuple>
#include <unordered_map>

#include "codegen/x86/emit_module.h"

namespace kiln::codegen {

/// A 64-bit integer (or a pointer) and the depth of the scope it is computed in; constants have depth 0.
struct IndexValue {
  llvm::Value* value = nullptr;
  int depth = 0;
};

class IndexEmitter {
 public:
  IndexEmitter(ModuleEmitter& module, Builder& builder) : m_(module), builder_(builder) {}

  int depth() const { return static_cast<int>(scopes_.size()) - 1; }
  /// Opens a scope. Invariant values of the scope around it are inserted before `hoist`, the terminator of the block that leads here.
  void open_scope(llvm::Instruction* hoist);
  void close_scope();

  /// A name usable in Dims from here to the end of the scope. `divisor` divides every value it takes.
  void bind(const std::string& name, llvm::Value* value, std::int64_t divisor = 1);
  /// Null when unbound.
  const IndexValue* find(std::string_view name) const;

  IndexValue evaluate(const ir::Dim& dim);
  /// base + dim elements of `type`. Intermediate pointers may leave the buffer (think of padding: i - 1), so nothing is marked as in
  /// bounds.
  llvm::Value* address(IndexValue base, const ir::Dim& dim, llvm::Type* type);
  /// A number that divides every value of `dim`, 0 for the constant 0.
  std::int64_t divisor(const ir::Dim& dim) const;

 private:
  enum class Operation : std::uint8_t {
    add,
    multiply,
    divide_signed,
    divide_unsigned,
    modulo_signed,
    modulo_unsigned,
    minimum,
    maximum,
    offset
  };
  using Key = std::tuple<Operation, llvm::Value*, llvm::Value*, llvm::Type*>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      const auto mix = [](std::size_t seed, const void* p) { return (seed ^ reinterpret_cast<std::size_t>(p)) * 0x9e3779b97f4a7c15ULL; };
      return mix(mix(mix(static_cast<std::size_t>(std::get<0>(key)) + 1, std::get<1>(key)), std::get<2>(key)), std::get<3>(key));
    }
  };
  struct Name {
    IndexValue value;
    std::int64_t divisor = 1;
  };
  struct Scope {
    llvm::Instruction* hoist = nullptr;  ///< where values of the scope *around* this one go
    std::map<std::string, Name, std::less<>> names;
    std::unordered_map<Key, llvm::Value*, KeyHash> computed;
  };

  IndexValue apply(Operation operation, IndexValue a, IndexValue b, llvm::Type* element = nullptr);
  llvm::Value* create(Operation operation, llvm::Value* a, llvm::Value* b, llvm::Type* element);
  IndexValue atom(const ir::DimAtom& atom);
  /// The non-constant terms sorted by depth, and the constant.
  std::pair<std::vector<IndexValue>, std::int64_t> sorted_terms(const ir::Dim& dim);
  const Name& name(std::string_view name) const;

  ModuleEmitter& m_;
  Builder& builder_;
  std::vector<Scope> scopes_;
};

}  // namespace kiln::codegen
