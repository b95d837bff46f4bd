// Sixteen groups of weights side by side, and how well a scale (and minimum) serves each of them:
// weighted squared error with the nearest codes, and the least-squares step with those codes kept.
// Expects isa/lanes-inl.h and quantize/levels-inl.h; weights of about 1.
// Exactness: a lane's sums are of its own weights alone, in their order.
#pragma once

namespace aboard {
namespace {

constexpr size_t kGroupMost = 32;

// Column i of all lanes lies at [16 * i].
struct LaneGroups {
  alignas(64) float weights[kGroupMost * 16];
  alignas(64) float importances[kGroupMost * 16];
};

ABOARD_INLINE NativeF32 PartAt(const float* p) {
  NativeF32 part;
  memcpy(&part, p, sizeof part);
  return part;
}

// Scales of sixteen groups and the error that they leave.
struct ScaleFit {
  F32x16 error, scale;
};

// Weighted sums over a group, `rest` being what is left of a weight, with the nearest levels.
struct ScaleSums {
  F32x16 error, cross, square;  // rest^2, rest * level, level^2
};

template <class Levels, int kGroup>
ABOARD_INLINE ScaleSums SumsOfScale(const LaneGroups& groups, F32x16 scale, F32x16 inverse) {
  ScaleSums sums;
  for (int part = 0; part < kParts; ++part) {
    NativeF32 error{}, cross{}, square{};
    const NativeF32 s = scale.v[part], inv = inverse.v[part];
    for (int i = 0; i < kGroup; ++i) {
      const NativeF32 x = PartAt(groups.weights + 16 * i + part * kWidth);
      const NativeF32 w = PartAt(groups.importances + 16 * i + part * kWidth);
      const NativeF32 level = Levels::Nearest(x * inv);
      const NativeF32 rest = x - s * level;
      const NativeF32 weighted = w * rest;
      error += weighted * rest;
      cross += weighted * level;
      square += w * level * level;
    }
    sums.error.v[part] = error;
    sums.cross.v[part] = cross;
    sums.square.v[part] = square;
  }
  return sums;
}

// 1 / a, and 0 where that is no number.
ABOARD_INLINE F32x16 Inverse(F32x16 a) {
  const F32x16 inverse = Splat(1.0f) / a;
  const I32x16 finite = Less(Bits(inverse) & SplatI(0x7fffffff), SplatI(0x7f800000));
  return Select(finite, inverse, Splat(0.0f));
}

// The best scale for the levels of `sums`, and its error.
ABOARD_INLINE ScaleFit Refitted(const ScaleSums& sums, F32x16 scale) {
  const F32x16 step = sums.cross * Inverse(sums.square);
  return {sums.error - step * sums.cross, scale + step};
}

ABOARD_INLINE void KeepBetter(ScaleFit& best, const ScaleFit& other) {
  const I32x16 better = Less(other.error, best.error);
  best.error = Select(better, other.error, best.error);
  best.scale = Select(better, other.scale, best.scale);
}

// Error of a scale with the nearest codes.
template <class Levels, int kGroup>
ABOARD_INLINE F32x16 ErrorOf(const LaneGroups& groups, F32x16 scale) {
  const F32x16 inverse = Inverse(scale);
  F32x16 sum;
  for (int part = 0; part < kParts; ++part) {
    NativeF32 error{};
    const NativeF32 s = scale.v[part], inv = inverse.v[part];
    for (int i = 0; i < kGroup; ++i) {
      const NativeF32 x = PartAt(groups.weights + 16 * i + part * kWidth);
      const NativeF32 w = PartAt(groups.importances + 16 * i + part * kWidth);
      const NativeF32 rest = x - s * Levels::Nearest(x * inv);
      error += w * rest * rest;
    }
    sum.v[part] = error;
  }
  return sum;
}

}  // namespace
}  // namespace aboard
