// einsum and its kin (kiln/einsum.h).
//
// 1. Parse. Each axis of each operand gets a label: a letter's code, or 256 + position from the right for the axes of an ellipsis.
// 2. Simplify each operand alone: diagonals of repeated labels by a mask and a sum, axes of extent 1 dropped where another operand has the
//    label with its real extent, sums over labels that no other operand and not the result has.
// 3. Contract pairs in the cheapest order. Up to 8 operands: dynamic programming over subsets, as in opt_einsum's "dp"; beyond: the pair
// with
//    the least cost first. The cost of a pair is the product of the extents of all its labels, symbols counting with their typical value.
// 4. A pair is one dot_general whose batch labels are those that both have and that are needed later, contracted ones those that both have
// and
//    nobody needs. Without contracted labels it is a broadcast product, which fuses.
#include "kiln/einsum.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "frontend/composite.h"

namespace kiln {

using namespace detail;

namespace {

using Label = int;
using Labels = std::vector<Label>;

constexpr Label first_ellipsis = 256;  ///< the innermost axis of an ellipsis

bool contains(const Labels& labels, Label label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

struct Term {
  Tensor tensor;
  Labels labels;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The parts of "ab,bc->ac" as they stand; no output when the arrow is missing.
struct Equation {
  std::vector<std::string> inputs;
  std::optional<std::string> output;
};

Equation split(const Composite& of, const std::string& equation) {
  std::string text;
  for (const char c : equation)
    if (c != ' ') text += c;
  Equation parts;
  const std::size_t arrow = text.find("->");
  if (arrow != std::string::npos) parts.output = text.substr(arrow + 2);
  std::string left = text.substr(0, arrow);
  for (std::size_t comma; (comma = left.find(',')) != std::string::npos; left.erase(0, comma + 1))
    parts.inputs.push_back(left.substr(0, comma));
  parts.inputs.push_back(left);

  const auto check = [&](const std::string& part) {
    const std::size_t dots = part.find("...");
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (i == dots) {
        i += 2;
        continue;
      }
      if (!is_letter(part[i]))
        of.fail(ErrorCode::invalid_argument,
                fmt::format("the equation \"{}\" has '{}' where a letter stands for an axis", equation, part[i]),
                "\"ij,jk->ik\": letters, commas, one \"->\", and \"...\" once in each operand");
    }
  };
  for (const std::string& part : parts.inputs) check(part);
  if (parts.output) check(*parts.output);
  return parts;
}

/// The labels of one operand; its ellipsis covers the axes that the letters leave.
Labels labels_of(const Composite& of, const std::string& part, const Tensor& tensor, const std::string& equation) {
  const std::size_t dots = part.find("...");
  const std::size_t letters = dots == std::string::npos ? part.size() : part.size() - 3;
  const std::size_t rank = tensor.rank();
  if (rank < letters || (dots == std::string::npos && rank != letters))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("\"{}\" of \"{}\" names {} axes, but the tensor is {}", part, equation, letters, to_string(tensor)),
            "give each axis a letter, or \"...\" for those without one");
  Labels labels;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (i == dots) {
      for (std::size_t k = rank - letters; k > 0; --k) labels.push_back(first_ellipsis + static_cast<Label>(k) - 1);
      i += 2;
    } else {
      labels.push_back(part[i]);
    }
  }
  return labels;
}

std::string name_of_label(Label label) {
  return label >= first_ellipsis ? fmt::format("axis -{} of \"...\"", label - first_ellipsis + 1)
                                 : fmt::format("'{}'", static_cast<char>(label));
}

/// A number for the cost model.
double typical(const ir::Dim& dim) {
  if (dim.is_constant()) return static_cast<double>(dim.constant());
  double total = 0;
  for (const ir::DimTerm& term : ir::terms(dim)) {
    double product = static_cast<double>(term.coefficient);
    for (const auto& [atom, exponent] : term.factors) {
      const double base =
          atom.kind == ir::DimAtom::Kind::symbol && atom.symbol->typical > 0 ? static_cast<double>(atom.symbol->typical) : 64;
      product *= std::pow(base, exponent);
    }
    total += product;
  }
  return std::max(total, 1.0);
}

/// The whole computation for one set of operands.
class Contraction {
 public:
  Contraction(Composite& of, std::vector<Term> terms, Labels output) : of_(of), terms_(std::move(terms)), output_(std::move(output)) {
    for (Term& term : terms_) take_diagonals(term);
    collect_extents();
    for (Term& term : terms_) drop_ones(term);
  }

  Tensor run() {
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      std::vector<const Term*> others;
      for (std::size_t k = 0; k < terms_.size(); ++k)
        if (k != i) others.push_back(&terms_[k]);
      sum_unneeded(terms_[i], others);
    }
    if (terms_.size() <= 8)
      contract_in_best_order();
    else
      contract_greedily();
    return arranged(terms_[0], output_);
  }

 private:
  /// A label twice in one operand: elements off the diagonal count as 0, and the second axis is summed away.
  void take_diagonals(Term& term) {
    for (std::size_t second = 1; second < term.labels.size(); ++second) {
      const auto first =
          static_cast<std::size_t>(std::find(term.labels.begin(), term.labels.end(), term.labels[second]) - term.labels.begin());
      if (first == second) continue;
      const ir::Dims& dims = type_of(term.tensor).dims;
      if (ir::equals(dims[first], dims[second]) != ir::Truth::yes)
        of_.fail(ErrorCode::shape_mismatch,
                 fmt::format("{} stands for axes of extents {} and {} of {}", name_of_label(term.labels[second]),
                             ir::to_string(dims[first]), ir::to_string(dims[second]), to_string(term.tensor)),
                 "a letter stands for one extent");
      const Dims all = term.tensor.dims();
      const Tensor on = equal(of_.iota(i64, all, static_cast<std::int64_t>(first)), of_.iota(i64, all, static_cast<std::int64_t>(second)));
      term.tensor = reduce_sum(select(on, term.tensor, 0), static_cast<std::int64_t>(second));
      term.labels.erase(term.labels.begin() + static_cast<std::ptrdiff_t>(second));
      --second;
    }
  }

  void collect_extents() {
    for (const Term& term : terms_)
      for (std::size_t i = 0; i < term.labels.size(); ++i) {
        const ir::Dim& extent = type_of(term.tensor).dims[i];
        const auto [known, added] = extents_.try_emplace(term.labels[i], extent);
        if (added || extent.is_constant(1)) continue;
        if (known->second.is_constant(1)) {
          known->second = extent;
          continue;
        }
        if (const ir::Truth same = ir::equals(known->second, extent); same != ir::Truth::yes)
          of_.fail(
              ErrorCode::shape_mismatch,
              fmt::format("{} stands for the extents {} and {}, which {}", name_of_label(term.labels[i]), ir::to_string(known->second),
                          ir::to_string(extent), same == ir::Truth::no ? "differ" : "may differ"),
              same == ir::Truth::no ? "a letter stands for one extent" : "use one symbol for both; a symbolic extent is never taken for 1");
      }
  }

  /// An extent of 1 is repeated: in a product that is the same as leaving the axis out.
  void drop_ones(Term& term) {
    for (std::size_t i = 0; i < term.labels.size();) {
      if (type_of(term.tensor).dims[i].is_constant(1) && !extents_.at(term.labels[i]).is_constant(1)) {
        term.tensor = squeeze(term.tensor, static_cast<std::int64_t>(i));
        term.labels.erase(term.labels.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  }

  void sum_unneeded(Term& term, const std::vector<const Term*>& others) {
    std::vector<std::int64_t> axes;
    Labels left;
    for (std::size_t i = 0; i < term.labels.size(); ++i) {
      const Label label = term.labels[i];
      const bool needed = contains(output_, label) ||
                          std::any_of(others.begin(), others.end(), [&](const Term* other) { return contains(other->labels, label); });
      if (needed)
        left.push_back(label);
      else
        axes.push_back(static_cast<std::int64_t>(i));
    }
    if (axes.empty()) return;
    term.tensor = reduce_sum(term.tensor, axes);
    term.labels = left;
  }

  double size(const std::set<Label>& labels) const {
    double product = 1;
    for (const Label label : labels) product *= typical(extents_.at(label));
    return product;
  }

  /// Labels of the product of some terms that somebody still needs.
  std::set<Label> kept(const std::set<Label>& labels, std::uint32_t inside) const {
    std::set<Label> result;
    for (const Label label : labels) {
      bool needed = contains(output_, label);
      for (std::size_t i = 0; !needed && i < terms_.size(); ++i) needed = !(inside >> i & 1) && contains(terms_[i].labels, label);
      if (needed) result.insert(label);
    }
    return result;
  }

  void contract_in_best_order() {
    const std::size_t n = terms_.size();
    if (n == 1) return;
    struct Plan {
      double cost = HUGE_VAL;
      std::uint32_t left = 0;
      std::set<Label> labels;
    };
    std::vector<Plan> plans(std::size_t{1} << n);
    for (std::uint32_t subset = 1; subset < plans.size(); ++subset) {
      Plan& plan = plans[subset];
      if ((subset & (subset - 1)) == 0) {
        const auto i = static_cast<std::size_t>(std::countr_zero(subset));
        plan.cost = 0;
        plan.labels = {terms_[i].labels.begin(), terms_[i].labels.end()};
        continue;
      }
      // Each pair of complementary halves once: the left one has the lowest term.
      const std::uint32_t lowest = subset & (~subset + 1);
      for (std::uint32_t left = (subset - 1) & subset; left > 0; left = (left - 1) & subset) {
        if (!(left & lowest)) continue;
        const Plan &a = plans[left], &b = plans[subset ^ left];
        std::set<Label> all = a.labels;
        all.insert(b.labels.begin(), b.labels.end());
        const double cost = a.cost + b.cost + size(all);
        if (cost < plan.cost || (cost == plan.cost && left < plan.left)) plan = {cost, left, kept(all, subset)};
      }
    }
    // The plan as a list of pairs, halves before wholes: subsets in order of size.
    std::vector<std::uint32_t> order{static_cast<std::uint32_t>(plans.size() - 1)};
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Plan plan = plans[order[i]];
      if (plan.left == 0) continue;
      order.push_back(plan.left);
      order.push_back(order[i] ^ plan.left);
    }
    std::map<std::uint32_t, Term> made;
    for (auto subset = order.rbegin(); subset != order.rend(); ++subset) {
      const Plan& plan = plans[*subset];
      if (plan.left == 0)
        made[*subset] = terms_[static_cast<std::size_t>(std::countr_zero(*subset))];
      else
        made[*subset] = product(made.at(plan.left), made.at(*subset ^ plan.left), plan.labels);
    }
    terms_ = {made.at(order[0])};
  }

  void contract_greedily() {
    while (terms_.size() > 1) {
      double best = HUGE_VAL;
      std::size_t first = 0, second = 1;
      for (std::size_t i = 0; i < terms_.size(); ++i)
        for (std::size_t k = i + 1; k < terms_.size(); ++k) {
          std::set<Label> all(terms_[i].labels.begin(), terms_[i].labels.end());
          all.insert(terms_[k].labels.begin(), terms_[k].labels.end());
          if (const double cost = size(all); cost < best) best = cost, first = i, second = k;
        }
      std::set<Label> all(terms_[first].labels.begin(), terms_[first].labels.end()), needed;
      all.insert(terms_[second].labels.begin(), terms_[second].labels.end());
      for (const Label label : all) {
        bool used = contains(output_, label);
        for (std::size_t i = 0; !used && i < terms_.size(); ++i) used = i != first && i != second && contains(terms_[i].labels, label);
        if (used) needed.insert(label);
      }
      terms_[first] = product(terms_[first], terms_[second], needed);
      terms_.erase(terms_.begin() + static_cast<std::ptrdiff_t>(second));
    }
  }

  Term product(const Term& a, const Term& b, const std::set<Label>& needed) {
    Labels batch, contract, result;
    for (const Label label : a.labels) {
      if (!contains(b.labels, label)) continue;
      (needed.contains(label) ? batch : contract).push_back(label);
    }
    if (contract.empty()) {
      // Broadcast both to the union of their labels: a product that fuses with what comes next.
      result = a.labels;
      for (const Label label : b.labels)
        if (!contains(result, label)) result.push_back(label);
      return {spread_to(a, result) * spread_to(b, result), result};
    }
    result = batch;
    for (const Term* term : {&a, &b})
      for (const Label label : term->labels)
        if (!contains(batch, label) && !contains(contract, label)) result.push_back(label);
    const auto positions = [](const Labels& labels, const Labels& of) {
      std::vector<std::int64_t> axes;
      for (const Label label : labels) axes.push_back(std::find(of.begin(), of.end(), label) - of.begin());
      return axes;
    };
    return {dot_general(a.tensor, b.tensor, positions(batch, a.labels), positions(batch, b.labels), positions(contract, a.labels),
                        positions(contract, b.labels)),
            result};
  }

  Tensor spread_to(const Term& term, const Labels& labels) {
    std::vector<Dim> dims;
    for (const Label label : labels) dims.push_back(DimValue::wrap(extents_.at(label)));
    std::vector<std::int64_t> positions;
    for (const Label label : term.labels) positions.push_back(std::find(labels.begin(), labels.end(), label) - labels.begin());
    if (term.labels == labels) return term.tensor;
    return spread(term.tensor, dims, positions);
  }

  /// The axes in the order of these labels.
  Tensor arranged(const Term& term, const Labels& labels) {
    std::vector<std::int64_t> permutation;
    for (const Label label : labels) {
      const auto at = std::find(term.labels.begin(), term.labels.end(), label) - term.labels.begin();
      permutation.push_back(at);
    }
    return std::is_sorted(permutation.begin(), permutation.end()) ? term.tensor : transpose(term.tensor, permutation);
  }

  Composite& of_;
  std::vector<Term> terms_;
  Labels output_;
  std::map<Label, ir::Dim> extents_;
};

}  // namespace

Tensor einsum(const std::string& equation, std::span<const Tensor> tensors, std::source_location location) {
  if (tensors.empty())
    throw Error(ErrorCode::invalid_argument, "einsum: there are no tensors", LocationScope::resolve(location), "give one for each operand");
  Composite of(tensors[0], "einsum", location);
  const Equation parts = split(of, equation);
  if (parts.inputs.size() != tensors.size())
    of.fail(ErrorCode::invalid_argument,
            fmt::format("the equation \"{}\" has {} operands, but {} tensors are given", equation, parts.inputs.size(), tensors.size()),
            "give one tensor for each operand of the equation");
  std::vector<Term> terms;
  Labels all, ellipsis;
  bool dots = false;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor tensor = of.tensor(Operand(tensors[i]));
    if (tensor.dtype() != tensors[0].dtype() || tensor.dtype() == DType::boolean)
      of.fail(ErrorCode::dtype_mismatch,
              fmt::format("operands must have one numeric dtype, but are {} and {}", to_string(tensors[0]), to_string(tensor)),
              fmt::format("convert one of them: convert(x, {})", name_of(tensor.dtype() == DType::boolean ? f32 : tensors[0].dtype())));
    terms.push_back({tensor, labels_of(of, parts.inputs[i], tensor, equation)});
    dots |= parts.inputs[i].find("...") != std::string::npos;
    all.insert(all.end(), terms.back().labels.begin(), terms.back().labels.end());
  }
  for (const Label label : all)
    if (label >= first_ellipsis && !contains(ellipsis, label)) ellipsis.push_back(label);
  std::sort(ellipsis.rbegin(), ellipsis.rend());

  Labels output;
  if (parts.output) {
    const std::size_t at = parts.output->find("...");
    if (at != std::string::npos && !dots)
      of.fail(ErrorCode::invalid_argument, fmt::format("the result of \"{}\" has \"...\", but no operand does", equation),
              "leave it out, or give it to an operand");
    for (std::size_t i = 0; i < parts.output->size(); ++i) {
      if (i == at) {
        output.insert(output.end(), ellipsis.begin(), ellipsis.end());
        i += 2;
        continue;
      }
      const Label label = (*parts.output)[i];
      if (!contains(all, label))
        of.fail(ErrorCode::invalid_argument,
                fmt::format("the result of \"{}\" has {}, but no operand does", equation, name_of_label(label)),
                "expand_dims() and broadcast_to() make new axes");
      if (contains(output, label))
        of.fail(ErrorCode::invalid_argument, fmt::format("the result of \"{}\" has {} twice", equation, name_of_label(label)),
                "name each axis of the result once");
      output.push_back(label);
    }
    if (at == std::string::npos && !ellipsis.empty())
      of.fail(ErrorCode::invalid_argument, fmt::format("the result of \"{}\" lacks the \"...\" of its operands", equation),
              "write \"...\" in the result, or letters in place of \"...\" to sum over them");
  } else {
    output = ellipsis;
    Labels once;
    for (const Label label : all)
      if (label < first_ellipsis && std::count(all.begin(), all.end(), label) == 1) once.push_back(label);
    std::sort(once.begin(), once.end());
    output.insert(output.end(), once.begin(), once.end());
  }
  return Contraction(of, std::move(terms), std::move(output)).run();
}

Tensor einsum(const std::string& equation, std::initializer_list<Tensor> tensors, std::source_location location) {
  return einsum(equation, std::span<const Tensor>(tensors.begin(), tensors.size()), location);
}

// ---- named products

namespace {

struct TwoTensors {
  TwoTensors(const Operand& first, const Operand& second, const char* name)
      : of({&first, &second}, name), a(of.tensor(first)), b(of.tensor(second)) {
    if (a.dtype() == DType::boolean)
      of.fail(ErrorCode::dtype_mismatch, fmt::format("takes numeric tensors, but was given {}", to_string(a)),
              "convert it: convert(x, f32)");
  }
  Composite of;
  Tensor a, b;
};

std::vector<std::int64_t> range(std::size_t first, std::size_t last) {
  std::vector<std::int64_t> list(last - first);
  std::iota(list.begin(), list.end(), static_cast<std::int64_t>(first));
  return list;
}

/// Error unless the extents of these axes agree.
void require_pairs(const TwoTensors& of, const std::vector<std::int64_t>& a_axes, const std::vector<std::int64_t>& b_axes) {
  for (std::size_t i = 0; i < a_axes.size(); ++i) {
    const ir::Dim& p = type_of(of.a).dims[static_cast<std::size_t>(a_axes[i])];
    const ir::Dim& q = type_of(of.b).dims[static_cast<std::size_t>(b_axes[i])];
    if (ir::equals(p, q) != ir::Truth::yes)
      of.of.fail(ErrorCode::shape_mismatch,
                 fmt::format("axis {} of {} and axis {} of {} are summed over together, but have the extents {} and {}", a_axes[i],
                             to_string(of.a), b_axes[i], to_string(of.b), ir::to_string(p), ir::to_string(q)),
                 "both must have the same extent");
  }
}

}  // namespace

Tensor tensordot(const Operand& first, const Operand& second, std::int64_t count) {
  TwoTensors of(first, second, "tensordot");
  const auto p = static_cast<std::int64_t>(of.a.rank()), q = static_cast<std::int64_t>(of.b.rank());
  of.of.require(count >= 0 && count <= p && count <= q,
                fmt::format("{} axes are to be summed over, but the operands are {} and {}", count, to_string(of.a), to_string(of.b)),
                "count is at most the rank of both");
  return tensordot(of.a, of.b, range(static_cast<std::size_t>(p - count), of.a.rank()), range(0, static_cast<std::size_t>(count)));
}

Tensor tensordot(const Operand& first, const Operand& second, const std::vector<std::int64_t>& a_axes,
                 const std::vector<std::int64_t>& b_axes) {
  TwoTensors of(first, second, "tensordot");
  of.of.require(a_axes.size() == b_axes.size(), fmt::format("{} axes of one and {} of the other are given", a_axes.size(), b_axes.size()),
                "axes are summed over in pairs");
  std::vector<std::int64_t> p, q;
  for (const std::int64_t axis : a_axes) p.push_back(of.of.axis(axis, of.a));
  for (const std::int64_t axis : b_axes) q.push_back(of.of.axis(axis, of.b));
  for (const auto& list : {p, q})
    of.of.require(std::set<std::int64_t>(list.begin(), list.end()).size() == list.size(), "an axis is given twice", "name each axis once");
  require_pairs(of, p, q);
  if (p.empty()) return outer(of.a, of.b);
  return dot_general(of.a, of.b, {}, {}, p, q);
}

Tensor outer(const Operand& first, const Operand& second) {
  TwoTensors of(first, second, "outer");
  std::vector<Dim> dims;
  for (const Tensor* t : {&of.a, &of.b})
    for (const Dim& dim : t->dims()) dims.push_back(dim);
  const std::size_t p = of.a.rank();
  return spread(of.a, dims, range(0, p)) * spread(of.b, dims, range(p, dims.size()));
}

Tensor inner(const Operand& first, const Operand& second) {
  TwoTensors of(first, second, "inner");
  if (of.a.rank() == 0 || of.b.rank() == 0) return of.a * of.b;
  const auto p = static_cast<std::int64_t>(of.a.rank()), q = static_cast<std::int64_t>(of.b.rank());
  require_pairs(of, {p - 1}, {q - 1});
  return dot_general(of.a, of.b, {}, {}, {p - 1}, {q - 1});
}

Tensor vecdot(const Operand& first, const Operand& second, std::int64_t axis) {
  TwoTensors of(first, second, "vecdot");
  const Tensor product = of.a * of.b;
  return reduce_sum(product, of.of.axis(axis, product));
}

Tensor kron(const Operand& first, const Operand& second) {
  TwoTensors of(first, second, "kron");
  if (of.a.rank() != of.b.rank())
    of.of.fail(ErrorCode::shape_mismatch, fmt::format("{} and {} have different ranks", to_string(of.a), to_string(of.b)),
               "expand_dims() gives the smaller one axes of extent 1");
  std::vector<Dim> both, result;
  std::vector<std::int64_t> even, odd;
  for (std::size_t i = 0; i < of.a.rank(); ++i) {
    even.push_back(static_cast<std::int64_t>(both.size()));
    both.push_back(of.a.dims()[i]);
    odd.push_back(static_cast<std::int64_t>(both.size()));
    both.push_back(of.b.dims()[i]);
    result.push_back(of.a.dims()[i] * of.b.dims()[i]);
  }
  return reshaped(spread(of.a, both, even) * spread(of.b, both, odd), result);
}

Tensor cross(const Operand& first, const Operand& second, std::int64_t axis) {
  TwoTensors of(first, second, "cross");
  const Tensor shape = of.a + of.b;  // broadcasts; unused but for its dims
  const std::int64_t along = of.of.axis(axis, shape);
  const Tensor a = broadcast_to(of.a, shape.dims()), b = broadcast_to(of.b, shape.dims());
  if (!(shape.dim(along) == Dim(3)))
    of.of.fail(ErrorCode::shape_mismatch,
               fmt::format("axis {} of {} and {} must have the extent 3", along, to_string(of.a), to_string(of.b)),
               "the vector product is one of three-dimensional vectors");
  // Component i of the result is a(i+1) b(i+2) - a(i+2) b(i+1), indices mod 3.
  const auto rotated = [&](const Tensor& x, std::int64_t by) {
    Dims starts(std::vector<Dim>(x.rank(), Dim(0))), limits = x.dims(), middle = starts;
    starts[static_cast<std::size_t>(along)] = by;
    Dims end = x.dims();
    end[static_cast<std::size_t>(along)] = by;
    return concatenate({slice(x, starts, limits), slice(x, middle, end)}, along);
  };
  return rotated(a, 1) * rotated(b, 2) - rotated(a, 2) * rotated(b, 1);
}

Tensor linear(const Operand& x, const Operand& weight, const Tensor& bias) {
  TwoTensors of(x, weight, "linear");
  if (of.b.rank() != 2 || of.a.rank() == 0 || !(of.a.dim(-1) == of.b.dim(1)))
    of.of.fail(ErrorCode::shape_mismatch, fmt::format("x {} and weight {} do not fit together", to_string(of.a), to_string(of.b)),
               "the weight is [out, in], x [..., in]; matmul() takes weights [in, out]");
  const Tensor y = matmul(of.a, transpose(of.b));
  return bias.valid() ? y + of.of.tensor(bias) : y;
}

Tensor bilinear(const Operand& x1, const Operand& x2, const Operand& weight, const Tensor& bias) {
  TwoTensors of(x1, x2, "bilinear");
  const Tensor w = of.of.tensor(weight);
  if (w.rank() != 3)
    of.of.fail(ErrorCode::shape_mismatch, fmt::format("the weight must be [out, in1, in2], but is {}", to_string(w)),
               "one matrix per output");
  const Tensor y = einsum("...i,oij,...j->...o", {of.a, w, of.b});
  return bias.valid() ? y + of.of.tensor(bias) : y;
}

}  // namespace kiln
