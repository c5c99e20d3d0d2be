// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <string>

namespace vmi {

/// What a program tells the person who waits, on stderr: one line that is rewritten in place on a terminal;
/// elsewhere plain lines, one a stage, and at most one every five seconds while a stage's counter moves.
class ProgressLine {
 public:
  /// `program` stands in front of plain lines.
  ProgressLine(std::string program, bool enabled);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  void stage(const std::string& text);   ///< a new stage begins
  void update(const std::string& text);  ///< the stage moved on
  void finish();                         ///< leaves the terminal's line for other output

 private:
  void show(const std::string& text, bool always);

  std::string program_;
  bool enabled_;
  bool live_;
  bool line_open_ = false;
  std::int64_t last_shown_ns_ = 0;
  std::string last_text_;
};

}  // namespace vmi
