// The phases of a transformer layer. What a phase reads, the phases before it wrote; outside the
// bodies of phases nothing shared is touched, for a late thread may still be there.
// Expects a Workspace that was reserved for the batch.
// Exactness: parts are rows, heads or chunks of keys; no sum is ever split over threads.
#include "engine/forward.h"

#include <algorithm>

#include "engine/packing.h"

namespace aboard {
ForwardPass::ForwardPass(const DecoderShape& shape, KvFormat kv_format,
                         std::span<const BatchToken> batch, Workspace& workspace, size_t threads)
    : shape_(shape),
      coded_(kv_format == KvFormat::kInt8),
      batch_(batch),
      space_(workspace),
      kernels_(ActiveKernels()),
      n_tokens_(batch.size()),
      alone_(batch.size() == 1),
      parts_(alone_ ? 1 : Team::kMaxPartsPerThread),
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
  if (coded_) space_.rotated_codes.Reserve(n_tokens_ * shape_.query_heads, shape_.head_dim, 1);
  space_.gate.Reserve(n_tokens_, shape_.ffn_width);
  space_.up.Reserve(n_tokens_, shape_.ffn_width);
  space_.angles.Reserve(n_tokens_, 2 * shape_.rope_frequencies.size());
  space_.logits.Reserve(shape_.vocabulary % kPanelRows == 0 ? 0 : n_logits, shape_.vocabulary);
  const size_t tile = kernels_.tile_tokens;
  space_.width.Reserve(std::max(n_tokens_, n_logits), shape_.width, tile);
  space_.heads.Reserve(n_tokens_, heads_width, tile);
  space_.ffn.Reserve(n_tokens_, shape_.ffn_width, tile);
  if (by_chunk_) {
    const size_t needed = n_tokens_ * shape_.query_heads * max_chunks_ * PartialSize();
    if (space_.partials.size() < needed) space_.partials.resize(needed);
  }
  for (ThreadSpace& own : space_.threads) {
    own.normed.Reserve(1, shape_.width);
    own.width.Reserve(1, shape_.width, tile);
    own.heads.Reserve(1, heads_width, tile);
    own.linear.resize(kLinearScratchBytes + 64);
    if (coded_) {
      own.key.Reserve(1, shape_.head_dim, 1);
      own.value.resize(padded_);
    } else {
      own.chunk.Reserve(2 * kKeyChunk, padded_);
    }
    own.states.resize(2 * kTileQueries * group_ * PartialSize());
  }
}

void ForwardPass::Embed(Team& team, const PackedMatrix& embedding) {
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      ReadRow(embedding, static_cast<size_t>(batch_[t].id), space_.residual.Row(t));
      RopeAngles(shape_.rope_frequencies, batch_[t].position, space_.angles.Row(t));
    }
  });
}

// A single token is normed and quantised by every thread for itself, at its first part of a phase:
// cheaper than a phase of its own. Several are shared out.
void ForwardPass::NormAndQuantize(Team& team, const std::vector<float>& norm) {
  if (alone_) return;
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    float* normed = space_.threads[team.thread()].normed.Row(0);
    for (size_t t = first; t < last; ++t) NormToken(t, norm, normed, space_.width.rows(), t);
  });
}

const QuantizedRows& ForwardPass::Normed(const Team& team, const std::vector<float>& norm) {
  if (!alone_) return space_.width.rows();
  ThreadSpace& own = space_.threads[team.thread()];
  if (own.prepared_for != team.phase()) {
    NormToken(0, norm, own.normed.Row(0), own.width.rows(), 0);
    own.prepared_for = team.phase();
  }
  return own.width.rows();
}

void ForwardPass::NormToken(size_t token, const std::vector<float>& norm, float* normed,
                            const QuantizedRows& out, size_t row) {
  kernels_.rms_norm(space_.residual.Row(token), norm.data(), shape_.norm_eps, shape_.width,
                    normed);
  kernels_.quantize(normed, shape_.width, out, row, 0);
}

void ForwardPass::QuantizeAttended(Team& team) {
  if (alone_) return;
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      kernels_.quantize(space_.attended.Row(t), shape_.query_heads * shape_.head_dim,
                        space_.heads.rows(), t, 0);
    }
  });
}

const QuantizedRows& ForwardPass::Attended(const Team& team) {
  if (!alone_) return space_.heads.rows();
  ThreadSpace& own = space_.threads[team.thread()];
  if (own.prepared_for != team.phase()) {
    kernels_.quantize(space_.attended.Row(0), shape_.query_heads * shape_.head_dim,
                      own.heads.rows(), 0, 0);
    own.prepared_for = team.phase();
  }
  return own.heads.rows();
}

// The panels of all projections are shared out as if they were one matrix.
void ForwardPass::Project(Team& team, std::span<const Projection> projections,
                          const std::vector<float>& norm) {
  size_t total = 0;
  for (const Projection& each : projections) total += PanelsOf(each.matrix.rows);
  team.Phase(total, parts_, [&](size_t first, size_t last) {
    const QuantizedRows& x = Normed(team, norm);
    size_t begin = 0;
    for (const Projection& each : projections) {
      const size_t panels = PanelsOf(each.matrix.rows);
      const size_t from = std::clamp(first, begin, begin + panels) - begin;
      const size_t to = std::clamp(last, begin, begin + panels) - begin;
      if (from < to) Linear(team, each.matrix, from, to, x, each.out);
      begin += panels;
    }
  });
}

void ForwardPass::Linear(const Team& team, const PackedMatrix& matrix, size_t first_panel,
                         size_t last_panel, const QuantizedRows& x, FloatRows& out) {
  kernels_.linear(matrix, first_panel, last_panel, x, n_tokens_, out.Row(0), out.stride(),
                  space_.threads[team.thread()].LinearScratch());
}

template <class Rows>
void ForwardPass::AddToResidual(Team& team, const PackedMatrix& matrix, const Rows& x) {
  team.Phase(PanelsOf(matrix.rows), parts_, [&](size_t first, size_t last) {
    FloatRows& out = space_.projected;
    Linear(team, matrix, first, last, x(), out);
    const size_t row = first * kPanelRows;
    const size_t n = std::min(last * kPanelRows, matrix.rows) - row;
    for (size_t t = 0; t < n_tokens_; ++t) {
      kernels_.add(space_.residual.Row(t) + row, out.Row(t) + row, n);
    }
  });
}

void ForwardPass::Attend(Team& team, const AttentionBlock& block, size_t layer) {
  const LayerView view{layer, block.window};
  const Projection projections[] = {
      {block.query, space_.query}, {block.key, space_.key}, {block.value, space_.value}};
  NormAndQuantize(team, block.norm);
  Project(team, projections, block.norm);
  RotateAndStore(team, layer);
  if (by_chunk_) {
    const size_t heads = shape_.kv_heads;
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
    const size_t items = tiles_.size() * shape_.kv_heads;
    const size_t parts = std::min(items, team.size() * parts_);
    team.Phase(parts, parts_, [&](size_t first, size_t last) {
      for (size_t part = first; part < last; ++part) {
        for (size_t i = part; i < items; i += parts) {
          AttendTile(team, tiles_[i / shape_.kv_heads], i % shape_.kv_heads, view);
        }
      }
    });
  }
  QuantizeAttended(team);
  AddToResidual(team, block.output,
                [&]() -> const QuantizedRows& { return Attended(team); });
}

void ForwardPass::RotateAndStore(Team& team, size_t layer) {
  const size_t heads = shape_.query_heads + shape_.kv_heads;
  team.Phase(n_tokens_ * heads, parts_, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const size_t t = i / heads, head = i % heads;
      if (head < shape_.query_heads) {
        RotateQuery(t, head);
      } else {
        StoreKeyAndValue(team, t, head - shape_.query_heads, layer);
      }
    }
  });
}

void ForwardPass::RotateQuery(size_t token, size_t head) {
  const size_t d = shape_.head_dim;
  float* to = space_.rotated.Row(token * shape_.query_heads + head);
  std::copy_n(space_.query.Row(token) + head * d, d, to);
  std::fill(to + d, to + padded_, 0.0f);
  Rotate(to, space_.angles.Row(token), shape_.rope_frequencies.size(), shape_.rope_pairs);
  if (!coded_) return;
  kernels_.quantize(to, d, space_.rotated_codes.rows(), token * shape_.query_heads + head, 0);
}

void ForwardPass::StoreKeyAndValue(const Team& team, size_t token, size_t kv_head, size_t layer) {
  const size_t d = shape_.head_dim;
  const KvCache& cache = *batch_[token].cache;
  const size_t chunk = batch_[token].position / kKeyChunk;
  const size_t in_chunk = batch_[token].position % kKeyChunk;
  float* key = space_.key.Row(token) + kv_head * d;
  const float* value = space_.value.Row(token) + kv_head * d;
  Rotate(key, space_.angles.Row(token), shape_.rope_frequencies.size(), shape_.rope_pairs);
  if (coded_) {
    ThreadSpace& own = space_.threads[team.thread()];
    kernels_.quantize(key, d, own.key.rows(), 0, 0);
    const float scale = kernels_.quantize_head(value, d, own.value.data());
    StoreCodes(cache.shape(), cache.Coded(layer, kv_head, chunk), in_chunk, own.key.rows(),
               own.value.data(), scale);
    return;
  }
  const size_t at = in_chunk * padded_;
  kernels_.floats_to_halves(key, d, cache.Keys(layer, kv_head, chunk) + at);
  kernels_.floats_to_halves(value, d, cache.Values(layer, kv_head, chunk) + at);
}

void ForwardPass::LoadChunk(ThreadSpace& own, const KvCache& cache, size_t layer, size_t kv_head,
                            size_t chunk, size_t n_keys) {
  kernels_.halves_to_columns(cache.Keys(layer, kv_head, chunk), n_keys, padded_,
                             own.chunk.Row(0));
  kernels_.halves_to_floats(cache.Values(layer, kv_head, chunk), n_keys * padded_,
                            own.chunk.Row(kKeyChunk));
}

// own.queries against the first n_keys of a chunk. A few take float16 keys as they are; more share
// keys that were converted once.
void ForwardPass::AttendQueries(ThreadSpace& own, const KvCache& cache, size_t layer,
                                size_t kv_head, size_t chunk, size_t n_keys) {
  const std::vector<ChunkQuery>& queries = own.queries;
  if (coded_) {
    kernels_.attend_codes(queries.data(), queries.size(), cache.Coded(layer, kv_head, chunk),
                          shape_.head_dim, shape_.score_scale);
  } else if (queries.size() <= kAttendTogether) {
    kernels_.attend_halves(queries.data(), queries.size(), cache.Keys(layer, kv_head, chunk),
                           cache.Values(layer, kv_head, chunk), padded_, shape_.score_scale);
  } else {
    LoadChunk(own, cache, layer, kv_head, chunk, n_keys);
    kernels_.attend(queries.data(), queries.size(), own.chunk.Row(0), own.chunk.Row(kKeyChunk),
                    padded_, shape_.score_scale);
  }
}

// All chunks in order, each decoded once for the queries of the tile and of the head's group.
void ForwardPass::AttendTile(const Team& team, const QueryTile& tile, size_t kv_head,
                             const LayerView& view) {
  ThreadSpace& own = space_.threads[team.thread()];
  const size_t last_position = batch_[tile.first + tile.count - 1].position;
  const size_t n_queries = tile.count * group_;
  const auto state = [&](size_t index) {
    return PartialAt(own.states.data() + index * PartialSize());
  };
  const size_t first_chunk = view.FirstChunk(batch_[tile.first].position);
  for (size_t chunk = first_chunk; chunk * kKeyChunk <= last_position; ++chunk) {
    own.queries.clear();
    for (size_t i = 0; i < n_queries; ++i) {
      const size_t token = tile.first + i / group_;
      if (!view.Sees(batch_[token].position, chunk)) continue;
      const bool begins = chunk == view.FirstChunk(batch_[token].position);
      own.queries.push_back(QueryOf(token, kv_head * group_ + i % group_, chunk, view,
                                    state(begins ? i : n_queries + i)));
    }
    AttendQueries(own, *batch_[tile.first].cache, view.layer, kv_head, chunk,
                  std::min(kKeyChunk, last_position + 1 - chunk * kKeyChunk));
    for (size_t i = 0; i < n_queries; ++i) {
      const size_t token = tile.first + i / group_;
      const size_t position = batch_[token].position;
      if (!view.Sees(position, chunk) || chunk == view.FirstChunk(position)) continue;
      kernels_.merge(state(i), state(n_queries + i), padded_);
    }
  }
  for (size_t i = 0; i < n_queries; ++i) {
    kernels_.divide(state(i).out, *state(i).sum, shape_.head_dim,
                    space_.attended.Row(tile.first + i / group_) +
                        (kv_head * group_ + i % group_) * shape_.head_dim);
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
  for (size_t g = 0; g < group_; ++g) {
    const size_t head = kv_head * group_ + g;
    own.queries.push_back(
        QueryOf(token, head, chunk, view, PartialAt(StoredPartial(token, head, chunk))));
  }
  AttendQueries(own, *batch_[token].cache, view.layer, kv_head, chunk,
                std::min(kKeyChunk, batch_[token].position + 1 - chunk * kKeyChunk));
}

void ForwardPass::JoinChunks(size_t token, size_t head, const LayerView& view) {
  const size_t first = view.FirstChunk(batch_[token].position);
  const AttentionPartial running = PartialAt(StoredPartial(token, head, first));
  for (size_t chunk = first + 1; chunk * kKeyChunk <= batch_[token].position; ++chunk) {
    kernels_.merge(running, PartialAt(StoredPartial(token, head, chunk)), padded_);
  }
  kernels_.divide(running.out, *running.sum, shape_.head_dim,
                  space_.attended.Row(token) + head * shape_.head_dim);
}

// A part is made of blocks of 32 hidden values, so that they can be quantised at once.
void ForwardPass::FeedForward(Team& team, const FeedForwardBlock& block) {
  NormAndQuantize(team, block.norm);
  const size_t width = shape_.ffn_width;
  team.Phase(RoundUp(width, kBlock) / kBlock, parts_, [&](size_t first, size_t last) {
    const QuantizedRows& x = Normed(team, block.norm);
    FloatRows &gate = space_.gate, &up = space_.up;
    const size_t from = first * 2, to = std::min(last * 2, PanelsOf(width));
    Linear(team, block.gate, from, to, x, gate);
    Linear(team, block.up, from, to, x, up);
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < n_tokens_; ++t) {
      kernels_.swiglu(gate.Row(t) + begin, up.Row(t) + begin, n);
      kernels_.quantize(gate.Row(t) + begin, n, space_.ffn.rows(), t, first);
    }
  });
  AddToResidual(team, block.down,
                [&]() -> const QuantizedRows& { return space_.ffn.rows(); });
}

void ForwardPass::Head(Team& team, const std::vector<float>& norm, const PackedMatrix& head,
                       std::span<const size_t> wanted, float* logits) {
  if (wanted.empty()) return;
  team.Phase(wanted.size(), parts_, [&](size_t first, size_t last) {
    float* normed = space_.threads[team.thread()].normed.Row(0);
    for (size_t i = first; i < last; ++i) {
      NormToken(wanted[i], norm, normed, space_.width.rows(), i);
    }
  });
  const size_t vocabulary = shape_.vocabulary;
  const bool direct = vocabulary % kPanelRows == 0;
  team.Phase(PanelsOf(vocabulary), parts_, [&](size_t first, size_t last) {
    float* out = direct ? logits : space_.logits.Row(0);
    kernels_.linear(head, first, last, space_.width.rows(), wanted.size(), out,
                    direct ? vocabulary : space_.logits.stride(),
                    space_.threads[team.thread()].LinearScratch());
  });
  if (direct) return;
  team.Phase(wanted.size(), 1, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      std::copy_n(space_.logits.Row(i), vocabulary, logits + i * vocabulary);
    }
  });
}

}  // namespace aboard
