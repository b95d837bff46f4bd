// What computes for a model: a team of threads and its buffers, one call at a time.
// Expects a workspace type that needs no arguments.
// Exactness: none to promise.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

#include "engine/pool.h"

namespace aboard {

// A fork leaves its threads behind, and its mutex as it was: a child leaves the whole to the parent
// and begins with its own.
template <class Space>
class OwnMachine {
 public:
  struct Machine {
    explicit Machine(size_t threads) : process(getpid()), pool(threads) {}
    const pid_t process;
    Pool pool;
    Space workspace;
    std::mutex mutex;
  };

  explicit OwnMachine(size_t threads) : threads_(threads), machine_(new Machine(threads)) {}
  ~OwnMachine() {
    Machine* machine = machine_.load();
    if (machine->process == getpid()) delete machine;
  }
  OwnMachine(const OwnMachine&) = delete;
  OwnMachine& operator=(const OwnMachine&) = delete;

  // That of this process.
  Machine& Get() {
    Machine* machine = machine_.load(std::memory_order_acquire);
    if (machine->process == getpid()) return *machine;
    auto own = std::make_unique<Machine>(threads_.load());
    if (machine_.compare_exchange_strong(machine, own.get())) return *own.release();
    return *machine;
  }

  // Threads of the next calls.
  void set_threads(size_t threads) { threads_.store(threads); }
  size_t threads() const { return threads_.load(); }

 private:
  std::atomic<size_t> threads_;
  std::atomic<Machine*> machine_;
};

}  // namespace aboard
