// scan: a loop over the slices of sequences, whose number of iterations is an extent.
//
//     carried, outputs[t] = body(carried, sequences[t], captured)        for t = 0 .. length - 1 (or back)
//
// What sets it apart from while_loop is that every iteration has an index that is known beforehand: what an iteration yields is stacked,
// and what its derivative needs is stacked as well and read back as sequences. Its gradient is therefore a scan the other way round
// (passes/gradient_scans.cpp), and no tape is needed. Once gradients are there, passes/lower_scans.cpp makes a while_loop of it that reads
// and writes slices in place.
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_scan(const InferContext& context) {
  const std::int64_t carried = context.attributes.integer("carried"), sequences = context.attributes.integer("sequences");
  const auto operands = static_cast<std::int64_t>(context.operands.size());
  if (carried < 0 || sequences < 0 || carried > operands || sequences > operands - carried)
    fail(context, ErrorCode::invalid_argument,
         fmt::format("{} carried values and {} sequences are more than the {} operands", carried, sequences, operands));
  const Dims& length = context.attributes.dims("length");
  if (length.size() != 1) fail(context, ErrorCode::invalid_argument, fmt::format("length is one extent, but {} are given", length.size()));
  require_extents(context, length);

  std::vector<Type> given;
  for (std::int64_t i = 0; i < operands; ++i) {
    Type type = tensor(context, static_cast<std::size_t>(i));
    if (i >= carried && i < carried + sequences) {
      if (type.rank() == 0)
        fail(context, ErrorCode::shape_mismatch,
             fmt::format("sequence {} is {}, which has no dim to loop over", i - carried, to_string(type)));
      require_equal(context, type.dims[0], length[0],
                    fmt::format("sequence {} is {}, but the loop has {} iterations", i - carried, to_string(type), to_string(length[0])));
      type.dims.erase(type.dims.begin());
    }
    given.push_back(std::move(type));
  }
  const Graph& body = region(context, "body");
  require_parameters(context, body, given, "carried values, slices of the sequences and captured values");

  std::vector<Type> results = result_types(body);
  if (static_cast<std::int64_t>(results.size()) < carried)
    fail(context, ErrorCode::invalid_argument, fmt::format("the body yields {} values, but {} are carried", results.size(), carried));
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].kind != Type::Kind::tensor)
      fail(context, ErrorCode::invalid_argument, fmt::format("the body yields {}, but a scan hands out tensors", to_string(results[i])));
    if (i >= static_cast<std::size_t>(carried))
      results[i].dims.insert(results[i].dims.begin(), length[0]);
    else if (!(results[i] == given[i]))
      fail(context, results[i].dtype != given[i].dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
           fmt::format("carried value {} enters as {}, but the body yields {}", i, to_string(given[i]), to_string(results[i])),
           "a carried value keeps its dtype and shape through the loop");
  }
  return results;
}

constexpr AttributeSpec scan_attributes[] = {
    {"carried", AttributeKind::integer, "how many of the operands, from the first, are carried"},
    {"sequences", AttributeKind::integer, "how many of the next ones are sequences; the others are captured"},
    {"body", AttributeKind::graph, "takes carried values, slices and captured values; yields the next carried values, then outputs"},
    {"length", AttributeKind::dims, "the number of iterations, one extent"},
    {"reverse", AttributeKind::flag, "the iterations run from the last index to the first", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::scan>::info = {
    .name = "scan",
    .doc =
        "Runs `body` for each index 0 .. length - 1 (or back, with `reverse`) on the carried values, the slices sequence[index] and the "
        "captured values; the results are the last carried values, then each output stacked along a new dim 0, at the index that made it. "
        "Zero iterations yield the initial values and empty stacks.",
    .min_operands = 0,
    .max_operands = -1,
    .attributes = scan_attributes,
    .infer = infer_scan,
};

}  // namespace kiln::ir
