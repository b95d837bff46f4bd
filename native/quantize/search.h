// What the search for scales works on: rows of weights in, scales, minimums and their factors out.
// Expects nothing; plain structs without code, so that every instruction set may include it.
// Exactness: the same weights give the same scales on every instruction set, in any share.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/layout.h"

namespace aboard {

// Groups of weights that are searched at once: one vector lane each.
inline constexpr size_t kSearchLanes = 16;

// What to search. A group is the 16 or 32 neighbouring weights that share a scale, a block those
// that share a float16: all groups of the K formats' blocks, else one.
struct ScaleSearch {
  Format format;
  const float* weights;      // (groups, group) of all rows, finite
  const float* importances;  // (cols,) at least 0 and finite, or nullptr: all alike
  size_t cols;               // of a row, a multiple of the block
  size_t groups;
  // Out. A scale is scale[block], times factor[group] where blocks have several groups; what is
  // added, minimum[block], or less minimum[block] times minimum_factor[group]. float16; infinite
  // where the format can't hold the weights. nullptr where the format has none.
  uint16_t* scale;
  uint16_t* minimum;
  int8_t* factor;
  uint8_t* minimum_factor;
};

// Which codes to find: those nearest to weights on scales and offsets that are given.
struct CodeSearch {
  Format format;
  const float* weights;  // (groups, group)
  const float* scale;    // (groups,)
  const float* offset;   // (groups,) or nullptr: 0
  uint8_t* codes;        // (groups, group): out, the numbers of levels
};

}  // namespace aboard
