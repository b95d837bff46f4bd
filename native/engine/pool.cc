// The team: waits spin for a moment, since the next pass comes within microseconds, then sleep.
// Expects one caller at a time.
// Exactness: none to promise.
#include "engine/pool.h"

#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace aboard {
namespace {

inline void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// About 100 us on the CPUs measured: longer than a pass lasts, shorter than anyone notices.
constexpr int kSpins = 4000;
// Inside a job the others are at work too, unless a foreign program has their core: sleep soon then
// (with 4 foreign programs on 2 cores, 20000 decodes at a third of the speed of 2000).
constexpr int kBarrierSpins = 2000;

// Returns when `word` is no longer `old`.
void AwaitChange(const std::atomic<uint32_t>& word, uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

}  // namespace

void Team::Meet() const {
  if (size_ == 1) return;
  const uint32_t phase = barrier_->phase.load(std::memory_order_relaxed);
  if (barrier_->waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    barrier_->waiting.store(0, std::memory_order_relaxed);
    barrier_->phase.store(phase + 1, std::memory_order_release);
    barrier_->phase.notify_all();
    return;
  }
  AwaitChange(barrier_->phase, phase, kBarrierSpins);
}

Pool::~Pool() { Stop(); }

void Pool::Resize(size_t threads) {
  if (threads == threads_) return;
  Stop();
  threads_ = threads;
}

void Pool::Start() {
  owner_process_ = getpid();
  stopping_ = false;
  barrier_.waiting = 0;
  const uint32_t seen = job_.load(std::memory_order_relaxed);
  for (size_t i = 1; i < threads_; ++i) workers_.emplace_back(&Pool::Work, this, i, seen);
}

void Pool::Stop() {
  if (workers_.empty()) return;
  if (owner_process_ != getpid()) {
    // A forked child has no such threads: forget the handles, without ending what isn't there.
    for (std::thread& worker : workers_) worker.detach();
    workers_.clear();
    return;
  }
  stopping_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::RunErased(Erased call, const void* function) {
  if (threads_ > 1) {
    if (!workers_.empty() && owner_process_ != getpid()) Stop();
    if (workers_.empty()) Start();
    call_ = call;
    function_ = function;
    done_.store(0, std::memory_order_relaxed);
    job_.fetch_add(1, std::memory_order_release);
    job_.notify_all();
  }
  call(function, Team(0, threads_, &barrier_));
  for (uint32_t done; (done = done_.load(std::memory_order_acquire)) + 1 < threads_;) {
    AwaitChange(done_, done, kBarrierSpins);
  }
}

void Pool::Work(size_t thread, uint32_t seen) {
  for (;;) {
    AwaitChange(job_, seen, kSpins);
    seen = job_.load(std::memory_order_acquire);
    if (stopping_) return;
    call_(function_, Team(thread, threads_, &barrier_));
    done_.fetch_add(1, std::memory_order_release);
    done_.notify_one();
  }
}

}  // namespace aboard
