// The verifier of loop IR: a kernel for each invariant that breaks it and nothing else.
#include <functional>

#include <gtest/gtest.h>

#include "ir/loop_builder.h"
#include "ir/loop_text.h"

namespace kiln::ir {
namespace {

struct Case {
  int invariant;
  const char* message;
  std::function<void(KernelBuilder&)> write;
  std::function<void(Kernel&)> damage = [](Kernel&) {};
};

Instruction instruction(LoopOp op, RegisterType type, std::vector<RegisterId> operands, std::vector<RegisterId> results) {
  Instruction i;
  i.op = op;
  i.type = type;
  i.operands = std::move(operands);
  i.results = std::move(results);
  return i;
}

/// A value op whose result type is `type`, whatever its operands are.
RegisterId raw(KernelBuilder& b, LoopOp op, RegisterType type, std::vector<RegisterId> operands,
               const std::function<void(Instruction&)>& set = {}) {
  const RegisterId result = b.new_register(type);
  Instruction i = instruction(op, type, std::move(operands), {result});
  if (set) set(i);
  b.append(std::move(i));
  return result;
}

BufferId io(KernelBuilder& b) { return b.buffer("io", f32, {16}, Buffer::Role::inout); }
Instruction& loop_of(Kernel& k) {
  for (Instruction& i : k.body.instructions)
    if (i.op == LoopOp::for_) return i;
  throw InternalError("no loop");
}
void empty_loop(KernelBuilder& b) {
  b.for_loop("i", 0, 4, 1, LoopKind::serial, [](const Dim&) {});
}
void carrying_loop(KernelBuilder& b) {
  b.for_loop("i", 0, 4, 1, LoopKind::serial, {b.constant({f32}, 0)},
             [](const Dim&, std::span<const RegisterId> c) { return KernelBuilder::Registers{c[0]}; });
}

TEST(LoopVerify, EachInvariantIsChecked) {
  const Dim n = Dim::symbol("n");
  const Case cases[] = {
      {1, "two buffers are named 'io'", [](KernelBuilder& b) { io(b), b.buffer("other", f32, {}, Buffer::Role::input); },
       [](Kernel& k) { k.buffers[1].name = "io"; }},
      {1, "1 extents and 2 strides", [](KernelBuilder& b) { io(b); }, [](Kernel& k) { k.buffers[0].strides = {1, 1}; }},
      {1, "has alignment 3", [](KernelBuilder& b) { io(b); }, [](Kernel& k) { k.buffers[0].alignment = 3; }},
      {2, "symbol 'n' is listed twice", [&](KernelBuilder& b) { b.buffer("x", f32, {n}, Buffer::Role::input); },
       [](Kernel& k) { k.symbols.push_back(k.symbols[0]); }},
      {2, "'n', which is no symbol", [&](KernelBuilder& b) { b.buffer("x", f32, {n}, Buffer::Role::input); },
       [](Kernel& k) { k.symbols.clear(); }},
      {3, "an operand is used before its definition", [](KernelBuilder& b) { raw(b, LoopOp::negate, {f32}, {b.new_register({f32})}); }},
      {3, "an operand is used outside the block that defines it",
       [](KernelBuilder& b) {
         RegisterId inner = 0;
         b.for_loop("i", 0, 4, 1, LoopKind::serial, [&](const Dim&) { inner = b.constant({f32}, 1); });
         b.unary(LoopOp::negate, inner);
       }},
      {3, "a register is defined twice", [](KernelBuilder& b) { b.constant({f32}, 1); },
       [](Kernel& k) { k.body.instructions.push_back(k.body.instructions[0]); }},
      {3, "register id 99 is out of range", [](KernelBuilder& b) { raw(b, LoopOp::negate, {f32}, {99}); }},
      {4, "1 operands instead of 2", [](KernelBuilder& b) { raw(b, LoopOp::add, {f32}, {b.constant({f32}, 1)}); }},
      {4, "0 results instead of 1", [](KernelBuilder& b) { b.append(instruction(LoopOp::constant, {f32}, {}, {})); }},
      {4, "a loop has begin, end, step", empty_loop, [](Kernel& k) { loop_of(k).indices.pop_back(); }},
      {5, "is out of range", [](KernelBuilder& b) { b.constant({f32, 1000, 1000, 1}, 0); }},
      {5, "the result register has type f64", [](KernelBuilder& b) { b.constant({f32}, 0); },
       [](Kernel& k) { k.registers[0].dtype = f64; }},
      {6, "f32x4 does not repeat to f32x8",
       [](KernelBuilder& b) { raw(b, LoopOp::negate, {f32, 1, 1, 8}, {b.constant({f32, 1, 1, 4}, 0)}); }},
      {7, "dtypes do not fit, operands are f32, f64",
       [](KernelBuilder& b) { raw(b, LoopOp::add, {f32}, {b.constant({f32}, 0), b.constant({f64}, 0)}); }},
      {7, "dtypes do not fit",
       [](KernelBuilder& b) {
         const RegisterId one = b.constant({i32}, 1);
         b.fma(one, one, one);
       }},
      {7, "dtypes do not fit", [](KernelBuilder& b) { b.bitcast(b.constant({f32}, 1), i64); }},
      {7, "dtypes do not fit", [](KernelBuilder& b) { b.unary(LoopOp::not_, b.constant({f32}, 1)); }},
      {8, "the literal has dtype f64", [](KernelBuilder& b) { b.constant({f32}, Literal::of(f64, 1)); }},
      {9, "2 indices for buffer 'io' of rank 1", [](KernelBuilder& b) { b.load(io(b), {0, 0}, {f32}); }},
      {9, "buffer 'io' has dtype f32", [](KernelBuilder& b) { b.load(io(b), {0}, {f64}); }},
      {9, "no such buffer", [](KernelBuilder& b) { b.load(7, {0}, {f64}); }},
      {10, "'q' is not in scope", [](KernelBuilder& b) { b.load(io(b), {Dim::symbol("q")}, {f32}); }, [](Kernel& k) { k.symbols.clear(); }},
      {10, "'$r' is not in scope",
       [](KernelBuilder& b) { b.for_loop("i", 0, Dim::symbol(tile_row), 1, LoopKind::serial, [](const Dim&) {}); }},
      {11, "buffer 'x' is an input",
       [](KernelBuilder& b) { b.store(b.buffer("x", f32, {}, Buffer::Role::input), {}, b.constant({f32}, 1), {f32}); }},
      {12, "the name 'i' is taken", [](KernelBuilder& b) { empty_loop(b), empty_loop(b); },
       [](Kernel& k) { k.body.instructions[1].name = "i"; }},
      {12, "the name '$r' is taken", empty_loop, [](Kernel& k) { loop_of(k).name = "$r"; }},
      {13, "the step may be less than 1", [&](KernelBuilder& b) { b.for_loop("i", 0, 4, n, LoopKind::serial, [](const Dim&) {}); }},
      {13, "a parallel loop carries values", carrying_loop, [](Kernel& k) { loop_of(k).loop = LoopKind::parallel; }},
      {13, "a block yields 0 values instead of 1", carrying_loop, [](Kernel& k) { loop_of(k).blocks[0].instructions.clear(); }},
      {13, "starts as f32, is f64 in the body", carrying_loop,
       [](Kernel& k) { k.registers[loop_of(k).blocks[0].parameters[0]].dtype = f64; }},
      {14, "a yield stands where none may", [](KernelBuilder& b) { b.append(instruction(LoopOp::yield, {}, {b.constant({f32}, 0)}, {})); }},
      {14, "a yield without values", empty_loop,
       [](Kernel& k) { loop_of(k).blocks[0].instructions.push_back(instruction(LoopOp::yield, {}, {}, {})); }},
      {15, "the condition has type f32", [](KernelBuilder& b) { b.if_then(b.constant({f32}, 1), [] {}); }},
      {15, "a block yields f64 instead of f32",
       [](KernelBuilder& b) {
         b.if_else(
             b.constant({boolean}, 1), [&] { return KernelBuilder::Registers{b.constant({f32}, 1)}; },
             [&] { return KernelBuilder::Registers{b.constant({f64}, 1)}; });
       }},
      {16, "case 3 occurs twice", [](KernelBuilder& b) { b.switch_on(0, {3, 3}, [](std::int64_t) {}); }},
      {17, "a let needs a scalar integer", [](KernelBuilder& b) { b.let("j", b.constant({f32}, 1)); }},
      {19, "the mask has type f32", [](KernelBuilder& b) { b.load(io(b), {0}, {f32}, b.constant({f32}, 1)); }},
      {19, "boolx8 does not repeat to f32", [](KernelBuilder& b) { b.load(io(b), {0}, {f32}, b.constant({boolean, 1, 1, 8}, 1)); }},
      {20, "folds to f32",
       [](KernelBuilder& b) {
         raw(b, LoopOp::reduce, {f32, 1, 1, 2}, {b.constant({f32, 1, 1, 8}, 1)}, [](Instruction& i) { i.combiner = LoopOp::add; });
       }},
      {20, "the combiner does not fit", [](KernelBuilder& b) { b.reduce(b.constant({f32, 1, 1, 8}, 1), LoopOp::and_, Axis::lanes); }},
  };
  for (const Case& c : cases) {
    KernelBuilder b("k");
    c.write(b);
    Kernel kernel = b.finish();
    c.damage(kernel);
    const std::string violation = find_violation(kernel);
    EXPECT_NE(violation.find("breaks invariant " + std::to_string(c.invariant) + " of"), std::string::npos) << c.message << "\n"
                                                                                                            << violation;
    EXPECT_NE(violation.find(c.message), std::string::npos) << violation;
    EXPECT_THROW(verify(kernel), InternalError);
  }
}

TEST(LoopVerify, DepthIsBounded) {
  KernelBuilder b("k");
  std::function<void(int)> nest = [&](int depth) {
    if (depth == 0) return;
    b.for_loop("i", 0, 2, 1, LoopKind::serial, [&](const Dim&) { nest(depth - 1); });
  };
  nest(65);
  EXPECT_NE(find_violation(b.finish()).find("breaks invariant 18"), std::string::npos);
}

}  // namespace
}  // namespace kiln::ir
