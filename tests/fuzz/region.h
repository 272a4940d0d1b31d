// A graph of the fuzzer under construction, and how it grows. Inside tests/fuzz only.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "tests/fuzz/generator.h"

namespace kiln::fuzz {

inline constexpr std::int64_t largest_value = 600;  // elements: the interpreters are slow on purpose

/// Ops that table samples make. Control flow, state and produced extents are grown by functions of their own.
bool is_drawn(ir::Op op);

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  /// 0 .. n - 1.
  int pick(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  bool chance(int percent) { return pick(100) < percent; }
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(pick(static_cast<int>(list.size())))];
  }

 private:
  std::mt19937_64 engine_;
};

struct Item {
  ir::ValueId value = ir::none;
  Array example;
  bool exact = true;
};

/// What all regions of one case share.
struct World {
  explicit World(const Recipe& r) : recipe(r), random(r.seed) {}
  Recipe recipe;
  Random random;
  Case made;
  std::int64_t extent = 5;
  int streams = 0;
  std::map<std::string, std::int64_t> produced;  ///< values of produced symbols
};

/// The value of a Dim in this case.
std::int64_t value_of(const World& world, const ir::Dim& dim);
bool is_static(const ir::Dims& dims);
/// Most of it is finite and of moderate size.
bool healthy(const Array& array);

/// A graph under construction: the main one, or a body.
class Region {
 public:
  Region(World& world, ir::GraphId graph, int depth) : world_(world), builder_(world.made.module, graph), depth_(depth) {}

  ir::Builder& builder() { return builder_; }
  std::vector<Item>& pool() { return pool_; }

  void grow(int nodes);

  /// A value of the type: from the pool, adapted or new.
  Item adapt(const ir::Type& type, double low, double high, bool exact);

  /// New data: a parameter of the main graph, a literal of a body.
  Item fresh(const ir::Type& type, double low, double high);

  void add(Item item) {
    if (item.value != ir::none) pool_.push_back(std::move(item));
  }

  std::size_t recent(const std::vector<std::size_t>& list) {
    const int n = static_cast<int>(list.size());
    return world_.random.chance(60) ? list[n - 1 - world_.random.pick(std::min(n, 6))] : list[world_.random.pick(n)];
  }

  const Item& any() {
    std::vector<std::size_t> all(pool_.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    return pool_[recent(all)];
  }

  Array random_array(const ir::Type& type, double low, double high);

 private:
  void step();
  void table_node();
  void shaped_node();
  void grow_cond();
  void grow_while();
  void grow_scan();
  void grow_call();
  void grow_shrink();

  static bool can_convert(const Item& item, DType from, DType to) { return item.exact || is_floating(to) || from == to; }

  /// The example of a new value, by the reference interpreter on its node alone.
  Item known(ir::ValueId value, const std::vector<Item>& given);

  Item find(ir::ValueId value, const std::vector<Item>& given);

  /// A helper value that is not in the pool.
  Item side(ir::ValueId value);

  Item converted(const Item& item, DType dtype);

  Item clamped(const Item& item, const ir::Type& type, double low, double high);

  static bool is_unsigned(DType dtype) { return dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64; }

  /// `item` with the dtype and dims of the type; value none when there is no way.
  Item reshaped(Item item, const ir::Type& type);

  World& world_;
  ir::Builder builder_;
  int depth_;
  std::vector<Item> pool_;
  std::map<ir::ValueId, Item> side_;
};

}  // namespace kiln::fuzz
