// A team of threads that run one function together and meet at barriers inside it.
// Expects one caller at a time. The function must not throw.
// Exactness: which thread does what decides no bit of a result.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace aboard {

// What a running function knows of its team.
class Team {
 public:
  size_t thread() const { return thread_; }
  size_t size() const { return size_; }

  // Returns once every thread of the team has called it.
  void Meet() const;

  // This thread's share of [0, n): contiguous, as even as can be.
  struct Range {
    size_t first, last;
  };
  Range Share(size_t n) const { return {n * thread_ / size_, n * (thread_ + 1) / size_}; }

 private:
  friend class Pool;
  struct Barrier {
    alignas(64) std::atomic<uint32_t> waiting{0};
    alignas(64) std::atomic<uint32_t> phase{0};
  };
  Team(size_t thread, size_t size, Barrier* barrier)
      : thread_(thread), size_(size), barrier_(barrier) {}

  size_t thread_, size_;
  Barrier* barrier_;
};

class Pool {
 public:
  explicit Pool(size_t threads) : threads_(threads) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  size_t threads() const { return threads_; }
  // Takes effect at the next Run.
  void Resize(size_t threads);

  // Calls function(team) on every thread, the caller's included, and returns when all are done.
  template <class F>
  void Run(const F& function) {
    RunErased([](const void* f, const Team& team) { (*static_cast<const F*>(f))(team); },
              &function);
  }

 private:
  using Erased = void (*)(const void*, const Team&);
  void RunErased(Erased call, const void* function);
  void Start();
  void Stop();
  void Work(size_t thread, uint32_t seen);

  size_t threads_;
  std::vector<std::thread> workers_;
  int owner_process_ = 0;  // threads don't survive a fork
  Team::Barrier barrier_;
  Erased call_ = nullptr;
  const void* function_ = nullptr;
  alignas(64) std::atomic<uint32_t> job_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  bool stopping_ = false;
};

}  // namespace aboard
