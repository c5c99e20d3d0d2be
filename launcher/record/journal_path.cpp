// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/journal_path.hpp"

#include "cachegen/support/log.hpp"

#include <ctime>

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

/// Room for the longest that we put behind a record's name: ".tmp.4194304", of an atomic write.
constexpr std::size_t kLongestSuffix = 16;
constexpr Bytes kMostHeaderBytes = 64 * KiB;
constexpr Bytes kMostStartBytes = MiB;  ///< of a record, where its attributes' names are

[[noreturn]] void refuse(const fs::path& output, const std::string& reason) {
  throw Error(ExitStatus::environment, "cannot write the record '" + output.string() + "': " + reason);
}

std::string quoted(const fs::path& path) {
  return "'" + path.string() + "'";
}

bool is_regular(const Fd& file) {
  struct stat status {};
  return fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
}

/// Whether a file begins with HDF5's signature and soon names an attribute that every record has. HDF5's
/// library is not asked, since it may crash on a damaged file.
bool looks_like_record(const fs::path& path) {
  const Fd file = open_file(path, O_RDONLY);
  std::string start(kMostStartBytes, '\0');
  const ssize_t n = pread(file.get(), start.data(), start.size(), 0);
  start.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return start.starts_with("\x89HDF\r\n\x1a\n") && start.find("journal_lines_lost") != std::string::npos;
}

/// "run.h5" -> "run-20240501T120000Z.h5": the time is that of the journal's last event.
fs::path dated(const fs::path& output, const fs::path& journal) {
  struct stat status {};
  if (stat(journal.c_str(), &status) != 0)
    throw_errno(ExitStatus::environment, "cannot examine " + quoted(journal));
  std::tm utc{};
  gmtime_r(&status.st_mtim.tv_sec, &utc);
  char stamp[32];
  strftime(stamp, sizeof stamp, "-%Y%m%dT%H%M%SZ", &utc);
  return output.parent_path() / (output.stem().string() + stamp + output.extension().string());
}

/// A journal that nobody writes any more gets a name of its own.
void move_aside(const fs::path& journal, const fs::path& output) {
  const fs::path aside = journal_of(dated(output, journal));
  // link and unlink, as rename would replace a file that has this name already.
  if (link(journal.c_str(), aside.c_str()) != 0) {
    refuse(output, "the journal " + quoted(journal) +
                       " of a launch that was killed is in the way and cannot be moved to " + quoted(aside) +
                       " (" + errno_text(errno) + "); 'vmireport --recover " + journal.string() +
                       "' makes a record of it");
  }
  unlink(journal.c_str());
  log_warning("found the journal of a launch that was killed; 'vmireport --recover " + aside.string() +
              "' makes a record of it");
}

void clear_the_way(const fs::path& journal, const fs::path& output) {
  const std::optional<JournalHeader> header = read_header(journal);
  if (!header) {
    refuse(output, quoted(journal) +
                       " is in the way and is no journal of vmilaunch; remove it or choose another --output");
  }
  const std::string who = "process " + std::to_string(header->owner.pid) + " on " + header->owner.host;
  switch (header->owner.state()) {
    case Owner::State::alive:
      refuse(output, "another launch (" + who + ") is writing to it; choose another --output");
    case Owner::State::unknown:
      refuse(output, "another launch (" + who +
                         ") is writing to it or was killed, which cannot be told from here; if it has " +
                         "ended, 'vmireport --recover " + journal.string() +
                         "' makes a record of its journal, else choose " + "another --output");
    case Owner::State::dead:
      move_aside(journal, output);
  }
}

}  // namespace

fs::path checked_output(const fs::path& output) {
  if (output.empty()) refuse(output, "the path is empty; give a file name with --output");
  std::error_code error;
  fs::path path = fs::weakly_canonical(fs::absolute(output), error);
  if (error) refuse(output, error.message() + "; choose another --output");
  const fs::path folder = path.parent_path();
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) refuse(output, "it is a folder; give a file name with --output");
    if (!S_ISREG(status.st_mode)) refuse(output, "it is no regular file; choose another --output");
    if (access(path.c_str(), W_OK) != 0)
      refuse(output, "it exists and is write-protected; choose another --output");
    if (status.st_size > 0 && !looks_like_record(path)) {
      throw Error(ExitStatus::usage, "cannot write the record " + quoted(output) +
                                         ": a file that is no record is there, and is not replaced; choose " +
                                         "another --output");
    }
  } else if (errno != ENOENT) {
    refuse(output, errno_text(errno) + "; choose another --output");
  }
  if (!fs::is_directory(folder, error)) {
    refuse(output, "there is no folder " + quoted(folder) + "; make it or choose another --output");
  }
  if (path.filename().string().size() + kLongestSuffix > NAME_MAX) {
    refuse(output, "its name is too long; choose one of at most " +
                       std::to_string(NAME_MAX - kLongestSuffix) + " bytes");
  }
  return path;
}

fs::path journal_of(const fs::path& output) {
  return output.string() + ".journal";
}

Fd create_journal_file(const fs::path& journal, const fs::path& output) {
  for (bool again = false;; again = true) {
    Fd file(open(journal.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (file) return file;
    if (errno != EEXIST) {
      refuse(output, "its journal cannot be created in " + quoted(journal.parent_path()) + ": " +
                         errno_text(errno) + "; choose another --output");
    }
    if (again) refuse(output, "another launch has just begun to write to it; choose another --output");
    clear_the_way(journal, output);
  }
}

Fd open_journal(const fs::path& path) {
  Fd file = open_file(path, O_RDONLY | O_NONBLOCK, 0, ExitStatus::unusable);
  if (!is_regular(file)) throw Error(ExitStatus::unusable, quoted(path) + " is no file");
  return file;
}

std::optional<JournalHeader> read_header(const fs::path& path) {
  const Fd file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!is_regular(file)) return std::nullopt;
  std::string start(kMostHeaderBytes, '\0');
  const ssize_t n = pread(file.get(), start.data(), start.size(), 0);
  if (n < 0) throw_errno(ExitStatus::environment, "cannot read " + quoted(path));
  start.resize(static_cast<std::size_t>(n));
  return parse_header(std::string_view(start).substr(0, start.find('\n')));
}

}  // namespace vmi
