// One query against one chunk of at most 64 keys, and the joining of chunks.
// Expects keys and values as (64, d) float32, d a multiple of 16, zeros beyond the head's size.
// Exactness: scores and sums of weights by sixteen lanes and one tree, values in order of the keys;
// chunks are joined in order. Nothing depends on how the work was spread.
#pragma once

namespace aboard {
namespace {

// Scores of sixteen keys: lane j = tree sum of query * key j.
ABOARD_INLINE F32x16 ScoresOf16(const float* query, const float* keys, size_t d) {
  F32x16 products[16];
#pragma GCC unroll 1
  for (int j = 0; j < 16; j += 4) {
    F32x16 sums[4];
#pragma GCC unroll 4
    for (int each = 0; each < 4; ++each) sums[each] = Splat(0.0f);
    for (size_t i = 0; i < d; i += 16) {
      const F32x16 q = Load(query + i);
#pragma GCC unroll 4
      for (int each = 0; each < 4; ++each) {
        sums[each] = sums[each] + q * Load(keys + (j + each) * d + i);
      }
    }
#pragma GCC unroll 4
    for (int each = 0; each < 4; ++each) products[j + each] = sums[each];
  }
  return SumTrees(products);
}

template <int kVectors>
ABOARD_INLINE void WeighValues(const float* weights, const float* values, size_t n_keys, size_t d,
                               float* out) {
  F32x16 sums[kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) sums[i] = Splat(0.0f);
  for (size_t j = 0; j < n_keys; ++j) {
    const F32x16 weight = Splat(weights[j]);
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) sums[i] = sums[i] + weight * Load(values + j * d + i * 16);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) Store(sums[i], out + i * 16);
}

void Attend(const float* query, const float* keys, const float* values, size_t n_keys, size_t d,
            float scale, const AttentionPartial& out) {
  const float lowest = -__builtin_inff();
  constexpr int32_t kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  F32x16 scores[kKeyChunk / 16];
  F32x16 highest = Splat(lowest);
  const size_t groups = (n_keys + 15) / 16;
  for (size_t g = 0; g < groups; ++g) {
    const F32x16 all = ScoresOf16(query, keys + g * 16 * d, d) * Splat(scale);
    const I32x16 visible = Less(LoadI(kLane), SplatI((int32_t)(n_keys - g * 16)));
    scores[g] = Select(visible, all, Splat(lowest));
    highest = Max(highest, scores[g]);
  }
  const float max = MaxLane(highest);
  F32x16 sum = Splat(0.0f);
  float weights[kKeyChunk];
  for (size_t g = 0; g < groups; ++g) {
    const F32x16 weight = Exp(scores[g] - Splat(max));
    Store(weight, weights + g * 16);
    sum = sum + weight;
  }
  *out.max = max;
  *out.sum = SumTree(sum);
  size_t i = 0;
  for (; i + 64 <= d; i += 64) WeighValues<4>(weights, values + i, n_keys, d, out.out + i);
  for (; i < d; i += 16) WeighValues<1>(weights, values + i, n_keys, d, out.out + i);
}

// float32 exp of one non-positive difference, by the same arithmetic as the lanes'.
ABOARD_INLINE float ExpOfOne(float x) {
  float lane[16];
  Store(Exp(Splat(x)), lane);
  return lane[0];
}

void Merge(const AttentionPartial& running, const AttentionPartial& next, size_t d) {
  const float max = *running.max < *next.max ? *next.max : *running.max;
  const float a = ExpOfOne(*running.max - max);
  const float b = ExpOfOne(*next.max - max);
  *running.max = max;
  *running.sum = *running.sum * a + *next.sum * b;
  for (size_t i = 0; i < d; i += 16) {
    Store(Load(running.out + i) * Splat(a) + Load(next.out + i) * Splat(b), running.out + i);
  }
}

}  // namespace
}  // namespace aboard
