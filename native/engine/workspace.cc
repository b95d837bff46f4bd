// Buffers of a forward pass, see the header.
// Expects nothing.
// Exactness: none to promise.
#include "engine/workspace.h"

namespace aboard {

void QuantizedBuffer::Reserve(size_t rows, size_t cols, size_t tile) {
  if (rows <= 1) tile = 1;
  const size_t blocks = (cols + kBlock - 1) / kBlock;
  const size_t n = RoundUp(rows, tile) * blocks;
  if (codes_.size() < n * kBlock) {
    codes_.resize(n * kBlock);
    floats_.resize(n * 4);
    sums_.resize(n * 3);
  }
  rows_ = {.codes = codes_.data(),
           .scales = floats_.data(),
           .sums = sums_.data(),
           .sums16 = sums_.data() + n,
           .weighted = floats_.data() + n,
           .weighted16 = floats_.data() + 2 * n,
           .blocks = blocks,
           .tile = tile};
}

uint8_t* ThreadSpace::LinearScratch() {
  const auto address = reinterpret_cast<uintptr_t>(linear.data());
  return linear.data() + (64 - address % 64) % 64;
}

}  // namespace aboard
