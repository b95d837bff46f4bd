// The phases of an encoder. What a phase reads, the phases before it wrote. Keys and values are those
// of the texts at hand and stay float32; the chunks of 64 keys, and how they are joined, are those of
// a decoder.
// Expects a space that was reserved for the texts.
// Exactness: parts are rows, tokens or heads; no sum is ever split over threads.
#include "engine/encoder_pass.h"

#include <algorithm>

#include "engine/float_linear.h"
#include "engine/packing.h"

namespace aboard {
namespace {

constexpr size_t kTileQueries = 16;
constexpr float kLeastLength = 1e-12f;  // what torch divides by at least
constexpr size_t kParts = Team::kMaxPartsPerThread;

}  // namespace

EncoderPass::EncoderPass(const EncoderShape& shape, std::span<const int32_t> tokens,
                         std::span<const size_t> lengths, bool floats, EncoderSpace& space)
    : shape_(shape),
      tokens_(tokens),
      floats_(floats),
      space_(space),
      kernels_(ActiveKernels()),
      padded_(RoundUp(shape.head_dim(), 16)) {
  size_t first = 0;
  for (const size_t count : lengths) {
    const size_t text = texts_.size();
    texts_.push_back({first, count, chunks_.size()});
    const auto split = [&](size_t size, std::vector<Part>& parts) {
      for (size_t at = 0; at < count; at += size) {
        parts.push_back({text, first + at, std::min(size, count - at)});
      }
    };
    split(kTileQueries, tiles_);
    split(kKeyChunk, chunks_);
    first += count;
  }
}

void EncoderPass::Reserve(size_t threads) {
  const size_t n = tokens_.size(), width = shape_.width, tile = kernels_.tile_tokens;
  for (FloatRows* rows : {&space_.hidden, &space_.projected, &space_.query, &space_.key,
                          &space_.value, &space_.attended}) {
    rows->Reserve(n, width);
  }
  space_.up.Reserve(n, shape_.ffn_width);
  space_.columns.Reserve(chunks_.size() * shape_.heads, kKeyChunk * padded_);
  space_.values.Reserve(chunks_.size() * shape_.heads, kKeyChunk * padded_);
  space_.width.Reserve(n, width, tile, floats_);
  space_.heads.Reserve(n, width, tile, floats_);
  space_.ffn.Reserve(n, shape_.ffn_width, tile, floats_);
  space_.threads.resize(threads);
  for (EncoderSpace::Own& own : space_.threads) {
    own.queries.Reserve(kTileQueries, padded_);
    own.common.linear.resize(kLinearScratchBytes + 64);
    own.common.states.resize(2 * kTileQueries * (16 + padded_));
    if (floats_) own.common.row.Reserve(1, std::max(width, shape_.ffn_width));
  }
}

void EncoderPass::Prepare(const float* x, size_t n, Operand& out, size_t row,
                          size_t first_block) {
  if (floats_) {
    std::copy_n(x, n, out.floats().Row(row) + first_block * kBlock);
  } else {
    kernels_.quantize(x, n, out.codes(), row, first_block);
  }
}

void EncoderPass::Multiply(const Team& team, const Linear& linear, size_t first_panel,
                           size_t last_panel, const Operand& x, FloatRows& out) {
  ThreadSpace& own = space_.threads[team.thread()].common;
  const PackedMatrix& matrix = linear.matrix;
  const size_t n_tokens = tokens_.size();
  if (floats_) {
    MultiplyFloats(matrix, first_panel, last_panel, x.floats(), n_tokens, out.Row(0),
                   out.stride(), own.row.Row(0));
  } else {
    kernels_.linear(matrix, first_panel, last_panel, x.codes(), n_tokens, out.Row(0),
                    out.stride(), own.LinearScratch());
  }
  if (linear.bias.empty()) return;
  const size_t row = first_panel * kPanelRows;
  const size_t n = std::min(last_panel * kPanelRows, matrix.rows) - row;
  for (size_t t = 0; t < n_tokens; ++t) {
    kernels_.add(out.Row(t) + row, linear.bias.data() + row, n);
  }
}

void EncoderPass::Embed(Team& team, const EncoderEmbedding& embedding) {
  const size_t width = shape_.width;
  team.Phase(chunks_.size(), kParts, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const Part& part = chunks_[i];
      for (size_t t = part.first; t < part.first + part.count; ++t) {
        float *x = space_.hidden.Row(t), *position = space_.projected.Row(t);
        ReadRow(embedding.tokens, static_cast<size_t>(tokens_[t]), x);
        if (!embedding.type.empty()) kernels_.add(x, embedding.type.data(), width);
        ReadRow(embedding.positions, t - texts_[part.text].first, position);
        kernels_.add(x, position, width);
        kernels_.layer_norm(x, embedding.norm.weight.data(), embedding.norm.bias.data(),
                            shape_.norm_eps, width, x);
        Prepare(x, width, space_.width, t, 0);
      }
    }
  });
}

// The panels of all three are shared out as if they were one matrix.
void EncoderPass::Project(Team& team, const EncoderLayer& layer) {
  const Linear* const linears[] = {&layer.query, &layer.key, &layer.value};
  FloatRows* const outs[] = {&space_.query, &space_.key, &space_.value};
  const size_t panels = PanelsOf(shape_.width);
  team.Phase(3 * panels, kParts, [&](size_t first, size_t last) {
    for (size_t i = 0; i < 3; ++i) {
      const size_t from = std::clamp(first, i * panels, (i + 1) * panels) - i * panels;
      const size_t to = std::clamp(last, i * panels, (i + 1) * panels) - i * panels;
      if (from < to) Multiply(team, *linears[i], from, to, space_.width, *outs[i]);
    }
  });
}

void EncoderPass::Attend(Team& team, const EncoderLayer& layer) {
  const size_t heads = shape_.heads;
  Project(team, layer);
  team.Phase(chunks_.size() * heads, kParts, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) LoadChunk(i / heads, i % heads);
  });
  team.Phase(tiles_.size() * heads, kParts, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) AttendTile(team, tiles_[i / heads], i % heads);
  });
  team.Phase(tokens_.size(), kParts, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      Prepare(space_.attended.Row(t), shape_.width, space_.heads, t, 0);
    }
  });
  AddAndNorm(team, layer.output, space_.heads, layer.attention_norm);
}

// The keys of a chunk as columns, its values side by side. Beyond the chunk's keys anything may stand.
void EncoderPass::LoadChunk(size_t chunk, size_t head) {
  const size_t d = shape_.head_dim(), at = chunk * shape_.heads + head;
  const Part& part = chunks_[chunk];
  float *columns = space_.columns.Row(at), *values = space_.values.Row(at);
  for (size_t j = 0; j < part.count; ++j) {
    const float* key = space_.key.Row(part.first + j) + head * d;
    float* column = columns + j / 16 * 16 * padded_ + j % 16;
    for (size_t i = 0; i < d; ++i) column[i * 16] = key[i];
    for (size_t i = d; i < padded_; ++i) column[i * 16] = 0.0f;
    std::copy_n(space_.value.Row(part.first + j) + head * d, d, values + j * padded_);
    std::fill_n(values + j * padded_ + d, padded_ - d, 0.0f);
  }
}

// Some tokens of a text against all of its keys, chunk by chunk in order.
void EncoderPass::AttendTile(const Team& team, const Part& tile, size_t head) {
  EncoderSpace::Own& own = space_.threads[team.thread()];
  const size_t d = shape_.head_dim();
  const auto state = [&](size_t index) -> AttentionPartial {
    float* at = own.common.states.data() + index * (16 + padded_);
    return {at, at + 1, at + 16};
  };
  for (size_t i = 0; i < tile.count; ++i) {
    float* query = own.queries.Row(i);
    std::copy_n(space_.query.Row(tile.first + i) + head * d, d, query);
    std::fill_n(query + d, padded_ - d, 0.0f);
  }
  const Text& text = texts_[tile.text];
  std::vector<ChunkQuery>& queries = own.common.queries;
  for (size_t chunk = 0; chunk < text.chunks(); ++chunk) {
    const auto n_keys = static_cast<int32_t>(chunks_[text.first_chunk + chunk].count);
    const size_t next = chunk == 0 ? 0 : kTileQueries;
    queries.clear();
    for (size_t i = 0; i < tile.count; ++i) {
      queries.push_back({own.queries.Row(i), CodedRow{}, 0, n_keys, state(next + i)});
    }
    const size_t at = (text.first_chunk + chunk) * shape_.heads + head;
    kernels_.attend(queries.data(), queries.size(), space_.columns.Row(at), space_.values.Row(at),
                    padded_, shape_.score_scale, 0.0f);
    for (size_t i = 0; chunk > 0 && i < tile.count; ++i) {
      kernels_.merge(state(i), state(next + i), padded_);
    }
  }
  for (size_t i = 0; i < tile.count; ++i) {
    kernels_.divide(state(i).out, *state(i).sum, d,
                    space_.attended.Row(tile.first + i) + head * d);
  }
}

// hidden = norm(hidden + linear x), ready for the next matrix.
void EncoderPass::AddAndNorm(Team& team, const Linear& linear, const Operand& x,
                             const LayerNormWeights& norm) {
  const size_t width = shape_.width;
  team.Phase(PanelsOf(width), kParts, [&](size_t first, size_t last) {
    Multiply(team, linear, first, last, x, space_.projected);
  });
  team.Phase(tokens_.size(), kParts, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      float* hidden = space_.hidden.Row(t);
      kernels_.add(hidden, space_.projected.Row(t), width);
      kernels_.layer_norm(hidden, norm.weight.data(), norm.bias.data(), shape_.norm_eps, width,
                          hidden);
      Prepare(hidden, width, space_.width, t, 0);
    }
  });
}

// A part is made of blocks of 32 hidden values, so that they can be quantised at once.
void EncoderPass::FeedForward(Team& team, const EncoderLayer& layer) {
  const size_t width = shape_.ffn_width;
  team.Phase(RoundUp(width, kBlock) / kBlock, kParts, [&](size_t first, size_t last) {
    Multiply(team, layer.up, first * 2, std::min(last * 2, PanelsOf(width)), space_.width,
             space_.up);
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < tokens_.size(); ++t) {
      float* x = space_.up.Row(t) + begin;
      kernels_.gelu(x, n);
      Prepare(x, n, space_.ffn, t, first);
    }
  });
  AddAndNorm(team, layer.down, space_.ffn, layer.output_norm);
}

// The mean adds up tokens in order.
void EncoderPass::PoolTexts(Team& team, bool normalize, float* out) {
  const size_t width = shape_.width;
  team.Phase(texts_.size(), kParts, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const Text& text = texts_[i];
      float* pooled = out + i * width;
      std::copy_n(space_.hidden.Row(text.first), width, pooled);
      if (shape_.pooling == Pooling::kMean) {
        for (size_t t = 1; t < text.count; ++t) {
          kernels_.add(pooled, space_.hidden.Row(text.first + t), width);
        }
        kernels_.divide(pooled, static_cast<float>(text.count), width, pooled);
      }
      if (!normalize) continue;
      const float length = kernels_.length(pooled, width);
      kernels_.divide(pooled, length < kLeastLength ? kLeastLength : length, width, pooled);
    }
  });
}

}  // namespace aboard
