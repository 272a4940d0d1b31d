#include "idx.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace {

/// The format's largest sensible content: a file that claims more is damaged.
constexpr std::int64_t max_bytes = std::int64_t{1} << 32;

}  // namespace

kiln::Array read_idx(const std::string& path) {
  const std::string name = access(path.c_str(), R_OK) == 0 ? path : path + ".gz";
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(name.c_str(), "rb"), gzclose);  // reads plain files as they are
  if (!file) throw kiln::Error(kiln::ErrorCode::io, path + ": no such file, nor with .gz");
  auto fail = [&](const char* what) { throw kiln::Error(kiln::ErrorCode::corrupt_file, name + ": " + what); };
  auto word = [&] {
    unsigned char b[4];
    if (gzread(file.get(), b, 4) != 4) fail("the header is cut short");
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | std::uint32_t{b[3]};
  };
  const std::uint32_t magic = word();
  if (magic >> 16 != 0 || (magic >> 8 & 0xFF) != 0x08 || (magic & 0xFF) == 0 || (magic & 0xFF) > 4) fail("no IDX file of unsigned bytes");
  std::vector<std::int64_t> dims;
  std::int64_t bytes = 1;
  for (std::uint32_t i = 0; i < (magic & 0xFF); ++i) {
    dims.push_back(word());
    if (dims.back() > 0 && bytes > max_bytes / dims.back()) fail("its extents are too large");
    bytes *= dims.back();
  }
  // The content decides how much memory is taken, not the header.
  std::vector<std::uint8_t> content;
  while (static_cast<std::int64_t>(content.size()) < bytes) {
    std::uint8_t block[1 << 16];
    const auto want = static_cast<unsigned>(std::min<std::int64_t>(sizeof block, bytes - static_cast<std::int64_t>(content.size())));
    const int got = gzread(file.get(), block, want);
    if (got <= 0) fail("it is cut short");
    content.insert(content.end(), block, block + got);
  }
  return {kiln::Shape(std::move(dims)), content};
}
