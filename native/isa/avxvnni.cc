// AVX2 with AVX-VNNI, 256 bits: byte products by vpdpbusd.
// Compiled with its own -m flags: C headers and anonymous namespaces only, so that the linker can
// never pick this code for an older CPU.
// Exactness: vpdpbusd sums four products in int32 without saturation.
#include <immintrin.h>
#include "isa/emulated-x86.h"

inline constexpr int kWidth = 8;
#define ABOARD_OWN_BYTES
#define ABOARD_OWN_HALVES
#define ABOARD_OWN_SUM_TREES
#include "isa/lanes-inl.h"
#include "isa/x86-256-inl.h"
#include "isa/portable-inl.h"

namespace aboard {
namespace {

constexpr int kTileTokens = 4;
// vpdpbusd wants unsigned weights: signed codes are stored + 128.
constexpr int kSignedOffset = 128;

ABOARD_INLINE U8x64 PrepareSigned(U8x64 w) { return w ^ 0x80; }

ABOARD_INLINE __m256i AddProducts(__m256i acc, __m256i w, __m256i x) {
#ifdef ABOARD_AVXVNNI_AS_EVEX
  return _mm256_dpbusd_epi32(acc, w, x);
#else
  return _mm256_dpbusd_avx_epi32(acc, w, x);
#endif
}
ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  const __m256i x = _mm256_set1_epi32(four);
  for (int i = 0; i < 2; ++i) {
    acc.v[i] = (NativeI32)AddProducts((__m256i)acc.v[i], (__m256i)w.v[i], x);
  }
  return acc;
}
ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  return DotSmall(w, four, acc);
}
// `four`: 0 to 127, `w`: -127 to 127.
ABOARD_INLINE I32x16 DotUnsigned(U8x64 w, int32_t four, I32x16 acc) {
  const __m256i x = _mm256_set1_epi32(four);
  for (int i = 0; i < 2; ++i) {
    acc.v[i] = (NativeI32)AddProducts((__m256i)acc.v[i], x, (__m256i)w.v[i]);
  }
  return acc;
}

}  // namespace
}  // namespace aboard

#define ABOARD_ISA_NAME "avxvnni"
#define ABOARD_ISA_TABLE kAvxVnniKernels
#include "kernels/table-inl.h"
