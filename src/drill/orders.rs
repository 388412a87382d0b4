//! The drill's side of its guard: the process is started, given orders, and told to end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use super::Moment;
use super::file::{Fault, Kind};
use super::guard::{Event, Order};

/// How long the guard may take to carry an order out.
const ORDER: Duration = Duration::from_secs(10);
/// How long the guard may take to end.
const END: Duration = Duration::from_secs(10);

/// The guard. Orders are carried out one after the other.
#[derive(Debug)]
pub(super) struct Orders(Mutex<Guard>);

impl Orders {
    /// Starts a guard, which is this `program` too.
    pub(super) fn start(program: &Path) -> std::io::Result<Orders> {
        Ok(Orders(Mutex::new(Guard::start(program)?)))
    }

    /// Has an order carried out, and gives what came of it.
    pub(super) async fn give(&self, order: &Order) -> Result<Event, String> {
        self.0.lock().await.order(order).await
    }

    /// Has a fault begun; its beginning.
    pub(super) async fn begin(&self, order: &Order) -> Result<Moment, String> {
        match self.give(order).await? {
            Event::Began(at) => Ok(at),
            other => Err(format!("the guard reported {other:?}")),
        }
    }

    /// Has the guard tidy up and end.
    pub(super) async fn end(self) {
        let Guard {
            mut child, orders, ..
        } = self.0.into_inner();
        // The end of the guard's input is the order to end.
        drop(orders);
        let waiting = tokio::task::spawn_blocking(move || child.wait());
        // A guard that hangs is left alone: it ends when what it waits for does.
        drop(tokio::time::timeout(END, waiting).await);
    }
}

/// The order for a fault that needs no server of the drill's own.
pub(super) fn order_for(fault: &Fault) -> Option<Order> {
    let for_ms = millis(fault);
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

/// How long a fault lasts, ms.
pub(super) fn millis(fault: &Fault) -> u64 {
    u64::try_from(fault.length.0.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
struct Guard {
    child: Child,
    orders: ChildStdin,
    /// Lines that the guard wrote.
    events: mpsc::Receiver<String>,
}

impl Guard {
    fn start(program: &Path) -> std::io::Result<Guard> {
        let mut child = Command::new(program)
            .args(["drill", "--guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C reaches everybody in the terminal's group: it must not end the guard.
            .process_group(0)
            .spawn()?;
        let missing = || std::io::Error::other("the guard has no pipes");
        let orders = child.stdin.take().ok_or_else(missing)?;
        let written = child.stdout.take().ok_or_else(missing)?;
        let (sender, events) = mpsc::channel(16);
        // It ends with the guard's output, or when nobody listens any more.
        std::thread::spawn(move || {
            let lines = BufReader::new(written).lines();
            for line in lines.map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Guard {
            child,
            orders,
            events,
        })
    }

    /// Has an order carried out, and gives what came of it.
    async fn order(&mut self, order: &Order) -> Result<Event, String> {
        let carried_out = async {
            let line = serde_json::to_string(order).map_err(|error| error.to_string())?;
            // A short line, which the pipe always has room for.
            let sent = self.orders.write_all(format!("{line}\n").as_bytes());
            sent.map_err(|error| format!("the guard is gone: {error}"))?;
            loop {
                let line = self.events.recv().await.ok_or("the guard is gone")?;
                match serde_json::from_str(&line) {
                    // Of an earlier fault.
                    Ok(Event::Ended(_) | Event::NotEnded(_)) => {}
                    Ok(Event::Failed(why)) => return Err(why),
                    Ok(event) => return Ok(event),
                    Err(error) => return Err(format!("the guard wrote {line:?}: {error}")),
                }
            }
        };
        let late = || Err("the guard does not answer".to_owned());
        tokio::time::timeout(ORDER, carried_out)
            .await
            .unwrap_or_else(|_| late())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A guard that writes these lines and ends with its input.
    fn guard(lines: &str) -> (tempfile::TempDir, Orders) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("guard");
        std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&program, mode).unwrap();
        let orders = Orders::start(&program).unwrap();
        (dir, orders)
    }

    #[tokio::test]
    async fn the_end_of_an_earlier_fault_does_not_answer_an_order() {
        let (_dir, orders) = guard(
            r#"echo '{"ended":1}'; echo '{"not_ended":"why"}'; read order; echo '{"began":5}'; cat"#,
        );
        assert_eq!(orders.begin(&Order::Freeze { for_ms: 1 }).await, Ok(5));
        orders.end().await;
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
            let (_dir, orders) = guard(lines);
            let error = orders
                .begin(&Order::Freeze { for_ms: 1 })
                .await
                .unwrap_err();
            assert!(error.contains(problem), "{error}");
            orders.end().await;
        }
    }
}
