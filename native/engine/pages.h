// Anonymous zeroed memory on 2 MiB pages where the system has them; pages cost nothing until used.
// Expects nothing. Throws std::bad_alloc where the address space can't be had.
// Exactness: none to promise.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aboard {

// 4 KiB pages halve the usable memory bandwidth (17-23 GB/s a core against 30-32, Zen 4).
inline constexpr size_t kHugePage = size_t{2} << 20;

class Pages {
 public:
  explicit Pages(size_t size_bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  uint8_t* data() const { return data_; }
  size_t size_bytes() const { return size_; }

  // Gives whole pages of this memory back to the system; they read as zeros afterwards.
  void Release(size_t offset, size_t size_bytes) const;

 private:
  uint8_t* data_ = nullptr;   // aligned to kHugePage
  uint8_t* mapping_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;
};

// Gives free memory that malloc keeps back to the system, where malloc can.
void ReleaseFreeMemory();

}  // namespace aboard
