//! The console's drills. Each is `concertctl drill` in a process of its own, which ends when the console stops it or no
//! longer reads it.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{oneshot, watch};

use crate::drill::basis::Basis;
use crate::drill::blind;
use crate::drill::blind::action::Action;
use crate::drill::file::{Drill, shipped};
use crate::drill::kept;
use crate::drill::plan::outline;
use crate::drill::progress::{Line, Progress};
use crate::drill::report::Report;
use crate::tui::drill_runner::{DrillInfo, DrillRun};
use crate::yaml::FileError;

/// The directory of the operator's own drill files, below the working directory.
const SCENARIOS: &str = "scenarios";
/// The most files of that directory in the list.
const MOST_FILES: usize = 64;
/// The longest line of progress, in bytes. The report of a drill of ten minutes has some hundred thousand.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// The shipped drills, then the other drill files in `scenarios/`. `kept_in` holds their reports.
pub(super) fn list(kept_in: &Path) -> Vec<DrillInfo> {
    let basis = Basis::embedded(&[]);
    let shipped = shipped()
        .iter()
        .map(|(name, _)| info(name, None, &basis, kept_in));
    let files = files(Path::new(SCENARIOS)).into_iter().map(|path| {
        let name = path.display().to_string();
        info(&name, Some(path), &basis, kept_in)
    });
    let blind = DrillInfo {
        name: blind::NAME.to_owned(),
        title: blind::TITLE.to_owned(),
        traffic: "onsale-short".to_owned(),
        ..DrillInfo::default()
    };
    shipped.chain([blind]).chain(files).collect()
}

/// The files `drill-*.yaml` in `dir`, except unchanged copies of the shipped drills.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_drill = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.strip_prefix("drill-")?.strip_suffix(".yaml"));
        name.is_some_and(|name| path.is_file() && !is_shipped(name, path))
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_drill).collect();
    files.sort();
    files.truncate(MOST_FILES);
    files
}

fn is_shipped(name: &str, path: &Path) -> bool {
    let known = shipped().iter().find(|(known, _)| *known == name);
    known.is_some_and(|(_, text)| {
        std::fs::read_to_string(path).is_ok_and(|content| content == *text)
    })
}

fn info(
    name: &str,
    file: Option<PathBuf>,
    basis: &Result<Basis, FileError>,
    kept_in: &Path,
) -> DrillInfo {
    let listed = file.as_ref().and_then(|path| path.file_stem()?.to_str());
    let named = DrillInfo {
        name: listed.unwrap_or(name).to_owned(),
        file: file.clone(),
        ..DrillInfo::default()
    };
    let drill = match Drill::load(name) {
        Ok(drill) => drill,
        Err(error) => {
            return DrillInfo {
                problem: Some(error.to_string()),
                ..named
            };
        }
    };
    let planned = match basis {
        Ok(basis) => outline(&drill, basis).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let (plan, problem) = match planned {
        Ok(plan) => (plan, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let last = kept::last(kept_in, &drill.name);
    DrillInfo {
        title: drill.title,
        traffic: drill.load,
        watch: drill.watch.to_string(),
        plan,
        problem,
        last: last.map(|(path, report)| (path, Box::new(report))),
        ..named
    }
}

/// Starts `drill`, a name or a file. Its report is kept in the data directory.
pub(super) fn start(drill: &str, data_dir: &Path) -> Result<DrillRun, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("this program's own file is not known: {error}"))?;
    let mut command = Command::new(program);
    command.args(["drill", "--progress", "-", "--data-dir"]);
    command.arg(data_dir);
    match drill == blind::NAME {
        true => command.args(["--blind", "--player", "-"]),
        false => command.arg("--").arg(drill),
    };
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A process group of its own: a signal of the terminal to the console's group, such as a suspension, must not
        // reach the drill.
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| format!("the drill cannot be started: {error}"))?;
    let missing = "the drill has no pipes";
    let (out, told) = (child.stdout.take(), child.stderr.take());
    let player = Mutex::new(child.stdin.take());
    let (out, told) = (out.ok_or(missing)?, told.ok_or(missing)?);
    let last_words = Arc::<Mutex<String>>::default();
    let words = Arc::clone(&last_words);
    // Each thread ends when its pipe closes.
    std::thread::spawn(move || remember_last_line(told, &words));
    let child = Arc::new(Mutex::new(Some(child)));
    let (sender, progress) = watch::channel(Progress::default());
    let (end, ended) = oneshot::channel();
    let reaped = Arc::clone(&child);
    std::thread::spawn(move || {
        let report = follow(out, &sender);
        let status = reaped.lock().take().map(|mut child| child.wait());
        let failed = || {
            let words = last_words.lock().clone();
            match (words.is_empty(), status) {
                (false, _) => words,
                (true, Some(Ok(status))) => format!("the drill ended without a report: {status}"),
                (true, _) => "the drill ended without a report".to_owned(),
            }
        };
        // The receiver is gone if the console has quit.
        drop(end.send(report.ok_or_else(failed)));
    });
    Ok(DrillRun {
        progress,
        stop: Box::new(move || terminate(&child)),
        send_player_action: Box::new(move |action| tell(&mut player.lock(), action)),
        ended: Box::pin(async move {
            let gone = |_| Err("the drill was lost".to_owned());
            ended.await.unwrap_or_else(gone)
        }),
    })
}

/// Writes an action of a blind drill's player to the drill's standard input.
fn tell(player: &mut Option<ChildStdin>, action: &Action) -> bool {
    let line = serde_json::to_string(action).unwrap_or_default();
    let player = player.as_mut();
    // The pipe holds many of these short lines, so the write does not block while the drill reads them.
    player.is_some_and(|player| writeln!(player, "{line}").is_ok())
}

/// Asks the process to end. A process that has ended is not signalled, because another process may have its number.
fn terminate(child: &Mutex<Option<Child>>) {
    // The lock is held elsewhere only while the end is collected.
    if let Some(held) = child.try_lock()
        && let Some(child) = held.as_ref()
    {
        // The process has already ended.
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
    }
}

/// Publishes the progress until the stream ends. Returns the report if it came.
fn follow(out: impl Read, progress: &watch::Sender<Progress>) -> Option<Box<Report>> {
    let mut lines = BufReader::new(out);
    let mut report = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return report,
            Ok(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(Line::Progress(now)) => drop(progress.send_replace(*now)),
            Ok(Line::Report(ended)) => report = Some(ended),
            // The line is of a later version, or it was cut.
            Err(_) => {}
        }
    }
}

/// The longest line of standard error that is kept, in bytes.
const LONGEST_WORDS: u64 = 4_096;

fn remember_last_line(told: impl Read, last: &Mutex<String>) {
    let mut lines = BufReader::new(told);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines
            .by_ref()
            .take(LONGEST_WORDS)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            text.trim().clone_into(&mut last.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_drill_is_listed_with_its_plan() {
        let dir = tempfile::tempdir().unwrap();
        let all = list(dir.path());
        assert!(all.len() >= shipped().len());
        for drill in &all[..shipped().len()] {
            assert_eq!(drill.problem, None, "{}", drill.name);
            let quiet = drill.name.starts_with("quiet");
            assert_eq!(drill.plan.is_empty(), quiet, "{}", drill.name);
            assert!(drill.last.is_none());
        }
    }

    #[test]
    fn files_that_are_not_the_shipped_ones_are_listed_with_what_is_wrong_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let (name, text) = shipped()[0];
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(&format!("drill-{name}.yaml"), text);
        write("drill-mine.yaml", "title: Mine\nload: nowhere\n");
        write("drill-of-another-kind.txt", "");
        write("onsale.yaml", "");
        let found = files(dir.path());
        assert_eq!(found, [dir.path().join("drill-mine.yaml")]);
        let mine = info(
            &found[0].display().to_string(),
            Some(found[0].clone()),
            &Basis::embedded(&[]),
            dir.path(),
        );
        assert_eq!(mine.name, "drill-mine");
        assert!(mine.problem.unwrap().contains("no such scenario"));
        // The same name with another text is a drill of one's own.
        write(&format!("drill-{name}.yaml"), &format!("{text}# mine\n"));
        assert_eq!(files(dir.path()).len(), 2);
    }

    #[test]
    fn a_stream_is_followed_over_lines_that_are_none_and_gives_its_report() {
        let (sender, progress) = watch::channel(Progress::default());
        let now = Progress {
            drill: "errors".to_owned(),
            ..Progress::default()
        };
        let line = serde_json::to_string(&Line::Progress(Box::new(now.clone()))).unwrap();
        let text = format!("not a line\n{line}\n{{\"progress\":");
        assert!(follow(text.as_bytes(), &sender).is_none());
        assert_eq!(*progress.borrow(), now);
    }
}
