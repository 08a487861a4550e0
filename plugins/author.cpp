#include "plugins/author.h"

#include <lua.hpp>
#include <memory>
#include <stdexcept>

#include "plugins/embedded.h"

namespace plugins {
namespace {

struct CloseState {
  void operator()(lua_State* L) const noexcept { lua_close(L); }
};
using OwnState = std::unique_ptr<lua_State, CloseState>;

std::string text_at(lua_State* L, int place) {
  std::size_t length = 0;
  const char* text = lua_tolstring(L, place, &length);
  return text != nullptr ? std::string(text, length) : std::string();
}

// The tools are part of the program: that one fails is a defect, not the author's.
void check(lua_State* L, int status) {
  if (status != 0) throw std::runtime_error("the author's tools: " + text_at(L, -1));
}

const EmbeddedChunk& chunk_named(std::span<const EmbeddedChunk> chunks, std::string_view name) {
  for (const EmbeddedChunk& chunk : chunks) {
    if (chunk.name == name) return chunk;
  }
  throw std::runtime_error("the author's tools lack " + std::string(name));
}

// Calls the chunk with the table at stack place 1 and leaves its result.
void run(lua_State* L, const EmbeddedChunk& chunk) {
  check(L, luaL_loadbuffer(L, chunk.code.data(), chunk.code.size(), ("=engine/" + std::string(chunk.name)).c_str()));
  lua_pushvalue(L, 1);
  check(L, lua_pcall(L, 1, 1, 0));
}

// A state with the interface's description in the table at stack place 1.
OwnState describe() {
  OwnState state(luaL_newstate());
  if (state == nullptr) throw std::bad_alloc();
  lua_State* L = state.get();
  luaL_openlibs(L);
  lua_newtable(L);
  for (const char* name :
       {"api/model", "api/plugin", "api/packet", "api/results", "api/tables", "api/library", "api/base"}) {
    run(L, chunk_named(embedded_tools(), name));
    lua_pop(L, 1);
  }
  lua_getfield(L, 1, "finish");
  check(L, lua_pcall(L, 0, 0, 0));
  return state;
}

std::string made_by(std::string_view name) {
  const OwnState state = describe();
  run(state.get(), chunk_named(embedded_tools(), name));
  return text_at(state.get(), -1);
}

// LuaJIT shortens long names in its messages: the author's file is put in afterwards.
constexpr char kChunkName[] = "=code";

// "code:line: text", taken apart.
Finding syntax_error(const std::string& message, const std::string& file) {
  Finding finding{Severity::error, "syntax", file, 0, message};
  const std::size_t prefix = std::size(kChunkName) - 1;
  if (!message.starts_with("code:") || message.size() == prefix) return finding;
  std::size_t digits = 0;
  finding.line = std::stoi(message.substr(prefix), &digits);
  finding.text = message.substr(std::min(message.size(), prefix + digits + 2));
  return finding;
}

std::string text_field(lua_State* L, const char* name) {
  lua_getfield(L, -1, name);
  std::string text = text_at(L, -1);
  lua_pop(L, 1);
  return text;
}

std::vector<Finding> findings_at_top(lua_State* L, const std::string& file) {
  std::vector<Finding> findings;
  for (std::size_t i = 1; i <= lua_objlen(L, -1); ++i) {
    lua_rawgeti(L, -1, static_cast<int>(i));
    const std::string severity = text_field(L, "severity");
    Finding& finding = findings.emplace_back();
    finding.severity = severity == "error"     ? Severity::error
                       : severity == "warning" ? Severity::warning
                                               : Severity::advice;
    finding.rule = text_field(L, "rule");
    finding.file = file;
    finding.line = std::stoi(text_field(L, "line"));
    finding.text = text_field(L, "text");
    lua_pop(L, 1);
  }
  return findings;
}

}  // namespace

std::string_view name_of(Severity severity) {
  constexpr std::string_view names[] = {"error", "warning", "advice"};
  return names[static_cast<std::size_t>(severity)];
}

std::string reference() { return made_by("api/reference"); }
std::string definitions() { return made_by("api/definitions"); }
std::string editor_plugin() { return made_by("api/editor"); }

Lint lint(std::string_view code, const LintOptions& options) {
  const OwnState state = describe();
  lua_State* L = state.get();
  if (luaL_loadbufferx(L, code.data(), code.size(), kChunkName, "t") != 0) {
    return {{syntax_error(text_at(L, -1), options.file)}, {}};
  }
  lua_settop(L, 1);
  lua_newtable(L);
  lua_insert(L, 1);
  lua_setfield(L, 1, "api");
  run(L, chunk_named(embedded_chunks(), "suggest"));
  for (const char* name : {"lint/lexer", "lint/parser", "lint/types", "lint/calls", "lint/rules"}) {
    run(L, chunk_named(embedded_tools(), name));
  }
  lua_getfield(L, 1, "check");
  lua_pushlstring(L, code.data(), code.size());
  lua_newtable(L);
  lua_pushboolean(L, options.trusted);
  lua_setfield(L, -2, "trusted");
  lua_pushboolean(L, options.module);
  lua_setfield(L, -2, "module");
  check(L, lua_pcall(L, 2, 2, 0));
  Lint result;
  for (std::size_t i = 1; i <= lua_objlen(L, -1); ++i) {
    lua_rawgeti(L, -1, static_cast<int>(i));
    result.modules.push_back(text_at(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  result.findings = findings_at_top(L, options.file);
  return result;
}

}  // namespace plugins
