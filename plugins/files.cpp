#include "plugins/files.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace plugins {

int read_text(const std::string& path, std::string& text) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) return errno;
  struct stat status;
  if (fstat(fileno(file.get()), &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  char block[4096];
  for (std::size_t got; (got = std::fread(block, 1, sizeof block, file.get())) > 0;) text.append(block, got);
  return std::ferror(file.get()) != 0 ? EIO : 0;
}

std::string file_beside(const std::string& path, const std::string& name) {
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) + name + ".lua";
}

int Sources::read(const std::string& path, std::string& text) {
  const std::lock_guard lock(mutex_);
  const auto known = texts_.find(path);
  if (known != texts_.end()) {
    text = known->second;
    return 0;
  }
  const int error = read_text(path, text);
  if (error == 0) texts_.emplace(path, text);
  return error;
}

int read_source(const PluginSpec& spec, const std::string& path, std::string& text) {
  return spec.sources != nullptr ? spec.sources->read(path, text) : read_text(path, text);
}

void push_args(lua_State* L, const Arguments& args) {
  lua_newtable(L);
  for (const auto& [name, value] : args) {
    if (const auto* truth = std::get_if<bool>(&value)) {
      lua_pushboolean(L, *truth);
    } else if (const auto* number = std::get_if<double>(&value)) {
      lua_pushnumber(L, *number);
    } else {
      const auto& text = std::get<std::string>(value);
      lua_pushlstring(L, text.data(), text.size());
    }
    lua_setfield(L, -2, name.c_str());
  }
}

void push_info(lua_State* L, const Seat& seat) {
  const auto number = [&](const char* name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
  };
  lua_newtable(L);
  lua_newtable(L);
  int place = 0;
  for (const std::uint32_t queue : seat.info.queues) {
    lua_pushnumber(L, queue);
    lua_rawseti(L, -2, ++place);
  }
  lua_setfield(L, -2, "queues");
  number("worker", seat.worker);
  number("workers", seat.info.workers);
  if (seat.info.cpu >= 0) number("cpu", seat.info.cpu);
  if (seat.info.node >= 0) number("node", seat.info.node);
  lua_pushlstring(L, seat.info.interface.data(), seat.info.interface.size());
  lua_setfield(L, -2, "interface");
}

}  // namespace plugins
