// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/vm_spec.hpp"

namespace vmi {

VmSpec vm_spec(const LaunchOptions& options, const ImagePlan& image, const PlacedVm& vm,
               const GuestSpec& guest, Driver driver, const std::string& cpus) {
  VmSpec spec;
  spec.index = vm.index;
  spec.name = vm.name;
  spec.virtual_bytes = image.virtual_bytes;
  spec.image_url = image.url;
  spec.image_format = image.format;
  if (options.cache == CacheMode::full) {
    spec.image_url = image.local.string();
    spec.whole_copy = true;
  } else if (image.filler == -1 || image.filler == vm.index) {
    spec.cache = image.local.string();
  }
  spec.cache_writable = image.filler == vm.index;
  spec.quota = options.quota;
  spec.driver = driver;
  spec.aio = options.aio;
  spec.guest = guest;
  spec.ready = options.ready;
  spec.hostname = vm.name;
  spec.ssh_key = options.ssh_key;
  spec.cpus = parse_cpu_list(cpus);
  return spec;
}

}  // namespace vmi
