// Sixteen virtual lanes over the machine's vectors: the arithmetic that all kernels are made of.
// Expects kWidth (floats in one machine vector) to be defined; included once per instruction set.
// Exactness: lane-wise IEEE operations, and one binary tree (l + l+8, +4, +2, +1) for sums.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "The numerics contract forbids -ffast-math (docs/decisions/0002-numerics-contract.md)."
#endif

namespace aboard {
namespace {

typedef float NativeF32 __attribute__((vector_size(kWidth * 4)));
typedef int32_t NativeI32 __attribute__((vector_size(kWidth * 4)));
typedef uint32_t NativeU32 __attribute__((vector_size(kWidth * 4)));
typedef uint8_t NativeU8 __attribute__((vector_size(kWidth * 4)));
typedef uint16_t NativeU16 __attribute__((vector_size(kWidth * 4)));

// GCC keeps vectors wider than the machine's in memory; arrays of machine vectors it does not.
constexpr int kParts = 16 / kWidth;
struct F32x16 {
  NativeF32 v[kParts];
};
struct I32x16 {
  NativeI32 v[kParts];
};
struct U8x64 {
  NativeU8 v[kParts];
};

#define ABOARD_LANEWISE(expression)                  \
  do {                                               \
    _Pragma("GCC unroll 4")                          \
    for (int i = 0; i < kParts; ++i) expression;     \
  } while (0)

#define ABOARD_INLINE inline __attribute__((always_inline))
#define ABOARD_LAMBDA __attribute__((always_inline))

// Computes `a` here. GCC else gathers the products of an unrolled loop before it sums them, and
// keeps them in memory meanwhile.
template <class Vector>
ABOARD_INLINE void PinPart(Vector& part) {
#if defined(__x86_64__)
  if constexpr (sizeof part <= __BIGGEST_ALIGNMENT__) asm("" : "+v"(part));  // else it is emulated
#else
  asm("" : "+w"(part));
#endif
}
template <class Vectors>
ABOARD_INLINE void Pin(Vectors& a) {
  ABOARD_LANEWISE(PinPart(a.v[i]));
}
// sum = sum + a * b, in the machine vector `part` alone: several such sums need fewer registers.
ABOARD_INLINE void AddProductPart(F32x16& sum, const F32x16& a, const F32x16& b, int part) {
  sum.v[part] = sum.v[part] + a.v[part] * b.v[part];
  PinPart(sum.v[part]);
}

ABOARD_INLINE F32x16 operator+(F32x16 a, F32x16 b) {
  ABOARD_LANEWISE(a.v[i] += b.v[i]);
  return a;
}
ABOARD_INLINE F32x16 operator-(F32x16 a, F32x16 b) {
  ABOARD_LANEWISE(a.v[i] -= b.v[i]);
  return a;
}
ABOARD_INLINE F32x16 operator*(F32x16 a, F32x16 b) {
  ABOARD_LANEWISE(a.v[i] *= b.v[i]);
  return a;
}
ABOARD_INLINE F32x16 operator/(F32x16 a, F32x16 b) {
  ABOARD_LANEWISE(a.v[i] /= b.v[i]);
  return a;
}
ABOARD_INLINE I32x16 operator+(I32x16 a, I32x16 b) {
  ABOARD_LANEWISE(a.v[i] += b.v[i]);
  return a;
}
ABOARD_INLINE I32x16 operator-(I32x16 a, I32x16 b) {
  ABOARD_LANEWISE(a.v[i] -= b.v[i]);
  return a;
}
ABOARD_INLINE I32x16 operator&(I32x16 a, I32x16 b) {
  ABOARD_LANEWISE(a.v[i] &= b.v[i]);
  return a;
}

ABOARD_INLINE F32x16 Splat(float x) {
  F32x16 a;
  ABOARD_LANEWISE(a.v[i] = x - NativeF32{});
  return a;
}
ABOARD_INLINE I32x16 SplatI(int32_t x) {
  I32x16 a;
  ABOARD_LANEWISE(a.v[i] = x + NativeI32{});
  return a;
}
// One machine vector at a time: GCC copies a struct of several in pieces of 16 bytes, and a load
// that spans two such pieces waits for both to reach the cache (AVX2: products four times slower).
template <class Vectors, class T>
ABOARD_INLINE Vectors LoadAs(const T* p) {
  Vectors a;
  ABOARD_LANEWISE(memcpy(&a.v[i], (const char*)p + i * sizeof a.v[i], sizeof a.v[i]));
  return a;
}
template <class Vectors, class T>
ABOARD_INLINE void StoreAs(const Vectors& a, T* p) {
  ABOARD_LANEWISE(memcpy((char*)p + i * sizeof a.v[i], &a.v[i], sizeof a.v[i]));
}
ABOARD_INLINE F32x16 Load(const float* p) { return LoadAs<F32x16>(p); }
ABOARD_INLINE void Store(F32x16 a, float* p) { StoreAs(a, p); }
ABOARD_INLINE I32x16 LoadI(const int32_t* p) { return LoadAs<I32x16>(p); }
ABOARD_INLINE void StoreI(I32x16 a, int32_t* p) { StoreAs(a, p); }
ABOARD_INLINE U8x64 LoadBytes(const uint8_t* p) { return LoadAs<U8x64>(p); }
ABOARD_INLINE void StoreBytes(U8x64 a, uint8_t* p) { StoreAs(a, p); }

ABOARD_INLINE F32x16 ToFloat(I32x16 a) {
  F32x16 r;
  ABOARD_LANEWISE(r.v[i] = __builtin_convertvector(a.v[i], NativeF32));
  return r;
}
ABOARD_INLINE I32x16 Bits(F32x16 a) {
  I32x16 r;
  ABOARD_LANEWISE(r.v[i] = (NativeI32)a.v[i]);
  return r;
}
ABOARD_INLINE F32x16 FromBits(I32x16 a) {
  F32x16 r;
  ABOARD_LANEWISE(r.v[i] = (NativeF32)a.v[i]);
  return r;
}

// a where the mask's lane is -1, b where it is 0.
ABOARD_INLINE I32x16 Select(I32x16 mask, I32x16 a, I32x16 b) {
  I32x16 r;
  ABOARD_LANEWISE(r.v[i] = (a.v[i] & mask.v[i]) | (b.v[i] & ~mask.v[i]));
  return r;
}
ABOARD_INLINE F32x16 Select(I32x16 mask, F32x16 a, F32x16 b) {
  F32x16 r;
  ABOARD_LANEWISE(r.v[i] = mask.v[i] ? a.v[i] : b.v[i]);
  return r;
}
ABOARD_INLINE I32x16 Less(F32x16 a, F32x16 b) {
  I32x16 r;
  ABOARD_LANEWISE(r.v[i] = (NativeI32)(a.v[i] < b.v[i]));
  return r;
}
ABOARD_INLINE I32x16 Less(I32x16 a, I32x16 b) {
  I32x16 r;
  ABOARD_LANEWISE(r.v[i] = (NativeI32)(a.v[i] < b.v[i]));
  return r;
}
// b where a < b, else a: a NaN in a stays.
ABOARD_INLINE F32x16 Max(F32x16 a, F32x16 b) {
  ABOARD_LANEWISE(a.v[i] = a.v[i] < b.v[i] ? b.v[i] : a.v[i]);
  return a;
}
ABOARD_INLINE F32x16 Min(F32x16 a, F32x16 b) {
  ABOARD_LANEWISE(a.v[i] = b.v[i] < a.v[i] ? b.v[i] : a.v[i]);
  return a;
}
ABOARD_INLINE I32x16 MaxI(I32x16 a, I32x16 b) { return Select(Less(a, b), b, a); }

template <int kBits>
ABOARD_INLINE I32x16 ShiftLeft(I32x16 a) {
  ABOARD_LANEWISE(a.v[i] = (NativeI32)((NativeU32)a.v[i] << kBits));
  return a;
}
template <int kBits>
ABOARD_INLINE I32x16 ShiftRight(I32x16 a) {
  ABOARD_LANEWISE(a.v[i] = (NativeI32)((NativeU32)a.v[i] >> kBits));
  return a;
}

ABOARD_INLINE U8x64 operator|(U8x64 a, U8x64 b) {
  ABOARD_LANEWISE(a.v[i] |= b.v[i]);
  return a;
}
ABOARD_INLINE U8x64 operator^(U8x64 a, uint8_t b) {
  ABOARD_LANEWISE(a.v[i] ^= (b + NativeU8{}));
  return a;
}
ABOARD_INLINE U8x64 operator&(U8x64 a, uint8_t b) {
  ABOARD_LANEWISE(a.v[i] &= (b + NativeU8{}));
  return a;
}
// Bits `mask` of the bytes, moved left by kBits (right where negative). The shift is one of 16-bit
// units, so the mask must take off what came over from the neighbour.
template <int kBits>
ABOARD_INLINE U8x64 Shifted(U8x64 a, uint8_t mask) {
  if constexpr (kBits > 0) {
    ABOARD_LANEWISE(a.v[i] = (NativeU8)((NativeU16)a.v[i] << kBits));
  } else if constexpr (kBits < 0) {
    ABOARD_LANEWISE(a.v[i] = (NativeU8)((NativeU16)a.v[i] >> -kBits));
  }
  return a & mask;
}

// The nearest integers, half to even, of numbers below 2^22: adding 1.5 * 2^23 rounds to them.
ABOARD_INLINE I32x16 Rounded(F32x16 a) {
  return Bits(a + Splat(0x1.8p23f)) - SplatI(0x4b400000);
}

// The one order in which sixteen lanes are summed.
ABOARD_INLINE float SumLanes(const float* lane) {
  float a[8], b[4];
  for (int l = 0; l < 8; ++l) a[l] = lane[l] + lane[l + 8];
  for (int l = 0; l < 4; ++l) b[l] = a[l] + a[l + 4];
  return (b[0] + b[2]) + (b[1] + b[3]);
}
ABOARD_INLINE float SumTree(F32x16 a) {
  float lane[16];
  Store(a, lane);
  return SumLanes(lane);
}
// The highest lane; none may be NaN.
ABOARD_INLINE float MaxLane(F32x16 a) {
  for (int i = 1; i < kParts; ++i) a.v[0] = a.v[0] < a.v[i] ? a.v[i] : a.v[0];
  float lane[kWidth];
  memcpy(lane, &a.v[0], sizeof lane);
#pragma GCC unroll 4
  for (int n = kWidth / 2; n > 0; n /= 2) {
#pragma GCC unroll 8
    for (int l = 0; l < n; ++l) lane[l] = lane[l] < lane[l + n] ? lane[l + n] : lane[l];
  }
  return lane[0];
}
// Integers: any order gives the same.
ABOARD_INLINE int32_t SumExact(I32x16 a) {
  NativeI32 sums = a.v[0];
  for (int i = 1; i < kParts; ++i) sums += a.v[i];
  int32_t sum = 0;
#pragma GCC unroll 16
  for (int l = 0; l < kWidth; ++l) sum += sums[l];
  return sum;
}
ABOARD_INLINE int32_t MaxLaneI(I32x16 a) {
  NativeI32 most = a.v[0];
  for (int i = 1; i < kParts; ++i) most = most < a.v[i] ? a.v[i] : most;
  int32_t max = most[0];
#pragma GCC unroll 16
  for (int l = 1; l < kWidth; ++l) max = most[l] > max ? most[l] : max;
  return max;
}

// e^x in float32: 0 below -87, e^88 above 88; within 2 ulp between. The argument is reduced by
// n * ln 2 in two steps, the rest of at most ln(2)/2 goes through a polynomial of degree 7.
ABOARD_INLINE F32x16 Exp(F32x16 x) {
  const F32x16 rounder = Splat(0x1.8p23f);
  const I32x16 tiny = Less(x, Splat(-87.0f));
  const F32x16 bounded = Min(Max(x, Splat(-87.0f)), Splat(88.0f));
  const F32x16 shifted = bounded * Splat(0x1.715476p+0f) + rounder;
  const F32x16 n = shifted - rounder;
  const F32x16 r = (bounded - n * Splat(0x1.62ep-1f)) - n * Splat(0x1.0bfbe8p-15f);
  F32x16 p = Splat(1.0f / 5040.0f);
  p = p * r + Splat(1.0f / 720.0f);
  p = p * r + Splat(1.0f / 120.0f);
  p = p * r + Splat(1.0f / 24.0f);
  p = p * r + Splat(1.0f / 6.0f);
  p = p * r + Splat(0.5f);
  p = (p * r) * r + r + Splat(1.0f);
  // 2^n by its bits: n stands in the low bits of `shifted`. A product, so that a NaN stays one.
  const F32x16 power = FromBits(ShiftLeft<23>(Bits(shifted) + SplatI(127 - 0x4b400000)));
  return Select(tiny, Splat(0.0f), p * power);
}

// tanh(x) in float32, within 2 ulp: below 0.625 a polynomial in x^2, fitted to the function, above it
// 1 - 2 / (e^2|x| + 1) with the sign of x.
ABOARD_INLINE F32x16 Tanh(F32x16 x) {
  const F32x16 z = x * x;
  F32x16 p = Splat(-0x1.901808p-8f);
  p = p * z + Splat(0x1.581fa8p-6f);
  p = p * z + Splat(-0x1.b928ep-5f);
  p = p * z + Splat(0x1.110e2ep-3f);
  p = p * z + Splat(-0x1.555552p-2f);
  const F32x16 near = (p * z) * x + x;
  const F32x16 magnitude = FromBits(Bits(x) & SplatI(0x7fffffff));
  const F32x16 far = Splat(1.0f) - Splat(2.0f) / (Exp(magnitude + magnitude) + Splat(1.0f));
  const I32x16 sign = Bits(x) - (Bits(x) & SplatI(0x7fffffff));
  return Select(Less(magnitude, Splat(0.625f)), near, FromBits(Bits(far) + sign));
}
// cap * tanh(x / cap): nearly x where it is small, never beyond the cap.
ABOARD_INLINE F32x16 SoftCap(F32x16 x, float cap) {
  return Splat(cap) * Tanh(x / Splat(cap));
}

}  // namespace
}  // namespace aboard
