// The scales of symmetric formats: code 0, or the table's smallest value, stands near zero.
// Expects quantize/fit-inl.h; groups whose largest weight is about 1.
// Exactness: see fit-inl.h.
#pragma once

namespace aboard {
namespace {

// Which scales are tried: the largest weight divided by kFirst, kFirst + kStep, ..., both signs; then
// kFine each way around the best, kStep / 4 apart.
struct ScaleSteps {
  float first, step;
  int count, fine, refits;
};

template <int kGroup>
ABOARD_INLINE F32x16 LargestWeights(const LaneGroups& groups) {
  F32x16 largest = Splat(0.0f);
  for (int i = 0; i < kGroup; ++i) {
    const F32x16 x = Load(groups.weights + 16 * i);
    const I32x16 larger = Less(largest * largest, x * x);
    largest = Select(larger, x, largest);
  }
  return largest;
}

template <class Levels, int kGroup>
ABOARD_INLINE void TryScale(const LaneGroups& groups, F32x16 scale, F32x16 inverse,
                            ScaleFit& best) {
  KeepBetter(best, Refitted(SumsOfScale<Levels, kGroup>(groups, scale, inverse), scale));
}

// The best scale that was found, before any rounding.
template <class Levels, int kGroup>
ScaleFit SearchScale(const LaneGroups& groups, const ScaleSteps& steps) {
  const F32x16 largest = LargestWeights<kGroup>(groups);
  const F32x16 inverse = Inverse(largest);
  ScaleFit best{Splat(__builtin_inff()), Splat(0.0f)};
  for (int i = 0; i < steps.count; ++i) {
    const float t = steps.first + steps.step * (float)i;
    TryScale<Levels, kGroup>(groups, largest * Splat(1.0f / t), inverse * Splat(t), best);
    TryScale<Levels, kGroup>(groups, largest * Splat(-1.0f / t), inverse * Splat(-t), best);
  }
  const F32x16 around = best.scale;
  const float fine = steps.step / (steps.first + steps.step * 0.5f * (float)steps.count) / 4.0f;
  for (int i = 1; i <= steps.fine; ++i) {
    for (int sign = -1; sign <= 1; sign += 2) {
      const F32x16 scale = around * Splat(1.0f + fine * (float)(sign * i));
      TryScale<Levels, kGroup>(groups, scale, Inverse(scale), best);
    }
  }
  for (int i = 0; i < steps.refits; ++i) {
    TryScale<Levels, kGroup>(groups, best.scale, Inverse(best.scale), best);
  }
  return best;
}

}  // namespace
}  // namespace aboard
