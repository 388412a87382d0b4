//! The generator's own health: for each worker the time on a core and the time it waits for a core; for the process the
//! peak memory, the file limit, and the connections that the limit allows.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The number of files that a process needs besides its connections: logs, libraries, the database and the reports.
const RESERVED_FILES: u64 = 200;

/// Processor time of one thread, read by the thread itself.
#[derive(Debug, Default)]
pub(super) struct ThreadClock {
    first: Mutex<Option<(Instant, Stat)>>,
    /// Nanoseconds since `first`.
    wall: AtomicU64,
    running: AtomicU64,
    queued: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    running: u64,
    queued: u64,
}

/// Shares of a thread's time.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ThreadShare {
    /// Spent on a core, 0 to 1.
    pub running: f64,
    /// Spent ready to run while others had the cores, 0 to 1.
    pub queued: f64,
}

impl ThreadClock {
    /// Reads the clock every quarter of a second. It must run on the clock's own thread.
    pub(super) async fn keep(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            self.read();
        }
    }

    /// Reads the clock of the calling thread.
    pub(super) fn read(&self) {
        let Some(stat) = thread_stat() else { return };
        let now = Instant::now();
        let (begun, first) = *self.first.lock().get_or_insert((now, stat));
        let wall = u64::try_from(now.duration_since(begun).as_nanos()).unwrap_or(u64::MAX);
        self.wall.store(wall, Relaxed);
        self.running
            .store(stat.running.saturating_sub(first.running), Relaxed);
        self.queued
            .store(stat.queued.saturating_sub(first.queued), Relaxed);
    }

    /// The shares since the first read. `None` before the second read, or if the system does not report them.
    pub(super) fn share(&self) -> Option<ThreadShare> {
        let wall = self.wall.load(Relaxed);
        (wall > 0).then(|| ThreadShare {
            running: self.running.load(Relaxed) as f64 / wall as f64,
            queued: self.queued.load(Relaxed) as f64 / wall as f64,
        })
    }
}

/// Nanoseconds on a core, and nanoseconds on a run queue: <https://docs.kernel.org/scheduler/sched-stats.html>,
/// "/proc/<pid>/schedstat". Linux only.
fn thread_stat() -> Option<Stat> {
    parse_stat(&std::fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some(Stat {
        running: numbers.next()?.ok()?,
        queued: numbers.next()?.ok()?,
    })
}

/// The peak memory of this process, in bytes. Linux only:
/// <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>, `VmHWM`.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Raises the soft limit of open files to the hard limit. Servers call it too. Returns the resulting soft limit, or
/// `None` when there is no limit.
#[must_use]
pub fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If the system refuses, the soft limit stays, and the connection budget follows it.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

/// The number of connections that the run may hold: the smallest of one per user, `http.connections` (`asked`), and
/// what the file limit allows; at least 1. If the server runs in this process, each connection takes two files.
pub(super) fn connection_budget(
    users: usize,
    asked: Option<u32>,
    file_limit: Option<u64>,
    embedded: bool,
) -> usize {
    let files = file_limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED_FILES));
    let files = files / if embedded { 2 } else { 1 };
    let users = users as u64;
    let budget = asked.map_or(users, u64::from).min(users).min(files).max(1);
    usize::try_from(budget).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_budget_follows_the_file_limit() {
        assert_eq!(connection_budget(20_000, None, Some(20_200), false), 20_000);
        assert_eq!(connection_budget(20_000, None, Some(20_200), true), 10_000);
        assert_eq!(connection_budget(100, Some(1_000), None, true), 100);
        assert_eq!(connection_budget(100, Some(7), Some(1_024), false), 7);
        assert_eq!(connection_budget(100, None, Some(10), false), 1);
    }

    #[test]
    fn a_busy_thread_shows_as_busy() {
        let clock = ThreadClock::default();
        clock.read();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        clock.read();
        if let Some(share) = clock.share() {
            assert!(share.running > 0.05 && share.running <= 1.1, "{share:?}");
        }
        assert_eq!(
            parse_stat("12 3 4\n"),
            Some(Stat {
                running: 12,
                queued: 3
            })
        );
        assert_eq!(parse_stat("12"), None);
    }
}
