// Queries against one chunk of at most 64 keys, and the joining of chunks.
// Expects values as (64, d) float32 or float16, keys as (64, d) float16 or as columns, (4, d, 16)
// float32; d a multiple of 16, zeros beyond the head's size. What lies beyond the visible keys may
// be anything.
// Exactness: scores and sums of weights by sixteen lanes and one tree, values in order of the keys;
// chunks are joined in order. Nothing depends on how the work was spread.
#pragma once

namespace aboard {
namespace {

template <int kSize>
struct Size {
  static constexpr int kValue = kSize;
};

// Calls step(size, first) for tiles of at most four of n queries.
template <class F>
ABOARD_INLINE void InTiles(size_t n, const F& step) {
  size_t first = 0;
  for (; n - first > 4 || n - first == 3; first += 3) step(Size<3>(), first);
  if (n - first == 4) step(Size<4>(), first);
  if (n - first == 2) step(Size<2>(), first);
  if (n - first == 1) step(Size<1>(), first);
}

// The same for tiles of at most kMost, a power of two.
template <int kMost, class F>
ABOARD_INLINE void InHalvedTiles(size_t n, const F& step, size_t first = 0) {
  for (; n - first >= (size_t)kMost; first += kMost) step(Size<kMost>(), first);
  if constexpr (kMost > 1) InHalvedTiles<kMost / 2>(n, step, first);
}

// How sixteen elements become float32, exactly, and whether keys come as columns.
struct FloatElements {
  using Element = float;
  static ABOARD_INLINE F32x16 At(const float* p) { return Load(p); }
  template <class F>
  static ABOARD_INLINE void InScoreTiles(size_t n, const F& step) {
    InHalvedTiles<kWidth == 16 ? 4 : 2>(n, step);
  }
};
struct HalfElements {
  using Element = uint16_t;
  static ABOARD_INLINE F32x16 At(const uint16_t* p) { return LoadHalves((const uint8_t*)p); }
  template <class F>
  static ABOARD_INLINE void InScoreTiles(size_t n, const F& step) {
    InTiles(n, step);
  }
};

// Scores of the sixteen keys from `first` on for each of kQueries, lane j = tree sum of query * key
// j. Tiles of queries and keys, so that both are loaded less often than they are multiplied.
template <int kQueries>
ABOARD_INLINE void ScoresOf16(const ChunkQuery* queries, const uint16_t* keys, size_t first,
                              size_t d, F32x16 (&scores)[kQueries]) {
  keys += first * d;
  constexpr int kKeys = kQueries >= 4 ? 1 : 2;
  F32x16 products[kQueries][16];
#pragma GCC unroll 1
  for (int j = 0; j < 16; j += kKeys) {
    F32x16 sums[kQueries][kKeys];
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 2
      for (int k = 0; k < kKeys; ++k) sums[q][k] = Splat(0.0f);
    }
#pragma GCC unroll 1
    for (size_t i = 0; i < d; i += 16) {
      F32x16 key[kKeys];
#pragma GCC unroll 2
      for (int k = 0; k < kKeys; ++k) key[k] = HalfElements::At(keys + (j + k) * d + i);
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) {
#pragma GCC unroll 4
        for (int q = 0; q < kQueries; ++q) {
          const F32x16 query = Load(queries[q].query + i);
#pragma GCC unroll 2
          for (int k = 0; k < kKeys; ++k) AddProductPart(sums[q][k], query, key[k], part);
        }
      }
    }
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 2
      for (int k = 0; k < kKeys; ++k) products[q][j + k] = sums[q][k];
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) scores[q] = SumTrees(products[q]);
}

// The same over columns of keys. Lanes are keys, so that the sixteen sums of a score are vectors,
// and the tree that adds them needs no shuffles; it is walked so that few of them are alive at once.
template <int kQueries>
struct ColumnScores {
  struct Sums {
    F32x16 of[kQueries];
  };

  const ChunkQuery* queries;
  const float* columns;
  size_t d;

  ABOARD_INLINE void Add(Sums& sums, size_t i) const {
    const F32x16 key = Load(columns + i * 16);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const F32x16 query = Splat(queries[q].query[i]);
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) AddProductPart(sums.of[q], query, key, part);
    }
  }
  static ABOARD_INLINE Sums Plus(const Sums& a, const Sums& b) {
    Sums sums;
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) sums.of[q] = a.of[q] + b.of[q];
    return sums;
  }
  // Lanes l and l+8, together, for the additions of one are a chain.
  ABOARD_INLINE Sums Two(size_t lane) const {
    Sums low, high;
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) low.of[q] = high.of[q] = Splat(0.0f);
#pragma GCC unroll 1
    for (size_t i = lane; i < d; i += 16) {
      Add(low, i);
      Add(high, i + 8);
    }
    return Plus(low, high);
  }
  ABOARD_INLINE Sums Four(size_t lane) const { return Plus(Two(lane), Two(lane + 4)); }
  ABOARD_INLINE Sums All() const {
    const Sums even = Plus(Four(0), Four(2));
    return Plus(even, Plus(Four(1), Four(3)));
  }
};

template <int kQueries>
ABOARD_INLINE void ScoresOf16(const ChunkQuery* queries, const float* columns, size_t first,
                              size_t d, F32x16 (&scores)[kQueries]) {
  const auto sums = ColumnScores<kQueries>{queries, columns + first * d, d}.All();
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) scores[q] = sums.of[q];
}

// kVectors * 16 elements of the weighted values of kQueries, whose keys [first, last) are the same.
template <class Elements, int kQueries, int kVectors>
ABOARD_INLINE void WeighValues(const float (*weights)[kKeyChunk],
                               const typename Elements::Element* values, size_t first, size_t last,
                               size_t d, const ChunkQuery* queries, size_t at) {
  F32x16 sums[kQueries][kVectors];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) sums[q][i] = Splat(0.0f);
  }
#pragma GCC unroll 1
  for (size_t j = first; j < last; ++j) {
    F32x16 value[kVectors];
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) value[i] = Elements::At(values + j * d + at + i * 16);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const F32x16 weight = Splat(weights[q][j]);
#pragma GCC unroll 4
      for (int i = 0; i < kVectors; ++i) {
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
          AddProductPart(sums[q][i], weight, value[i], part);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) Store(sums[q][i], queries[q].out.out + at + i * 16);
  }
}

template <class Elements, int kQueries>
ABOARD_INLINE void WeighAllValues(const float (*weights)[kKeyChunk],
                                  const typename Elements::Element* values, size_t d,
                                  const ChunkQuery* queries) {
  constexpr int kVectors = kWidth == 16 ? 4 : kQueries >= 4 ? 1 : 2;
  const size_t first = queries->first, last = queries->last;
  size_t i = 0;
  for (; i + kVectors * 16 <= d; i += kVectors * 16) {
    WeighValues<Elements, kQueries, kVectors>(weights, values, first, last, d, queries, i);
  }
  for (; i < d; i += 16) {
    WeighValues<Elements, kQueries, 1>(weights, values, first, last, d, queries, i);
  }
}

// Which keys of group `g` the query sees.
ABOARD_INLINE I32x16 Visible(const ChunkQuery& query, size_t g) {
  constexpr int32_t kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const I32x16 key = LoadI(kLane) + SplatI((int32_t)(g * 16));
  return Less(key, SplatI(query.last)) & Less(SplatI(query.first - 1), key);
}

ABOARD_INLINE bool SeesAll(const ChunkQuery& query, size_t g) {
  return query.first <= (int32_t)(g * 16) && (int32_t)(g * 16 + 16) <= query.last;
}

using Weights = float[kKeyChunk];

// Queries whose weights are held at once, between the keys of a chunk and its values.
constexpr size_t kTogether = 12;

// Groups of sixteen keys of which any of the queries sees some: [first, last).
struct Groups {
  size_t first, last;
};
template <int kQueries>
ABOARD_INLINE Groups GroupsSeen(const ChunkQuery* queries) {
  int32_t first = queries[0].first, last = queries[0].last;
  for (int q = 1; q < kQueries; ++q) {
    if (queries[q].first < first) first = queries[q].first;
    if (queries[q].last > last) last = queries[q].last;
  }
  return {(size_t)first / 16, ((size_t)last + 15) / 16};
}

// What the softmax makes of each query's scores of groups [first_group, last_group) of sixteen keys:
// weights, their sum, the highest score. Step by step for all queries: those of one wait for each
// other.
template <int kQueries>
ABOARD_INLINE void Soften(const ChunkQuery* queries, size_t first_group, size_t last_group,
                          F32x16 (*scores)[kKeyChunk / 16], Weights* weights) {
  const F32x16 lowest = Splat(-__builtin_inff());
  for (int q = 0; q < kQueries; ++q) {
    F32x16 highest = lowest;
    for (size_t g = first_group; g < last_group; ++g) {
      if (!SeesAll(queries[q], g)) {
        scores[q][g] = Select(Visible(queries[q], g), scores[q][g], lowest);
      }
      highest = Max(highest, scores[q][g]);
    }
    *queries[q].out.max = MaxLane(highest);
  }
  for (int q = 0; q < kQueries; ++q) {
    const F32x16 max = Splat(*queries[q].out.max);
    F32x16 sum = Splat(0.0f);
    for (size_t g = first_group; g < last_group; ++g) {
      const F32x16 weight = Exp(scores[q][g] - max);
      Store(weight, weights[q] + g * 16);
      sum = sum + weight;
    }
    *queries[q].out.sum = SumTree(sum);
  }
}

// Scores of groups [first_group, last_group), capped; by itself, for few models do so.
__attribute__((noinline)) void CapScores(size_t n_queries, size_t first_group, size_t last_group,
                                         float cap, F32x16 (*scores)[kKeyChunk / 16]) {
  for (size_t q = 0; q < n_queries; ++q) {
    for (size_t g = first_group; g < last_group; ++g) scores[q][g] = SoftCap(scores[q][g], cap);
  }
}

template <class Elements, int kQueries>
__attribute__((noinline)) void ScoreTile(const ChunkQuery* queries,
                                         const typename Elements::Element* keys, size_t d,
                                         float scale, float cap, Weights* weights) {
  const auto [first_group, last_group] = GroupsSeen<kQueries>(queries);
  F32x16 scores[kQueries][kKeyChunk / 16];
  for (size_t g = first_group; g < last_group; ++g) {
    F32x16 all[kQueries];
    ScoresOf16<kQueries>(queries, keys, g * 16, d, all);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) scores[q][g] = all[q] * Splat(scale);
  }
  if (cap > 0.0f) CapScores(kQueries, first_group, last_group, cap, scores);
  Soften<kQueries>(queries, first_group, last_group, scores, weights);
}

template <class Elements, int kQueries>
__attribute__((noinline)) void WeighTile(const ChunkQuery* queries,
                                         const typename Elements::Element* values, size_t d,
                                         const Weights* weights) {
  bool alike = true;
  for (int q = 1; q < kQueries; ++q) {
    alike = alike && queries[q].first == queries[0].first && queries[q].last == queries[0].last;
  }
  if (alike) return WeighAllValues<Elements, kQueries>(weights, values, d, queries);
  for (int q = 0; q < kQueries; ++q) {
    WeighAllValues<Elements, 1>(weights + q, values, d, queries + q);
  }
}

// Keys, then values: a chunk of one of them at a time fits the first-level cache.
template <class Elements>
void Attend(const ChunkQuery* queries, size_t n_queries, const typename Elements::Element* keys,
            const typename Elements::Element* values, size_t d, float scale, float cap) {
  Weights weights[kTogether];
  for (; n_queries > 0; queries += kTogether) {
    const size_t n = n_queries < kTogether ? n_queries : kTogether;
    Elements::InScoreTiles(n, [&](auto size, size_t first) ABOARD_LAMBDA {
      ScoreTile<Elements, decltype(size)::kValue>(queries + first, keys, d, scale, cap,
                                                  weights + first);
    });
    InTiles(n, [&](auto size, size_t first) ABOARD_LAMBDA {
      WeighTile<Elements, decltype(size)::kValue>(queries + first, values, d, weights + first);
    });
    n_queries -= n;
  }
}

// (64, d) float16 keys, n_keys of them (up to three more are read), as columns, sixteen keys side
// by side, (4, d, 16) float32; by squares of four.
void HalvesToColumns(const uint16_t* keys, size_t n_keys, size_t d, float* columns) {
  typedef float Four __attribute__((vector_size(16)));
  for (size_t j = 0; j < n_keys; j += 4) {
    for (size_t i = 0; i < d; i += 16) {
      float rows[4][16];
      for (size_t k = 0; k < 4; ++k) Store(HalfElements::At(keys + (j + k) * d + i), rows[k]);
      for (size_t l = 0; l < 16; l += 4) {
        Four a, b, c, e;
        memcpy(&a, rows[0] + l, 16);
        memcpy(&b, rows[1] + l, 16);
        memcpy(&c, rows[2] + l, 16);
        memcpy(&e, rows[3] + l, 16);
        const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const Four ce_low = __builtin_shufflevector(c, e, 0, 4, 1, 5);
        const Four ce_high = __builtin_shufflevector(c, e, 2, 6, 3, 7);
        const Four turned[4] = {__builtin_shufflevector(ab_low, ce_low, 0, 1, 4, 5),
                                __builtin_shufflevector(ab_low, ce_low, 2, 3, 6, 7),
                                __builtin_shufflevector(ab_high, ce_high, 0, 1, 4, 5),
                                __builtin_shufflevector(ab_high, ce_high, 2, 3, 6, 7)};
        for (size_t k = 0; k < 4; ++k) {
          memcpy(columns + j / 16 * 16 * d + (i + l + k) * 16 + j % 16, &turned[k], 16);
        }
      }
    }
  }
}

// e^(x - max), which is 1 for the higher of two.
ABOARD_INLINE float ShareOf(float x, float max) {
  if (x - max == 0.0f) return 1.0f;
  float lane[16];
  Store(Exp(Splat(x - max)), lane);
  return lane[0];
}

void Merge(const AttentionPartial& running, const AttentionPartial& next, size_t d) {
  const float max = *running.max < *next.max ? *next.max : *running.max;
  const float a = ShareOf(*running.max, max);
  const float b = ShareOf(*next.max, max);
  *running.max = max;
  *running.sum = *running.sum * a + *next.sum * b;
  for (size_t i = 0; i < d; i += 16) {
    Store(Load(running.out + i) * Splat(a) + Load(next.out + i) * Splat(b), running.out + i);
  }
}

}  // namespace
}  // namespace aboard
