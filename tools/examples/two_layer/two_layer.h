// What the two-layer programs share: their data, how a loss is printed, and the list of programs.
//
// The network is the one of many tutorials: y = relu(x w1) w2 fitted to random targets by the sum of squared errors. Sizes are those of the files.
#pragma once

#include <string>

#include "kiln/kiln.h"

namespace two_layer {

struct Setup {
  std::string folder;             ///< with x.npy, y.npy, initial weights
  kiln::DType dtype = kiln::f32;
  int steps = 500;
  kiln::SessionOptions session;

  /// A file of the folder as an array of `dtype`; throws kiln::Error when it cannot be read.
  kiln::Array load(const std::string& file) const;
  /// The integers of depths.npy.
  std::vector<std::int64_t> depths() const;
};

/// One line with 17 significant digits, so that equal text means equal bits.
void print_loss(const kiln::Array& loss);

// The programs, one file each.
void static_graph(const Setup& setup);
void manual_gradient(const Setup& setup);
void custom_relu(const Setup& setup);
void dynamic_net(const Setup& setup);

/// The same network as an nn::Sequential, trained by one of PyTorch's optimizers.
enum class Method { sgd, adam, adamw, rmsprop, adagrad, nesterov };
void nn_sequential(const Setup& setup, Method method);

}  // namespace two_layer
