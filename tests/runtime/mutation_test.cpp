// Damaged files: small valid files of each format with every truncation and with many changed bytes. A parser must return arrays or throw
// an Error; that it reads nothing out of bounds shows under the address sanitizer, as the bytes lie in memory of exactly their size.
#include <gtest/gtest.h>

#include <functional>

#include "fake_source.h"
#include "kiln/files.h"
#include "runtime/program_io.h"
#include "temporary.h"

namespace kiln {
namespace {

using runtime::Bytes;
using Parser = std::function<void(Bytes)>;

struct Outcome {
  int valid = 0, refused = 0;
};

void try_parse(const std::string& content, const Parser& parse, Outcome& outcome) {
  const std::vector<unsigned char> exact(content.begin(), content.end());
  try {
    parse(exact);
    ++outcome.valid;
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::corrupt_file || error.code() == ErrorCode::unsupported) << error.what();
    EXPECT_NE(error.message().find("'f"), std::string::npos) << "the file is not named: " << error.what();
    ++outcome.refused;
  }
}

// Every truncation, and at every byte a set of values that includes the boundaries of signed and unsigned comparisons.
void mutate(const std::string& valid, const Parser& parse) {
  Outcome untouched;
  try_parse(valid, parse, untouched);
  EXPECT_EQ(untouched.valid, 1);

  Outcome truncated;
  for (std::size_t n = 0; n < valid.size(); ++n) try_parse(valid.substr(0, n), parse, truncated);
  EXPECT_EQ(truncated.valid, 0);

  Outcome changed;
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const auto old = static_cast<unsigned char>(valid[i]);
    for (const int value :
         {0x00, 0x01, 0x7f, 0x80, 0xff, int{'0'}, int{'9'}, int{'{'}, int{'"'}, old ^ 1, old ^ 0x20, old ^ 0x80, old + 1, old - 1}) {
      std::string content = valid;
      content[i] = static_cast<char>(value);
      try_parse(content, parse, changed);
    }
  }
  EXPECT_GT(changed.refused, 0);

  // Runs of changed bytes, at pseudo-random places.
  std::uint32_t random = 12345;
  const auto next = [&] { return (random = random * 1664525 + 1013904223) >> 8; };
  for (int round = 0; round < 3000; ++round) {
    std::string content = valid;
    for (std::uint32_t changes = next() % 8 + 1; changes > 0; --changes) content[next() % content.size()] = static_cast<char>(next());
    if (next() % 4 == 0) content.insert(next() % content.size(), std::string(next() % 16, static_cast<char>(next())));
    if (next() % 4 == 0) content.erase(next() % content.size(), next() % 16);
    try_parse(content, parse, changed);
  }
}

std::string written(const std::function<void(const std::string&)>& write) {
  testing::TemporaryFolder folder;
  write(folder.file("f"));
  return testing::content_of(folder.file("f"));
}

TEST(Mutation, Npy) {
  mutate(written([](const std::string& path) { write_npy(path, Array::from({{1.f, 2.f}, {3.f, 4.f}})); }),
         [](Bytes bytes) { runtime::parse_npy(bytes, {"f", {}}); });
}

TEST(Mutation, Npz) {
  for (const bool compress : {false, true})
    mutate(written([&](const std::string& path) { write_npz(path, {{"a", Array::from({1.f, 2.f})}, {"b", Array(true)}}, compress); }),
           [](Bytes bytes) { runtime::parse_npz(bytes, {"f", {}}); });
}

TEST(Mutation, Safetensors) {
  mutate(written(
             [](const std::string& path) { write_safetensors(path, {{"a", Array::from({1.f, 2.f})}, {"b", Array::from({true, false})}}); }),
         [](Bytes bytes) {
           for (const auto& [name, array] : runtime::parse_safetensors(bytes, {"f", {}}, nullptr)) to_string(array);
         });
}

TEST(Mutation, Program) {
  const testing::TestGraph graph;
  runtime::Program program = graph.graph.programs.at("!step").description;
  program.constants = {Array::from({{1, 2}, {3, 4}})};
  program.dim_checks = {{0, 0, 0}};
  program.input_feeds = {0};
  program.fetch_outputs = {-1};
  mutate(runtime::serialize(program), [](Bytes bytes) { runtime::deserialize(bytes, "f"); });
}

}  // namespace
}  // namespace kiln
