"""Makes one C++ file of what the runtime gives to Lua: the FFI declarations and the library's Lua source.

usage: embed.py OUTPUT HEADER... LUA...

A header is declared to LuaJIT as C++ sees it: comments and preprocessor lines go, ENGINE_RO becomes const, `extern "C"`
and static_assert (C++ alone) go with their lines. A Lua file keeps its lines, so that errors point into it.
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
    body = ",".join(str(byte) for byte in text.encode())
    return "{" + body + ",0}"


def main(output, sources):
    headers = [s for s in sources if s.suffix == ".h"]
    chunks = [s for s in sources if s.suffix == ".lua"]
    lines = ['#include "plugins/embedded.h"', "namespace plugins {", "namespace {"]
    cdef = "".join(declarations(h.read_text()) for h in headers)
    lines.append(f"constexpr char cdef[] = {literal(cdef)};")
    for chunk in chunks:
        lines.append(f"constexpr char chunk_{chunk.stem}[] = {literal(chunk.read_text())};")
    lines += ["}  // namespace", "std::string_view embedded_cdef() { return {cdef, sizeof cdef - 1}; }"]
    lines.append("std::span<const EmbeddedChunk> embedded_chunks() {")
    lines.append("  static constexpr EmbeddedChunk chunks[] = {")
    for chunk in chunks:
        lines.append(f'    {{"{chunk.stem}", {{chunk_{chunk.stem}, sizeof chunk_{chunk.stem} - 1}}}},')
    lines += ["  };", "  return chunks;", "}", "}  // namespace plugins", ""]
    output.write_text("\n".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), [pathlib.Path(a) for a in sys.argv[2:]])
