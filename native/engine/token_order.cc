// The first tokens in the total order, found in one pass over the logits and a little more.
// Expects what token_order.h says; written so that 16-lane loops vectorise on any instruction set.
// Exactness: comparisons only.
#include "engine/token_order.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace aboard {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 16;
constexpr size_t kBlock = 64;

}  // namespace

Peak FindPeak(std::span<const float> logits, std::vector<float>& block_max) {
  const size_t n = logits.size(), n_blocks = (n + kBlock - 1) / kBlock;
  block_max.resize(n_blocks);
  uint32_t nan_lanes[kLanes] = {};
  for (size_t b = 0; b < n_blocks; ++b) {
    float lanes[kLanes];
    std::fill(lanes, lanes + kLanes, -kInfinity);
    const size_t end = std::min((b + 1) * kBlock, n);
    size_t i = b * kBlock;
    for (; i + kLanes <= end; i += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) {
        const float v = logits[i + j];
        lanes[j] = v > lanes[j] ? v : lanes[j];
        nan_lanes[j] |= v != v ? 1u : 0u;
      }
    }
    for (; i < end; ++i) {
      lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
      nan_lanes[0] |= logits[i] != logits[i] ? 1u : 0u;
    }
    block_max[b] = *std::max_element(lanes, lanes + kLanes);
  }
  uint32_t nan = 0;
  for (const uint32_t lane : nan_lanes) nan |= lane;
  return {*std::max_element(block_max.begin(), block_max.end()), nan != 0};
}

int32_t FirstAt(std::span<const float> logits, const std::vector<float>& block_max, float max) {
  const auto block = std::find(block_max.begin(), block_max.end(), max) - block_max.begin();
  const auto from = logits.begin() + block * static_cast<std::ptrdiff_t>(kBlock);
  return static_cast<int32_t>(std::find(from, logits.end(), max) - logits.begin());
}

void SelectTop(std::span<const float> logits, const std::vector<float>& block_max, size_t k,
               std::vector<float>& maxima, std::vector<uint64_t>& ranks) {
  // k block maxima are k logits: the k-th highest of them bounds the k-th highest logit from
  // below, so that blocks under it can't hold any of the k first.
  float bound = -kInfinity;
  if (k <= block_max.size()) {
    maxima = block_max;
    std::nth_element(maxima.begin(), maxima.begin() + (k - 1), maxima.end(), std::greater<>());
    bound = maxima[k - 1];
  }
  ranks.clear();
  for (size_t b = 0; b < block_max.size(); ++b) {
    if (block_max[b] < bound) continue;
    const size_t end = std::min((b + 1) * kBlock, logits.size());
    for (size_t i = b * kBlock; i < end; ++i) {
      if (logits[i] >= bound) ranks.push_back(Rank(logits[i], static_cast<uint32_t>(i)));
    }
  }
  if (ranks.size() > k) {
    std::nth_element(ranks.begin(), ranks.begin() + k, ranks.end(), std::greater<>());
    ranks.resize(k);
  }
}

}  // namespace aboard
