// The phases of attention: queries, keys and values of a layer, scores against the cache, the output.
// Expects a Workspace that was reserved for the batch.
// Exactness: parts are heads or chunks of keys, joined in order; no sum is split over threads.
#include <algorithm>

#include "engine/float_linear.h"
#include "engine/forward.h"

namespace aboard {

LayerView ForwardPass::ViewOf(const AttentionBlock& block) const {
  return {.layer = block.kv_layer,
          .kv_heads = block.kv_heads,
          .group = shape_.query_heads / block.kv_heads,
          .head_dim = block.head_dim,
          .padded = RoundUp(block.head_dim, 16),
          .gated = block.gated,
          .window = block.window};
}

// Where queries are few, threads share out the chunks of keys, too.
bool ForwardPass::ByChunk(size_t kv_heads) const {
  return max_chunks_ > 1 && n_tokens_ * kv_heads < 4 * threads_;
}

void ForwardPass::Attend(Team& team, const AttentionBlock& block) {
  const LayerView view = ViewOf(block);
  const Projection projections[] = {
      {block.query, space_.query}, {block.key, space_.key}, {block.value, space_.value}};
  const size_t n_projections = block.keys_of ? 1 : block.has_value() ? 3 : 2;
  NormAndPrepare(team, block.norm);
  if (EndsAt(space_.width)) return;
  Project(team, {projections, n_projections}, block.norm);
  RotateAndStore(team, block);
  const size_t heads = view.kv_heads;
  if (ByChunk(heads)) {
    team.Phase(n_tokens_ * heads * max_chunks_, parts_, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) {
        AttendChunk(team, i / (heads * max_chunks_), i / max_chunks_ % heads, i % max_chunks_,
                    view);
      }
    });
    team.Phase(n_tokens_ * shape_.query_heads, 1, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) {
        JoinChunks(i / shape_.query_heads, i % shape_.query_heads, view);
      }
    });
  } else {
    // Later tiles see more keys: the parts take them in turns.
    const size_t items = tiles_.size() * heads;
    const size_t parts = std::min(items, team.size() * parts_);
    team.Phase(parts, parts_, [&](size_t first, size_t last) {
      for (size_t part = first; part < last; ++part) {
        for (size_t i = part; i < items; i += parts) {
          AttendTile(team, tiles_[i / heads], i % heads, view);
        }
      }
    });
  }
  const size_t width = shape_.query_heads * view.head_dim;
  PrepareAttended(team, width);
  if (EndsAt(space_.heads)) return;
  AddToResidual(team, block.output, block.post_norm,
                [&]() -> const Operand& { return Attended(team, width); });
}

void ForwardPass::PrepareAttended(Team& team, size_t n) {
  if (alone_) return;
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      Prepare(space_.attended.Row(t), n, space_.heads, t, 0);
    }
  });
}

const Operand& ForwardPass::Attended(const Team& team, size_t n) {
  if (!alone_) return space_.heads;
  ThreadSpace& own = space_.threads[team.thread()];
  if (own.prepared_for != team.phase()) {
    Prepare(space_.attended.Row(0), n, own.heads, 0, 0);
    own.prepared_for = team.phase();
  }
  return own.heads;
}

void ForwardPass::RotateAndStore(Team& team, const AttentionBlock& block) {
  const size_t heads = shape_.query_heads + (block.keys_of ? 0 : block.kv_heads);
  team.Phase(n_tokens_ * heads, parts_, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const size_t t = i / heads, head = i % heads;
      if (head < shape_.query_heads) {
        RotateQuery(team, block, t, head);
      } else {
        StoreKeyAndValue(team, block, t, head - shape_.query_heads);
      }
    }
  });
}

// One head of d values, which begin at `at` of a row, behind its norm. A norm over all heads is computed
// once for those of a part: they follow each other.
void ForwardPass::NormHead(const Team& team, const float* row, const Vector& norm, size_t d,
                           size_t head, size_t at, float* out) {
  if (norm.size() == d) {
    kernels_.rms_norm(row + at, norm.data(), shape_.norm_eps, d, out);
    return;
  }
  ThreadSpace& own = space_.threads[team.thread()];
  if (own.whole_for != team.phase() || own.whole_of != row) {
    kernels_.rms_norm(row, norm.data(), shape_.norm_eps, norm.size(), own.whole.Row(0));
    own.whole_for = team.phase();
    own.whole_of = row;
  }
  std::copy_n(own.whole.Row(0) + head * d, d, out);
}

void ForwardPass::Turn(float* head, size_t token, int rope) {
  if (rope < 0) return;
  const float* angles = space_.angles.Row(token);
  for (int i = 0; i < rope; ++i) angles += 2 * shape_.ropes[i].frequencies.size();
  Rotate(head, angles, shape_.ropes[rope].frequencies.size(), shape_.ropes[rope].pairs);
}

void ForwardPass::RotateQuery(const Team& team, const AttentionBlock& block, size_t token,
                              size_t head) {
  const size_t d = block.head_dim;
  float* to = space_.rotated.Row(token * shape_.query_heads + head);
  const float* row = space_.query.Row(token);
  const size_t at = block.gated ? 2 * head * d : head * d;
  if (block.query_norm.empty()) {
    std::copy_n(row + at, d, to);
  } else {
    NormHead(team, row, block.query_norm, d, head, at, to);
  }
  std::fill(to + d, to + RoundUp(d, 16), 0.0f);
  Turn(to, token, block.rope);
  if (shape_.temperature != 0.0) {
    kernels_.scale(to, space_.angles.Row(token)[AnglesWidth() - 1], d);
  }
  if (!coded_) return;
  kernels_.quantize(to, d, space_.rotated_codes.rows(), token * shape_.query_heads + head, 0);
}

float ForwardPass::StoreValue(const Team& team, const AttentionBlock& block, size_t token,
                              size_t kv_head) {
  const size_t d = block.head_dim, position = batch_[token].position;
  ThreadSpace& own = space_.threads[team.thread()];
  const float* row = (block.has_value() ? space_.value : space_.key).Row(token);
  const float* value = row + kv_head * d;
  if (!block.value_norm.empty()) {
    NormHead(team, row, block.value_norm, d, kv_head, kv_head * d, own.head.Row(0));
    value = own.head.Row(0);
  }
  if (coded_) return kernels_.quantize_head(value, d, own.value.data());
  const KvCache& cache = *batch_[token].cache;
  const size_t chunk = position / kKeyChunk, at = position % kKeyChunk * RoundUp(d, 16);
  if (floats_) {
    std::copy_n(value, d, cache.Values<float>(block.kv_layer, kv_head, chunk) + at);
  } else {
    kernels_.floats_to_halves(value, d, cache.Values(block.kv_layer, kv_head, chunk) + at);
  }
  return 1.0f;
}

// The value first: it may be what the key is before it is turned.
void ForwardPass::StoreKeyAndValue(const Team& team, const AttentionBlock& block, size_t token,
                                   size_t kv_head) {
  const size_t d = block.head_dim, layer = block.kv_layer;
  ThreadSpace& own = space_.threads[team.thread()];
  const KvCache& cache = *batch_[token].cache;
  const size_t chunk = batch_[token].position / kKeyChunk;
  const size_t in_chunk = batch_[token].position % kKeyChunk;
  const float value_scale = StoreValue(team, block, token, kv_head);
  float* key = space_.key.Row(token) + kv_head * d;
  if (!block.key_norm.empty()) {
    NormHead(team, space_.key.Row(token), block.key_norm, d, kv_head, kv_head * d,
             own.head.Row(0));
    key = own.head.Row(0);  // others may still read the row
  }
  Turn(key, token, block.rope);
  const size_t at = in_chunk * RoundUp(d, 16);
  if (coded_) {
    kernels_.quantize(key, d, own.key.rows(), 0, 0);
    StoreCodes(cache.shape().layers[layer].head, cache.Coded(layer, kv_head, chunk), in_chunk,
               own.key.rows(), own.value.data(), value_scale);
  } else if (floats_) {
    std::copy_n(key, d, cache.Keys<float>(layer, kv_head, chunk) + at);
  } else {
    kernels_.floats_to_halves(key, d, cache.Keys(layer, kv_head, chunk) + at);
  }
}

void ForwardPass::LoadChunk(ThreadSpace& own, const KvCache& cache, const LayerView& view,
                            size_t kv_head, size_t chunk, size_t n_keys) {
  const size_t layer = view.layer, padded = view.padded;
  float *keys = own.chunk.Row(0), *values = own.chunk.Row(kKeyChunk);
  if (floats_) {
    KeysToColumns(cache.Keys<float>(layer, kv_head, chunk), n_keys, padded, keys);
    std::copy_n(cache.Values<float>(layer, kv_head, chunk), n_keys * padded, values);
    return;
  }
  kernels_.halves_to_columns(cache.Keys(layer, kv_head, chunk), n_keys, padded, keys);
  kernels_.halves_to_floats(cache.Values(layer, kv_head, chunk), n_keys * padded, values);
}

// own.queries against the first n_keys of a chunk. A few take float16 keys as they are; more share
// keys that were converted once.
void ForwardPass::AttendQueries(ThreadSpace& own, const KvCache& cache, const LayerView& view,
                                size_t kv_head, size_t chunk, size_t n_keys) {
  const std::vector<ChunkQuery>& queries = own.queries;
  const size_t layer = view.layer;
  if (coded_) {
    kernels_.attend_codes(queries.data(), queries.size(), cache.Coded(layer, kv_head, chunk),
                          view.head_dim, shape_.score_scale, shape_.score_cap);
  } else if (queries.size() <= kAttendTogether && !floats_) {
    kernels_.attend_halves(queries.data(), queries.size(), cache.Keys(layer, kv_head, chunk),
                           cache.Values(layer, kv_head, chunk), view.padded, shape_.score_scale,
                           shape_.score_cap);
  } else {
    LoadChunk(own, cache, view, kv_head, chunk, n_keys);
    kernels_.attend(queries.data(), queries.size(), own.chunk.Row(0), own.chunk.Row(kKeyChunk),
                    view.padded, shape_.score_scale, shape_.score_cap);
  }
}

// All chunks in order, each decoded once for the queries of the tile and of the head's group.
void ForwardPass::AttendTile(const Team& team, const QueryTile& tile, size_t kv_head,
                             const LayerView& view) {
  ThreadSpace& own = space_.threads[team.thread()];
  const size_t last_position = batch_[tile.first + tile.count - 1].position;
  const size_t n_queries = tile.count * view.group;
  const auto state = [&](size_t index) {
    return PartialAt(own.states.data() + index * PartialSize());
  };
  const size_t first_chunk = view.FirstChunk(batch_[tile.first].position);
  for (size_t chunk = first_chunk; chunk * kKeyChunk <= last_position; ++chunk) {
    own.queries.clear();
    for (size_t i = 0; i < n_queries; ++i) {
      const size_t token = tile.first + i / view.group;
      if (!view.Sees(batch_[token].position, chunk)) continue;
      const bool begins = chunk == view.FirstChunk(batch_[token].position);
      own.queries.push_back(QueryOf(token, kv_head * view.group + i % view.group, chunk, view,
                                    state(begins ? i : n_queries + i)));
    }
    AttendQueries(own, *batch_[tile.first].cache, view, kv_head, chunk,
                  std::min(kKeyChunk, last_position + 1 - chunk * kKeyChunk));
    for (size_t i = 0; i < n_queries; ++i) {
      const size_t token = tile.first + i / view.group;
      const size_t position = batch_[token].position;
      if (!view.Sees(position, chunk) || chunk == view.FirstChunk(position)) continue;
      kernels_.merge(state(i), state(n_queries + i), view.padded);
    }
  }
  for (size_t i = 0; i < n_queries; ++i) {
    Divide(tile.first + i / view.group, kv_head * view.group + i % view.group, state(i), view);
  }
}

ChunkQuery ForwardPass::QueryOf(size_t token, size_t head, size_t chunk, const LayerView& view,
                                const AttentionPartial& out) {
  const size_t position = batch_[token].position, begin = chunk * kKeyChunk;
  const size_t first = std::max(view.FirstKey(position), begin);
  const size_t last = std::min(kKeyChunk, position + 1 - begin);
  const size_t row = token * shape_.query_heads + head;
  return {.query = space_.rotated.Row(row),
          .coded = coded_ ? space_.rotated_codes.Row(row) : CodedRow{},
          .first = static_cast<int32_t>(first - begin),
          .last = static_cast<int32_t>(last),
          .out = out};
}

float* ForwardPass::StoredPartial(size_t token, size_t head, size_t chunk) {
  return space_.partials.data() +
         ((token * shape_.query_heads + head) * max_chunks_ + chunk) * PartialSize();
}

void ForwardPass::AttendChunk(const Team& team, size_t token, size_t kv_head, size_t chunk,
                              const LayerView& view) {
  if (!view.Sees(batch_[token].position, chunk)) return;
  ThreadSpace& own = space_.threads[team.thread()];
  own.queries.clear();
  for (size_t g = 0; g < view.group; ++g) {
    const size_t head = kv_head * view.group + g;
    own.queries.push_back(
        QueryOf(token, head, chunk, view, PartialAt(StoredPartial(token, head, chunk))));
  }
  AttendQueries(own, *batch_[token].cache, view, kv_head, chunk,
                std::min(kKeyChunk, batch_[token].position + 1 - chunk * kKeyChunk));
}

void ForwardPass::JoinChunks(size_t token, size_t head, const LayerView& view) {
  const size_t first = view.FirstChunk(batch_[token].position);
  const AttentionPartial running = PartialAt(StoredPartial(token, head, first));
  for (size_t chunk = first + 1; chunk * kKeyChunk <= batch_[token].position; ++chunk) {
    kernels_.merge(running, PartialAt(StoredPartial(token, head, chunk)), view.padded);
  }
  Divide(token, head, running, view);
}

// The end of a head: the weighted values by the sum of their weights, through its gate.
void ForwardPass::Divide(size_t token, size_t head, const AttentionPartial& partial,
                         const LayerView& view) {
  const size_t d = view.head_dim;
  float* out = space_.attended.Row(token) + head * d;
  kernels_.divide(partial.out, *partial.sum, d, out);
  if (view.gated) {
    kernels_.gate_by_sigmoid(out, space_.query.Row(token) + (2 * head + 1) * d, d);
  }
}

}  // namespace aboard
