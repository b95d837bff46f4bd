// Pages by mmap; the mapping is made larger by one huge page so that its start can be aligned.
// Expects POSIX.
// Exactness: none to promise.
#include "engine/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace aboard {

Pages::Pages(size_t size_bytes) : size_(std::max(size_bytes, size_t{1})) {
  mapped_ = size_ + kHugePage;
  if (mapped_ < size_) throw std::bad_alloc();
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;
#endif
  void* mapping = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<uint8_t*>(mapping);
  const auto address = reinterpret_cast<uintptr_t>(mapping_);
  data_ = mapping_ + (kHugePage - address % kHugePage) % kHugePage;
#ifdef MADV_HUGEPAGE
  madvise(data_, size_, MADV_HUGEPAGE);  // advice: small pages are slower, not wrong
#endif
}

Pages::~Pages() { munmap(mapping_, mapped_); }

void Pages::Release(size_t offset, size_t size_bytes) const {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t first = (offset + page - 1) / page * page;
  const size_t last = (offset + size_bytes) / page * page;
  if (first >= last) return;
#if defined(__linux__)
  madvise(data_ + first, last - first, MADV_DONTNEED);
#else
  std::fill(data_ + first, data_ + last, uint8_t{0});
#endif
}

void ReleaseFreeMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace aboard
