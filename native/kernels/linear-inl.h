// Matrix times quantised activations: one token straight from the packed panel, several tokens
// from a panel unpacked once into scratch memory that stays in the first-level cache.
// Expects PackedMatrix and QuantizedRows as kernels/layout.h draws them.
// Exactness: per row and sub-block in K order, acc = acc + (w_scale * x_scale) * float(dot), then
// acc = acc + minimum * (x_scale * float(sum)): the same operations in the same order everywhere.
#pragma once

namespace aboard {
namespace {

// Lanes' start: the codes' offset is taken off through the sum of the activations' codes.
template <class Codes>
ABOARD_INLINE I32x16 StartAt(int32_t sum) {
  return SplatI(-Codes::kOffset * sum);
}

template <class Codes>
ABOARD_INLINE I32x16 Dot(U8x64 quad, const int8_t* x, I32x16 acc) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  if constexpr (Codes::kSigned) return DotSigned(quad, four, acc);
  return DotSmall(quad, four, acc);
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

// Sixteen rows, one token. `block_bytes`: of a panel's bytes, codes and scales, per block.
template <class Codes, class Scales>
ABOARD_INLINE F32x16 PanelTimesToken(const uint8_t* codes, const uint8_t* scales, size_t blocks,
                                     size_t block_bytes, const QuantizedRows& x, size_t token) {
  const int8_t* x_codes = x.codes + token * x.blocks * kBlock;
  const float* x_scales = x.scales + token * x.blocks;
  const int32_t* sums = (Scales::kSubs == 1 ? x.sums : x.sums16) + token * x.blocks * Scales::kSubs;
  const float* weighted =
      (Scales::kSubs == 1 ? x.weighted : x.weighted16) + token * x.blocks * Scales::kSubs;
  constexpr int kQuadsPerSub = kQuads / Scales::kSubs;
  F32x16 total = Splat(0.0f);
  for (size_t b = 0; b < blocks; ++b) {
    PrefetchBlock<Codes>(codes, b, block_bytes);
    U8x64 quads[kQuads];
    Codes::Expand(codes + b * Codes::kBytes, quads);
    const F32x16 x_scale = Splat(x_scales[b]);
#pragma GCC unroll 2
    for (int sub = 0; sub < Scales::kSubs; ++sub) {
      I32x16 dot = StartAt<Codes>(sums[b * Scales::kSubs + sub]);
#pragma GCC unroll 8
      for (int q = sub * kQuadsPerSub; q < (sub + 1) * kQuadsPerSub; ++q) {
        dot = Dot<Codes>(quads[q], x_codes + b * kBlock + q * 4, dot);
      }
      total = total + (Scales::Scale(scales, b, sub) * x_scale) * ToFloat(dot);
      if constexpr (Scales::kMinimum) {
        total = total + Scales::Minimum(scales, b, sub) * Splat(weighted[b * Scales::kSubs + sub]);
      }
    }
  }
  return total;
}

// A stretch of a panel as integers and floats, decoded once for all tokens.
struct UnpackedPanel {
  uint8_t* quads;   // (blocks, 8, 64)
  float* scales;    // (blocks, subs, 16)
  float* minimums;  // (blocks, subs, 16)
};

template <class Codes, class Scales>
ABOARD_INLINE void Unpack(const uint8_t* codes, const uint8_t* scales, size_t first_block,
                          size_t n_blocks, size_t block_bytes, const UnpackedPanel& out) {
  for (size_t i = 0; i < n_blocks; ++i) {
    const size_t b = first_block + i;
    PrefetchBlock<Codes>(codes, b, block_bytes);
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

// Sixteen rows, kTokens tokens, blocks [first_block, first_block + n_blocks); y continues from the
// blocks before unless first_block is 0.
template <class Codes, class Scales, int kTokens>
ABOARD_INLINE void TileTimesTokens(const UnpackedPanel& w, size_t first_block, size_t n_blocks,
                                   const QuantizedRows& x, size_t token, float* y,
                                   size_t y_stride) {
  constexpr int kSubs = Scales::kSubs;
  constexpr int kQuadsPerSub = kQuads / kSubs;
  const size_t at = token * x.blocks + first_block;
  const int8_t* x_codes = x.codes + at * kBlock;
  const float* x_scales = x.scales + at;
  const int32_t* sums = kSubs == 1 ? x.sums + at : x.sums16 + at * 2;
  const float* weighted = kSubs == 1 ? x.weighted + at : x.weighted16 + at * 2;
  F32x16 total[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    total[t] = first_block == 0 ? Splat(0.0f) : Load(y + t * y_stride);
  }
  for (size_t b = 0; b < n_blocks; ++b) {
#pragma GCC unroll 2
    for (int sub = 0; sub < kSubs; ++sub) {
      I32x16 dot[kTokens];
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        dot[t] = StartAt<Codes>(sums[(t * x.blocks + b) * kSubs + sub]);
      }
#pragma GCC unroll 8
      for (int q = sub * kQuadsPerSub; q < (sub + 1) * kQuadsPerSub; ++q) {
        const U8x64 quad = LoadBytes(w.quads + (b * kQuads + q) * kQuadBytes);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          dot[t] = Dot<Codes>(quad, x_codes + (t * x.blocks + b) * kBlock + q * 4, dot[t]);
        }
      }
      const F32x16 scale = Load(w.scales + (b * kSubs + sub) * kPanelRows);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        total[t] = total[t] + (scale * Splat(x_scales[t * x.blocks + b])) * ToFloat(dot[t]);
      }
      if constexpr (Scales::kMinimum) {
        const F32x16 minimum = Load(w.minimums + (b * kSubs + sub) * kPanelRows);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          const float sum = weighted[(t * x.blocks + b) * kSubs + sub];
          total[t] = total[t] + minimum * Splat(sum);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) Store(total[t], y + t * y_stride);
}

// All tokens, in tiles of kTileTokens, then of halves of that.
template <class Codes, class Scales, int kTokens = kTileTokens>
ABOARD_INLINE void StretchTimesTokens(const UnpackedPanel& w, size_t first_block, size_t n_blocks,
                                      const QuantizedRows& x, size_t token, size_t n_tokens,
                                      float* y, size_t y_stride) {
  size_t t = 0;
  for (; t + kTokens <= n_tokens; t += kTokens) {
    TileTimesTokens<Codes, Scales, kTokens>(w, first_block, n_blocks, x, token + t,
                                            y + t * y_stride, y_stride);
  }
  if constexpr (kTokens > 1) {
    if (t < n_tokens) {
      StretchTimesTokens<Codes, Scales, kTokens / 2>(w, first_block, n_blocks, x, token + t,
                                                     n_tokens - t, y + t * y_stride, y_stride);
    }
  }
}

template <class Codes, class Scales>
void LinearOf(const PackedMatrix& w, size_t first_panel, size_t last_panel, const QuantizedRows& x,
              size_t token, size_t n_tokens, float* y, size_t y_stride, uint8_t* scratch) {
  const size_t blocks = w.cols / kBlock, block_bytes = w.panel_bytes / blocks;
  const UnpackedPanel unpacked = {
      scratch, (float*)(scratch + kUnpackBlocks * kQuads * kQuadBytes),
      (float*)(scratch + kUnpackBlocks * (kQuads * kQuadBytes + 2 * kPanelRows * 4))};
  for (size_t panel = first_panel; panel < last_panel; ++panel) {
    const uint8_t* codes = w.panels + panel * w.panel_bytes;
    const uint8_t* scales = codes + w.scales_offset;
    float* out = y + panel * kPanelRows;
    if (n_tokens == 1) {
      Store(PanelTimesToken<Codes, Scales>(codes, scales, blocks, block_bytes, x, token), out);
      continue;
    }
    for (size_t first = 0; first < blocks; first += kUnpackBlocks) {
      const size_t n = blocks - first < kUnpackBlocks ? blocks - first : kUnpackBlocks;
      Unpack<Codes, Scales>(codes, scales, first, n, block_bytes, unpacked);
      StretchTimesTokens<Codes, Scales>(unpacked, first, n, x, token, n_tokens, out, y_stride);
    }
  }
}

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

// kPanels panels, one token, column by column: acc = acc + w * (x_scale * float(code)). Several
// panels, for each one's sum is a chain of dependent additions.
template <class Stored, int kPanels>
ABOARD_INLINE void FloatPanelsTimesToken(const PackedMatrix& w, size_t panel,
                                         const QuantizedRows& x, size_t token, float* out) {
  const int8_t* x_codes = x.codes + token * x.blocks * kBlock;
  const float* x_scales = x.scales + token * x.blocks;
  const uint8_t* weights = w.panels + panel * w.panel_bytes;
  F32x16 total[kPanels];
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) total[p] = Splat(0.0f);
  for (size_t k = 0; k < w.cols; ++k) {
    const F32x16 value = Splat(x_scales[k / kBlock] * (float)x_codes[k]);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      total[p] = total[p] + Stored::Weights(weights + p * w.panel_bytes + k * Stored::kBytes) * value;
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) Store(total[p], out + p * kPanelRows);
}

template <class Stored>
void LinearOfFloats(const PackedMatrix& w, size_t first_panel, size_t last_panel,
                    const QuantizedRows& x, size_t token, size_t n_tokens, float* y,
                    size_t y_stride, uint8_t*) {
  size_t panel = first_panel;
  for (; panel + 4 <= last_panel; panel += 4) {
    for (size_t t = 0; t < n_tokens; ++t) {
      FloatPanelsTimesToken<Stored, 4>(w, panel, x, token + t,
                                       y + t * y_stride + panel * kPanelRows);
    }
  }
  for (; panel < last_panel; ++panel) {
    for (size_t t = 0; t < n_tokens; ++t) {
      FloatPanelsTimesToken<Stored, 1>(w, panel, x, token + t,
                                       y + t * y_stride + panel * kPanelRows);
    }
  }
}

using LinearFunction = void (*)(const PackedMatrix&, size_t, size_t, const QuantizedRows&, size_t,
                                size_t, float*, size_t, uint8_t*);

// In the order of Format.
constexpr LinearFunction kLinear[kFormats] = {
    LinearOfFloats<StoredF32>,
    LinearOfFloats<StoredF16>,
    LinearOfFloats<StoredBF16>,
    LinearOf<Codes4<8>, HalfScale>,                // Q4_0
    LinearOf<Codes4<0>, HalfScaleMinimum>,         // Q4_1
    LinearOf<Codes5<16>, HalfScale>,               // Q5_0
    LinearOf<Codes5<0>, HalfScaleMinimum>,         // Q5_1
    LinearOf<Codes8, HalfScale>,                   // Q8_0
    LinearOf<Codes2, SuperScaleMinimum16>,         // Q2_K
    LinearOf<Codes3, SuperScale16>,                // Q3_K
    LinearOf<Codes4<0>, SuperScaleMinimum>,        // Q4_K
    LinearOf<Codes5<0>, SuperScaleMinimum>,        // Q5_K
    LinearOf<Codes6, SuperScale16>,                // Q6_K
    LinearOf<CodesOfTable<kNonLinear>, HalfScale>,     // IQ4_NL
    LinearOf<CodesOfTable<kNonLinear>, SuperScale>,    // IQ4_XS
    LinearOf<CodesOfTable<kDoubledE2M1>, ExponentScale>,  // MXFP4
};

void Linear(const PackedMatrix& w, size_t first_panel, size_t last_panel, const QuantizedRows& x,
            size_t first_token, size_t n_tokens, float* y, size_t y_stride, uint8_t* scratch) {
  kLinear[(size_t)w.format](w, first_panel, last_panel, x, first_token, n_tokens, y, y_stride,
                            scratch);
}

}  // namespace
}  // namespace aboard
