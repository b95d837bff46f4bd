// Matrix of floats times quantised activations: the activations become floats again, a stretch of
// columns at a time, and meet several panels.
// Expects PackedMatrix and QuantizedRows as kernels/layout.h draws them.
// Exactness: per row, column by column, acc = acc + w * (x_scale * float(code)).
#pragma once

namespace aboard {
namespace {

// How a float format's sixteen weights of one column become float32, exactly.
struct StoredF32 {
  static constexpr size_t kBytes = 64;
  static ABOARD_INLINE F32x16 Weights(const uint8_t* p) { return Load((const float*)p); }
};
struct StoredF16 {
  static constexpr size_t kBytes = 32;
  static ABOARD_INLINE F32x16 Weights(const uint8_t* p) { return LoadHalves(p); }
};
struct StoredBF16 {
  static constexpr size_t kBytes = 32;
  static ABOARD_INLINE F32x16 Weights(const uint8_t* p) {
    return FromBits(ShiftLeft<16>(WidenU16s(p)));
  }
};

// Columns whose activations are floats at a time: with a tile of eight tokens, 8 KiB.
constexpr size_t kFloatCols = 256;

// The activations of columns [first, first + n) of the tile of `token`, (n, tile) float32.
ABOARD_INLINE void Dequantize(const QuantizedRows& x, size_t token, size_t first, size_t n,
                              float* out) {
  const size_t tile = x.tile;
  for (size_t k = first; k < first + n; ++k) {
    const size_t block = token / tile * x.blocks + k / kBlock;
    const int8_t* codes = x.codes + (block * kQuads + k % kBlock / 4) * tile * 4 + k % 4;
    const float* scales = x.scales + block * tile;
    for (size_t t = 0; t < tile; ++t) *out++ = scales[t] * (float)codes[t * 4];
  }
}

// kPanels panels, kTokens tokens of a tile: several sums, for each is a chain of additions.
template <class Stored, int kPanels, int kTokens, int kTile>
ABOARD_INLINE void FloatPanelsTimesTokens(const PackedMatrix& w, size_t panel, size_t first,
                                          size_t n, const float* values, float* y,
                                          size_t y_stride) {
  const uint8_t* weights = w.panels + panel * w.panel_bytes + first * Stored::kBytes;
  float* out = y + panel * kPanelRows;
  F32x16 total[kPanels][kTokens];
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      total[p][t] = first == 0 ? Splat(0.0f) : Load(out + t * y_stride + p * kPanelRows);
    }
  }
  for (size_t k = 0; k < n; ++k) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* at = weights + p * w.panel_bytes + k * Stored::kBytes;
      __builtin_prefetch(at + kPrefetchBytes / 4, 0, 2);
      const F32x16 weight = Stored::Weights(at);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        total[p][t] = total[p][t] + weight * Splat(values[k * kTile + t]);
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) Store(total[p][t], out + t * y_stride + p * kPanelRows);
  }
}

template <class Stored, int kTokens = kTileTokens>
ABOARD_INLINE void FloatPanelsTimesTile(const PackedMatrix& w, size_t panel, size_t first, size_t n,
                                        size_t n_tokens, const float* values, float* y,
                                        size_t y_stride) {
  size_t t = 0;
  for (; t + kTokens <= n_tokens; t += kTokens) {
    FloatPanelsTimesTokens<Stored, 1, kTokens, kTileTokens>(w, panel, first, n, values + t,
                                                            y + t * y_stride, y_stride);
  }
  if constexpr (kTokens > 1) {
    if (t < n_tokens) {
      FloatPanelsTimesTile<Stored, kTokens / 2>(w, panel, first, n, n_tokens - t, values + t,
                                                y + t * y_stride, y_stride);
    }
  }
}

// kPanels panels and all tokens. The tiles of a stretch of columns share its weights in the cache.
template <class Stored, int kPanels>
__attribute__((noinline)) void FloatPanels(const PackedMatrix& w, size_t panel,
                                           const QuantizedRows& x, size_t n_tokens, float* y,
                                           size_t y_stride, float* values) {
  for (size_t first = 0; first < w.cols; first += kFloatCols) {
    const size_t n = w.cols - first < kFloatCols ? w.cols - first : kFloatCols;
    if (x.tile == 1) {
      Dequantize(x, 0, first, n, values);
      FloatPanelsTimesTokens<Stored, kPanels, 1, 1>(w, panel, first, n, values, y, y_stride);
      continue;
    }
    for (size_t t = 0; t < n_tokens; t += kTileTokens) {
      const size_t left = n_tokens - t, tokens = left < kTileTokens ? left : kTileTokens;
      Dequantize(x, t, first, n, values);
      for (size_t p = 0; p < kPanels; ++p) {
        FloatPanelsTimesTile<Stored>(w, panel + p, first, n, tokens, values, y + t * y_stride,
                                     y_stride);
      }
    }
  }
}

template <class Stored>
void LinearOfFloats(const PackedMatrix& w, size_t first_panel, size_t last_panel,
                    const QuantizedRows& x, size_t n_tokens, float* y, size_t y_stride,
                    uint8_t* scratch) {
  size_t panel = first_panel;
  for (; panel + 4 <= last_panel; panel += 4) {
    FloatPanels<Stored, 4>(w, panel, x, n_tokens, y, y_stride, (float*)scratch);
  }
  for (; panel < last_panel; ++panel) {
    FloatPanels<Stored, 1>(w, panel, x, n_tokens, y, y_stride, (float*)scratch);
  }
}

}  // namespace
}  // namespace aboard
