// How the scales of each family of formats lie in a panel, sixteen rows side by side.
// Expects the panel's scale bytes and the index of a block (32 columns); gives float32 lanes.
// Exactness: scale = the stored parts' one exact product, as formats/<name>.py defines it.
#pragma once

namespace aboard {
namespace {

// Each type: kSubs sub-blocks a block, kMinimum whether there is a minimum, and Scale and Minimum
// of sub-block `sub` of block `block`.

// float16 scale (Q4_0, Q5_0, Q8_0, IQ4_NL).
struct HalfScale {
  static constexpr int kSubs = 1;
  static constexpr bool kMinimum = false;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int) {
    return LoadHalves(p + block * 32);
  }
};

// float16 scale and minimum (Q4_1, Q5_1).
struct HalfScaleMinimum {
  static constexpr int kSubs = 1;
  static constexpr bool kMinimum = true;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int) {
    return LoadHalves(p + block * 64);
  }
  static ABOARD_INLINE F32x16 Minimum(const uint8_t* p, size_t block, int) {
    return LoadHalves(p + block * 64 + 32);
  }
};

// Super-block: float16 scale and float16 minimum scale; block: 6-bit factors of both (Q4_K, Q5_K).
struct SuperScaleMinimum {
  static constexpr int kSubs = 1;
  static constexpr bool kMinimum = true;
  static constexpr size_t kBytes = 64 + 8 * 32;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int) {
    const uint8_t* super = p + block / 8 * kBytes;
    return LoadHalves(super) * LoadU8s(super + 64 + block % 8 * 32);
  }
  static ABOARD_INLINE F32x16 Minimum(const uint8_t* p, size_t block, int) {
    const uint8_t* super = p + block / 8 * kBytes;
    return Splat(0.0f) - LoadHalves(super + 32) * LoadU8s(super + 64 + block % 8 * 32 + 16);
  }
};

// Super-block: float16 scale; 16 columns: 8-bit signed factor (Q3_K, Q6_K).
struct SuperScale16 {
  static constexpr int kSubs = 2;
  static constexpr bool kMinimum = false;
  static constexpr size_t kBytes = 32 + 16 * 16;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int sub) {
    const uint8_t* super = p + block / 8 * kBytes;
    return LoadHalves(super) * LoadI8s(super + 32 + (block % 8 * 2 + sub) * 16);
  }
};

// Super-block: float16 scale and minimum scale; 16 columns: 4-bit factors of both (Q2_K).
struct SuperScaleMinimum16 {
  static constexpr int kSubs = 2;
  static constexpr bool kMinimum = true;
  static constexpr size_t kBytes = 64 + 16 * 32;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int sub) {
    const uint8_t* super = p + block / 8 * kBytes;
    return LoadHalves(super) * LoadU8s(super + 64 + (block % 8 * 2 + sub) * 32);
  }
  static ABOARD_INLINE F32x16 Minimum(const uint8_t* p, size_t block, int sub) {
    const uint8_t* super = p + block / 8 * kBytes;
    const F32x16 factor = LoadU8s(super + 64 + (block % 8 * 2 + sub) * 32 + 16);
    return Splat(0.0f) - LoadHalves(super + 32) * factor;
  }
};

// Super-block: float16 scale; block: signed factor (IQ4_XS).
struct SuperScale {
  static constexpr int kSubs = 1;
  static constexpr bool kMinimum = false;
  static constexpr size_t kBytes = 32 + 8 * 16;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int) {
    const uint8_t* super = p + block / 8 * kBytes;
    return LoadHalves(super) * LoadI8s(super + 32 + block % 8 * 16);
  }
};

// A power of two by its exponent byte e, halved: 2^(e - 128) (MXFP4, whose codes are doubled).
struct ExponentScale {
  static constexpr int kSubs = 1;
  static constexpr bool kMinimum = false;
  static ABOARD_INLINE F32x16 Scale(const uint8_t* p, size_t block, int) {
    const I32x16 e = WidenU8s(p + block * 16);
    const I32x16 denormal = Select(Less(e, SplatI(1)), SplatI(0x00200000), SplatI(0x00400000));
    return FromBits(Select(Less(e, SplatI(2)), denormal, ShiftLeft<23>(e - SplatI(1))));
  }
};

}  // namespace
}  // namespace aboard
