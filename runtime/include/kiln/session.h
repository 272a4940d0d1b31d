// Session: runs a graph (or a loaded model). Holds the values of its variables and the programs compiled so far.
//
//   Session session(graph);
//   session.initialize();
//   std::vector<Array> out = session.run({loss, step}, {{x, x_value}, {y, y_value}});
//
// A Session may be used by several threads at once: runs that assign variables exclude all others, the rest run side by side. A run that
// fails, for whatever reason, leaves every variable as it was.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kiln/array.h"
#include "kiln/error.h"

namespace kiln {

namespace runtime {
class ProgramSource;
class SessionState;
struct CachedProgram;
}  // namespace runtime

/// A list passed as an argument: a braced list, or any contiguous range of T or of things that convert to T. Meant for parameters only: it
/// views what it was made from.
template <class T>
class ListRef {
 public:
  ListRef() = default;
  ListRef(std::initializer_list<T> items) : items_(items.begin(), items.size()) {}
  template <std::ranges::contiguous_range Range>
    requires(!std::same_as<std::remove_cvref_t<Range>, ListRef> && std::convertible_to<std::ranges::range_reference_t<const Range>, T>)
  ListRef(const Range& range) {
    if constexpr (std::same_as<std::ranges::range_value_t<const Range>, T>) {
      items_ = std::span<const T>(std::ranges::data(range), std::ranges::size(range));
    } else {
      converted_.assign(std::ranges::begin(range), std::ranges::end(range));
      items_ = converted_;
    }
  }
  ListRef(const ListRef& other) : items_(other.items_) {}
  ListRef& operator=(const ListRef&) = delete;

  std::span<const T> span() const { return items_; }

 private:
  std::span<const T> items_;
  std::vector<T> converted_;
};

/// What to fetch or feed: a tensor, an operation, or the name of one. A view, made implicitly where it is passed.
class Key {
 public:
  enum class Kind : std::uint8_t { name, tensor, operation };

  Key(const char* name) : name_(name) {}
  Key(std::string_view name) : name_(name) {}
  Key(const std::string& name) : name_(name) {}
  /// For the types that convert to a Key: an entity of the graph that `graph` identifies; `name` is for messages and may be empty.
  Key(Kind kind, const void* graph, std::uint32_t id, std::string_view name) : kind_(kind), id_(id), graph_(graph), name_(name) {}

  Kind kind() const { return kind_; }
  /// Identity of the graph, for tensors and operations.
  const void* graph() const { return graph_; }
  std::uint32_t id() const { return id_; }
  std::string_view name() const { return name_; }

  /// Equal names, or the same entity of the same graph.
  friend bool operator==(const Key& a, const Key& b) {
    if (a.kind_ != b.kind_) return false;
    return a.kind_ == Kind::name ? a.name_ == b.name_ : a.id_ == b.id_ && a.graph_ == b.graph_;
  }

 private:
  Kind kind_ = Kind::name;
  std::uint32_t id_ = 0;
  const void* graph_ = nullptr;
  std::string_view name_;
};

/// A value for a placeholder.
struct Feed {
  Key key;
  ArrayView value;
};

/// Where a session computes.
struct Device {
  enum class Kind : std::uint8_t { cpu };
  Kind kind = Kind::cpu;
  int index = 0;

  static constexpr Device cpu() { return {}; }
  friend bool operator==(const Device&, const Device&) = default;
};
/// "cpu".
std::string to_string(const Device& device);

/// What executes the programs. All engines give the same results; the interpreters exist to check the compiler and to look into it.
enum class Engine : std::uint8_t {
  compiled,             ///< machine code
  program_interpreter,  ///< the scheduled program, its loops interpreted
  reference,            ///< the graph as the user wrote it, operator by operator
};

struct SessionOptions {
  Device device = Device::cpu();
  /// Threads that compute, the caller of run() among them; 0: as many as this process may use (affinity and container limits).
  int threads = 0;
  /// Seed of all random operations and initializers. The same seed gives the same numbers on every machine.
  std::uint64_t seed = 0;
  /// Most bytes for variables and intermediate values together; 0: no limit. Where a training step needs more, parts of its forward pass are
  /// computed a second time instead of being kept, as few as suffice; memory_report() says which. Error(out_of_memory) where that is not
  /// enough.
  std::uint64_t memory_limit = 0;
  /// Every run checks what it returns and assigns, and where a value is infinite or NaN fails with Error(check_failed), naming the operation
  /// that made it from finite ones. For looking for errors: it costs time and memory.
  bool check_finite = false;
  /// Receives what print() shows, a line at a time and without its end. Not given: it goes to stderr.
  std::function<void(std::string_view line)> print = nullptr;
  /// Where compiled programs are kept between processes. Not given: the user's cache folder; "": nowhere.
  std::optional<std::string> cache_folder = std::nullopt;
  Engine engine = Engine::compiled;
};

/// Stops runs from another thread. Copies are the same token.
class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  /// Runs with this token stop soon with Error(cancelled), later ones at once.
  void cancel() { flag_->store(true, std::memory_order_relaxed); }
  void reset() { flag_->store(false, std::memory_order_relaxed); }
  bool cancelled() const { return flag_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

struct RunOptions {
  /// Time after which the run stops with Error(deadline_exceeded), waiting for other runs included. Looked at between kernels and in loops.
  /// Compiling, which a first run does before its time begins, is not interrupted: see Session::prepare().
  std::optional<std::chrono::steady_clock::duration> deadline = std::nullopt;
  std::optional<CancelToken> cancel = std::nullopt;
};

/// A variable as a session sees it.
struct VariableInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  bool hidden = false;       ///< the state of random operations; no parameter of the model
  bool initialized = false;  ///< it has a value in this session
  Location where;            ///< where it was made
};

/// One set of fetches and feeds, looked up and checked once. Cheap to copy; keeps its session's state alive. May be called by several
/// threads.
///
///   Callable train = session.callable({loss, step}, {x, y});
///   std::vector<Array> results(2);
///   for (...) train({x_value, y_value}, results);      // reuses the memory of `results`
class Callable {
 public:
  /// Feeds in the order of the keys given to callable(). Results go to `results`, one per fetch. Where a result array already has the right
  /// dtype and shape and is shared with nobody, its memory is used again; when that holds for all, the call allocates nothing. After an
  /// Error the contents of `results` are unspecified.
  void operator()(ListRef<ArrayView> feeds, std::span<Array> results, const RunOptions& options = {},
                  std::source_location where = std::source_location::current()) const;
  /// The same with fresh results.
  std::vector<Array> operator()(ListRef<ArrayView> feeds = {}, const RunOptions& options = {},
                                std::source_location where = std::source_location::current()) const;

 private:
  friend class Session;
  Callable(std::shared_ptr<runtime::SessionState> state, const runtime::CachedProgram* program)
      : state_(std::move(state)), program_(program) {}

  std::shared_ptr<runtime::SessionState> state_;
  const runtime::CachedProgram* program_ = nullptr;
};

class Session {
 public:
  /// A session on a graph, or on whatever else `make_program_source(source)` is found for by argument-dependent lookup.
  template <class Source>
    requires(!std::same_as<std::remove_cvref_t<Source>, Session> &&
             requires(Source&& source) {
               { make_program_source(std::forward<Source>(source)) } -> std::convertible_to<std::shared_ptr<runtime::ProgramSource>>;
             })
  explicit Session(Source&& source, SessionOptions options = {}, std::source_location where = std::source_location::current())
      : Session(std::shared_ptr<runtime::ProgramSource>(make_program_source(std::forward<Source>(source))), std::move(options), where) {}
  explicit Session(std::shared_ptr<runtime::ProgramSource> source, SessionOptions options = {},
                   std::source_location where = std::source_location::current());
  Session(Session&&) noexcept = default;
  Session& operator=(Session&&) noexcept = default;
  ~Session();

  const SessionOptions& options() const;
  /// Threads that compute: options().threads, or what 0 came to.
  int threads() const;

  /// Computes the fetches from the feeds, in one run: every read of a variable sees its value from before the run, all assigns take effect
  /// together at its end. An operation yields an empty Array. The first run of a set of fetches and feeds compiles.
  std::vector<Array> run(std::initializer_list<Key> fetches, ListRef<Feed> feeds = {}, const RunOptions& options = {},
                         std::source_location where = std::source_location::current()) {
    return run_list({fetches.begin(), fetches.size()}, feeds.span(), options, where);
  }
  std::vector<Array> run(const ListRef<Key>& fetches, ListRef<Feed> feeds = {}, const RunOptions& options = {},
                         std::source_location where = std::source_location::current()) {
    return run_list(fetches.span(), feeds.span(), options, where);
  }
  Array run(const Key& fetch, ListRef<Feed> feeds = {}, const RunOptions& options = {},
            std::source_location where = std::source_location::current());

  Callable callable(std::initializer_list<Key> fetches, ListRef<Key> feeds = {},
                    std::source_location where = std::source_location::current()) {
    return callable_list({fetches.begin(), fetches.size()}, feeds.span(), where);
  }
  Callable callable(const ListRef<Key>& fetches, ListRef<Key> feeds = {}, std::source_location where = std::source_location::current()) {
    return callable_list(fetches.span(), feeds.span(), where);
  }
  Callable callable(const Key& fetch, ListRef<Key> feeds = {}, std::source_location where = std::source_location::current()) {
    return callable_list({&fetch, 1}, feeds.span(), where);
  }

  /// Compiles what run() with these fetches and feeds needs, and runs nothing.
  void prepare(std::initializer_list<Key> fetches, ListRef<Key> feeds = {}, std::source_location where = std::source_location::current()) {
    callable_list({fetches.begin(), fetches.size()}, feeds.span(), where);
  }
  void prepare(const ListRef<Key>& fetches, ListRef<Key> feeds = {}, std::source_location where = std::source_location::current()) {
    callable_list(fetches.span(), feeds.span(), where);
  }

  /// What the run of these fetches and feeds needs in memory, and what was done to keep memory_limit: which lines of the forward pass are
  /// computed again, and what that costs. Where extents are symbolic, for those of the latest run that needed another program.
  std::string memory_report(std::initializer_list<Key> fetches, ListRef<Key> feeds = {},
                            std::source_location where = std::source_location::current()) {
    return memory_report_list({fetches.begin(), fetches.size()}, feeds.span(), where);
  }
  std::string memory_report(const ListRef<Key>& fetches, ListRef<Key> feeds = {},
                            std::source_location where = std::source_location::current()) {
    return memory_report_list(fetches.span(), feeds.span(), where);
  }

  /// Gives every variable its initial value, whether it has a value or not, and starts the random numbers anew from the seed: calling it
  /// again brings back the same state. Variables made without an initial value stay as they are.
  void initialize(std::source_location where = std::source_location::current());

  /// A copy of a variable's value.
  Array value(const Key& variable, std::source_location where = std::source_location::current()) const;
  /// Dtype and shape must be the variable's.
  void set_value(const Key& variable, const ArrayView& value, std::source_location where = std::source_location::current());
  /// All variables, in the order in which they were made.
  std::vector<VariableInfo> variables(std::source_location where = std::source_location::current()) const;

  /// Writes all variables, random state included, to a .safetensors file. The file is written whole or not at all.
  void save(const std::string& path, std::source_location where = std::source_location::current()) const;
  /// Reads variables from a .safetensors file. The file must hold exactly the graph's variables, with their dtypes and shapes (only the
  /// random state may be missing); everything is checked before anything changes.
  void restore(const std::string& path, std::source_location where = std::source_location::current());

 private:
  std::vector<Array> run_list(std::span<const Key> fetches, std::span<const Feed> feeds, const RunOptions& options, Location where);
  std::string memory_report_list(std::span<const Key> fetches, std::span<const Key> feeds, Location where);
  Callable callable_list(std::span<const Key> fetches, std::span<const Key> feeds, Location where);

  std::shared_ptr<runtime::SessionState> state_;
};

}  // namespace kiln
