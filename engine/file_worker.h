// The worker over a capture file: the same decode and plugins as the live worker's, over the frames that the reader
// put into its queue: a thread of its own, or the worker's where there is only one. Time, intervals and the end come
// from the reader's markers, so that the same file gives the same results. Nothing is lost here: it waits for the
// reader, and for the collector.
#pragma once

#include <cstdint>

#include "engine/analysis.h"
#include "engine/file/file_queue.h"
#include "engine/file/file_source.h"

namespace engine {

// What a worker counted; read after its thread has ended.
struct FileWorkerFigures {
  std::uint64_t analysed = 0;
  std::uint64_t bytes = 0;
  std::uint64_t cpu_ns = 0;
};

class FileWorker {
 public:
  FileWorker(FileQueue& queue, Analysis& analysis) noexcept : queue_(queue), analysis_(analysis) {}

  // The thread's body, either way until the end marker: beside a reader thread, or reading by itself.
  void run() noexcept;
  void run(FileSource& source) noexcept;
  const FileWorkerFigures& figures() const noexcept { return figures_; }

 private:
  bool serve() noexcept;
  void serve_all() noexcept;
  bool take_marker(const FileMarker& marker) noexcept;  // false at the end

  FileQueue& queue_;
  Analysis& analysis_;
  FileWorkerFigures figures_;
};

}  // namespace engine
