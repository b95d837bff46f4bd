// What the files of the Python module share: its parts and the types of its arguments.
// Expects nanobind.
// Exactness: none to promise.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/pages.h"
#include "kernels/layout.h"

namespace aboard {

namespace nb = nanobind;

// Python's ValueError.
[[noreturn]] inline void Refuse(const std::string& message) {
  throw nb::value_error(message.c_str());
}

template <typename T, size_t kDims>
using Array = nb::ndarray<const T, nb::ndim<kDims>, nb::c_contig, nb::device::cpu>;
template <typename T, size_t kDims>
using NumpyArray = nb::ndarray<nb::numpy, T, nb::ndim<kDims>>;

// A NumPy array that owns uninitialised memory.
template <typename T, size_t kDims>
NumpyArray<T, kDims> NewArray(const size_t (&shape)[kDims]) {
  size_t size = 1;
  for (const size_t n : shape) size *= n;
  std::unique_ptr<T[]> values(new T[size]);
  T* data = values.get();
  const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  values.release();
  return NumpyArray<T, kDims>(data, kDims, shape, owner);
}

// Address and size in bytes, by which Python finds the memory in what the system tells of a process.
inline nb::tuple ExtentOf(const Pages& pages) {
  return nb::make_tuple(reinterpret_cast<uintptr_t>(pages.data()), pages.size_bytes());
}

// Memory for the matrices of one model; handed out in order, never taken back one by one.
class Arena {
 public:
  explicit Arena(size_t size_bytes) : pages_(size_bytes) {}
  size_t size_bytes() const { return pages_.size_bytes(); }
  const Pages& pages() const { return pages_; }
  // nullptr where too little is left. Aligned to 64.
  uint8_t* Take(size_t size_bytes);

 private:
  Pages pages_;
  size_t used_ = 0;
};

// A packed matrix and what keeps its memory alive.
struct Matrix {
  std::shared_ptr<Arena> arena;
  PackedMatrix packed;
};

void BindKernels(nb::module_& m);
void BindMatrix(nb::module_& m);
void BindDecoder(nb::module_& m);
void BindEncoder(nb::module_& m);
void BindKvCache(nb::module_& m);
void BindSampler(nb::module_& m);
void BindRounding(nb::module_& m);
void BindScaleSearch(nb::module_& m);
void BindScores(nb::module_& m);

}  // namespace aboard
