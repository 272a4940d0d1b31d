// .npz files. The golden archives were made by Python's zipfile with the calls that numpy.savez and savez_compressed use.
#include <gtest/gtest.h>

#include "kiln/files.h"
#include "temporary.h"

namespace kiln {
namespace {

using runtime::bytes_of;
using testing::error_of;
using testing::from_hex;
using testing::TemporaryFolder;

// a: f32[2, 3] = 0..5 and s: i64[] = -5, deflated; local headers with ZIP64 sizes.
const std::string deflated = from_hex(
    "504b03042d0000000800000021004fe9002affffffffffffffff05001400612e6e707901001000980000000000000055000000000000009bec17ea1b10c9c850c650ad"
    "9e925a"
    "9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0ac69a3a0ab50a64032e063068b007120e4004c40d40bc"
    "c00100"
    "504b03042d000000080000002100b5bf19a6ffffffffffffffff05001400732e6e707901001000880000000000000046000000000000009bec17ea1b10c9c850c650ad"
    "9e925a"
    "9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a9a3a0ab50a1401aedfff210000504b01022d032d0000000800"
    "000021"
    "004fe9002a5500000098000000050000000000000000000000800100000000612e6e7079504b01022d032d000000080000002100b5bf19a64600000088000000050000"
    "000000"
    "00000000000080018c000000732e6e7079504b0506000000000200020066000000090100000000");
// a, stored.
const std::string stored = from_hex(
    "504b03042d0000000000000021004fe9002affffffffffffffff05001400612e6e70790100100098000000000000009800000000000000934e554d5059010076007b27"
    "646573"
    "6372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028322c2033292c207d20202020202020202020202020"
    "202020"
    "2020202020202020202020202020202020202020202020202020202020202020202020202020202020200a000000000000803f0000004000004040000080400000a040"
    "504b01"
    "022d032d0000000000000021004fe9002a9800000098000000050000000000000000000000800100000000612e6e7079504b0506000000000100010033000000cf0000"
    "000000");

std::map<std::string, Array> parsed(const std::string& file) { return runtime::parse_npz(bytes_of(file), {"a.npz", {}}); }

TEST(Npz, ReadsDeflated) {
  const auto arrays = parsed(deflated);
  ASSERT_EQ(arrays.size(), 2u);
  EXPECT_EQ(to_string(arrays.at("a")), "f32[2, 3] {{0, 1, 2}, {3, 4, 5}}");
  EXPECT_EQ(to_string(arrays.at("s")), "i64[] -5");
}

TEST(Npz, ReadsStored) { EXPECT_EQ(to_string(parsed(stored).at("a")), "f32[2, 3] {{0, 1, 2}, {3, 4, 5}}"); }

TEST(Npz, RoundTrips) {
  TemporaryFolder folder;
  std::map<std::string, Array> arrays = {
      {"x", Array::zeros(f64, {1000})}, {"deep/name", Array::from({{1, 2}, {3, 4}})}, {"e", Array(f32, {0})}, {"h", Array(bfloat16(2.f))}};
  std::size_t sizes[2];
  for (const bool compress : {false, true}) {
    write_npz(folder.file("a.npz"), arrays, compress);
    const auto back = read_npz(folder.file("a.npz"));
    ASSERT_EQ(back.size(), arrays.size());
    for (const auto& [name, array] : arrays) EXPECT_TRUE(identical(back.at(name), array)) << name;
    sizes[compress] = testing::content_of(folder.file("a.npz")).size();
  }
  EXPECT_LT(sizes[1], sizes[0] / 4);
  write_npz(folder.file("none.npz"), {});
  EXPECT_TRUE(read_npz(folder.file("none.npz")).empty());
}

TEST(Npz, SameArraysSameBytes) {
  TemporaryFolder folder;
  const std::map<std::string, Array> arrays = {{"x", Array::zeros(f64, {100})}};
  write_npz(folder.file("a.npz"), arrays, true);
  write_npz(folder.file("b.npz"), arrays, true);
  EXPECT_EQ(testing::content_of(folder.file("a.npz")), testing::content_of(folder.file("b.npz")));
}

TEST(Npz, DamagedFilesAreNamed) {
  const auto message = [](std::string file) { return error_of(ErrorCode::corrupt_file, [&] { parsed(file); }); };
  const std::string start = "error: 'a.npz' is damaged or not an .npz file: ";
  EXPECT_EQ(message(""), start + "it is empty");
  EXPECT_EQ(message(std::string(100, 'x')), start + "the end of a ZIP archive is missing (is the file truncated?)");
  EXPECT_EQ(message(deflated.substr(0, 300)), start + "the end of a ZIP archive is missing (is the file truncated?)");

  const auto changed = [](std::string file, std::size_t at, std::string_view bytes) { return file.replace(at, bytes.size(), bytes); };
  // In `stored`: local header 0, npy 0x37 on, data from 0xb7, directory 0xcf, end 0x102.
  EXPECT_EQ(message(changed(stored, 0xb9, "!")), start + "the checksum of entry 'a.npy' is wrong");
  EXPECT_EQ(message(changed(stored, 0xcf + 42, "\x10")), start + "the data of entry 'a.npy' is not where it should be");
  EXPECT_EQ(message(changed(stored, 0xcf + 20, "\xff")), start + "entry 'a.npy' is longer than the file");
  EXPECT_EQ(message(changed(stored, 0xcf + 24, "\x97")), start + "the two sizes of entry 'a.npy' differ");
  EXPECT_EQ(message(changed(stored, 0xcf, "X")), start + "entry 0 of its directory is damaged");
  EXPECT_EQ(message(changed(stored, 0xcf + 28, "\xff")), start + "its directory ends within entry 0");
  EXPECT_EQ(message(changed(stored, 0x102 + 16, "\xff\xff")), start + "its directory lies outside of the file");
  EXPECT_EQ(message(changed(stored, 0x102 + 10, "\x09")), start + "its directory is shorter than its number of entries");
  const std::size_t directory = deflated.find("PK\1\2");
  EXPECT_EQ(message(changed(deflated, directory + 24, std::string_view("\0\0\0\x7f", 4))),
            start + "entry 'a.npy' claims 2130706432 bytes, more than its 85 can hold");
  EXPECT_EQ(message(changed(deflated, directory + 24, "\x99")), start + "the compressed data of entry 'a.npy' is damaged");
  EXPECT_EQ(message(changed(deflated, 60, "\xff\xff\xff\xff")), start + "the compressed data of entry 'a.npy' is damaged");
}

TEST(Npz, WhatKilnCannotRead) {
  const auto changed = [](std::string file, std::size_t at, std::string_view bytes) { return file.replace(at, bytes.size(), bytes); };
  EXPECT_EQ(error_of(ErrorCode::unsupported, [&] { parsed(changed(stored, 0xcf + 8, "\1")); }),
            "error: 'a.npz' is encrypted (entry 'a.npy')");
  EXPECT_EQ(error_of(ErrorCode::unsupported, [&] { parsed(changed(stored, 0xcf + 10, "\x0c")); }),
            "error: 'a.npz' compresses entry 'a.npy' with ZIP method 12\n  hint: numpy.savez and numpy.savez_compressed store or deflate");
  EXPECT_EQ(error_of(ErrorCode::unsupported, [&] { parsed(changed(stored, 0xcf + 46 + 4, "z")); }),
            "error: 'a.npz' holds 'a.npz', which is no .npy file");
}

}  // namespace
}  // namespace kiln
