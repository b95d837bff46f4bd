// The keys and values of one sequence, float16, int8 or float32, in chunks of 64 tokens that
// sequences may share; and what its short convolutions look back on, float32.
// Expects heads of the same size within a layer; a head is stored with its size rounded up.
// Exactness: values are stored once and never changed, so a shared or restored chunk gives the
// same bits.
#pragma once

#include <algorithm>
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

// What short convolutions look back on: the inputs of the last `rows` tokens, (width,) each, in
// every layer of them.
struct ConvShape {
  size_t layers = 0;
  size_t rows = 0;
  size_t width = 0;

  size_t row_bytes() const { return width * sizeof(float); }
  // Of one place in a sequence, rounded up so that chunks begin at whole cache lines.
  size_t state_bytes() const { return (layers * rows * row_bytes() + 63) / 64 * 64; }
  bool operator==(const ConvShape&) const = default;
};
// The inputs that a cache has at hand: of the 16 tokens that a convolution may look back on, and of
// 16 that may be forgotten before it goes on.
inline constexpr size_t kMaxConvRows = 16;
inline constexpr size_t kRecentTokens = 32;

// States of delta nets: (head_dim, head_dim) for each head, of one place in a sequence.
struct StateShape {
  size_t layers = 0;
  size_t heads = 0;
  size_t head_dim = 0;

  size_t head_floats() const { return head_dim * head_dim; }
  size_t floats() const { return layers * heads * head_floats(); }
  bool operator==(const StateShape&) const = default;
};

// How a chunk holds the keys and values of one head.
struct HeadShape {
  size_t head_dim;
  KvFormat format;

  size_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  size_t key_blocks() const { return (head_dim + kBlock - 1) / kBlock; }
  // Bytes of the keys, and of the values, for 64 tokens.
  size_t key_bytes() const {
    if (format == KvFormat::kInt8) return kKeyChunk * key_blocks() * (kBlock + sizeof(float));
    return kKeyChunk * padded_dim() * float_bytes();
  }
  size_t value_bytes() const {
    if (format == KvFormat::kInt8) return kKeyChunk * (padded_dim() + sizeof(float));
    return kKeyChunk * padded_dim() * float_bytes();
  }
  size_t bytes() const { return key_bytes() + value_bytes(); }
  size_t float_bytes() const { return format == KvFormat::kF16 ? 2 : 4; }
  // The keys and values that begin at `head`, in int8.
  CodedChunk Coded(uint8_t* head) const;
  bool operator==(const HeadShape&) const = default;
};

// A layer whose keys and values are kept.
struct KvLayer {
  size_t heads;
  HeadShape head;
  size_t offset;  // where they begin in a chunk, in bytes

  size_t end() const { return offset + heads * head.bytes(); }
  bool operator==(const KvLayer&) const = default;
};

struct KvShape {
  KvFormat format = KvFormat::kF16;
  std::vector<KvLayer> layers = {};
  ConvShape conv = {};
  StateShape state = {};

  void AddLayer(size_t heads, size_t head_dim) {
    layers.push_back({heads, {head_dim, format}, conv_offset()});
  }
  // Bytes of a chunk: for each layer and head keys, then values; then what convolutions look back
  // on behind its last token.
  size_t chunk_bytes() const { return conv_offset() + (keeps_ends() ? conv.state_bytes() : 0); }
  // Whether chunks hold what convolutions look back on; beside a delta net's state it is no use.
  bool keeps_ends() const { return conv.layers != 0 && state.layers == 0; }
  // Bytes of a place in a sequence, where chunks don't hold it.
  size_t state_bytes() const {
    return state.layers == 0 ? 0 : conv.state_bytes() + state.floats() * sizeof(float);
  }
  size_t conv_offset() const { return layers.empty() ? 0 : layers.back().end(); }
  // Zeroes the keys and values that the first n_tokens of a chunk don't fill.
  void ClearUnused(uint8_t* chunk, size_t n_tokens) const;
  bool operator==(const KvShape&) const = default;
};

// Writes one key and one value at place `token` of a chunk. `key`: one row, quantised; `value`:
// codes of the padded size.
void StoreCodes(const HeadShape& shape, const CodedChunk& chunk, size_t token,
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
  // The chunks of n_tokens must be there, and recent inputs of convolutions.
  void set_size(size_t n_tokens);

  // In float16, or in float32: Keys<float>.
  template <class Element = uint16_t>
  Element* Keys(size_t layer, size_t head, size_t chunk) const {
    return reinterpret_cast<Element*>(Head(layer, head, chunk));
  }
  template <class Element = uint16_t>
  Element* Values(size_t layer, size_t head, size_t chunk) const {
    return reinterpret_cast<Element*>(Head(layer, head, chunk) +
                                      shape_.layers[layer].head.key_bytes());
  }
  // In int8.
  CodedChunk Coded(size_t layer, size_t head, size_t chunk) const {
    return shape_.layers[layer].head.Coded(Head(layer, head, chunk));
  }
  uint8_t* Chunk(size_t chunk) const { return chunks_[chunk].memory.get(); }

  // The input of a convolution at one of the last kRecentTokens positions, (width,).
  float* RecentInput(size_t conv_layer, size_t position) const {
    const size_t row = conv_layer * kRecentTokens + position % kRecentTokens;
    return recent_.get() + row * shape_.conv.width;
  }
  // The input at one of the last positions of a chunk, where the chunk holds it.
  float* EndInput(size_t conv_layer, size_t position) const {
    return EndInput(Chunk(position / kKeyChunk) + shape_.conv_offset(), conv_layer, position);
  }
  // Writes what convolutions look back on now to `ends`, (layers, rows, width).
  void SaveRecent(uint8_t* ends) const;
  // Reads it from the last chunk, which ends here, where chunks hold it.
  void LoadRecent();

  // The state of a head of a delta net behind the last token.
  float* State(size_t delta_layer, size_t head) const {
    const StateShape& state = shape_.state;
    return state_.get() + (delta_layer * state.heads + head) * state.head_floats();
  }
  // Before a pass of n_tokens: notes where it begins, so that tokens of it can be forgotten.
  void BeginPass(size_t n_tokens);
  // What a delta net's next token depends on, (state_bytes,).
  void SaveState(uint8_t* out) const;
  void LoadState(uint8_t* state);

  // Makes room for tokens size() to n_tokens - 1, in chunks that nobody else holds. Before they are
  // written. Throws std::bad_alloc; the cache then holds what it held.
  void Reserve(size_t n_tokens);

  // A full chunk, to be appended to other caches. It isn't written again, by this cache either.
  KvChunk Share(size_t chunk);

  // Takes over the first n_tokens of a chunk that another cache shared, all of them where there are
  // convolutions. This one must end with a full chunk.
  void Append(KvChunk chunk, size_t n_tokens);

  // Forgets all tokens from n_tokens on and gives back the chunks that hold none any more. Where
  // convolutions can't go on there, it forgets all from the beginning of the chunk on; a delta net
  // goes back to the last place that was noted, or to the beginning.
  void Truncate(size_t n_tokens);

 private:
  uint8_t* Head(size_t layer, size_t head, size_t chunk) const {
    const KvLayer& at = shape_.layers[layer];
    return Chunk(chunk) + at.offset + head * at.head.bytes();
  }

  float* EndInput(uint8_t* ends, size_t conv_layer, size_t position) const {
    const size_t row = conv_layer * shape_.conv.rows + position % shape_.conv.rows;
    return reinterpret_cast<float*>(ends) + row * shape_.conv.width;
  }
  void LoadRecent(uint8_t* ends);
  void TruncateState(size_t n_tokens);
  // The first of the positions that convolutions look back on now.
  size_t LooksBackTo() const { return size_ - std::min(shape_.conv.rows, size_); }
  bool CanGoOnAt(size_t n_tokens) const;
  void ReserveRecent();

  struct Entry {
    KvChunk memory;
    bool shared;  // was shared once, so others may read it at any time
  };

  KvShape shape_;
  std::shared_ptr<KvPool> pool_;
  size_t capacity_;
  size_t size_ = 0;
  std::vector<Entry> chunks_;
  std::unique_ptr<float[]> recent_;  // (layers, kRecentTokens, width)
  size_t recent_from_ = 0;           // positions from here on, up to size_, are there
  std::unique_ptr<float[]> state_;
  std::vector<uint8_t> noted_;       // a state, as SaveState writes it
  size_t noted_at_ = 0;              // behind so many tokens; 0: none
};

}  // namespace aboard
