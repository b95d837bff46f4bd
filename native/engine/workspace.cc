// Buffers of a forward pass, see the header.
// Expects nothing.
// Exactness: none to promise.
#include "engine/workspace.h"

namespace aboard {

void QuantizedBuffer::Reserve(size_t rows, size_t cols) {
  const size_t blocks = (cols + kBlock - 1) / kBlock;
  if (codes_.size() < rows * blocks * kBlock) {
    codes_.resize(rows * blocks * kBlock);
    floats_.resize(rows * blocks * 4);
    sums_.resize(rows * blocks * 3);
  }
  const size_t n = rows * blocks;
  rows_ = {.codes = codes_.data(),
           .scales = floats_.data(),
           .sums = sums_.data(),
           .sums16 = sums_.data() + n,
           .weighted = floats_.data() + n,
           .weighted16 = floats_.data() + 2 * n,
           .blocks = blocks};
}

uint8_t* ThreadSpace::LinearScratch() {
  const auto address = reinterpret_cast<uintptr_t>(linear.data());
  return linear.data() + (64 - address % 64) % 64;
}

}  // namespace aboard
