// Python's packed matrices: made empty, filled row by row from a file, read by the decoder.
// Expects raw rows as formats/<name>.py lays them out.
// Exactness: see engine/packing.h.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>

#include "bindings/bindings.h"
#include "engine/packing.h"
#include "isa/kernels.h"

namespace aboard {

uint8_t* Arena::Take(size_t size_bytes) {
  const size_t rounded = (size_bytes + 63) / 64 * 64;
  if (rounded > pages_.size_bytes() - std::min(used_, pages_.size_bytes())) return nullptr;
  uint8_t* taken = pages_.data() + used_;
  used_ += rounded;
  return taken;
}

namespace {

Format CheckedFormat(const std::string& name, size_t rows, size_t cols) {
  const auto format = FormatByName(name);
  if (!format) Refuse("no kernels for the format " + name);
  if (rows == 0 || cols == 0 || rows > (size_t{1} << 31) || cols > (size_t{1} << 31)) {
    Refuse("a matrix of " + std::to_string(rows) + " x " + std::to_string(cols) + " can't be");
  }
  if (cols % TraitsOf(*format).block_cols != 0) {
    Refuse("rows of " + std::to_string(cols) + " weights can't be " + name + ", expected a " +
           "multiple of " + std::to_string(TraitsOf(*format).block_cols));
  }
  return *format;
}

size_t PackedSize(const std::string& name, size_t rows, size_t cols) {
  const size_t panel_bytes = PanelBytes(CheckedFormat(name, rows, cols), cols);
  if (PanelsOf(rows) > (size_t{1} << 48) / panel_bytes) {
    Refuse("a matrix of " + std::to_string(rows) + " x " + std::to_string(cols) +
           " is beyond any address space");
  }
  return PanelsOf(rows) * panel_bytes;
}

Matrix MakeMatrix(std::shared_ptr<Arena> arena, const std::string& name, size_t rows,
                  size_t cols) {
  uint8_t* panels = arena->Take(PackedSize(name, rows, cols));
  if (panels == nullptr) Refuse("the arena is full");
  const Format format = CheckedFormat(name, rows, cols);
  return {std::move(arena),
          {panels, PanelBytes(format, cols), ScalesOffset(format, cols), rows, cols, format}};
}

// Packs raw rows from row `first_row`, a multiple of 16, on. Returns the first row that holds NaN
// or infinity, or None.
std::optional<size_t> PackRows(const Matrix& matrix, const Array<uint8_t, 1>& raw,
                               size_t first_row) {
  const PackedMatrix& m = matrix.packed;
  const size_t row_bytes = RowBytes(m.format, m.cols);
  const size_t n_rows = raw.shape(0) / row_bytes;
  if (raw.shape(0) % row_bytes != 0 || first_row % kPanelRows != 0 ||
      first_row > m.rows || n_rows > m.rows - first_row ||
      (n_rows % kPanelRows != 0 && first_row + n_rows != m.rows)) {
    Refuse("can't pack " + std::to_string(raw.shape(0)) + " bytes at row " +
           std::to_string(first_row) + " of " + std::to_string(m.rows));
  }
  const nb::gil_scoped_release unlocked;
  for (size_t row = 0; row < n_rows; row += kPanelRows) {
    const size_t n = std::min(kPanelRows, n_rows - row);
    auto* panel = const_cast<uint8_t*>(m.panels) + (first_row + row) / kPanelRows * m.panel_bytes;
    const size_t packed = PackPanel(m.format, raw.data() + row * row_bytes, n, m.cols, panel);
    if (packed < n) return first_row + row + packed;
  }
  return std::nullopt;
}

NumpyArray<float, 1> RowOf(const Matrix& matrix, size_t row) {
  if (row >= matrix.packed.rows) Refuse("row " + std::to_string(row) + " is beyond the matrix");
  auto out = NewArray<float, 1>({matrix.packed.cols});
  ReadRow(matrix.packed, row, out.data());
  return out;
}

}  // namespace

void BindMatrix(nb::module_& m) {
  nb::class_<Arena>(m, "Arena", "Memory for packed matrices, on 2 MiB pages.")
      .def("__init__", [](Arena* self, size_t size_bytes) { new (self) Arena(size_bytes); },
           nb::arg("size_bytes"))
      .def_prop_ro("size_bytes", &Arena::size_bytes);
  m.def("release_free_memory", &ReleaseFreeMemory,
        "Gives free memory that malloc keeps back to the system.");
  m.def("packed_size", &PackedSize, nb::arg("format"), nb::arg("rows"), nb::arg("cols"),
        "Bytes of a packed matrix, a multiple of 64.");
  nb::class_<Matrix>(m, "Matrix", "A (rows, cols) weight matrix in panels of sixteen rows.")
      .def("__init__",
           [](Matrix* self, std::shared_ptr<Arena> arena, const std::string& format, size_t rows,
              size_t cols) {
             new (self) Matrix(MakeMatrix(std::move(arena), format, rows, cols));
           },
           nb::arg("arena"), nb::arg("format"), nb::arg("rows"), nb::arg("cols"))
      .def_prop_ro("rows", [](const Matrix& self) { return self.packed.rows; })
      .def_prop_ro("cols", [](const Matrix& self) { return self.packed.cols; })
      .def_prop_ro("format",
                   [](const Matrix& self) {
                     return std::string(TraitsOf(self.packed.format).name);
                   })
      .def_prop_ro("size_bytes",
                   [](const Matrix& self) {
                     return PanelsOf(self.packed.rows) * self.packed.panel_bytes;
                   })
      .def("pack", &PackRows, nb::arg("raw"), nb::arg("first_row"),
           "Packs raw rows; gives the first row with NaN or infinity, or None. Frees the GIL.")
      .def("row", &RowOf, nb::arg("row"), "One row, (cols,) float32.");
}

}  // namespace aboard
