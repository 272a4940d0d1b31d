// Arrays in files: .npy and .npz (numpy), .safetensors (Hugging Face).
//
// Reading trusts nothing: truncated, damaged or hostile files give Error(corrupt_file) naming the file and what is wrong with it, never a
// crash or an allocation beyond what the file can hold; files that cannot be opened or read give Error(io); valid files with content that
// Kiln has no dtype for give Error(unsupported). Writing is all or nothing: a temporary file in the same folder is written, synced and
// renamed.
#pragma once

#include <map>
#include <source_location>
#include <string>

#include "kiln/array.h"

namespace kiln {

/// Reads a .npy file (format 1.0 to 3.0, C or Fortran order, either byte order). Two-byte void ("V2") is read as bf16, as which JAX and
/// ml_dtypes store it.
Array read_npy(const std::string& path, Location where = std::source_location::current());
/// Writes a .npy file of format 1.0, C order, little-endian; bf16 as "V2".
void write_npy(const std::string& path, const ArrayView& array, Location where = std::source_location::current());

/// Reads a .npz file (stored or deflated entries). Names come without the ".npy" ending.
std::map<std::string, Array> read_npz(const std::string& path, Location where = std::source_location::current());
/// Writes a .npz file; compressed entries are deflated. Limited to 4 GB (Error(unsupported)).
void write_npz(const std::string& path, const std::map<std::string, Array>& arrays, bool compress = false,
               Location where = std::source_location::current());

/// Maps a .safetensors file; the arrays point into it and keep it mapped. (Should the file be cut short meanwhile by another program that
/// writes in place, reading them faults, as with any mapped file; replacing it by renaming, as the writers here do, is safe.)
std::map<std::string, Array> read_safetensors(const std::string& path, Location where = std::source_location::current());
/// Writes a .safetensors file. Equal arrays and names give equal bytes.
void write_safetensors(const std::string& path, const std::map<std::string, Array>& arrays,
                       Location where = std::source_location::current());

}  // namespace kiln
