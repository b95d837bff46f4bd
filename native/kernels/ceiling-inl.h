// The machine's integer peak: byte dot products on registers alone, nothing else.
// Expects nothing.
// Exactness: the sum is returned so that no compiler leaves the work out.
#pragma once

namespace aboard {
namespace {

// 8 x n products of sixteen rows by four columns: 8 * 128 * n operations.
int32_t DotLoop(size_t n, const uint8_t* quad, int32_t four) {
  constexpr int kChains = 8;  // more than the latency of a product at one a cycle
  const U8x64 w = LoadBytes(quad);
  I32x16 acc[kChains];
#pragma GCC unroll 8
  for (int c = 0; c < kChains; ++c) acc[c] = SplatI(c);
  for (size_t i = 0; i < n; ++i) {
#pragma GCC unroll 8
    for (int c = 0; c < kChains; ++c) acc[c] = DotSmall(w, four, acc[c]);
  }
  I32x16 sum = acc[0];
  for (int c = 1; c < kChains; ++c) sum = sum + acc[c];
  return SumExact(sum);
}

}  // namespace
}  // namespace aboard
