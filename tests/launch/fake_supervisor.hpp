// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/ipc/port.hpp"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vmi::test {

/// A supervisor whose node is well and whose VMs get ready at once, unless a test says otherwise.
class FakeSupervisor final : public SupervisorPort {
 public:
  /// `folder`: of this rank, for OpenNodeFolder.
  explicit FakeSupervisor(std::string folder) : folder_(std::move(folder)) {}

  int fd() const override { return -1; }
  std::uint64_t send(SupervisorRequest request) override;
  std::optional<Heard> receive() override;

  /// Answers requests of this kind from now on; what it throws is the reply's error.
  template <typename Request>
  void on(std::function<typename Request::Result(const Request&)> answer) {
    answers_[Request::kType] = [this, answer](std::uint64_t id, const SupervisorRequest& request) {
      say(Reply{.id = id, .result = to_result(answer(std::get<Request>(request)))});
    };
  }
  /// Does not answer requests of this kind.
  template <typename Request>
  void ignore() {
    answers_[Request::kType] = [](std::uint64_t, const SupervisorRequest&) {};
  }
  /// Requests of this kind that were made.
  template <typename Request>
  std::vector<Request> asked() const {
    std::vector<Request> found;
    for (const SupervisorRequest& request : requests_) {
      if (const auto* one = std::get_if<Request>(&request)) found.push_back(*one);
    }
    return found;
  }
  void say(const Event& event) { heard_.push_back({event, to_text(event)}); }

  /// What becomes of VM `index` when it runs; VmReady by default.
  std::function<Event(int index)> outcome;

 private:
  nlohmann::json answer(const SupervisorRequest& request);
  void resume_all();

  std::string folder_;
  std::map<std::string, std::function<void(std::uint64_t, const SupervisorRequest&)>> answers_;
  std::vector<SupervisorRequest> requests_;
  std::vector<VmSpec> vms_;
  std::deque<Heard> heard_;
  std::uint64_t next_id_ = 1;
};

}  // namespace vmi::test
