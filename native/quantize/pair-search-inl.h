// Super-blocks with minimums: scales and minimums of the groups are small integers times a float16
// each, all chosen together.
// Expects quantize/factor-search-inl.h.
// Exactness: see fit-inl.h.
#pragma once

namespace aboard {
namespace {

// A group's line is scale * factor, and minimum * minimum_factor, which is subtracted.
struct PairFit {
  F32x16 error, scale, factor, minimum, minimum_factor;  // error: of the super-block
};

ABOARD_INLINE void KeepBetter(PairFit& best, const PairFit& other) {
  const I32x16 better = Less(other.error, best.error);
  best.error = Select(better, other.error, best.error);
  best.scale = Select(better, other.scale, best.scale);
  best.factor = Select(better, other.factor, best.factor);
  best.minimum = Select(better, other.minimum, best.minimum);
  best.minimum_factor = Select(better, other.minimum_factor, best.minimum_factor);
}

ABOARD_INLINE F32x16 Negated(F32x16 a) { return Splat(0.0f) - a; }

template <class Shape>
ABOARD_INLINE F32x16 ErrorsOf(const LaneGroups& groups, const PairFit& fit) {
  return ErrorOfLine<Shape::kHigh, Shape::kGroup>(groups, fit.scale * fit.factor,
                                                  Negated(fit.minimum * fit.minimum_factor));
}

// The factors nearest to the lines that the groups want.
template <class Shape>
ABOARD_INLINE PairFit FitOf(const LaneGroups& groups, F32x16 scale, F32x16 minimum,
                            const LineFit& wanted) {
  PairFit fit;
  fit.scale = scale;
  fit.minimum = minimum;
  fit.factor = RoundedBetween(wanted.scale * Inverse(scale), 0.0f, Shape::kFactorHigh);
  fit.minimum_factor =
      RoundedBetween(Negated(wanted.minimum) * Inverse(minimum), 0.0f, Shape::kFactorHigh);
  fit.error = SumOverGroups<Shape::kGroups>(ErrorsOf<Shape>(groups, fit));
  return fit;
}

// The best of each group's factors and those beside them.
template <class Shape>
ABOARD_INLINE PairFit WithNeighbours(const LaneGroups& groups, const PairFit& fit) {
  PairFit best = fit;
  best.error = Splat(__builtin_inff());  // of a group, here
  for (int move = -1; move <= 1; ++move) {
    for (int minimum_move = -1; minimum_move <= 1; ++minimum_move) {
      PairFit other = fit;
      other.factor = RoundedBetween(fit.factor + Splat((float)move), 0.0f, Shape::kFactorHigh);
      other.minimum_factor =
          RoundedBetween(fit.minimum_factor + Splat((float)minimum_move), 0.0f, Shape::kFactorHigh);
      other.error = ErrorsOf<Shape>(groups, other);
      KeepBetter(best, other);
    }
  }
  best.error = SumOverGroups<Shape::kGroups>(best.error);
  return best;
}

// The two float16 of `fit`, refitted to its factors and codes.
template <class Shape>
ABOARD_INLINE PairFit Refitted(const LaneGroups& groups, const PairFit& fit, const Unit& unit) {
  constexpr int kGroups = Shape::kGroups;
  const F32x16 l = fit.factor, k = fit.minimum_factor;
  const LineSums sums = SumsOfLine<Shape::kHigh, Shape::kGroup>(
      groups, fit.scale * l, Negated(fit.minimum * k));
  const F32x16 ll = SumOverGroups<kGroups>(l * l * sums.square);
  const F32x16 lk = SumOverGroups<kGroups>(l * k * sums.code);
  const F32x16 kk = SumOverGroups<kGroups>(k * k * sums.one);
  const F32x16 rest_l = SumOverGroups<kGroups>(l * sums.rest_code);
  const F32x16 rest_k = Negated(SumOverGroups<kGroups>(k * sums.rest));
  const F32x16 determinant = ll * kk - lk * lk;
  const I32x16 solvable = Less(Splat(1e-6f) * ll * kk, determinant);
  const F32x16 inverse = Select(solvable, Inverse(determinant), Splat(0.0f));
  PairFit next = fit;
  const F32x16 ds = (rest_l * kk + rest_k * lk) * inverse;
  const F32x16 dm = (rest_k * ll + rest_l * lk) * inverse;
  next.scale = RoundedToHalf(Max(fit.scale + ds, Splat(0.0f)), unit);
  next.minimum = RoundedToHalf(Max(fit.minimum + dm, Splat(0.0f)), unit);
  next.error = SumOverGroups<kGroups>(ErrorsOf<Shape>(groups, next));
  return next;
}

template <class Shape>
PairFit SearchPairs(const LaneGroups& groups, const Unit& unit) {
  const LineFit wanted = SearchLine<Shape::kHigh, Shape::kGroup, true>(groups, Shape::kSteps);
  const F32x16 largest = LargestOfGroups<Shape::kGroups>(wanted.scale);
  const F32x16 lowest = Negated(LargestOfGroups<Shape::kGroups>(wanted.minimum));
  const F32x16 infinite = Splat(__builtin_inff());
  PairFit best{infinite, infinite, Splat(0.0f), infinite, Splat(0.0f)};
  for (int i = 0; i < Shape::kFactors.count; ++i) {
    const F32x16 scale =
        RoundedToHalf(largest * Splat(1.0f / (Shape::kFactorHigh - (float)i)), unit);
    for (int j = 0; j < Shape::kFactors.count; ++j) {
      const F32x16 minimum =
          RoundedToHalf(lowest * Splat(1.0f / (Shape::kFactorHigh - (float)j)), unit);
      KeepBetter(best, FitOf<Shape>(groups, scale, minimum, wanted));
    }
  }
  for (int i = 0; i < Shape::kFactors.rounds; ++i) {
    KeepBetter(best, WithNeighbours<Shape>(groups, best));
    KeepBetter(best, Refitted<Shape>(groups, best, unit));
  }
  return best;
}

}  // namespace
}  // namespace aboard
