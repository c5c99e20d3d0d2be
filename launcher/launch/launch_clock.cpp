// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch_clock.hpp"

#include "cachegen/support/units.hpp"

#include <cstdio>
#include <ctime>

namespace vmi {

LaunchClock LaunchClock::start() {
  LaunchClock clock;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  clock.zero_ns_ = monotonic_ns();
  std::tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char seconds[32];
  std::strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03ldZ", seconds, now.tv_nsec / 1'000'000);
  clock.start_text_ = text;
  return clock;
}

LaunchClock LaunchClock::of(std::int64_t zero_ns) {
  LaunchClock clock;
  clock.zero_ns_ = zero_ns;
  return clock;
}

double LaunchClock::now() const {
  return at(monotonic_ns());
}

}  // namespace vmi
