// Matrix times float32 activations, for the mode whose activations stay float32: plain, for tests.
// Expects panels as kernels/layout.h draws them, of any format.
// Exactness: a row's weights become float32 as ReadRow gives them; a sum has sixteen lanes (lane =
// column mod 16) and the tree of all sums. One path for every instruction set.
#pragma once

#include <cstddef>

#include "engine/workspace.h"
#include "kernels/layout.h"

namespace aboard {

// y[t * y_stride + r] = w[r] . x[t] for the rows r of panels [first_panel, last_panel). `row`: room
// for one row.
void MultiplyFloats(const PackedMatrix& w, size_t first_panel, size_t last_panel,
                    const FloatRows& x, size_t n_tokens, float* y, size_t y_stride, float* row);

// (64, d) keys, n_keys of them, as the columns that Kernels::attend takes, (4, d, 16).
void KeysToColumns(const float* keys, size_t n_keys, size_t d, float* columns);

}  // namespace aboard
