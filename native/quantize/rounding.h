// Rounds columns of a matrix one after another; what a column is off goes to those that follow.
// Expects rows of floats, one thread's rows being no other's.
// Exactness: a row's codes depend on the row alone; the same for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aboard {

// Code c of a weight in group g of a row stands for scales[g] * levels[c] + offsets[g].
struct RoundingGrid {
  const float* scales;     // (R, n_groups)
  const float* offsets;    // likewise; nullptr: none
  size_t n_groups;
  const int32_t* groups;   // (n,): the group of each column
  const float* levels;     // (n_levels,), ascending, 256 at most
  size_t n_levels;
  bool uniform;            // whether each level is 1 above the one before it
};

// The columns at hand, (R, n) each.
struct RoundedColumns {
  const float* weights;
  float* carried;          // what earlier columns want of these; spent
  float* errors;           // out: weights minus what their codes stand for
  uint8_t* codes;          // out
  size_t rows, cols;
};

// feedback: (n, n), whose value [j][k], k > j, is the share of column j's error that k takes over.
void RoundColumns(const RoundedColumns& columns, const float* feedback, const RoundingGrid& grid,
                  size_t threads);

}  // namespace aboard
