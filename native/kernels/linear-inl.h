// Matrix times quantised activations: one token straight from the packed panel, several tokens
// from a panel unpacked once into scratch memory that stays in the first-level cache.
// Expects PackedMatrix and QuantizedRows as kernels/layout.h draws them.
// Exactness: per row and sub-block in K order, acc = acc + (w_scale * x_scale) * float(dot), then
// acc = acc + minimum * (x_scale * float(sum)): the same operations in the same order everywhere.
#pragma once

namespace aboard {
namespace {

// Lanes' start: the codes' offset is taken off through the sum of the activations' codes.
template <int kOffset>
ABOARD_INLINE I32x16 StartAt(int32_t sum) {
  static_assert((kOffset & (kOffset - 1)) == 0, "a shift must do");
  if constexpr (kOffset == 0) return SplatI(0);
  return SplatI(0) - ShiftLeft<__builtin_ctz(kOffset | 1 << 30)>(SplatI(sum));
}

ABOARD_INLINE int32_t LoadFour(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return four;
}

template <int kMaxCode>
ABOARD_INLINE I32x16 Dot(U8x64 quad, int32_t four, I32x16 acc) {
  if constexpr (kMaxCode == kSigned) return DotSigned(quad, four, acc);
  return DotSmall(quad, four, acc);
}

// dot[t] += products of the quads [first, first + kCount) and token t's fours, which lie 4 * kTile
// bytes a quad behind `x`. `quad_at(q)` gives a quad.
template <int kMaxCode, int kCount, int kTokens, int kTile, class QuadAt>
ABOARD_INLINE void AddQuads(const QuadAt& quad_at, const int8_t* x, I32x16 (&dot)[kTokens]) {
#ifdef ABOARD_NARROW_SUMS
  if constexpr (kMaxCode != kSigned) {
    constexpr int kFit = kNarrowLimit / kMaxCode;
    constexpr int kRun = kFit >= kCount ? kCount : kFit >= 4 ? 4 : 2;
#pragma GCC unroll 4
    for (int first = 0; first < kCount; first += kRun) {
      NarrowSums sums[kTokens];
#pragma GCC unroll 8
      for (int q = first; q < first + kRun; ++q) {
        const U8x64 quad = quad_at(q);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          const NarrowSums products = NarrowProducts(quad, LoadFour(x + (q * kTile + t) * 4));
          sums[t] = q == first ? products : Plus(sums[t], products);
          Pin(sums[t]);
        }
      }
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) dot[t] = dot[t] + Widened(sums[t]);
    }
    return;
  }
#endif
#pragma GCC unroll 8
  for (int q = 0; q < kCount; ++q) {
    const U8x64 quad = quad_at(q);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      dot[t] = Dot<kMaxCode>(quad, LoadFour(x + (q * kTile + t) * 4), dot[t]);
      Pin(dot[t]);
    }
  }
}

// Asks for the bytes that will be read kPrefetchBytes later: panels lie one after the other. With
// that one core reads as fast as memory allows, 23-26 GB/s instead of 15 (Zen 4, Q4_1, 47 MB).
constexpr size_t kPrefetchBytes = 16384;
template <class Codes>
ABOARD_INLINE void PrefetchBlock(const uint8_t* panel, size_t block, size_t block_bytes) {
#pragma GCC unroll 9
  for (size_t line = 0; line <= Codes::kBytes; line += 64) {
    __builtin_prefetch(panel + block * block_bytes + kPrefetchBytes + line, 0, 2);
  }
}

// The sixteen rows of kPanels panels that lie `apart` bytes apart, one token that lies alone; out +
// p * out_apart takes those of panel p. `block_bytes`: of a panel's bytes, codes and scales, per
// block.
template <class Codes, class Scales, int kPanels>
ABOARD_INLINE void PanelsTimesToken(const PackedMatrix& w, const uint8_t* panels, size_t apart,
                                    size_t blocks, size_t block_bytes, const QuantizedRows& x,
                                    float* out, size_t out_apart) {
  constexpr int kSubs = Scales::kSubs;
  constexpr int kQuadsPerSub = kQuads / kSubs;
  const int32_t* sums = kSubs == 1 ? x.sums : x.sums16;
  const float* weighted = kSubs == 1 ? x.weighted : x.weighted16;
  F32x16 total[kPanels];
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) total[p] = Splat(0.0f);
  for (size_t b = 0; b < blocks; ++b) {
    const F32x16 x_scale = Splat(x.scales[b]);
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* codes = panels + p * apart;
      const uint8_t* scales = codes + w.scales_offset;
      PrefetchBlock<Codes>(codes, b, block_bytes);
      U8x64 quads[kQuads];
      Codes::Expand(codes + b * Codes::kBytes, quads);
#pragma GCC unroll 2
      for (int sub = 0; sub < kSubs; ++sub) {
        I32x16 dot[1] = {StartAt<Codes::kOffset>(sums[b * kSubs + sub])};
        AddQuads<Codes::kMaxCode, kQuadsPerSub, 1, 1>(
            [&](int q) ABOARD_LAMBDA { return quads[sub * kQuadsPerSub + q]; },
            x.codes + b * kBlock + sub * kQuadsPerSub * 4, dot);
        total[p] = total[p] + (Scales::Scale(scales, b, sub) * x_scale) * ToFloat(dot[0]);
        if constexpr (Scales::kMinimum) {
          total[p] =
              total[p] + Scales::Minimum(scales, b, sub) * Splat(weighted[b * kSubs + sub]);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) Store(total[p], out + p * out_apart);
}

// One token, two stretches of panels at once: a core reads two streams faster than one. Of what a
// plain loop over four streams reads, 76 to 90 % instead of 61 to 77 % (Zen 3, Q4_0, 85 MB).
template <class Codes, class Scales>
ABOARD_INLINE void StretchesTimesToken(const PackedMatrix& w, size_t first_panel,
                                       size_t last_panel, size_t blocks, size_t block_bytes,
                                       const QuantizedRows& x, float* y) {
  const size_t half = (last_panel - first_panel) / 2;
  for (size_t panel = first_panel; panel < first_panel + half; ++panel) {
    PanelsTimesToken<Codes, Scales, 2>(w, w.panels + panel * w.panel_bytes, half * w.panel_bytes,
                                       blocks, block_bytes, x, y + panel * kPanelRows,
                                       half * kPanelRows);
  }
  for (size_t panel = first_panel + 2 * half; panel < last_panel; ++panel) {
    PanelsTimesToken<Codes, Scales, 1>(w, w.panels + panel * w.panel_bytes, 0, blocks, block_bytes,
                                       x, y + panel * kPanelRows, 0);
  }
}

// A stretch of a panel as integers and floats, decoded once for all tokens.
struct UnpackedPanel {
  uint8_t* quads;   // (blocks, 8, 64)
  float* scales;    // (blocks, subs, 16)
  float* minimums;  // (blocks, subs, 16)
};

// What of a format is left then; formats that agree in it share their kernel.
template <int kOffsetValue, int kMaxCodeValue, int kSubsValue, bool kMinimumValue>
struct Unpacked {
  static constexpr int kOffset = kOffsetValue;
  static constexpr int kMaxCode = kMaxCodeValue;
  static constexpr int kSubs = kSubsValue;
  static constexpr bool kMinimum = kMinimumValue;
};

template <class Codes, class Scales>
ABOARD_INLINE void Unpack(const uint8_t* codes, const uint8_t* scales, size_t first_block,
                          size_t n_blocks, const UnpackedPanel& out) {
  for (size_t i = 0; i < n_blocks; ++i) {
    const size_t b = first_block + i;
    U8x64 quads[kQuads];
    Codes::Expand(codes + b * Codes::kBytes, quads);
#pragma GCC unroll 8
    for (size_t q = 0; q < kQuads; ++q) {
      StoreBytes(quads[q], out.quads + (i * kQuads + q) * kQuadBytes);
    }
#pragma GCC unroll 2
    for (int sub = 0; sub < Scales::kSubs; ++sub) {
      const size_t at = (i * Scales::kSubs + sub) * kPanelRows;
      Store(Scales::Scale(scales, b, sub), out.scales + at);
      if constexpr (Scales::kMinimum) Store(Scales::Minimum(scales, b, sub), out.minimums + at);
    }
  }
}

// Bytes to ask for while others are at work, `step` with each block.
struct Ahead {
  const uint8_t* at;
  size_t step;
};

// Sixteen rows, kTokens tokens of one tile from `token` on, blocks [first_block, first_block +
// n_blocks); y continues from the blocks before unless first_block is 0.
template <class Kind, int kTokens>
ABOARD_INLINE void TileTimesTokens(const UnpackedPanel& w, size_t first_block, size_t n_blocks,
                                   const QuantizedRows& x, size_t token, float* y, size_t y_stride,
                                   Ahead ahead) {
  constexpr int kTile = kTileTokens;
  constexpr int kSubs = Kind::kSubs;
  constexpr int kQuadsPerSub = kQuads / kSubs;
  const size_t block = token / kTile * x.blocks + first_block;
  const int8_t* x_codes = x.codes + block * kBlock * kTile + token % kTile * 4;
  const size_t at = block * kTile, in_tile = token % kTile;
  const float* x_scales = x.scales + at + in_tile;
  const int32_t* sums = (kSubs == 1 ? x.sums + at : x.sums16 + at * 2) + in_tile;
  const float* weighted = (kSubs == 1 ? x.weighted + at : x.weighted16 + at * 2) + in_tile;
  F32x16 total[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    total[t] = first_block == 0 ? Splat(0.0f) : Load(y + t * y_stride);
  }
  for (size_t b = 0; b < n_blocks; ++b) {
    for (size_t line = 0; line < ahead.step; line += 64) {
      __builtin_prefetch(ahead.at + b * ahead.step + line, 0, 2);
    }
#pragma GCC unroll 2
    for (int sub = 0; sub < kSubs; ++sub) {
      I32x16 dot[kTokens];
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        dot[t] = StartAt<Kind::kOffset>(sums[(b * kSubs + sub) * kTile + t]);
      }
      const uint8_t* quads = w.quads + (b * kQuads + sub * kQuadsPerSub) * kQuadBytes;
      AddQuads<Kind::kMaxCode, kQuadsPerSub, kTokens, kTile>(
          [&](int q) ABOARD_LAMBDA { return LoadBytes(quads + q * kQuadBytes); },
          x_codes + (b * kQuads + sub * kQuadsPerSub) * kTile * 4, dot);
      const F32x16 scale = Load(w.scales + (b * kSubs + sub) * kPanelRows);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        total[t] = total[t] + (scale * Splat(x_scales[b * kTile + t])) * ToFloat(dot[t]);
        Pin(total[t]);
      }
      if constexpr (Kind::kMinimum) {
        const F32x16 minimum = Load(w.minimums + (b * kSubs + sub) * kPanelRows);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          total[t] = total[t] + minimum * Splat(weighted[(b * kSubs + sub) * kTile + t]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) Store(total[t], y + t * y_stride);
}

// All tokens, in tiles of kTileTokens, then of halves of that; the first tile asks for what lies
// `ahead`, for the memory would else rest during the arithmetic. Not inlined: one copy a kind.
template <class Kind, int kTokens = kTileTokens>
__attribute__((noinline)) void StretchTimesTokens(const UnpackedPanel& w, size_t first_block,
                                                  size_t n_blocks, const QuantizedRows& x,
                                                  size_t token, size_t n_tokens, float* y,
                                                  size_t y_stride, Ahead ahead) {
  size_t t = 0;
  for (; t + kTokens <= n_tokens; t += kTokens) {
    TileTimesTokens<Kind, kTokens>(w, first_block, n_blocks, x, token + t, y + t * y_stride,
                                   y_stride, ahead);
    ahead.step = 0;
  }
  if constexpr (kTokens > 1) {
    if (t < n_tokens) {
      StretchTimesTokens<Kind, kTokens / 2>(w, first_block, n_blocks, x, token + t, n_tokens - t,
                                            y + t * y_stride, y_stride, ahead);
    }
  }
}

template <class Codes, class Scales>
void LinearOf(const PackedMatrix& w, size_t first_panel, size_t last_panel, const QuantizedRows& x,
              size_t n_tokens, float* y, size_t y_stride, uint8_t* scratch) {
  using Kind = Unpacked<Codes::kOffset, Codes::kMaxCode, Scales::kSubs, Scales::kMinimum>;
  const size_t blocks = w.cols / kBlock, block_bytes = w.panel_bytes / blocks;
  const UnpackedPanel unpacked = {
      scratch, (float*)(scratch + kUnpackBlocks * kQuads * kQuadBytes),
      (float*)(scratch + kUnpackBlocks * (kQuads * kQuadBytes + 2 * kPanelRows * 4))};
  if (x.tile == 1) {
    return StretchesTimesToken<Codes, Scales>(w, first_panel, last_panel, blocks, block_bytes, x,
                                              y);
  }
  for (size_t panel = first_panel; panel < last_panel; ++panel) {
    const uint8_t* codes = w.panels + panel * w.panel_bytes;
    const uint8_t* scales = codes + w.scales_offset;
    float* out = y + panel * kPanelRows;
    for (size_t first = 0; first < blocks; first += kUnpackBlocks) {
      const size_t n = blocks - first < kUnpackBlocks ? blocks - first : kUnpackBlocks;
      Unpack<Codes, Scales>(codes, scales, first, n, unpacked);
      StretchTimesTokens<Kind>(unpacked, first, n, x, 0, n_tokens, out, y_stride,
                               {codes + first * block_bytes + kPrefetchBytes, block_bytes});
    }
  }
}

}  // namespace
}  // namespace aboard
