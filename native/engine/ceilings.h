// What the machine allows: memory bandwidth and integer peak, the bounds of decoding and prompts.
// Expects an idle machine for true figures.
// Exactness: measurements; they vary.
#pragma once

#include <cstddef>

namespace aboard {

// Bytes a second that `threads` read together from a buffer on huge pages: the best of several
// rounds. The buffer should be far larger than the caches.
double ReadBytesPerSecond(size_t threads, size_t size_bytes);

// Integer operations (a product and a sum are two) a second of the active instruction set.
double DotOperationsPerSecond(size_t threads);

}  // namespace aboard
