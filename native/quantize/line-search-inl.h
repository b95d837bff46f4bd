// Scales and minimums of affine formats: a weight is scale * code + minimum, codes 0 to kHigh.
// Expects quantize/fit-inl.h; groups whose largest weight is about 1.
// Exactness: see fit-inl.h.
#pragma once

namespace aboard {
namespace {

struct LineFit {
  F32x16 error, scale, minimum;
};

// Weighted sums over a group, `rest` being what is left of a weight, with the nearest codes.
struct LineSums {
  F32x16 error;                      // rest^2
  F32x16 rest, rest_code;            // rest, rest * code
  F32x16 one, code, square;          // 1, code, code^2
};

template <int kHigh, int kGroup>
ABOARD_INLINE LineSums SumsOfLine(const LaneGroups& groups, F32x16 scale, F32x16 minimum) {
  const F32x16 inverse = Inverse(scale);
  LineSums sums;
  for (int part = 0; part < kParts; ++part) {
    NativeF32 error{}, rests{}, cross{}, one{}, code_sum{}, square{};
    const NativeF32 s = scale.v[part], m = minimum.v[part], inv = inverse.v[part];
    for (int i = 0; i < kGroup; ++i) {
      const NativeF32 x = PartAt(groups.weights + 16 * i + part * kWidth) - m;
      const NativeF32 w = PartAt(groups.importances + 16 * i + part * kWidth);
      const NativeF32 code = IntegerLevels<0, kHigh>::Nearest(x * inv);
      const NativeF32 rest = x - s * code;
      const NativeF32 weighted = w * rest, weighted_code = w * code;
      error += weighted * rest;
      rests += weighted;
      cross += weighted * code;
      one += w;
      code_sum += weighted_code;
      square += weighted_code * code;
    }
    sums.error.v[part] = error;
    sums.rest.v[part] = rests;
    sums.rest_code.v[part] = cross;
    sums.one.v[part] = one;
    sums.code.v[part] = code_sum;
    sums.square.v[part] = square;
  }
  return sums;
}

template <int kHigh, int kGroup>
ABOARD_INLINE F32x16 ErrorOfLine(const LaneGroups& groups, F32x16 scale, F32x16 minimum) {
  const F32x16 inverse = Inverse(scale);
  F32x16 sum;
  for (int part = 0; part < kParts; ++part) {
    NativeF32 error{};
    const NativeF32 s = scale.v[part], m = minimum.v[part], inv = inverse.v[part];
    for (int i = 0; i < kGroup; ++i) {
      const NativeF32 x = PartAt(groups.weights + 16 * i + part * kWidth) - m;
      const NativeF32 w = PartAt(groups.importances + 16 * i + part * kWidth);
      const NativeF32 rest = x - s * IntegerLevels<0, kHigh>::Nearest(x * inv);
      error += w * rest * rest;
    }
    sum.v[part] = error;
  }
  return sum;
}

// The least-squares line for the codes of `sums`. Where kBelow, a minimum above 0 becomes 0 and the
// scale the best beside it.
template <bool kBelow>
ABOARD_INLINE LineFit Refitted(const LineSums& sums, F32x16 scale, F32x16 minimum) {
  const F32x16 zero = Splat(0.0f), one = Splat(1.0f);
  const F32x16 determinant = sums.square * sums.one - sums.code * sums.code;
  const I32x16 solvable = Less(Splat(1e-6f) * sums.square * sums.one, determinant);
  const F32x16 divisor = Select(solvable, determinant, one);
  F32x16 ds = Select(solvable, sums.rest_code * sums.one - sums.rest * sums.code, zero) / divisor;
  F32x16 dm = Select(solvable, sums.rest * sums.square - sums.rest_code * sums.code, zero) / divisor;
  if constexpr (kBelow) {
    const I32x16 above = Less(zero, minimum + dm);
    const F32x16 square = Select(Less(zero, sums.square), sums.square, one);
    const F32x16 down = zero - minimum;
    ds = Select(above, (sums.rest_code - down * sums.code) / square, ds);
    dm = Select(above, down, dm);
  }
  LineFit fit;
  fit.scale = scale + ds;
  fit.minimum = minimum + dm;
  const F32x16 two = Splat(2.0f);
  fit.error = sums.error - two * (ds * sums.rest_code + dm * sums.rest) +
              (ds * ds * sums.square + two * ds * dm * sums.code + dm * dm * sums.one);
  return fit;
}

ABOARD_INLINE void KeepBetter(LineFit& best, const LineFit& other) {
  const I32x16 better = Less(other.error, best.error);
  best.error = Select(better, other.error, best.error);
  best.scale = Select(better, other.scale, best.scale);
  best.minimum = Select(better, other.minimum, best.minimum);
}

// Which lines are tried: the range divided by kHigh + first, + step, ..., from a minimum that is
// shifted by -shift, 0, shift scales, ...
struct LineSteps {
  float first, step;
  int count;
  float shift;
  int shifts;  // each way
  float fine;  // of a scale: then fines each way around the best, at both ends
  int fines;
  int refits;
};

template <int kHigh, int kGroup, bool kBelow>
ABOARD_INLINE void TryLine(const LaneGroups& groups, F32x16 scale, F32x16 minimum, LineFit& best) {
  if constexpr (kBelow) minimum = Min(minimum, Splat(0.0f));
  const LineSums sums = SumsOfLine<kHigh, kGroup>(groups, scale, minimum);
  KeepBetter(best, Refitted<kBelow>(sums, scale, minimum));
}

template <int kHigh, int kGroup, bool kBelow>
LineFit SearchLine(const LaneGroups& groups, const LineSteps& steps) {
  F32x16 low = Load(groups.weights), high = low;
  for (int i = 1; i < kGroup; ++i) {
    const F32x16 x = Load(groups.weights + 16 * i);
    low = Min(low, x);
    high = Max(high, x);
  }
  if constexpr (kBelow) low = Min(low, Splat(0.0f));
  LineFit best{Splat(__builtin_inff()), Splat(0.0f), low};
  for (int i = 0; i < steps.count; ++i) {
    const float divisions = (float)kHigh + steps.first + steps.step * (float)i;
    const F32x16 scale = (high - low) * Splat(1.0f / divisions);
    // Centred: what the range is longer or shorter than kHigh scales is shared by both ends.
    const float middle = 0.5f * (divisions - (float)kHigh);
    for (int j = -steps.shifts; j <= steps.shifts; ++j) {
      const F32x16 minimum = low + scale * Splat(middle + steps.shift * (float)j);
      TryLine<kHigh, kGroup, kBelow>(groups, scale, minimum, best);
    }
  }
  const LineFit around = best;
  const F32x16 move = around.scale * Splat(steps.fine);
  for (int i = -steps.fines; i <= steps.fines; ++i) {
    for (int j = -steps.fines; j <= steps.fines; ++j) {
      const F32x16 longer = move * Splat((float)(i + j) / (float)kHigh);
      const F32x16 minimum = around.minimum - move * Splat((float)i);
      TryLine<kHigh, kGroup, kBelow>(groups, around.scale + longer, minimum, best);
    }
  }
  for (int i = 0; i < steps.refits; ++i) {
    TryLine<kHigh, kGroup, kBelow>(groups, best.scale, best.minimum, best);
  }
  return best;
}

}  // namespace
}  // namespace aboard
