// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/libvirt_xml.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace vmi::supervisor {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&apos;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\n':
        result += "&#10;";
        break;  // parsers turn plain ones in attributes into blanks
      case '\t':
        result += "&#9;";
        break;
      case '\r':
        result += "&#13;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          throw Error(
              ExitStatus::usage,
              "'" + text + "' holds a control character, which libvirt cannot pass on; use --backend qemu");
        }
        result += c;
    }
  }
  return result;
}

/// Options whose meaning the XML gives, and their number of values.
struct GivenOption {
  std::string_view name;
  int values;
};
constexpr std::array kGivenByLibvirt = {
    GivenOption{"-name", 1},    GivenOption{"-nodefaults", 0}, GivenOption{"-no-user-config", 0},
    GivenOption{"-display", 1}, GivenOption{"-machine", 1},    GivenOption{"-accel", 1},
    GivenOption{"-m", 1},       GivenOption{"-smp", 1},        GivenOption{"-rtc", 1},
    GivenOption{"-sandbox", 1},
};
/// The one other option of qemu_command() that has no value.
constexpr std::string_view kFlag = "-no-reboot";

/// The value of `key` in the option's comma-separated list, "tcg,tb-size=64".
std::optional<std::string> property(const Argv& command, std::string_view option, const std::string& key) {
  for (std::size_t i = 0; i + 1 < command.size(); ++i) {
    if (command[i] != option) continue;
    const std::size_t at = command[i + 1].find("," + key + "=");
    if (at == std::string::npos) continue;
    const std::size_t from = at + key.size() + 2;
    return command[i + 1].substr(from, command[i + 1].find(',', from) - from);
  }
  return std::nullopt;
}

std::string features(const VmPlan& vm) {
  std::string text;
  if (vm.guest.machine != Machine::microvm) text = "    <acpi/>\n    <vmport state='off'/>\n";
  const std::optional<std::string> buffer = property(vm.command, "-accel", "tb-size");
  if (buffer) text += "    <tcg><tb-cache unit='MiB'>" + *buffer + "</tb-cache></tcg>\n";
  return text;
}

}  // namespace

Argv words_for_qemu(const Argv& command) {
  Argv words;
  for (std::size_t i = 1; i < command.size();) {
    const std::string& option = command[i];
    const auto* given = std::ranges::find(kGivenByLibvirt, option, &GivenOption::name);
    const bool has_value = given != kGivenByLibvirt.end() ? given->values == 1 : option != kFlag;
    const std::size_t next = std::min(command.size(), i + (has_value ? 2 : 1));
    if (given == kGivenByLibvirt.end())
      words.insert(words.end(), command.begin() + static_cast<std::ptrdiff_t>(i),
                   command.begin() + static_cast<std::ptrdiff_t>(next));
    i = next;
  }
  return words;
}

std::string domain_xml(const VmPlan& vm) {
  const std::string type = vm.guest.accel == Accel::kvm ? "kvm" : "qemu";
  std::string xml = "<domain type='" + type + "' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n";
  xml += "  <name>" + escaped(vm.name) + "</name>\n";
  xml += "  <memory unit='MiB'>" + std::to_string(vm.guest.memory / MiB) + "</memory>\n";
  // Without a cpuset libvirt lets QEMU run on every CPU of the machine, whatever this process may use.
  const std::string cpuset = vm.cpus.empty() ? "" : " cpuset='" + to_cpu_list(vm.cpus) + "'";
  xml += "  <vcpu" + cpuset + ">" + std::to_string(vm.guest.cpus) + "</vcpu>\n";
  xml += "  <os><type arch='x86_64' machine='" + to_text(vm.guest.machine) + "'>hvm</type></os>\n";
  xml += "  <features>\n" + features(vm) + "  </features>\n";
  if (property(vm.command, "-machine", "hpet")) {
    xml +=
        "  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' "
        "tickpolicy='delay'/>";
    xml += "<timer name='hpet' present='no'/></clock>\n";
  }
  xml += "  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>\n";
  xml += "  <devices>\n    <emulator>" + escaped(vm.guest.qemu) + "</emulator>\n";
  xml += "    <controller type='usb' model='none'/>\n    <memballoon model='none'/>\n  </devices>\n";
  xml += "  <qemu:commandline>\n";
  for (const std::string& word : words_for_qemu(vm.command))
    xml += "    <qemu:arg value='" + escaped(word) + "'/>\n";
  return xml + "  </qemu:commandline>\n</domain>\n";
}

}  // namespace vmi::supervisor
