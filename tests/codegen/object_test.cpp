// Object files: equal bytes from equal programs, no foreign symbols, one plain ELF object when asked; the loader's checks; targets.
#include <elf.h>

#include <cstring>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "ir/loop_text.h"
#include "tests/codegen/support.h"
#include "tests/loops/kernels.h"

namespace kiln {
namespace {

/// Enough kernels for several modules, with remainders, tapes' memcpy and switches among them.
ir::Program large_program() {
  std::string text;
  for (int i = 0; i < 12; ++i) {
    std::string kernel = ir::dot_relu_text;
    const auto replace = [&](const std::string& what, const std::string& with) {
      for (std::size_t at = kernel.find(what); at != std::string::npos; at = kernel.find(what, at + with.size()))
        kernel.replace(at, what.size(), with);
    };
    const std::string rows = std::to_string(4 + i % 3);
    replace("@dot_relu", "@dot_relu" + std::to_string(i));
    replace("[4,", "[" + rows + ",");
    replace("4*i", rows + "*i");
    replace("ceildiv(m, 4)", "ceildiv(m, " + rows + ")");
    text += kernel;
  }
  text += R"(kernel @mod(x: f32[100], y: f32[100] output) {
  for unrolled u in 0 .. 12 {
    for i in 0 .. 96 step 16 {
      %0 = load x[i + $v] : f32x16[1,1]
      %1 = constant 3 : f32
      %2 = remainder %0, %1 : f32x16
      store y[i + $v], %2 : f32x16
    }
  }
}
)";
  ir::Program program = test::program_of(ir::parse_kernels(text));
  ir::Statement copy;
  copy.kind = ir::StatementKind::copy;
  copy.buffers = {static_cast<std::uint32_t>(program.buffers.size() - 1), static_cast<std::uint32_t>(program.buffers.size() - 2)};
  program.body.push_back(copy);
  return program;
}

bool is_elf(const std::vector<char>& bytes) { return bytes.size() > 4 && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0; }

struct Symbols {
  std::set<std::string> undefined, global;
};

Symbols symbols_of(const std::vector<char>& object) {
  Symbols symbols;
  Elf64_Ehdr header;
  std::memcpy(&header, object.data(), sizeof header);
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  std::memcpy(sections.data(), object.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_SYMTAB) continue;
    for (std::size_t at = 0; at < section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, object.data() + section.sh_offset + at, sizeof symbol);
      const std::string name = object.data() + sections[section.sh_link].sh_offset + symbol.st_name;
      if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL || name.empty()) continue;
      (symbol.st_shndx == SHN_UNDEF ? symbols.undefined : symbols.global).insert(name);
    }
  }
  return symbols;
}

TEST(Object, SameBytesWhateverTheThreads) {
  const ir::Program program = large_program();
  codegen::X86Options options;
  options.compile_threads = 1;
  const auto first = codegen::compile_object(program, "model", options);
  EXPECT_FALSE(is_elf(first)) << "the program is meant to need several modules";
  for (const int threads : {1, 2, 5}) {
    options.compile_threads = threads;
    EXPECT_EQ(codegen::compile_object(program, "model", options), first);
  }
  options.target = "x86-64-v3";
  EXPECT_NE(codegen::compile_object(program, "model", options), first);
}

TEST(Object, SingleObjectHasOnlyItsEntriesAndTheCLibrary) {
  for (const char* target : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "native"}) {
    codegen::X86Options options;
    options.single_object = true;
    options.target = target;
    const auto object = codegen::compile_object(large_program(), "model", options);
    ASSERT_TRUE(is_elf(object));
    const Symbols symbols = symbols_of(object);
    EXPECT_EQ(symbols.global, (std::set<std::string>{"model_entry", "model_plan"}));
    for (const std::string& name : symbols.undefined)
      EXPECT_TRUE(name == "memcpy" || name == "memset" || name == "memmove") << name << ", target " << target;
    if (std::string(target) != "native" && !test::host_runs(target)) continue;
    const codegen::LoadedCode code = codegen::load_object(object, "model");
    EXPECT_NE(code.entry, nullptr);
    std::int64_t value = -1;
    const std::int64_t m = 4;
    EXPECT_EQ(code.plan(nullptr, &m, &value), KILN_OK);
    EXPECT_EQ(value, 0);
  }
}

TEST(Object, BundleRunsLikeTheSingleObject) {
  const ir::Program program = large_program();
  std::vector<std::vector<float>> results[2];
  for (const bool single : {false, true}) {
    codegen::X86Options options;
    options.single_object = single;
    const test::Compiled compiled = test::compile(program, options);
    std::vector<std::vector<float>> inputs;
    test::Call call;
    auto& outputs = results[single ? 1 : 0];
    for (const auto& buffer : program.buffers) {
      const auto count = static_cast<std::size_t>(ir::evaluate(ir::product(buffer.extents), [](std::string_view) { return 37; }));
      auto& place = buffer.storage == ir::Storage::input ? inputs : outputs;
      place.emplace_back(count);
      for (std::size_t i = 0; i < count; ++i) place.back()[i] = static_cast<float>(i % 23) - 11;
    }
    for (auto& input : inputs) call.inputs.push_back(input.data());
    for (auto& output : outputs) call.outputs.push_back(output.data());
    call.symbols = {37};
    ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_NE(results[0][0][5], -6.0F);
}

TEST(Object, UnknownTargetsAreErrors) {
  codegen::X86Options options;
  const ir::Program program = test::program_of(ir::parse_kernels("kernel @k() {\n}\n"));
  for (const char* target : {"x86-64-v9", "armv8", "x86-64", ""}) {
    options.target = target;
    try {
      codegen::compile_object(program, "m", options);
      ADD_FAILURE() << "no error for '" << target << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.what();
      EXPECT_NE(std::string(error.what()).find("'" + options.target + "'"), std::string::npos) << error.what();
    }
  }
}

// A damaged object must be an error or harmless to load; never a crash, whatever the sanitizers say.
TEST(Object, LoaderSurvivesDamage) {
  const ir::Program program = large_program();
  for (const bool single : {false, true}) {
    codegen::X86Options options;
    options.single_object = single;
    const auto object = codegen::compile_object(program, "model", options);
    std::mt19937 random(42);
    int refused = 0;
    for (int i = 0; i < 400; ++i) {
      std::vector<char> damaged = object;
      if (i % 4 == 0) damaged.resize(random() % damaged.size());
      for (int k = 0; k < 4 && !damaged.empty(); ++k) {
        // Headers and tables lie at both ends.
        const std::size_t at = k % 2 == 0 ? random() % std::min<std::size_t>(damaged.size(), 300)
                                          : damaged.size() - 1 - random() % std::min<std::size_t>(damaged.size(), 3000);
        damaged[at] = static_cast<char>(random());
      }
      try {
        codegen::load_object(damaged, "model");
      } catch (const Error&) {
        ++refused;
      } catch (const InternalError&) {
        ++refused;
      }
    }
    EXPECT_GT(refused, 100);
  }
}

TEST(Object, TextForPeople) {
  const ir::Program program = test::program_of(ir::parse_kernels(ir::dot_relu_text));
  codegen::X86Options options;
  options.target = "x86-64-v4";
  EXPECT_NE(codegen::llvm_text(program, options).find("@llvm.fma.v16f32"), std::string::npos);
  EXPECT_NE(codegen::assembly_text(program, options).find("zmm"), std::string::npos);
  options.target = "x86-64-v2";
  EXPECT_EQ(codegen::llvm_text(program, options).find("llvm.fma"), std::string::npos);
}

TEST(Object, HostCpu) {
  EXPECT_GE(codegen::host_cpu().level, "x86-64-v2");
  EXPECT_NE(codegen::host_cpu().features.find("+sse4.1"), std::string::npos);
}

}  // namespace
}  // namespace kiln
