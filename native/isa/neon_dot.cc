// AArch64 NEON with the dot product extension, 128 bits: byte products by sdot.
// Compiled with its own -march: C headers and anonymous namespaces only, so that the linker can
// never pick this code for an older CPU.
// Exactness: sdot sums four products in int32 without saturation; codes of at most 63 are the same
// signed or not.
#include <arm_neon.h>

inline constexpr int kWidth = 4;
#define ABOARD_OWN_HALVES
#define ABOARD_OWN_SUM_TREES
#include "isa/lanes-inl.h"
#include "isa/portable-inl.h"

namespace aboard {
namespace {

constexpr int kTileTokens = 4;
constexpr int kSignedOffset = 0;

ABOARD_INLINE U8x64 PrepareSigned(U8x64 w) { return w; }

ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four));
  for (int i = 0; i < 4; ++i) {
    acc.v[i] = (NativeI32)vdotq_s32((int32x4_t)acc.v[i], (int8x16_t)w.v[i], x);
  }
  return acc;
}
ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  return DotSigned(w, four, acc);
}
// `four`: 0 to 127, `w`: -127 to 127.
ABOARD_INLINE I32x16 DotUnsigned(U8x64 w, int32_t four, I32x16 acc) {
  return DotSigned(w, four, acc);
}

ABOARD_INLINE U8x64 LookUp(const int8_t (&table)[16], U8x64 indices) {
  const int8x16_t values = vld1q_s8(table);
  for (int i = 0; i < 4; ++i) {
    indices.v[i] = (NativeU8)vqtbl1q_s8(values, (uint8x16_t)indices.v[i]);
  }
  return indices;
}

ABOARD_INLINE F32x16 LoadHalves(const uint8_t* p) {
  F32x16 r;
  for (int i = 0; i < 4; ++i) {
    r.v[i] = (NativeF32)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + i * 8)));
  }
  return r;
}
ABOARD_INLINE void StoreHalves(F32x16 a, uint16_t* p) {
  for (int i = 0; i < 4; ++i) {
    vst1_u16(p + i * 4, vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)a.v[i])));
  }
}

// Four keys: lanes l + l+8 and l+4 as vectors; transposed, the last two levels are vectors too.
ABOARD_INLINE NativeF32 SumTreesOf4(const F32x16* a) {
  float32x4_t fours[4];
  for (int j = 0; j < 4; ++j) {
    fours[j] = (float32x4_t)((a[j].v[0] + a[j].v[2]) + (a[j].v[1] + a[j].v[3]));
  }
  const float32x4_t low01 = vzip1q_f32(fours[0], fours[1]), high01 = vzip2q_f32(fours[0], fours[1]);
  const float32x4_t low23 = vzip1q_f32(fours[2], fours[3]), high23 = vzip2q_f32(fours[2], fours[3]);
  // low: lanes 0 and 1 of two keys each; high: lanes 2 and 3.
  const NativeF32 evens = (NativeF32)vcombine_f32(vget_low_f32(low01), vget_low_f32(low23)) +
                          (NativeF32)vcombine_f32(vget_low_f32(high01), vget_low_f32(high23));
  const NativeF32 odds = (NativeF32)vcombine_f32(vget_high_f32(low01), vget_high_f32(low23)) +
                         (NativeF32)vcombine_f32(vget_high_f32(high01), vget_high_f32(high23));
  return evens + odds;
}
ABOARD_INLINE F32x16 SumTrees(const F32x16 (&a)[16]) {
  F32x16 r;
  for (int i = 0; i < 4; ++i) r.v[i] = SumTreesOf4(a + i * 4);
  return r;
}

}  // namespace
}  // namespace aboard

#define ABOARD_ISA_NAME "neon_dot"
#define ABOARD_ISA_TABLE kNeonDotKernels
#include "kernels/table-inl.h"
