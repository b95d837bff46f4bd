// An encoder's vectors of several texts, computed together, alone and by callers at once.
// Expects the file that tools/replay_encoder.py writes.
// Exactness: however the work is cut the vectors are the same, or the program ends.
#pragma once

#include <cstddef>

namespace aboard {

// Writes the vectors to stdout. With several threads, callers share the encoder, too.
void ReplayEncoder(const char* path, size_t threads);

}  // namespace aboard
