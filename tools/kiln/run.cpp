// kiln run: runs a graph from a file on arrays from files, on random ones, or on zeros.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "ir/dim.h"
#include "kiln/files.h"
#include "kiln/kiln.h"
#include "tools/kiln/command.h"
#include "tools/kiln/random_array.h"
#include "tools/kiln/selection.h"

namespace kiln::command {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string file, engine = "compiled", variables, save;
  std::vector<std::string> feeds, symbols, fetches;
  bool effects = false, no_cache = false;
  int repeat = 0, threads = 0;
  std::uint64_t seed = 0;
};

struct Pair {
  std::string name, value;
};

/// "name=value", or usage error saying what was expected.
Pair split(const std::string& text, const char* option, const char* form) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size())
    usage_error(fmt::format("{}: expected {}, got \"{}\"", option, form, text));
  return {text.substr(0, at), text.substr(at + 1)};
}

using Symbols = std::map<std::string, std::int64_t>;

Symbols parse_symbols(const std::vector<std::string>& texts) {
  Symbols symbols;
  for (const std::string& text : texts) {
    const Pair pair = split(text, "--symbol", "NAME=NUMBER");
    std::int64_t value = 0;
    const char* end = pair.value.data() + pair.value.size();
    if (const auto [stop, error] = std::from_chars(pair.value.data(), end, value); error != std::errc() || stop != end || value < 0)
      usage_error(fmt::format("--symbol: \"{}\" is no extent", pair.value));
    symbols[pair.name] = value;
  }
  return symbols;
}

/// A shape for a placeholder whose value is made up. The expressions that dims may be are those of the IR.
Shape shape_of(const Tensor& placeholder, const Symbols& symbols) {
  std::vector<std::int64_t> extents;
  for (const Dim& dim : placeholder.dims()) {
    const ir::Dim expression = ir::parse_dim(to_string(dim), [](std::string_view name) { return ir::Dim::symbol(name); });
    extents.push_back(ir::evaluate(expression, [&](std::string_view name) -> std::optional<std::int64_t> {
      const auto found = symbols.find(std::string(name));
      if (found != symbols.end()) return found->second;
      throw Error(ErrorCode::missing_feed,
                  fmt::format("\"{}\" is {}, and the extent \"{}\" is not known", placeholder.name(), to_string(placeholder), name), {},
                  fmt::format("give it: --symbol {}=64", name));
    }));
    if (extents.back() < 0)
      throw Error(ErrorCode::invalid_feed, fmt::format("\"{}\" is {}, and the extent {} comes to {}", placeholder.name(),
                                                       to_string(placeholder), to_string(dim), extents.back()));
  }
  return Shape(std::move(extents));
}

struct Feeds {
  std::vector<Key> keys;
  std::vector<Array> values;
  std::vector<std::string> names;  ///< what the keys view
};

Feeds read_feeds(const Graph& graph, const Options& options) {
  Feeds feeds;
  const Symbols symbols = parse_symbols(options.symbols);
  const std::vector<Tensor> placeholders = graph.placeholders();
  for (const std::string& text : options.feeds) {
    const Pair pair = split(text, "--feed", "NAME=FILE.npy, NAME=random or NAME=zeros");
    feeds.names.push_back(pair.name);
    if (pair.value != "random" && pair.value != "zeros") {
      feeds.values.push_back(read_npy(pair.value, {}));
      continue;
    }
    const auto named = std::find_if(placeholders.begin(), placeholders.end(), [&](const Tensor& p) { return p.name() == pair.name; });
    if (named == placeholders.end()) {
      std::string known;
      for (const Tensor& p : placeholders) known += (known.empty() ? "" : ", ") + p.name();
      throw Error(ErrorCode::invalid_feed, fmt::format("there is no placeholder \"{}\"", pair.name), {},
                  known.empty() ? "the graph has none" : "the placeholders are " + known);
    }
    const Shape shape = shape_of(*named, symbols);
    feeds.values.push_back(pair.value == "zeros" ? Array::zeros(named->dtype(), shape)
                                                 : random_array(named->dtype(), shape, options.seed + feeds.values.size()));
  }
  for (const std::string& name : feeds.names) feeds.keys.emplace_back(name);
  return feeds;
}

/// "NAME" or "NAME=FILE.npy".
struct Fetches {
  std::vector<std::string> names, files;
};
Fetches parse_fetches(const std::vector<std::string>& texts) {
  Fetches fetches;
  for (const std::string& text : texts) {
    const Pair pair = text.find('=') == std::string::npos ? Pair{text, ""} : split(text, "--fetch", "NAME or NAME=FILE.npy");
    fetches.names.push_back(pair.name);
    fetches.files.push_back(pair.value);
  }
  return fetches;
}

double milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// What to do about an error, for somebody who has this command and no program.
std::string hint_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::missing_feed: return "feed it: --feed NAME=FILE.npy, NAME=random or NAME=zeros";
    case ErrorCode::invalid_feed: return "store the array with the dtype and shape of the placeholder";
    case ErrorCode::uninitialized: return "give the variables values: --variables FILE.safetensors";
    default: return error.hint();
  }
}

void run(const Options& options) {
  const Graph graph = Graph::read(options.file, nowhere);
  const Fetches fetches = parse_fetches(options.fetches);
  const Selection selection = select(graph, fetches.names, options.effects);
  const Feeds feeds = read_feeds(graph, options);

  SessionOptions session_options;
  session_options.threads = options.threads;
  session_options.seed = options.seed;
  session_options.engine = options.engine == "compiled"    ? Engine::compiled
                           : options.engine == "reference" ? Engine::reference
                                                           : Engine::program_interpreter;
  if (options.no_cache) session_options.cache_folder = "";
  Session session(graph, session_options, nowhere);
  if (options.variables.empty())
    session.initialize(nowhere);
  else
    session.restore(options.variables, nowhere);

  const auto start = Clock::now();
  std::optional<Callable> callable;
  double prepared = 0;
  std::vector<Array> results(selection.fetches.size());
  try {
    callable = session.callable(selection.fetches, feeds.keys, nowhere);
    prepared = milliseconds(Clock::now() - start);
    (*callable)(feeds.values, results, {}, nowhere);
  } catch (const Error& error) {
    throw Error(error.code(), error.message(), error.where(), hint_of(error));
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (selection.labels[i].empty()) continue;
    if (i < fetches.files.size() && !fetches.files[i].empty())
      write_npy(fetches.files[i], results[i], {});
    else
      fmt::print("{} = {}\n", selection.labels[i], to_string(results[i]));
  }
  if (!options.save.empty()) session.save(options.save, nowhere);

  if (options.repeat > 0) {
    std::vector<double> times;
    for (int i = 0; i < options.repeat; ++i) {
      const auto begin = Clock::now();
      (*callable)(feeds.values, results, {}, nowhere);
      times.push_back(milliseconds(Clock::now() - begin));
    }
    std::sort(times.begin(), times.end());
    fmt::print("{} runs on {} threads: min {:.4f} ms, median {:.4f} ms; getting ready took {:.1f} ms\n", options.repeat, session.threads(),
               times.front(), times[times.size() / 2], prepared);
  }
}

}  // namespace

void add_run(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Runs a graph and prints what it computes");
  command->add_option("FILE", options->file, "MODEL.kiln")->required();
  command->add_option("--feed", options->feeds, "NAME=FILE.npy, NAME=random (normal; integers from 0 to 9) or NAME=zeros")->expected(1, -1);
  command->add_option("--symbol", options->symbols, "NAME=NUMBER: an extent that random and zeros need")->expected(1, -1);
  command
      ->add_option(
          "--fetch", options->fetches,
          "NAME to print or NAME=FILE.npy to write; default: the graph's results, or named tensors that nothing else uses, and every "
          "assign and check")
      ->expected(1, -1);
  command->add_flag("--effects", options->effects, "Besides --fetch: every assign and check");
  command->add_option("--variables", options->variables, "Values of all variables, FILE.safetensors; default: their initial values");
  command->add_option("--save", options->save, "Write all variables after the first run, FILE.safetensors");
  command->add_option("--time", options->repeat, "Time N more runs")->check(CLI::NonNegativeNumber);
  command->add_option("--threads", options->threads, "Threads; 0: as many as this process may use")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--engine", options->engine, "What executes: machine code, or one of the interpreters that check it")
      ->check(CLI::IsMember({"compiled", "program_interpreter", "reference"}))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of random feeds, initial values and random operations")->capture_default_str();
  command->add_flag("--no-cache", options->no_cache, "Neither use nor fill the cache of compiled programs");
  command->callback([options] { run(*options); });
}

}  // namespace kiln::command
