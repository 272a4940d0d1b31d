// scan, map and for_loop: loops whose number of iterations is an extent.
#include <fmt/format.h>

#include "frontend/checkpoints.h"
#include "frontend/regions.h"
#include "kiln/control.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

/// `op` is the public function that the user called, and `kind` its body, for messages.
ScanResult build_scan(const char* op, const char* kind, const ScanBody& body, const std::vector<Tensor>& initial,
                      const std::vector<Tensor>& sequences, const ScanOptions& options, const Location& location) {
  const Location where = LocationScope::resolve(location);
  if (initial.empty() && sequences.empty())
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: there is neither an initial value nor a sequence", op), where,
                "a loop has at least one tensor");
  const Tensor& any = initial.empty() ? sequences[0] : initial[0];
  type_of(any);
  GraphState& state = *Access::state(any);
  Emitter emitter(state, op, location);
  std::vector<ir::ValueId> operands;
  std::vector<ir::Type> types;
  std::vector<std::string> names;
  for (const Tensor& tensor : initial) {
    operands.push_back(emitter.use(tensor));
    types.push_back(emitter.builder().type(operands.back()));
    names.push_back(tensor.name());
  }
  std::optional<ir::Dim> length;
  if (options.length) {
    length = DimValue::unwrap(*options.length);
    state.use_symbols({*length}, emitter.location());
    if (ir::less(*length, 0) == ir::Truth::yes)
      emitter.fail(ErrorCode::invalid_argument, fmt::format("the length is {}", ir::to_string(*length)), "0 runs no iteration");
  }
  for (const Tensor& tensor : sequences) {
    operands.push_back(emitter.use(tensor));
    ir::Type type = emitter.builder().type(operands.back());
    if (type.rank() == 0)
      emitter.fail(ErrorCode::shape_mismatch, fmt::format("the sequence {} has no dim to loop over", ir::to_string(type)),
                   "what is the same in all iterations is captured: use it in the body");
    if (!length) length = type.dims[0];
    if (ir::equals(*length, type.dims[0]) != ir::Truth::yes)
      emitter.fail(
          ErrorCode::shape_mismatch,
          fmt::format("dim 0 of the sequence {} {} the number of iterations, {}", ir::to_string(type),
                      ir::equals(*length, type.dims[0]) == ir::Truth::no ? "is not" : "is not for certain", ir::to_string(*length)),
          "all sequences have one extent in dim 0, and `length`, where given, is that");
    type.dims.erase(type.dims.begin());
    types.push_back(std::move(type));
    names.push_back(tensor.name());
  }
  if (!length)
    emitter.fail(ErrorCode::invalid_argument, "without sequences nothing tells the number of iterations", "give `length` in the options");

  ir::ValueId counter = ir::none;
  std::size_t returned = 0;
  const std::size_t carried = initial.size();
  const Region region =
      build_region(state, "body", kind, op, emitter.location(), types, names, &counter, [&](const std::vector<Tensor>& values) {
        const auto middle = values.begin() + static_cast<std::ptrdiff_t>(carried);
        ScanResult results = body({values.begin(), middle}, {middle, values.end()});
        returned = results.carried.size();
        results.carried.insert(results.carried.end(), results.outputs.begin(), results.outputs.end());
        return results.carried;
      });
  const std::vector<ir::Type> results = result_types(state, region);
  const std::span<const ir::Type> entered = std::span(types).first(carried), next = std::span(results).first(returned);
  if (!std::ranges::equal(entered, next))
    emitter.fail(entered.size() != next.size() ? ErrorCode::invalid_argument : mismatch_code(entered, next),
                 fmt::format("the carried values enter as {}, but the body returns {}", types_text(entered), types_text(next)),
                 "the body returns as many carried values as enter, of the same dtypes and dims");

  const LoopRegion regions[] = {{&region, &counter}};
  const bool counted = finish_loop_regions(emitter, regions, carried, types.size(), operands);
  const ScanParts scan{region.graph, carried + counted, sequences.size(), *length, options.reverse};
  const std::int64_t every = checkpoint_distance(emitter, options.checkpoint_every, *length);
  const bool plain = every == 0 || length->is_constant(0);
  const std::vector<ir::ValueId> values =
      plain ? emit_scan(emitter.builder(), scan, std::move(operands)) : emit_checkpointed_scan(emitter, scan, operands, every);
  ScanResult result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i < carried) result.carried.push_back(emitter.wrap(values[i]));
    if (i >= carried + counted) result.outputs.push_back(emitter.wrap(values[i]));
  }
  return result;
}

}  // namespace

ScanResult scan(const ScanBody& body, const std::vector<Tensor>& initial, const std::vector<Tensor>& sequences, ScanOptions options,
                std::source_location location) {
  return build_scan("scan", "body of scan", body, initial, sequences, options, location);
}

std::vector<Tensor> map(const MapBody& body, const std::vector<Tensor>& sequences, std::source_location location) {
  return build_scan(
             "map", "body of map",
             [&](const std::vector<Tensor>&, const std::vector<Tensor>& slices) { return ScanResult{{}, body(slices)}; }, {}, sequences, {},
             location)
      .outputs;
}

std::vector<Tensor> for_loop(const Dim& count, const ForBody& body, const std::vector<Tensor>& initial, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  if (initial.empty())
    throw Error(ErrorCode::invalid_argument, "for_loop: there are no initial values", where, "a loop carries at least one tensor");
  type_of(initial[0]);
  // The index comes last, so that messages about the values name what the user gave.
  const auto step = [&](const std::vector<Tensor>& carried, const std::vector<Tensor>&) {
    const Tensor index = carried.back();
    std::vector<Tensor> next = body(index, {carried.begin(), carried.end() - 1});
    if (next.size() + 1 != carried.size())
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("for_loop: the body returns {} values, but {} enter", next.size(), carried.size() - 1), where,
                  "the body returns as many values as enter, of the same dtypes and dims");
    const LocationScope scope(where);
    next.push_back(index + 1);
    return ScanResult{std::move(next), {}};
  };
  std::vector<Tensor> carried = initial;
  {
    const LocationScope scope(where);
    carried.push_back(Access::graph(Access::state(initial[0])->shared_from_this()).constant(Array(std::int64_t{0})));
  }
  ScanOptions options;
  options.length = count;
  carried = build_scan("for_loop", "body of for_loop", step, carried, {}, options, where).carried;
  carried.pop_back();
  return carried;
}

}  // namespace kiln
