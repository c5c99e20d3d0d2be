// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pace.hpp"

#include <algorithm>

#include <sched.h>

namespace vmi {

using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::microseconds;

void Pace::moved(Bytes total) {
  constexpr Bytes kPieces = 8;
  constexpr microseconds kSlow = 5ms;
  constexpr microseconds kLongest = 10ms;
  last_ = Clock::now();
  if (total - counted_ < kPieces * piece_) return;
  const double pieces = static_cast<double>(total - counted_) / static_cast<double>(piece_);
  const auto piece_time = duration_cast<microseconds>((last_ - counted_at_) / pieces);
  nap_ = std::min(piece_time < kSlow ? piece_time / 4 : piece_time, kLongest);
  counted_ = total;
  counted_at_ = last_;
}

void Pace::nap(int wake_fd) {
  constexpr microseconds kShortest = 30us;
  const auto still = duration_cast<microseconds>(Clock::now() - last_);
  const microseconds growing = std::clamp<microseconds>(still / 3, kShortest, 1ms);
  if (still < kShortest && nap_ < 100us) {
    sched_yield();
  } else {
    sleep_for(std::max(growing, nap_), wake_fd);
  }
}

}  // namespace vmi
