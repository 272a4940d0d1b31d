// A call of a user's function out of a graph.
//
// The graph knows the function by name; whoever runs it provides the function. What a call yields cannot be inferred, so the attributes say
// it: `dtypes` as a list in text, `ranks`, and `dims`, those of all results one after the other (lists of types are no kind of attribute).
//
// A call is taken as a function of its operands: it may be dropped when nothing uses its results. Equal calls that a user wrote twice are
// two calls all the same (their functions may count, read a file, draw numbers), and so their `ordinal`s differ. Copies that the compiler
// makes of one call, to have its results in a derivative, keep the ordinal, and merge with the original where they meet it.
#include "ir/custom_call.h"

#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_custom_call(const InferContext& context) {
  for (std::size_t i = 0; i < context.operands.size(); ++i) tensor(context, i);
  if (context.attributes.text("name").empty()) fail(context, ErrorCode::invalid_argument, "the function has no name");
  std::vector<Type> results;
  try {
    results = custom_call_results(context.attributes);
  } catch (const Error& error) {
    fail(context, error.code(), error.message());
  }
  if (results.empty()) fail(context, ErrorCode::invalid_argument, "there are no results");
  for (const Type& type : results) require_extents(context, type.dims);
  return results;
}

constexpr AttributeSpec custom_call_attribute_specs[] = {
    {"name", AttributeKind::text, "of the function"},
    {"ordinal", AttributeKind::integer, "tells calls apart: only copies of one call have the same"},
    {"dtypes", AttributeKind::text, "of the results: \"f32, i64\""},
    {"ranks", AttributeKind::integers, "of the results"},
    {"dims", AttributeKind::dims, "of all results, one after the other", false}};
}  // namespace

Attributes custom_call_attributes(const std::string& name, std::int64_t ordinal, std::span<const Type> results) {
  std::string dtypes;
  std::vector<std::int64_t> ranks;
  Dims dims;
  for (const Type& type : results) {
    dtypes += (dtypes.empty() ? "" : ", ") + std::string(name_of(type.dtype));
    ranks.push_back(static_cast<std::int64_t>(type.rank()));
    dims.insert(dims.end(), type.dims.begin(), type.dims.end());
  }
  return {{"name", name}, {"ordinal", ordinal}, {"dtypes", std::move(dtypes)}, {"ranks", std::move(ranks)}, {"dims", std::move(dims)}};
}

std::vector<Type> custom_call_results(const Attributes& attributes) {
  const std::vector<std::int64_t>& ranks = integers_or_empty(attributes, "ranks");
  const Dims& dims = dims_or_empty(attributes, "dims");
  std::string_view dtypes = attributes.text("dtypes");
  std::vector<Type> results;
  std::size_t next = 0;
  for (const std::int64_t rank : ranks) {
    const std::size_t comma = dtypes.find(", ");
    const std::string_view name = dtypes.substr(0, comma);
    dtypes = comma == std::string_view::npos ? std::string_view() : dtypes.substr(comma + 2);
    const auto dtype = dtype_from_name(name);
    if (!dtype) throw Error(ErrorCode::invalid_argument, fmt::format("\"{}\" in dtypes is no dtype", name));
    if (rank < 0 || static_cast<std::uint64_t>(rank) > dims.size() - next)
      throw Error(ErrorCode::invalid_argument, fmt::format("the ranks take more than the {} dims", dims.size()));
    Type& type = results.emplace_back();
    type.dtype = *dtype;
    type.dims.assign(dims.begin() + static_cast<std::ptrdiff_t>(next),
                     dims.begin() + static_cast<std::ptrdiff_t>(next + static_cast<std::size_t>(rank)));
    next += static_cast<std::size_t>(rank);
  }
  if (!dtypes.empty() || next != dims.size())
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there are {} ranks for the dtypes \"{}\" and {} dims", ranks.size(), attributes.text("dtypes"), dims.size()));
  return results;
}

template <>
constinit const OpInfo OpEntry<Op::custom_call>::info = {
    .name = "custom_call",
    .doc =
        "What the user's function `name` makes of the operands. It is called once for each time that the node runs, and not when nothing "
        "uses its results; calls with different `ordinal`s are never merged. When it fails, the run ends and no variable changes.",
    .min_operands = 0,
    .max_operands = -1,
    .attributes = custom_call_attribute_specs,
    .infer = infer_custom_call,
    .no_gradient = "it is a function outside of the graph; custom_gradient() around it gives it one",
};

}  // namespace kiln::ir
