// The .npz format: a ZIP archive of .npy files. What is read is what numpy.savez and savez_compressed write, and what ZIP tools make of it:
// entries stored or deflated, sizes of 64 bits (ZIP64) included; no encryption, no archives in several parts.
//
// A ZIP file is read from its end: the end-of-directory record names the central directory, whose entries name the local headers, after
// which the data lies. Every offset is checked against the file before use, each entry's length against what deflate can reach at best (a
// factor of 1032), and the data against its CRC.
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "kiln/files.h"
#include "runtime/formats.h"

namespace kiln {
namespace runtime {
namespace {

constexpr char format[] = "an .npz";
constexpr std::uint32_t local_signature = 0x04034b50, entry_signature = 0x02014b50, end_signature = 0x06054b50,
                        end64_signature = 0x06064b50, locator64_signature = 0x07064b50;
constexpr std::size_t local_size = 30, entry_size = 46, end_size = 22, end64_size = 56, locator64_size = 20;
constexpr std::uint32_t in_zip64 = 0xffffffff;
constexpr std::uint64_t best_deflate_ratio = 1032;
constexpr std::string_view npy_ending = ".npy";

struct Entry {
  std::string name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0, unpacked = 0, offset = 0;
};

struct Directory {
  std::uint64_t offset = 0, size = 0, entries = 0;
};

bool has_signature(Bytes file, std::size_t at, std::uint32_t signature, std::size_t size) {
  return at <= file.size() && file.size() - at >= size && load_little<std::uint32_t>(&file[at]) == signature;
}

Directory find_directory(Bytes file, const Source& source) {
  if (file.size() < end_size) source.corrupt(format, file.empty() ? "it is empty" : "it is too short for a ZIP archive");
  constexpr std::size_t longest_comment = 65535;
  const std::size_t last = file.size() - end_size, first = last > longest_comment ? last - longest_comment : 0;
  for (std::size_t at = last + 1; at-- > first;) {
    if (!has_signature(file, at, end_signature, end_size)) continue;
    if (load_little<std::uint16_t>(&file[at + 20]) != file.size() - at - end_size) continue;  // the signature within a comment
    Directory directory{load_little<std::uint32_t>(&file[at + 16]), load_little<std::uint32_t>(&file[at + 12]),
                        load_little<std::uint16_t>(&file[at + 10])};
    if (at >= locator64_size && has_signature(file, at - locator64_size, locator64_signature, locator64_size)) {
      const auto at64 = load_little<std::uint64_t>(&file[at - locator64_size + 8]);
      if (!has_signature(file, at64, end64_signature, end64_size)) source.corrupt(format, "its ZIP64 directory record is missing");
      directory = {load_little<std::uint64_t>(&file[at64 + 48]), load_little<std::uint64_t>(&file[at64 + 40]),
                   load_little<std::uint64_t>(&file[at64 + 32])};
    }
    if (directory.offset > at || directory.size > at - directory.offset) source.corrupt(format, "its directory lies outside of the file");
    if (directory.entries > directory.size / entry_size) source.corrupt(format, "its directory is shorter than its number of entries");
    return directory;
  }
  source.corrupt(format, "the end of a ZIP archive is missing (is the file truncated?)");
}

// 64-bit values replace those 32-bit ones that are all ones, in this order.
void apply_zip64(Bytes extra, Entry& entry, const Source& source) {
  while (extra.size() >= 4) {
    const auto id = load_little<std::uint16_t>(&extra[0]);
    const std::size_t length = load_little<std::uint16_t>(&extra[2]);
    if (length > extra.size() - 4) source.corrupt(format, "an extra field of entry '" + entry.name + "' is too long");
    if (id == 1) {
      Bytes values = extra.subspan(4, length);
      for (std::uint64_t* value : {&entry.unpacked, &entry.packed, &entry.offset}) {
        if (*value != in_zip64) continue;
        if (values.size() < 8) source.corrupt(format, "the ZIP64 sizes of entry '" + entry.name + "' are missing");
        *value = load_little<std::uint64_t>(&values[0]);
        values = values.subspan(8);
      }
      return;
    }
    extra = extra.subspan(4 + length);
  }
}

std::vector<Entry> read_directory(Bytes file, const Source& source) {
  const Directory directory = find_directory(file, source);
  std::vector<Entry> entries;
  Bytes rest = file.subspan(directory.offset, directory.size);
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    if (!has_signature(rest, 0, entry_signature, entry_size))
      source.corrupt(format, "entry " + std::to_string(i) + " of its directory is damaged");
    const std::size_t name = load_little<std::uint16_t>(&rest[28]), extra = load_little<std::uint16_t>(&rest[30]),
                      comment = load_little<std::uint16_t>(&rest[32]);
    if (name + extra + comment > rest.size() - entry_size) source.corrupt(format, "its directory ends within entry " + std::to_string(i));
    Entry entry;
    entry.flags = load_little<std::uint16_t>(&rest[8]);
    entry.method = load_little<std::uint16_t>(&rest[10]);
    entry.crc = load_little<std::uint32_t>(&rest[16]);
    entry.packed = load_little<std::uint32_t>(&rest[20]);
    entry.unpacked = load_little<std::uint32_t>(&rest[24]);
    entry.offset = load_little<std::uint32_t>(&rest[42]);
    entry.name.assign(reinterpret_cast<const char*>(&rest[0]) + entry_size, name);
    apply_zip64(rest.subspan(entry_size + name, extra), entry, source);
    rest = rest.subspan(entry_size + name + extra + comment);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<unsigned char> inflate_entry(Bytes packed, const Entry& entry, const Source& source) {
  if (entry.unpacked / best_deflate_ratio > packed.size() + 1)
    source.corrupt(format, "entry '" + entry.name + "' claims " + std::to_string(entry.unpacked) + " bytes, more than its " +
                               std::to_string(packed.size()) + " can hold");
  std::vector<unsigned char> result(entry.unpacked);
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    throw Error(ErrorCode::out_of_memory, "no memory to unpack '" + source.name + "'", source.where);
  // zlib counts in 32 bits: both sides are given piece by piece.
  constexpr std::size_t piece = std::numeric_limits<unsigned>::max() / 2;
  std::size_t in = 0, out = 0;
  int status = Z_OK;
  unsigned char beyond;  // inflate wants somewhere to write even for an empty result
  do {
    const auto in_now = static_cast<unsigned>(std::min(piece, packed.size() - in));
    const auto out_now = static_cast<unsigned>(std::min(piece, result.size() - out));
    stream.next_in = const_cast<unsigned char*>(packed.data() + in);
    stream.avail_in = in_now;
    stream.next_out = out_now > 0 ? result.data() + out : &beyond;
    stream.avail_out = out_now;
    status = inflate(&stream, Z_NO_FLUSH);
    in += in_now - stream.avail_in;
    out += out_now - stream.avail_out;
    if (status == Z_OK && stream.avail_in == in_now && stream.avail_out == out_now) status = Z_BUF_ERROR;
  } while (status == Z_OK);
  inflateEnd(&stream);
  if (status != Z_STREAM_END || out != result.size() || in != packed.size())
    source.corrupt(format, "the compressed data of entry '" + entry.name + "' is damaged");
  return result;
}

std::uint32_t crc_of(Bytes data) { return static_cast<std::uint32_t>(crc32_z(crc32_z(0, nullptr, 0), data.data(), data.size())); }

Array read_entry(Bytes file, const Entry& entry, const Source& source) {
  if ((entry.flags & 1) != 0) source.unsupported("is encrypted (entry '" + entry.name + "')");
  if (entry.method != 0 && entry.method != Z_DEFLATED)
    source.unsupported("compresses entry '" + entry.name + "' with ZIP method " + std::to_string(entry.method),
                       "numpy.savez and numpy.savez_compressed store or deflate");
  if (!has_signature(file, entry.offset, local_signature, local_size))
    source.corrupt(format, "the data of entry '" + entry.name + "' is not where it should be");
  const std::size_t skipped =
      local_size + load_little<std::uint16_t>(&file[entry.offset + 26]) + load_little<std::uint16_t>(&file[entry.offset + 28]);
  const std::size_t available = file.size() - entry.offset;
  if (skipped > available || entry.packed > available - skipped)
    source.corrupt(format, "entry '" + entry.name + "' is longer than the file");
  const Bytes packed = file.subspan(entry.offset + skipped, entry.packed);
  std::vector<unsigned char> inflated;
  Bytes data = packed;
  if (entry.method == Z_DEFLATED) {
    inflated = inflate_entry(packed, entry, source);
    data = inflated;
  } else if (entry.packed != entry.unpacked) {
    source.corrupt(format, "the two sizes of entry '" + entry.name + "' differ");
  }
  if (crc_of(data) != entry.crc) source.corrupt(format, "the checksum of entry '" + entry.name + "' is wrong");
  return parse_npy(data, {source.name + "/" + entry.name, source.where});
}

// ---- writing ----

std::vector<unsigned char> deflate_bytes(std::span<const Bytes> pieces) {
  z_stream stream = {};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  std::vector<unsigned char> result;
  std::vector<unsigned char> buffer(std::size_t{1} << 16);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    // Pieces are below 4 GB: write_npz has checked.
    stream.next_in = const_cast<unsigned char*>(pieces[i].data());
    stream.avail_in = static_cast<unsigned>(pieces[i].size());
    const int flush = i + 1 == pieces.size() ? Z_FINISH : Z_NO_FLUSH;
    do {
      stream.next_out = buffer.data();
      stream.avail_out = static_cast<unsigned>(buffer.size());
      deflate(&stream, flush);
      result.insert(result.end(), buffer.begin(), buffer.end() - stream.avail_out);
    } while (stream.avail_out == 0);
  }
  deflateEnd(&stream);
  return result;
}

// The fields that a local header and a directory entry have in common. The date is 1980-01-01, the first that ZIP knows: equal arrays give
// equal bytes.
void append_common(std::string& to, const Entry& entry) {
  append_little<std::uint16_t>(to, 20);  // version needed
  append_little<std::uint16_t>(to, entry.flags);
  append_little<std::uint16_t>(to, entry.method);
  append_little<std::uint16_t>(to, 0);
  append_little<std::uint16_t>(to, 0x21);
  append_little<std::uint32_t>(to, entry.crc);
  append_little<std::uint32_t>(to, static_cast<std::uint32_t>(entry.packed));
  append_little<std::uint32_t>(to, static_cast<std::uint32_t>(entry.unpacked));
  append_little<std::uint16_t>(to, static_cast<std::uint16_t>(entry.name.size()));
  append_little<std::uint16_t>(to, 0);  // extra
}

}  // namespace

std::map<std::string, Array> parse_npz(Bytes file, const Source& source) {
  std::map<std::string, Array> arrays;
  for (const Entry& entry : read_directory(file, source)) {
    std::string name = entry.name;
    if (!name.ends_with(npy_ending)) source.unsupported("holds '" + name + "', which is no .npy file");
    name.resize(name.size() - npy_ending.size());
    if (!arrays.emplace(name, read_entry(file, entry, source)).second) source.corrupt(format, "it holds '" + name + "' twice");
  }
  return arrays;
}

}  // namespace runtime

std::map<std::string, Array> read_npz(const std::string& path, Location where) {
  return runtime::parse_npz(runtime::read_file(path, where), {path, where});
}

void write_npz(const std::string& path, const std::map<std::string, Array>& arrays, bool compress, Location where) {
  using namespace runtime;
  std::vector<std::string> texts;                  // headers
  std::vector<std::vector<unsigned char>> packed;  // compressed data
  texts.reserve(2 * arrays.size() + 1);
  packed.reserve(arrays.size());
  std::vector<Bytes> pieces;
  std::string directory;
  std::uint64_t offset = 0;
  const auto check_size = [&](std::uint64_t size) {
    if (size >= in_zip64)
      throw Error(ErrorCode::unsupported, "cannot write '" + path + "': it would exceed 4 GB", where, "use write_safetensors()");
  };
  if (arrays.size() > 65534)
    throw Error(ErrorCode::unsupported, "cannot write '" + path + "': more than 65534 arrays", where, "use write_safetensors()");
  for (const auto& [name, array] : arrays) {
    Entry entry;
    entry.name = name + std::string(npy_ending);
    if (entry.name.size() > 65535)
      throw Error(ErrorCode::invalid_argument, "cannot write '" + path + "': a name is longer than 65535 bytes", where);
    const std::string& header = texts.emplace_back(npy_header(array.dtype(), array.shape()));
    const Bytes raw[] = {bytes_of(header), bytes_of(array)};
    entry.flags = 1 << 11;  // names are UTF-8
    entry.unpacked = raw[0].size() + raw[1].size();
    check_size(entry.unpacked);
    entry.crc = static_cast<std::uint32_t>(crc32_z(crc_of(raw[0]), raw[1].data(), raw[1].size()));
    entry.packed = entry.unpacked;
    entry.offset = offset;
    if (compress) {
      entry.method = Z_DEFLATED;
      entry.packed = packed.emplace_back(deflate_bytes(raw)).size();
    }
    std::string& local = texts.emplace_back();
    append_little(local, local_signature);
    append_common(local, entry);
    local += entry.name;
    pieces.push_back(bytes_of(local));
    if (compress) {
      pieces.push_back(packed.back());
    } else {
      pieces.push_back(raw[0]);
      pieces.push_back(raw[1]);
    }
    offset += local.size() + entry.packed;
    check_size(offset);
    append_little(directory, entry_signature);
    append_little<std::uint16_t>(directory, 20);  // version made by
    append_common(directory, entry);
    append_little<std::uint16_t>(directory, 0);  // comment
    append_little<std::uint16_t>(directory, 0);  // disk
    append_little<std::uint16_t>(directory, 0);  // attributes
    append_little<std::uint32_t>(directory, 0);
    append_little(directory, static_cast<std::uint32_t>(entry.offset));
    directory += entry.name;
  }
  check_size(offset + directory.size());
  const auto directory_size = static_cast<std::uint32_t>(directory.size());
  append_little(directory, end_signature);
  append_little<std::uint32_t>(directory, 0);  // disks
  append_little(directory, static_cast<std::uint16_t>(arrays.size()));
  append_little(directory, static_cast<std::uint16_t>(arrays.size()));
  append_little(directory, directory_size);
  append_little(directory, static_cast<std::uint32_t>(offset));
  append_little<std::uint16_t>(directory, 0);  // comment
  pieces.push_back(bytes_of(directory));
  write_file(path, pieces, where);
}

}  // namespace kiln
