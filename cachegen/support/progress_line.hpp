// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <string>

namespace vmi {

/// What a program tells the person who waits, on stderr. On a terminal: one line that is rewritten in place,
/// with a bar where the end is known, and the time since the stage began. Elsewhere plain lines: one a stage,
/// and one every few seconds while it lasts (5 at first, a minute later on), so that a log shows that it
/// moves.
class ProgressLine {
 public:
  /// `program` stands in front of plain lines.
  ProgressLine(std::string program, bool enabled);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  void stage(const std::string& text);  ///< a new stage begins
  /// The stage moved on. `fraction`: 0..1 of it; -1 where that cannot be told.
  void update(const std::string& text, double fraction = -1);
  void tick();    ///< called often: shows the time that passes
  void pause();   ///< shows nothing more until the next stage
  void finish();  ///< leaves the terminal's line for other output

 private:
  void show(std::int64_t now_ns);
  std::string line(std::int64_t now_ns) const;

  std::string program_;
  bool enabled_;
  bool live_;
  bool paused_ = true;  ///< no stage, or told so
  bool line_open_ = false;
  std::int64_t stage_ns_ = 0;  ///< when it began
  std::int64_t shown_ns_ = 0;
  std::string text_;
  double fraction_ = -1;
};

}  // namespace vmi
