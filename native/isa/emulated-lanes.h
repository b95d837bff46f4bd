// Vectors lane by lane in plain C++, whatever their width: what emulated-x86.h is made of.
// Expects <immintrin.h> before it, and any vector type of its, of 16, 32 or 64 bytes.
// Exactness: each lane by the operation that is given; a sum wraps as its type does.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace aboard {
namespace {
namespace emulated {

// Inlined, unlike what is made of it: see emulated-x86.h.
#define ABOARD_INLINED inline __attribute__((always_inline))

// The vector as an array of lanes of T.
template <class T, class Vector>
struct Lanes {
  static constexpr int kCount = sizeof(Vector) / sizeof(T);
  T lane[kCount];
};
template <class T, class Vector>
ABOARD_INLINED Lanes<T, Vector> Split(Vector a) {
  Lanes<T, Vector> lanes;
  memcpy(&lanes, &a, sizeof a);
  return lanes;
}

// The vector whose lane l of type T is f(l).
template <class Vector, class T, class F>
ABOARD_INLINED Vector Make(const F& f) {
  Lanes<T, Vector> lanes;
  for (int l = 0; l < Lanes<T, Vector>::kCount; ++l) lanes.lane[l] = (T)f(l);
  Vector a;
  memcpy(&a, &lanes, sizeof a);
  return a;
}
template <class T, class Vector, class F>
ABOARD_INLINED Vector Map(Vector a, const F& f) {
  const auto x = Split<T>(a);
  return Make<Vector, T>([&](int l) { return f(x.lane[l]); });
}
template <class T, class Vector, class F>
ABOARD_INLINED Vector Zip(Vector a, Vector b, const F& f) {
  const auto x = Split<T>(a), y = Split<T>(b);
  return Make<Vector, T>([&](int l) { return f(x.lane[l], y.lane[l]); });
}
// Lanes of a narrower vector, each widened or narrowed to T.
template <class Vector, class T, class From, class Narrow>
ABOARD_INLINED Vector Convert(Narrow a) {
  const auto x = Split<From>(a);
  return Make<Vector, T>([&](int l) { return l < x.kCount ? (T)x.lane[l] : T{0}; });
}
template <class Vector>
ABOARD_INLINED Vector Read(const void* p) {
  Vector a;
  memcpy(&a, p, sizeof a);
  return a;
}

// Bit l of the result: f(lane l of a, lane l of b).
template <class T, class Vector, class F>
ABOARD_INLINED uint32_t Compare(Vector a, Vector b, const F& f) {
  const auto x = Split<T>(a), y = Split<T>(b);
  uint32_t mask = 0;
  for (int l = 0; l < x.kCount; ++l) mask |= (uint32_t)(f(x.lane[l], y.lane[l]) ? 1 : 0) << l;
  return mask;
}
template <class T>
ABOARD_INLINED bool Holds(int predicate, T x, T y) {
  switch (predicate & 7) {  // of floats, without the bit that only decides about exceptions
    case 0: return x == y;
    case 1: return x < y;
    case 2: return x <= y;
    case 3: return x != x || y != y;
    case 4: return !(x == y);
    case 5: return !(x < y);
    case 6: return !(x <= y);
    default: return x == x && y == y;
  }
}

// vpdpbusd: int32 lane + four products of an unsigned byte by a signed one, wrapping.
template <class Vector>
ABOARD_INLINED Vector DotBytes(Vector acc, Vector w, Vector x) {
  const auto sum = Split<uint32_t>(acc);
  const auto u = Split<uint8_t>(w);
  const auto s = Split<int8_t>(x);
  return Make<Vector, uint32_t>([&](int l) {
    uint32_t total = sum.lane[l];
    for (int i = 4 * l; i < 4 * l + 4; ++i) total += (uint32_t)(u.lane[i] * s.lane[i]);
    return total;
  });
}

// Lane l of group g (16 bytes each) is lane `which(l)` of the same group of a, or, where `which`
// gives kPerGroup or more, of b.
template <class T, class Vector, class F>
ABOARD_INLINED Vector InGroups(Vector a, Vector b, const F& which) {
  constexpr int kPerGroup = 16 / sizeof(T);
  const auto x = Split<T>(a), y = Split<T>(b);
  return Make<Vector, T>([&](int l) {
    const int group = l / kPerGroup * kPerGroup, from = which(l % kPerGroup);
    return from < kPerGroup ? x.lane[group + from] : y.lane[group + from - kPerGroup];
  });
}
template <class T>
ABOARD_INLINED int Unpacked(int l, bool high) {  // of a lane within its group, for InGroups
  constexpr int kPerGroup = 16 / sizeof(T);
  return l / 2 + (high ? kPerGroup / 2 : 0) + (l % 2) * kPerGroup;
}

// Groups of 16 bytes: two of a, then two of b.
template <class Vector>
ABOARD_INLINED Vector ShuffleGroups(Vector a, Vector b, int control) {
  const auto x = Split<uint64_t>(a), y = Split<uint64_t>(b);
  return Make<Vector, uint64_t>([&](int l) {
    const int group = l / 2, from = (control >> (2 * group) & 3) * 2 + l % 2;
    return group < 2 ? x.lane[from] : y.lane[from];
  });
}
template <class Part, class Vector>
ABOARD_INLINED Part Extract(Vector a, int index) {
  Part part[sizeof a / sizeof(Part)];
  memcpy(part, &a, sizeof a);
  return part[index];
}
template <class Vector, class Part>
ABOARD_INLINED Vector Insert(Vector a, Part b, int index) {
  Part part[sizeof a / sizeof(Part)];
  memcpy(part, &a, sizeof a);
  part[index] = b;
  return Read<Vector>(part);
}
template <class T, class Vector>
ABOARD_INLINED Vector Blend(uint32_t mask, Vector a, Vector b) {
  const auto x = Split<T>(a), y = Split<T>(b);
  return Make<Vector, T>([&](int l) { return mask >> l & 1 ? y.lane[l] : x.lane[l]; });
}

}  // namespace emulated

#undef ABOARD_INLINED

}  // namespace
}  // namespace aboard
