// The phases of an encoder, as each thread of the team runs them.
// Expects Reserve before a phase.
// Exactness: numerics contract; see kernels/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/decoder.h"
#include "engine/pool.h"
#include "engine/workspace.h"
#include "isa/kernels.h"
#include "kernels/layout.h"

namespace aboard {

enum class Pooling : uint8_t {
  kMean,   // of all tokens
  kFirst,  // the first token: [CLS]
};

struct EncoderShape {
  size_t width;       // D = H * d
  size_t heads;       // H
  size_t ffn_width;   // F
  size_t vocabulary;  // V
  size_t positions;   // tokens of a text at most
  float norm_eps;
  float score_scale;  // 1 / sqrt(d)
  Pooling pooling = Pooling::kMean;

  size_t head_dim() const { return width / heads; }
};

struct LayerNormWeights {
  Vector weight, bias;  // (D,)
};

struct EncoderEmbedding {
  PackedMatrix tokens, positions;  // (V, D), (positions, D)
  Vector type;                     // (D,) of the first kind of token; empty: none
  LayerNormWeights norm;
};

// Norms stand behind the sums: x = norm(x + attention(x)); x = norm(x + down(gelu(up x))).
struct EncoderLayer {
  Linear query, key, value, output;  // (D, D)
  LayerNormWeights attention_norm;
  Linear up, down;  // (F, D), (D, F)
  LayerNormWeights output_norm;
};

// The buffers of a pass; they grow to the largest batch seen and are used again.
struct EncoderSpace {
  struct Own {
    ThreadSpace common;
    FloatRows queries;  // (16, d_padded)
  };
  FloatRows hidden, projected;       // (T, D): the state of each token; what a block adds to it
  FloatRows query, key, value;       // (T, D)
  FloatRows attended;                // (T, D)
  FloatRows up;                      // (T, F)
  FloatRows columns, values;         // (C * H, 64 * d_padded) of C chunks, as Kernels::attend takes
  Operand width, heads, ffn;         // (T, D), (T, D), (T, F)
  std::vector<Own> threads;
};

class EncoderPass {
 public:
  // floats: activations stay float32.
  EncoderPass(const EncoderShape& shape, std::span<const int32_t> tokens,
              std::span<const size_t> lengths, bool floats, EncoderSpace& space);

  // On the calling thread, before the phases.
  void Reserve(size_t threads);

  void Embed(Team& team, const EncoderEmbedding& embedding);
  void Attend(Team& team, const EncoderLayer& layer);
  void FeedForward(Team& team, const EncoderLayer& layer);
  // `normalize`: each vector divided by its length.
  void PoolTexts(Team& team, bool normalize, float* out);

 private:
  struct Text {
    size_t first, count, first_chunk;  // tokens; chunks of the texts before it
    size_t chunks() const { return (count + kKeyChunk - 1) / kKeyChunk; }
  };
  struct Part {  // of a text: tokens that share the work
    size_t text, first, count;
  };

  void Prepare(const float* x, size_t n, Operand& out, size_t row, size_t first_block);
  void Multiply(const Team& team, const Linear& linear, size_t first_panel, size_t last_panel,
                const Operand& x, FloatRows& out);
  void Project(Team& team, const EncoderLayer& layer);
  void LoadChunk(size_t chunk, size_t head);
  void AttendTile(const Team& team, const Part& tile, size_t head);
  void AddAndNorm(Team& team, const Linear& linear, const Operand& x,
                  const LayerNormWeights& norm);

  const EncoderShape& shape_;
  std::span<const int32_t> tokens_;
  bool floats_;
  EncoderSpace& space_;
  const Kernels& kernels_;
  size_t padded_;             // d_padded
  std::vector<Text> texts_;
  std::vector<Part> tiles_;   // of queries
  std::vector<Part> chunks_;  // of keys
};

}  // namespace aboard
