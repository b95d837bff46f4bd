// What the two 256-bit instruction sets of x86 share: everything but the dot products.
// Expects lanes-inl.h with kWidth 8, AVX2 and F16C.
// Exactness: vcvtph2ps and vcvtps2ph are IEEE conversions; SumTrees keeps the one tree.
#pragma once

namespace aboard {
namespace {

ABOARD_INLINE I32x16 WidenU8s(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128((const __m128i*)p);
  return {{(NativeI32)_mm256_cvtepu8_epi32(bytes),
           (NativeI32)_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))}};
}
ABOARD_INLINE I32x16 WidenI8s(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128((const __m128i*)p);
  return {{(NativeI32)_mm256_cvtepi8_epi32(bytes),
           (NativeI32)_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))}};
}
ABOARD_INLINE I32x16 WidenU16s(const uint8_t* p) {
  return {{(NativeI32)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)),
           (NativeI32)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)(p + 16)))}};
}
// In range: saturation changes nothing.
ABOARD_INLINE void StoreAsI8s(I32x16 a, int8_t* p) {
  const __m256i words = _mm256_packs_epi32((__m256i)a.v[0], (__m256i)a.v[1]);
  const __m256i bytes = _mm256_packs_epi16(words, words);
  // In each half: four of the first vector, four of the second.
  const __m128i low = _mm256_castsi256_si128(bytes), high = _mm256_extracti128_si256(bytes, 1);
  const __m128i pairs = _mm_unpacklo_epi32(low, high);
  _mm_storeu_si128((__m128i*)p, pairs);
}

ABOARD_INLINE F32x16 LoadHalves(const uint8_t* p) {
  F32x16 r;
  for (int i = 0; i < 2; ++i) {
    r.v[i] = (NativeF32)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + i * 16)));
  }
  return r;
}
ABOARD_INLINE void StoreHalves(F32x16 a, uint16_t* p) {
  for (int i = 0; i < 2; ++i) {
    const __m128i half = _mm256_cvtps_ph((__m256)a.v[i], _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i*)(p + i * 8), half);
  }
}

ABOARD_INLINE U8x64 LookUp(const int8_t (&table)[16], U8x64 indices) {
  const __m256i values = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)table));
  for (int i = 0; i < 2; ++i) {
    indices.v[i] = (NativeU8)_mm256_shuffle_epi8(values, (__m256i)indices.v[i]);
  }
  return indices;
}

// Eight keys: lanes l + l+8 are added first, then halves of what is left change places so that
// each addition does the next level of the tree for two keys at once.
ABOARD_INLINE NativeF32 SumTreesOf8(const F32x16* a) {
  __m256 level[8];
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) level[j] = (__m256)(a[j].v[0] + a[j].v[1]);
  __m256 fours[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    fours[j] = _mm256_add_ps(_mm256_permute2f128_ps(level[2 * j], level[2 * j + 1], 0x20),
                             _mm256_permute2f128_ps(level[2 * j], level[2 * j + 1], 0x31));
  }
  __m256 twos[2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    twos[j] = _mm256_add_ps(_mm256_shuffle_ps(fours[2 * j], fours[2 * j + 1], 0x44),
                            _mm256_shuffle_ps(fours[2 * j], fours[2 * j + 1], 0xee));
  }
  const __m256 sums = _mm256_add_ps(_mm256_shuffle_ps(twos[0], twos[1], 0x88),
                                    _mm256_shuffle_ps(twos[0], twos[1], 0xdd));
  // Here keys 0 2 4 6 | 1 3 5 7.
  return (NativeF32)_mm256_permutevar8x32_ps(sums, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
ABOARD_INLINE F32x16 SumTrees(const F32x16 (&a)[16]) {
  F32x16 r;
  r.v[0] = SumTreesOf8(a);
  r.v[1] = SumTreesOf8(a + 8);
  return r;
}

}  // namespace
}  // namespace aboard
