// The IDX files of MNIST-like data sets, plain or gzipped (yann.lecun.com/exdb/mnist describes the format).
#pragma once

#include <string>

#include "kiln/array.h"

/// Reads PATH, or PATH.gz where PATH does not exist: an array of u8 of the file's shape. Throws kiln::Error(io or corrupt_file).
kiln::Array read_idx(const std::string& path);
