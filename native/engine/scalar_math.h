// Exp, Log, sine and cosine in double precision, made of +, -, *, / and bit moves alone (no libm, no FMA), so
// that every CPU and compiler gives the same bits. Scalar in, scalar out; needs IEEE arithmetic.
// Exactness: within 2e-16 relative (1.4e-16 measured at 10^5 points against 120-bit arithmetic) but
// for denormal results of Exp; as IEEE wants at 0, infinities and NaN.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#if defined(__FAST_MATH__)
#error "The numerics contract forbids -ffast-math (docs/decisions/0002-numerics-contract.md)."
#endif

namespace aboard {
namespace scalar_math_internal {

inline constexpr double kLog2E = 1.4426950408889634074;
// ln 2 = kLn2High + kLn2Low. The high part ends in 21 zero bits: n * kLn2High is exact for any
// binary exponent n.
inline constexpr double kLn2High = 0x1.62e42feep-1;
inline constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
// Added to |x| < 2^51, rounds x to an integer (half to even) that stands in the low mantissa bits.
inline constexpr double kRounder = 0x1.8p52;

// e^r for |r| <= ln(2) / 2: Taylor series to r^13, whose rest is below 4e-18.
inline double ExpSeries(double r) {
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  return (p * r) * r + r + 1.0;
}

// 2^n for -1022 <= n <= 1023.
inline double PowerOfTwo(int n) {
  return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
}

}  // namespace scalar_math_internal

// Replaces each x <= 0 (not NaN) by e^x, or by e^-700 (1e-304, nothing beside 1) below -700 and
// at -infinity. Two loops, for GCC vectorises neither when they are one: it makes a branch of the
// bound (4.1 ns a logit on SSE2 against 7.3 ns). Exp would also meet slow denormals.
template <size_t N>
inline void ExpOfNonPositive(double (&x)[N]) {
  using namespace scalar_math_internal;
  for (size_t i = 0; i < N; ++i) x[i] = x[i] < -700.0 ? -700.0 : x[i];
  for (size_t i = 0; i < N; ++i) {
    const double rounded = x[i] * kLog2E + kRounder;
    const double n = rounded - kRounder;
    const double p = ExpSeries((x[i] - n * kLn2High) - n * kLn2Low);
    // n stands in the low bits of `rounded`; moved up by 52 it adds to the exponent of p.
    x[i] = std::bit_cast<double>(std::bit_cast<uint64_t>(p) +
                                 (std::bit_cast<uint64_t>(rounded) << 52));
  }
}

// e^x for any x: denormal below about -708.4, 0 below -745.2, infinity above 709.8, NaN for NaN.
inline double Exp(double x) {
  using namespace scalar_math_internal;
  if (x != x) return x;
  const double bounded = x < -746.0 ? -746.0 : (x > 710.0 ? 710.0 : x);
  const double n = (bounded * kLog2E + kRounder) - kRounder;
  const double p = ExpSeries((bounded - n * kLn2High) - n * kLn2Low);
  // Two steps, for 2^n alone may leave the normal range; only the last product rounds.
  const int half = static_cast<int>(n) / 2;
  return p * PowerOfTwo(half) * PowerOfTwo(static_cast<int>(n) - half);
}

// Natural logarithm of x: -infinity at 0, NaN below 0 and for NaN, infinity at infinity.
inline double Log(double x) {
  using namespace scalar_math_internal;
  if (x != x || x == std::numeric_limits<double>::infinity()) return x;
  if (x < 0.0) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0.0) return -std::numeric_limits<double>::infinity();
  int exponent = 0;
  if (x < std::numeric_limits<double>::min()) {  // denormal: make it normal first
    x *= 0x1p54;
    exponent = -54;
  }
  // x = 2^exponent * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
  uint64_t bits = std::bit_cast<uint64_t>(x);
  exponent += static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
  if (m >= 1.4142135623730951) {
    m *= 0.5;
    exponent += 1;
  }
  const double f = m - 1.0;
  // ln(1 + f) = 2 atanh(s) with s = f / (2 + f); the series' head 2s is written as
  // f - f^2/2 + s f^2/2, in which the large term f is exact.
  const double s = f / (2.0 + f);
  const double z = s * s;
  double tail = 2.0 / 23.0;
  tail = tail * z + 2.0 / 21.0;
  tail = tail * z + 2.0 / 19.0;
  tail = tail * z + 2.0 / 17.0;
  tail = tail * z + 2.0 / 15.0;
  tail = tail * z + 2.0 / 13.0;
  tail = tail * z + 2.0 / 11.0;
  tail = tail * z + 2.0 / 9.0;
  tail = tail * z + 2.0 / 7.0;
  tail = tail * z + 2.0 / 5.0;
  tail = tail * z + 2.0 / 3.0;
  tail = tail * z;
  const double half_square = 0.5 * f * f;
  const double k = exponent;
  return k * kLn2High - ((half_square - (s * (half_square + tail) + k * kLn2Low)) - f);
}

struct SinCos {
  double sin, cos;
};

// Sine and cosine of 0 <= x < 2^31, within 2e-16 + 1e-16 * |x| / 2^20: the argument is taken to
// [-pi/4, pi/4] by three parts of pi/2 of 33 bits each, whose multiples are exact up to 2^20.
inline SinCos SinAndCos(double x) {
  constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
  constexpr double kHalfPi1 = 0x1.921fb544p+0, kHalfPi2 = 0x1.0b4611a6p-34;
  constexpr double kHalfPi3 = 0x1.3198a2e037073p-69;
  const double n = (x * kTwoOverPi + scalar_math_internal::kRounder) -
                   scalar_math_internal::kRounder;
  const double r = ((x - n * kHalfPi1) - n * kHalfPi2) - n * kHalfPi3;
  const double z = r * r;
  // Taylor series; the first terms left out are below 2e-19 at pi/4.
  double s = 1.0 / 355687428096000.0;
  s = s * z - 1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  s = (s * z) * r + r;
  double c = 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 0.5;
  c = c * z + 1.0;
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace aboard
