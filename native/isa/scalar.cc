// What every CPU of the target has (SSE2 on x86-64, NEON on AArch64), by the compiler's own vectors.
// Compiled with no -m flags; vectors are four floats wide.
// Exactness: dot products are exact int32; their int16 parts can't overflow.

inline constexpr int kWidth = 4;
#include "isa/lanes-inl.h"
#include "isa/portable-inl.h"

namespace aboard {
namespace {

typedef int16_t NativeI16 __attribute__((vector_size(kWidth * 4)));

constexpr int kTileTokens = 2;  // registers are few, and the file compiles in half the time
constexpr int kSignedOffset = 0;

ABOARD_INLINE U8x64 PrepareSigned(U8x64 w) { return w; }

ABOARD_INLINE U8x64 LookUp(const int8_t (&table)[16], U8x64 indices) {
  uint8_t lane[64];
  StoreBytes(indices, lane);
  for (int l = 0; l < 64; ++l) lane[l] = (uint8_t)table[lane[l]];
  return LoadBytes(lane);
}

// Bytes 0 and 2 of a row, then 1 and 3, as int16: two products of at most 128 * 127 sum to at most
// 32512, which int16 holds. The two halves of a row are then summed as int32.
ABOARD_INLINE NativeI16 EvenBytes(NativeI16 bytes) { return (bytes << 8) >> 8; }
ABOARD_INLINE NativeI16 OddBytes(NativeI16 bytes) { return bytes >> 8; }

ABOARD_INLINE I32x16 DotSigned(U8x64 w, int32_t four, I32x16 acc) {
  const NativeI16 x = (NativeI16)(four + NativeI32{});
  const NativeI16 x_even = EvenBytes(x), x_odd = OddBytes(x);
  for (int i = 0; i < kParts; ++i) {
    const NativeI16 bytes = (NativeI16)w.v[i];
    const NativeI32 sums = (NativeI32)(EvenBytes(bytes) * x_even + OddBytes(bytes) * x_odd);
    acc.v[i] += ((sums << 16) >> 16) + (sums >> 16);
  }
  return acc;
}
// Codes of at most 63 are the same signed or not.
ABOARD_INLINE I32x16 DotSmall(U8x64 w, int32_t four, I32x16 acc) {
  return DotSigned(w, four, acc);
}
// `four`: 0 to 127, `w`: -127 to 127.
ABOARD_INLINE I32x16 DotUnsigned(U8x64 w, int32_t four, I32x16 acc) {
  return DotSigned(w, four, acc);
}

}  // namespace
}  // namespace aboard

#define ABOARD_ISA_NAME "scalar"
#define ABOARD_ISA_TABLE kScalarKernels
#include "kernels/table-inl.h"
