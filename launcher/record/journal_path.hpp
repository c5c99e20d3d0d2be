// SPDX-License-Identifier: Apache-2.0
// Where a record and its journal may be, and what is there already.
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/record/events.hpp"

namespace vmi {

/// The absolute path of the record, symbolic links followed. Throws Error(environment) that names the remedy
/// when no file can be put there: folder missing, a folder or device in its place, a write-protected file, a
/// name too long. Throws Error(usage) when a file is there that is no record: it is not replaced.
fs::path checked_output(const fs::path& output);

/// The journal that belongs to a record: "RUN.h5.journal".
fs::path journal_of(const fs::path& output);

/// Creates the journal's file, which must not exist. A journal of a launch that is known to be dead is moved
/// aside with a warning; one whose launch lives, or may live on another machine, is an Error(environment)
/// with the remedy.
Fd create_journal_file(const fs::path& journal, const fs::path& output);

/// Opens what is to be a journal, for reading. Throws Error(unusable) where it is no file, as a FIFO, which
/// would never be read to its end.
Fd open_journal(const fs::path& path);

/// The header of the journal at `path`; nothing when it is no file or its first line is none.
std::optional<JournalHeader> read_header(const fs::path& path);

}  // namespace vmi
