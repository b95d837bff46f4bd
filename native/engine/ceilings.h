// What the machine allows: memory bandwidth and integer peak, the bounds of decoding and prompts.
// Expects an idle machine for true figures.
// Exactness: measurements; they vary.
#pragma once

#include <cstddef>

#include "engine/pages.h"

namespace aboard {

// Memory to read from: a buffer on huge pages, kept so that a sample costs its passes alone.
class ReadProbe {
 public:
  // The buffer should be far larger than the caches. Throws std::bad_alloc.
  explicit ReadProbe(size_t size_bytes);

  const Pages& pages() const { return pages_; }

  // Bytes a second that `threads` read together: the best of several passes in several patterns.
  double BytesPerSecond(size_t threads) const;

 private:
  Pages pages_;
};

// Integer operations (a product and a sum are two) a second of the active instruction set.
double DotOperationsPerSecond(size_t threads);

}  // namespace aboard
