// Graph: the description of a computation. Tensor, Variable, Operation: what its parts are called in the user's program.
//
// Nothing here computes. A graph grows while functions such as matmul(x, w) append operations to it; a Session runs parts of it.
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kiln/array.h"
#include "kiln/custom_function.h"
#include "kiln/dim.h"
#include "kiln/dtype.h"
#include "kiln/error.h"

namespace kiln {

class Graph;
class Initializer;
class Key;

namespace detail {
struct GraphState;
struct Access;
}  // namespace detail

namespace runtime {
class ProgramSource;
}

/// A value of the graph: dtype and shape are known, the elements exist only in a run. A handle, cheap to copy; it must not outlive every
/// Graph and Session that shares its graph.
class Tensor {
 public:
  /// Refers to nothing; using it is an Error(invalid_argument).
  Tensor() = default;

  DType dtype() const;
  Dims dims() const;
  std::size_t rank() const;
  /// Extent of one dimension; negative ones count from the back, so dim(-1) is the innermost.
  Dim dim(std::int64_t axis) const;
  /// The name given at creation or by named(), or "".
  std::string name() const;
  /// Names the tensor in text, messages, and for fetching by name; returns it.
  Tensor named(const std::string& name) const;
  /// The user's line that made it.
  Location location() const;
  /// False for a default-constructed one.
  bool valid() const { return state_ != nullptr; }
  /// What a Session feeds or fetches. Error(foreign_graph) for a tensor made in a loop or branch body.
  operator Key() const;

 protected:
  friend struct detail::Access;
  detail::GraphState* state_ = nullptr;
  std::uint32_t region_ = 0, value_ = 0;
};

/// "f32[batch, 1000]".
std::string to_string(const Tensor& tensor);

/// State that outlives runs. As a tensor it stands for the value from before the run.
class Variable : public Tensor {
 public:
  Variable() = default;

 private:
  friend struct detail::Access;
};

/// Something to run for its effect: assigns and checks. Fetching it yields an empty Array. A handle, cheap to copy.
class Operation {
 public:
  /// Does nothing; cannot be fetched.
  Operation() = default;
  operator Key() const;

 private:
  friend struct detail::Access;
  detail::GraphState* state_ = nullptr;
  std::uint32_t id_ = 0;
};

/// What assign() returns: as an Operation the update, as a Tensor the variable's new value.
class Assignment : public Tensor {
 public:
  operator Operation() const;

 private:
  friend struct detail::Access;
};

/// A number that takes the dtype of the tensor it meets: kept as double or int64 until then, so that `1e-6 * grad` stays f32.
class Scalar {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  Scalar(T value) {
    if constexpr (std::is_same_v<T, bool>)
      kind_ = Kind::boolean, integer_ = value;
    else if constexpr (std::is_integral_v<T>)
      kind_ = Kind::integer, integer_ = static_cast<std::int64_t>(value);
    else
      kind_ = Kind::real, real_ = static_cast<double>(value);
  }
  enum class Kind : std::uint8_t { boolean, integer, real };
  Kind kind() const { return kind_; }
  double as_double() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }
  std::int64_t as_integer() const { return kind_ == Kind::real ? static_cast<std::int64_t>(real_) : integer_; }

 private:
  Kind kind_ = Kind::integer;
  std::int64_t integer_ = 0;
  double real_ = 0;
};

/// What operators and elementwise functions take: a tensor or a number, and the user's line. Never named by users.
class Operand {
 public:
  Operand(const Tensor& tensor, std::source_location location = std::source_location::current()) : tensor_(tensor), location_(location) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  Operand(T value, std::source_location location = std::source_location::current()) : scalar_(value), location_(location) {}
  Operand(const Scalar& scalar, std::source_location location = std::source_location::current()) : scalar_(scalar), location_(location) {}

  bool is_tensor() const { return tensor_.valid(); }
  const Tensor& tensor() const { return tensor_; }
  const Scalar& scalar() const { return scalar_; }
  const Location& location() const { return location_; }

 private:
  Tensor tensor_;
  Scalar scalar_ = 0;
  Location location_;
};

/// What else is known of a variable.
struct VariableOptions {
  bool trainable = true;  ///< minimize() without a list of parameters updates it
};

/// Parameters of random tensors.
struct UniformOptions {
  double low = 0, high = 1;
};
struct NormalOptions {
  double mean = 0, stddev = 1;
};

/// A computation: placeholders, variables, operations. Copies share the same graph. One thread may build it at a time.
class Graph {
 public:
  Graph();

  /// A value fed to every run that needs it. Names are unique in a graph.
  ///   Tensor x = graph.placeholder("x", f32, {batch, 1000});
  Tensor placeholder(const std::string& name, DType dtype, const Dims& dims,
                     std::source_location location = std::source_location::current());

  /// State with an initial value, which Session::initialize() sets.
  ///   Variable w = graph.variable("w", random_normal(f32, {1000, 100}));
  Variable variable(const std::string& name, const Initializer& initial, VariableOptions options = {},
                    std::source_location location = std::source_location::current());
  Variable variable(const std::string& name, Array initial, VariableOptions options = {},
                    std::source_location location = std::source_location::current());
  /// State without an initial value: Session::set_value or restore must come before its first use.
  Variable variable(const std::string& name, DType dtype, const Shape& shape, VariableOptions options = {},
                    std::source_location location = std::source_location::current());
  /// The variable of that name; Error(invalid_argument) when there is none.
  Variable find_variable(const std::string& name, std::source_location location = std::source_location::current()) const;
  /// All variables in order of creation, without the random state.
  std::vector<Variable> variables() const;
  /// The tensor of that name; Error(invalid_argument) when there is none.
  Tensor find_tensor(const std::string& name, std::source_location location = std::source_location::current()) const;

  /// All placeholders in order of creation.
  std::vector<Tensor> placeholders() const;
  /// What the graph is for, when a program reads it and knows none of its names: the results that its text lists, else the named tensors
  /// that no other operation uses (gradients() apart).
  std::vector<Tensor> results() const;
  /// Every assign and every check of the graph, in order of creation.
  std::vector<Operation> effects() const;

  /// A literal value.
  Tensor constant(Array value, std::source_location location = std::source_location::current());
  /// Every element is `value`.
  Tensor full(DType dtype, const Dims& dims, Scalar value, std::source_location location = std::source_location::current());
  Tensor zeros(DType dtype, const Dims& dims, std::source_location location = std::source_location::current());
  Tensor ones(DType dtype, const Dims& dims, std::source_location location = std::source_location::current());
  /// Element (i0, i1, ...) is i_axis.
  Tensor iota(DType dtype, const Dims& dims, std::int64_t axis = 0, std::source_location location = std::source_location::current());
  /// 0, 1 ... size - 1.
  Tensor range(DType dtype, const Dim& size, std::source_location location = std::source_location::current());
  /// The value of an extent as an i64 scalar.
  Tensor size(const Dim& dim, std::source_location location = std::source_location::current());

  /// Fresh random numbers in every run (and every iteration of a loop), a function of the session's seed, the run's number and the element
  /// alone.
  Tensor random_uniform(DType dtype, const Dims& dims, UniformOptions options = {},
                        std::source_location location = std::source_location::current());
  Tensor random_normal(DType dtype, const Dims& dims, NormalOptions options = {},
                       std::source_location location = std::source_location::current());
  /// Uniform 32-bit words, u32.
  Tensor random_bits(const Dims& dims, std::source_location location = std::source_location::current());

  /// The function that custom calls of this name call, for graphs that were read and for calls made without one. A name keeps its function:
  /// Error(invalid_argument) for one that has a function already.
  void register_custom_call(const std::string& name, CustomFunction function,
                            std::source_location location = std::source_location::current());

  /// The whole graph as text (ir/text.h); large literals are shortened.
  std::string text() const;
  /// Writes `path` (text, customarily *.kiln) and, beside it, a .safetensors file of the same stem with literals above 256 bytes, if there
  /// are any.
  void write(const std::string& path, std::source_location location = std::source_location::current()) const;
  /// Reads what write() wrote. Error(io), Error(parse) with the file's line, Error(corrupt_file).
  static Graph read(const std::string& path, std::source_location location = std::source_location::current());
  /// Parses text whose literals are all in it. `name` stands for the file in messages.
  static Graph parse(const std::string& text, const std::string& name = "<text>");

 private:
  friend struct detail::Access;
  explicit Graph(std::shared_ptr<detail::GraphState> state) : state_(std::move(state)) {}
  std::shared_ptr<detail::GraphState> state_;
};

/// What Session(graph) runs. Internal.
std::shared_ptr<runtime::ProgramSource> make_program_source(const Graph& graph);

/// The variable takes this value at the end of the run. Within the run its reads see the old value. Error(conflicting_assign) inside a loop
/// or branch body.
Assignment assign(const Variable& variable, const Operand& value);
/// variable + value and variable - value at the end of the run.
Assignment assign_add(const Variable& variable, const Operand& value);
Assignment assign_sub(const Variable& variable, const Operand& value);

/// All of them as one operation.
Operation group(std::initializer_list<Operation> operations, std::source_location location = std::source_location::current());
Operation group(std::span<const Operation> operations, std::source_location location = std::source_location::current());

}  // namespace kiln
