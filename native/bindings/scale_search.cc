// Python's search for scales and for codes, by several threads.
// Expects contiguous float32, rows of whole blocks.
// Exactness: groups are searched each by itself; which thread takes which changes nothing.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <optional>
#include <string>

#include "bindings/bindings.h"
#include "bindings/checked.h"
#include "engine/float_environment.h"
#include "engine/packing.h"
#include "engine/pool.h"
#include "isa/kernels.h"

namespace aboard {
namespace {

// What is searched for a format: the weights that share a scale, and a float16.
struct Groups {
  Format format;
  size_t group, block;
  bool minimums;
};

Groups CheckedGroups(const std::string& name) {
  const auto format = FormatByName(name);
  if (format) {
    switch (*format) {
      case Format::kQ4_0:
      case Format::kQ5_0:
      case Format::kQ8_0:
      case Format::kIQ4_NL: return {*format, 32, 32, false};
      case Format::kQ4_1:
      case Format::kQ5_1: return {*format, 32, 32, true};
      case Format::kQ2_K: return {*format, 16, 256, true};
      case Format::kQ3_K:
      case Format::kQ6_K: return {*format, 16, 256, false};
      case Format::kIQ4_XS: return {*format, 32, 256, false};
      case Format::kQ4_K:
      case Format::kQ5_K: return {*format, 32, 256, true};
      default: break;
    }
  }
  Refuse("no search for the format " + name);
}

// Calls work(first, last) for parts of [0, n), by up to `threads` threads.
template <class Work>
void InParts(size_t n, size_t threads, const Work& work) {
  const auto part = [&](size_t first, size_t last) {
    const DefaultFloats floats;
    work(first, last);
  };
  Pool pool(std::min(threads, std::max<size_t>(n / 64, 1)));
  pool.Run([&](Team& team) { team.Phase(n, Team::kMaxPartsPerThread, part); });
}

// (scale, minimum, factor, minimum_factor), float16 as its bits, empty for what the format lacks.
nb::tuple SearchScalesOf(const std::string& name, const Array<float, 2>& weights,
                         const OptionalArray& importances, size_t threads) {
  const Groups form = CheckedGroups(name);
  const size_t rows = weights.shape(0), cols = weights.shape(1);
  CheckThreads(threads);
  if (cols % form.block != 0 || (importances && importances->shape(0) != cols)) {
    Refuse("rows of " + std::to_string(cols) + " weights don't fit");
  }
  const bool factors = form.group != form.block;
  const size_t blocks = cols / form.block, groups = cols / form.group;
  auto scale = NewArray<uint16_t, 2>({rows, blocks});
  auto minimum = NewArray<uint16_t, 2>({form.minimums ? rows : 0, blocks});
  auto factor = NewArray<int8_t, 2>({factors ? rows : 0, groups});
  auto minimum_factor = NewArray<uint8_t, 2>({factors && form.minimums ? rows : 0, groups});
  const ScaleSearch search{
      .format = form.format,
      .weights = weights.data(),
      .importances = importances ? importances->data() : nullptr,
      .cols = cols,
      .groups = rows * groups,
      .scale = scale.data(),
      .minimum = minimum.data(),
      .factor = factor.data(),
      .minimum_factor = minimum_factor.data(),
  };
  {
    const nb::gil_scoped_release unlocked;
    InParts((search.groups + kSearchLanes - 1) / kSearchLanes, threads,
            [&](size_t first, size_t last) { ActiveKernels().search_scales(search, first, last); });
  }
  return nb::make_tuple(scale, minimum, factor, minimum_factor);
}

NumpyArray<uint8_t, 2> NearestCodesOf(const std::string& name, const Array<float, 2>& weights,
                                      const Array<float, 2>& scale,
                                      const std::optional<Array<float, 2>>& offset,
                                      size_t threads) {
  const Groups form = CheckedGroups(name);
  CheckThreads(threads);
  const auto fits = [&](const Array<float, 2>& values) {
    return values.shape(0) == weights.shape(0) && values.shape(1) * form.group == weights.shape(1);
  };
  if (!fits(scale) || (offset && !fits(*offset))) Refuse("scales and weights don't fit");
  auto codes = NewArray<uint8_t, 2>({weights.shape(0), weights.shape(1)});
  const CodeSearch search{form.format, weights.data(), scale.data(),
                          offset ? offset->data() : nullptr, codes.data()};
  const nb::gil_scoped_release unlocked;
  InParts(scale.shape(0) * scale.shape(1), threads,
          [&](size_t first, size_t last) { ActiveKernels().nearest_codes(search, first, last); });
  return codes;
}

}  // namespace

void BindScaleSearch(nb::module_& m) {
  m.def("search_scales", &SearchScalesOf, nb::arg("format"), nb::arg("weights"),
        nb::arg("importances").none(), nb::arg("threads"),
        "(scale, minimum, factor, minimum_factor) of finite weights; empty where a format has none.");
  m.def("nearest_codes", &NearestCodesOf, nb::arg("format"), nb::arg("weights"), nb::arg("scale"),
        nb::arg("offset").none(), nb::arg("threads"), "Numbers of the nearest levels.");
}

}  // namespace aboard
