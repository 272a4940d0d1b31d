// .safetensors files: exact bytes, round trips, strictness.
#include <gtest/gtest.h>

#include "kiln/files.h"
#include "temporary.h"

namespace kiln {
namespace {

using runtime::bytes_of;
using testing::content_of;
using testing::error_of;
using testing::TemporaryFolder;

std::string file_of(const std::string& header, std::string_view data) {
  std::string file;
  runtime::append_little<std::uint64_t>(file, header.size());
  return file + header + std::string(data);
}

std::map<std::string, Array> parsed(const std::string& file) {
  // A copy that starts at an aligned address, as a mapped file does.
  const auto owner = std::make_shared<Array>(Array({static_cast<std::int64_t>(file.size())}, std::span<const char>(file)));
  return runtime::parse_safetensors({static_cast<const unsigned char*>(owner->raw()), file.size()}, {"a.safetensors", {}}, owner);
}

TEST(Safetensors, WritesExactBytes) {
  TemporaryFolder folder;
  write_safetensors(folder.file("a"),
                    {{"b", Array::from({1.f})}, {"a", Array({2}, {std::uint8_t{7}, std::uint8_t{8}})}, {"q\"\n", Array(2.0)}});
  std::string header =
      R"({"q\"\u000a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"U8","shape":[2],"data_offsets":[12,14]}})";
  header.resize(192 - 8, ' ');
  EXPECT_EQ(content_of(folder.file("a")), file_of(header, std::string_view("\0\0\0\0\0\0\0\x40\0\0\x80\x3f\7\x08", 14)));
}

TEST(Safetensors, AllDtypesRoundTrip) {
  TemporaryFolder folder;
  std::map<std::string, Array> arrays;
  for (int d = 0; d < dtype_count; ++d) {
    const auto dtype = static_cast<DType>(d);
    Array array = Array::zeros(dtype, {3, 5});
    auto* bytes = static_cast<unsigned char*>(array.mutable_raw());
    for (std::size_t i = 0; i < array.bytes(); ++i) bytes[i] = static_cast<unsigned char>(d == 0 ? i % 2 : i * 37 + 11);
    arrays.emplace("layer." + std::string(name_of(dtype)), array);
  }
  arrays.emplace("empty", Array(f32, {0, 7}));
  arrays.emplace("scalar é", Array(3));
  write_safetensors(folder.file("a"), arrays);
  const auto back = read_safetensors(folder.file("a"));
  ASSERT_EQ(back.size(), arrays.size());
  for (const auto& [name, array] : arrays) EXPECT_TRUE(identical(back.at(name), array)) << name;
}

TEST(Safetensors, ReadArraysPointIntoTheFileAndOutliveIt) {
  TemporaryFolder folder;
  write_safetensors(folder.file("a"), {{"x", Array::from({1.f, 2.f})}});
  auto arrays = read_safetensors(folder.file("a"));
  std::filesystem::remove(folder.file("a"));
  Array x = arrays.at("x");
  arrays.clear();
  EXPECT_FALSE(x.unshared());
  x.mutable_data<float>()[0] = 5;
  EXPECT_EQ(to_string(x), "f32[2] {5, 2}");
}

TEST(Safetensors, ReadsWhatOthersWrite) {
  const auto arrays = parsed(file_of(
      "{ \"__metadata__\" : {\"format\": \"pt\"},\n \"\\u00e9\\ud83d\\ude00\": {\"shape\": [2 , 1], \"data_offsets\":[0,2], "
      "\"dtype\":\"I8\"},"
      "\"f\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[2,4]},\"g\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[4,6]}}   ",
      std::string_view("\1\2\0\5\0\x3c", 6)));
  EXPECT_EQ(to_string(arrays.at("\xc3\xa9\xf0\x9f\x98\x80")), "i8[2, 1] {{1}, {2}}");
  EXPECT_EQ(to_string(arrays.at("f")), "bool[2] {false, true}");
  EXPECT_EQ(to_string(arrays.at("g")), "f16[1] {1}");
  EXPECT_TRUE(parsed(file_of("{}", "")).empty());
}

TEST(Safetensors, MisalignedTensorsAreCopied) {
  const auto arrays =
      parsed(file_of(R"({"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", std::string_view("\0\0\0\0\0\0\xf0\x3f", 8)));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arrays.at("x").raw()) % 8, 0u);
  EXPECT_EQ(to_string(arrays.at("x")), "f64[1] {1}");
}

TEST(Safetensors, DamagedFilesAreNamed) {
  const auto message = [](const std::string& header, std::string_view data = "12345678") {
    const std::string text = error_of(ErrorCode::corrupt_file, [&] { parsed(file_of(header, data)); });
    const std::string start = "error: 'a.safetensors' is damaged or not a .safetensors file: ";
    EXPECT_EQ(text.substr(0, start.size()), start);
    return text.substr(start.size());
  };
  const auto tensor = [](const std::string& shape, const std::string& offsets) {
    return "{\"x\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
  };
  EXPECT_EQ(message(tensor("[3]", "[0,8]")), "tensor 'x' is f32[3], but has 8 bytes");
  EXPECT_EQ(message(tensor("[2]", "[0,9]")), "tensor 'x' lies outside of the data");
  EXPECT_EQ(message(tensor("[2]", "[8,0]")), "tensor 'x' lies outside of the data");
  EXPECT_EQ(message(tensor("[1]", "[4,8]")), "tensor 'x' overlaps another one, or leaves a gap before it");
  EXPECT_EQ(message(tensor("[1]", "[0,4]")), "4 bytes after the last tensor belong to none");
  EXPECT_EQ(message(tensor("[4611686018427387904,16]", "[0,8]")), "tensor 'x' has more elements than 63 bits can count");
  EXPECT_EQ(message(tensor("[99999999999999999999]", "[0,8]")), "a number does not fit in 64 bits (at byte 56)");
  EXPECT_EQ(message(tensor("[9999999999999999999]", "[0,8]")), "an extent of tensor 'x' does not fit in 63 bits (at byte 57)");
  EXPECT_EQ(message(tensor("[-1]", "[0,8]")), "a whole number is missing (at byte 37)");
  EXPECT_EQ(message(tensor("[02]", "[0,8]")), "a number begins with 0 (at byte 39)");
  EXPECT_EQ(message(tensor("[2]", "[0]")), "the data_offsets of tensor 'x' are not two numbers (at byte 58)");
  EXPECT_EQ(message("{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}"), "tensor 'x' lacks its dtype, shape or data_offsets (at byte 40)");
  EXPECT_EQ(message("{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}"), "a key of tensor 'x' stands twice (at byte 36)");
  EXPECT_EQ(message("{\"x\":{\"type\":\"F32\"}}"), "tensor 'x' has an unknown key 'type' (at byte 21)");
  EXPECT_EQ(message("{\"x"), "a string does not end (at byte 11)");
  EXPECT_EQ(message("{\"\\ud800\":1}"), "a surrogate lacks its second half (at byte 16)");
  EXPECT_EQ(message("[]"), "the header does not begin with '{' (at byte 8)");
  EXPECT_EQ(message("{} x"), "something follows the header's '}' (at byte 11)");
  EXPECT_EQ(message(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
            "it holds tensor 'x' twice");
  EXPECT_EQ(error_of(ErrorCode::corrupt_file, [] { parsed("1234567"); }),
            "error: 'a.safetensors' is damaged or not a .safetensors file: it is shorter than 8 bytes");
  EXPECT_EQ(error_of(ErrorCode::corrupt_file, [] { parsed(std::string("\xff\xff\0\0\0\0\0\0{}", 10)); }),
            "error: 'a.safetensors' is damaged or not a .safetensors file: its header claims 65535 bytes, the file has 10");
}

TEST(Safetensors, ForeignDtypesAreUnsupported) {
  EXPECT_EQ(error_of(ErrorCode::unsupported, [] { parsed(file_of(R"({"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", "1")); }),
            "error: 'a.safetensors' holds tensor 'x' of dtype F8_E4M3, which Kiln does not have");
}

}  // namespace
}  // namespace kiln
