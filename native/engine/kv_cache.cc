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

}  // namespace

void KvShape::ClearUnused(uint8_t* chunk, size_t n_tokens) const {
  auto* halves = reinterpret_cast<uint16_t*>(chunk);
  const size_t padded = padded_dim();
  for (size_t i = 0; i < layers * heads * 2; ++i) {
    uint16_t* const at = halves + i * plane();
    for (size_t t = 0; padded > head_dim && t < n_tokens; ++t) {
      std::fill(at + t * padded + head_dim, at + (t + 1) * padded, uint16_t{0});
    }
    std::fill(at + n_tokens * padded, at + plane(), uint16_t{0});
  }
}

void KvCache::Reserve(size_t n_tokens) {
  if (n_tokens <= size_) return;
  if (size_ % kKeyChunk != 0 && chunks_[size_ / kKeyChunk].shared) {
    KvChunk own = pool_->Take();
    std::memcpy(own.get(), Chunk(size_ / kKeyChunk), shape_.chunk_bytes());
    chunks_[size_ / kKeyChunk] = {std::move(own), false};
  }
  chunks_.reserve(ChunksOf(n_tokens));
  while (chunks_.size() < ChunksOf(n_tokens)) chunks_.push_back({pool_->Take(), false});
}

KvChunk KvCache::Share(size_t chunk) {
  chunks_[chunk].shared = true;
  return chunks_[chunk].memory;
}

void KvCache::Append(KvChunk chunk, size_t n_tokens) {
  chunks_.resize(size_ / kKeyChunk);
  chunks_.push_back({std::move(chunk), true});
  size_ += n_tokens;
}

void KvCache::Truncate(size_t n_tokens) {
  if (n_tokens >= size_) return;
  size_ = n_tokens;
  chunks_.resize(ChunksOf(n_tokens));
}

}  // namespace aboard
