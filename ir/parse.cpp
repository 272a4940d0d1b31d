// Parsing of tensor IR (ir/text.h).
//
//   module    := (symbol | variable | graph)*                         the first graph is the main one
//   symbol    := 'symbol' name ['{' fact '=' integer, ... '}']
//   variable  := ['hidden'] 'variable' '@'name ':' type ['=' ('@'graph | content)] [location]
//   graph     := 'graph' '@'name '(' ['%'name ':' type [location], ...] ')' ['->' '(' '%'name, ... ')'] '{' node* '}'
//   node      := ['%'name, ... '='] ['recompute'] op ['%'name, ...] ['{' name '=' attribute, ... '}'] [':' type, ...] [location]
//   type      := dtype '[' dim, ... ']' | 'tape' '<' dtype '[' dim, ... ']' '>'
//   attribute := true | false | integer | number | string | dtype | '[' integer or dim, ... ']' | 'dims' '[' dim, ... ']' | literal |
//   '@'graph literal   := dtype '[' extent, ... ']' content content   := element | '{' content, ... '}' | 'tensor' '(' string ')' location
//   := 'loc' '(' string ':' line [':' column] ')'
//
// Graphs may be used before they are defined, so types are checked against the operator table, with all other invariants, when all graphs
// are known; the error is then given at the node's place. Nothing nests, so nothing recurses; sizes are bounded by that of the text.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include <fmt/format.h>

#include "ir/literal_text.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace kiln::ir {

namespace {

using Store = std::map<std::string, Array>;

class Parser {
 public:
  Parser(std::string_view text, const std::string& file, const Store* store, ModuleRole role)
      : text_(text), scanner_(text, file), store_(store), role_(role) {
    module_.graphs.clear();
    module_.main = none;
    module_.sweep();  // forgets the name of the graph that a new module has
    symbol_of_ = [this](std::string_view name) { return symbol(name); };
  }

  Module parse() {
    while (!scanner_.at_end()) {
      if (scanner_.accept("symbol"))
        parse_symbol();
      else if (scanner_.accept("graph"))
        parse_graph();
      else if (scanner_.peek("hidden") || scanner_.peek("variable"))
        parse_variable();
      else
        scanner_.fail("expected 'symbol', 'variable' or 'graph'");
    }
    if (module_.main == none) scanner_.fail("there is no graph");
    for (GraphId id = 0; id < graphs_.size(); ++id)
      if (graphs_[id].node_positions.empty())
        scanner_.fail_at(graphs_[id].position, "graph @" + module_.graph(id).name + " is not defined");
    check();
    return std::move(module_);
  }

 private:
  struct GraphText {
    std::size_t position = 0;                 ///< of its first reference, then of its definition
    std::vector<std::size_t> node_positions;  ///< of each node, and of the end; empty while not defined
  };

  /// The invariants of the whole module, reported where the text breaks them.
  void check() {
    const auto violation = find_violation(module_, role_);
    if (!violation) return;
    std::size_t position = 0;
    if (violation->graph != none) {
      const GraphText& graph = graphs_[violation->graph];
      position = violation->node == none ? graph.position : graph.node_positions[violation->node];
    }
    scanner_.fail_at(position, violation->message);
  }

  // ---- names

  Dim symbol(std::string_view name) {
    const auto found = symbols_.find(name);
    if (found != symbols_.end()) return found->second;
    return symbols_.emplace(std::string(name), Dim::symbol(name)).first->second;
  }

  GraphId graph_reference() {
    const std::size_t position = scanner_.position();
    const std::string name = scanner_.name_after('@', "a graph");
    if (name.empty()) scanner_.fail_at(position, "a graph's name is empty");
    const auto [found, added] = graph_ids_.try_emplace(name, static_cast<GraphId>(module_.graphs.size()));
    if (added) {
      module_.add_graph(name);
      graphs_.push_back({position, {}});
    }
    return found->second;
  }

  /// A value's key in `values_`: the number of an unnamed one, or the name behind a mark that no number starts with.
  std::string value_key() {
    const bool quoted = scanner_.peek("%\"");
    std::string name = scanner_.name_after('%', "a value");
    const bool number = !quoted && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
    return number ? name : '"' + name;
  }

  ValueId value_use() {
    const std::size_t position = scanner_.position();
    const auto found = values_.find(value_key());
    if (found == values_.end()) scanner_.fail_at(position, "this value is not defined before its use");
    return found->second;
  }

  void define(Graph& graph, ValueId value, std::string key, std::size_t position) {
    if (key[0] == '"') graph.set_value_name(value, key.substr(1));
    if (!values_.try_emplace(std::move(key), value).second) scanner_.fail_at(position, "this value is defined twice");
  }

  // ---- parts

  Dims dims() {
    const std::size_t position = scanner_.position();
    try {
      return scanner_.dims(symbol_of_);
    } catch (const Error& error) {
      if (error.where().known()) throw;
      scanner_.fail_at(position, error.message());
    }
  }

  Type type() {
    Type result;
    if (scanner_.accept("tape")) {
      result.kind = Type::Kind::tape;
      scanner_.expect("<");
    }
    result.dtype = scanner_.dtype();
    result.dims = dims();
    if (result.kind == Type::Kind::tape) scanner_.expect(">");
    return result;
  }

  LocationId location() {
    if (!scanner_.accept("loc")) return 0;
    scanner_.expect("(");
    const std::string file = scanner_.quoted("a file");
    scanner_.expect(":");
    const std::uint32_t line = scanner_.index("a line");
    std::uint32_t column = 0;
    if (scanner_.accept(":")) column = scanner_.index("a column");
    scanner_.expect(")");
    return module_.add_location(Location::interned(file, line, column));
  }

  Array content(DType dtype, const Shape& shape) {
    if (!scanner_.accept("tensor")) return parse_elements(scanner_, dtype, shape, text_.size());
    const std::size_t position = scanner_.position();
    scanner_.expect("(");
    const std::string name = scanner_.quoted("the name of a tensor");
    scanner_.expect(")");
    const auto found = store_ ? store_->find(name) : Store::const_iterator{};
    if (!store_ || found == store_->end())
      scanner_.fail_at(position, "there is no tensor named " + quoted_text(name) + " beside this text");
    const Array& array = found->second;
    if (array.dtype() != dtype || array.shape() != shape)
      scanner_.fail_at(position, fmt::format("tensor {} is {}{}, but the text says {}{}", quoted_text(name), name_of(array.dtype()),
                                             to_string(array.shape()), name_of(dtype), to_string(shape)));
    return array;
  }

  /// Constant extents that are not negative.
  Shape static_shape(const Dims& dims, std::size_t position) {
    std::vector<std::int64_t> extents;
    for (const Dim& dim : dims) {
      if (!dim.is_constant() || dim.constant() < 0) scanner_.fail_at(position, "the extent " + to_string(dim) + " is no number >= 0");
      extents.push_back(dim.constant());
    }
    return Shape(std::move(extents));
  }

  std::vector<std::int64_t> integers() {
    std::vector<std::int64_t> list;
    scanner_.expect("[");
    if (scanner_.accept("]")) return list;
    do list.push_back(scanner_.integer("an element of the list"));
    while (scanner_.accept(","));
    scanner_.expect("]");
    return list;
  }

  /// Is a number with a point, an exponent, inf or nan next?
  bool floating_next() {
    std::size_t end = scanner_.position();
    if (end < text_.size() && text_[end] == '-') ++end;
    const std::size_t digits = end;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
    if (end > digits) return end < text_.size() && (text_[end] == '.' || text_[end] == 'e' || text_[end] == 'E');
    return text_.substr(end, 3) == "inf" || text_.substr(end, 3) == "nan";
  }

  AttributeValue attribute(const AttributeSpec* spec) {
    const char next = scanner_.peek_char();
    if (next == '"') return scanner_.quoted("text");
    if (next == '@') return GraphRef{graph_reference()};
    if (next == '[') {
      if (spec && spec->kind == AttributeKind::dims) return dims();
      return integers();
    }
    if (scanner_.accept("true")) return true;
    if (scanner_.accept("false")) return false;
    if (scanner_.accept("dims")) return dims();
    if (floating_next() || (spec && spec->kind == AttributeKind::number)) return parse_number(scanner_);
    if (next == '-' || (next >= '0' && next <= '9')) return scanner_.integer("an integer");
    const DType dtype = scanner_.dtype();
    if (scanner_.peek_char() != '[') return dtype;
    const std::size_t position = scanner_.position();
    const Shape shape = static_shape(dims(), position);
    return content(dtype, shape);
  }

  Attributes attributes(const OpInfo& entry) {
    std::vector<Attributes::Item> items;
    if (!scanner_.accept("{")) return {};
    if (scanner_.accept("}")) return {};
    do {
      const std::size_t position = scanner_.position();
      std::string name = scanner_.name("an attribute's name");
      if (std::ranges::find(items, name, &Attributes::Item::first) != items.end())
        scanner_.fail_at(position, "attribute '" + name + "' is given twice");
      scanner_.expect("=");
      const auto spec = std::ranges::find(entry.attributes, std::string_view(name), &AttributeSpec::name);
      AttributeValue value = attribute(spec == entry.attributes.end() ? nullptr : &*spec);
      items.emplace_back(std::move(name), std::move(value));
    } while (scanner_.accept(","));
    scanner_.expect("}");
    return Attributes(std::move(items));
  }

  // ---- statements

  void parse_symbol() {
    const std::size_t position = scanner_.position();
    SymbolInfo info;
    info.name = scanner_.name("a symbol's name");
    parse_symbol_info(scanner_, info);
    const auto shared = std::make_shared<const SymbolInfo>(std::move(info));
    if (!symbols_.try_emplace(shared->name, Dim::symbol(shared)).second)
      scanner_.fail_at(position, "symbol '" + shared->name + "' is declared twice, or after its first use");
    module_.symbols.push_back(shared);
  }

  void parse_variable() {
    Variable variable;
    variable.hidden = scanner_.accept("hidden");
    scanner_.expect("variable");
    const std::size_t position = scanner_.position();
    variable.name = scanner_.name_after('@', "a variable");
    if (module_.find_variable(variable.name)) scanner_.fail_at(position, "variable @" + variable.name + " is declared twice");
    scanner_.expect(":");
    const std::size_t type_position = scanner_.position();
    variable.type = type();
    const Shape shape = static_shape(variable.type.dims, type_position);
    if (scanner_.accept("=")) {
      if (scanner_.peek_char() == '@')
        variable.initializer = graph_reference();
      else
        variable.initial = content(variable.type.dtype, shape);
    }
    variable.location = location();
    module_.add_variable(std::move(variable));
  }

  void parse_graph() {
    const std::size_t position = scanner_.position();
    const GraphId id = graph_reference();
    if (!graphs_[id].node_positions.empty()) scanner_.fail_at(position, "graph @" + module_.graph(id).name + " is defined twice");
    graphs_[id].position = position;
    if (module_.main == none) module_.main = id;
    Graph& graph = module_.graph(id);
    values_.clear();
    std::vector<std::size_t> positions;

    scanner_.expect("(");
    if (!scanner_.accept(")")) {
      do {
        positions.push_back(scanner_.position());
        std::string key = value_key();
        scanner_.expect(":");
        Type parameter = type();
        const LocationId where = location();
        const ValueId value = graph.add_parameter(std::move(parameter), "", where);
        define(graph, value, std::move(key), positions.back());
      } while (scanner_.accept(","));
      scanner_.expect(")");
    }

    struct Result {
      std::string key;
      std::size_t position;
    };
    std::vector<Result> results;
    if (scanner_.accept("->")) {
      scanner_.expect("(");
      do {
        const std::size_t at = scanner_.position();
        results.push_back({value_key(), at});
      } while (scanner_.accept(","));
      scanner_.expect(")");
    }

    scanner_.expect("{");
    while (!scanner_.accept("}")) {
      if (scanner_.at_end()) scanner_.fail_at(position, "the body of this graph does not end");
      positions.push_back(scanner_.position());
      parse_node(graph);
    }
    for (const Result& result : results) {
      const auto found = values_.find(result.key);
      if (found == values_.end()) scanner_.fail_at(result.position, "this result is not defined in the graph");
      graph.results.push_back(found->second);
    }
    positions.push_back(position);
    graphs_[id].node_positions = std::move(positions);
  }

  void parse_node(Graph& graph) {
    const std::size_t start = scanner_.position();
    std::vector<std::string> keys;
    if (scanner_.peek_char() == '%') {
      do keys.push_back(value_key());
      while (scanner_.accept(","));
      scanner_.expect("=");
    }
    const bool recompute = scanner_.accept("recompute");
    const std::size_t op_position = scanner_.position();
    const std::string name = scanner_.name("an operation");
    const auto op = op_from_name(name);
    if (!op) scanner_.fail_at(op_position, "there is no operation '" + name + "'");
    if (*op == Op::parameter) scanner_.fail_at(op_position, "parameters stand in the head of the graph");

    std::vector<ValueId> operands;
    if (scanner_.peek_char() == '%') {
      do operands.push_back(value_use());
      while (scanner_.accept(","));
    }
    Attributes given = attributes(info(*op));
    std::vector<Type> types;
    if (!keys.empty()) {
      scanner_.expect(":");
      do types.push_back(type());
      while (scanner_.accept(","));
      if (types.size() != keys.size()) scanner_.fail_at(start, fmt::format("{} results, but {} types", keys.size(), types.size()));
    }
    const LocationId where = location();
    const NodeId id = graph.append(*op, std::move(operands), std::move(given), std::move(types), where);
    graph.node(id).recompute = recompute;
    for (std::size_t i = 0; i < keys.size(); ++i)
      define(graph, graph.node(id).first_result + static_cast<ValueId>(i), std::move(keys[i]), start);
  }

  std::string_view text_;
  TextScanner scanner_;
  const Store* store_;
  ModuleRole role_;
  Module module_;
  TextScanner::SymbolFunction symbol_of_;
  std::map<std::string, Dim, std::less<>> symbols_;
  std::unordered_map<std::string, GraphId> graph_ids_;
  std::vector<GraphText> graphs_;                    // by id
  std::unordered_map<std::string, ValueId> values_;  // of the graph that is being read
};

}  // namespace

Module parse(std::string_view text, const std::string& file, const std::map<std::string, Array>* store, ModuleRole role) {
  return Parser(text, file, store, role).parse();
}

}  // namespace kiln::ir
