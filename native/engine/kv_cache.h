// The keys and values of one sequence, float16, in chunks of 64 tokens.
// Expects heads of the same size in all layers; a head is stored with its size rounded up to 16.
// Exactness: values are stored once and never changed, so a restored cache gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/pages.h"
#include "kernels/layout.h"

namespace aboard {

struct KvShape {
  size_t layers;
  size_t heads;
  size_t head_dim;

  size_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  // Keys, or values, of one head in one layer for 64 tokens; in float16.
  size_t plane() const { return kKeyChunk * padded_dim(); }
  // Bytes of a chunk: (layers, heads, 2, 64, padded_dim) float16.
  size_t chunk_bytes() const { return layers * heads * 2 * plane() * sizeof(uint16_t); }
  bool operator==(const KvShape&) const = default;
};

class KvCache {
 public:
  KvCache(const KvShape& shape, size_t capacity)
      : shape_(shape),
        capacity_(capacity),
        pages_((capacity + kKeyChunk - 1) / kKeyChunk * shape.chunk_bytes()) {}

  const KvShape& shape() const { return shape_; }
  size_t capacity() const { return capacity_; }
  size_t size() const { return size_; }
  const Pages& pages() const { return pages_; }
  void set_size(size_t n_tokens) { size_ = n_tokens; }

  uint16_t* Keys(size_t layer, size_t head, size_t chunk) const {
    return reinterpret_cast<uint16_t*>(Chunk(chunk)) +
           (layer * shape_.heads + head) * 2 * shape_.plane();
  }
  uint16_t* Values(size_t layer, size_t head, size_t chunk) const {
    return Keys(layer, head, chunk) + shape_.plane();
  }

  uint8_t* Chunk(size_t chunk) const { return pages_.data() + chunk * shape_.chunk_bytes(); }

  // Forgets all tokens from n_tokens on and gives their memory back.
  void Truncate(size_t n_tokens) {
    if (n_tokens >= size_) return;
    size_ = n_tokens;
    pages_.Release((n_tokens + kKeyChunk - 1) / kKeyChunk * shape_.chunk_bytes());
  }

 private:
  KvShape shape_;
  size_t capacity_;
  Pages pages_;
  size_t size_ = 0;
};

}  // namespace aboard
