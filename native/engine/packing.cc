// Packing, one function a family of formats: take a block's codes apart, spread them over quads.
// Expects raw rows in the layouts of formats/<name>.py.
// Exactness: integers and stored scales are moved as they are.
#include "engine/packing.h"

#include <array>
#include <cstring>

namespace aboard {
namespace {

constexpr FormatTraits kTraits[kFormats] = {
    {"F32", 1, 4, 64, 0, 0},
    {"F16", 1, 2, 32, 0, 0},
    {"BF16", 1, 2, 32, 0, 0},
    {"Q4_0", 32, 18, 256, 32, 32},
    {"Q4_1", 32, 20, 256, 32, 64},
    {"Q5_0", 32, 22, 320, 32, 32},
    {"Q5_1", 32, 24, 320, 32, 64},
    {"Q8_0", 32, 34, 512, 32, 32},
    {"Q2_K", 256, 84, 128, 256, 64 + 16 * 32},
    {"Q3_K", 256, 110, 192, 256, 32 + 16 * 16},
    {"Q4_K", 256, 144, 256, 256, 64 + 8 * 32},
    {"Q5_K", 256, 176, 320, 256, 64 + 8 * 32},
    {"Q6_K", 256, 210, 384, 256, 32 + 16 * 16},
    {"IQ4_NL", 32, 18, 256, 32, 32},
    {"IQ4_XS", 256, 136, 256, 256, 32 + 8 * 16},
    {"MXFP4", 32, 17, 256, 32, 16},
};

uint32_t Load32(const uint8_t* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

bool IsFiniteHalf(const uint8_t* p) { return (p[1] & 0x7c) != 0x7c; }

// One row's place in a panel.
class Lane {
 public:
  Lane(uint8_t* panel, const FormatTraits& traits, size_t scales_offset, size_t lane)
      : codes_(panel),
        scales_(panel + scales_offset),
        code_bytes_(traits.code_bytes),
        scale_bytes_(traits.scale_bytes),
        lane_(lane) {}

  // The low bits of 32 codes, quads 2v and 2v+1 sharing bytes; more bits of each in further pieces.
  void Nibbles(size_t block, const uint8_t* codes) const {
    for (size_t v = 0; v < 4; ++v) {
      const uint32_t even = Load32(codes + 8 * v) & 0x0f0f0f0f;
      const uint32_t odd = Load32(codes + 8 * v + 4) & 0x0f0f0f0f;
      StorePiece(block, v, even | odd << 4);
    }
  }
  // The same of codes that lie as nibbles already, weights i and i + 16 sharing byte i.
  void SharedNibbles(size_t block, const uint8_t* p) const {
    for (size_t half = 0; half < 2; ++half) {
      const uint32_t even = Load32(p + 8 * half), odd = Load32(p + 8 * half + 4);
      StorePiece(block, half, (even & 0x0f0f0f0f) | (odd & 0x0f0f0f0f) << 4);
      StorePiece(block, half + 2, (even >> 4 & 0x0f0f0f0f) | (odd & 0xf0f0f0f0));
    }
  }
  // Two blocks' codes, weights i of both sharing byte i.
  void NibblesOfTwo(size_t block, const uint8_t* p) const {
    for (size_t v = 0; v < 4; ++v) {
      const uint32_t even = Load32(p + 8 * v), odd = Load32(p + 8 * v + 4);
      StorePiece(block, v, (even & 0x0f0f0f0f) | (odd & 0x0f0f0f0f) << 4);
      StorePiece(block + 1, v, (even >> 4 & 0x0f0f0f0f) | (odd & 0xf0f0f0f0));
    }
  }
  // Bit `bit` of all eight quads in one piece.
  void OneBit(size_t block, size_t piece, int bit, const uint8_t* codes) const {
    uint32_t packed = 0;
    for (size_t q = 0; q < kQuads; ++q) {
      packed |= (Load32(codes + 4 * q) >> bit & 0x01010101) << q;
    }
    StorePiece(block, piece, packed);
  }
  // Bit 4 of all eight quads in piece 4; bit i of the word at `p` is that of weight i.
  void FifthBits(size_t block, const uint8_t* p) const {
    const uint32_t bits = Load32(p);
    uint32_t packed = 0;
    for (size_t q = 0; q < kQuads; ++q) {
      // The product spreads the four bits over four bytes; none meets another.
      packed |= ((bits >> 4 * q & 15) * 0x00204081 & 0x01010101) << q;
    }
    StorePiece(block, 4, packed);
  }
  // Bits `bit` and `bit` + 1, four quads a piece.
  void TwoBits(size_t block, size_t piece, int bit, const uint8_t* codes) const {
    for (size_t half = 0; half < 2; ++half) {
      uint32_t packed = 0;
      for (size_t q = 0; q < 4; ++q) {
        packed |= (Load32(codes + 16 * half + 4 * q) >> bit & 0x03030303) << 2 * q;
      }
      StorePiece(block, piece + half, packed);
    }
  }
  void Bytes(size_t block, const uint8_t* codes) const {
    for (size_t q = 0; q < kQuads; ++q) StorePiece(block, q, Load32(codes + 4 * q));
  }

  // `size` bytes of a scale at `offset` of group `group`; the rows lie side by side.
  void Scale(size_t group, size_t offset, const uint8_t* p, size_t size) const {
    std::memcpy(scales_ + group * scale_bytes_ + offset + lane_ * size, p, size);
  }
  void Scale(size_t group, size_t offset, uint8_t byte) const { Scale(group, offset, &byte, 1); }

 private:
  void StorePiece(size_t block, size_t piece, uint32_t packed) const {
    std::memcpy(codes_ + block * code_bytes_ + piece * kQuadBytes + 4 * lane_, &packed, 4);
  }

  uint8_t* codes_;
  uint8_t* scales_;
  size_t code_bytes_, scale_bytes_;
  size_t lane_;
};

// Each packer takes one block of a row and says whether its scales are finite. `block` counts the
// format's own blocks.

template <bool kMinimum, bool kFive>
bool PackSimple(const uint8_t* p, size_t block, const Lane& lane) {
  const uint8_t* at = p + (kMinimum ? 4 : 2);
  lane.SharedNibbles(block, at + (kFive ? 4 : 0));
  if (kFive) lane.FifthBits(block, at);
  lane.Scale(block, 0, p, 2);
  if (kMinimum) lane.Scale(block, 32, p + 2, 2);
  return IsFiniteHalf(p) && (!kMinimum || IsFiniteHalf(p + 2));
}

bool PackQ8_0(const uint8_t* p, size_t block, const Lane& lane) {
  lane.Bytes(block, p + 2);
  lane.Scale(block, 0, p, 2);
  return IsFiniteHalf(p);
}

bool PackMXFP4(const uint8_t* p, size_t block, const Lane& lane) {
  lane.SharedNibbles(block, p + 1);
  lane.Scale(block, 0, p[0]);
  return p[0] < 253;  // 255 is NaN; 253 and 254 times 12 lead beyond float32
}

// Bits 2j and 2j+1 of the bytes p[32 * half ...] are block 4 * half + j (Q2_K and Q3_K).
void SplitPairs(const uint8_t* p, size_t b, uint8_t (&codes)[kBlock]) {
  for (size_t i = 0; i < kBlock; ++i) codes[i] = p[32 * (b / 4) + i] >> 2 * (b % 4) & 3;
}

bool PackQ2_K(const uint8_t* p, size_t super, const Lane& lane) {
  const uint8_t *factors = p, *pairs = p + 16, *d = p + 80;
  for (size_t b = 0; b < 8; ++b) {
    uint8_t codes[kBlock];
    SplitPairs(pairs, b, codes);
    lane.TwoBits(super * 8 + b, 0, 0, codes);
  }
  for (size_t s = 0; s < 16; ++s) {
    lane.Scale(super, 64 + s * 32, factors[s] & 15);
    lane.Scale(super, 64 + s * 32 + 16, factors[s] >> 4);
  }
  lane.Scale(super, 0, d, 2);
  lane.Scale(super, 32, d + 2, 2);
  return IsFiniteHalf(d) && IsFiniteHalf(d + 2);
}

// Sixteen 6-bit factors, stored + 32: low nibbles in bytes 0-7, high pairs in bytes 8-11.
uint8_t FactorQ3_K(const uint8_t* p, size_t s) {
  const uint8_t low = s < 8 ? p[s] & 15 : p[s - 8] >> 4;
  const uint8_t high = p[8 + s % 4] >> 2 * (s / 4) & 3;
  return static_cast<uint8_t>((low | high << 4) - 32);
}

bool PackQ3_K(const uint8_t* p, size_t super, const Lane& lane) {
  const uint8_t *high = p, *pairs = p + 32, *factors = p + 96, *d = p + 108;
  for (size_t b = 0; b < 8; ++b) {
    uint8_t codes[kBlock];
    SplitPairs(pairs, b, codes);
    for (size_t i = 0; i < kBlock; ++i) codes[i] |= (high[i] >> b & 1) << 2;
    lane.TwoBits(super * 8 + b, 0, 0, codes);
    lane.OneBit(super * 8 + b, 2, 2, codes);
  }
  for (size_t s = 0; s < 16; ++s) lane.Scale(super, 32 + s * 16, FactorQ3_K(factors, s));
  lane.Scale(super, 0, d, 2);
  return IsFiniteHalf(d);
}

// Eight pairs of 6-bit factors in 12 bytes (Q4_K and Q5_K).
void StoreFactors(const uint8_t* p, size_t super, const Lane& lane) {
  for (size_t b = 0; b < 8; ++b) {
    const uint8_t scale = b < 4 ? p[b] & 63 : (p[b + 4] & 15) | (p[b - 4] >> 6) << 4;
    const uint8_t minimum = b < 4 ? p[b + 4] & 63 : p[b + 4] >> 4 | (p[b] >> 6) << 4;
    lane.Scale(super, 64 + b * 32, scale);
    lane.Scale(super, 64 + b * 32 + 16, minimum);
  }
}

template <bool kFive>
bool PackQ4_KOrQ5_K(const uint8_t* p, size_t super, const Lane& lane) {
  const uint8_t *high = p + 16, *nibbles = p + (kFive ? 48 : 16);
  for (size_t b = 0; b < 8; b += 2) lane.NibblesOfTwo(super * 8 + b, nibbles + 16 * b);
  for (int b = 0; kFive && b < 8; ++b) lane.OneBit(super * 8 + b, 4, b, high);
  StoreFactors(p + 4, super, lane);
  lane.Scale(super, 0, p, 2);
  lane.Scale(super, 32, p + 2, 2);
  return IsFiniteHalf(p) && IsFiniteHalf(p + 2);
}

bool PackQ6_K(const uint8_t* p, size_t super, const Lane& lane) {
  const uint8_t *low = p, *high = p + 128, *factors = p + 192, *d = p + 208;
  for (size_t b = 0; b < 8; ++b) {
    const size_t half = b / 4, j = b % 4;
    uint8_t codes[kBlock];
    for (size_t i = 0; i < kBlock; ++i) {
      const uint8_t nibble = low[64 * half + 32 * (j % 2) + i] >> 4 * (j / 2) & 15;
      codes[i] = nibble | (high[32 * half + i] >> 2 * j & 3) << 4;
    }
    lane.Nibbles(super * 8 + b, codes);
    lane.TwoBits(super * 8 + b, 4, 4, codes);
  }
  for (size_t s = 0; s < 16; ++s) lane.Scale(super, 32 + s * 16, factors[s]);
  lane.Scale(super, 0, d, 2);
  return IsFiniteHalf(d);
}

bool PackIQ4_XS(const uint8_t* p, size_t super, const Lane& lane) {
  const uint8_t *low = p + 4, *nibbles = p + 8;
  const unsigned high = p[2] | p[3] << 8;
  for (size_t b = 0; b < 8; ++b) {
    lane.SharedNibbles(super * 8 + b, nibbles + 16 * b);
    const unsigned factor = (low[b / 2] >> 4 * (b % 2) & 15) | (high >> 2 * b & 3) << 4;
    lane.Scale(super, 32 + b * 16, static_cast<uint8_t>(factor - 32));
  }
  lane.Scale(super, 0, p, 2);
  return IsFiniteHalf(p);
}

// All blocks of a row. The lane is a copy: through a reference every store might change it.
template <bool kPack(const uint8_t*, size_t, const Lane&)>
bool PackRow(const uint8_t* raw, size_t n_blocks, size_t block_bytes, Lane lane) {
  bool finite = true;
  for (size_t b = 0; b < n_blocks; ++b) finite &= kPack(raw + b * block_bytes, b, lane);
  return finite;
}

using RowPacker = bool (*)(const uint8_t*, size_t, size_t, Lane);

// In the order of Format; float formats have none.
constexpr RowPacker kPackers[kFormats] = {
    nullptr,
    nullptr,
    nullptr,
    PackRow<PackSimple<false, false>>,
    PackRow<PackSimple<true, false>>,
    PackRow<PackSimple<false, true>>,
    PackRow<PackSimple<true, true>>,
    PackRow<PackQ8_0>,
    PackRow<PackQ2_K>,
    PackRow<PackQ3_K>,
    PackRow<PackQ4_KOrQ5_K<false>>,
    PackRow<PackQ4_KOrQ5_K<true>>,
    PackRow<PackQ6_K>,
    PackRow<PackSimple<false, false>>,
    PackRow<PackIQ4_XS>,
    PackRow<PackMXFP4>,
};

template <class Word>
size_t PackFloats(const uint8_t* raw, size_t n_rows, size_t cols, Word exponent, uint8_t* out) {
  for (size_t r = 0; r < n_rows; ++r) {
    bool finite = true;
    for (size_t k = 0; k < cols; ++k) {
      Word word;
      std::memcpy(&word, raw + (r * cols + k) * sizeof word, sizeof word);
      finite &= (word & exponent) != exponent;
      std::memcpy(out + (k * kPanelRows + r) * sizeof word, &word, sizeof word);
    }
    if (!finite) return r;
  }
  return n_rows;
}

}  // namespace

const FormatTraits& TraitsOf(Format format) { return kTraits[static_cast<size_t>(format)]; }

std::optional<Format> FormatByName(std::string_view name) {
  for (size_t i = 0; i < kFormats; ++i) {
    if (kTraits[i].name == name) return static_cast<Format>(i);
  }
  return std::nullopt;
}

size_t ScalesOffset(Format format, size_t cols) {
  const FormatTraits& traits = TraitsOf(format);
  return traits.scale_cols == 0 ? cols * traits.code_bytes : cols / kBlock * traits.code_bytes;
}

size_t PanelBytes(Format format, size_t cols) {
  const FormatTraits& traits = TraitsOf(format);
  const size_t scales = traits.scale_cols == 0 ? 0 : cols / traits.scale_cols * traits.scale_bytes;
  return (ScalesOffset(format, cols) + scales + 63) / 64 * 64;
}

size_t PackPanel(Format format, const uint8_t* raw, size_t n_rows, size_t cols, uint8_t* out) {
  if (format == Format::kF32) return PackFloats<uint32_t>(raw, n_rows, cols, 0x7f800000u, out);
  if (format == Format::kF16) return PackFloats<uint16_t>(raw, n_rows, cols, 0x7c00, out);
  if (format == Format::kBF16) return PackFloats<uint16_t>(raw, n_rows, cols, 0x7f80, out);
  const FormatTraits& traits = TraitsOf(format);
  const RowPacker pack = kPackers[static_cast<size_t>(format)];
  const size_t n_blocks = cols / traits.block_cols;
  for (size_t r = 0; r < n_rows; ++r) {
    const Lane lane(out, traits, ScalesOffset(format, cols), r);
    if (!pack(raw + r * n_blocks * traits.block_bytes, n_blocks, traits.block_bytes, lane)) return r;
  }
  return n_rows;
}

}  // namespace aboard
