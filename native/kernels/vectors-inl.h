// The passes between the matrices: quantisation, norm, activation, residual, float16.
// Expects float32 arrays of any length; no alignment.
// Exactness: element by element, or sixteen virtual lanes (lane = index mod 16) and one tree.
#pragma once

namespace aboard {
namespace {

// Up to sixteen values, the missing ones 0.
ABOARD_INLINE F32x16 LoadUpTo16(const float* p, size_t n) {
  if (n >= 16) return Load(p);
  float filled[16] = {};
  memcpy(filled, p, n * sizeof(float));
  return Load(filled);
}
ABOARD_INLINE void StoreUpTo16(F32x16 a, float* p, size_t n) {
  if (n >= 16) return Store(a, p);
  float all[16];
  Store(a, all);
  memcpy(p, all, n * sizeof(float));
}

// The scale of a block whose largest magnitude has these bits. Blocks below 2^-100 count as zero
// (1 / scale would overflow); a NaN or infinity makes the block NaN, so that it can't hide.
ABOARD_INLINE float BlockScale(int32_t max_bits) {
  if (max_bits >= 0x7f800000) return __builtin_nanf("");
  float max;
  memcpy(&max, &max_bits, sizeof max);
  return max < 0x1p-100f ? 0.0f : max / 127.0f;
}

// Codes of values in a block of this scale; 0 where it is zero or not finite.
ABOARD_INLINE I32x16 CodesOf(F32x16 x, float scale, float inverse) {
  return scale > 0.0f ? Rounded(x * Splat(inverse)) : SplatI(0);
}

void Quantize(const float* x, size_t n, const QuantizedRows& out, size_t token,
              size_t first_block) {
  const I32x16 magnitude = SplatI(0x7fffffff);
  for (size_t done = 0; done < n; done += kBlock, ++first_block) {
    const size_t left = n - done;
    const F32x16 half[2] = {LoadUpTo16(x + done, left),
                            left > 16 ? LoadUpTo16(x + done + 16, left - 16) : Splat(0.0f)};
    const float scale =
        BlockScale(MaxLaneI(MaxI(Bits(half[0]) & magnitude, Bits(half[1]) & magnitude)));
    const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    const size_t tile = out.tile, in_tile = token % tile;
    const size_t block = token / tile * out.blocks + first_block;
    const size_t at = block * tile + in_tile;
    int8_t codes_of_row[kBlock];
    int32_t sums[2];
    for (int h = 0; h < 2; ++h) {
      const I32x16 codes = CodesOf(half[h], scale, inverse);
      StoreAsI8s(codes, codes_of_row + h * 16);
      sums[h] = SumExact(codes);
      out.sums16[(block * 2 + h) * tile + in_tile] = sums[h];
      out.weighted16[(block * 2 + h) * tile + in_tile] = scale * (float)sums[h];
    }
    for (size_t q = 0; q < kQuads; ++q) {
      memcpy(out.codes + ((block * kQuads + q) * tile + in_tile) * 4, codes_of_row + q * 4, 4);
    }
    out.scales[at] = scale;
    out.sums[at] = sums[0] + sums[1];
    out.weighted[at] = scale * (float)(sums[0] + sums[1]);
  }
}

void RmsNorm(const float* x, const float* weight, float eps, size_t n, float* out) {
  F32x16 squares = Splat(0.0f);
  for (size_t i = 0; i < n; i += 16) {
    const F32x16 a = LoadUpTo16(x + i, n - i);
    squares = squares + a * a;
  }
  const float mean = SumTree(squares) / (float)n;
  // Where the squares overflow, the scale would be 0 and hide it.
  const bool finite = mean <= __FLT_MAX__;
  const F32x16 scale = Splat(finite ? 1.0f / __builtin_sqrtf(mean + eps) : __builtin_nanf(""));
  for (size_t i = 0; i < n; i += 16) {
    const F32x16 normal = LoadUpTo16(x + i, n - i) * scale;
    StoreUpTo16(normal * LoadUpTo16(weight + i, n - i), out + i, n - i);
  }
}

void SwiGlu(float* gate, const float* up, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const F32x16 g = LoadUpTo16(gate + i, n - i);
    const F32x16 silu = g / (Splat(1.0f) + Exp(Splat(0.0f) - g));
    StoreUpTo16(silu * LoadUpTo16(up + i, n - i), gate + i, n - i);
  }
}

void GeGlu(float* gate, const float* up, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const F32x16 g = LoadUpTo16(gate + i, n - i);
    // -2 sqrt(2 / pi) and 0.044715 times that.
    const F32x16 u = g * (Splat(-0x1.988454p+0f) + Splat(-0x1.2444f2p-4f) * (g * g));
    const F32x16 gelu = g / (Splat(1.0f) + Exp(u));
    StoreUpTo16(gelu * LoadUpTo16(up + i, n - i), gate + i, n - i);
  }
}

void Scale(float* x, float by, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    StoreUpTo16(LoadUpTo16(x + i, n - i) * Splat(by), x + i, n - i);
  }
}

void SoftCapAll(float* x, float cap, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    StoreUpTo16(SoftCap(LoadUpTo16(x + i, n - i), cap), x + i, n - i);
  }
}

void Add(float* out, const float* x, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    StoreUpTo16(LoadUpTo16(out + i, n - i) + LoadUpTo16(x + i, n - i), out + i, n - i);
  }
}

void Divide(const float* x, float by, size_t n, float* out) {
  for (size_t i = 0; i < n; i += 16) {
    StoreUpTo16(LoadUpTo16(x + i, n - i) / Splat(by), out + i, n - i);
  }
}

void ExpOf(const float* x, size_t n, float* out) {
  for (size_t i = 0; i < n; i += 16) StoreUpTo16(Exp(LoadUpTo16(x + i, n - i)), out + i, n - i);
}

void HalvesToFloats(const uint16_t* x, size_t n, float* out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) Store(LoadHalves((const uint8_t*)(x + i)), out + i);
  if (i < n) {
    uint16_t filled[16] = {};
    memcpy(filled, x + i, (n - i) * sizeof *x);
    StoreUpTo16(LoadHalves((const uint8_t*)filled), out + i, n - i);
  }
}

void FloatsToHalves(const float* x, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; i += 16) {
    uint16_t halves[16];
    StoreHalves(LoadUpTo16(x + i, n - i), halves);
    memcpy(out + i, halves, (n - i < 16 ? n - i : 16) * sizeof *out);
  }
}

}  // namespace
}  // namespace aboard
