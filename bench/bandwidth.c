// How many bytes a second the memory gives to N threads that only read.
// Expects: bandwidth THREADS. Prints bytes per second: the best of 9 passes over 1 GiB on 2 MiB
// pages. Exactness: none is promised; it is the roof of every decode figure.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { kPasses = 9, kMaxThreads = 256 };
static const size_t kBytes = (size_t)1 << 30;

typedef uint64_t Lanes __attribute__((vector_size(64)));

static Lanes* memory;
static int n_threads;
static pthread_barrier_t barrier;
static volatile uint64_t sink;
static double best_seconds = 1e9;

static double Now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void* Read(void* argument) {
  const size_t me = (size_t)argument, count = kBytes / sizeof(Lanes) / (size_t)n_threads & ~(size_t)7;
  const Lanes* from = memory + me * count;
  for (int pass = 0; pass < kPasses; ++pass) {
    pthread_barrier_wait(&barrier);
    const double start = Now();
    Lanes sum[8] = {{0}};
    for (size_t i = 0; i < count; i += 8)
      for (int j = 0; j < 8; ++j) sum[j] ^= from[i + (size_t)j];
    for (int j = 1; j < 8; ++j) sum[0] ^= sum[j];
    sink = sum[0][0] ^ sum[0][7];
    pthread_barrier_wait(&barrier);
    const double seconds = Now() - start;
    if (me == 0 && seconds < best_seconds) best_seconds = seconds;
  }
  return NULL;
}

int main(int argc, char** argv) {
  n_threads = argc > 1 ? atoi(argv[1]) : 1;
  if (n_threads < 1 || n_threads > kMaxThreads) return 2;
  memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  madvise(memory, kBytes, MADV_HUGEPAGE);
  memset(memory, 1, kBytes);
  pthread_barrier_init(&barrier, NULL, (unsigned)n_threads);
  pthread_t threads[kMaxThreads];
  for (size_t i = 0; i < (size_t)n_threads; ++i) pthread_create(&threads[i], NULL, Read, (void*)i);
  for (int i = 0; i < n_threads; ++i) pthread_join(threads[i], NULL);
  printf("%.0f\n", (double)kBytes / best_seconds);
  return 0;
}
