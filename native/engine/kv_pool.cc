// Takes segments from the system, chunks from segments, and gives long idle memory back.
// Expects POSIX.
// Exactness: see kv_pool.h.
#include "engine/kv_pool.h"

#include <pthread.h>

#include <algorithm>

#include "engine/workspace.h"

namespace aboard {
namespace {

// The first segment; each further one is as large as all before, so that there are few of them.
constexpr size_t kFirstSegmentBytes = size_t{64} << 20;

struct Registry {
  std::mutex mutex;
  std::vector<KvPool*> pools;
};

Registry& Pools() {
  static Registry* registry = new Registry;  // never destroyed: a fork may come at any time
  return *registry;
}

}  // namespace

// A child gets the pools as they are between two calls, with their mutexes free.
struct PoolsAtFork {
  static void Before() {
    Pools().mutex.lock();
    for (KvPool* pool : Pools().pools) pool->mutex_.lock();
  }
  static void After() {
    for (KvPool* pool : Pools().pools) pool->mutex_.unlock();
    Pools().mutex.unlock();
  }
};

std::shared_ptr<KvPool> KvPool::Make(size_t chunk_bytes) {
  static const int registered =
      pthread_atfork(&PoolsAtFork::Before, &PoolsAtFork::After, &PoolsAtFork::After);
  if (registered != 0) throw std::bad_alloc();
  // Delta nets alone have nothing in chunks, which must be something all the same.
  std::shared_ptr<KvPool> pool(new KvPool(std::max(chunk_bytes, size_t{4096})));
  const std::lock_guard lock(Pools().mutex);
  Pools().pools.push_back(pool.get());
  return pool;
}

KvPool::~KvPool() {
  const std::lock_guard lock(Pools().mutex);
  std::erase(Pools().pools, this);
}

size_t KvPool::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_ * chunk_bytes_;
}

size_t KvPool::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_resident_ * chunk_bytes_;
}

std::vector<std::pair<uintptr_t, size_t>> KvPool::Extents() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uintptr_t, size_t>> extents;
  for (const auto& segment : segments_) {
    extents.emplace_back(reinterpret_cast<uintptr_t>(segment->pages.data()),
                         segment->pages.size_bytes());
  }
  return extents;
}

KvChunk KvPool::Take() {
  size_t number;
  uint8_t* data;
  {
    const std::lock_guard lock(mutex_);
    while (lowest_ < free_.size() && !free_[lowest_]) ++lowest_;
    if (lowest_ == free_.size()) Grow();
    number = lowest_++;
    if (resident_[number]) --free_resident_;
    free_[number] = false;
    resident_[number] = true;
    ++used_;
    data = At(number);
  }
  // Where the count can't be made, shared_ptr calls the deleter before it throws.
  return {data, [pool = shared_from_this(), number](uint8_t*) { pool->Return(number); }};
}

void KvPool::Grow() {
  const size_t first = free_.size();
  const size_t chunks =
      std::max(std::max(kFirstSegmentBytes / chunk_bytes_, first), size_t{1});
  free_.reserve(first + chunks);
  resident_.reserve(first + chunks);
  segments_.reserve(segments_.size() + 1);
  segments_.push_back(
      std::make_unique<Segment>(first, chunks, RoundUp(chunks * chunk_bytes_, kHugePage)));
  free_.resize(first + chunks, true);
  resident_.resize(first + chunks, false);
}

uint8_t* KvPool::At(size_t number) const {
  auto segment = segments_.begin();
  while (number >= (*segment)->first + (*segment)->chunks) ++segment;
  return (*segment)->pages.data() + (number - (*segment)->first) * chunk_bytes_;
}

void KvPool::Return(size_t number) {
  const std::lock_guard lock(mutex_);
  free_[number] = true;
  lowest_ = std::min(lowest_, number);
  ++free_resident_;
  --used_;
  if (free_resident_ * chunk_bytes_ > std::max(kKeptBytes, used_ * chunk_bytes_)) GiveBack();
}

void KvPool::GiveBack() {
  for (const auto& segment : segments_) {
    const size_t end = segment->first + segment->chunks;
    for (size_t first = segment->first; first < end; ++first) {
      size_t last = first;
      while (last < end && free_[last]) ++last;
      if (first < last) GiveBackRun(*segment, first, last);
      first = last;
    }
  }
}

// Only the whole huge pages of the run: one that a neighbour still uses would be split into small
// ones.
void KvPool::GiveBackRun(const Segment& segment, size_t first, size_t last) {
  const bool to_end = last == segment.first + segment.chunks;
  const size_t from = RoundUp((first - segment.first) * chunk_bytes_, kHugePage);
  const size_t to = to_end ? segment.pages.size_bytes()
                           : (last - segment.first) * chunk_bytes_ / kHugePage * kHugePage;
  if (from >= to) return;
  segment.pages.Release(from, to - from);
  for (size_t number = first; number < last; ++number) {
    const size_t begins = (number - segment.first) * chunk_bytes_;
    if (begins < from || begins + chunk_bytes_ > to || !resident_[number]) continue;
    resident_[number] = false;
    --free_resident_;
  }
}

}  // namespace aboard
