// Asks the CPU which instruction sets it runs and keeps the table in use.
// Expects that ABOARD_X86 or ABOARD_ARM64 says which sets were compiled in; compiled without -m
// flags.
// Exactness: the choice changes no bit of any result.
#include <array>
#include <atomic>
#include <cstring>

#include "isa/kernels.h"

#ifdef ABOARD_X86
#include <cpuid.h>
#endif
#if defined(ABOARD_ARM64) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace aboard {

extern const Kernels kScalarKernels;
#ifdef ABOARD_X86
extern const Kernels kAvx2Kernels;
extern const Kernels kAvxVnniKernels;
extern const Kernels kAvx512VnniKernels;
#endif
#ifdef ABOARD_ARM64
extern const Kernels kNeonDotKernels;
#endif

namespace {

struct Candidate {
  const Kernels* kernels;
  bool (*runs_here)();
};

bool Always() { return true; }

#ifdef ABOARD_X86
// The built-in also asks whether the operating system saves the wide registers.
bool HasAvx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
  return __builtin_cpu_supports("avx2") && f16c;
}
#ifdef ABOARD_EMULATED_X86  // in plain C++, but for AVX2
bool HasAvx512Vnni() { return HasAvx2(); }
bool HasAvxVnni() { return HasAvx2(); }
#else
bool HasAvx512Vnni() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
bool HasAvxVnni() {
#ifdef ABOARD_AVXVNNI_AS_EVEX
  return HasAvx512Vnni();
#else
  unsigned a = 0, b = 0, c = 0, d = 0;
  return HasAvx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
#endif
}
#endif
#endif

#ifdef ABOARD_ARM64
bool HasNeonDot() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
  return true;  // every Apple CPU that runs AArch64 macOS
#else
  return false;
#endif
}
#endif

// The best first.
constexpr Candidate kCandidates[] = {
#ifdef ABOARD_X86
    {&kAvx512VnniKernels, HasAvx512Vnni},
    {&kAvxVnniKernels, HasAvxVnni},
    {&kAvx2Kernels, HasAvx2},
#endif
#ifdef ABOARD_ARM64
    {&kNeonDotKernels, HasNeonDot},
#endif
    {&kScalarKernels, Always},
};

std::atomic<const Kernels*> forced{nullptr};

}  // namespace

const char* const* SupportedIsas() {
  static const auto names = [] {
    std::array<const char*, std::size(kCandidates) + 1> found{};
    size_t n = 0;
    for (const Candidate& each : kCandidates) {
      if (each.runs_here()) found[n++] = each.kernels->name;
    }
    return found;
  }();
  return names.data();
}

const Kernels* FindKernels(const char* name) {
  for (const Candidate& each : kCandidates) {
    if (std::strcmp(each.kernels->name, name) == 0 && each.runs_here()) return each.kernels;
  }
  return nullptr;
}

const Kernels& ActiveKernels() {
  if (const Kernels* chosen = forced.load(std::memory_order_acquire)) return *chosen;
  static const Kernels* const best = FindKernels(SupportedIsas()[0]);
  return *best;
}

bool ForceIsa(const char* name) {
  const Kernels* kernels = name == nullptr ? nullptr : FindKernels(name);
  if (name != nullptr && kernels == nullptr) return false;
  forced.store(kernels, std::memory_order_release);
  return true;
}

}  // namespace aboard
