#!/usr/bin/env python3
"""Plants bugs in passes and schedules, one at a time, and counts how many the fuzzer finds.

  tests/fuzz/planted_bugs.py [--graphs 5000] [--jobs 2] [--only NAME] [--work FOLDER]

The tree is copied to a folder of its own and built there once; each bug then rebuilds what it touches. A bug is a replacement of one
text in one file; it is an error when the text is not there exactly once, so a bug cannot silently go missing when code moves. Exit
status 0 when every bug could be planted and at most two were missed.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

# name, file, text, replacement
BUGS = [
    # rewriting
    ("multiply_by_zero", "passes/simplify_arithmetic.cpp",
     "if (!is_int(m)) return none;\n  if (m.is_splat(b, 0)) return b;  // x * 0 = 0",
     "if (m.is_splat(b, 0)) return b;  // x * 0 = 0"),
    ("add_zero", "passes/simplify_arithmetic.cpp", "if (m.is_splat(b, is_float(m) ? -0.0 : 0)) return a;  ",
     "if (m.is_splat(b, 0)) return a;  "),
    ("select_of_not", "passes/simplify_arithmetic.cpp", "return m.builder.select(straight, b, a);", "return m.builder.select(straight, a, b);"),
    ("not_of_less", "passes/simplify_arithmetic.cpp", "if (is_floating(m.type_of(a).dtype) && !equality && !is_total(*inner)) return none;", ""),
    ("slice_of_slice_strides", "passes/simplify_shape.cpp",
     "if (!inner || !std::ranges::all_of(integers_or_empty(inner->attributes, \"strides\"), is_one)) return none;", "if (!inner) return none;"),
    ("slice_of_concatenate", "passes/simplify_shape.cpp", "    offset = end;\n", "    offset = end + 0 * offset; if (part == joined->operands[0]) offset = 0;\n"),
    ("transpose_of_broadcast", "passes/simplify_shape.cpp", "for (std::int64_t& p : positions) p = std::ranges::find(permutation, p) - permutation.begin();",
     "for (std::int64_t& p : positions) p = permutation[p];"),
    ("transpose_chain", "passes/canonicalize.cpp", "for (std::int64_t& axis : outer) axis = permutation[axis];",
     "for (std::size_t i = 0; i < outer.size(); ++i) outer[i] = integers_or_empty(m.node.attributes, \"permutation\")[permutation[i]];"),
    ("compare_mirrored", "passes/canonicalize.cpp", "Comparison::gt, Comparison::ge, Comparison::lt, Comparison::le};",
     "Comparison::ge, Comparison::gt, Comparison::lt, Comparison::le};"),
    ("convert_chain", "passes/canonicalize.cpp", "if (!exact(from, through)) return none;", ""),
    ("merge_random_draws", "passes/common_subexpressions.cpp", "|| touches_tape(rebuild.old(), node)", ""),
    # gradients
    ("scan_direction", "passes/gradient_scans.cpp",
     "if (!(scan.attributes.find(\"reverse\") && scan.attributes.flag(\"reverse\"))) attributes = attributes.with(\"reverse\", true);",
     "attributes = attributes.with(\"reverse\", true);"),
    ("captured_cotangents_not_summed", "passes/gradient_scans.cpp", "inside.add(old_sums[i], cotangents[sum_results[i]])", "cotangents[sum_results[i]]"),
    # planning
    ("lifetime_one_short", "passes/plan_memory.cpp", "busy.top().first < ranges[b].first", "busy.top().first <= ranges[b].first"),
    ("carried_swap", "passes/plan_program.cpp", "if (!overwritten) continue;", "continue;"),
    ("in_place_after_store", "passes/plan_in_place.cpp", "return covers(i.type, load.type, load.indices) && !loaded_after(b, k);", "return true;"),
    ("in_place_repeated", "passes/plan_in_place.cpp", "      } else if (!runs_once(**loop)) {\n        return false;\n", "      } else if (false) {\n        return false;\n"),
    # fusion and lowering
    ("fuse_level_order", "passes/fuse_clusters.cpp", "return opens_level_[i] ? 0 : 1;", "return roles_[i] == Role::element ? 1 : 0;"),
    ("fuse_repeated_elements", "passes/fuse_clusters.cpp",
     "      if (!(dims == c.domain)) return \"other domain\";\n      return viewed_members(number, i) ? \"it repeats elements of the kernel's own result\" : nullptr;",
     "      return dims == c.domain ? nullptr : \"other domain\";"),
    ("collapse_strides", "passes/lowering.cpp", "return a && b && *a == *b * inner.extent;", "return a && b;"),
    ("position_to_index", "passes/lowering.cpp", "if (i > 0) rest = floordiv(rest, extents[i]);", "if (i > 1) rest = floordiv(rest, extents[i]);"),
    # schedules
    ("map_mask", "passes/schedule_map.cpp", "tile(i, 1, lanes_, mask_below(b_, i, end, 1, lanes_));", "tile(i, 1, lanes_, mask_below(b_, i, end + 1, 1, lanes_));"),
    ("map_tail", "passes/schedule_map.cpp", "const Dim last = main_end + whole * lanes_;", "const Dim last = main_end + 0 * whole;"),
    ("fold_exclusive", "passes/schedule_fold.cpp", "structured_.exclusive ? carried : next", "next"),
    ("update_mask", "passes/schedule_update.cpp", "mask = mask ? b_.binary(LoopOp::and_, *mask, hit) : hit;", "mask = mask ? mask : hit;"),
    ("update_half", "passes/schedule_update.cpp", "if (half) value = b_.convert(value, type_.dtype);", "if (half) value = b_.convert(b_.convert(value, DType::bf16), type_.dtype);"),
    ("hoist_inner_index", "passes/hoist.cpp", "inside |= it != names_.end() && it->second >= level;", "inside |= it != names_.end() && it->second > level;"),
]


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", help="the names of some bugs")
    parser.add_argument("--work", type=pathlib.Path, help="folder of the copy and its build; kept, and reused")
    options = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[2]
    work = options.work or pathlib.Path(tempfile.mkdtemp(prefix="kiln_planted_"))
    tree, build = work / "tree", work / "build"
    if tree.exists():
        shutil.rmtree(tree)
    shutil.copytree(root, tree, ignore=shutil.ignore_patterns(".git", "build", "issues"), symlinks=True)
    run(["cmake", "-S", tree, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"])
    compile_fuzzer = ["ninja", "-C", build, "kiln_fuzz"]
    run(compile_fuzzer)
    fuzzer = [build / "tests/fuzz/kiln_fuzz", "--first", "--no-shrink", "--graphs", str(options.graphs), "--jobs", str(options.jobs)]
    if subprocess.run(fuzzer, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit("the fuzzer fails without a planted bug: repair that first")
    found, missed, unplanted = 0, [], []
    for name, file, text, replacement in BUGS:
        if options.only and name not in options.only:
            continue
        path = tree / file
        original = path.read_text()
        if original.count(text) != 1:
            unplanted.append(name)
            print(f"{name:34} cannot be planted: the text occurs {original.count(text)} times in {file}", flush=True)
            continue
        path.write_text(original.replace(text, replacement))
        start = time.time()
        try:
            run(compile_fuzzer)
            result = subprocess.run(fuzzer, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            failures = [line for line in result.stdout.splitlines() if line.startswith("seed ") or line.startswith("a process died")]
            if failures:
                found += 1
                print(f"{name:34} found ({time.time() - start:.0f} s): {failures[0][:110]}", flush=True)
            else:
                missed.append(name)
                print(f"{name:34} MISSED in {options.graphs} graphs", flush=True)
        except subprocess.CalledProcessError:
            unplanted.append(name)
            print(f"{name:34} does not compile", flush=True)
        finally:
            path.write_text(original)
    print(f"{found} of {found + len(missed)} planted bugs found; missed: {', '.join(missed) or 'none'}; not planted: {', '.join(unplanted) or 'none'}")
    if not options.work:
        shutil.rmtree(work)
    sys.exit(0 if len(missed) <= 2 and not unplanted else 1)


if __name__ == "__main__":
    main()
