// SPDX-License-Identifier: Apache-2.0
#include "team.hpp"

#include <immintrin.h>
#include <pthread.h>

#include <new>

namespace {

// A ticket: 24 bits of generation, 20 bits of chunks, 20 bits of the next chunk.
constexpr int kCountShift = 20, kGenerationShift = 40;
constexpr uint64_t kMask = (uint64_t{1} << 20) - 1;
uint64_t count_of(uint64_t ticket) { return ticket >> kCountShift & kMask; }
uint64_t next_of(uint64_t ticket) { return ticket & kMask; }
uint64_t generation_of(uint64_t ticket) { return ticket >> kGenerationShift; }

// About 50 microseconds: longer than the pauses within a forward pass, shorter than a time slice.
constexpr int kSpins = 1500;

// Threads do not survive a fork: the child leaves the parent's team alone and starts its own.
Team* team_of_process = nullptr;
std::mutex creation;
void forget_team() {
  team_of_process = nullptr;
  new (&creation) std::mutex;
}

Team& team() {
  const std::lock_guard<std::mutex> guard(creation);
  static const int registered = pthread_atfork(nullptr, nullptr, forget_team);
  (void)registered;
  if (team_of_process == nullptr) team_of_process = new Team;  // lives as long as the process
  return *team_of_process;
}

}  // namespace

Team& Team::reserve(int num_threads) {
  Team& found = team();
  found.owner_.lock();
  found.resize(num_threads < 1 ? 1 : num_threads);
  return found;
}

void Team::release() { owner_.unlock(); }

void Team::resize(int num_threads) {
  if (size() == num_threads) return;
  {
    const std::lock_guard<std::mutex> guard(sleep_lock_);
    stops_ = true;
  }
  new_job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  stops_ = false;
  for (int thread = 1; thread < num_threads; ++thread)
    workers_.emplace_back([this, thread] { work_until_stopped(thread); });
}

void Team::run(int num_chunks, const Work& work) {
  if (num_chunks <= 1 || workers_.empty() || static_cast<uint64_t>(num_chunks) > kMask / 2) {
    for (int chunk = 0; chunk < num_chunks; ++chunk) work(chunk, 0);
    return;
  }
  work_ = &work;
  done_ = 0;
  const uint64_t generation = generation_of(ticket_.load()) + 1;
  ticket_.store(generation << kGenerationShift | static_cast<uint64_t>(num_chunks) << kCountShift);
  if (sleepers_.load() > 0) {
    { const std::lock_guard<std::mutex> guard(sleep_lock_); }
    new_job_.notify_all();
  }
  take_chunks(0);
  for (int spin = 0; spin < kSpins && done_.load() < num_chunks; ++spin) _mm_pause();
  if (done_.load() == num_chunks) return;
  std::unique_lock<std::mutex> guard(sleep_lock_);
  leader_sleeps_ = true;
  all_done_.wait(guard, [&] { return done_.load() == num_chunks; });
  leader_sleeps_ = false;
}

void Team::take_chunks(int thread) {
  uint64_t ticket = ticket_.load();
  while (next_of(ticket) < count_of(ticket)) {
    ticket = ticket_.fetch_add(1);
    if (next_of(ticket) >= count_of(ticket)) return;
    const int chunk = static_cast<int>(next_of(ticket)), count = static_cast<int>(count_of(ticket));
    (*work_)(chunk, thread);  // the job cannot end before this chunk is counted
    if (done_.fetch_add(1) + 1 == count && leader_sleeps_.load()) {
      { const std::lock_guard<std::mutex> guard(sleep_lock_); }
      all_done_.notify_one();
    }
    ticket = ticket_.load();
  }
}

void Team::work_until_stopped(int thread) {
  uint64_t seen = generation_of(ticket_.load());
  while (wait_for_job(seen)) {
    seen = generation_of(ticket_.load());
    take_chunks(thread);
  }
}

// Returns false when the team stops.
bool Team::wait_for_job(uint64_t seen) {
  const auto has_news = [&] { return stops_.load() || generation_of(ticket_.load()) != seen; };
  for (int spin = 0; spin < kSpins && !has_news(); ++spin) _mm_pause();
  if (!has_news()) {
    std::unique_lock<std::mutex> guard(sleep_lock_);
    ++sleepers_;
    new_job_.wait(guard, has_news);
    --sleepers_;
  }
  return !stops_.load();
}
