// The lock of a session's variables: many readers or one writer, fair (a waiting writer holds back new readers, so that neither starves),
// and waiting can be given up: by deadline, or when the run is cancelled.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace kiln::runtime {

enum class Access : std::uint8_t { none, read, write };

class RunLock {
 public:
  /// Takes the lock. `give_up` is asked now and then while waiting: a result other than 0 ends the wait and is returned, without the lock.
  template <class GiveUp>
  std::int32_t lock(Access access, GiveUp&& give_up) {
    if (access == Access::none) return 0;
    std::unique_lock guard(mutex_);
    const bool writer = access == Access::write;
    if (writer) ++waiting_writers_;
    while (writer ? writing_ || readers_ > 0 : writing_ || waiting_writers_ > 0) {
      if (const std::int32_t status = give_up()) {
        if (writer && --waiting_writers_ == 0) changed_.notify_all();
        return status;
      }
      changed_.wait_for(guard, std::chrono::milliseconds(2));
    }
    if (writer) {
      --waiting_writers_;
      writing_ = true;
    } else {
      ++readers_;
    }
    return 0;
  }

  void unlock(Access access) {
    if (access == Access::none) return;
    std::lock_guard guard(mutex_);
    if (access == Access::write)
      writing_ = false;
    else
      --readers_;
    if (readers_ == 0) changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int readers_ = 0;
  int waiting_writers_ = 0;
  bool writing_ = false;
};

/// Holds the lock for a scope.
class RunLockGuard {
 public:
  RunLockGuard(RunLock& lock, Access access) : lock_(lock), access_(access) {
    lock_.lock(access, [] { return 0; });
  }
  template <class GiveUp>
  RunLockGuard(RunLock& lock, Access access, GiveUp&& give_up) : lock_(lock), access_(access), status_(lock.lock(access, give_up)) {
    if (status_ != 0) access_ = Access::none;
  }
  ~RunLockGuard() { lock_.unlock(access_); }
  RunLockGuard(const RunLockGuard&) = delete;
  RunLockGuard& operator=(const RunLockGuard&) = delete;

  /// What ended the wait, or 0 when the lock is held.
  std::int32_t status() const { return status_; }

 private:
  RunLock& lock_;
  Access access_;
  std::int32_t status_ = 0;
};

}  // namespace kiln::runtime
