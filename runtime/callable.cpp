// Callable: a request that was resolved once.
#include "kiln/session.h"
#include "runtime/session_state.h"

namespace kiln {

void Callable::operator()(ListRef<ArrayView> feeds, std::span<Array> results, const RunOptions& options, std::source_location where) const {
  state_->run(*program_, feeds.span(), results, options, where);
}

std::vector<Array> Callable::operator()(ListRef<ArrayView> feeds, const RunOptions& options, std::source_location where) const {
  std::vector<Array> results(program_->fetch_count);
  state_->run(*program_, feeds.span(), results, options, where);
  return results;
}

}  // namespace kiln
