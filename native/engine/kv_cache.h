// The keys and values of one sequence, float16, int8 or float32, in chunks of 64 tokens that
// sequences may share.
// Expects heads of the same size in all layers; a head is stored with its size rounded up.
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

// How keys and values are stored: as float16 (64, padded_dim), as a CodedChunk, its four arrays one
// after the other, or as float32 (64, padded_dim), for passes whose activations stay float32, too.
enum class KvFormat : uint8_t { kF16, kInt8, kF32 };

struct KvShape {
  size_t layers;
  size_t heads;
  size_t head_dim;
  KvFormat format = KvFormat::kF16;

  size_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  size_t key_blocks() const { return (head_dim + kBlock - 1) / kBlock; }
  // Bytes of the keys, and of the values, of one head in one layer for 64 tokens.
  size_t key_bytes() const {
    if (format == KvFormat::kInt8) return kKeyChunk * key_blocks() * (kBlock + sizeof(float));
    return kKeyChunk * padded_dim() * float_bytes();
  }
  size_t value_bytes() const {
    if (format == KvFormat::kInt8) return kKeyChunk * (padded_dim() + sizeof(float));
    return kKeyChunk * padded_dim() * float_bytes();
  }
  size_t float_bytes() const { return format == KvFormat::kF16 ? 2 : 4; }
  // Bytes of a chunk: for each layer and head keys, then values.
  size_t chunk_bytes() const { return layers * heads * (key_bytes() + value_bytes()); }
  // Zeroes what the first n_tokens of a chunk don't fill.
  void ClearUnused(uint8_t* chunk, size_t n_tokens) const;
  bool operator==(const KvShape&) const = default;

  // The keys and values that begin at `head`, in int8.
  CodedChunk Coded(uint8_t* head) const;
};

// Writes one key and one value at place `token` of a chunk. `key`: one row, quantised; `value`:
// codes of the padded size.
void StoreCodes(const KvShape& shape, const CodedChunk& chunk, size_t token,
                const QuantizedRows& key, const int8_t* value, float value_scale);

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

  // In float16, or in float32: Keys<float>.
  template <class Element = uint16_t>
  Element* Keys(size_t layer, size_t head, size_t chunk) const {
    return reinterpret_cast<Element*>(Head(layer, head, chunk));
  }
  template <class Element = uint16_t>
  Element* Values(size_t layer, size_t head, size_t chunk) const {
    return reinterpret_cast<Element*>(Head(layer, head, chunk) + shape_.key_bytes());
  }
  // In int8.
  CodedChunk Coded(size_t layer, size_t head, size_t chunk) const {
    return shape_.Coded(Head(layer, head, chunk));
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
  uint8_t* Head(size_t layer, size_t head, size_t chunk) const {
    return Chunk(chunk) +
           (layer * shape_.heads + head) * (shape_.key_bytes() + shape_.value_bytes());
  }

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
