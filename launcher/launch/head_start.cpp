// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/head_start.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/launch/expected_vms.hpp"
#include "launcher/mpi/agree.hpp"

namespace vmi {

std::optional<Allocation> create_ahead(const LaunchOptions& options, Supervisor& supervisor) {
  std::optional<ExpectedVms> expected;
  const std::optional<Error> failure = attempt([&] { expected = expect_vms(options, HostView::real()); });
  if (failure) log_debug(std::string("no VM is created ahead: ") + failure->what());
  if (!expected || expected->request.vms.empty()) return std::nullopt;
  if (!expected->cpus.empty()) supervisor.send(UseCpus{expected->cpus});
  supervisor.send(std::move(expected->request));
  return expected->allocation;
}

HeadStart start_ahead(const LaunchOptions& options, Supervisor& supervisor, bool first) {
  const GuestSpec& guest = options.guest;
  HeadStart ahead{.first = first};
  // Rank 0 chooses the accelerator, and warns of the slow one; the others do not look for themselves.
  ahead.environment = supervisor.send(ProbeEnvironment{.qemu = guest.qemu,
                                                       .accel = to_text(first ? guest.accel : Accel::tcg),
                                                       .machine = to_text(guest.machine),
                                                       .cpu_model = first ? guest.cpu_model : "",
                                                       .backend = options.backend});
  if (!options.dry_run) {
    supervisor.send(Warm{.backend = options.backend,
                         .qemu = guest.qemu,
                         .accel = to_text(guest.accel),
                         .machine = to_text(guest.machine)});
  }
  if (!first) return ahead;
  for (const ImageRequest& image : options.images)
    ahead.images.push_back(supervisor.send(InspectImage{.url = image.url}));
  if (options.cache != CacheMode::automatic || options.dry_run) return ahead;
  for (const ImageRequest& image : options.images) {
    const BuildRequest request = build_request(options, image.url);
    ahead.caches.push_back(supervisor.send(FindCache{.request = to_json(request), .build = false}));
  }
  return ahead;
}

}  // namespace vmi
