// Super-blocks: the scales (and minimums) of their groups are small integers times one float16, all
// chosen together.
// Expects quantize/scale-search-inl.h and line-search-inl.h.
// Exactness: see fit-inl.h; sums over a super-block go through its groups in order.
#pragma once

namespace aboard {
namespace {

// The power of two that the groups of a super-block were divided by, and back.
struct Unit {
  F32x16 size, inverse;
};

// The sum over the kGroups neighbouring lanes of each super-block, in each of them.
template <int kGroups>
ABOARD_INLINE F32x16 SumOverGroups(F32x16 a) {
  float lane[16];
  Store(a, lane);
  for (int first = 0; first < 16; first += kGroups) {
    float sum = 0.0f;
    for (int l = first; l < first + kGroups; ++l) sum += lane[l];
    for (int l = first; l < first + kGroups; ++l) lane[l] = sum;
  }
  return Load(lane);
}

// The value of the largest magnitude.
template <int kGroups>
ABOARD_INLINE F32x16 LargestOfGroups(F32x16 a) {
  float lane[16];
  Store(a, lane);
  for (int first = 0; first < 16; first += kGroups) {
    float largest = 0.0f;
    for (int l = first; l < first + kGroups; ++l) {
      if (lane[l] * lane[l] > largest * largest) largest = lane[l];
    }
    for (int l = first; l < first + kGroups; ++l) lane[l] = largest;
  }
  return Load(lane);
}

// The float16 nearest to `a`, whose unit is `unit`.
ABOARD_INLINE F32x16 RoundedToHalf(F32x16 a, const Unit& unit) {
  uint16_t half[16];
  StoreHalves(a * unit.size, half);
  return LoadHalves((const uint8_t*)half) * unit.inverse;
}

ABOARD_INLINE F32x16 RoundedBetween(F32x16 a, float low, float high) {
  return ToFloat(Rounded(Min(Max(a, Splat(low)), Splat(high))));
}

// Which super-scales are tried: the largest scale divided by the highest factor and those below.
struct FactorSteps {
  int count;
  int rounds;  // of choosing factors again and refitting
};

struct FactorFit {
  F32x16 error, scale, factor;  // error: of the super-block
};

ABOARD_INLINE void KeepBetter(FactorFit& best, const FactorFit& other) {
  const I32x16 better = Less(other.error, best.error);
  best.error = Select(better, other.error, best.error);
  best.scale = Select(better, other.scale, best.scale);
  best.factor = Select(better, other.factor, best.factor);
}

template <class Shape>
ABOARD_INLINE FactorFit FitOf(const LaneGroups& groups, F32x16 scale, F32x16 wanted) {
  const F32x16 factor =
      RoundedBetween(wanted * Inverse(scale), Shape::kFactorLow, Shape::kFactorHigh);
  const F32x16 error = ErrorOf<typename Shape::Levels, Shape::kGroup>(groups, scale * factor);
  return {SumOverGroups<Shape::kGroups>(error), scale, factor};
}

// The factors beside `fit`'s that serve their groups better, and the super-scale refitted to them.
template <class Shape>
ABOARD_INLINE FactorFit Improved(const LaneGroups& groups, const FactorFit& fit, const Unit& unit) {
  using Levels = typename Shape::Levels;
  constexpr int kGroup = Shape::kGroup;
  ScaleFit best{Splat(__builtin_inff()), fit.factor};
  for (int move = -1; move <= 1; ++move) {
    const F32x16 factor =
        RoundedBetween(fit.factor + Splat((float)move), Shape::kFactorLow, Shape::kFactorHigh);
    KeepBetter(best, ScaleFit{ErrorOf<Levels, kGroup>(groups, fit.scale * factor), factor});
  }
  FactorFit moved{SumOverGroups<Shape::kGroups>(best.error), fit.scale, best.scale};
  const F32x16 scale = moved.scale * moved.factor;
  const ScaleSums sums = SumsOfScale<Levels, kGroup>(groups, scale, Inverse(scale));
  const F32x16 cross = SumOverGroups<Shape::kGroups>(sums.cross * moved.factor);
  const F32x16 square =
      SumOverGroups<Shape::kGroups>(sums.square * moved.factor * moved.factor);
  const F32x16 step = cross * Inverse(square);
  FactorFit refitted = moved;
  refitted.scale = RoundedToHalf(moved.scale + step, unit);
  refitted.error = SumOverGroups<Shape::kGroups>(
      ErrorOf<Levels, kGroup>(groups, refitted.scale * refitted.factor));
  KeepBetter(moved, refitted);
  return moved;
}

template <class Shape>
FactorFit SearchFactors(const LaneGroups& groups, const Unit& unit) {
  const ScaleFit wanted = SearchScale<typename Shape::Levels, Shape::kGroup>(groups, Shape::kSteps);
  const F32x16 largest = LargestOfGroups<Shape::kGroups>(wanted.scale);
  FactorFit best{Splat(__builtin_inff()), Splat(__builtin_inff()), Splat(0.0f)};
  for (int i = 0; i < Shape::kFactors.count; ++i) {
    const float low = Shape::kFactorLow + (float)i, high = Shape::kFactorHigh - (float)i;
    for (int sign = 0; sign < 2; ++sign) {
      const float divisor = sign == 0 ? low : high;
      const F32x16 scale = RoundedToHalf(largest * Splat(1.0f / divisor), unit);
      KeepBetter(best, FitOf<Shape>(groups, scale, wanted.scale));
    }
  }
  for (int i = 0; i < Shape::kFactors.rounds; ++i) {
    KeepBetter(best, Improved<Shape>(groups, best, unit));
    KeepBetter(best, FitOf<Shape>(groups, best.scale, wanted.scale));
  }
  return best;
}

}  // namespace
}  // namespace aboard
