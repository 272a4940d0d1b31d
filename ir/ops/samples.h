// Samples that several entries share; see Sample in ir/op.h. Operands are given as f32, which stands for each dtype of the entry in turn.
#pragma once

#include "ir/op.h"

namespace kiln::ir::ops {

/// "f32[...]" for generic samples.
Type sample_type(Dims dims, DType dtype = DType::f32);
/// The symbol of symbolic samples' first dim.
Dim sample_symbol();

/// NaN, infinities, signed zeros, denormals of every float format, halves (ties of rounding), limits of the integers. As integers:
/// infinities become the limits.
std::vector<double> special_values();
/// Those whose magnitude is at most `limit`, and the infinities and NaN: for functions of which only a range is stated.
std::vector<double> special_values_within(double limit);
Array sample_values(const std::vector<double>& values);

/// Samples of every class for elementwise ops of one or two operands of one type, with random values in [low, high].
std::vector<Sample> unary_samples(double low, double high, const std::vector<double>& special);
std::vector<Sample> binary_samples(double low, double high, const std::vector<double>& special);

// The common cases, as entries want them.
std::vector<Sample> samples_unary(Op);
std::vector<Sample> samples_positive(Op);  ///< random values in [0.25, 4]
std::vector<Sample> samples_binary(Op);

}  // namespace kiln::ir::ops
