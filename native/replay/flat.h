// Reads the flat files that tools/replay.py and tools/replay_encoder.py write.
// Expects trusted files of our own: numbers are 64-bit little-endian, texts and arrays are preceded by
// their length. Errors just end the program.
// Exactness: matrices are packed as the engine packs them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "engine/packing.h"
#include "engine/pages.h"
#include "isa/kernels.h"

namespace aboard {

[[noreturn]] inline void Fail(const std::string& message) {
  std::fprintf(stderr, "replay: %s\n", message.c_str());
  std::exit(1);
}

// Numbers are 64-bit little-endian, texts and arrays are preceded by their length.
class Reader {
 public:
  explicit Reader(const char* path) : file_(std::fopen(path, "rb")) {
    if (file_ == nullptr) Fail(std::string("can't open ") + path);
  }
  ~Reader() { std::fclose(file_); }

  void Bytes(void* out, size_t size) {
    if (size != 0 && std::fread(out, 1, size, file_) != size) Fail("the file is cut short");
  }
  template <class T>
  T Value() {
    T value;
    Bytes(&value, sizeof value);
    return value;
  }
  size_t Size() { return Value<uint64_t>(); }
  template <class T>
  std::vector<T> Values() {
    std::vector<T> values(Size());
    Bytes(values.data(), values.size() * sizeof(T));
    return values;
  }
  std::string Text() {
    const std::vector<char> text = Values<char>();
    return {text.begin(), text.end()};
  }

 private:
  std::FILE* file_;
};

// Packed matrices by name, in memory of their own.
class Matrices {
 public:
  void Read(Reader& reader) {
    const std::string name = reader.Text(), format_name = reader.Text();
    const size_t rows = reader.Size(), cols = reader.Size();
    const auto raw = reader.Values<uint8_t>();
    const auto format = FormatByName(format_name);
    if (!format) Fail("unknown format " + format_name);
    const size_t panel_bytes = PanelBytes(*format, cols), row_bytes = RowBytes(*format, cols);
    const size_t panels = (rows + kPanelRows - 1) / kPanelRows;
    pages_.push_back(std::make_unique<Pages>(panels * panel_bytes));
    for (size_t row = 0; row < rows; row += kPanelRows) {
      const size_t n = std::min(kPanelRows, rows - row);
      PackPanel(*format, raw.data() + row * row_bytes, n, cols,
                pages_.back()->data() + row / kPanelRows * panel_bytes);
    }
    matrices_[name] = {pages_.back()->data(), panel_bytes, ScalesOffset(*format, cols),
                       rows, cols, *format};
  }
  const PackedMatrix& operator[](const std::string& name) const {
    const auto found = matrices_.find(name);
    if (found == matrices_.end()) Fail("no matrix " + name);
    return found->second;
  }

 private:
  std::vector<std::unique_ptr<Pages>> pages_;
  std::map<std::string, PackedMatrix> matrices_;
};

// An empty name stands for no matrix.
inline Linear ReadLinear(Reader& reader, const Matrices& matrices) {
  const std::string name = reader.Text();
  const PackedMatrix matrix = name.empty() ? PackedMatrix{} : matrices[name];
  return {matrix, reader.Values<float>()};
}

}  // namespace aboard
