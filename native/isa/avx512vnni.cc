// AVX-512 F, BW, DQ, VL and VNNI, 512 bits: one register holds the sixteen lanes.
// Compiled with its own -m flags: C headers and anonymous namespaces only, so that the linker can
// never pick this code for an older CPU.
// Exactness: vpdpbusd sums four products in int32 without saturation; SumTrees keeps the one tree.
#include <immintrin.h>
#include "isa/emulated-x86.h"

inline constexpr int kWidth = 16;
#define ABOARD_OWN_HALVES
#define ABOARD_OWN_SUM_TREES
#include "isa/lanes-inl.h"
#include "isa/portable-inl.h"

namespace aboard {
namespace {

constexpr int kTileTokens = 8;
// vpdpbusd wants unsigned weights: signed codes are stored + 128.
constexpr int kSignedOffset = 128;

ABOARD_INLINE U8x64 PrepareSigned(U8x64 w) { return w ^ 0x80; }

ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  acc.v[0] = (NativeI32)_mm512_dpbusd_epi32((__m512i)acc.v[0], (__m512i)w.v[0],
                                            _mm512_set1_epi32(four));
  return acc;
}
ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  return DotSmall(w, four, acc);
}
// `four`: 0 to 127, `w`: -127 to 127.
ABOARD_INLINE I32x16 DotUnsigned(U8x64 w, int32_t four, I32x16 acc) {
  acc.v[0] = (NativeI32)_mm512_dpbusd_epi32((__m512i)acc.v[0], _mm512_set1_epi32(four),
                                            (__m512i)w.v[0]);
  return acc;
}

ABOARD_INLINE U8x64 LookUp(const int8_t (&table)[16], U8x64 indices) {
  const __m512i values = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)table));
  indices.v[0] = (NativeU8)_mm512_shuffle_epi8(values, (__m512i)indices.v[0]);
  return indices;
}

ABOARD_INLINE F32x16 LoadHalves(const uint8_t* p) {
  return {(NativeF32)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p))};
}
ABOARD_INLINE void StoreHalves(F32x16 a, uint16_t* p) {
  const __m256i half = _mm512_cvtps_ph((__m512)a.v[0], _MM_FROUND_TO_NEAREST_INT);
  _mm256_storeu_si256((__m256i*)p, half);
}

// Halves of two keys' lanes change places so that each addition does one level of the tree for
// both: lanes l and l+8, then l+4, l+2, l+1.
ABOARD_INLINE F32x16 SumTrees(const F32x16 (&a)[16]) {
  __m512 eights[8], fours[4], twos[2];
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const __m512 one = (__m512)a[2 * j].v[0], two = (__m512)a[2 * j + 1].v[0];
    eights[j] = _mm512_add_ps(_mm512_shuffle_f32x4(one, two, 0x44),
                              _mm512_shuffle_f32x4(one, two, 0xee));
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 one = eights[2 * j], two = eights[2 * j + 1];
    fours[j] = _mm512_add_ps(_mm512_shuffle_f32x4(one, two, 0x88),
                             _mm512_shuffle_f32x4(one, two, 0xdd));
  }
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    const __m512 one = fours[2 * j], two = fours[2 * j + 1];
    twos[j] = _mm512_add_ps(_mm512_shuffle_ps(one, two, 0x44), _mm512_shuffle_ps(one, two, 0xee));
  }
  const __m512 sums = _mm512_add_ps(_mm512_shuffle_ps(twos[0], twos[1], 0x88),
                                    _mm512_shuffle_ps(twos[0], twos[1], 0xdd));
  // Here keys 0 4 8 12 | 1 5 9 13 | 2 6 10 14 | 3 7 11 15.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return {(NativeF32)_mm512_permutexvar_ps(order, sums)};
}

}  // namespace
}  // namespace aboard

#define ABOARD_ISA_NAME "avx512vnni"
#define ABOARD_ISA_TABLE kAvx512VnniKernels
#include "kernels/table-inl.h"
