// Intrinsics of AVX-512 and VNNI in plain C++: their code runs, slowly, where only AVX2 is.
// Expects <immintrin.h> before it; empty unless ABOARD_EMULATED_X86 is set. These functions stand in
// namespace aboard and so hide the compiler's; one that is missing here fails to compile ("target
// specific option mismatch"): add it below, most take a line.
// Exactness: lane by lane what Intel's guide says; rounding is half to even.
#pragma once

#ifdef ABOARD_EMULATED_X86

#include <stdint.h>
#include <string.h>

#include "isa/emulated-lanes.h"

// With some compilers and flags these are macros.
#undef _mm256_dpbusd_avx_epi32
#undef _mm256_dpbusd_epi32
#undef _mm512_alignr_epi32
#undef _mm512_alignr_epi8
#undef _mm512_cmp_epi32_mask
#undef _mm512_cmp_ps_mask
#undef _mm512_cvtps_ph
#undef _mm512_extractf32x4_ps
#undef _mm512_extractf32x8_ps
#undef _mm512_extracti32x4_epi32
#undef _mm512_extracti32x8_epi32
#undef _mm512_extracti64x4_epi64
#undef _mm512_insertf32x4
#undef _mm512_insertf32x8
#undef _mm512_inserti32x4
#undef _mm512_inserti32x8
#undef _mm512_inserti64x4
#undef _mm512_roundscale_ps
#undef _mm512_setr_epi32
#undef _mm512_shuffle_epi32
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_i32x4
#undef _mm512_shuffle_i64x2
#undef _mm512_shuffle_ps
#undef _mm512_slli_epi16
#undef _mm512_slli_epi32
#undef _mm512_srai_epi16
#undef _mm512_srai_epi32
#undef _mm512_srli_epi16
#undef _mm512_srli_epi32
#undef _mm512_ternarylogic_epi32

namespace aboard {
namespace {

// Calls, for inlined the kernels take minutes to compile.
#define ABOARD_EMULATED inline __attribute__((noinline))

#define ABOARD_ZIP(name, T, expression)                                              \
  ABOARD_EMULATED __m512i name(__m512i a, __m512i b) {                               \
    return emulated::Zip<T>(a, b, [](T x, T y) { return expression; });              \
  }
#define ABOARD_ZIP_PS(name, expression)                                              \
  ABOARD_EMULATED __m512 name(__m512 a, __m512 b) {                                  \
    return emulated::Zip<float>(a, b, [](float x, float y) { return expression; });  \
  }

// Memory and constants.
ABOARD_EMULATED __m512i _mm512_load_si512(const void* p) { return emulated::Read<__m512i>(p); }
ABOARD_EMULATED __m512i _mm512_loadu_si512(const void* p) { return emulated::Read<__m512i>(p); }
ABOARD_EMULATED __m512i _mm512_loadu_epi8(const void* p) { return emulated::Read<__m512i>(p); }
ABOARD_EMULATED __m512i _mm512_loadu_epi32(const void* p) { return emulated::Read<__m512i>(p); }
ABOARD_EMULATED __m512 _mm512_load_ps(const void* p) { return emulated::Read<__m512>(p); }
ABOARD_EMULATED __m512 _mm512_loadu_ps(const void* p) { return emulated::Read<__m512>(p); }
ABOARD_EMULATED void _mm512_store_si512(void* p, __m512i a) { memcpy(p, &a, sizeof a); }
ABOARD_EMULATED void _mm512_storeu_si512(void* p, __m512i a) { memcpy(p, &a, sizeof a); }
ABOARD_EMULATED void _mm512_store_ps(void* p, __m512 a) { memcpy(p, &a, sizeof a); }
ABOARD_EMULATED void _mm512_storeu_ps(void* p, __m512 a) { memcpy(p, &a, sizeof a); }
ABOARD_EMULATED __m512i _mm512_setzero_si512() { return __m512i{}; }
ABOARD_EMULATED __m512 _mm512_setzero_ps() { return __m512{}; }
ABOARD_EMULATED __m512i _mm512_set1_epi8(char x) {
  return emulated::Make<__m512i, int8_t>([&](int) { return x; });
}
ABOARD_EMULATED __m512i _mm512_set1_epi16(short x) {
  return emulated::Make<__m512i, int16_t>([&](int) { return x; });
}
ABOARD_EMULATED __m512i _mm512_set1_epi32(int x) {
  return emulated::Make<__m512i, int32_t>([&](int) { return x; });
}
ABOARD_EMULATED __m512 _mm512_set1_ps(float x) {
  return emulated::Make<__m512, float>([&](int) { return x; });
}
ABOARD_EMULATED __m512i _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h,
                                          int i, int j, int k, int l, int m, int n, int o, int p) {
  const int32_t lane[16] = {a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p};
  return emulated::Read<__m512i>(lane);
}
ABOARD_EMULATED __m512i _mm512_set_epi32(int a, int b, int c, int d, int e, int f, int g, int h,
                                         int i, int j, int k, int l, int m, int n, int o, int p) {
  return _mm512_setr_epi32(p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a);
}
ABOARD_EMULATED __m512i _mm512_broadcast_i32x4(__m128i a) {
  const __m128i four[4] = {a, a, a, a};
  return emulated::Read<__m512i>(four);
}
ABOARD_EMULATED __m512 _mm512_broadcast_f32x4(__m128 a) {
  const __m128 four[4] = {a, a, a, a};
  return emulated::Read<__m512>(four);
}
ABOARD_EMULATED __m512i _mm512_broadcast_i64x4(__m256i a) {
  const __m256i two[2] = {a, a};
  return emulated::Read<__m512i>(two);
}

// Floats.
ABOARD_ZIP_PS(_mm512_add_ps, x + y)
ABOARD_ZIP_PS(_mm512_sub_ps, x - y)
ABOARD_ZIP_PS(_mm512_mul_ps, x * y)
ABOARD_ZIP_PS(_mm512_div_ps, x / y)
ABOARD_ZIP_PS(_mm512_max_ps, x > y ? x : y)
ABOARD_ZIP_PS(_mm512_min_ps, x < y ? x : y)
ABOARD_EMULATED __m512 _mm512_sqrt_ps(__m512 a) {
  return emulated::Map<float>(a, [](float x) { return __builtin_sqrtf(x); });
}

// Integers.
ABOARD_ZIP(_mm512_add_epi8, uint8_t, x + y)
ABOARD_ZIP(_mm512_add_epi16, uint16_t, x + y)
ABOARD_ZIP(_mm512_add_epi32, uint32_t, x + y)
ABOARD_ZIP(_mm512_sub_epi8, uint8_t, x - y)
ABOARD_ZIP(_mm512_sub_epi16, uint16_t, x - y)
ABOARD_ZIP(_mm512_sub_epi32, uint32_t, x - y)
ABOARD_ZIP(_mm512_mullo_epi32, uint32_t, x * y)
ABOARD_ZIP(_mm512_mullo_epi16, uint16_t, (uint32_t)x * y)
ABOARD_ZIP(_mm512_max_epi32, int32_t, x > y ? x : y)
ABOARD_ZIP(_mm512_min_epi32, int32_t, x < y ? x : y)
ABOARD_ZIP(_mm512_max_epi8, int8_t, x > y ? x : y)
ABOARD_ZIP(_mm512_min_epi8, int8_t, x < y ? x : y)
ABOARD_ZIP(_mm512_and_si512, uint64_t, x & y)
ABOARD_ZIP(_mm512_and_epi32, uint64_t, x & y)
ABOARD_ZIP(_mm512_or_si512, uint64_t, x | y)
ABOARD_ZIP(_mm512_or_epi32, uint64_t, x | y)
ABOARD_ZIP(_mm512_xor_si512, uint64_t, x ^ y)
ABOARD_ZIP(_mm512_xor_epi32, uint64_t, x ^ y)
ABOARD_ZIP(_mm512_andnot_si512, uint64_t, ~x & y)
ABOARD_EMULATED __m512i _mm512_abs_epi8(__m512i a) {
  return emulated::Map<int8_t>(a, [](int x) { return x < 0 ? -x : x; });
}
ABOARD_EMULATED __m512i _mm512_abs_epi32(__m512i a) {
  return emulated::Map<uint32_t>(a, [](uint32_t x) { return x >> 31 ? -x : x; });
}
ABOARD_EMULATED __m512i _mm512_ternarylogic_epi32(__m512i a, __m512i b, __m512i c, int table) {
  const auto x = emulated::Split<uint64_t>(a), y = emulated::Split<uint64_t>(b);
  const auto z = emulated::Split<uint64_t>(c);
  return emulated::Make<__m512i, uint64_t>([&](int l) {
    uint64_t r = 0;
    for (int i = 0; i < 8; ++i) {
      if (!(table >> i & 1)) continue;
      r |= (i & 4 ? x.lane[l] : ~x.lane[l]) & (i & 2 ? y.lane[l] : ~y.lane[l]) &
           (i & 1 ? z.lane[l] : ~z.lane[l]);
    }
    return r;
  });
}
#define ABOARD_SHIFT(name, T, expression)                                            \
  ABOARD_EMULATED __m512i name(__m512i a, unsigned n) {                              \
    constexpr unsigned kBits = sizeof(T) * 8;                                        \
    return emulated::Map<T>(a, [&](T x) { return expression; });                     \
  }
ABOARD_SHIFT(_mm512_slli_epi16, uint16_t, n < kBits ? x << n : 0)
ABOARD_SHIFT(_mm512_srli_epi16, uint16_t, n < kBits ? x >> n : 0)
ABOARD_SHIFT(_mm512_srai_epi16, int16_t, x >> (n < kBits ? n : kBits - 1))
ABOARD_SHIFT(_mm512_slli_epi32, uint32_t, n < kBits ? x << n : 0)
ABOARD_SHIFT(_mm512_srli_epi32, uint32_t, n < kBits ? x >> n : 0)
ABOARD_SHIFT(_mm512_srai_epi32, int32_t, x >> (n < kBits ? n : kBits - 1))

// Dot products.
ABOARD_EMULATED __m512i _mm512_dpbusd_epi32(__m512i acc, __m512i w, __m512i x) {
  return emulated::DotBytes(acc, w, x);
}
ABOARD_EMULATED __m256i _mm256_dpbusd_epi32(__m256i acc, __m256i w, __m256i x) {
  return emulated::DotBytes(acc, w, x);
}
ABOARD_EMULATED __m256i _mm256_dpbusd_avx_epi32(__m256i acc, __m256i w, __m256i x) {
  return emulated::DotBytes(acc, w, x);
}
ABOARD_EMULATED __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
  const auto x = emulated::Split<int16_t>(a), y = emulated::Split<int16_t>(b);
  return emulated::Make<__m512i, uint32_t>([&](int l) {
    return (uint32_t)(x.lane[2 * l] * y.lane[2 * l]) +
           (uint32_t)(x.lane[2 * l + 1] * y.lane[2 * l + 1]);
  });
}
ABOARD_EMULATED __m512i _mm512_dpwssd_epi32(__m512i acc, __m512i a, __m512i b) {
  return _mm512_add_epi32(acc, _mm512_madd_epi16(a, b));
}
ABOARD_EMULATED __m512i _mm512_maddubs_epi16(__m512i a, __m512i b) {  // saturates, as it should
  const auto x = emulated::Split<uint8_t>(a);
  const auto y = emulated::Split<int8_t>(b);
  return emulated::Make<__m512i, int16_t>([&](int l) {
    const int sum = x.lane[2 * l] * y.lane[2 * l] + x.lane[2 * l + 1] * y.lane[2 * l + 1];
    return sum > 32767 ? 32767 : (sum < -32768 ? -32768 : sum);
  });
}

// Within groups of 16 bytes.
ABOARD_EMULATED __m512i _mm512_shuffle_epi8(__m512i a, __m512i indices) {
  const auto x = emulated::Split<uint8_t>(a), at = emulated::Split<uint8_t>(indices);
  return emulated::Make<__m512i, uint8_t>([&](int l) {
    return at.lane[l] & 0x80 ? 0 : x.lane[l / 16 * 16 + (at.lane[l] & 15)];
  });
}
ABOARD_EMULATED __m512 _mm512_shuffle_ps(__m512 a, __m512 b, int control) {
  return emulated::InGroups<float>(
      a, b, [&](int l) { return (control >> (2 * l) & 3) + (l < 2 ? 0 : 4); });
}
ABOARD_EMULATED __m512i _mm512_shuffle_epi32(__m512i a, int control) {
  return emulated::InGroups<int32_t>(a, a, [&](int l) { return control >> (2 * l) & 3; });
}
ABOARD_EMULATED __m512i _mm512_alignr_epi8(__m512i a, __m512i b, int n) {  // n of at most 16
  return emulated::InGroups<uint8_t>(b, a, [&](int l) { return l + n; });
}
#define ABOARD_UNPACK(Vector, name, T, high)                                         \
  ABOARD_EMULATED Vector name(Vector a, Vector b) {                                  \
    return emulated::InGroups<T>(a, b,                                               \
                                 [](int l) { return emulated::Unpacked<T>(l, high); }); \
  }
ABOARD_UNPACK(__m512i, _mm512_unpacklo_epi8, uint8_t, false)
ABOARD_UNPACK(__m512i, _mm512_unpackhi_epi8, uint8_t, true)
ABOARD_UNPACK(__m512i, _mm512_unpacklo_epi16, uint16_t, false)
ABOARD_UNPACK(__m512i, _mm512_unpackhi_epi16, uint16_t, true)
ABOARD_UNPACK(__m512i, _mm512_unpacklo_epi32, uint32_t, false)
ABOARD_UNPACK(__m512i, _mm512_unpackhi_epi32, uint32_t, true)
ABOARD_UNPACK(__m512i, _mm512_unpacklo_epi64, uint64_t, false)
ABOARD_UNPACK(__m512i, _mm512_unpackhi_epi64, uint64_t, true)
ABOARD_UNPACK(__m512, _mm512_unpacklo_ps, float, false)
ABOARD_UNPACK(__m512, _mm512_unpackhi_ps, float, true)

// Over the whole vector.
ABOARD_EMULATED __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int control) {
  return emulated::ShuffleGroups(a, b, control);
}
ABOARD_EMULATED __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int control) {
  return emulated::ShuffleGroups(a, b, control);
}
ABOARD_EMULATED __m512i _mm512_shuffle_i64x2(__m512i a, __m512i b, int control) {
  return emulated::ShuffleGroups(a, b, control);
}
ABOARD_EMULATED __m512i _mm512_permutexvar_epi32(__m512i indices, __m512i a) {
  const auto x = emulated::Split<uint32_t>(a);
  return emulated::Map<uint32_t>(indices, [&](uint32_t at) { return x.lane[at & 15]; });
}
ABOARD_EMULATED __m512 _mm512_permutexvar_ps(__m512i indices, __m512 a) {
  return (__m512)_mm512_permutexvar_epi32(indices, (__m512i)a);
}
ABOARD_EMULATED __m512i _mm512_permutex2var_epi32(__m512i a, __m512i indices, __m512i b) {
  const auto x = emulated::Split<uint32_t>(a), y = emulated::Split<uint32_t>(b);
  return emulated::Map<uint32_t>(
      indices, [&](uint32_t at) { return at & 16 ? y.lane[at & 15] : x.lane[at & 15]; });
}
ABOARD_EMULATED __m512 _mm512_permutex2var_ps(__m512 a, __m512i indices, __m512 b) {
  return (__m512)_mm512_permutex2var_epi32((__m512i)a, indices, (__m512i)b);
}
ABOARD_EMULATED __m512i _mm512_alignr_epi32(__m512i a, __m512i b, int n) {
  const auto x = emulated::Split<uint32_t>(a), y = emulated::Split<uint32_t>(b);
  return emulated::Make<__m512i, uint32_t>(
      [&](int l) { return l + n < 16 ? y.lane[l + n] : x.lane[l + n - 16]; });
}

// Parts.
#define ABOARD_PART(Vector, Part, extract, insert)                                   \
  ABOARD_EMULATED Part extract(Vector a, int index) {                                \
    return emulated::Extract<Part>(a, index);                                        \
  }                                                                                  \
  ABOARD_EMULATED Vector insert(Vector a, Part b, int index) {                       \
    return emulated::Insert(a, b, index);                                            \
  }
ABOARD_PART(__m512, __m128, _mm512_extractf32x4_ps, _mm512_insertf32x4)
ABOARD_PART(__m512, __m256, _mm512_extractf32x8_ps, _mm512_insertf32x8)
ABOARD_PART(__m512i, __m128i, _mm512_extracti32x4_epi32, _mm512_inserti32x4)
ABOARD_PART(__m512i, __m256i, _mm512_extracti32x8_epi32, _mm512_inserti32x8)
ABOARD_PART(__m512i, __m256i, _mm512_extracti64x4_epi64, _mm512_inserti64x4)
ABOARD_EMULATED __m512i _mm512_castps_si512(__m512 a) { return (__m512i)a; }
ABOARD_EMULATED __m512 _mm512_castsi512_ps(__m512i a) { return (__m512)a; }
ABOARD_EMULATED __m256i _mm512_castsi512_si256(__m512i a) {
  return emulated::Extract<__m256i>(a, 0);
}
ABOARD_EMULATED __m256 _mm512_castps512_ps256(__m512 a) { return emulated::Extract<__m256>(a, 0); }
ABOARD_EMULATED __m128i _mm512_castsi512_si128(__m512i a) {
  return emulated::Extract<__m128i>(a, 0);
}
ABOARD_EMULATED __m512i _mm512_castsi256_si512(__m256i a) {  // the rest is undefined: here 0
  return emulated::Insert(__m512i{}, a, 0);
}
ABOARD_EMULATED __m512 _mm512_castps256_ps512(__m256 a) {
  return emulated::Insert(__m512{}, a, 0);
}

// Conversions.
ABOARD_EMULATED __m512 _mm512_cvtepi32_ps(__m512i a) {
  return emulated::Convert<__m512, float, int32_t>(a);
}
ABOARD_EMULATED __m512i _mm512_cvtps_epi32(__m512 a) {  // 2^31 and beyond, and NaN: INT_MIN
  const auto x = emulated::Split<float>(a);
  return emulated::Make<__m512i, int32_t>([&](int l) {
    return x.lane[l] >= -0x1p31f && x.lane[l] < 0x1p31f ? (int32_t)__builtin_rintf(x.lane[l])
                                                        : INT32_MIN;
  });
}
ABOARD_EMULATED __m512i _mm512_cvtepi8_epi32(__m128i a) {
  return emulated::Convert<__m512i, int32_t, int8_t>(a);
}
ABOARD_EMULATED __m512i _mm512_cvtepu8_epi32(__m128i a) {
  return emulated::Convert<__m512i, int32_t, uint8_t>(a);
}
ABOARD_EMULATED __m512i _mm512_cvtepi16_epi32(__m256i a) {
  return emulated::Convert<__m512i, int32_t, int16_t>(a);
}
ABOARD_EMULATED __m512i _mm512_cvtepu16_epi32(__m256i a) {
  return emulated::Convert<__m512i, int32_t, uint16_t>(a);
}
ABOARD_EMULATED __m512i _mm512_cvtepi8_epi16(__m256i a) {
  return emulated::Convert<__m512i, int16_t, int8_t>(a);
}
ABOARD_EMULATED __m512i _mm512_cvtepu8_epi16(__m256i a) {
  return emulated::Convert<__m512i, int16_t, uint8_t>(a);
}
ABOARD_EMULATED __m128i _mm512_cvtepi32_epi8(__m512i a) {
  return emulated::Convert<__m128i, int8_t, int32_t>(a);
}
ABOARD_EMULATED __m256i _mm512_cvtepi32_epi16(__m512i a) {
  return emulated::Convert<__m256i, int16_t, int32_t>(a);
}
ABOARD_EMULATED __m128i _mm512_cvtsepi32_epi8(__m512i a) {
  const auto bounded = emulated::Map<int32_t>(
      a, [](int32_t x) { return x > 127 ? 127 : (x < -128 ? -128 : x); });
  return _mm512_cvtepi32_epi8(bounded);
}
ABOARD_EMULATED __m512 _mm512_cvtph_ps(__m256i a) {
  const __m256 half[2] = {_mm256_cvtph_ps(emulated::Extract<__m128i>(a, 0)),
                          _mm256_cvtph_ps(emulated::Extract<__m128i>(a, 1))};
  return emulated::Read<__m512>(half);
}
ABOARD_EMULATED __m256i _mm512_cvtps_ph(__m512 a, int rounding) {
  if (rounding != _MM_FROUND_TO_NEAREST_INT) __builtin_trap();
  const __m128i half[2] = {
      _mm256_cvtps_ph(emulated::Extract<__m256>(a, 0), _MM_FROUND_TO_NEAREST_INT),
      _mm256_cvtps_ph(emulated::Extract<__m256>(a, 1), _MM_FROUND_TO_NEAREST_INT)};
  return emulated::Read<__m256i>(half);
}

// Masks.
ABOARD_EMULATED __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int predicate) {
  return (__mmask16)emulated::Compare<float>(
      a, b, [&](float x, float y) { return emulated::Holds(predicate, x, y); });
}
ABOARD_EMULATED __mmask16 _mm512_cmplt_ps_mask(__m512 a, __m512 b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OS);
}
ABOARD_EMULATED __mmask16 _mm512_cmp_epi32_mask(__m512i a, __m512i b, int predicate) {
  return (__mmask16)emulated::Compare<int32_t>(
      a, b, [&](int32_t x, int32_t y) { return emulated::Holds(predicate, x, y); });
}
ABOARD_EMULATED __mmask16 _mm512_cmplt_epi32_mask(__m512i a, __m512i b) {
  return _mm512_cmp_epi32_mask(a, b, _MM_CMPINT_LT);
}
ABOARD_EMULATED __mmask16 _mm512_cmpgt_epi32_mask(__m512i a, __m512i b) {
  return _mm512_cmp_epi32_mask(b, a, _MM_CMPINT_LT);
}
ABOARD_EMULATED __mmask16 _mm512_cmpeq_epi32_mask(__m512i a, __m512i b) {
  return _mm512_cmp_epi32_mask(a, b, _MM_CMPINT_EQ);
}
ABOARD_EMULATED __m512 _mm512_mask_blend_ps(__mmask16 mask, __m512 a, __m512 b) {
  return emulated::Blend<float>(mask, a, b);
}
ABOARD_EMULATED __m512i _mm512_mask_blend_epi32(__mmask16 mask, __m512i a, __m512i b) {
  return emulated::Blend<int32_t>(mask, a, b);
}
ABOARD_EMULATED __m512 _mm512_mask_mov_ps(__m512 a, __mmask16 mask, __m512 b) {
  return emulated::Blend<float>(mask, a, b);
}
ABOARD_EMULATED __m512i _mm512_mask_mov_epi32(__m512i a, __mmask16 mask, __m512i b) {
  return emulated::Blend<int32_t>(mask, a, b);
}
ABOARD_EMULATED __m512 _mm512_maskz_mov_ps(__mmask16 mask, __m512 a) {
  return emulated::Blend<float>(mask, __m512{}, a);
}
ABOARD_EMULATED __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* p) {
  float lane[16] = {};  // lanes that the mask leaves out aren't read
  for (int l = 0; l < 16; ++l) {
    if (mask >> l & 1) lane[l] = ((const float*)p)[l];
  }
  return emulated::Read<__m512>(lane);
}
ABOARD_EMULATED void _mm512_mask_storeu_ps(void* p, __mmask16 mask, __m512 a) {
  const auto x = emulated::Split<float>(a);
  for (int l = 0; l < 16; ++l) {
    if (mask >> l & 1) ((float*)p)[l] = x.lane[l];
  }
}

// Of integers, where the order is free. Sums of floats have one order: see lanes-inl.h.
ABOARD_EMULATED int _mm512_reduce_add_epi32(__m512i a) {
  uint32_t sum = 0;
  for (const uint32_t x : emulated::Split<uint32_t>(a).lane) sum += x;
  return (int)sum;
}
ABOARD_EMULATED int _mm512_reduce_max_epi32(__m512i a) {
  int max = INT32_MIN;
  for (const int32_t x : emulated::Split<int32_t>(a).lane) max = x > max ? x : max;
  return max;
}

#undef ABOARD_ZIP
#undef ABOARD_ZIP_PS
#undef ABOARD_SHIFT
#undef ABOARD_UNPACK
#undef ABOARD_PART
#undef ABOARD_EMULATED

}  // namespace
}  // namespace aboard

#endif  // ABOARD_EMULATED_X86
