// SPDX-License-Identifier: Apache-2.0
// URLs of images (RFC 3986; for NBD the NBD project's doc/uri.md) as the node objects of QEMU's QAPI schema
// (BlockdevOptionsNbd, ...Curl*, ...Nfs, ...Ssh).
#include "cachegen/guest/image_node.hpp"

#include "cachegen/support/error.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

#include <sys/stat.h>

namespace vmi {
namespace {

using nlohmann::json;

struct Url {
  std::string text, scheme, user, host, port, path, query;
};

[[noreturn]] void bad_url(const std::string& text, const std::string& reason) {
  throw Error(ExitStatus::usage, "image '" + text + "': " + reason);
}

/// What stands before a colon that comes before any slash (QEMU's path_has_protocol); nothing for a path.
std::optional<std::string> scheme_of(const std::string& text) {
  const std::size_t end = text.find_first_of(":/");
  if (end == std::string::npos || text[end] != ':') return std::nullopt;
  return text.substr(0, end);
}

Url parse_url(const std::string& text) {
  Url url{.text = text, .scheme = *scheme_of(text)};
  std::string rest = text.substr(url.scheme.size() + 1);
  if (!rest.starts_with("//")) bad_url(text, "needs '//' behind '" + url.scheme + ":'");
  rest.erase(0, 2);
  if (const std::size_t mark = rest.find('?'); mark != std::string::npos) {
    url.query = rest.substr(mark + 1);
    rest.resize(mark);
  }
  const std::size_t slash = rest.find('/');
  std::string authority = rest.substr(0, slash);
  if (slash != std::string::npos) url.path = rest.substr(slash);
  if (const std::size_t at = authority.rfind('@'); at != std::string::npos) {
    url.user = percent_decoded(authority.substr(0, at));
    authority.erase(0, at + 1);
  }
  // A colon inside the brackets of an IPv6 address separates no port.
  const std::size_t colon = authority.find(':', authority.starts_with('[') ? authority.find(']') : 0);
  if (colon != std::string::npos) {
    url.port = authority.substr(colon + 1);
    authority.resize(colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  url.host = percent_decoded(authority);
  return url;
}

std::string query_value(const Url& url, const std::string& name) {
  std::size_t at = 0;
  while (at < url.query.size()) {
    const std::size_t end = std::min(url.query.find('&', at), url.query.size());
    const std::string item = url.query.substr(at, end - at);
    if (item.starts_with(name + "=")) return percent_decoded(item.substr(name.size() + 1));
    at = end + 1;
  }
  return {};
}

std::string needed_host(const Url& url) {
  if (url.host.empty()) bad_url(url.text, "names no host");
  return url.host;
}

json nbd_node(const Url& url) {
  json node = {{"driver", "nbd"}};
  if (url.scheme == "nbd+unix") {
    const std::string socket = query_value(url, "socket");
    if (socket.empty()) bad_url(url.text, "names no socket; write nbd+unix:///EXPORT?socket=PATH");
    node["server"] = {{"type", "unix"}, {"path", socket}};
  } else {
    node["server"] = {
        {"type", "inet"}, {"host", needed_host(url)}, {"port", url.port.empty() ? "10809" : url.port}};
  }
  const std::string export_name = url.path.empty() ? "" : percent_decoded(url.path.substr(1));
  if (!export_name.empty()) node["export"] = export_name;
  return node;
}

json nfs_node(const Url& url) {
  if (!url.query.empty()) bad_url(url.text, "has options that are not supported; write it as json:{...}");
  return {{"driver", "nfs"},
          {"server", {{"type", "inet"}, {"host", needed_host(url)}}},
          {"path", percent_decoded(url.path)}};
}

json ssh_node(const Url& url) {
  json node = {{"driver", "ssh"},
               {"server", {{"host", needed_host(url)}, {"port", url.port.empty() ? "22" : url.port}}},
               {"path", percent_decoded(url.path)}};
  if (!url.user.empty()) node["user"] = url.user;
  return node;
}

/// QEMU's "file" driver refuses block devices, and "host_device" everything else.
json path_node(const std::string& path) {
  struct stat status {};
  const bool device = stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
  return {{"driver", device ? "host_device" : "file"}, {"filename", path}};
}

json node_from_json(const std::string& text) {
  try {
    json node = json::parse(text.substr(std::string_view("json:").size()));
    if (!node.is_object() || !node.contains("driver")) bad_url(text, "is no node object with a 'driver'");
    return node;
  } catch (const json::exception& error) {
    bad_url(text, error.what());
  }
}

}  // namespace

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() &&
        std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0 &&
        std::isxdigit(static_cast<unsigned char>(text[i + 2])) != 0) {
      result += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

json image_node(const std::string& url_or_path) {
  const std::optional<std::string> scheme = scheme_of(url_or_path);
  if (!scheme) return path_node(url_or_path);
  if (*scheme == "json") return node_from_json(url_or_path);
  if (*scheme == "http" || *scheme == "https" || *scheme == "ftp" || *scheme == "ftps") {
    return {{"driver", *scheme}, {"url", url_or_path}};
  }
  if (*scheme == "nbd" || *scheme == "nbd+tcp" || *scheme == "nbd+unix")
    return nbd_node(parse_url(url_or_path));
  if (*scheme == "nfs") return nfs_node(parse_url(url_or_path));
  if (*scheme == "ssh") return ssh_node(parse_url(url_or_path));
  bad_url(url_or_path, "unknown scheme '" + *scheme +
                           "'; known are nbd, nbd+unix, http, https, ftp, ftps, nfs, ssh and json:{...}");
}

}  // namespace vmi
