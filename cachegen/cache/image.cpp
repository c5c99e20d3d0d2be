// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/image.hpp"

#include "cachegen/support/process.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

/// QEMU's own rule (path_has_protocol): a colon before the first slash.
bool has_protocol(const std::string& text) {
  const std::size_t at = text.find_first_of(":/");
  return at != std::string::npos && text[at] == ':';
}

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw Error(ExitStatus::unusable, "cannot open image '" + name + "': " + why);
}

/// Finds out early, and in plainer words than qemu-img's, what is wrong with a local path.
void check_local(const std::string& name, const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || access(path.c_str(), R_OK) != 0) refuse(name, errno_text(errno));
  if (S_ISDIR(info.st_mode)) refuse(name, "it is a folder");
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
    refuse(name, "it is neither a file nor a block device");
}

void read_file_facts(ImageLayer& layer) {
  layer.local = is_local_path(layer.url);
  struct stat info {};
  if (!layer.local || stat(layer.url.c_str(), &info) != 0) return;
  layer.file_bytes = static_cast<Bytes>(info.st_size);
  layer.disk_bytes = static_cast<Bytes>(info.st_blocks) * 512;
  // The time of a device node says nothing about what is on the device.
  if (S_ISREG(info.st_mode))
    layer.mtime_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

ImageLayer layer_from_json(const nlohmann::json& info) {
  ImageLayer layer;
  layer.url = info.at("filename").get<std::string>();
  layer.format = info.at("format").get<std::string>();
  layer.virtual_bytes = info.at("virtual-size").get<Bytes>();
  return layer;
}

std::string without_prefix(std::string text) {
  const std::string prefix = "qemu-img: ";
  if (text.starts_with(prefix)) text.erase(0, prefix.size());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

bool is_local_path(const std::string& url) {
  return url.starts_with('/');
}

std::string image_url(const std::string& url_or_path) {
  std::error_code ignored;  // a path that cannot be looked at is reported when it is opened
  if (fs::exists(url_or_path, ignored) || !has_protocol(url_or_path))
    return fs::absolute(url_or_path).string();
  if (url_or_path.starts_with("file:"))
    return image_url(url_or_path.substr(url_or_path.starts_with("file://") ? 7 : 5));
  return url_or_path;
}

ImageInfo inspect_image(const std::string& url_or_path, Deadline deadline, const std::string& format) {
  if (url_or_path.empty()) throw Error(ExitStatus::usage, "the image's name is empty");
  const std::string url = image_url(url_or_path);
  if (is_local_path(url)) check_local(url_or_path, url);

  Argv argv = {"qemu-img", "info", "--output=json", "--force-share", "--backing-chain"};
  if (!format.empty()) argv.insert(argv.end(), {"-f", format});
  argv.push_back(url);
  const RunResult result = run(argv, deadline);
  if (!result.ok()) refuse(url_or_path, without_prefix(result.err));

  ImageInfo image;
  try {
    const auto layers = nlohmann::json::parse(result.out);
    static_cast<ImageLayer&>(image) = layer_from_json(layers.at(0));
    if (layers.at(0).value("encrypted", false))
      refuse(url_or_path, "it is encrypted, and there is no way to give its key");
    for (std::size_t i = 1; i < layers.size(); ++i) image.backing_chain.push_back(layer_from_json(layers[i]));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::environment,
                "qemu-img info printed what is not understood: " + std::string(error.what()));
  }
  image.url = url;  // qemu-img may show it as json:{...}
  if (image.virtual_bytes == 0) refuse(url_or_path, "it is empty");
  read_file_facts(image);
  for (ImageLayer& layer : image.backing_chain) read_file_facts(layer);
  return image;
}

}  // namespace vmi
