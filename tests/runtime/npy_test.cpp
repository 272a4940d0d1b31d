// .npy files: exact bytes, all dtypes, both orders and byte orders, and what damaged files are told.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "kiln/files.h"
#include "temporary.h"

namespace kiln {
namespace {

using runtime::bytes_of;
using runtime::parse_npy;
using testing::content_of;
using testing::error_of;
using testing::TemporaryFolder;

// A file of format 1.0 with this header and data.
std::string npy(std::string header, std::string_view data, char major = 1) {
  header += '\n';
  std::string file("\x93NUMPY", 6);
  file += major;
  file += '\0';
  runtime::append_little(file, static_cast<std::uint16_t>(header.size()));
  if (major > 1) runtime::append_little(file, std::uint16_t{0});
  return file + header + std::string(data);
}

Array parsed(const std::string& file) { return parse_npy(bytes_of(file), {"a.npy", {}}); }

TEST(Npy, WritesTheBytesOfNumpy) {
  TemporaryFolder folder;
  write_npy(folder.file("a.npy"), Array::from({{1.f, 2.f, 3.f}}));
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }";
  header.append(128 - 10 - 1 - header.size(), ' ');
  EXPECT_EQ(content_of(folder.file("a.npy")), npy(header, std::string_view("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40", 12)));
  EXPECT_EQ(folder.file_count(), 1u);
}

TEST(Npy, AllDtypesAndRanksRoundTrip) {
  TemporaryFolder folder;
  for (int d = 0; d < dtype_count; ++d) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}, Shape{1, 2, 1, 2, 1, 2, 1, 2}}) {
      Array array = Array::zeros(static_cast<DType>(d), shape);
      auto* bytes = static_cast<unsigned char*>(array.mutable_raw());
      for (std::size_t i = 0; i < array.bytes(); ++i) bytes[i] = static_cast<unsigned char>(d == 0 ? i % 2 : i * 37 + 11);
      write_npy(folder.file("a.npy"), array);
      EXPECT_TRUE(identical(read_npy(folder.file("a.npy")), array)) << d << to_string(shape);
      EXPECT_TRUE(identical(Array::load(folder.file("a.npy")), array));
    }
  }
}

TEST(Npy, ReadsFortranOrder) {
  const std::string data("\0\3\1\4\2\5", 6);  // columns of {{0, 1, 2}, {3, 4, 5}}
  EXPECT_EQ(to_string(parsed(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", data))), "u8[2, 3] {{0, 1, 2}, {3, 4, 5}}");
  EXPECT_EQ(to_string(parsed(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 1, 2), }", std::string("\0\1\2\3\4\5", 6)))),
            "u8[3, 1, 2] {{{0, 3}}, {{1, 4}}, {{2, 5}}}");
}

TEST(Npy, ReadsBigEndian) {
  EXPECT_EQ(to_string(parsed(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", std::string("\0\1\1\0", 4)))),
            "i16[2] {1, 256}");
  EXPECT_EQ(to_string(parsed(npy("{'descr': '>f8', 'fortran_order': False, 'shape': (), }", std::string("\x3f\xf0\0\0\0\0\0\0", 8)))),
            "f64[] 1");
}

TEST(Npy, ReadsOtherSpellings) {
  EXPECT_EQ(to_string(parsed(npy("{\"shape\": (2,), 'fortran_order':False,'descr':'|b1'}", "\1\7"))), "bool[2] {true, true}");
  EXPECT_EQ(to_string(parsed(npy("{'descr': '<V2', 'fortran_order': False, 'shape': (1L,), }", "\x80\x3f"))), "bf16[1] {1}");
  EXPECT_EQ(to_string(parsed(npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1,), }", "\5", 2))), "i8[1] {5}");
}

TEST(Npy, DamagedFilesAreNamed) {
  const auto message = [](const std::string& file) { return error_of(ErrorCode::corrupt_file, [&] { parsed(file); }); };
  const std::string start = "error: 'a.npy' is damaged or not an .npy file: ";
  EXPECT_EQ(message(""), start + "it is empty");
  EXPECT_EQ(message("P6 640 480 255"), start + "it does not begin with \\x93NUMPY and a header");
  EXPECT_EQ(message(std::string("\x93NUMPY\1\0\xff\xff{", 11)), start + "it ends within its header");
  EXPECT_EQ(message(std::string("\x93NUMPY\2\0\xff\xff", 10)), start + "it ends within its header");
  EXPECT_EQ(message(std::string("\x93NUMPY\7\0\1\0 ", 11)), start + "format version 7 does not exist");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234567")),
            start + "shape [2] of 4-byte elements does not fit 7 bytes of data");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", "")),
            start + "shape [4611686018427387904] of 4-byte elements does not fit 0 bytes of data");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }", "")),
            start + "shape [9999999999, 9999999999] has more elements than 63 bits can count");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "")),
            start + "header: an extent does not fit in 63 bits");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'shape': (2,), }", "12345678")),
            start + "header: 'descr', 'fortran_order' or 'shape' is missing");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'descr': '<f4', }", "")), start + "header: key 'descr' stands twice");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'order': False, }", "")), start + "header: unknown key 'order'");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'fortran_order': None, }", "")), start + "header: 'fortran_order' is neither True nor False");
  EXPECT_EQ(message(npy("{'shape': (-1,), }", "")), start + "header: an extent is missing at byte 11");
  EXPECT_EQ(message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), } 7", "")),
            start + "header: something follows the header's '}'");
}

TEST(Npy, ForeignDtypesAreUnsupported) {
  EXPECT_EQ(error_of(ErrorCode::unsupported, [] { parsed(npy("{'descr': '<c8', 'fortran_order': False, 'shape': (), }", "12345678")); }),
            "error: 'a.npy' holds elements of numpy type '<c8', which Kiln does not have\n"
            "  hint: convert it in Python, for example array.astype(numpy.float32)");
  EXPECT_EQ(
      error_of(ErrorCode::unsupported, [] { parsed(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (), }", "1234")); }),
      "error: 'a.npy' holds records (structured dtype), which Kiln does not have");
}

TEST(Npy, FilesThatCannotBeReadOrWritten) {
  TemporaryFolder folder;
  const auto read = [](const std::string& path) {
    return error_of(ErrorCode::io, [&] { read_npy(path, Location::interned("user.cpp", 3)); });
  };
  EXPECT_EQ(read(folder.file("none.npy")), "user.cpp:3: error: cannot read '" + folder.file("none.npy") + "': No such file or directory");
  EXPECT_EQ(read(folder.file("")), "user.cpp:3: error: cannot read '" + folder.file("") + "': it is not a regular file");
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_EQ(read(folder.file("pipe")), "user.cpp:3: error: cannot read '" + folder.file("pipe") + "': it is not a regular file");
  EXPECT_EQ(error_of(ErrorCode::io, [&] { write_npy(folder.file("none/a.npy"), Array(1), Location::interned("user.cpp", 4)); }),
            "user.cpp:4: error: cannot write '" + folder.file("none/a.npy") + "': No such file or directory");
}

TEST(Npy, ErrorsHaveTheCallersLine) {
  try {
    read_npy("/nowhere/a.npy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.where().file), __FILE__);
    EXPECT_EQ(error.where().line, static_cast<std::uint32_t>(__LINE__ - 4));
  }
}

TEST(Npy, AFailedWriteLeavesTheOldFile) {
  TemporaryFolder folder;
  // A folder in the place of the file: the renaming at the end fails.
  std::filesystem::create_directory(folder.file("a.npy"));
  std::filesystem::create_directory(folder.file("a.npy") + "/x");
  error_of(ErrorCode::io, [&] { write_npy(folder.file("a.npy"), Array(1)); });
  EXPECT_TRUE(std::filesystem::is_directory(folder.file("a.npy") + "/x"));
  EXPECT_EQ(folder.file_count(), 1u);
}

}  // namespace
}  // namespace kiln
