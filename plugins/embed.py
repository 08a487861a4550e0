"""Makes one C++ file of what the runtime gives to Lua: the FFI declarations and the library's Lua source.

usage: embed.py OUTPUT HEADER... LUA...

A header is declared to LuaJIT as C++ sees it: comments and preprocessor lines go, ENGINE_RO becomes const, `extern "C"`
and static_assert (C++ alone) go with their lines. A Lua file keeps its lines, so that errors point into it. What lies in lua/
is the library of every state; the other folders' files are the author's tools (plugins/author.h).
"""

import pathlib
import re
import sys


def declarations(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    # What only C++ reads lies between #ifdef __cplusplus and #endif.
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", text, flags=re.S | re.M)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"^#.*\n", "", text, flags=re.M)
    text = text.replace("ENGINE_RO", "const").replace(" noexcept", "")
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"


def literal(text):
    # Byte by byte: no limit on the length of one literal (g++ -Wpedantic has 65,536), no question of escaping.
    body = ",".join(str(byte - 256 if byte > 127 else byte) for byte in text.encode())  # char is signed
    return "{" + body + ",0}"


def variable(chunk):
    return f"chunk_{chunk.parent.name}_{chunk.stem}"


def table(function, chunks):
    lines = [f"std::span<const EmbeddedChunk> {function}() {{", "  static constexpr EmbeddedChunk chunks[] = {"]
    for chunk in chunks:
        name = chunk.stem if chunk.parent.name == "lua" else f"{chunk.parent.name}/{chunk.stem}"
        lines.append(f'    {{"{name}", {{{variable(chunk)}, sizeof {variable(chunk)} - 1}}}},')
    return lines + ["  };", "  return chunks;", "}"]


def main(output, sources):
    headers = [s for s in sources if s.suffix == ".h"]
    chunks = [s for s in sources if s.suffix == ".lua"]
    lines = ['#include "plugins/embedded.h"', "namespace plugins {", "namespace {"]
    cdef = "".join(declarations(h.read_text()) for h in headers)
    lines.append(f"constexpr char cdef[] = {literal(cdef)};")
    for chunk in chunks:
        lines.append(f"constexpr char {variable(chunk)}[] = {literal(chunk.read_text())};")
    lines += ["}  // namespace", "std::string_view embedded_cdef() { return {cdef, sizeof cdef - 1}; }"]
    library = [c for c in chunks if c.parent.name == "lua"]
    lines += table("embedded_chunks", library) + table("embedded_tools", [c for c in chunks if c not in library])
    lines += ["}  // namespace plugins", ""]
    output.write_text("\n".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), [pathlib.Path(a) for a in sys.argv[2:]])
