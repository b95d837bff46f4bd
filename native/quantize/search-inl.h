// Scales and minimums of sixteen groups at a time, for every format that has them.
// Expects isa/lanes-inl.h, StoreHalves and LoadHalves; see search.h for what comes in and goes out.
// Exactness: the same bits on every instruction set: no sum goes over lanes but those of
// super-blocks, which are taken in order.
#pragma once

#include "quantize/search.h"
#include "quantize/levels-inl.h"
#include "quantize/fit-inl.h"
#include "quantize/scale-search-inl.h"
#include "quantize/line-search-inl.h"
#include "quantize/factor-search-inl.h"
#include "quantize/pair-search-inl.h"
#include "quantize/codes-inl.h"

namespace aboard {
namespace {

// How each format is searched; the figures are those at which more gained less than 0.1 %
// (bench/encoders.py).
struct ShapeQ4_0 {
  using Levels = IntegerLevels<-8, 7>;
  static constexpr int kGroup = 32, kGroups = 1;
  static constexpr ScaleSteps kSteps{5.0f, 0.25f, 36, 3, 3};
};
struct ShapeQ5_0 {
  using Levels = IntegerLevels<-16, 15>;
  static constexpr int kGroup = 32, kGroups = 1;
  static constexpr ScaleSteps kSteps{12.0f, 0.25f, 48, 3, 3};
};
struct ShapeQ8_0 {
  using Levels = IntegerLevels<-128, 127>;
  static constexpr int kGroup = 32, kGroups = 1;
  static constexpr ScaleSteps kSteps{118.0f, 0.25f, 64, 2, 2};
};
struct ShapeIQ4_NL {
  using Levels = TableLevels;
  static constexpr int kGroup = 32, kGroups = 1;
  static constexpr ScaleSteps kSteps{80.0f, 6.0f, 22, 2, 2};
};
struct ShapeQ4_1 {
  static constexpr int kHigh = 15, kGroup = 32, kGroups = 1;
  static constexpr LineSteps kSteps{-2.0f, 0.3f, 20, 0.35f, 3, 0.15f, 2, 4};
};
struct ShapeQ5_1 {
  static constexpr int kHigh = 31, kGroup = 32, kGroups = 1;
  static constexpr LineSteps kSteps{-2.0f, 0.3f, 20, 0.35f, 3, 0.15f, 2, 4};
};
struct ShapeQ3_K {
  using Levels = IntegerLevels<-4, 3>;
  static constexpr int kGroup = 16, kGroups = 16;
  static constexpr ScaleSteps kSteps{2.0f, 0.15f, 40, 3, 3};
  static constexpr float kFactorLow = -32.0f, kFactorHigh = 31.0f;
  static constexpr FactorSteps kFactors{12, 3};
};
struct ShapeQ6_K {
  using Levels = IntegerLevels<-32, 31>;
  static constexpr int kGroup = 16, kGroups = 16;
  static constexpr ScaleSteps kSteps{26.0f, 0.25f, 48, 3, 3};
  static constexpr float kFactorLow = -128.0f, kFactorHigh = 127.0f;
  static constexpr FactorSteps kFactors{24, 3};
};
struct ShapeIQ4_XS {
  using Levels = TableLevels;
  static constexpr int kGroup = 32, kGroups = 8;
  static constexpr ScaleSteps kSteps{80.0f, 6.0f, 22, 2, 2};
  static constexpr float kFactorLow = -32.0f, kFactorHigh = 31.0f;
  static constexpr FactorSteps kFactors{8, 2};
};
struct ShapeQ2_K {
  static constexpr int kHigh = 3, kGroup = 16, kGroups = 16;
  static constexpr float kFactorHigh = 15.0f;
  static constexpr LineSteps kSteps{-1.0f, 0.2f, 16, 0.3f, 2, 0.1f, 0, 4};
  static constexpr FactorSteps kFactors{6, 6};
};
struct ShapeQ4_K {
  static constexpr int kHigh = 15, kGroup = 32, kGroups = 8;
  static constexpr float kFactorHigh = 63.0f;
  static constexpr LineSteps kSteps{-2.0f, 0.35f, 16, 0.4f, 3, 0.2f, 2, 4};
  static constexpr FactorSteps kFactors{6, 3};
};
struct ShapeQ5_K {
  static constexpr int kHigh = 31, kGroup = 32, kGroups = 8;
  static constexpr float kFactorHigh = 63.0f;
  static constexpr LineSteps kSteps{-2.0f, 0.35f, 16, 0.4f, 3, 0.2f, 2, 4};
  static constexpr FactorSteps kFactors{6, 3};
};

// The power of two at or below each number; of 0 and the smallest, the smallest normal one.
ABOARD_INLINE Unit UnitOf(F32x16 largest) {
  int32_t bits[16];
  StoreI(Bits(largest), bits);
  for (int l = 0; l < 16; ++l) {
    const int32_t exponent = (bits[l] >> 23) & 255;
    bits[l] = exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
  }
  const I32x16 exponent = LoadI(bits);
  return {FromBits(ShiftLeft<23>(exponent)), FromBits(ShiftLeft<23>(SplatI(254) - exponent))};
}

// Loads the groups from `first` on, weights in units of their super-block's largest; importances in
// those of theirs, never 0, so that a group of which nothing counts is still rounded sensibly.
template <int kGroup, int kGroups>
Unit LoadGroups(const ScaleSearch& search, size_t first, LaneGroups& groups) {
  for (size_t lane = 0; lane < 16; ++lane) {
    const size_t group = first + lane;
    const bool there = group < search.groups;
    const float* weights = search.weights + group * kGroup;
    const float* importances = search.importances;
    if (importances != nullptr) importances += group * kGroup % search.cols;
    for (size_t i = 0; i < kGroup; ++i) {
      groups.weights[16 * i + lane] = there ? weights[i] : 0.0f;
      groups.importances[16 * i + lane] = there && importances != nullptr ? importances[i] : 1.0f;
    }
  }
  F32x16 largest = Splat(0.0f), most = Splat(0.0f);
  for (int i = 0; i < kGroup; ++i) {
    const F32x16 x = Load(groups.weights + 16 * i);
    largest = Max(largest, Max(x, Splat(0.0f) - x));
    most = Max(most, Load(groups.importances + 16 * i));
  }
  const Unit unit = UnitOf(LargestOfGroups<kGroups>(largest));
  const F32x16 share = UnitOf(LargestOfGroups<kGroups>(most)).inverse;
  for (int i = 0; i < kGroup; ++i) {
    Store(Load(groups.weights + 16 * i) * unit.inverse, groups.weights + 16 * i);
    const F32x16 w = Load(groups.importances + 16 * i) * share;
    Store(Max(w, Splat(0x1p-24f)), groups.importances + 16 * i);
  }
  return unit;
}

// Writes a float16 for every super-block.
template <int kGroups>
ABOARD_INLINE void StoreOnes(F32x16 a, const Unit& unit, size_t first, const ScaleSearch& search,
                             uint16_t* out) {
  uint16_t half[16];
  StoreHalves(a * unit.size, half);
  for (size_t l = 0; l < 16 && first + l < search.groups; l += kGroups) {
    out[(first + l) / kGroups] = half[l];
  }
}

template <class T>
ABOARD_INLINE void StoreFactors(F32x16 a, size_t first, const ScaleSearch& search, T* out) {
  int32_t factor[16];
  StoreI(Rounded(a), factor);
  for (size_t l = 0; l < 16 && first + l < search.groups; ++l) out[first + l] = (T)factor[l];
}

template <class Shape>
void SearchScalesAlone(const ScaleSearch& search, size_t first, LaneGroups& groups) {
  const Unit unit = LoadGroups<Shape::kGroup, 1>(search, first, groups);
  const ScaleFit fit = SearchScale<typename Shape::Levels, Shape::kGroup>(groups, Shape::kSteps);
  StoreOnes<1>(fit.scale, unit, first, search, search.scale);
}

template <class Shape>
void SearchLinesAlone(const ScaleSearch& search, size_t first, LaneGroups& groups) {
  const Unit unit = LoadGroups<Shape::kGroup, 1>(search, first, groups);
  const LineFit fit = SearchLine<Shape::kHigh, Shape::kGroup, false>(groups, Shape::kSteps);
  StoreOnes<1>(fit.scale, unit, first, search, search.scale);
  StoreOnes<1>(fit.minimum, unit, first, search, search.minimum);
}

template <class Shape>
void SearchWithFactors(const ScaleSearch& search, size_t first, LaneGroups& groups) {
  const Unit unit = LoadGroups<Shape::kGroup, Shape::kGroups>(search, first, groups);
  const FactorFit fit = SearchFactors<Shape>(groups, unit);
  StoreOnes<Shape::kGroups>(fit.scale, unit, first, search, search.scale);
  StoreFactors(fit.factor, first, search, search.factor);
}

// Once as they are and once mirrored, which both factors below 0 express: then the maximums are
// what is stored.
template <class Shape>
void SearchWithPairs(const ScaleSearch& search, size_t first, LaneGroups& groups) {
  const Unit unit = LoadGroups<Shape::kGroup, Shape::kGroups>(search, first, groups);
  PairFit fit = SearchPairs<Shape>(groups, unit);
  for (int i = 0; i < Shape::kGroup; ++i) {
    Store(Negated(Load(groups.weights + 16 * i)), groups.weights + 16 * i);
  }
  PairFit mirrored = SearchPairs<Shape>(groups, unit);
  mirrored.scale = Negated(mirrored.scale);
  mirrored.minimum = Negated(mirrored.minimum);
  KeepBetter(fit, mirrored);
  StoreOnes<Shape::kGroups>(fit.scale, unit, first, search, search.scale);
  StoreOnes<Shape::kGroups>(fit.minimum, unit, first, search, search.minimum);
  StoreFactors(fit.factor, first, search, search.factor);
  StoreFactors(fit.minimum_factor, first, search, search.minimum_factor);
}

// Groups 16 * [first, last): see Kernels::search_scales.
void SearchScales(const ScaleSearch& search, size_t first, size_t last) {
  LaneGroups groups;
  for (size_t group = 16 * first; group < 16 * last; group += 16) {
    switch (search.format) {
      case Format::kQ4_0: SearchScalesAlone<ShapeQ4_0>(search, group, groups); break;
      case Format::kQ5_0: SearchScalesAlone<ShapeQ5_0>(search, group, groups); break;
      case Format::kQ8_0: SearchScalesAlone<ShapeQ8_0>(search, group, groups); break;
      case Format::kIQ4_NL: SearchScalesAlone<ShapeIQ4_NL>(search, group, groups); break;
      case Format::kQ4_1: SearchLinesAlone<ShapeQ4_1>(search, group, groups); break;
      case Format::kQ5_1: SearchLinesAlone<ShapeQ5_1>(search, group, groups); break;
      case Format::kQ3_K: SearchWithFactors<ShapeQ3_K>(search, group, groups); break;
      case Format::kQ6_K: SearchWithFactors<ShapeQ6_K>(search, group, groups); break;
      case Format::kIQ4_XS: SearchWithFactors<ShapeIQ4_XS>(search, group, groups); break;
      case Format::kQ2_K: SearchWithPairs<ShapeQ2_K>(search, group, groups); break;
      case Format::kQ4_K: SearchWithPairs<ShapeQ4_K>(search, group, groups); break;
      case Format::kQ5_K: SearchWithPairs<ShapeQ5_K>(search, group, groups); break;
      default: break;
    }
  }
}

}  // namespace
}  // namespace aboard
