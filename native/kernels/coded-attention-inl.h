// Queries against one chunk of at most 64 keys whose keys and values are int8: products in int32.
// Expects a CodedChunk and CodedRow as kernels/layout.h draws them; what lies beyond the visible
// keys may be anything.
// Exactness: scores and values by blocks of 32 in order, dot products exact; the softmax, and the
// joining of chunks, are those of attention-inl.h. See docs/decisions/0003-int8-kv-cache.md.
#pragma once

namespace aboard {
namespace {

// Weights of a chunk's values for one query, 0 to 127 per block of 32 keys.
struct CodedWeights {
  int8_t codes[kKeyChunk];
  float scales[kKeyChunk / kBlock];
};

// How a block of a query meets the keys.
#ifdef ABOARD_WIDE_KEYS
using QueryCode = int16_t;
constexpr int kKeyOffset = 0;
ABOARD_INLINE WideKeys PrepareKeys(U8x64 quad) { return Widened(quad); }
ABOARD_INLINE void PrepareQuery(const int8_t* codes, QueryCode* out) { WidenQuery(codes, out); }
ABOARD_INLINE I32x16 DotKeys(const WideKeys& quad, const QueryCode* four, I32x16 acc) {
  return DotWide(quad, four, acc);
}
#else
using QueryCode = int8_t;
constexpr int kKeyOffset = kSignedOffset;
ABOARD_INLINE U8x64 PrepareKeys(U8x64 quad) { return PrepareSigned(quad); }
ABOARD_INLINE void PrepareQuery(const int8_t* codes, QueryCode* out) { memcpy(out, codes, kBlock); }
ABOARD_INLINE I32x16 DotKeys(const U8x64& quad, const QueryCode* four, I32x16 acc) {
  return DotSigned(quad, LoadFour(four), acc);
}
#endif

// Scores of sixteen keys, one a lane, for each of kQueries, as `linear` would give for such rows.
template <int kQueries>
ABOARD_INLINE void ScoresOf16Codes(const ChunkQuery* queries, const QueryCode* codes,
                                   const int8_t* keys, const float* key_scales, size_t blocks,
                                   F32x16 (&scores)[kQueries]) {
#pragma GCC unroll 4
  for (int t = 0; t < kQueries; ++t) scores[t] = Splat(0.0f);
#pragma GCC unroll 1
  for (size_t b = 0; b < blocks; ++b) {
    I32x16 dot[kQueries];
#pragma GCC unroll 4
    for (int t = 0; t < kQueries; ++t) {
      dot[t] = StartAt<kKeyOffset>(queries[t].coded.sums[b]);
    }
#pragma GCC unroll 1
    for (size_t q = 0; q < kQuads; ++q) {
      const auto quad =
          PrepareKeys(LoadBytes((const uint8_t*)keys + (b * kQuads + q) * kQuadBytes));
#pragma GCC unroll 4
      for (int t = 0; t < kQueries; ++t) {
        dot[t] = DotKeys(quad, codes + (b * kQueries + t) * kBlock + q * 4, dot[t]);
        Pin(dot[t]);
      }
    }
    const F32x16 scale = Load(key_scales + b * 16);
#pragma GCC unroll 4
    for (int t = 0; t < kQueries; ++t) {
      scores[t] = scores[t] + (scale * Splat(queries[t].coded.scales[b])) * ToFloat(dot[t]);
    }
  }
}

// What the values are multiplied by: weight * scale of the value, as codes of 32 keys.
ABOARD_INLINE void CodeWeights(const ChunkQuery& query, size_t first_group, size_t last_group,
                               const float* weights, const float* value_scales,
                               CodedWeights& out) {
  for (size_t block = 0; block < kKeyChunk / kBlock; ++block) {
    F32x16 half[2];
    for (size_t h = 0; h < 2; ++h) {
      const size_t g = block * 2 + h;
      half[h] = Splat(0.0f);
      if (g < first_group || g >= last_group) continue;
      half[h] = Load(weights + g * 16) * Load(value_scales + g * 16);
      if (!SeesAll(query, g)) half[h] = Select(Visible(query, g), half[h], Splat(0.0f));
    }
    // No weight is negative: their bits are in their order, a NaN's above all.
    const float scale = BlockScale(MaxLaneI(MaxI(Bits(half[0]), Bits(half[1]))));
    const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    for (size_t h = 0; h < 2; ++h) {
      StoreAsI8s(CodesOf(half[h], scale, inverse), out.codes + block * kBlock + h * 16);
    }
    out.scales[block] = scale;
  }
}

template <int kQueries>
__attribute__((noinline)) void ScoreCodes(const ChunkQuery* queries, const CodedChunk& chunk,
                                          size_t blocks, float scale, float cap,
                                          CodedWeights* weights) {
  const auto [first_group, last_group] = GroupsSeen<kQueries>(queries);
  QueryCode codes[kQueries * kMaxHead];  // (blocks, kQueries, 32)
  for (size_t b = 0; b < blocks; ++b) {
    for (int q = 0; q < kQueries; ++q) {
      PrepareQuery(queries[q].coded.codes + b * kBlock, codes + (b * kQueries + q) * kBlock);
    }
  }
  F32x16 scores[kQueries][kKeyChunk / 16];
  for (size_t g = first_group; g < last_group; ++g) {
    F32x16 all[kQueries];
    ScoresOf16Codes<kQueries>(queries, codes, chunk.keys + g * blocks * kBlock * 16,
                              chunk.key_scales + g * blocks * 16, blocks, all);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) scores[q][g] = all[q] * Splat(scale);
  }
  if (cap > 0.0f) CapScores(kQueries, first_group, last_group, cap, scores);
  Weights floats[kQueries];
  Soften<kQueries>(queries, first_group, last_group, scores, floats);
  for (int q = 0; q < kQueries; ++q) {
    CodeWeights(queries[q], first_group, last_group, floats[q], chunk.value_scales, weights[q]);
  }
}

// Weighted values, sixteen columns at a time. Keys that a query doesn't see have codes of 0.
template <int kQueries>
__attribute__((noinline)) void WeighCodes(const ChunkQuery* queries, const CodedChunk& chunk,
                                          size_t d_padded, const CodedWeights* weights) {
  for (size_t at = 0; at < d_padded; at += 16) {
    const uint8_t* values = (const uint8_t*)chunk.values + at * kKeyChunk;
    F32x16 sums[kQueries];
#pragma GCC unroll 4
    for (int t = 0; t < kQueries; ++t) sums[t] = Splat(0.0f);
#pragma GCC unroll 1
    for (size_t block = 0; block < kKeyChunk / kBlock; ++block) {
      I32x16 dot[kQueries];
#pragma GCC unroll 4
      for (int t = 0; t < kQueries; ++t) dot[t] = SplatI(0);
#pragma GCC unroll 8
      for (size_t q = 0; q < kQuads; ++q) {
        const U8x64 quad = LoadBytes(values + (block * kQuads + q) * kQuadBytes);
#pragma GCC unroll 4
        for (int t = 0; t < kQueries; ++t) {
          dot[t] = DotUnsigned(quad, LoadFour(weights[t].codes + block * kBlock + q * 4), dot[t]);
          Pin(dot[t]);
        }
      }
#pragma GCC unroll 4
      for (int t = 0; t < kQueries; ++t) {
        sums[t] = sums[t] + Splat(weights[t].scales[block]) * ToFloat(dot[t]);
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < kQueries; ++t) Store(sums[t], queries[t].out.out + at);
  }
}

void AttendCodes(const ChunkQuery* queries, size_t n_queries, const CodedChunk& chunk, size_t d,
                 float scale, float cap) {
  const size_t blocks = (d + kBlock - 1) / kBlock, d_padded = (d + 15) / 16 * 16;
  CodedWeights weights[kTogether];
  while (n_queries > 0) {
    const size_t n = n_queries < kTogether ? n_queries : kTogether;
    InTiles(n, [&](auto size, size_t first) {
      ScoreCodes<decltype(size)::kValue>(queries + first, chunk, blocks, scale, cap,
                                         weights + first);
    });
    InTiles(n, [&](auto size, size_t first) {
      WeighCodes<decltype(size)::kValue>(queries + first, chunk, d_padded, weights + first);
    });
    queries += n;
    n_queries -= n;
  }
}

// One scale for n values; up to the next multiple of 16 their codes are 0.
float QuantizeHead(const float* x, size_t n, int8_t* codes) {
  I32x16 largest = SplatI(0);
  for (size_t i = 0; i < n; i += 16) {
    largest = MaxI(largest, Bits(LoadUpTo16(x + i, n - i)) & SplatI(0x7fffffff));
  }
  const float scale = BlockScale(MaxLaneI(largest));
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  for (size_t i = 0; i < n; i += 16) {
    StoreAsI8s(CodesOf(LoadUpTo16(x + i, n - i), scale, inverse), codes + i);
  }
  return scale;
}

}  // namespace
}  // namespace aboard
