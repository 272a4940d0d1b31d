// Wrong programs: losses, normalisation, products, attention, linear algebra, transforms, random draws.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_composites() {
  std::vector<WrongProgram> all;

  all.push_back({"loss_shapes", [] {
#line 1 "loss_shapes.cpp"
Graph graph;
Tensor p = graph.placeholder("p", f32, {32, 1});
Tensor t = graph.placeholder("t", f32, {32});
huber_loss(p, t);
  }});

  all.push_back({"loss_weight", [] {
#line 1 "loss_weight.cpp"
Graph graph;
Tensor p = graph.placeholder("p", f32, {32});
mse_loss(p, p, {.weight = graph.ones(f32, {10, 32})});
  }});

  all.push_back({"loss_option", [] {
#line 1 "loss_option.cpp"
Graph graph;
Tensor p = graph.placeholder("p", f32, {32});
huber_loss(p, p, -1);
  }});

  all.push_back({"class_weights", [] {
#line 1 "class_weights.cpp"
Graph graph;
Tensor logits = graph.placeholder("logits", f32, {32, 10});
Tensor labels = graph.placeholder("labels", i64, {32});
softmax_cross_entropy(logits, labels, {.class_weights = graph.ones(f32, {32})});
  }});

  all.push_back({"quantize_scale", [] {
#line 1 "quantize_scale.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {32, 10});
quantize_linear(x, graph.ones(f32, {32}));
  }});

  all.push_back({"quantize_dtype", [] {
#line 1 "quantize_dtype.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {32, 10});
quantize_linear(x, 0.1, {}, {.dtype = f16});
  }});

  all.push_back({"quantize_limits", [] {
#line 1 "quantize_limits.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {32, 10});
fake_quantize(x, 0.1, {}, {.dtype = i8, .low = 0, .high = 255});
  }});

  all.push_back({"matmul_integer_dtype", [] {
#line 1 "matmul_integer_dtype.cpp"
Graph graph;
Tensor a = graph.placeholder("a", i32, {4, 4});
matmul_integer(a, a);
  }});

  all.push_back({"qlinear_zero_point", [] {
#line 1 "qlinear_zero_point.cpp"
Graph graph;
Tensor a = graph.placeholder("a", i8, {4, 4});
Tensor scale = graph.ones(f32, {});
qlinear_matmul({a, scale}, {a, scale}, 0.5, {});
  }});

  all.push_back({"reverse_sequence_lengths", [] {
#line 1 "reverse_sequence_lengths.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {20, 8, 3});
Tensor lengths = graph.placeholder("lengths", i64, {20});
reverse_sequence(x, lengths);
  }});

  all.push_back({"ngram_pool", [] {
#line 1 "ngram_pool.cpp"
Graph graph;
Tensor tokens = graph.placeholder("tokens", i64, {32, 100});
tf_idf_vectorizer(tokens, {.max_length = 2, .pool = {{1}, {2, 3}}, .weights = {0.5}});
  }});

  all.push_back({"class_axis", [] {
#line 1 "class_axis.cpp"
Graph graph;
Tensor scores = graph.placeholder("scores", f32, {2, 10, 8, 8});
Tensor labels = graph.placeholder("labels", i64, {2, 8, 8});
nll_loss(scores, labels);
  }});

  all.push_back({"ctc_shapes", [] {
#line 1 "ctc_shapes.cpp"
Graph graph;
Tensor scores = graph.placeholder("scores", f32, {4, 50, 28});
Tensor targets = graph.placeholder("targets", i64, {4, 10});
Tensor lengths = graph.placeholder("lengths", i64, {4});
ctc_loss(scores, targets, lengths, lengths);
  }});

  all.push_back({"mask_dtype", [] {
#line 1 "mask_dtype.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 5});
masked_softmax(x, graph.placeholder("m", f32, {4, 5}));
  }});

  all.push_back({"layer_norm_weight", [] {
#line 1 "layer_norm_weight.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {1, 5});
layer_norm(x, -1, {.weight = graph.ones(f32, {4, 5})});
  }});

  all.push_back({"batch_norm_channels", [] {
#line 1 "batch_norm_channels.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {8, 28, 28, 3});
Tensor mean = graph.placeholder("mean", f32, {3});
batch_norm(x, mean, mean);
  }});

  all.push_back({"group_norm_groups", [] {
#line 1 "group_norm_groups.cpp"
Graph graph;
group_norm(graph.placeholder("x", f32, {8, 6, 4}), 4);
  }});

  all.push_back({"einsum_extents", [] {
#line 1 "einsum_extents.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3});
Tensor b = graph.placeholder("b", f32, {4, 5});
einsum("ij,jk->ik", {a, b});
  }});

  all.push_back({"einsum_rank", [] {
#line 1 "einsum_rank.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3, 4});
einsum("ij->ji", {a});
  }});

  all.push_back({"einsum_output", [] {
#line 1 "einsum_output.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3});
einsum("ij->ik", {a});
  }});

  all.push_back({"einsum_letter", [] {
#line 1 "einsum_letter.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3});
einsum("i.j->ij", {a});
  }});

  all.push_back({"einsum_count", [] {
#line 1 "einsum_count.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3});
einsum("ij,jk", {a});
  }});

  all.push_back({"tensordot_extents", [] {
#line 1 "tensordot_extents.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3});
tensordot(a, a, 1);
  }});

  all.push_back({"attention_heads", [] {
#line 1 "attention_heads.cpp"
Graph graph;
Tensor q = graph.placeholder("q", f32, {2, 8, 5, 16});
Tensor k = graph.placeholder("k", f32, {2, 3, 5, 16});
scaled_dot_product_attention(q, k, k);
  }});

  all.push_back({"attention_width", [] {
#line 1 "attention_width.cpp"
Graph graph;
Tensor q = graph.placeholder("q", f32, {2, 8, 5, 16});
Tensor k = graph.placeholder("k", f32, {2, 8, 5, 12});
scaled_dot_product_attention(q, k, k);
  }});

  all.push_back({"rotary_width", [] {
#line 1 "rotary_width.cpp"
Graph graph;
rotary_embedding(graph.placeholder("x", f32, {2, 5, 7}));
  }});

  all.push_back({"solve_square", [] {
#line 1 "solve_square.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f64, {3, 4});
solve(a, graph.ones(f64, {3, 1}));
  }});

  all.push_back({"triangular_right_side", [] {
#line 1 "triangular_right_side.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f64, {3, 3});
triangular_solve(a, graph.ones(f64, {2, 3}));
  }});

  all.push_back({"cholesky_half", [] {
#line 1 "cholesky_half.cpp"
Graph graph;
cholesky(graph.placeholder("a", f16, {3, 3}));
  }});

  all.push_back({"qr_symbols", [] {
#line 1 "qr_symbols.cpp"
Graph graph;
qr(graph.placeholder("a", f64, {Dim("m"), 8}));
  }});

  all.push_back({"dft_parts", [] {
#line 1 "dft_parts.cpp"
Graph graph;
dft(graph.placeholder("x", f32, {3, 8}));
  }});

  all.push_back({"random_bounds", [] {
#line 1 "random_bounds.cpp"
Graph graph;
random_integers(graph, u8, {3}, 0, 300);
  }});

  all.push_back({"random_no_tail", [] {
#line 1 "random_no_tail.cpp"
Graph graph;
random_truncated_normal(graph, f32, {3}, {.low = 9, .high = 10});
  }});

  all.push_back({"multinomial_count", [] {
#line 1 "multinomial_count.cpp"
Graph graph;
random_multinomial(graph.placeholder("logits", f32, {5}), 6, false);
  }});

  return all;
}

}  // namespace kiln::test
