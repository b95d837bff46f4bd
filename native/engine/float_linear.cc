// Matrix times float32 activations, see the header.
// Expects rows of at least as many columns as the matrix has.
// Exactness: +, * in a fixed order; no contraction to FMA (-ffp-contract=off).
#include "engine/float_linear.h"

#include <algorithm>

#include "engine/packing.h"

namespace aboard {
namespace {

constexpr size_t kLanes = 16;

float Dot(const float* a, const float* b, size_t n) {
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) lanes[l] += a[i + l] * b[i + l];
  }
  for (size_t l = 0; i + l < n; ++l) lanes[l] += a[i + l] * b[i + l];
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

}  // namespace

void MultiplyFloats(const PackedMatrix& w, size_t first_panel, size_t last_panel,
                    const FloatRows& x, size_t n_tokens, float* y, size_t y_stride, float* row) {
  const size_t end = std::min(last_panel * kPanelRows, w.rows);
  for (size_t r = first_panel * kPanelRows; r < end; ++r) {
    ReadRow(w, r, row);
    for (size_t t = 0; t < n_tokens; ++t) y[t * y_stride + r] = Dot(row, x.Row(t), w.cols);
  }
}

void KeysToColumns(const float* keys, size_t n_keys, size_t d, float* columns) {
  for (size_t j = 0; j < n_keys; ++j) {
    float* column = columns + j / kLanes * kLanes * d + j % kLanes;
    for (size_t i = 0; i < d; ++i) column[i * kLanes] = keys[j * d + i];
  }
}

}  // namespace aboard
