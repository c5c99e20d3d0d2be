// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/agree.hpp"

#include "launcher/mpi/collective.hpp"

namespace vmi {

std::string rank_name(const Comm& comm) {
  return "rank " + std::to_string(comm.rank()) + " on " + host_name();
}

namespace {

constexpr char kFailed = 'F';
constexpr char kDone = 'D';

/// The status travels as the first line.
std::string failure_text(const Comm& comm, const Error& failure, std::string_view stage) {
  std::string text = std::to_string(static_cast<int>(failure.status())) + "\n";
  if (comm.size() > 1) text += rank_name(comm) + ": ";
  return text + failure.in(stage).what();
}

AgreedError error_of(const std::string& text) {
  const std::size_t end = text.find('\n');
  return {static_cast<ExitStatus>(std::stoi(text.substr(0, end))), text.substr(end + 1)};
}

}  // namespace

std::uint32_t agree_on(const Comm& comm, const std::optional<Error>& mine, std::uint32_t flags,
                       const Waiter& waiter, std::string_view stage) {
  const std::string what = "all ranks to finish: " + std::string(stage);
  constexpr std::int64_t kSomeFailed = std::int64_t{1} << 32;
  const std::int64_t all = all_bits(comm, flags | (mine ? kSomeFailed : 0), waiter, what);
  if ((all & kSomeFailed) == 0) return static_cast<std::uint32_t>(all);

  const int rank = comm.rank();
  const auto first = static_cast<int>(all_min(comm, mine ? rank : comm.size(), waiter, what));
  std::string text;
  if (rank == first) text = failure_text(comm, *mine, stage);
  broadcast(comm, text, first, waiter, what);
  throw error_of(text);
}

void agree(const Comm& comm, const std::optional<Error>& mine, const Waiter& waiter, std::string_view stage) {
  agree_on(comm, mine, 0, waiter, stage);
}

void tell(const Comm& comm, const std::optional<Error>& mine, std::string& text, const Waiter& waiter,
          std::string_view stage) {
  std::string told = mine ? kFailed + failure_text(comm, *mine, stage) : kDone + text;
  broadcast(comm, told, 0, waiter, "rank 0: " + std::string(stage));
  if (told.front() == kFailed) throw error_of(told.substr(1));
  text = told.substr(1);
}

}  // namespace vmi
