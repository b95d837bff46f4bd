// What rows of logits say: their peak, the sum of their exponentials, how far two rows are apart.
// Expects float32 arrays of any length; no alignment.
// Exactness: doubles, sixteen virtual lanes (lane = index mod 16) and one tree; exponentials by the
// very operations of ExpOfNonPositive (engine/scalar_math.h).
#pragma once

namespace aboard {
namespace {

typedef double NativeF64 __attribute__((vector_size(kWidth * 4)));
typedef uint64_t NativeU64 __attribute__((vector_size(kWidth * 4)));
typedef float HalfF32 __attribute__((vector_size(kWidth * 2)));

constexpr int kPartWidth = kWidth / 2;  // doubles in a machine vector
constexpr int kDoubleParts = 16 / kPartWidth;

ABOARD_INLINE NativeF64 SplatF64(double x) { return x - NativeF64{}; }
ABOARD_INLINE NativeF64 LoadWide(const float* p) {
  HalfF32 narrow;
  memcpy(&narrow, p, sizeof narrow);
  return __builtin_convertvector(narrow, NativeF64);
}

// e^x for x <= 0, e^-700 below -700.
ABOARD_INLINE NativeF64 ExpF64(NativeF64 x) {
  const NativeF64 least = SplatF64(-700.0), rounder = SplatF64(0x1.8p52);
  x = x < least ? least : x;
  const NativeF64 rounded = x * SplatF64(1.4426950408889634074) + rounder;
  const NativeF64 n = rounded - rounder;
  const NativeF64 r = (x - n * SplatF64(0x1.62e42feep-1)) - n * SplatF64(0x1.a39ef35793c76p-33);
  NativeF64 p = SplatF64(1.0 / 6227020800.0);
  p = p * r + SplatF64(1.0 / 479001600.0);
  p = p * r + SplatF64(1.0 / 39916800.0);
  p = p * r + SplatF64(1.0 / 3628800.0);
  p = p * r + SplatF64(1.0 / 362880.0);
  p = p * r + SplatF64(1.0 / 40320.0);
  p = p * r + SplatF64(1.0 / 5040.0);
  p = p * r + SplatF64(1.0 / 720.0);
  p = p * r + SplatF64(1.0 / 120.0);
  p = p * r + SplatF64(1.0 / 24.0);
  p = p * r + SplatF64(1.0 / 6.0);
  p = p * r + SplatF64(0.5);
  p = (p * r) * r + r + SplatF64(1.0);
  return (NativeF64)((NativeU64)p + ((NativeU64)rounded << 52));
}

struct F64x16 {
  NativeF64 v[kDoubleParts];
};
ABOARD_INLINE double SumTree(const F64x16& a) {
  double lane[16];
  memcpy(lane, a.v, sizeof lane);
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  }
  return lane[0];
}
// Lanes from n on become 0.
ABOARD_INLINE void KeepLanes(F64x16& a, size_t n) {
  double lane[16];
  memcpy(lane, a.v, sizeof lane);
  for (size_t l = n; l < 16; ++l) lane[l] = 0.0;
  memcpy(a.v, lane, sizeof lane);
}

LogitPeak PeakOf(const float* x, size_t n) {
  F32x16 most = Splat(-__builtin_inff()), zeros = Splat(0.0f);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F32x16 a = Load(x + i);
    zeros = zeros + a * Splat(0.0f);  // NaN as soon as one isn't finite
    most = Max(most, a);
  }
  float max = MaxLane(most), zero = SumTree(zeros);
  for (size_t j = i; j < n; ++j) {
    zero += x[j] * 0.0f;
    max = max < x[j] ? x[j] : max;
  }
  if (!(zero == 0.0f)) return {__builtin_nanf(""), -1};
  const F32x16 top = Splat(max);
  size_t at = 0;
  while (at + 16 <= n && SumExact(Less(Load(x + at), top)) == -16) at += 16;
  while (x[at] < max) ++at;
  return {max, (int32_t)at};
}

double SumOfExps(const float* x, float max, size_t n) {
  const NativeF64 top = SplatF64(max);
  F64x16 sums = {};
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int k = 0; k < kDoubleParts; ++k) {
      sums.v[k] += ExpF64(LoadWide(x + i + k * kPartWidth) - top);
    }
  }
  if (i < n) {
    float filled[16] = {};
    memcpy(filled, x + i, (n - i) * sizeof *x);
    F64x16 last;
    for (int k = 0; k < kDoubleParts; ++k) {
      last.v[k] = ExpF64(LoadWide(filled + k * kPartWidth) - top);
    }
    KeepLanes(last, n - i);
    for (int k = 0; k < kDoubleParts; ++k) sums.v[k] += last.v[k];
  }
  return SumTree(sums);
}

struct DivergenceLanes {
  F64x16 p, q, distance;
};
ABOARD_INLINE void AddDivergence(const float* p, NativeF64 p_max, const float* q, NativeF64 q_max,
                                 DivergenceLanes& sums) {
  for (int k = 0; k < kDoubleParts; ++k) {
    const NativeF64 a = LoadWide(p + k * kPartWidth) - p_max;
    const NativeF64 b = LoadWide(q + k * kPartWidth) - q_max;
    const NativeF64 weight = ExpF64(a);
    sums.p.v[k] += weight;
    sums.q.v[k] += ExpF64(b);
    sums.distance.v[k] += weight * (a - b);
  }
}

DivergenceSums DivergenceOf(const float* p, float p_max, const float* q, float q_max, size_t n) {
  const NativeF64 p_top = SplatF64(p_max), q_top = SplatF64(q_max);
  DivergenceLanes sums = {};
  size_t i = 0;
  for (; i + 16 <= n; i += 16) AddDivergence(p + i, p_top, q + i, q_top, sums);
  if (i < n) {
    float p_filled[16] = {}, q_filled[16] = {};
    memcpy(p_filled, p + i, (n - i) * sizeof *p);
    memcpy(q_filled, q + i, (n - i) * sizeof *q);
    DivergenceLanes last = {};
    AddDivergence(p_filled, p_top, q_filled, q_top, last);
    KeepLanes(last.p, n - i);
    KeepLanes(last.q, n - i);
    KeepLanes(last.distance, n - i);
    for (int k = 0; k < kDoubleParts; ++k) {
      sums.p.v[k] += last.p.v[k];
      sums.q.v[k] += last.q.v[k];
      sums.distance.v[k] += last.distance.v[k];
    }
  }
  return {SumTree(sums.p), SumTree(sums.q), SumTree(sums.distance)};
}

}  // namespace
}  // namespace aboard
