// Memory for chunks of keys and values: one pool for all sequences of a model.
// Expects chunks of one size; a chunk is counted (shared_ptr) and comes back by itself.
// Exactness: bytes that no token has written yet are zero, or finite leftovers of another sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/pages.h"

namespace aboard {

// A chunk's memory. Who holds it keeps the pool alive.
using KvChunk = std::shared_ptr<uint8_t>;

// Chunks are numbered through segments of address space, which cost nothing until they are used.
// The lowest free number is handed out first: one sequence's chunks lie side by side, and free
// ones gather at the end. Any thread may call; a fork waits until no call is under way.
class KvPool : public std::enable_shared_from_this<KvPool> {
 public:
  // Free memory that is kept for the next sequence even when nothing is in use. More is of
  // little use: a chunk of 1.5 MB costs 0.1 to 0.2 ms more on fresh memory (Zen 3).
  static constexpr size_t kKeptBytes = size_t{16} << 20;

  static std::shared_ptr<KvPool> Make(size_t chunk_bytes);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  size_t chunk_bytes() const { return chunk_bytes_; }
  // Throws std::bad_alloc where the system grants no more address space.
  KvChunk Take();

  // Bytes of chunks in use, and of free ones that the system hasn't got back.
  size_t used_bytes() const;
  size_t free_bytes() const;
  // Address and size of the address space that chunks lie in.
  std::vector<std::pair<uintptr_t, size_t>> Extents() const;

 private:
  friend struct PoolsAtFork;
  struct Segment {
    Segment(size_t first, size_t n, size_t bytes) : first(first), chunks(n), pages(bytes) {}
    size_t first, chunks;  // numbers first .. first + chunks - 1
    Pages pages;
  };

  explicit KvPool(size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}
  void Grow();
  uint8_t* At(size_t number) const;
  void Return(size_t number);
  void GiveBack();
  void GiveBackRun(const Segment& segment, size_t first, size_t last);

  const size_t chunk_bytes_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Segment>> segments_;
  std::vector<bool> free_, resident_;  // by number; resident: used, and not given back since
  size_t lowest_ = 0;                  // no number below it is free
  size_t used_ = 0, free_resident_ = 0;
};

}  // namespace aboard
