// The team: waits spin for a moment, since the next phase comes within microseconds, then sleep.
// Expects one caller at a time.
// Exactness: none to promise.
#include "engine/pool.h"

#include <algorithm>
#include <new>
#include <system_error>

#include "engine/float_environment.h"

#if defined(__linux__)
#include <sched.h>
#endif
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

// Between jobs: about 0.1 ms, longer than the drawing of a token takes, shorter than anyone notices.
constexpr int kSpins = 4000;
// Within a job the others are at work too, unless a foreign program has their core: sleep soon.
constexpr int kPhaseSpins = 2000;

constexpr uint32_t kOpen = uint32_t{1} << 31;

std::atomic<size_t> assumed_cores{0};

// Those that this process may run on.
size_t UsableCores() {
  if (const size_t assumed = assumed_cores.load()) return assumed;
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<size_t>(CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

size_t WorthStarting(size_t threads) {
  return threads == 1 ? threads : std::min(threads, UsableCores());
}

// Returns once `done(value of word)`.
template <class Word, class F>
void AwaitValue(const std::atomic<Word>& word, int spins, const F& done) {
  for (int i = 0; i < spins; ++i) {
    if (done(word.load(std::memory_order_acquire))) return;
    Pause();
  }
  for (Word value; !done(value = word.load(std::memory_order_acquire));) {
    word.wait(value, std::memory_order_acquire);
  }
}

}  // namespace

void Team::Finish(size_t parts) const {
  if (state_->done.fetch_add(1, std::memory_order_acq_rel) + 1 != parts) return;
  state_->done.store(0, std::memory_order_relaxed);
  state_->phase.store(phase_ + 1, std::memory_order_release);
  state_->phase.notify_all();
}

void Team::AwaitEnd() const {
  AwaitValue(state_->phase, kPhaseSpins, [&](uint64_t phase) { return phase > phase_; });
}

Pool::Pool(size_t threads) : threads_(WorthStarting(threads)) {}

Pool::~Pool() { Stop(); }

void Pool::AssumeCores(size_t cores) { assumed_cores.store(cores); }

void Pool::Resize(size_t threads) {
  threads = WorthStarting(threads);
  if (threads == threads_) return;
  Stop();
  threads_ = threads;
}

void Pool::Start() {
  stopping_ = false;
  inside_ = 0;
  state_ = std::make_unique<TeamState>(threads_ * Team::kMaxPartsPerThread);
  const uint32_t seen = job_.load(std::memory_order_relaxed);
  try {
    for (size_t i = 1; i < threads_; ++i) workers_.emplace_back(&Pool::Work, this, i, seen);
  } catch (const std::system_error&) {  // no more threads: the system is out of something
    Stop();
    throw std::bad_alloc();
  }
}

void Pool::Stop() {
  if (workers_.empty()) return;
  stopping_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::RunErased(Erased call, const void* function) {
  const DefaultFloats floats;
  if (threads_ == 1) {
    Team alone(0, 1, nullptr, first_phase_);
    call(function, alone);
    first_phase_ = alone.phase();
    return;
  }
  if (workers_.empty()) Start();
  call_ = call;
  function_ = function;
  state_->phase.store(first_phase_ + 1, std::memory_order_relaxed);
  inside_.store(kOpen, std::memory_order_release);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  Team team(0, threads_, state_.get(), first_phase_);
  call(function, team);
  inside_.fetch_and(~kOpen, std::memory_order_acq_rel);
  AwaitValue(inside_, kPhaseSpins, [](uint32_t inside) { return inside == 0; });
  first_phase_ = team.phase();
}

bool Pool::Enter() {
  uint32_t inside = inside_.load(std::memory_order_acquire);
  while (inside & kOpen) {
    if (inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void Pool::Leave() {
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) inside_.notify_one();
}

void Pool::Work(size_t thread, uint32_t seen) {
  const DefaultFloats floats;
  for (;;) {
    AwaitValue(job_, kSpins, [&](uint32_t job) { return job != seen; });
    seen = job_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_acquire)) return;
    if (!Enter()) continue;
    Team team(thread, threads_, state_.get(), first_phase_);
    call_(function_, team);
    Leave();
  }
}

}  // namespace aboard
