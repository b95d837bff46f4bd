// AVX2 and F16C, 256 bits, no VNNI: byte products by vpmaddubsw and vpmaddwd.
// Compiled with its own -m flags: C headers and anonymous namespaces only, so that the linker can
// never pick this code for an older CPU.
// Exactness: vpmaddubsw saturates above 32767. Codes of at most 63 give at most 2 * 63 * 127, and
// |signed code| of at most 128 gives at most 2 * 128 * 127: neither can. Sums of its int16 are
// widened before they could pass 32767.
#include <immintrin.h>

inline constexpr int kWidth = 8;
#define ABOARD_OWN_BYTES
#define ABOARD_OWN_HALVES
#define ABOARD_OWN_SUM_TREES
#define ABOARD_NARROW_SUMS
#define ABOARD_WIDE_KEYS
#include "isa/lanes-inl.h"
#include "isa/x86-256-inl.h"
#include "isa/portable-inl.h"

namespace aboard {
namespace {

constexpr int kTileTokens = 4;
constexpr int kSignedOffset = 0;

ABOARD_INLINE U8x64 PrepareSigned(U8x64 w) { return w; }

// Products of small codes, summed in int16 for kNarrowLimit / kMaxCode steps: half of the
// multiplications of going to int32 at each.
constexpr int kNarrowLimit = 32767 / (2 * 127);
struct NarrowSums {
  __m256i v[2];
};
ABOARD_INLINE NarrowSums NarrowProducts(U8x64 w, int32_t four) {
  const __m256i x = _mm256_set1_epi32(four);
  return {{_mm256_maddubs_epi16((__m256i)w.v[0], x), _mm256_maddubs_epi16((__m256i)w.v[1], x)}};
}
ABOARD_INLINE NarrowSums Plus(NarrowSums a, NarrowSums b) {
  for (int i = 0; i < 2; ++i) a.v[i] = _mm256_add_epi16(a.v[i], b.v[i]);
  return a;
}
ABOARD_INLINE I32x16 Widened(NarrowSums a) {
  I32x16 r;
  for (int i = 0; i < 2; ++i) {
    r.v[i] = (NativeI32)_mm256_madd_epi16(a.v[i], _mm256_set1_epi16(1));
  }
  return r;
}

ABOARD_INLINE NativeI32 AddProducts(__m256i w, __m256i x, NativeI32 acc) {
  return acc + (NativeI32)_mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}
ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  const __m256i x = _mm256_set1_epi32(four);
  for (int i = 0; i < 2; ++i) acc.v[i] = AddProducts((__m256i)w.v[i], x, acc.v[i]);
  return acc;
}
ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  const __m256i x = _mm256_set1_epi32(four);
  for (int i = 0; i < 2; ++i) {
    const __m256i bytes = (__m256i)w.v[i];
    acc.v[i] = AddProducts(_mm256_abs_epi8(bytes), _mm256_sign_epi8(x, bytes), acc.v[i]);
  }
  return acc;
}
// Keys and queries as int16, columns 0 and 2 of a quad, then 1 and 3: one vpmaddwd for each, where
// DotSigned takes three multiplications. Pays off where the quad has several queries.
struct WideKeys {
  __m256i even[2], odd[2];
};
ABOARD_INLINE WideKeys Widened(U8x64 w) {
  WideKeys r;
  for (int i = 0; i < 2; ++i) {
    const __m256i bytes = (__m256i)w.v[i];
    r.even[i] = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
    r.odd[i] = _mm256_srai_epi16(bytes, 8);
  }
  return r;
}
// 32 codes to eight times columns 0 2 1 3.
ABOARD_INLINE void WidenQuery(const int8_t* codes, int16_t* out) {
  const __m256i bytes = _mm256_loadu_si256((const __m256i*)codes);
  const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
  const __m256i odd = _mm256_srai_epi16(bytes, 8);
  const __m256i low = _mm256_unpacklo_epi32(even, odd), high = _mm256_unpackhi_epi32(even, odd);
  _mm256_storeu_si256((__m256i*)out, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256((__m256i*)(out + 16), _mm256_permute2x128_si256(low, high, 0x31));
}
ABOARD_INLINE __m256i BroadcastPair(const int16_t* p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}
ABOARD_INLINE I32x16 DotWide(const WideKeys& w, const int16_t* four, I32x16 acc) {
  const __m256i even = BroadcastPair(four), odd = BroadcastPair(four + 2);
  for (int i = 0; i < 2; ++i) {
    acc.v[i] += (NativeI32)_mm256_madd_epi16(w.even[i], even);
    acc.v[i] += (NativeI32)_mm256_madd_epi16(w.odd[i], odd);
    PinPart(acc.v[i]);
  }
  return acc;
}

// `four`: 0 to 127, `w`: -127 to 127.
ABOARD_INLINE I32x16 DotUnsigned(U8x64 w, int32_t four, I32x16 acc) {
  const __m256i x = _mm256_set1_epi32(four);
  for (int i = 0; i < 2; ++i) acc.v[i] = AddProducts(x, (__m256i)w.v[i], acc.v[i]);
  return acc;
}

}  // namespace
}  // namespace aboard

#define ABOARD_ISA_NAME "avx2"
#define ABOARD_ISA_TABLE kAvx2Kernels
#include "kernels/table-inl.h"
