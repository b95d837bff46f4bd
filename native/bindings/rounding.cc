// Python's way to the rounding of matrices: every shape is checked here.
// Expects contiguous arrays.
// Exactness: adds nothing to quantize/.
#include "quantize/rounding.h"

#include <nanobind/stl/optional.h>

#include <algorithm>
#include <optional>

#include "bindings/bindings.h"
#include "bindings/checked.h"

namespace aboard {
namespace {

using Written = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

bool AreUniform(const Array<float, 1>& levels) {
  for (size_t i = 1; i < levels.shape(0); ++i) {
    if (levels.data()[i] - levels.data()[i - 1] != 1.0f) return false;
  }
  return true;
}

void CheckGrid(const Array<float, 2>& scales, const std::optional<Array<float, 2>>& offsets,
               const Array<int32_t, 1>& groups, const Array<float, 1>& levels, size_t rows,
               size_t cols) {
  const size_t n_groups = scales.shape(1);
  if (scales.shape(0) != rows || groups.shape(0) != cols ||
      (offsets && (offsets->shape(0) != rows || offsets->shape(1) != n_groups))) {
    Refuse("the grid isn't that of the columns");
  }
  for (size_t k = 0; k < cols; ++k) {
    const int32_t group = groups.data()[k];
    if (group < 0 || static_cast<size_t>(group) >= n_groups) Refuse("no such group of weights");
  }
  const size_t n = levels.shape(0);
  if (n == 0 || n > 256) Refuse("a grid has 1 to 256 levels");
  for (size_t i = 1; i < n; ++i) {
    if (!(levels.data()[i] > levels.data()[i - 1])) Refuse("levels must ascend");
  }
}

// (codes, errors) of (R, n) columns.
nb::tuple RoundColumnsOf(const Array<float, 2>& weights, const Written& carried,
                         const Array<float, 2>& feedback, const Array<float, 2>& scales,
                         const std::optional<Array<float, 2>>& offsets,
                         const Array<int32_t, 1>& groups, const Array<float, 1>& levels,
                         size_t threads) {
  const size_t rows = weights.shape(0), cols = weights.shape(1);
  if (carried.shape(0) != rows || carried.shape(1) != cols || feedback.shape(0) != cols ||
      feedback.shape(1) != cols) {
    Refuse("weights, what is carried and the feedback must fit each other");
  }
  CheckThreads(threads);
  CheckGrid(scales, offsets, groups, levels, rows, cols);
  auto codes = NewArray<uint8_t, 2>({rows, cols});
  auto errors = NewArray<float, 2>({rows, cols});
  const RoundingGrid grid{.scales = scales.data(),
                          .offsets = offsets ? offsets->data() : nullptr,
                          .n_groups = scales.shape(1),
                          .groups = groups.data(),
                          .levels = levels.data(),
                          .n_levels = levels.shape(0),
                          .uniform = AreUniform(levels)};
  const RoundedColumns columns{
      weights.data(), carried.data(), errors.data(), codes.data(), rows, cols};
  {
    const nb::gil_scoped_release unlocked;
    RoundColumns(columns, feedback.data(), grid, threads);
  }
  return nb::make_tuple(codes, errors);
}

}  // namespace

void BindRounding(nb::module_& m) {
  m.def("round_columns", &RoundColumnsOf, nb::arg("weights"), nb::arg("carried"),
        nb::arg("feedback"), nb::arg("scales"), nb::arg("offsets").none(), nb::arg("groups"),
        nb::arg("levels"), nb::arg("threads"),
        "Codes, (R, n) uint8, and errors, (R, n) float32, of columns rounded in order; `carried` is "
        "spent. Frees the GIL.");
}

}  // namespace aboard
