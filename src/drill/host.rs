//! Finds out whether other programs held the processors while a drill ran. A late event then proves nothing about the
//! rules.
//!
//! Once a second it reads from `/proc` the time that all processors worked, and subtracts the time of this process and
//! of the processes that it started, including the drill's server. Without `/proc` the load is unknown, and the drill
//! never blames the host.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{Moment, now};

const EVERY: Duration = Duration::from_secs(1);
/// The most seconds that are kept: longer than any drill.
const MOST: usize = 7_200;
/// The most processes of this drill that are read: the drill, its guard, the server, and those that a command starts.
const FAMILY: usize = 64;
/// If a smaller share of the processors is idle, a process that needs a processor waits for one.
const IDLE: f64 = 0.1;
/// If other programs use a smaller share, they do not delay the drill for long.
const OTHERS: f64 = 0.25;

/// The use of the processors in one second, as shares of all their time from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    at: Moment,
    others: f64,
    idle: f64,
}

impl Share {
    fn is_crowded(&self) -> bool {
        self.idle < IDLE && self.others > OTHERS
    }
}

/// Measures the load of the host until it is dropped.
#[derive(Debug)]
pub(super) struct Host {
    shares: Arc<Mutex<VecDeque<Share>>>,
    _task: AbortOnDropHandle<()>,
}

/// The number of seconds in which other programs held the processors, of all seconds measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded {
    pub(super) seconds: usize,
    pub(super) of: usize,
}

impl Host {
    pub(super) fn watch() -> Host {
        let shares = Arc::<Mutex<VecDeque<Share>>>::default();
        let seen = Arc::clone(&shares);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let mut before: Option<Times> = None;
            loop {
                ticks.tick().await;
                let times = Times::read(Path::new("/proc"));
                let share = before.as_ref().zip(times.as_ref());
                if let Some(share) = share.and_then(|(before, times)| times.since(before)) {
                    let mut shares = seen.lock();
                    shares.push_back(share);
                    if shares.len() > MOST {
                        shares.pop_front();
                    }
                }
                before = times;
            }
        });
        Host {
            shares,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The crowded seconds from `from` to `to`.
    pub(super) fn crowded(&self, from: Moment, to: Moment) -> Crowded {
        let shares = self.shares.lock();
        let shares = shares.iter().filter(|it| (from..=to).contains(&it.at));
        Crowded {
            of: shares.clone().count(),
            seconds: shares.filter(|it| it.is_crowded()).count(),
        }
    }
}

/// Processor times since the start of the system and of each process, in the kernel's ticks.
#[derive(Debug, Default, PartialEq)]
struct Times {
    all: u64,
    idle: u64,
    ours: BTreeMap<u32, u64>,
}

impl Times {
    fn read(proc: &Path) -> Option<Times> {
        let text = std::fs::read_to_string(proc.join("stat")).ok()?;
        let (all, idle) = of_processors(&text)?;
        let mut ours = BTreeMap::new();
        let mut next = vec![std::process::id()];
        while let Some(id) = next.pop() {
            let dir = proc.join(id.to_string());
            let stat = std::fs::read_to_string(dir.join("stat")).unwrap_or_default();
            // The process may have ended since.
            let Some(time) = of_process(&stat) else {
                continue;
            };
            ours.insert(id, time);
            if ours.len() < FAMILY {
                next.extend(children(&dir));
            }
        }
        Some(Times { all, idle, ours })
    }

    fn since(&self, before: &Times) -> Option<Share> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let idle = self.idle.saturating_sub(before.idle);
        let ours = self.ours.iter().map(|(id, time)| {
            let earlier = before.ours.get(id).copied().unwrap_or_default();
            time.saturating_sub(earlier)
        });
        let ours: u64 = ours.sum();
        let share = |part: u64| part as f64 / all as f64;
        Some(Share {
            at: now(),
            others: share(all.saturating_sub(idle).saturating_sub(ours)),
            idle: share(idle),
        })
    }
}

/// All time and the idle time, from the first line of `/proc/stat`.
fn of_processors(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line
        .split_whitespace()
        // User time already includes the time of guests.
        .take(8)
        .map_while(|it| it.parse().ok())
        .collect();
    // The fourth number is idle time, the fifth is the wait for a disk.
    let idle = times.get(3)? + times.get(4)?;
    Some((times.iter().sum(), idle))
}

/// User and system time of a process, from `/proc/ID/stat`.
fn of_process(text: &str) -> Option<u64> {
    // The name before the `)` may hold any character.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The processes that the threads of the process at `dir` started.
fn children(dir: &Path) -> Vec<u32> {
    let threads = std::fs::read_dir(dir.join("task"));
    let threads = threads.into_iter().flatten().flatten();
    let texts = threads.filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok());
    let ids = texts.flat_map(|text| {
        let ids = text.split_whitespace().map_while(|it| it.parse().ok());
        ids.collect::<Vec<u32>>()
    });
    ids.take(FAMILY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let stat = "cpu  100 5 50 800 40 1 4 3 9 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(of_processors(stat), Some((1_003, 840)));
        let process = "42 (a) b)) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(of_process(process), Some(42));
        for nonsense in ["", "cpu", "cpu  1 2", "1 (x)", "1 (x) S 1"] {
            assert_eq!(of_processors(nonsense), None, "{nonsense}");
            assert_eq!(of_process(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn others_are_whatever_worked_and_is_not_ours() {
        let times = |all, idle, ours: &[(u32, u64)]| Times {
            all,
            idle,
            ours: ours.iter().copied().collect(),
        };
        let before = times(1_000, 500, &[(1, 100), (2, 50)]);
        // The second process ended, a third began.
        let share = times(1_200, 510, &[(1, 130), (3, 20)])
            .since(&before)
            .unwrap();
        assert_eq!((share.others, share.idle), (0.7, 0.05));
        assert!(share.is_crowded());
        // The processors are as busy, with this drill's own work.
        let share = times(1_200, 510, &[(1, 270)]).since(&before).unwrap();
        assert!(!share.is_crowded());
        // Other programs work, but processors are idle.
        let share = times(1_200, 580, &[(1, 100)]).since(&before).unwrap();
        assert!(!share.is_crowded());
        assert_eq!(before.since(&before), None);
    }

    #[test]
    fn this_process_and_its_children_are_ours() {
        let Ok(mut child) = std::process::Command::new("sleep").arg("60").spawn() else {
            return;
        };
        let times = Times::read(Path::new("/proc"));
        let (known, id) = (times.is_some(), child.id());
        let ours = times.is_some_and(|it| {
            it.ours.contains_key(&id) && it.ours.contains_key(&std::process::id())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ours || !known);
    }
}
