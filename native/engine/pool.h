// A team of threads that go through the same phases of work together, helping each other out.
// Expects one caller at a time, and no use in a forked child. The functions must not throw.
// Exactness: which thread does what decides no bit of a result.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace aboard {

// A contiguous part of [0, n): number `index` of `count`, as even as can be.
struct Share {
  size_t first, last;
  static Share Of(size_t n, size_t index, size_t count) {
    return {n * index / count, n * (index + 1) / count};
  }
};

// What the threads of a pool have in common.
struct TeamState {
  struct alignas(64) Slot {
    std::atomic<uint64_t> phase{0};  // the last phase in which this part was taken
  };
  explicit TeamState(size_t parts) : slots(std::make_unique<Slot[]>(parts)) {}
  std::unique_ptr<Slot[]> slots;
  alignas(64) std::atomic<uint64_t> phase{1};
  alignas(64) std::atomic<uint32_t> done{0};  // parts of the phase that are finished
};

// A thread's place in its team. Every thread calls Phase in the same order with the same counts.
class Team {
 public:
  static constexpr size_t kMaxPartsPerThread = 4;

  size_t thread() const { return thread_; }
  size_t size() const { return size_; }
  // The number of the phase whose body is running; never twice the same.
  uint64_t phase() const { return phase_; }

  // Splits [0, n) into parts, a few for each thread, and calls body(first, last) for each part,
  // on the thread it belongs to or on one that has finished its own. Returns when all are done: a
  // thread whose core was taken away holds up the others only within a part.
  template <class F>
  void Phase(size_t n, size_t parts_per_thread, const F& body) {
    ++phase_;
    if (size_ == 1) {
      if (n != 0) body(size_t{0}, n);
      return;
    }
    if (!Reached()) return;
    const size_t parts = size_ * parts_per_thread;
    for (size_t i = 0; i < parts; ++i) {
      const size_t part = (thread_ * parts_per_thread + i) % parts;
      if (!Take(part)) continue;
      const auto [first, last] = Share::Of(n, part, parts);
      if (first < last) body(first, last);
      Finish(parts);
    }
    AwaitEnd();
  }

 private:
  friend class Pool;
  Team(size_t thread, size_t size, TeamState* state, uint64_t phase)
      : thread_(thread), size_(size), state_(state), phase_(phase) {}

  // False if the others have finished this phase already.
  bool Reached() const { return state_->phase.load(std::memory_order_acquire) <= phase_; }
  bool Take(size_t part) const {
    std::atomic<uint64_t>& slot = state_->slots[part].phase;
    uint64_t last = slot.load(std::memory_order_relaxed);
    return last < phase_ &&
           slot.compare_exchange_strong(last, phase_, std::memory_order_acq_rel);
  }
  void Finish(size_t parts) const;
  void AwaitEnd() const;

  size_t thread_, size_;
  TeamState* state_;
  uint64_t phase_;
};

class Pool {
 public:
  explicit Pool(size_t threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Threads beyond the cores that the process may use don't begin: each would take the core of one
  // that works (8 threads on 2 cores were 13 % slower than 2).
  size_t threads() const { return threads_; }
  // Takes effect at the next Run.
  void Resize(size_t threads);
  // For tests: as if there were so many cores. 0: those there are.
  static void AssumeCores(size_t cores);

  // Calls function(team) on the caller's thread and on the others as they come, and returns when
  // all that have begun are done. A thread that comes too late doesn't begin.
  template <class F>
  void Run(const F& function) {
    RunErased([](const void* f, Team& team) { (*static_cast<const F*>(f))(team); }, &function);
  }

 private:
  using Erased = void (*)(const void*, Team&);
  void RunErased(Erased call, const void* function);
  void Start();
  void Stop();
  void Work(size_t thread, uint32_t seen);
  bool Enter();
  void Leave();

  size_t threads_;
  std::vector<std::thread> workers_;
  std::unique_ptr<TeamState> state_;
  Erased call_ = nullptr;
  const void* function_ = nullptr;
  uint64_t first_phase_ = 0;
  alignas(64) std::atomic<uint32_t> job_{0};
  alignas(64) std::atomic<uint32_t> inside_{0};  // workers at the job; kOpen if more may come
  std::atomic<bool> stopping_{false};
};

}  // namespace aboard
