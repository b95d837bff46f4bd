// The phases of a transformer layer. What a phase reads, the phases before it wrote; outside the
// bodies of phases nothing shared is touched, for a late thread may still be there.
// Expects a Workspace that was reserved for the batch.
// Exactness: parts are rows, heads or chunks of keys; no sum is ever split over threads.
#include "engine/forward.h"

#include <algorithm>

#include "engine/float_linear.h"
#include "engine/packing.h"
#include "engine/scalar_math.h"

namespace aboard {
ForwardPass::ForwardPass(const DecoderShape& shape, KvFormat kv_format,
                         std::span<const BatchToken> batch, Workspace& workspace, size_t threads)
    : shape_(shape),
      coded_(kv_format == KvFormat::kInt8),
      floats_(kv_format == KvFormat::kF32),
      batch_(batch),
      space_(workspace),
      kernels_(ActiveKernels()),
      n_tokens_(batch.size()),
      alone_(batch.size() == 1),
      parts_(alone_ ? 1 : Team::kMaxPartsPerThread),
      threads_(threads),
      padded_(RoundUp(shape.head_dim, 16)) {
  size_t last_position = 0;
  for (size_t t = 0; t < n_tokens_; ++t) {
    last_position = std::max(last_position, batch[t].position);
    if (t > 0 && batch[t].cache == batch[t - 1].cache) {
      ++runs_.back().count;
    } else {
      runs_.push_back({t, 1});
    }
    const bool joins = !tiles_.empty() && tiles_.back().count < kTileQueries &&
                       batch[t].cache == batch[t - 1].cache;
    if (joins) {
      ++tiles_.back().count;
    } else {
      tiles_.push_back({t, 1});
    }
  }
  max_chunks_ = last_position / kKeyChunk + 1;
}

size_t ForwardPass::AnglesWidth() const {
  size_t width = 1;
  for (const Rope& rope : shape_.ropes) width += 2 * rope.frequencies.size();
  return width;
}

void ForwardPass::Reserve(size_t n_logits) {
  const size_t heads_width = shape_.query_heads * shape_.head_dim;
  const size_t gates = std::max(shape_.ffn_width, shape_.token_width);
  space_.residual.Reserve(n_tokens_, shape_.width);
  space_.projected.Reserve(n_tokens_, shape_.width);
  space_.query.Reserve(n_tokens_, shape_.gated ? 2 * heads_width : heads_width);
  space_.attended.Reserve(n_tokens_, heads_width);
  space_.key.Reserve(n_tokens_, shape_.kv_width);
  space_.value.Reserve(n_tokens_, shape_.kv_width);
  space_.rotated.Reserve(n_tokens_ * shape_.query_heads, padded_);
  if (coded_) space_.rotated_codes.Reserve(n_tokens_ * shape_.query_heads, shape_.head_dim, 1);
  space_.gate.Reserve(n_tokens_, gates);
  space_.up.Reserve(n_tokens_, shape_.ffn_width);
  space_.angles.Reserve(n_tokens_, AnglesWidth());
  space_.logits.Reserve(shape_.vocabulary % kPanelRows == 0 ? 0 : n_logits, shape_.vocabulary);
  const size_t tile = kernels_.tile_tokens;
  space_.width.Reserve(std::max(n_tokens_, n_logits), shape_.width, tile, floats_);
  space_.heads.Reserve(n_tokens_, heads_width, tile, floats_);
  space_.ffn.Reserve(n_tokens_, gates, tile, floats_);
  if (shape_.token_width != 0) {
    const size_t width = shape_.layers * shape_.token_width;
    space_.table.Reserve(n_tokens_, width);
    space_.known.Reserve(n_tokens_, width);
  }
  const DeltaShape& delta = shape_.delta;
  if (shape_.conv_taps != 0) {
    const size_t gated = delta.key_heads != 0 ? delta.inner() : shape_.width;
    space_.conv_input.Reserve(n_tokens_, shape_.conv_width);
    space_.conv_output.Reserve(n_tokens_, shape_.conv_width);
    space_.conv_gate.Reserve(n_tokens_, gated);
    space_.convolved.Reserve(n_tokens_, gated, tile, floats_);
    space_.delta_alpha.Reserve(n_tokens_, delta.value_heads);
    space_.delta_beta.Reserve(n_tokens_, delta.value_heads);
  }
  if (ByChunk(shape_.query_heads / std::max(shape_.group, size_t{1}))) {
    const size_t needed = n_tokens_ * shape_.query_heads * max_chunks_ * PartialSize();
    if (space_.partials.size() < needed) space_.partials.resize(needed);
  }
  for (ThreadSpace& own : space_.threads) {
    own.normed.Reserve(1, shape_.width);
    own.width.Reserve(1, shape_.width, tile, floats_);
    own.heads.Reserve(1, heads_width, tile, floats_);
    own.head.Reserve(1, padded_);
    own.whole.Reserve(1, heads_width);
    own.linear.resize(kLinearScratchBytes + 64);
    own.delta.Reserve(3, delta.head_dim);
    if (floats_) {
      own.row.Reserve(1, std::max({shape_.width, heads_width, gates, delta.inner()}));
    }
    if (coded_) {
      own.key.Reserve(1, shape_.head_dim, 1);
      own.value.resize(padded_);
    } else {
      own.chunk.Reserve(2 * kKeyChunk, padded_);
    }
    own.states.resize(2 * kTileQueries * shape_.group * PartialSize());
  }
}

void ForwardPass::BeginSequences() {
  for (const QueryTile& run : runs_) batch_[run.first].cache->BeginPass(run.count);
}

void ForwardPass::Embed(Team& team, const PackedMatrix& embedding,
                        const std::optional<LayerEmbedding>& layers) {
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      ReadToken(t, embedding);
      if (layers) ReadTable(t, *layers);
    }
  });
  if (layers) EmbedLayers(team, *layers);
}

// The embedding of a token, and how far its position turns.
void ForwardPass::ReadToken(size_t token, const PackedMatrix& embedding) {
  float* x = space_.residual.Row(token);
  ReadRow(embedding, static_cast<size_t>(batch_[token].id), x);
  if (shape_.embedding_scale != 1.0f) kernels_.scale(x, shape_.embedding_scale, shape_.width);
  FindAngles(token);
}

void ForwardPass::FindAngles(size_t token) {
  const size_t position = batch_[token].position;
  float* angles = space_.angles.Row(token);
  for (const Rope& rope : shape_.ropes) {
    RopeAngles(rope.frequencies, position, rope.factor, angles);
    angles += 2 * rope.frequencies.size();
  }
  if (shape_.temperature != 0.0) {
    const auto turns = static_cast<double>(position / shape_.temperature_context);
    *angles = static_cast<float>(1.0 + shape_.temperature * Log(1.0 + turns));
  }
}

void ForwardPass::Enter(Team& team, const float* hidden) {
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      std::copy_n(hidden + t * shape_.width, shape_.width, space_.residual.Row(t));
      FindAngles(t);
    }
  });
}

void ForwardPass::Leave(Team& team, float* hidden) {
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      std::copy_n(space_.residual.Row(t), shape_.width, hidden + t * shape_.width);
    }
  });
}

void ForwardPass::TapInputs(const LayerPart& part, float* out) {
  taps_ = out;
  tap_width_ = part.InputWidth(shape_);
  if (!part.inner) {
    tapped_ = &space_.width;
  } else if (part.half == LayerHalf::kFeed) {
    tapped_ = &space_.ffn;
  } else {
    tapped_ = part.attends ? &space_.heads : &space_.convolved;
  }
}

// x becomes `n` columns of what a matrix is multiplied with, from block `first_block` on.
void ForwardPass::Prepare(const float* x, size_t n, Operand& out, size_t row,
                          size_t first_block) {
  if (EndsAt(out)) {
    std::copy_n(x, n, taps_ + row * tap_width_ + first_block * kBlock);
  } else if (floats_) {
    std::copy_n(x, n, out.floats().Row(row) + first_block * kBlock);
  } else {
    kernels_.quantize(x, n, out.codes(), row, first_block);
  }
}

// A single token is normed and prepared by every thread for itself, at its first part of a phase:
// cheaper than a phase of its own. Several are shared out.
void ForwardPass::NormAndPrepare(Team& team, const Vector& norm) {
  if (alone_) return;
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    float* normed = space_.threads[team.thread()].normed.Row(0);
    for (size_t t = first; t < last; ++t) NormToken(t, norm, normed, space_.width, t);
  });
}

const Operand& ForwardPass::Normed(const Team& team, const Vector& norm) {
  if (!alone_) return space_.width;
  ThreadSpace& own = space_.threads[team.thread()];
  if (own.prepared_for != team.phase()) {
    NormToken(0, norm, own.normed.Row(0), own.width, 0);
    own.prepared_for = team.phase();
  }
  return own.width;
}

void ForwardPass::NormToken(size_t token, const Vector& norm, float* normed, Operand& out,
                            size_t row) {
  const float* x = space_.residual.Row(token);
  if (!norm.empty()) {
    kernels_.rms_norm(x, norm.data(), shape_.norm_eps, shape_.width, normed);
    x = normed;
  }
  Prepare(x, shape_.width, out, row, 0);
}

// The panels of all projections are shared out as if they were one matrix.
void ForwardPass::Project(Team& team, std::span<const Projection> projections,
                          const Vector& norm) {
  size_t total = 0;
  for (const Projection& each : projections) total += PanelsOf(each.linear.matrix.rows);
  team.Phase(total, parts_, [&](size_t first, size_t last) {
    const Operand& x = Normed(team, norm);
    size_t begin = 0;
    for (const Projection& each : projections) {
      const size_t panels = PanelsOf(each.linear.matrix.rows);
      const size_t from = std::clamp(first, begin, begin + panels) - begin;
      const size_t to = std::clamp(last, begin, begin + panels) - begin;
      if (from < to) Multiply(team, each.linear, from, to, x, each.out);
      begin += panels;
    }
  });
}

void ForwardPass::Multiply(const Team& team, const PackedMatrix& matrix, size_t first_panel,
                           size_t last_panel, const Operand& x, size_t n, float* out,
                           size_t stride) {
  ThreadSpace& own = space_.threads[team.thread()];
  if (floats_) {
    MultiplyFloats(matrix, first_panel, last_panel, x.floats(), n, out, stride, own.row.Row(0));
  } else {
    kernels_.linear(matrix, first_panel, last_panel, x.codes(), n, out, stride,
                    own.LinearScratch());
  }
}

void ForwardPass::Multiply(const Team& team, const Linear& linear, size_t first_panel,
                           size_t last_panel, const Operand& x, FloatRows& out) {
  Multiply(team, linear.matrix, first_panel, last_panel, x, n_tokens_, out.Row(0), out.stride());
  if (linear.bias.empty()) return;
  const size_t row = first_panel * kPanelRows;
  const size_t n = std::min(last_panel * kPanelRows, linear.matrix.rows) - row;
  for (size_t t = 0; t < n_tokens_; ++t) {
    kernels_.add(out.Row(t) + row, linear.bias.data() + row, n);
  }
}

// Values [row, row + n) of a block's output; x is spent. `scale` multiplies the sums.
void ForwardPass::AddOutput(size_t token, float* x, size_t row, size_t n, float scale) {
  if (shape_.residual_scale != 1.0f) kernels_.scale(x, shape_.residual_scale, n);
  float* const sums = space_.residual.Row(token) + row;
  kernels_.add(sums, x, n);
  if (scale != 1.0f) kernels_.scale(sums, scale, n);
}

void ForwardPass::AddNormedOutput(const Team& team, size_t token, const Vector& post_norm,
                                  float scale) {
  float* normed = space_.threads[team.thread()].normed.Row(0);
  kernels_.rms_norm(space_.projected.Row(token), post_norm.data(), shape_.norm_eps,
                    shape_.width, normed);
  AddOutput(token, normed, 0, shape_.width, scale);
}

bool ForwardPass::Completes(size_t n, size_t total) {
  if (finished_.fetch_add(n, std::memory_order_acq_rel) + n < total) return false;
  finished_.store(0, std::memory_order_relaxed);  // the end of the phase comes before its next use
  return true;
}

// A part is made of blocks of 32 hidden values, so that they can be quantised at once.
void ForwardPass::FeedForward(Team& team, const FeedForwardBlock& block, float scale) {
  NormAndPrepare(team, block.norm);
  const size_t width = block.gate.matrix.rows;
  if (EndsAt(space_.width)) return;
  const auto gated =
      block.function == GateFunction::kGelu ? kernels_.geglu : kernels_.swiglu;
  team.Phase(RoundUp(width, kBlock) / kBlock, parts_, [&](size_t first, size_t last) {
    const Operand& x = Normed(team, block.norm);
    FloatRows &gate = space_.gate, &up = space_.up;
    const size_t from = first * 2, to = std::min(last * 2, PanelsOf(width));
    Multiply(team, block.gate, from, to, x, gate);
    Multiply(team, block.up, from, to, x, up);
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < n_tokens_; ++t) {
      gated(gate.Row(t) + begin, up.Row(t) + begin, n);
      Prepare(gate.Row(t) + begin, n, space_.ffn, t, first);
    }
  });
  if (EndsAt(space_.ffn)) return;
  AddToResidual(
      team, block.down, block.post_norm, [&]() -> const Operand& { return space_.ffn; }, scale);
}

void ForwardPass::Head(Team& team, const Vector& norm, const PackedMatrix& head,
                       std::span<const size_t> wanted, float* logits) {
  if (wanted.empty()) return;
  team.Phase(wanted.size(), parts_, [&](size_t first, size_t last) {
    float* normed = space_.threads[team.thread()].normed.Row(0);
    for (size_t i = first; i < last; ++i) NormToken(wanted[i], norm, normed, space_.width, i);
  });
  const size_t vocabulary = shape_.vocabulary;
  const bool direct = vocabulary % kPanelRows == 0;
  float* const all = direct ? logits : space_.logits.Row(0);
  const size_t stride = direct ? vocabulary : space_.logits.stride();
  team.Phase(PanelsOf(vocabulary), parts_, [&](size_t first, size_t last) {
    Multiply(team, head, first, last, space_.width, wanted.size(), all, stride);
    const size_t row = first * kPanelRows, n = std::min(last * kPanelRows, vocabulary) - row;
    for (size_t i = 0; i < wanted.size(); ++i) {
      float* x = all + i * stride + row;
      if (shape_.logit_scale != 1.0f) kernels_.scale(x, shape_.logit_scale, n);
      if (shape_.logit_cap > 0.0f) kernels_.soft_cap(x, shape_.logit_cap, n);
    }
  });
  if (direct) return;
  team.Phase(wanted.size(), 1, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      std::copy_n(space_.logits.Row(i), vocabulary, logits + i * vocabulary);
    }
  });
}

}  // namespace aboard
