//! The drill's side of the guard process (see `guard`): it starts the process, sends it orders and reads its events.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use super::Moment;
use super::file::{Fault, Kind};
use super::guard::{Event, Order};

/// The time-out for the answer to an order.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for the end of the guard process.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running guard process. It carries out one order after the other.
#[derive(Debug)]
pub(super) struct Guard(Mutex<GuardProcess>);

impl Guard {
    /// Starts a guard process from `program`, which is this program too.
    pub(super) fn start(program: &Path) -> std::io::Result<Guard> {
        Ok(Guard(Mutex::new(GuardProcess::start(program)?)))
    }

    /// Sends an order and returns the event that answers it.
    pub(super) async fn carry_out(&self, order: &Order) -> Result<Event, String> {
        self.0.lock().await.carry_out(order).await
    }

    /// Sends an order that begins a fault. Returns the time at which the guard began it.
    pub(super) async fn begin_fault(&self, order: &Order) -> Result<Moment, String> {
        match self.carry_out(order).await? {
            Event::Began(at) => Ok(at),
            other => Err(format!("the guard reported {other:?}")),
        }
    }

    /// Ends the guard process, which first undoes the faults and kills its server.
    pub(super) async fn end(self) {
        let GuardProcess {
            mut child, orders, ..
        } = self.0.into_inner();
        // The guard ends when its standard input ends.
        drop(orders);
        let waiting = tokio::task::spawn_blocking(move || child.wait());
        // A late guard is not killed, because only the guard can undo the faults.
        drop(tokio::time::timeout(END_TIMEOUT, waiting).await);
    }
}

/// The guard's order for a fault outside of the server: busy processors, or a command. `None` for all other kinds.
pub(super) fn order_for(fault: &Fault) -> Option<Order> {
    let for_ms = length_ms(fault);
    match fault.kind {
        Kind::CpuHog => {
            let all = std::thread::available_parallelism().map_or(1, usize::from);
            let cores = fault.cores.map_or(all, |cores| cores as usize);
            Some(Order::Hog { cores, for_ms })
        }
        Kind::Command | Kind::LoseOneOfN => Some(Order::Command {
            run: fault.run.clone().unwrap_or_default(),
            undo: fault.undo.clone().unwrap_or_default(),
            for_ms,
        }),
        _ => None,
    }
}

/// The length of a fault in milliseconds.
pub(super) fn length_ms(fault: &Fault) -> u64 {
    u64::try_from(fault.length.0.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
struct GuardProcess {
    child: Child,
    orders: ChildStdin,
    /// The lines that the guard wrote: one event each.
    events: mpsc::Receiver<String>,
}

impl GuardProcess {
    fn start(program: &Path) -> std::io::Result<GuardProcess> {
        let mut child = Command::new(program)
            .args(["drill", "--guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C reaches all processes in the terminal's group. It must not end the guard before it has undone the
            // faults.
            .process_group(0)
            .spawn()?;
        let missing = || std::io::Error::other("the guard has no pipes");
        let orders = child.stdin.take().ok_or_else(missing)?;
        let written = child.stdout.take().ok_or_else(missing)?;
        let (sender, events) = mpsc::channel(16);
        // The thread ends with the guard's output, or when the receiver is dropped.
        std::thread::spawn(move || {
            let lines = BufReader::new(written).lines();
            for line in lines.map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Ok(GuardProcess {
            child,
            orders,
            events,
        })
    }

    async fn carry_out(&mut self, order: &Order) -> Result<Event, String> {
        let answer = async {
            let line = serde_json::to_string(order).map_err(|error| error.to_string())?;
            // The line is short, and the pipe always has room for it, so this does not block.
            let sent = self.orders.write_all(format!("{line}\n").as_bytes());
            sent.map_err(|error| format!("the guard is gone: {error}"))?;
            loop {
                let line = self.events.recv().await.ok_or("the guard is gone")?;
                match serde_json::from_str(&line) {
                    // These events are about the end of an earlier fault.
                    Ok(Event::Ended(_) | Event::NotEnded(_)) => {}
                    Ok(Event::Failed(why)) => return Err(why),
                    Ok(event) => return Ok(event),
                    Err(error) => return Err(format!("the guard wrote {line:?}: {error}")),
                }
            }
        };
        let late = || Err("the guard does not answer".to_owned());
        tokio::time::timeout(ORDER_TIMEOUT, answer)
            .await
            .unwrap_or_else(|_| late())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A guard that writes these lines and ends with its input.
    fn fake_guard(lines: &str) -> (tempfile::TempDir, Guard) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("guard");
        std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&program, mode).unwrap();
        let guard = Guard::start(&program).unwrap();
        (dir, guard)
    }

    #[tokio::test]
    async fn the_end_of_an_earlier_fault_does_not_answer_an_order() {
        let (_dir, guard) = fake_guard(
            r#"echo '{"ended":1}'; echo '{"not_ended":"why"}'; read order; echo '{"began":5}'; cat"#,
        );
        assert_eq!(guard.begin_fault(&Order::Freeze { for_ms: 1 }).await, Ok(5));
        guard.end().await;
    }

    #[tokio::test]
    async fn a_guard_that_fails_or_is_gone_is_an_error() {
        for (lines, problem) in [
            (
                r#"read order; echo '{"failed":"no server"}'; cat"#,
                "no server",
            ),
            ("read order", "the guard is gone"),
            ("read order; echo nonsense; cat", "the guard wrote"),
            (r#"read order; echo '"started"'; cat"#, "the guard reported"),
        ] {
            let (_dir, guard) = fake_guard(lines);
            let error = guard
                .begin_fault(&Order::Freeze { for_ms: 1 })
                .await
                .unwrap_err();
            assert!(error.contains(problem), "{error}");
            guard.end().await;
        }
    }
}
