// The instruction set that every CPU of the target has: SSE2 on x86-64, plain C++ elsewhere.
// Compiled with no -m flags; vectors are four floats wide.
// Exactness: dot products are exact int32 (pmaddwd of 8-bit values can't saturate).
#ifdef __SSE2__
#include <emmintrin.h>
#endif

inline constexpr int kWidth = 4;
#include "isa/lanes-inl.h"
#include "isa/portable-inl.h"

namespace aboard {
namespace {

constexpr int kTileTokens = 4;
constexpr int kSignedOffset = 0;

ABOARD_INLINE U8x64 PrepareSigned(U8x64 w) { return w; }

ABOARD_INLINE U8x64 LookUp(const int8_t (&table)[16], U8x64 indices) {
  uint8_t lane[64];
  StoreBytes(indices, lane);
  for (int l = 0; l < 64; ++l) lane[l] = (uint8_t)table[lane[l]];
  return LoadBytes(lane);
}

#ifdef __SSE2__
// Rows' bytes 0 and 2, then 1 and 3, as pairs of int16 for pmaddwd.
ABOARD_INLINE I32x16 DotPairs(__m128i even, __m128i odd, int32_t four, NativeI32 acc, int part,
                              I32x16 all) {
  const __m128i x = _mm_set1_epi32(four);
  const __m128i x_even = _mm_srai_epi16(_mm_slli_epi16(x, 8), 8);
  const __m128i x_odd = _mm_srai_epi16(x, 8);
  all.v[part] = acc + (NativeI32)_mm_madd_epi16(even, x_even) +
                (NativeI32)_mm_madd_epi16(odd, x_odd);
  return all;
}
ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  for (int i = 0; i < kParts; ++i) {
    const __m128i bytes = (__m128i)w.v[i];
    acc = DotPairs(_mm_and_si128(bytes, _mm_set1_epi16(0xff)), _mm_srli_epi16(bytes, 8), four,
                   acc.v[i], i, acc);
  }
  return acc;
}
ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  for (int i = 0; i < kParts; ++i) {
    const __m128i bytes = (__m128i)w.v[i];
    acc = DotPairs(_mm_srai_epi16(_mm_slli_epi16(bytes, 8), 8), _mm_srai_epi16(bytes, 8), four,
                   acc.v[i], i, acc);
  }
  return acc;
}
#else
template <class Byte>
ABOARD_INLINE I32x16 DotBytes(U8x64 w, int32_t four, I32x16 acc) {
  Byte bytes[64];
  int8_t x[4];
  int32_t lane[16];
  memcpy(bytes, &w, sizeof bytes);
  memcpy(x, &four, sizeof x);
  memcpy(lane, &acc, sizeof lane);
  for (int r = 0; r < 16; ++r) {
    for (int j = 0; j < 4; ++j) lane[r] += bytes[4 * r + j] * x[j];
  }
  return LoadI(lane);
}
ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  return DotBytes<uint8_t>(w, four, acc);
}
ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  return DotBytes<int8_t>(w, four, acc);
}
#endif

}  // namespace
}  // namespace aboard

#define ABOARD_ISA_NAME "scalar"
#define ABOARD_ISA_TABLE kScalarKernels
#include "kernels/table-inl.h"
