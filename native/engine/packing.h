// Turns rows of a file's blocks into the panels that kernels read, and one row back into floats.
// Expects raw rows in the layouts of formats/<name>.py and panels as kernels/layout.h draws them.
// Exactness: codes and scales are moved, never rounded; ReadRow is scale * code + minimum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/layout.h"

namespace aboard {

struct FormatTraits {
  std::string_view name;
  size_t block_cols;    // columns of one block in the file: 1, 32 or 256
  size_t block_bytes;   // its bytes in the file
  size_t code_bytes;    // of 32 columns x 16 rows in a panel (of one column for float formats)
  size_t scale_cols;    // columns of a group of scales in a panel; 0 for float formats
  size_t scale_bytes;   // of that group x 16 rows
};

const FormatTraits& TraitsOf(Format format);
std::optional<Format> FormatByName(std::string_view name);

inline size_t RowBytes(Format format, size_t cols) {
  return cols / TraitsOf(format).block_cols * TraitsOf(format).block_bytes;
}
inline size_t PanelsOf(size_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
size_t ScalesOffset(Format format, size_t cols);
// Of one panel, a multiple of 64.
size_t PanelBytes(Format format, size_t cols);

// Packs n_rows <= 16 raw rows into the zeroed panel `out`. If a scale or a float weight is NaN or
// infinite, returns the first such row; else n_rows.
size_t PackPanel(Format format, const uint8_t* raw, size_t n_rows, size_t cols, uint8_t* out);

// Writes the `cols` weights of one row as float32.
void ReadRow(const PackedMatrix& matrix, size_t row, float* out);

}  // namespace aboard
