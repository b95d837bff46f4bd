// How the integer codes of a block lie in a panel, and how they become eight quads of bytes.
// Expects a block's code bytes as kernels/layout.h draws them.
// Exactness: integers. A quad holds `code + kOffset` unsigned, or what PrepareSigned made of it.
#pragma once

namespace aboard {
namespace {

// Each type: kBytes a block; kOffset, taken off again through the sum of the activations' codes;
// kMaxCode, the largest code (at most 63), or kSigned for bytes that go to DotSigned; and Expand.
constexpr int kSigned = 0;

ABOARD_INLINE void ExpandNibbles(const uint8_t* p, U8x64 (&quads)[kQuads]) {
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const U8x64 pair = LoadBytes(p + v * kQuadBytes);
    quads[2 * v] = pair & 0x0f;
    quads[2 * v + 1] = Shifted<-4>(pair, 0x0f);
  }
}

// Bit q of each byte of `plane`, moved to bit kTo, joined to quad q.
template <int kTo, int q = 0>
ABOARD_INLINE void JoinBits(U8x64 plane, U8x64 (&quads)[kQuads]) {
  quads[q] = quads[q] | Shifted<kTo - q>(plane, uint8_t{1} << kTo);
  if constexpr (q + 1 < static_cast<int>(kQuads)) JoinBits<kTo, q + 1>(plane, quads);
}

// Bits 2(q%4) and 2(q%4)+1 of piece q/4, moved to bit kTo.
template <int kTo, int q = 0>
ABOARD_INLINE void ExpandPairs(const U8x64 (&pieces)[2], U8x64 (&pairs)[kQuads]) {
  pairs[q] = Shifted<kTo - 2 * (q % 4)>(pieces[q / 4], uint8_t{3} << kTo);
  if constexpr (q + 1 < static_cast<int>(kQuads)) ExpandPairs<kTo, q + 1>(pieces, pairs);
}

template <int kOffsetValue>
struct Codes4 {
  static constexpr size_t kBytes = 4 * kQuadBytes;
  static constexpr int kOffset = kOffsetValue;
  static constexpr int kMaxCode = 15;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
    ExpandNibbles(p, quads);
  }
};

template <int kOffsetValue>
struct Codes5 {
  static constexpr size_t kBytes = 5 * kQuadBytes;
  static constexpr int kOffset = kOffsetValue;
  static constexpr int kMaxCode = 31;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
    ExpandNibbles(p, quads);
    JoinBits<4>(LoadBytes(p + 4 * kQuadBytes), quads);
  }
};

struct Codes6 {
  static constexpr size_t kBytes = 6 * kQuadBytes;
  static constexpr int kOffset = 32;
  static constexpr int kMaxCode = 63;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
    ExpandNibbles(p, quads);
    const U8x64 pieces[2] = {LoadBytes(p + 4 * kQuadBytes), LoadBytes(p + 5 * kQuadBytes)};
    U8x64 high[kQuads];
    ExpandPairs<4>(pieces, high);
#pragma GCC unroll 8
    for (size_t q = 0; q < kQuads; ++q) quads[q] = quads[q] | high[q];
  }
};

struct Codes2 {
  static constexpr size_t kBytes = 2 * kQuadBytes;
  static constexpr int kOffset = 0;
  static constexpr int kMaxCode = 3;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
    const U8x64 pieces[2] = {LoadBytes(p), LoadBytes(p + kQuadBytes)};
    ExpandPairs<0>(pieces, quads);
  }
};

struct Codes3 {
  static constexpr size_t kBytes = 3 * kQuadBytes;
  static constexpr int kOffset = 4;
  static constexpr int kMaxCode = 7;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
    Codes2::Expand(p, quads);
    JoinBits<2>(LoadBytes(p + 2 * kQuadBytes), quads);
  }
};

struct Codes8 {
  static constexpr size_t kBytes = kQuads * kQuadBytes;
  static constexpr int kOffset = kSignedOffset;
  static constexpr int kMaxCode = kSigned;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
#pragma GCC unroll 8
    for (size_t q = 0; q < kQuads; ++q) quads[q] = PrepareSigned(LoadBytes(p + q * kQuadBytes));
  }
};

template <const int8_t (&kValues)[16]>
struct CodesOfTable {
  static constexpr size_t kBytes = 4 * kQuadBytes;
  static constexpr int kOffset = kSignedOffset;
  static constexpr int kMaxCode = kSigned;
  static ABOARD_INLINE void Expand(const uint8_t* p, U8x64 (&quads)[kQuads]) {
    ExpandNibbles(p, quads);
#pragma GCC unroll 8
    for (size_t q = 0; q < kQuads; ++q) quads[q] = PrepareSigned(LookUp(kValues, quads[q]));
  }
};

}  // namespace
}  // namespace aboard
