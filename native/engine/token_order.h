// The total order of tokens (higher logit first, then lower id), the first and the k first in it.
// Expects logits (V,) float32, 0 < V < 2^32.
// Exactness: comparisons only; the results depend on no algorithm, vector width or library.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace aboard {

// The place of a token in the order, as one integer: the higher, the earlier; no two are equal.
inline uint64_t Rank(float logit, uint32_t id) {
  const uint32_t bits = std::bit_cast<uint32_t>(logit + 0.0f);  // -0 becomes +0
  const uint32_t ordered = bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
  return uint64_t{ordered} << 32 | (0xffffffffu - id);
}

inline uint32_t IdOfRank(uint64_t rank) { return 0xffffffffu - static_cast<uint32_t>(rank); }

struct Peak {
  float max;
  bool has_nan;
};

// The highest logit; block_max becomes the highest of each block of 64 (the last may be shorter).
Peak FindPeak(std::span<const float> logits, std::vector<float>& block_max);

// The first token whose logit is `max`, given what FindPeak found.
int32_t FirstAt(std::span<const float> logits, const std::vector<float>& block_max, float max);

// Makes `ranks` those of the k first tokens, in no particular order; k in [1, V]. `maxima` is
// scratch.
void SelectTop(std::span<const float> logits, const std::vector<float>& block_max, size_t k,
               std::vector<float>& maxima, std::vector<uint64_t>& ranks);

}  // namespace aboard
