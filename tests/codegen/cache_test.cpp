// The disk cache: what is stored is found, everything that is wrong is a miss.
#include "codegen/cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

namespace kiln::codegen {
namespace {

namespace fs = std::filesystem;

std::vector<char> bytes(const std::string& text) { return {text.begin(), text.end()}; }

class Cache : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "kiln-cache-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    folder_ = root_ + "/a/kiln";
  }
  void TearDown() override { fs::remove_all(root_); }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& item : fs::directory_iterator(folder_)) found.push_back(item.path());
    return found;
  }
  std::string root_, folder_;
};

TEST_F(Cache, FindsWhatWasStored) {
  const DiskCache cache(folder_);
  EXPECT_FALSE(cache.find("key"));
  cache.store("key", bytes("content"));
  cache.store("empty", {});
  EXPECT_EQ(cache.find("key"), bytes("content"));
  EXPECT_EQ(cache.find("empty"), bytes(""));
  EXPECT_FALSE(cache.find("other"));
  cache.store("key", bytes("newer"));
  EXPECT_EQ(DiskCache(folder_).find("key"), bytes("newer"));
}

TEST_F(Cache, OnlyTheOwnerCanRead) {
  const DiskCache cache(folder_);
  cache.store("key", bytes("content"));
  struct stat status{};
  ASSERT_EQ(stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  ASSERT_EQ(files().size(), 1U);
  ASSERT_EQ(stat(files()[0].c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Cache, DamageIsAMiss) {
  const DiskCache cache(folder_);
  const std::string content(1000, 'x');
  cache.store("key", bytes(content));
  const fs::path file = files().at(0);
  const auto size = fs::file_size(file);
  for (std::uintmax_t at = 0; at < size; at += 7) {
    cache.store("key", bytes(content));
    {
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(at));
      const char old = static_cast<char>(stream.get());
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(old ^ 0x40));
    }
    EXPECT_FALSE(cache.find("key")) << "byte " << at;
  }
  for (const std::uintmax_t length : {std::uintmax_t{0}, std::uintmax_t{10}, size - 1, size + 1}) {
    cache.store("key", bytes(content));
    fs::resize_file(file, length);
    EXPECT_FALSE(cache.find("key")) << length << " bytes";
    EXPECT_FALSE(fs::exists(file)) << "damaged files are removed";
  }
}

TEST_F(Cache, FilesThatOthersCanWriteAreNotTrusted) {
  const DiskCache cache(folder_);
  cache.store("key", bytes("content"));
  const fs::path file = files().at(0);
  chmod(file.c_str(), 0666);
  EXPECT_FALSE(cache.find("key"));
  chmod(file.c_str(), 0600);
  EXPECT_TRUE(cache.find("key"));
  chmod(folder_.c_str(), 0777);
  EXPECT_FALSE(cache.find("key"));
}

TEST_F(Cache, ASymbolicLinkIsNotFollowed) {
  const DiskCache cache(folder_);
  cache.store("key", bytes("content"));
  const fs::path file = files().at(0), elsewhere = root_ + "/elsewhere";
  fs::rename(file, elsewhere);
  fs::create_symlink(elsewhere, file);
  EXPECT_FALSE(cache.find("key"));
}

TEST_F(Cache, FoldersThatCannotBeUsedAreMisses) {
  for (const std::string& folder : {std::string(), std::string("/proc/kiln-cache"), std::string("/dev/null/kiln")}) {
    const DiskCache cache(folder);
    cache.store("key", bytes("content"));
    EXPECT_FALSE(cache.find("key"));
  }
}

TEST_F(Cache, StaysBelowItsLimitAndKeepsWhatWasUsedLast) {
  const DiskCache cache(folder_, 5000);
  const std::string content(1000, 'x');
  const auto age = [&](const fs::path& file, int seconds) {
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
  };
  for (int i = 0; i < 4; ++i) cache.store("key" + std::to_string(i), bytes(content));
  for (const auto& file : files()) age(file, 100);
  EXPECT_TRUE(cache.find("key2"));  // a use makes it young
  for (int i = 4; i < 7; ++i) cache.store("key" + std::to_string(i), bytes(content));
  std::uintmax_t total = 0;
  for (const auto& file : files()) total += fs::file_size(file);
  EXPECT_LE(total, 5000U);
  EXPECT_EQ(files().size(), 4U);
  for (const char* kept : {"key2", "key4", "key5", "key6"}) EXPECT_TRUE(cache.find(kept)) << kept;
  cache.store("huge", std::vector<char>(6000));
  EXPECT_FALSE(cache.find("huge"));
  EXPECT_EQ(files().size(), 4U);
}

TEST_F(Cache, AbandonedTemporaryFilesDisappear) {
  const DiskCache cache(folder_);
  cache.store("a", bytes("content"));
  const fs::path old = folder_ + "/writing-abcdef", young = folder_ + "/writing-ghijkl";
  std::ofstream(old) << "x";
  std::ofstream(young) << "x";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  cache.store("b", bytes("content"));
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
}

TEST_F(Cache, ConcurrentWritersAndReaders) {
  const DiskCache cache(folder_);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string key = "key" + std::to_string(i % 5), content = key + std::string(2000, 'c');
        if ((i + t) % 2 == 0) cache.store(key, bytes(content));
        const auto found = cache.find(key);
        if (found && *found != bytes(content)) ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(files().size(), 5U);
}

// Published test vector: MurmurHash3_x64_128 of this sentence.
TEST(Hash, KnownValues) {
  EXPECT_EQ(to_string(hash128("")), "00000000000000000000000000000000");
  EXPECT_EQ(to_string(hash128("The quick brown fox jumps over the lazy dog")), "e34bbc7bbc071b6c7a433ca9c49a9347");
  EXPECT_NE(hash128("a", 0), hash128("a", 1));
}

TEST(Hash, EveryByteCounts) {
  std::string text(67, 'a');
  const Hash128 original = hash128(text);
  for (char& c : text) {
    c ^= 1;
    EXPECT_NE(hash128(text), original);
    c ^= 1;
  }
}

TEST(CacheSalt, NamesBuildAndMachine) {
  EXPECT_NE(cache_salt().find("llvm 19."), std::string::npos);
  EXPECT_NE(cache_salt().find("+sse4.1"), std::string::npos);
}

TEST(CacheFolder, FollowsTheEnvironment) {
  const auto with = [](const char* cache, const char* home) {
    cache ? setenv("XDG_CACHE_HOME", cache, 1) : unsetenv("XDG_CACHE_HOME");
    home ? setenv("HOME", home, 1) : unsetenv("HOME");
    return default_cache_folder();
  };
  const char* cache = getenv("XDG_CACHE_HOME");
  const char* home = getenv("HOME");
  const std::string old_cache = cache ? cache : "", old_home = home ? home : "";
  EXPECT_EQ(with("/x", "/h"), "/x/kiln");
  EXPECT_EQ(with(nullptr, "/h"), "/h/.cache/kiln");
  EXPECT_EQ(with("relative", "/h"), "/h/.cache/kiln");
  EXPECT_EQ(with(nullptr, nullptr), "");
  with(cache ? old_cache.c_str() : nullptr, home ? old_home.c_str() : nullptr);
}

}  // namespace
}  // namespace kiln::codegen
