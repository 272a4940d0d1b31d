// Loading compiled objects: a small linker for the ELF objects that compile_object makes. LLVM is not involved, so a program found in the
// cache starts without it.
//
// What these objects contain is known: position independent code of one code model, no thread-local and no writable data, undefined symbols
// only among each other and memcpy, memset, memmove. So linking is: copy the sections into one mapping (code, then read-only data), resolve
// symbols by name, apply four kinds of relocation, make code executable and nothing writable. The three C functions may be farther away
// than a relative call reaches; they are called through a table of jumps at the end of the code.
//
// Every offset read from the object is checked: a damaged cache file is an Error, not a crash.
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <string_view>

#include "codegen/x86/object_bundle.h"
#include "codegen/x86/x86.h"
#include "kiln/error.h"

namespace kiln::codegen {
namespace {

[[noreturn]] void damaged(const std::string& what) { throw Error(ErrorCode::corrupt_file, "a compiled object is damaged: " + what); }

template <class T>
T read_at(std::span<const char> bytes, std::uint64_t offset) {
  T value;
  if (offset > bytes.size() || sizeof value > bytes.size() - offset) damaged("it ends early");
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

struct Section {
  Elf64_Shdr header{};
  std::uint64_t address = 0;  ///< offset in the mapping; meaningful for allocated sections
};

struct Object {
  std::span<const char> bytes;
  std::vector<Section> sections;
  std::vector<Elf64_Sym> symbols;
  Elf64_Shdr names{};
};

std::string_view text_at(const Object& object, const Elf64_Shdr& table, std::uint32_t offset) {
  if (offset >= table.sh_size) damaged("a name lies outside its table");
  const char* start = object.bytes.data() + table.sh_offset + offset;
  const std::size_t room = table.sh_size - offset;
  const std::size_t length = strnlen(start, room);
  if (length == room) damaged("a name has no end");
  return {start, length};
}

Object parse(std::span<const char> bytes) {
  Object object;
  object.bytes = bytes;
  const auto header = read_at<Elf64_Ehdr>(bytes, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_REL ||
      header.e_machine != EM_X86_64 || header.e_shentsize != sizeof(Elf64_Shdr))
    damaged("it is no x86-64 object file");
  for (std::uint32_t i = 0; i < header.e_shnum; ++i) {
    Section section;
    section.header = read_at<Elf64_Shdr>(bytes, header.e_shoff + std::uint64_t{i} * sizeof(Elf64_Shdr));
    const Elf64_Shdr& h = section.header;
    if (h.sh_type != SHT_NOBITS && (h.sh_offset > bytes.size() || h.sh_size > bytes.size() - h.sh_offset))
      damaged("a section lies outside the file");
    if (h.sh_addralign > 4096 || (h.sh_addralign & (h.sh_addralign - 1)) != 0) damaged("a section has an impossible alignment");
    object.sections.push_back(section);
  }
  for (const Section& section : object.sections) {
    if (section.header.sh_type != SHT_SYMTAB) continue;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.header.sh_size; at += sizeof(Elf64_Sym))
      object.symbols.push_back(read_at<Elf64_Sym>(bytes, section.header.sh_offset + at));
    if (section.header.sh_link >= object.sections.size()) damaged("the symbol table has no names");
    object.names = object.sections[section.header.sh_link].header;
  }
  return object;
}

/// Pages that hold loaded code.
struct Mapping {
  char* base = nullptr;
  std::size_t size = 0;
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (base) munmap(base, size);
  }
};

constexpr std::string_view library_names[] = {"memcpy", "memmove", "memset"};
constexpr std::size_t stub_bytes = 16;

std::uint64_t library_address(std::size_t i) {
  switch (i) {
    case 0: return reinterpret_cast<std::uint64_t>(static_cast<void* (*)(void*, const void*, std::size_t)>(std::memcpy));
    case 1: return reinterpret_cast<std::uint64_t>(static_cast<void* (*)(void*, const void*, std::size_t)>(std::memmove));
    default: return reinterpret_cast<std::uint64_t>(static_cast<void* (*)(void*, int, std::size_t)>(std::memset));
  }
}

class Linker {
 public:
  explicit Linker(std::span<const char> blob) {
    for (const auto& bytes : unbundle_objects(blob)) objects_.push_back(parse(bytes));
  }

  std::shared_ptr<Mapping> link() {
    place();
    define_symbols();
    for (Object& object : objects_)
      for (const Section& section : object.sections)
        if (section.header.sh_type == SHT_RELA) relocate(object, section.header);
    protect();
    return mapping_;
  }

  void* find(const std::string& name) const {
    const auto it = globals_.find(name);
    if (it == globals_.end()) throw Error(ErrorCode::corrupt_file, "a compiled object lacks the symbol '" + name + "'");
    return mapping_->base + it->second;
  }

 private:
  /// Gives every allocated section its place and copies it there: code first, then the stubs, then data on pages of their own.
  void place() {
    std::uint64_t end = 0;
    for (const bool code : {true, false}) {
      for (Object& object : objects_) {
        for (Section& section : object.sections) {
          const Elf64_Shdr& h = section.header;
          if (!(h.sh_flags & SHF_ALLOC) || ((h.sh_flags & SHF_EXECINSTR) != 0) != code) continue;
          const std::uint64_t align = std::max<std::uint64_t>(h.sh_addralign, 16);
          end = (end + align - 1) / align * align;
          section.address = end;
          if (h.sh_size > std::uint64_t{1} << 30 || end > std::uint64_t{1} << 30) damaged("it is larger than the code model allows");
          end += h.sh_size;
        }
      }
      if (code) {
        stubs_ = (end + 15) / 16 * 16;
        code_end_ = end = (stubs_ + stub_bytes * std::size(library_names) + 4095) / 4096 * 4096;
      }
    }
    mapping_ = std::make_shared<Mapping>();
    mapping_->size = std::max<std::uint64_t>((end + 4095) / 4096 * 4096, 4096);
    void* pages = mmap(nullptr, mapping_->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw Error(ErrorCode::out_of_memory, "no memory for compiled code");
    mapping_->base = static_cast<char*>(pages);
    for (const Object& object : objects_)
      for (const Section& section : object.sections)
        if ((section.header.sh_flags & SHF_ALLOC) && section.header.sh_type != SHT_NOBITS && section.header.sh_size != 0)
          std::memcpy(mapping_->base + section.address, object.bytes.data() + section.header.sh_offset, section.header.sh_size);
    for (std::size_t i = 0; i < std::size(library_names); ++i) {
      char* stub = mapping_->base + stubs_ + i * stub_bytes;
      const unsigned char jump[6] = {0xff, 0x25, 2,
                                     0,    0,    0};  // jmp *[rip + 2]: the address behind this instruction and two bytes of padding
      std::memcpy(stub, jump, sizeof jump);
      const std::uint64_t address = library_address(i);
      std::memcpy(stub + 8, &address, sizeof address);
    }
  }

  void define_symbols() {
    for (const Object& object : objects_) {
      for (const Elf64_Sym& symbol : object.symbols) {
        if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL || symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= object.sections.size())
          continue;
        const Section& section = object.sections[symbol.st_shndx];
        if (!(section.header.sh_flags & SHF_ALLOC) || symbol.st_value > section.header.sh_size)
          damaged("a symbol lies outside its section");
        globals_[std::string(text_at(object, object.names, symbol.st_name))] = section.address + symbol.st_value;
      }
    }
    for (std::size_t i = 0; i < std::size(library_names); ++i) globals_.try_emplace(std::string(library_names[i]), stubs_ + i * stub_bytes);
  }

  /// Offset of a symbol in the mapping.
  std::uint64_t address_of(const Object& object, std::uint64_t index) const {
    if (index >= object.symbols.size()) damaged("a relocation names no symbol");
    const Elf64_Sym& symbol = object.symbols[index];
    if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbol.st_info) != STB_LOCAL) {
      const std::string name(text_at(object, object.names, symbol.st_name));
      const auto it = globals_.find(name);
      if (it == globals_.end()) damaged("it needs the symbol '" + name + "'");
      return it->second;
    }
    if (symbol.st_shndx >= object.sections.size() || !(object.sections[symbol.st_shndx].header.sh_flags & SHF_ALLOC))
      damaged("a relocation leads outside the loaded sections");
    return object.sections[symbol.st_shndx].address + symbol.st_value;
  }

  void relocate(const Object& object, const Elf64_Shdr& table) {
    if (table.sh_info >= object.sections.size()) damaged("relocations of no section");
    const Section& target = object.sections[table.sh_info];
    if (!(target.header.sh_flags & SHF_ALLOC)) return;  // debug information
    for (std::uint64_t at = 0; at + sizeof(Elf64_Rela) <= table.sh_size; at += sizeof(Elf64_Rela)) {
      const auto entry = read_at<Elf64_Rela>(object.bytes, table.sh_offset + at);
      const std::uint64_t type = ELF64_R_TYPE(entry.r_info);
      const std::uint64_t width = type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
      if (entry.r_offset > target.header.sh_size || width > target.header.sh_size - entry.r_offset)
        damaged("a relocation lies outside its section");
      const std::uint64_t place = target.address + entry.r_offset;
      const auto value = static_cast<std::int64_t>(address_of(object, ELF64_R_SYM(entry.r_info))) + entry.r_addend;
      char* where = mapping_->base + place;
      switch (type) {
        case R_X86_64_PC32:
        case R_X86_64_PLT32: {
          const std::int64_t distance = value - static_cast<std::int64_t>(place);
          const auto narrow = static_cast<std::int32_t>(distance);
          if (narrow != distance) damaged("a relocation does not reach");
          std::memcpy(where, &narrow, sizeof narrow);
          break;
        }
        case R_X86_64_PC64: {
          const std::int64_t distance = value - static_cast<std::int64_t>(place);
          std::memcpy(where, &distance, sizeof distance);
          break;
        }
        case R_X86_64_64: {
          const std::uint64_t address = reinterpret_cast<std::uint64_t>(mapping_->base) + static_cast<std::uint64_t>(value);
          std::memcpy(where, &address, sizeof address);
          break;
        }
        default: throw InternalError("compiled code has a relocation of kind " + std::to_string(type) + ", which the loader does not know");
      }
    }
  }

  void protect() {
    if (mprotect(mapping_->base, code_end_, PROT_READ | PROT_EXEC) != 0 ||
        (mapping_->size > code_end_ && mprotect(mapping_->base + code_end_, mapping_->size - code_end_, PROT_READ) != 0))
      throw Error(ErrorCode::unsupported, "this system does not let the process make code executable");
  }

  std::vector<Object> objects_;
  std::shared_ptr<Mapping> mapping_;
  std::map<std::string, std::uint64_t> globals_;
  std::uint64_t stubs_ = 0, code_end_ = 0;
};

}  // namespace

LoadedCode load_object(std::vector<char> object, const std::string& name) {
  Linker linker(object);
  LoadedCode code;
  code.owner = linker.link();
  code.entry = reinterpret_cast<kiln_entry>(linker.find(name + "_entry"));
  code.plan = reinterpret_cast<kiln_plan>(linker.find(name + "_plan"));
  return code;
}

}  // namespace kiln::codegen
