// The values that codes stand for, and which is nearest: lane-wise, in one machine vector.
// Expects isa/lanes-inl.h.
// Exactness: lane-wise IEEE operations; halves go to the even code, midpoints of tables down, NaN to
// the lowest level.
#pragma once

#include "kernels/layout.h"

namespace aboard {
namespace {

// All integers from kLow to kHigh.
template <int kLowest, int kHighest>
struct IntegerLevels {
  static constexpr int kLow = kLowest, kHigh = kHighest;
  static ABOARD_INLINE NativeF32 Nearest(NativeF32 t) {
    const NativeF32 low = (float)kLow - NativeF32{}, high = (float)kHigh - NativeF32{};
    t = low < t ? t : low;
    t = t < high ? t : high;
    const NativeF32 rounder = 0x1.8p23f - NativeF32{};
    return (t + rounder) - rounder;
  }
  // The number of the nearest level, from 0.
  static ABOARD_INLINE NativeF32 Index(NativeF32 t) {
    return Nearest(t) - ((float)kLow - NativeF32{});
  }
};

// The values of IQ4_NL and IQ4_XS.
struct TableLevels {
  // From `first` up: at each middle between two values that t is above, what `step` says.
  template <class Step>
  static ABOARD_INLINE NativeF32 Climbed(NativeF32 t, float first, Step step) {
    NativeF32 level = first - NativeF32{};
#pragma GCC unroll 16
    for (int i = 1; i < 16; ++i) {
      const NativeF32 middle = 0.5f * (float)(kNonLinear[i - 1] + kNonLinear[i]) - NativeF32{};
      level += (NativeF32)((NativeI32)(middle < t) & (NativeI32)(step(i) - NativeF32{}));
    }
    return level;
  }
  static ABOARD_INLINE NativeF32 Nearest(NativeF32 t) {
    return Climbed(t, kNonLinear[0], [](int i) ABOARD_LAMBDA {
      return (float)(kNonLinear[i] - kNonLinear[i - 1]);
    });
  }
  static ABOARD_INLINE NativeF32 Index(NativeF32 t) {
    return Climbed(t, 0.0f, [](int) ABOARD_LAMBDA { return 1.0f; });
  }
};

}  // namespace
}  // namespace aboard
