// Modules made of modules.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

/// Modules one after the other, named "0", "1" ...
class Sequential final : public Module {
 public:
  template <std::derived_from<Module>... Modules>
  explicit Sequential(Modules... modules) {
    (append(std::move(modules)), ...);
  }
  template <std::derived_from<Module> M>
  void append(M module) {
    parts_->push_back(std::make_shared<M>(std::move(module)));
    add_part(std::to_string(parts_->size() - 1), parts_->back());
  }
  std::size_t size() const { return parts_->size(); }

 private:
  Tensor forward(const Tensor& input) override;
  // Shared by copies, which share the parameters too.
  std::shared_ptr<std::vector<std::shared_ptr<Module>>> parts_ = std::make_shared<std::vector<std::shared_ptr<Module>>>();
};

/// A list of modules of one class, named "0", "1" ..., for a forward() that goes through them:
///
///   nn::ModuleList<Block> blocks = add("blocks", nn::ModuleList<Block>(12, [&](int) { return Block(width); }));
///   for (Block& block : blocks) x = block(x);
template <std::derived_from<Module> M>
class ModuleList final : public Module {
 public:
  ModuleList() = default;
  /// make(0), make(1) ... make(count - 1).
  template <std::invocable<int> Make>
  ModuleList(int count, Make&& make) {
    for (int i = 0; i < count; ++i) append(make(i));
  }
  void append(M module) {
    modules_->push_back(std::make_shared<M>(std::move(module)));
    add_part(std::to_string(modules_->size() - 1), modules_->back());
  }
  std::size_t size() const { return modules_->size(); }
  M& operator[](std::size_t i) const { return *modules_->at(i); }

  class Iterator {
   public:
    using difference_type = std::ptrdiff_t;
    using value_type = M;
    M& operator*() const { return **at_; }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return Iterator(at_++); }
    bool operator==(const Iterator&) const = default;

   private:
    friend class ModuleList;
    using Position = typename std::vector<std::shared_ptr<M>>::const_iterator;
    explicit Iterator(Position at) : at_(at) {}
    Position at_;
  };
  Iterator begin() const { return Iterator(modules_->begin()); }
  Iterator end() const { return Iterator(modules_->end()); }
  std::string type_name() const override { return "ModuleList"; }

 private:
  std::shared_ptr<std::vector<std::shared_ptr<M>>> modules_ = std::make_shared<std::vector<std::shared_ptr<M>>>();
};

/// x + body(x). With a shortcut, shortcut(x) + body(x): the projection of a residual block that changes shape. Parts "body", "shortcut".
class Residual final : public Module {
 public:
  template <std::derived_from<Module> Body>
  explicit Residual(Body body) : body_(std::make_shared<Body>(std::move(body))) {
    add_part("body", body_);
  }
  template <std::derived_from<Module> Body, std::derived_from<Module> Shortcut>
  Residual(Body body, Shortcut shortcut)
      : body_(std::make_shared<Body>(std::move(body))), shortcut_(std::make_shared<Shortcut>(std::move(shortcut))) {
    add_part("body", body_);
    add_part("shortcut", shortcut_);
  }

 private:
  Tensor forward(const Tensor& input) override;
  std::shared_ptr<Module> body_, shortcut_;
};

/// Any function of one tensor as a module: Lambda([](const Tensor& x) { return x * 2; }).
class Lambda final : public Module {
 public:
  explicit Lambda(std::function<Tensor(const Tensor&)> function) : function_(std::move(function)) {}

 private:
  Tensor forward(const Tensor& input) override { return function_(input); }
  std::function<Tensor(const Tensor&)> function_;
};

/// x itself.
class Identity final : public Module {
  Tensor forward(const Tensor& input) override { return input; }
};

}  // namespace kiln::nn
