// The buffers of one forward pass; they grow to the largest batch seen and are used again.
// Expects Reserve before use.
// Exactness: none to promise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/layout.h"

namespace aboard {

inline size_t RoundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// A matrix of float32 whose rows have room for whole panels.
class FloatRows {
 public:
  void Reserve(size_t rows, size_t cols) {
    stride_ = RoundUp(cols, kPanelRows);
    if (values_.size() < rows * stride_) values_.resize(rows * stride_);
  }
  float* Row(size_t row) { return values_.data() + row * stride_; }
  const float* Row(size_t row) const { return values_.data() + row * stride_; }
  size_t stride() const { return stride_; }

 private:
  std::vector<float> values_;
  size_t stride_ = 0;
};

// Owns what a QuantizedRows points to.
class QuantizedBuffer {
 public:
  // tile: of the kernels in use; a row alone lies by itself.
  void Reserve(size_t rows, size_t cols, size_t tile);
  const QuantizedRows& rows() const { return rows_; }
  // A row of tiles of 1.
  CodedRow Row(size_t row) const {
    const size_t block = row * rows_.blocks;
    return {rows_.codes + block * kBlock, rows_.scales + block, rows_.sums + block};
  }

 private:
  std::vector<int8_t> codes_;
  std::vector<float> floats_;
  std::vector<int32_t> sums_;
  QuantizedRows rows_{};
};

// Rows that matrices are multiplied with: int8 codes or, where activations stay float32, floats.
class Operand {
 public:
  void Reserve(size_t rows, size_t cols, size_t tile, bool floats) {
    if (floats) {
      floats_.Reserve(rows, cols);
    } else {
      codes_.Reserve(rows, cols, tile);
    }
  }
  const QuantizedRows& codes() const { return codes_.rows(); }
  const FloatRows& floats() const { return floats_; }
  FloatRows& floats() { return floats_; }

 private:
  QuantizedBuffer codes_;
  FloatRows floats_;
};

// What one thread needs for itself.
struct ThreadSpace {
  FloatRows normed;                   // (1, D)
  FloatRows row;                      // (1, widest matrix), where activations stay float32
  Operand width, heads;               // (1, D), (1, H * d): a single token, prepared by each
  FloatRows head, whole;              // (1, d), (1, H * d): behind norms of heads
  FloatRows delta;                    // (3, d of a delta net)
  uint64_t whole_for = 0;             // the phase of which `whole` is
  const float* whole_of = nullptr;    // the row of which it is
  QuantizedBuffer key;                // (1, d), where the KV cache is int8
  std::vector<int8_t> value;          // (d_padded,), likewise
  std::vector<uint8_t> linear;        // see Kernels::linear
  FloatRows chunk;                    // (128, d_padded): columns of keys, then values, of a chunk
  std::vector<float> states;          // of a tile of queries: so far, then of the chunk at hand
  std::vector<ChunkQuery> queries;
  uint64_t prepared_for = 0;          // the phase for which width or heads was prepared
  uint8_t* LinearScratch();
};

struct Workspace {
  FloatRows residual;                 // (T, D)
  FloatRows query, key, value;        // (T, H * d), (T, K * d), (T, K * d)
  FloatRows rotated;                  // (T * H, d_padded)
  QuantizedBuffer rotated_codes;      // (T * H, d), in tiles of 1, where the KV cache is int8
  FloatRows attended;                 // (T, H * d)
  FloatRows gate, up;                 // (T, F), or (T, P) of what layers know of a token
  FloatRows table, known;             // (T, L * P): of the table, and what layers know of a token
  FloatRows conv_input, conv_output;  // (T, its columns), where there are convolutions
  FloatRows conv_gate;                // (T, D) or (T, H * d of a delta net), likewise
  FloatRows delta_alpha, delta_beta;  // (T, H of a delta net)
  FloatRows projected;                // (T, D)
  FloatRows angles;                   // (T, 2 * pairs of all ropes, and the query's scale)
  FloatRows logits;                   // (n, V) where V is no multiple of 16
  Operand width, heads, ffn;          // (T, D), (T, H * d), (T, F)
  Operand convolved;                  // as conv_gate
  std::vector<float> partials;        // (T, H, chunks, 16 + d_padded)
  std::vector<ThreadSpace> threads;
};

}  // namespace aboard
