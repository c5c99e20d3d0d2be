// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/supervisor/ipc/client.hpp"

#include <map>
#include <string>
#include <vector>

/// Disks for all guests in `folder`, and VMs that boot from one of them.
void make_disks(const vmi::fs::path& folder);
std::vector<vmi::VmSpec> make_vms(const vmi::fs::path& folder, int count, const std::string& guest,
                                  int first);
vmi::Prepare prepare_request(vmi::Backend backend, const vmi::fs::path& node_dir,
                             std::vector<vmi::VmSpec> specs);

/// Supervisors' folders in these folders, and processes that name such folders. Empty: nothing.
std::string what_is_left(const std::vector<vmi::fs::path>& roots);

/// Command lines of the processes that have `text` in theirs, this one aside.
std::vector<std::string> processes_with(const std::string& text);

/// A supervisor, a folder and guests of one boot sector, for the integration tests.
class Fixture {
 public:
  explicit Fixture(vmi::Backend backend);

  /// `count` VMs of guest "READY", "SILENT", "POWEROFF", "SPIN" or "CPU" (guest/boot.S), with indexes from
  /// `first`.
  std::vector<vmi::VmSpec> vms(int count, const std::string& guest = "READY", int first = 0) const {
    return make_vms(folder(), count, guest, first);
  }
  vmi::Prepare prepare(std::vector<vmi::VmSpec> specs) const {
    return prepare_request(backend_, folder(), std::move(specs));
  }

  /// call(), with every event kept.
  vmi::Reply call(vmi::SupervisorRequest request);
  /// What the reply carries.
  template <typename Request>
  typename Request::Result call_for(Request request) {
    return vmi::result_of<Request>(call(std::move(request)));
  }
  /// Waits until `count` events of this kind have come; throws when they do not.
  template <typename Kind>
  std::vector<Kind> wait_for(int count);
  template <typename Kind>
  std::vector<Kind> all() const;

  vmi::Supervisor& supervisor() { return supervisor_; }
  const vmi::fs::path& folder() const { return folder_.path(); }
  vmi::fs::path runtime_root() const { return runtime_root_.path(); }
  vmi::Backend backend() const { return backend_; }
  /// What is left of runtime folders, overlays, and processes that name them.
  std::string leftovers() const { return what_is_left({folder(), runtime_root()}); }

 private:
  vmi::Backend backend_;
  vmi::TempFolder folder_;        ///< with a blank and a comma in its name
  vmi::TempFolder runtime_root_;  ///< short
  vmi::Supervisor supervisor_;
  std::vector<vmi::Event> events_;
};

template <typename Kind>
std::vector<Kind> Fixture::all() const {
  std::vector<Kind> result;
  for (const vmi::Event& event : events_) {
    if (const auto* kind = std::get_if<Kind>(&event)) result.push_back(*kind);
  }
  return result;
}

template <typename Kind>
std::vector<Kind> Fixture::wait_for(int count) {
  const vmi::Deadline deadline = vmi::Deadline::after(std::chrono::seconds(60));
  while (static_cast<int>(all<Kind>().size()) < count && !deadline.passed()) {
    if (std::optional<vmi::Event> event = supervisor_.wait(deadline)) events_.push_back(std::move(*event));
  }
  std::vector<Kind> result = all<Kind>();
  if (static_cast<int>(result.size()) >= count) return result;
  throw vmi::Error(vmi::ExitStatus::timed_out, "waited for " + std::to_string(count) + " events, and " +
                                                   std::to_string(result.size()) + " came");
}
