// One row of a packed matrix as float32: what the embedding of a token is.
// Expects panels as kernels/layout.h draws them.
// Exactness: scale * code + minimum, the scale being the exact product of its stored parts.
#include <bit>
#include <cstring>

#include "engine/packing.h"

namespace aboard {
namespace {

float FromHalf(const uint8_t* p) {
  uint16_t half;
  std::memcpy(&half, p, sizeof half);
  const uint32_t rest = half & 0x7fff;
  const uint32_t bits = rest >= 0x7c00 ? (rest << 13) + 0x70000000u
                                       : std::bit_cast<uint32_t>(
                                             std::bit_cast<float>(rest << 13) * 0x1p112f);
  return std::bit_cast<float>(bits | (half & 0x8000u) << 16);
}

// What one row of a panel holds, column by column.
class RowReader {
 public:
  RowReader(const PackedMatrix& m, size_t row)
      : format_(m.format),
        traits_(TraitsOf(m.format)),
        codes_(m.panels + row / kPanelRows * m.panel_bytes),
        scales_(codes_ + m.scales_offset),
        lane_(row % kPanelRows) {}

  float Float(size_t k) const {
    const uint8_t* p = codes_ + k * traits_.code_bytes + lane_ * traits_.block_bytes;
    if (format_ == Format::kF16) return FromHalf(p);
    uint32_t bits = 0;
    if (format_ == Format::kF32) {
      std::memcpy(&bits, p, 4);
    } else {
      bits = static_cast<uint32_t>(p[0]) << 16 | static_cast<uint32_t>(p[1]) << 24;
    }
    return std::bit_cast<float>(bits);
  }

  int Code(size_t block, size_t k) const {
    const size_t q = k / 4;
    switch (format_) {
      case Format::kQ8_0:
        return static_cast<int8_t>(Byte(block, q, k));
      case Format::kQ2_K:
        return TwoBits(block, 0, k);
      case Format::kQ3_K:
        return (TwoBits(block, 0, k) | (Byte(block, 2, k) >> q & 1) << 2) - 4;
      case Format::kQ6_K:
        return (Nibble(block, k) | TwoBits(block, 4, k) << 4) - 32;
      case Format::kQ5_0:
        return FiveBits(block, k) - 16;
      case Format::kQ5_1:
      case Format::kQ5_K:
        return FiveBits(block, k);
      case Format::kQ4_0:
        return Nibble(block, k) - 8;
      case Format::kIQ4_NL:
      case Format::kIQ4_XS:
        return kNonLinear[Nibble(block, k)];
      case Format::kMXFP4:
        return kDoubledE2M1[Nibble(block, k)];
      default:
        return Nibble(block, k);
    }
  }

  // Of columns [16 * half, 16 * half + 16) of a block.
  void ScaleOf(size_t block, size_t half, float& scale, float& minimum) const {
    minimum = -0.0f;  // adding it changes nothing, not even the sign of a zero
    const uint8_t* p = scales_ + block * kBlock / traits_.scale_cols * traits_.scale_bytes;
    const size_t b = block % 8, s = b * 2 + half;
    switch (format_) {
      case Format::kQ4_1:
      case Format::kQ5_1:
        scale = Half(p);
        minimum = Half(p + 32);
        return;
      case Format::kQ4_K:
      case Format::kQ5_K:
        scale = Half(p) * static_cast<float>(p[64 + b * 32 + lane_]);
        minimum = -(Half(p + 32) * static_cast<float>(p[64 + b * 32 + 16 + lane_]));
        return;
      case Format::kQ2_K:
        scale = Half(p) * static_cast<float>(p[64 + s * 32 + lane_]);
        minimum = -(Half(p + 32) * static_cast<float>(p[64 + s * 32 + 16 + lane_]));
        return;
      case Format::kQ3_K:
      case Format::kQ6_K:
        scale = Half(p) * static_cast<float>(static_cast<int8_t>(p[32 + s * 16 + lane_]));
        return;
      case Format::kIQ4_XS:
        scale = Half(p) * static_cast<float>(static_cast<int8_t>(p[32 + b * 16 + lane_]));
        return;
      case Format::kMXFP4: {
        const uint32_t e = p[lane_];
        scale = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
        return;
      }
      default:
        scale = Half(p);
    }
  }

 private:
  float Half(const uint8_t* p) const { return FromHalf(p + lane_ * 2); }
  uint8_t Byte(size_t block, size_t piece, size_t k) const {
    return codes_[block * traits_.code_bytes + piece * kQuadBytes + lane_ * 4 + k % 4];
  }
  int Nibble(size_t block, size_t k) const {
    return Byte(block, k / 8, k) >> 4 * (k / 4 % 2) & 15;
  }
  int FiveBits(size_t block, size_t k) const {
    return Nibble(block, k) | (Byte(block, 4, k) >> k / 4 & 1) << 4;
  }
  int TwoBits(size_t block, size_t piece, size_t k) const {
    return Byte(block, piece + k / 16, k) >> 2 * (k / 4 % 4) & 3;
  }

  Format format_;
  const FormatTraits& traits_;
  const uint8_t* codes_;
  const uint8_t* scales_;
  size_t lane_;
};

}  // namespace

void ReadRow(const PackedMatrix& matrix, size_t row, float* out) {
  const RowReader reader(matrix, row);
  if (TraitsOf(matrix.format).scale_cols == 0) {
    for (size_t k = 0; k < matrix.cols; ++k) out[k] = reader.Float(k);
    return;
  }
  for (size_t half = 0; half < matrix.cols / 16; ++half) {
    float scale, minimum;
    reader.ScaleOf(half / 2, half % 2, scale, minimum);
    for (size_t i = 0; i < 16; ++i) {
      const int code = reader.Code(half / 2, half % 2 * 16 + i);
      out[half * 16 + i] = scale * static_cast<float>(code) + minimum;
    }
  }
}

}  // namespace aboard
