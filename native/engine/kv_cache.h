// The keys and values of one sequence, float16, in chunks of 64 tokens that sequences may share.
// Expects heads of the same size in all layers; a head is stored with its size rounded up to 16.
// Exactness: values are stored once and never changed, so a shared or restored chunk gives the
// same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/kv_pool.h"
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
  // Zeroes what the first n_tokens of a chunk don't fill.
  void ClearUnused(uint8_t* chunk, size_t n_tokens) const;
  bool operator==(const KvShape&) const = default;
};

class KvCache {
 public:
  // `pool`: of chunks of this shape. Memory comes as tokens come.
  KvCache(const KvShape& shape, std::shared_ptr<KvPool> pool, size_t capacity)
      : shape_(shape), pool_(std::move(pool)), capacity_(capacity) {}
  KvCache(KvCache&&) = default;  // no copies: they would write into each other's chunks

  const KvShape& shape() const { return shape_; }
  const std::shared_ptr<KvPool>& pool() const { return pool_; }
  size_t capacity() const { return capacity_; }
  size_t size() const { return size_; }
  // The chunks of n_tokens must be there.
  void set_size(size_t n_tokens) { size_ = n_tokens; }

  uint16_t* Keys(size_t layer, size_t head, size_t chunk) const {
    return reinterpret_cast<uint16_t*>(Chunk(chunk)) +
           (layer * shape_.heads + head) * 2 * shape_.plane();
  }
  uint16_t* Values(size_t layer, size_t head, size_t chunk) const {
    return Keys(layer, head, chunk) + shape_.plane();
  }
  uint8_t* Chunk(size_t chunk) const { return chunks_[chunk].memory.get(); }

  // Makes room for tokens size() to n_tokens - 1, in chunks that nobody else holds. Before they are
  // written. Throws std::bad_alloc; the cache then holds what it held.
  void Reserve(size_t n_tokens);

  // A full chunk, to be appended to other caches. It isn't written again, by this cache either.
  KvChunk Share(size_t chunk);

  // Takes over the first n_tokens of a chunk that another cache shared. This one must end with a
  // full chunk.
  void Append(KvChunk chunk, size_t n_tokens);

  // Forgets all tokens from n_tokens on and returns the chunks that holds none any more.
  void Truncate(size_t n_tokens);

 private:
  struct Entry {
    KvChunk memory;
    bool shared;  // was shared once, so others may read it at any time
  };

  KvShape shape_;
  std::shared_ptr<KvPool> pool_;
  size_t capacity_;
  size_t size_ = 0;
  std::vector<Entry> chunks_;
};

}  // namespace aboard
