// Products of tensors: einsum and the named ones that it covers.
#pragma once

#include "kiln/operators.h"

namespace kiln {

/// The sum of products that an equation in Einstein's notation says, with NumPy's grammar: a letter per axis and a comma between operands;
/// "->" and the letters of the result, or without it those that appear once, in alphabetical order; "..." for axes that are broadcast; a
/// letter twice in one operand takes its diagonal. An extent of 1 is repeated. Letters that the result lacks are summed over.
///
/// Any number of tensors of one numeric dtype, contracted pair by pair in the order that needs the fewest multiplications (symbols count
/// with their `typical` value); products are matrix products (dot_general) wherever something is summed over.
///   einsum("bij,bjk->bik", {a, b});   einsum("ii", {a});   einsum("...hd,hdo->...o", {x, w});
Tensor einsum(const std::string& equation, std::initializer_list<Tensor> tensors,
              std::source_location location = std::source_location::current());
Tensor einsum(const std::string& equation, std::span<const Tensor> tensors,
              std::source_location location = std::source_location::current());

/// Sums over the last `count` axes of a and the first of b, or over the axes listed, in pairs.
///   tensordot(a, b, 2);   tensordot(a, b, {0, 1}, {1, 0});
Tensor tensordot(const Operand& a, const Operand& b, std::int64_t count = 2);
Tensor tensordot(const Operand& a, const Operand& b, const std::vector<std::int64_t>& a_axes, const std::vector<std::int64_t>& b_axes);
/// [...] and [---] -> [..., ---]: every product of an element of a with one of b. NumPy's, but operands keep their axes.
Tensor outer(const Operand& a, const Operand& b);
/// The sum of products along the last axes: [..., n] and [---, n] -> [..., ---].
Tensor inner(const Operand& a, const Operand& b);
/// The sum of products along one axis of operands that are broadcast together: [..., n] and [..., n] -> [...].
Tensor vecdot(const Operand& a, const Operand& b, std::int64_t axis = -1);
/// The Kronecker product: element (i n + k, j m + l) is a(i, j) b(k, l). Both operands have the same rank.
Tensor kron(const Operand& a, const Operand& b);
/// The vector product along an axis of extent 3.
Tensor cross(const Operand& a, const Operand& b, std::int64_t axis = -1);
/// x W^T + bias: [..., in], weight [out, in], bias [out] or none -> [..., out]. torch.nn.functional.linear.
Tensor linear(const Operand& x, const Operand& weight, const Tensor& bias = {});
/// x1^T W_o x2 + bias_o: [..., n], [..., m], weight [o, n, m], bias [o] or none -> [..., o].
Tensor bilinear(const Operand& x1, const Operand& x2, const Operand& weight, const Tensor& bias = {});

}  // namespace kiln
