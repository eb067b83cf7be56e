// SPDX-License-Identifier: Apache-2.0
// A team of threads that share the chunks of short jobs.
//
// The caller works too. Chunks are taken one by one from an atomic counter, so a thread that the system has
// suspended holds back at most the chunk it works on. Idle threads spin for a short time, because the next job of a
// forward pass follows within microseconds; then they sleep, so that other programs get the processor.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

class Team {
 public:
  using Work = std::function<void(int chunk, int thread)>;

  // The team of this process with so many threads, reserved for the calling thread until `release`.
  static Team& reserve(int num_threads);
  void release();

  // Call `work` for each chunk and wait for all of them.
  void run(int num_chunks, const Work& work);

  int size() const { return static_cast<int>(workers_.size()) + 1; }

 private:
  void resize(int num_threads);
  void work_until_stopped(int thread);
  void take_chunks(int thread);
  bool wait_for_job(uint64_t seen);

  // Generation of the job, its number of chunks and the next one, in one word: who takes a chunk knows from the same
  // atomic step that the job is still the one it belongs to.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> done_{0};
  const Work* work_ = nullptr;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> leader_sleeps_{false}, stops_{false};
  std::mutex sleep_lock_;
  std::condition_variable new_job_, all_done_;
  std::mutex owner_;
  std::vector<std::thread> workers_;
};
