// The codes nearest to weights on given scales and offsets.
// Expects quantize/levels-inl.h and fit-inl.h; see CodeSearch.
// Exactness: (weight - offset) * (1 / scale), rounded as levels-inl.h says; NumPy gives the same bits.
#pragma once

namespace aboard {
namespace {

template <class Levels, int kGroup>
void NearestOfGroups(const CodeSearch& search, size_t first, size_t last) {
  for (size_t group = first; group < last; ++group) {
    const F32x16 inverse = Inverse(Splat(search.scale[group]));
    const F32x16 offset = Splat(search.offset != nullptr ? search.offset[group] : 0.0f);
    for (size_t i = group * kGroup; i < (group + 1) * kGroup; i += 16) {
      F32x16 t = (Load(search.weights + i) - offset) * inverse;
      for (int part = 0; part < kParts; ++part) t.v[part] = Levels::Index(t.v[part]);
      int8_t centred[16];
      StoreAsI8s(Rounded(t) - SplatI(128), centred);
      for (int l = 0; l < 16; ++l) search.codes[i + l] = (uint8_t)(centred[l] ^ 0x80);
    }
  }
}

// Groups [first, last): see Kernels::nearest_codes.
void NearestCodes(const CodeSearch& search, size_t first, size_t last) {
  switch (search.format) {
    case Format::kQ4_0: return NearestOfGroups<IntegerLevels<-8, 7>, 32>(search, first, last);
    case Format::kQ5_0: return NearestOfGroups<IntegerLevels<-16, 15>, 32>(search, first, last);
    case Format::kQ8_0: return NearestOfGroups<IntegerLevels<-128, 127>, 32>(search, first, last);
    case Format::kQ3_K: return NearestOfGroups<IntegerLevels<-4, 3>, 16>(search, first, last);
    case Format::kQ6_K: return NearestOfGroups<IntegerLevels<-32, 31>, 16>(search, first, last);
    case Format::kQ2_K: return NearestOfGroups<IntegerLevels<0, 3>, 16>(search, first, last);
    case Format::kQ4_1:
    case Format::kQ4_K: return NearestOfGroups<IntegerLevels<0, 15>, 32>(search, first, last);
    case Format::kQ5_1:
    case Format::kQ5_K: return NearestOfGroups<IntegerLevels<0, 31>, 32>(search, first, last);
    case Format::kIQ4_NL:
    case Format::kIQ4_XS: return NearestOfGroups<TableLevels, 32>(search, first, last);
    default: return;
  }
}

}  // namespace
}  // namespace aboard
