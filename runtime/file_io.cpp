// Reading, mapping and atomically replacing files.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "runtime/formats.h"

namespace kiln::runtime {
namespace {

[[noreturn]] void fail(const char* verb, const std::string& path, int error, Location where) {
  throw Error(ErrorCode::io, std::string("cannot ") + verb + " '" + path + "': " + std::strerror(error), where);
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Opens a regular file for reading; pipes and devices could make the caller wait forever, folders cannot be read.
std::size_t open_regular(Descriptor& file, const std::string& path, Location where) {
  file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd < 0) fail("read", path, errno, where);
  struct stat status;
  if (::fstat(file.fd, &status) != 0) fail("read", path, errno, where);
  if (!S_ISREG(status.st_mode)) throw Error(ErrorCode::io, "cannot read '" + path + "': it is not a regular file", where);
  return static_cast<std::size_t>(status.st_size);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The temporary file; gone again unless it was renamed.
struct Temporary {
  std::string path;
  bool exists = false;
  ~Temporary() {
    if (exists) ::unlink(path.c_str());
  }
};

}  // namespace

void Source::corrupt(const char* format, const std::string& what) const {
  throw Error(ErrorCode::corrupt_file, "'" + name + "' is damaged or not " + format + " file: " + what, where);
}

void Source::unsupported(const std::string& what, const std::string& hint) const {
  throw Error(ErrorCode::unsupported, "'" + name + "' " + what, where, hint);
}

std::vector<unsigned char> read_file(const std::string& path, Location where) {
  Descriptor file;
  const std::size_t size = open_regular(file, path, where);
  std::vector<unsigned char> content;
  try {
    content.resize(size);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "no memory to read '" + path + "' (" + std::to_string(size) + " bytes)", where);
  }
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.fd, content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path, errno, where);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  content.resize(done);
  return content;
}

MappedFile map_file(const std::string& path, Location where) {
  Descriptor file;
  const std::size_t size = open_regular(file, path, where);
  if (size == 0) return {};
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (address == MAP_FAILED) fail("map", path, errno, where);
  std::shared_ptr<const void> owner(address, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  return {{static_cast<const unsigned char*>(address), size}, std::move(owner)};
}

void write_file(const std::string& path, std::span<const Bytes> pieces, Location where) {
  static std::atomic<unsigned> counter = 0;
  Descriptor file;
  Temporary temporary;
  for (int attempt = 0; file.fd < 0; ++attempt) {
    temporary.path = path + "." + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1)) + ".kiln.tmp";
    file.fd = ::open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd < 0 && (errno != EEXIST || attempt == 100)) fail("write", path, errno, where);
  }
  temporary.exists = true;
  for (Bytes piece : pieces) {
    while (!piece.empty()) {
      const ssize_t written = ::write(file.fd, piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write", path, errno, where);
      piece = piece.subspan(static_cast<std::size_t>(written));
    }
  }
  if (::fsync(file.fd) != 0) fail("write", path, errno, where);
  if (::rename(temporary.path.c_str(), path.c_str()) != 0) fail("write", path, errno, where);
  temporary.exists = false;
  // The renaming itself lasts once the folder is synced; file systems that cannot do that are left alone.
  Descriptor folder;
  folder.fd = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder.fd >= 0) ::fsync(folder.fd);
}

}  // namespace kiln::runtime
