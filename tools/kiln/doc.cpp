// kiln doc: the reference of operators, generated from the operator table. ir/ops/README.md is its output; a test compares the two.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "ir/op.h"
#include "kiln/error.h"
#include "tools/kiln/command.h"

namespace kiln::command {
namespace {

using namespace ir;

/// "f32, f64", or a word for the usual sets.
std::string dtypes_text(DTypeSet set) {
  const std::pair<DTypeSet, const char*> words[] = {{all_dtypes, "all"},
                                                    {numbers, "numbers"},
                                                    {floats, "floats"},
                                                    {integers, "integers"},
                                                    {bool_dtype, "bool"},
                                                    {bool_dtype | integers, "bool, integers"},
                                                    {signed_integers | floats, "signed integers, floats"},
                                                    {signed_integers, "signed integers"},
                                                    {unsigned_integers, "unsigned integers"}};
  for (const auto& [known, word] : words)
    if (known.bits == set.bits) return word;
  std::string text;
  for (int d = 0; d < dtype_count; ++d)
    if (set.contains(static_cast<DType>(d))) text += (text.empty() ? "" : ", ") + std::string(name_of(static_cast<DType>(d)));
  return text;
}

std::string operands_text(const OpInfo& entry) {
  if (entry.max_operands < 0) return fmt::format("{}+", entry.min_operands);
  if (entry.max_operands == entry.min_operands) return std::to_string(entry.min_operands);
  return fmt::format("{}-{}", entry.min_operands, entry.max_operands);
}

bool is_control(Op op) {
  return op == Op::cond || op == Op::while_loop || op == Op::scan || op == Op::call || op == Op::composite || op == Op::tape_push ||
         op == Op::tape_pop || op == Op::assign;
}

std::string gradient_text(Op op) {
  const OpInfo& entry = info(op);
  if (entry.gradient) return "yes";
  // The gradient pass has rules of its own for what holds regions or moves tapes.
  if (is_control(op)) return "yes";
  return "no";
}

/// How the op becomes code; the same loops serve every target.
std::string lowering_text(const OpInfo& entry) {
  if (entry.element) return "map";
  if (entry.structured || entry.update || entry.ordering) return std::string(name_of(entry.kernel));
  return "program";
}

std::string_view kind_text(AttributeKind kind) {
  constexpr std::string_view names[] = {"flag", "integer", "number", "text", "dtype", "integers", "dims", "literal", "graph"};
  return names[static_cast<std::size_t>(kind)];
}

std::string reference() {
  std::vector<Op> ops(all_ops().begin(), all_ops().end());
  std::ranges::sort(ops, {}, [](Op op) { return info(op).name; });
  std::string text =
      "# Operators of the tensor IR\n\n"
      "Generated from the operator table by `kiln doc`; a test fails when this page is not current.\n\n"
      "Names and semantics are StableHLO's wherever it has the operation. *Dtypes* are those of operand 0 (of the result, where there are "
      "no\n"
      "operands). *Gradient*: reverse mode, to any order. *Lowering*: the kind of kernel that the operator becomes or joins, the same "
      "loops for\n"
      "x86-64 (JIT and objects) and the interpreters; `program` marks state and control, which order the kernels.\n\n"
      "| operator | operands | dtypes | gradient | lowering |\n|---|---|---|---|---|\n";
  for (const Op op : ops) {
    const OpInfo& entry = info(op);
    text += fmt::format("| [{0}](#{0}) | {1} | {2} | {3} | {4} |\n", entry.name, operands_text(entry), dtypes_text(entry.dtypes),
                        gradient_text(op), lowering_text(entry));
  }
  for (const Op op : ops) {
    const OpInfo& entry = info(op);
    text += fmt::format("\n## {}\n\n{}\n", entry.name, entry.doc);
    if (!entry.attributes.empty()) text += "\n";
    for (const AttributeSpec& attribute : entry.attributes)
      text += fmt::format("- `{}` ({}{}): {}\n", attribute.name, kind_text(attribute.kind), attribute.required ? "" : ", optional",
                          attribute.doc);
    if (entry.open_attributes) text += "- further attributes describe it\n";
    if (gradient_text(op) == "no")
      text += fmt::format("\nNo gradient: {}.\n", entry.no_gradient.empty() ? "it yields no tensor" : entry.no_gradient);
    if (entry.tolerance > 0) text += fmt::format("\nCompiled code is within {} ULP of the reference evaluation.\n", entry.tolerance);
  }
  return text;
}

void run(const std::string& output) {
  const std::string text = reference();
  if (output.empty() || output == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  std::FILE* file = std::fopen(output.c_str(), "wb");
  const bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (!file || std::fclose(file) != 0 || !written) throw Error(ErrorCode::io, "cannot write '" + output + "'");
}

}  // namespace

void add_doc(CLI::App& app) {
  CLI::App* command = app.add_subcommand("doc", "Prints the reference of operators as Markdown, from the operator table");
  auto output = std::make_shared<std::string>();
  command->add_option("-o,--output", *output, "the file to write; standard output without it")->type_name("FILE");
  command->callback([output] { run(*output); });
}

}  // namespace kiln::command
