// Weights as Python hands them over, checked: shapes, and what keeps their memory alive.
// Expects nanobind.
// Exactness: none to promise.
#pragma once

#include <nanobind/stl/optional.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "engine/decoder.h"

namespace aboard {

using OptionalArray = std::optional<Array<float, 1>>;

inline Vector CheckedVector(const Array<float, 1>& values, size_t size, const char* what) {
  if (values.shape(0) != size) {
    Refuse(std::string(what) + " has " + std::to_string(values.shape(0)) + " values, expected " +
           std::to_string(size));
  }
  return {values.data(), values.data() + size};
}

// Empty where there is none.
inline Vector CheckedVector(const OptionalArray& values, size_t size, const char* what) {
  return values ? CheckedVector(*values, size, what) : Vector{};
}

inline void CheckThreads(size_t threads) {
  if (threads == 0 || threads > 1024) Refuse("threads must be 1 to 1024");
}

// The arenas that the matrices of one model lie in.
class KeptArenas {
 public:
  PackedMatrix Keep(const Matrix& matrix, size_t rows, size_t cols, const char* what) {
    const PackedMatrix& m = matrix.packed;
    if (m.rows != rows || m.cols != cols) {
      Refuse(std::string(what) + " is " + std::to_string(m.rows) + " x " + std::to_string(m.cols) +
             ", expected " + std::to_string(rows) + " x " + std::to_string(cols));
    }
    if (std::find(arenas_.begin(), arenas_.end(), matrix.arena) == arenas_.end()) {
      arenas_.push_back(matrix.arena);
    }
    return m;
  }
  Linear Keep(const Matrix& matrix, const OptionalArray& bias, size_t rows, size_t cols,
              const char* what) {
    return {Keep(matrix, rows, cols, what), CheckedVector(bias, rows, what)};
  }

  // Address and size in bytes of each.
  nb::list Extents() const {
    nb::list extents;
    for (const auto& arena : arenas_) extents.append(ExtentOf(arena->pages()));
    return extents;
  }

 private:
  std::vector<std::shared_ptr<Arena>> arenas_;
};

}  // namespace aboard
