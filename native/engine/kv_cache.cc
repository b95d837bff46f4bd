// The table of a sequence's chunks: appending, sharing, and copying what is kept of a shared one.
// Expects a pool of chunks of the cache's shape.
// Exactness: copies bytes.
#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace aboard {
namespace {

size_t ChunksOf(size_t n_tokens) { return (n_tokens + kKeyChunk - 1) / kKeyChunk; }

// Zeroes are the same in float16 and float32: no bits.
void ClearFloats(const HeadShape& shape, uint8_t* rows, size_t n_tokens) {
  const size_t row_bytes = shape.padded_dim() * shape.float_bytes();
  const size_t used_bytes = shape.head_dim * shape.float_bytes();
  for (size_t t = 0; row_bytes > used_bytes && t < n_tokens; ++t) {
    std::fill(rows + t * row_bytes + used_bytes, rows + (t + 1) * row_bytes, uint8_t{0});
  }
  std::fill(rows + n_tokens * row_bytes, rows + kKeyChunk * row_bytes, uint8_t{0});
}

// Where column 4 * i of a key stands, four of them together; where column i of a value does.
size_t KeyAt(const HeadShape& shape, size_t token, size_t i) {
  const size_t quads = shape.key_blocks() * kQuads;
  return ((token / 16 * quads + i) * 16 + token % 16) * 4;
}
size_t KeyScaleAt(const HeadShape& shape, size_t token, size_t block) {
  return (token / 16 * shape.key_blocks() + block) * 16 + token % 16;
}
size_t ValueAt(size_t token, size_t i) {
  return ((i / 16 * kKeyChunk / 4 + token / 4) * 16 + i % 16) * 4 + token % 4;
}

void ClearCodes(const HeadShape& shape, const CodedChunk& chunk, size_t n_tokens) {
  for (size_t t = 0; t < kKeyChunk; ++t) {
    const size_t used = t < n_tokens ? shape.head_dim : 0;
    for (size_t i = used; i < shape.key_blocks() * kBlock; ++i) {
      chunk.keys[KeyAt(shape, t, i / 4) + i % 4] = 0;
    }
    for (size_t i = used; i < shape.padded_dim(); ++i) chunk.values[ValueAt(t, i)] = 0;
    if (t < n_tokens) continue;
    for (size_t b = 0; b < shape.key_blocks(); ++b) {
      chunk.key_scales[KeyScaleAt(shape, t, b)] = 0.0f;
    }
    chunk.value_scales[t] = 0.0f;
  }
}

}  // namespace

CodedChunk HeadShape::Coded(uint8_t* head) const {
  const size_t key_codes = kKeyChunk * key_blocks() * kBlock;
  uint8_t* const values = head + key_bytes();
  return {reinterpret_cast<int8_t*>(head), reinterpret_cast<float*>(head + key_codes),
          reinterpret_cast<int8_t*>(values),
          reinterpret_cast<float*>(values + kKeyChunk * padded_dim())};
}

void KvShape::ClearUnused(uint8_t* chunk, size_t n_tokens) const {
  for (const KvLayer& layer : layers) {
    const HeadShape& shape = layer.head;
    for (size_t i = 0; i < layer.heads; ++i) {
      uint8_t* const head = chunk + layer.offset + i * shape.bytes();
      if (format == KvFormat::kInt8) {
        ClearCodes(shape, shape.Coded(head), n_tokens);
      } else {
        ClearFloats(shape, head, n_tokens);
        ClearFloats(shape, head + shape.key_bytes(), n_tokens);
      }
    }
  }
}

void StoreCodes(const HeadShape& shape, const CodedChunk& chunk, size_t token,
                const QuantizedRows& key, const int8_t* value, float value_scale) {
  for (size_t b = 0; b < shape.key_blocks(); ++b) {
    chunk.key_scales[KeyScaleAt(shape, token, b)] = key.scales[b];
  }
  for (size_t i = 0; i < shape.key_blocks() * kQuads; ++i) {
    std::memcpy(chunk.keys + KeyAt(shape, token, i), key.codes + i * 4, 4);
  }
  for (size_t i = 0; i < shape.padded_dim(); ++i) chunk.values[ValueAt(token, i)] = value[i];
  chunk.value_scales[token] = value_scale;
}

void KvCache::Reserve(size_t n_tokens) {
  if (n_tokens <= size_) return;
  ReserveRecent();
  if (size_ % kKeyChunk != 0 && chunks_[size_ / kKeyChunk].shared) {
    KvChunk own = pool_->Take();
    std::memcpy(own.get(), Chunk(size_ / kKeyChunk), shape_.chunk_bytes());
    chunks_[size_ / kKeyChunk] = {std::move(own), false};
  }
  chunks_.reserve(ChunksOf(n_tokens));
  while (chunks_.size() < ChunksOf(n_tokens)) chunks_.push_back({pool_->Take(), false});
}

void KvCache::ReserveRecent() {
  const ConvShape& conv = shape_.conv;
  if (conv.layers == 0 || recent_) return;
  recent_ = std::make_unique<float[]>(conv.layers * kRecentTokens * conv.width);
}

KvChunk KvCache::Share(size_t chunk) {
  chunks_[chunk].shared = true;
  return chunks_[chunk].memory;
}

void KvCache::Append(KvChunk chunk, size_t n_tokens) {
  chunks_.resize(size_ / kKeyChunk);
  chunks_.push_back({std::move(chunk), true});
  size_ += n_tokens;
  LoadRecent();
}

void KvCache::set_size(size_t n_tokens) {
  size_ = n_tokens;
  if (n_tokens > kRecentTokens) recent_from_ = std::max(recent_from_, n_tokens - kRecentTokens);
}

bool KvCache::CanGoOnAt(size_t n_tokens) const {
  if (shape_.conv.layers == 0 || n_tokens == 0) return true;
  return recent_from_ + std::min(shape_.conv.rows, n_tokens) <= n_tokens;
}

void KvCache::SaveRecent(uint8_t* ends) const {
  const ConvShape& conv = shape_.conv;
  std::fill_n(ends, conv.state_bytes(), uint8_t{0});
  for (size_t layer = 0; layer < conv.layers; ++layer) {
    for (size_t at = LooksBackTo(); at < size_; ++at) {
      std::copy_n(RecentInput(layer, at), conv.width, EndInput(ends, layer, at));
    }
  }
}

void KvCache::LoadRecent() {
  if (shape_.keeps_ends()) LoadRecent(Chunk((size_ - 1) / kKeyChunk) + shape_.conv_offset());
}

void KvCache::LoadRecent(uint8_t* ends) {
  ReserveRecent();
  recent_from_ = LooksBackTo();
  for (size_t layer = 0; layer < shape_.conv.layers; ++layer) {
    for (size_t at = recent_from_; at < size_; ++at) {
      std::copy_n(EndInput(ends, layer, at), shape_.conv.width, RecentInput(layer, at));
    }
  }
}

void KvCache::BeginPass(size_t n_tokens) {
  if (shape_.state.layers == 0) return;
  if (!state_) state_ = std::make_unique<float[]>(shape_.state.floats());
  if (n_tokens == 1 || size_ == 0) return;
  noted_.resize(shape_.state_bytes());
  SaveState(noted_.data());
  noted_at_ = size_;
}

void KvCache::SaveState(uint8_t* out) const {
  SaveRecent(out);
  std::memcpy(out + shape_.conv.state_bytes(), state_.get(),
              shape_.state.floats() * sizeof(float));
}

void KvCache::LoadState(uint8_t* state) {
  if (!state_) state_ = std::make_unique<float[]>(shape_.state.floats());
  LoadRecent(state);
  std::memcpy(state_.get(), state + shape_.conv.state_bytes(),
              shape_.state.floats() * sizeof(float));
}

void KvCache::TruncateState(size_t n_tokens) {
  if (noted_at_ > n_tokens) noted_at_ = 0;
  size_ = noted_at_;
  if (size_ != 0) {
    LoadState(noted_.data());
  } else {
    recent_from_ = 0;
    std::fill_n(state_.get(), shape_.state.floats(), 0.0f);
  }
}

void KvCache::Truncate(size_t n_tokens) {
  if (n_tokens >= size_) return;
  if (shape_.state.layers != 0) {
    TruncateState(n_tokens);
    chunks_.resize(ChunksOf(size_));
    return;
  }
  const bool goes_on = CanGoOnAt(n_tokens);
  size_ = goes_on ? n_tokens : n_tokens / kKeyChunk * kKeyChunk;
  chunks_.resize(ChunksOf(size_));
  if (size_ == 0) recent_from_ = 0;
  if (!goes_on && size_ > 0) LoadRecent();
}

}  // namespace aboard
