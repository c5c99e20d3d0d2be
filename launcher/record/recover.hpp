// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "cachegen/support/owner.hpp"
#include "launcher/record/record.hpp"

#include <optional>

namespace vmi {

struct Recovery {
  RunRecord record;
  fs::path output;
  bool journal_removed = false;  ///< false: its launch may still live on another machine
};

/// Makes the record of a launch that was killed from its journal, as Journal::finish() would have.
/// `output`: default is the journal's name without ".journal", which must not exist; one that is given is
/// replaced. Throws Error(unusable) for what is no journal, Error(environment) while its launch lives.
Recovery recover(const fs::path& journal, const std::optional<fs::path>& output);

struct Glimpse {
  Owner writer;
  Owner::State state = Owner::State::unknown;  ///< of `writer`
};

/// Writes to `output` what the journal knows by now, as a record; its launch may be running. The journal
/// stays as it is. Throws Error(unusable) for what is no journal.
Glimpse peek(const fs::path& journal, const fs::path& output);

}  // namespace vmi
