// The data that kernels share: packed matrices, quantised activations and the format list.
// Expects nothing; plain structs without code, so that every instruction set may include it.
// Exactness: see docs/decisions/0002-numerics-contract.md; the layout decides no bit of a result.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace aboard {

// Rows of a panel: one vector lane each, whatever the width of the machine's vectors.
inline constexpr size_t kPanelRows = 16;
// Columns of a block: activations share one scale; eight quads of four columns.
inline constexpr size_t kBlock = 32;
inline constexpr size_t kQuads = 8;
inline constexpr size_t kQuadBytes = 64;  // 16 rows x 4 columns
// Columns that share a super-scale in the K formats.
inline constexpr size_t kSuperBlock = 256;
// Values of a head at most.
inline constexpr size_t kMaxHead = 4096;
// Keys that attention treats as one unit; part of the numerics contract.
inline constexpr size_t kKeyChunk = 64;

enum class Format : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
};
inline constexpr size_t kFormats = 16;

// The sixteen values that a nibble of IQ4_NL and IQ4_XS stands for.
alignas(16) constexpr int8_t kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
// Twice the values of e2m1 (MXFP4).
alignas(16) constexpr int8_t kDoubledE2M1[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                 0, -1, -2, -3, -4, -6, -8, -12};

// A weight matrix (rows, cols) in panels of 16 rows. A panel holds the codes of all its blocks,
// then (at `scales_offset`) their scales; float formats hold 16 floats per column and no scales.
// Codes of a block, 64 bytes a piece, byte 4r+j of quad q = row r, column 4q+j:
//   4 bits  4 pieces: quad 2v in the low nibbles, quad 2v+1 in the high ones
//   5 bits  the same, then 1 piece whose bit q is the fifth bit of quad q
//   6 bits  as 4 bits, then 2 pieces: bits 2(q%4).. of piece q/4 are the high bits of quad q
//   3 bits  2 pieces of two low bits placed like that, then 1 piece whose bit q is the third bit
//   2 bits  the 2 pieces alone;  8 bits  8 pieces, one a quad
// Scales of a block or super-block, 16 rows each: see kernels/scales-inl.h.
struct PackedMatrix {
  const uint8_t* panels;
  size_t panel_bytes;
  size_t scales_offset;
  size_t rows;
  size_t cols;
  Format format;
};

// Rows of activations, quantised per block of 32 columns: value = scale * code, codes -127..127. A
// row has `blocks` blocks, the last one filled up with zeros. `tile` rows lie side by side, so that
// a kernel walks one pointer for all of them; a row alone has a tile of its own.
struct QuantizedRows {
  int8_t* codes;      // (T / tile, blocks, 8 quads, tile, 4)
  float* scales;      // (T / tile, blocks, tile)
  int32_t* sums;      // (T / tile, blocks, tile)      sum of the codes of a block
  int32_t* sums16;    // (T / tile, blocks, 2, tile)   of each half of it
  float* weighted;    // (T / tile, blocks, tile)      scale * float(sum)
  float* weighted16;  // (T / tile, blocks, 2, tile)
  size_t blocks;
  size_t tile;
};

// One attention head's share of one chunk of keys.
struct AttentionPartial {
  float* max;  // highest score
  float* sum;  // sum of exp(score - max)
  float* out;  // (d_padded,) sum of exp(score - max) * value
};

// What one token brings to a head of a gated delta net.
struct DeltaToken {
  const float* query;  // (d_key,)
  const float* key;    // (d_key,)
  const float* value;  // (d_value,)
  float decay, beta;
};

// The largest of a row of logits and where it first stands; NaN and -1 where one isn't finite.
struct LogitPeak {
  float max;
  int32_t at;
};

// Of two rows of logits less their maxima, a and b: the sums of e^a, of e^b and of e^a (a - b).
struct DivergenceSums {
  double p, q, distance;
};

// Queries that attention takes at once, at most; converting keys pays off where there are more.
inline constexpr size_t kAttendTogether = 4;

// A query in int8, per block of 32 columns as in QuantizedRows, the last one filled up with zeros.
struct CodedRow {
  const int8_t* codes;   // (blocks, 32)
  const float* scales;   // (blocks,)
  const int32_t* sums;   // (blocks,) of the codes
};

// Keys and values of one head for a chunk, int8. A key is quantised as a query is; a value has one
// scale. Keys lie as the rows of a matrix, so that lanes are keys; of values, lanes are columns.
struct CodedChunk {
  int8_t* keys;         // (4, blocks, 8 quads of columns, 16 keys, 4 columns)
  float* key_scales;    // (4, blocks, 16 keys)
  int8_t* values;       // (d_padded / 16, 16 quads of keys, 16 columns, 4 keys)
  float* value_scales;  // (64,)
};

// A query and the keys of the chunk that it sees: [first, last), at least one.
struct ChunkQuery {
  const float* query;  // (d_padded,), for keys that are floats
  CodedRow coded;      // for keys that are codes
  int32_t first, last;
  AttentionPartial out;
};

}  // namespace aboard
