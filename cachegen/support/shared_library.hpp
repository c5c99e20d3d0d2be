// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace vmi {

/// A library that is loaded here rather than linked, because it takes long to load and most processes never
/// call it. It stays until the process ends.
class SharedLibrary {
 public:
  /// Loads `file` ("libvirt.so.0"). `name` and `remedy` go into errors: "libvirt's library", "install it".
  /// Throws Error(environment) when it cannot be loaded.
  SharedLibrary(const char* file, std::string name, std::string remedy);

  /// Sets `function` to the library's function of that name. Throws Error(environment) when it has none.
  template <typename Function>
  void find(const char* function_name, Function& function) const {
    function = reinterpret_cast<Function>(symbol(function_name));
  }

 private:
  void* symbol(const char* name) const;
  [[noreturn]] void refuse() const;

  std::string name_;
  std::string remedy_;
  void* handle_;
};

}  // namespace vmi
