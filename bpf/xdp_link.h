// A program's attachment to an interface, held by a bpf_link: it goes when the descriptor does, also at SIGKILL.
//
// Made and destroyed by the thread that sets up and ends the run, in the interface's network namespace.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/unique_fd.h"

namespace bpf {

enum class AttachRequest {
  automatic,  // native, else generic with the reason kept
  native,
  generic
};
enum class AttachMode { detached, native, generic };

// What to do with a program on the interface that is not ours. To replace it (`--replace`) is to remove it and then to
// attach: the kernel offers no take-over, traffic passes in between, and nobody puts the other one back.
enum class Foreign { refuse, replace };

class XdpLink {
 public:
  XdpLink() noexcept = default;

  // Throws SetupError: not_permitted (names the capability); machine_cannot for a foreign program (its id is named) and
  // for a mode the driver does not have.
  static XdpLink attach(int program_fd, unsigned ifindex, const std::string& ifname, AttachRequest request,
                        Foreign foreign);

  XdpLink(XdpLink&&) noexcept = default;
  XdpLink& operator=(XdpLink&& other) noexcept;
  ~XdpLink() { detach(); }

  void detach() noexcept;  // may be called again

  // Another program in the place of the one attached, in one step: each frame is seen by the one or the other. Throws
  // SetupError; then the old one stays.
  void update(int program_fd);

  // For drivers that undo more at the detach than may be undone yet. prepare_pass() loads the program for it, while
  // there are capabilities (throws SetupError); after pass() all frames pass, unseen by ours, and the driver stays as
  // it is until detach().
  void prepare_pass();
  void pass() noexcept;

  bool attached() const noexcept { return link_.valid(); }
  int fd() const noexcept { return link_.get(); }
  AttachMode mode() const noexcept { return attached() ? mode_ : AttachMode::detached; }  // as read back
  const std::string& fallback_reason() const noexcept { return fallback_reason_; }        // empty: none was needed

 private:
  engine::UniqueFd link_;
  engine::UniqueFd pass_;
  AttachMode mode_ = AttachMode::detached;
  std::string fallback_reason_;
};

// The program on an interface, by id; 0 if there is none. Throws SetupError if the interface cannot be asked.
std::uint32_t attached_program(unsigned ifindex, const std::string& ifname);

}  // namespace bpf
