// An encoder-only transformer (BERT, arXiv:1810.04805): texts as token ids in, one vector each out.
// Expects blocks whose shapes fit together (bindings/encoder.cc checks them).
// Exactness: numerics contract; a text's vector depends on its own tokens and on nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/decoder.h"
#include "engine/encoder_pass.h"
#include "engine/machine.h"

namespace aboard {

class Encoder {
 public:
  Encoder(EncoderShape shape, EncoderEmbedding embedding, std::vector<EncoderLayer> layers,
          size_t threads, bool floats);

  const EncoderShape& shape() const { return shape_; }

  // Writes the pooled vector of each text, (n, D), with `normalize` of length 1. `lengths`: tokens
  // of each text, at least one and at most shape().positions; `tokens`: those of all texts, one
  // after the other. One call at a time works; others wait.
  void Encode(std::span<const int32_t> tokens, std::span<const size_t> lengths, bool normalize,
              float* out);

  // Threads of the next calls.
  void set_threads(size_t threads) { machine_.set_threads(threads); }
  size_t threads() const { return machine_.threads(); }

 private:
  EncoderShape shape_;
  EncoderEmbedding embedding_;
  std::vector<EncoderLayer> layers_;
  bool floats_;
  OwnMachine<EncoderSpace> machine_;
};

}  // namespace aboard
