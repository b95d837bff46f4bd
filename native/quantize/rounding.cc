// Rounds columns with feedback of errors, see the header: GPTQ (arXiv:2210.17323) in the form of
// LDLQ (arXiv:2307.13304, section 3), within a block of columns.
// Expects levels in ascending order.
// Exactness: +, *, / in a fixed order; a row is one thread's.
#include "quantize/rounding.h"

#include <algorithm>
#include <cmath>

#include "engine/float_environment.h"
#include "engine/pool.h"

namespace aboard {
namespace {

// The level nearest to x; of two as near, the lower one, or the even one where they are uniform.
size_t NearestLevel(const RoundingGrid& grid, float x) {
  const float* levels = grid.levels;
  const size_t last = grid.n_levels - 1;
  if (!(x > levels[0])) return 0;
  if (x >= levels[last]) return last;
  if (grid.uniform) return static_cast<size_t>(std::nearbyint(x) - levels[0]);
  const size_t above = std::upper_bound(levels, levels + grid.n_levels, x) - levels;
  return x - levels[above - 1] <= levels[above] - x ? above - 1 : above;
}

void RoundRow(const RoundedColumns& columns, const float* feedback, const RoundingGrid& grid,
              size_t zero, size_t row) {
  const size_t n = columns.cols;
  const float* weights = columns.weights + row * n;
  float* carried = columns.carried + row * n;
  float* errors = columns.errors + row * n;
  uint8_t* codes = columns.codes + row * n;
  for (size_t k = 0; k < n; ++k) {
    const size_t group = row * grid.n_groups + static_cast<size_t>(grid.groups[k]);
    const float scale = grid.scales[group];
    const float offset = grid.offsets == nullptr ? 0.0f : grid.offsets[group];
    const float wanted = weights[k] + carried[k];
    const size_t code = scale == 0.0f ? zero : NearestLevel(grid, (wanted - offset) / scale);
    const float error = weights[k] - (scale * grid.levels[code] + offset);
    codes[k] = static_cast<uint8_t>(code);
    errors[k] = error;
    const float* shares = feedback + k * n;
    for (size_t j = k + 1; j < n; ++j) carried[j] += error * shares[j];
  }
}

}  // namespace

void RoundColumns(const RoundedColumns& columns, const float* feedback, const RoundingGrid& grid,
                  size_t threads) {
  size_t zero = 0;
  for (size_t i = 1; i < grid.n_levels; ++i) {
    if (std::fabs(grid.levels[i]) < std::fabs(grid.levels[zero])) zero = i;
  }
  Pool pool(threads);
  pool.Run([&](Team& team) {
    const DefaultFloats floats;
    team.Phase(columns.rows, Team::kMaxPartsPerThread, [&](size_t first, size_t last) {
      for (size_t row = first; row < last; ++row) RoundRow(columns, feedback, grid, zero, row);
    });
  });
}

}  // namespace aboard
