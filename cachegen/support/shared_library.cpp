// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/shared_library.hpp"

#include "cachegen/support/error.hpp"

#include <dlfcn.h>

namespace vmi {

SharedLibrary::SharedLibrary(const char* file, std::string name, std::string remedy)
    : name_(std::move(name)), remedy_(std::move(remedy)), handle_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) refuse();
}

void* SharedLibrary::symbol(const char* name) const {
  void* address = dlsym(handle_, name);
  if (address == nullptr) refuse();
  return address;
}

void SharedLibrary::refuse() const {
  const char* why = dlerror();
  throw Error(ExitStatus::environment,
              "cannot load " + name_ + ": " + (why != nullptr ? why : "no reason is given") + "; " + remedy_);
}

}  // namespace vmi
