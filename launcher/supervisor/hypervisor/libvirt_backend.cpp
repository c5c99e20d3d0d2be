// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/libvirt_backend.hpp"

#include "cachegen/guest/ready.hpp"
#include "cachegen/support/log.hpp"
#include "launcher/supervisor/hypervisor/libvirt_library.hpp"
#include "launcher/supervisor/hypervisor/libvirt_root.hpp"
#include "launcher/supervisor/hypervisor/libvirt_xml.hpp"

#include <array>
#include <cstdlib>
#include <sstream>
#include <thread>

namespace vmi::supervisor {
namespace {

constexpr auto kVersionTime = std::chrono::seconds(20);
constexpr auto kNoticeInterval = std::chrono::milliseconds(5);
constexpr int kNameTries = 20;
constexpr int kComplaintLines = 10;

class LibvirtBackedDomain : public Domain {
 public:
  LibvirtBackedDomain(LibvirtDomain domain, int pid) : domain_(std::move(domain)), pid_(pid) {}
  int pid() const override { return pid_; }

  void resume(Deadline) override {
    if (libvirt().domain_resume(domain_.get()) != 0) throw libvirt_error("cannot resume it");
  }

  nlohmann::json execute(const std::string& command, const nlohmann::json& arguments, Deadline) override {
    nlohmann::json message = {{"execute", command}};
    if (!arguments.is_null()) message["arguments"] = arguments;
    char* text = nullptr;
    if (libvirt().domain_qemu_monitor_command(domain_.get(), message.dump().c_str(), &text, 0) != 0)
      throw libvirt_error("cannot ask QEMU for '" + command + "'");
    const LibvirtText owned(text);
    const nlohmann::json reply = nlohmann::json::parse(text, nullptr, false);
    if (const auto error = reply.find("error"); error != reply.end()) {
      throw Error(ExitStatus::environment,
                  "QEMU refused '" + command + "': " + error->value("desc", error->dump()));
    }
    return reply.value("return", nlohmann::json());
  }

 private:
  LibvirtDomain domain_;
  int pid_;
};

/// libvirt's event loop, which its driver needs, in a thread of its own until the process ends; and its
/// errors to our log.
void start_libvirt() {
  static std::once_flag once;
  std::call_once(once, [] {
    libvirt().set_error_func(nullptr, [](void*, virErrorPtr error) {
      log_debug(std::string("libvirt: ") + (error->message != nullptr ? error->message : "?"));
    });
    if (libvirt().initialize() != 0) throw libvirt_error("cannot start libvirt");
    if (libvirt().event_register_default_impl() != 0)
      throw libvirt_error("cannot start libvirt's event loop");
    std::thread([] {
      while (true) {
        if (libvirt().event_run_default_impl() != 0) log_warning("libvirt's event loop reports an error");
      }
    }).detach();
  });
}

/// Whether libvirt's last error may be that a domain of this name exists.
bool is_about(const std::string& name) {
  const virError* error = libvirt().get_last_error();
  return error != nullptr && error->code == VIR_ERR_OPERATION_FAILED && error->message != nullptr &&
         std::string_view(error->message).find(name) != std::string_view::npos;
}

/// What a path may hold and a URI may not is escaped.
std::string uri_path(const fs::path& path) {
  std::ostringstream uri;
  uri << std::hex << std::uppercase;
  for (const char letter : path.string()) {
    const auto c = static_cast<unsigned char>(letter);
    if (std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_' || c == '.') {
      uri << letter;
    } else {
      uri << '%' << (c >> 4) << (c & 15);
    }
  }
  return uri.str();
}

}  // namespace

void FreeText::operator()(char* text) const {
  free(text);
}

Error libvirt_error(const std::string& what) {
  const virError* error = libvirt().get_last_error();
  const bool said = error != nullptr && error->message != nullptr;
  return {ExitStatus::environment, what + ": " + (said ? error->message : "libvirt does not say why")};
}

LibvirtBackend::LibvirtBackend(fs::path root) : root_(std::move(root)) {
}

std::string LibvirtBackend::version() {
  unsigned long number = 0;
  if (libvirt().get_version(&number, nullptr, nullptr) != 0) return "unknown";
  return std::to_string(number / 1'000'000) + "." + std::to_string(number / 1000 % 1000) + "." +
         std::to_string(number % 1000);
}

void LibvirtBackend::open() {
  const std::lock_guard lock(open_mutex_);
  // After a failure libvirt never tries again, and no longer says why.
  if (open_problem_) throw Error(*open_problem_);
  if (connection_) return;
  try {
    write_libvirt_root(root_);
    start_libvirt();
    connection_.reset(libvirt().connect_open(("qemu:///embed?root=" + uri_path(root_)).c_str()));
    if (!connection_) {
      throw libvirt_error(
          "cannot open libvirt's QEMU driver (is libvirt-daemon-driver-qemu installed? --backend qemu does "
          "without)");
    }
  } catch (const Error& error) {
    open_problem_ = error;
    throw;
  }
}

void LibvirtBackend::warm(const GuestSpec& guest) {
  const std::lock_guard lock(warm_mutex_);
  const std::string type = guest.accel == Accel::kvm ? "kvm" : "qemu";
  const std::string key = guest.qemu + "\n" + type + "\n" + to_text(guest.machine);
  if (warmed_.contains(key)) return;
  open();
  const ProbeCache probes(probe_qemu(guest.qemu, Deadline::after(kVersionTime)));
  probes.seed(root_);
  const LibvirtText capabilities(libvirt().connect_get_domain_capabilities(
      connection_.get(), guest.qemu.c_str(), "x86_64", to_text(guest.machine).c_str(), type.c_str(), 0));
  if (!capabilities)
    throw libvirt_error("libvirt cannot use '" + guest.qemu + "' with machine " + to_text(guest.machine) +
                        " and accelerator " + to_text(guest.accel));
  probes.keep(root_);
  warmed_.insert(key);
}

std::unique_ptr<Domain> LibvirtBackend::create_paused(const VmPlan& vm, Deadline deadline) {
  warm(vm.guest);
  const std::string xml = domain_xml(vm);
  const auto create = [&] {
    return LibvirtDomain(
        libvirt().domain_create_xml(connection_.get(), xml.c_str(), VIR_DOMAIN_START_PAUSED));
  };
  LibvirtDomain domain = create();
  // The name's last holder may have ended without libvirt having noticed. It is still known for a moment
  // after it can no longer be looked up.
  for (int i = 0; !domain && i < kNameTries && is_about(vm.name); ++i) {
    wait_until_free(vm.name, deadline);
    std::this_thread::sleep_for(kNoticeInterval);
    domain = create();
  }
  if (!domain) throw libvirt_error("libvirt cannot create it");
  const std::string text = read_text(root_ / "run/qemu" / (vm.name + ".pid"));
  return std::make_unique<LibvirtBackedDomain>(std::move(domain), std::stoi(text));
}

void LibvirtBackend::wait_until_free(const std::string& name, Deadline deadline) {
  while (!deadline.passed() &&
         LibvirtDomain{libvirt().domain_lookup_by_name(connection_.get(), name.c_str())}) {
    std::this_thread::sleep_for(kNoticeInterval);
  }
}

std::string LibvirtBackend::complaints(const VmPlan& vm) {
  const fs::path log = root_ / "log/qemu" / (vm.name + ".log");
  std::error_code error;
  if (!fs::exists(log, error)) return {};
  // libvirt writes there too, QEMU's command among others; QEMU's own lines name the program.
  const std::string program = fs::path(vm.guest.qemu).filename().string() + ": ";
  std::istringstream lines(read_text(log));
  std::string words;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(program);
    if (at != std::string::npos) words += line.substr(at) + "\n";
  }
  return printable_tail(words, kComplaintLines);
}

std::string LibvirtBackend::describe(const VmPlan& vm) {
  return domain_xml(vm);
}

}  // namespace vmi::supervisor
