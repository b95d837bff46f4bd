// Any bytes as the rows of a matrix: packed, read back and multiplied, under sanitizers.
// Build and run: see fuzz/README.md. Input: format, rows, columns in blocks, tokens, then the rows.
// A finding is what the sanitizers say, or a row whose packed weights differ in two tokens' products.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/float_environment.h"
#include "engine/packing.h"
#include "engine/pages.h"
#include "engine/workspace.h"
#include "isa/kernels.h"

using namespace aboard;  // a program of one file

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const auto format = static_cast<Format>(data[0] % kFormats);
  const FormatTraits& traits = TraitsOf(format);
  const size_t rows = 1 + data[1] % 33;
  const size_t unit = traits.block_cols == 1 ? 1 + data[2] % 70 : traits.block_cols;
  const size_t cols = traits.block_cols == 1 ? unit : unit * (1 + data[2] % 3);
  const size_t tokens = 1 + data[3] % 9;
  const size_t row_bytes = RowBytes(format, cols), panel_bytes = PanelBytes(format, cols);
  std::vector<uint8_t> raw(rows * row_bytes);
  const size_t given = size - 4;
  for (size_t i = 0; i < raw.size() && given != 0; ++i) raw[i] = data[4 + i % given];

  const Pages pages(PanelsOf(rows) * panel_bytes);
  for (size_t row = 0; row < rows; row += kPanelRows) {
    const size_t n = rows - row < kPanelRows ? rows - row : kPanelRows;
    uint8_t* panel = pages.data() + row / kPanelRows * panel_bytes;
    if (PackPanel(format, raw.data() + row * row_bytes, n, cols, panel) != n) return 0;
  }
  const PackedMatrix matrix = {pages.data(), panel_bytes, ScalesOffset(format, cols),
                               rows,         cols,        format};
  std::vector<float> weights(cols);
  for (size_t row = 0; row < rows; ++row) ReadRow(matrix, row, weights.data());

  QuantizedBuffer x;
  FloatRows y;
  ThreadSpace own;
  x.Reserve(tokens, cols);
  y.Reserve(tokens, rows);
  own.linear.resize(kLinearScratchBytes + 64);
  const Kernels& kernels = ActiveKernels();
  for (size_t t = 0; t < tokens; ++t) {
    kernels.quantize(weights.data(), cols, x.rows(), t, 0);  // every token the same
  }
  kernels.linear(matrix, 0, PanelsOf(rows), x.rows(), 0, tokens, y.Row(0), y.stride(),
                 own.LinearScratch());
  for (size_t t = 1; t < tokens; ++t) {
    if (std::memcmp(y.Row(0), y.Row(t), rows * sizeof(float)) != 0) std::abort();
  }
  return 0;
}
