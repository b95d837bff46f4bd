// The passes of a transformer layer, and the barriers between them.
// Expects a Workspace that was reserved for the batch.
// Exactness: threads own rows, heads or chunks of keys; no sum is ever split over threads.
#include "engine/forward.h"

#include <algorithm>

#include "engine/packing.h"

namespace aboard {

ForwardPass::ForwardPass(const DecoderShape& shape, std::span<const BatchToken> batch,
                         Workspace& workspace, size_t threads)
    : shape_(shape),
      batch_(batch),
      space_(workspace),
      kernels_(ActiveKernels()),
      n_tokens_(batch.size()),
      group_(shape.query_heads / shape.kv_heads),
      padded_(RoundUp(shape.head_dim, 16)) {
  size_t last_position = 0;
  for (size_t t = 0; t < n_tokens_; ++t) {
    last_position = std::max(last_position, batch[t].position);
    const bool joins = !tiles_.empty() && tiles_.back().count < kTileQueries &&
                       batch[t].cache == batch[t - 1].cache;
    if (joins) {
      ++tiles_.back().count;
    } else {
      tiles_.push_back({t, 1});
    }
  }
  max_chunks_ = last_position / kKeyChunk + 1;
  by_chunk_ = max_chunks_ > 1 && n_tokens_ * shape.kv_heads < 4 * threads;
}

void ForwardPass::Reserve(size_t n_logits) {
  const size_t heads_width = shape_.query_heads * shape_.head_dim;
  const size_t kv_width = shape_.kv_heads * shape_.head_dim;
  space_.residual.Reserve(n_tokens_, shape_.width);
  space_.projected.Reserve(n_tokens_, shape_.width);
  space_.query.Reserve(n_tokens_, heads_width);
  space_.attended.Reserve(n_tokens_, heads_width);
  space_.key.Reserve(n_tokens_, kv_width);
  space_.value.Reserve(n_tokens_, kv_width);
  space_.rotated.Reserve(n_tokens_ * shape_.query_heads, padded_);
  space_.gate.Reserve(n_tokens_, shape_.ffn_width);
  space_.up.Reserve(n_tokens_, shape_.ffn_width);
  space_.angles.Reserve(n_tokens_, 2 * shape_.rope_frequencies.size());
  space_.logits.Reserve(shape_.vocabulary % kPanelRows == 0 ? 0 : n_logits, shape_.vocabulary);
  space_.width.Reserve(std::max(n_tokens_, n_logits), shape_.width);
  space_.heads.Reserve(n_tokens_, heads_width);
  space_.ffn.Reserve(n_tokens_, shape_.ffn_width);
  if (by_chunk_) {
    const size_t needed = n_tokens_ * shape_.query_heads * max_chunks_ * PartialSize();
    if (space_.partials.size() < needed) space_.partials.resize(needed);
  }
  for (ThreadSpace& own : space_.threads) {
    own.normed.Reserve(1, shape_.width);
    own.width.Reserve(1, shape_.width);
    own.heads.Reserve(1, heads_width);
    own.linear.resize(kLinearScratchBytes + 64);
    own.chunk.Reserve(2 * kKeyChunk, padded_);
    own.states.resize((kTileQueries * group_ + 1) * PartialSize());
  }
}

void ForwardPass::Embed(const Team& team, const PackedMatrix& embedding) {
  const auto [first, last] = team.Share(n_tokens_);
  for (size_t t = first; t < last; ++t) {
    ReadRow(embedding, static_cast<size_t>(batch_[t].id), space_.residual.Row(t));
    RopeAngles(shape_.rope_frequencies, batch_[t].position, space_.angles.Row(t));
  }
  team.Meet();
}

// A single token is normed and quantised by every thread for itself: cheaper than to meet.
const QuantizedRows& ForwardPass::NormAndQuantize(const Team& team,
                                                  const std::vector<float>& norm) {
  ThreadSpace& own = space_.threads[team.thread()];
  const bool alone = n_tokens_ == 1;
  const QuantizedRows& rows = alone ? own.width.rows() : space_.width.rows();
  const auto [first, last] = alone ? Team::Range{0, 1} : team.Share(n_tokens_);
  for (size_t t = first; t < last; ++t) {
    kernels_.rms_norm(space_.residual.Row(t), norm.data(), shape_.norm_eps, shape_.width,
                      own.normed.Row(0));
    kernels_.quantize(own.normed.Row(0), shape_.width, rows, t, 0);
  }
  if (!alone) team.Meet();
  return rows;
}

const QuantizedRows& ForwardPass::QuantizeAttended(const Team& team) {
  const bool alone = n_tokens_ == 1;
  const QuantizedRows& rows =
      alone ? space_.threads[team.thread()].heads.rows() : space_.heads.rows();
  const auto [first, last] = alone ? Team::Range{0, 1} : team.Share(n_tokens_);
  for (size_t t = first; t < last; ++t) {
    kernels_.quantize(space_.attended.Row(t), shape_.query_heads * shape_.head_dim, rows, t, 0);
  }
  if (!alone) team.Meet();
  return rows;
}

// The panels of all projections are shared out as if they were one matrix.
void ForwardPass::Project(const Team& team, std::span<const Projection> projections,
                          const QuantizedRows& x) {
  size_t total = 0;
  for (const Projection& each : projections) total += RoundUp(each.matrix.rows, kPanelRows);
  const auto [first, last] = team.Share(total / kPanelRows);
  size_t begin = 0;
  for (const Projection& each : projections) {
    const size_t panels = RoundUp(each.matrix.rows, kPanelRows) / kPanelRows;
    const size_t from = std::clamp(first, begin, begin + panels) - begin;
    const size_t to = std::clamp(last, begin, begin + panels) - begin;
    if (from < to) {
      kernels_.linear(each.matrix, from, to, x, 0, n_tokens_, each.out.Row(0), each.out.stride(),
                      space_.threads[team.thread()].LinearScratch());
    }
    begin += panels;
  }
}

void ForwardPass::AddToResidual(const Team& team, const PackedMatrix& matrix,
                                const QuantizedRows& x) {
  const auto [first, last] = team.Share(RoundUp(matrix.rows, kPanelRows) / kPanelRows);
  if (first < last) {
    FloatRows& out = space_.projected;
    kernels_.linear(matrix, first, last, x, 0, n_tokens_, out.Row(0), out.stride(),
                    space_.threads[team.thread()].LinearScratch());
    const size_t row = first * kPanelRows;
    const size_t n = std::min(last * kPanelRows, matrix.rows) - row;
    for (size_t t = 0; t < n_tokens_; ++t) {
      kernels_.add(space_.residual.Row(t) + row, out.Row(t) + row, n);
    }
  }
  team.Meet();
}

void ForwardPass::Attend(const Team& team, const AttentionBlock& block, size_t layer) {
  const Projection projections[] = {
      {block.query, space_.query}, {block.key, space_.key}, {block.value, space_.value}};
  Project(team, projections, NormAndQuantize(team, block.norm));
  team.Meet();
  RotateAndStore(team, layer);
  team.Meet();
  if (by_chunk_) {
    const size_t items = n_tokens_ * shape_.kv_heads * max_chunks_;
    for (size_t i = team.thread(); i < items; i += team.size()) {
      const size_t token = i / (shape_.kv_heads * max_chunks_);
      AttendChunk(team, token, i / max_chunks_ % shape_.kv_heads, i % max_chunks_, layer);
    }
    team.Meet();
    const auto [first, last] = team.Share(n_tokens_ * shape_.query_heads);
    for (size_t i = first; i < last; ++i) {
      JoinChunks(i / shape_.query_heads, i % shape_.query_heads);
    }
  } else {
    for (size_t i = team.thread(); i < tiles_.size() * shape_.kv_heads; i += team.size()) {
      AttendTile(team, tiles_[i / shape_.kv_heads], i % shape_.kv_heads, layer);
    }
  }
  team.Meet();
  AddToResidual(team, block.output, QuantizeAttended(team));
}

void ForwardPass::RotateAndStore(const Team& team, size_t layer) {
  const size_t d = shape_.head_dim, pairs = shape_.rope_frequencies.size();
  const size_t heads = shape_.query_heads + shape_.kv_heads;
  const auto [first, last] = team.Share(n_tokens_ * heads);
  for (size_t i = first; i < last; ++i) {
    const size_t t = i / heads, head = i % heads;
    const float* angles = space_.angles.Row(t);
    if (head < shape_.query_heads) {
      float* to = space_.rotated.Row(t * shape_.query_heads + head);
      std::copy_n(space_.query.Row(t) + head * d, d, to);
      std::fill(to + d, to + padded_, 0.0f);
      Rotate(to, angles, pairs, shape_.rope_pairs);
      continue;
    }
    const size_t kv_head = head - shape_.query_heads;
    const KvCache& cache = *batch_[t].cache;
    const size_t chunk = batch_[t].position / kKeyChunk;
    const size_t at = batch_[t].position % kKeyChunk * padded_;
    float* key = space_.key.Row(t) + kv_head * d;
    Rotate(key, angles, pairs, shape_.rope_pairs);
    kernels_.floats_to_halves(key, d, cache.Keys(layer, kv_head, chunk) + at);
    kernels_.floats_to_halves(space_.value.Row(t) + kv_head * d, d,
                              cache.Values(layer, kv_head, chunk) + at);
  }
}

void ForwardPass::LoadChunk(ThreadSpace& own, const KvCache& cache, size_t layer, size_t kv_head,
                            size_t chunk, size_t n_keys) {
  kernels_.halves_to_floats(cache.Keys(layer, kv_head, chunk), n_keys * padded_,
                            own.chunk.Row(0));
  kernels_.halves_to_floats(cache.Values(layer, kv_head, chunk), n_keys * padded_,
                            own.chunk.Row(kKeyChunk));
}

// All chunks in order, each decoded once for the queries of the tile and of the head's group.
void ForwardPass::AttendTile(const Team& team, const QueryTile& tile, size_t kv_head,
                             size_t layer) {
  ThreadSpace& own = space_.threads[team.thread()];
  const size_t last_position = batch_[tile.first + tile.count - 1].position;
  const AttentionPartial next = PartialAt(own.states.data() + kTileQueries * group_ * PartialSize());
  for (size_t chunk = 0; chunk * kKeyChunk <= last_position; ++chunk) {
    LoadChunk(own, *batch_[tile.first].cache, layer, kv_head, chunk,
              std::min(kKeyChunk, last_position + 1 - chunk * kKeyChunk));
    for (size_t t = 0; t < tile.count; ++t) {
      const size_t position = batch_[tile.first + t].position;
      if (position < chunk * kKeyChunk) continue;
      const size_t n_keys = std::min(kKeyChunk, position + 1 - chunk * kKeyChunk);
      for (size_t g = 0; g < group_; ++g) {
        const size_t head = kv_head * group_ + g;
        const AttentionPartial running =
            PartialAt(own.states.data() + (t * group_ + g) * PartialSize());
        const AttentionPartial& to = chunk == 0 ? running : next;
        kernels_.attend(space_.rotated.Row((tile.first + t) * shape_.query_heads + head),
                        own.chunk.Row(0), own.chunk.Row(kKeyChunk), n_keys, padded_,
                        shape_.score_scale, to);
        if (chunk > 0) kernels_.merge(running, next, padded_);
      }
    }
  }
  for (size_t t = 0; t < tile.count; ++t) {
    for (size_t g = 0; g < group_; ++g) {
      const AttentionPartial done =
          PartialAt(own.states.data() + (t * group_ + g) * PartialSize());
      kernels_.divide(done.out, *done.sum, shape_.head_dim,
                      space_.attended.Row(tile.first + t) +
                          (kv_head * group_ + g) * shape_.head_dim);
    }
  }
}

float* ForwardPass::StoredPartial(size_t token, size_t head, size_t chunk) {
  return space_.partials.data() +
         ((token * shape_.query_heads + head) * max_chunks_ + chunk) * PartialSize();
}

void ForwardPass::AttendChunk(const Team& team, size_t token, size_t kv_head, size_t chunk,
                              size_t layer) {
  const size_t position = batch_[token].position;
  if (position < chunk * kKeyChunk) return;
  ThreadSpace& own = space_.threads[team.thread()];
  const size_t n_keys = std::min(kKeyChunk, position + 1 - chunk * kKeyChunk);
  LoadChunk(own, *batch_[token].cache, layer, kv_head, chunk, n_keys);
  for (size_t g = 0; g < group_; ++g) {
    const size_t head = kv_head * group_ + g;
    kernels_.attend(space_.rotated.Row(token * shape_.query_heads + head), own.chunk.Row(0),
                    own.chunk.Row(kKeyChunk), n_keys, padded_, shape_.score_scale,
                    PartialAt(StoredPartial(token, head, chunk)));
  }
}

void ForwardPass::JoinChunks(size_t token, size_t head) {
  const AttentionPartial running = PartialAt(StoredPartial(token, head, 0));
  for (size_t chunk = 1; chunk * kKeyChunk <= batch_[token].position; ++chunk) {
    kernels_.merge(running, PartialAt(StoredPartial(token, head, chunk)), padded_);
  }
  kernels_.divide(running.out, *running.sum, shape_.head_dim,
                  space_.attended.Row(token) + head * shape_.head_dim);
}

// A thread owns blocks of 32 hidden values, so that it can quantise them itself.
void ForwardPass::FeedForward(const Team& team, const FeedForwardBlock& block) {
  const QuantizedRows& x = NormAndQuantize(team, block.norm);
  const size_t width = shape_.ffn_width;
  const auto [first, last] = team.Share(RoundUp(width, kBlock) / kBlock);
  if (first < last) {
    uint8_t* scratch = space_.threads[team.thread()].LinearScratch();
    FloatRows &gate = space_.gate, &up = space_.up;
    const size_t panels = RoundUp(width, kPanelRows) / kPanelRows;
    const size_t from = first * 2, to = std::min(last * 2, panels);
    kernels_.linear(block.gate, from, to, x, 0, n_tokens_, gate.Row(0), gate.stride(), scratch);
    kernels_.linear(block.up, from, to, x, 0, n_tokens_, up.Row(0), up.stride(), scratch);
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < n_tokens_; ++t) {
      kernels_.swiglu(gate.Row(t) + begin, up.Row(t) + begin, n);
      kernels_.quantize(gate.Row(t) + begin, n, space_.ffn.rows(), t, first);
    }
  }
  team.Meet();
  AddToResidual(team, block.down, space_.ffn.rows());
}

void ForwardPass::Head(const Team& team, const std::vector<float>& norm, const PackedMatrix& head,
                       std::span<const size_t> wanted, float* logits) {
  if (wanted.empty()) return;
  ThreadSpace& own = space_.threads[team.thread()];
  const QuantizedRows& rows = space_.width.rows();
  const auto [first, last] = team.Share(wanted.size());
  for (size_t i = first; i < last; ++i) {
    kernels_.rms_norm(space_.residual.Row(wanted[i]), norm.data(), shape_.norm_eps, shape_.width,
                      own.normed.Row(0));
    kernels_.quantize(own.normed.Row(0), shape_.width, rows, i, 0);
  }
  team.Meet();
  const size_t vocabulary = shape_.vocabulary;
  const bool direct = vocabulary % kPanelRows == 0;
  float* out = direct ? logits : space_.logits.Row(0);
  const size_t stride = direct ? vocabulary : space_.logits.stride();
  const auto [from, to] = team.Share(RoundUp(vocabulary, kPanelRows) / kPanelRows);
  kernels_.linear(head, from, to, rows, 0, wanted.size(), out, stride, own.LinearScratch());
  if (direct) return;
  team.Meet();
  for (size_t i = first; i < last; ++i) {
    std::copy_n(space_.logits.Row(i), vocabulary, logits + i * vocabulary);
  }
}

}  // namespace aboard
