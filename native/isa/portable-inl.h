// The primitives that any compiler can make from lane-wise operations, for sets without better.
// Expects lanes-inl.h. A set defines ABOARD_OWN_... before including this to bring its own.
// Exactness: conversions are exact or round half to even, as IEEE 754 says.
#pragma once

namespace aboard {
namespace {

#ifndef ABOARD_OWN_BYTES
ABOARD_INLINE I32x16 WidenU8s(const uint8_t* p) {
  int32_t lane[16];
  for (int l = 0; l < 16; ++l) lane[l] = p[l];
  return LoadI(lane);
}
ABOARD_INLINE I32x16 WidenI8s(const uint8_t* p) {
  int32_t lane[16];
  for (int l = 0; l < 16; ++l) lane[l] = (int8_t)p[l];
  return LoadI(lane);
}
ABOARD_INLINE I32x16 WidenU16s(const uint8_t* p) {
  uint16_t half[16];
  memcpy(half, p, sizeof half);
  int32_t lane[16];
  for (int l = 0; l < 16; ++l) lane[l] = half[l];
  return LoadI(lane);
}
ABOARD_INLINE void StoreAsI8s(I32x16 a, int8_t* p) {
  int32_t lane[16];
  StoreI(a, lane);
  for (int l = 0; l < 16; ++l) p[l] = (int8_t)lane[l];
}
#endif

ABOARD_INLINE F32x16 LoadU8s(const uint8_t* p) { return ToFloat(WidenU8s(p)); }
ABOARD_INLINE F32x16 LoadI8s(const uint8_t* p) { return ToFloat(WidenI8s(p)); }

#ifndef ABOARD_OWN_HALVES
// The exponent and mantissa, moved to their place in a float32, times 2^112: exact, denormals too.
ABOARD_INLINE F32x16 LoadHalves(const uint8_t* p) {
  const I32x16 half = WidenU16s(p);
  const I32x16 rest = half & SplatI(0x7fff);
  const I32x16 special = Less(SplatI(0x7bff), rest);
  const I32x16 finite = Bits(FromBits(ShiftLeft<13>(rest)) * Splat(0x1p112f));
  const I32x16 infinite = ShiftLeft<13>(rest) + SplatI(0x70000000);
  return FromBits(Select(special, infinite, finite) + ShiftLeft<16>(half & SplatI(0x8000)));
}

ABOARD_INLINE void StoreHalves(F32x16 a, uint16_t* p) {
  const I32x16 bits = Bits(a);
  const I32x16 rest = bits & SplatI(0x7fffffff);
  const I32x16 odd = ShiftRight<13>(rest) & SplatI(1);
  const I32x16 normal = ShiftRight<13>(rest + SplatI(0xfff) + odd - SplatI(0x38000000));
  // Adding 0.5, whose last place is 2^-24, rounds to the last place of a float16 denormal.
  const I32x16 denormal = Bits(FromBits(rest) + Splat(0.5f)) - SplatI(0x3f000000);
  const I32x16 nan = Less(SplatI(0x7f800000), rest);
  const I32x16 large = Less(SplatI(0x477fffff), rest);
  I32x16 half = Select(Less(rest, SplatI(0x38800000)), denormal, normal);
  half = Select(large, SplatI(0x7c00), half);
  half = Select(nan, SplatI(0x7e00), half) + (ShiftRight<16>(bits) & SplatI(0x8000));
  int32_t lane[16];
  StoreI(half, lane);
  for (int l = 0; l < 16; ++l) p[l] = (uint16_t)lane[l];
}
#endif

#ifndef ABOARD_OWN_SUM_TREES
// Lane j = SumTree(a[j]).
ABOARD_INLINE F32x16 SumTrees(const F32x16 (&a)[16]) {
  float sums[16];
  for (int j = 0; j < 16; ++j) sums[j] = SumTree(a[j]);
  return Load(sums);
}
#endif

}  // namespace
}  // namespace aboard
