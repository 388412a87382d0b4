//! Lists drills, starts one and follows it. [`Effects::carry_out`] stops it and passes on the actions of a blind
//! drill's player.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{EVERY_PROGRESS, Effects, record};
use crate::tui::audit::{AuditEntry, AuditFile};
use crate::tui::drill_runner::{DrillEnded, DrillRun};
use crate::tui::event::Event;
use crate::tui::load_generator::LoadGenerator;
use crate::tui::sources::clients::now_ms;

/// The target of a drill in the audit log. A drill of the console starts its own server.
pub(super) const TARGET: &str = "a server of its own";

impl Effects {
    pub(super) fn start_drill(&mut self, drill: String) {
        let started = self.load.start_drill(&drill);
        let what = format!("drill {drill}");
        let (audit, events) = (Arc::clone(&self.audit), self.events.clone());
        let outcome = started.as_ref().map(|_| "began").map_err(String::as_str);
        let entry = AuditEntry::new(now_ms(), &audit.who, &what, TARGET, outcome);
        self.tasks
            .spawn(record(Arc::clone(&audit), entry, events.clone()));
        match started {
            Ok(run) => {
                let DrillRun {
                    progress,
                    stop,
                    send_player_action,
                    ended,
                } = run;
                self.stop_drill = Some(stop);
                self.send_player_action = Some(send_player_action);
                let load = Arc::clone(&self.load);
                self.run.spawn(async move {
                    follow(progress, ended, (what, audit), &events).await;
                    // The list shows the last report of each drill, so it is read again.
                    list(load, events).await;
                });
            }
            Err(reason) => {
                self.tasks.spawn(async move {
                    let _ = events.send(Event::DrillEnded(Err(reason))).await;
                });
            }
        }
    }
}

/// Reads the drills on a blocking thread.
pub(super) async fn list(load: Arc<dyn LoadGenerator>, events: mpsc::Sender<Event>) {
    if let Ok(drills) = tokio::task::spawn_blocking(move || load.drills()).await {
        let _ = events.send(Event::Drills(drills)).await;
    }
}

/// Sends the progress of a drill at most once per [`EVERY_PROGRESS`], then its end. The end also goes into the audit
/// log.
async fn follow(
    mut progress: tokio::sync::watch::Receiver<crate::drill::progress::Progress>,
    mut ended: DrillEnded,
    (what, audit): (String, Arc<AuditFile>),
    events: &mpsc::Sender<Event>,
) {
    let mut open = true;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut ended => break result,
            changed = progress.changed(), if open => {
                open = changed.is_ok();
                let now = progress.borrow_and_update().clone();
                // If the console has quit, sending fails. The end of the drill is still logged if the drill ends within
                // [`super::LEAVE`].
                let _ = events.send(Event::DrillProgress(Box::new(now))).await;
                tokio::time::sleep(EVERY_PROGRESS).await;
            }
        }
    };
    let outcome = match &result {
        Ok(report) => Ok(format!("ended: {}", report.verdict.word())),
        Err(reason) => Err(reason.clone()),
    };
    let detail = outcome.as_deref().map_err(String::as_str);
    let entry = AuditEntry::new(now_ms(), &audit.who, &what, TARGET, detail);
    record(audit, entry, events.clone()).await;
    let _ = events.send(Event::DrillEnded(result)).await;
}
