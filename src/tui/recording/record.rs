//! Writes the events of the sources line by line to a compressed file. A separate thread does this, so that a slow disk
//! delays nothing else.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::files::{self, Access};
use crate::tui::event::Event;
use crate::tui::recording::format::{Entry, Head, MAX_BYTES, MAX_TEXT};
use crate::tui::recording::view::RecordingState;

/// The most lines that wait to be written. A disk that is further behind counts as failed.
const WAITING: usize = 256;
/// The longest wait for the last lines when the console quits.
const LEAVE: Duration = Duration::from_secs(3);
/// The compression level. Random ids in log lines limit the ratio of every level; this one is cheap at the rate of
/// lines.
const LEVEL: i32 = 9;
/// Compression searches the last 4 MiB (2^22 bytes), because most lines are recorded twice: the windows of log
/// requests overlap.
const WINDOW_LOG: u32 = 22;

/// A file to record to.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    file: File,
}

impl RecordingFile {
    /// Creates the file, readable by its owner only, because logs may hold personal data. An existing file is an error.
    pub fn create(path: &Path) -> Result<RecordingFile, String> {
        let created = files::create_new(path, Access::Owner);
        let file = created.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(RecordingFile {
            path: path.to_owned(),
            file,
        })
    }
}

/// Takes events and passes them to the thread that writes.
pub(crate) struct Recorder {
    path: PathBuf,
    lines: Option<mpsc::Sender<Vec<u8>>>,
    writer: JoinHandle<()>,
    /// The bytes of text so far, before compression.
    text: u64,
    /// The bytes in the file so far.
    written: Arc<AtomicU64>,
    most: u64,
}

impl Recorder {
    /// Starts the thread and writes the head. An event reports a later failure of the file.
    pub(crate) fn start(
        recording: RecordingFile,
        target: &str,
        events: mpsc::Sender<Event>,
    ) -> Recorder {
        let (lines, receiver) = mpsc::channel(WAITING);
        let RecordingFile { path, file } = recording;
        let shown = path.display().to_string();
        let written = Arc::default();
        let counted = Counted {
            file,
            written: Arc::clone(&written),
        };
        let writer = tokio::task::spawn_blocking(move || {
            if let Err(error) = write(counted, receiver) {
                let why = format!("{shown}: {error}");
                // The console may have quit meanwhile.
                let _ = events.blocking_send(Event::Recording(RecordingState::Stopped(why)));
            }
        });
        let mut recorder = Recorder {
            path,
            lines: Some(lines),
            writer,
            text: 0,
            written,
            most: MAX_BYTES,
        };
        // The new queue has room.
        let _ = serde_json::to_vec(&Head::new(target)).map(|head| recorder.send(head));
        recorder
    }

    /// Records `event` if a source caused it (no other event is serializable); returns the new state to show.
    pub(crate) fn note(&mut self, now: i64, event: &Event) -> Option<RecordingState> {
        self.lines.as_ref()?;
        let line = serde_json::to_vec(&Entry { t: now, event }).ok()?;
        if let Err(why) = self.send(line).and_then(|()| self.room()) {
            self.lines = None;
            return Some(RecordingState::Stopped(format!(
                "{}: {why}",
                self.path.display()
            )));
        }
        Some(RecordingState::Recording(
            self.written.load(Ordering::Relaxed),
        ))
    }

    fn room(&self) -> Result<(), String> {
        let mib = |bytes: u64| bytes / 1024 / 1024;
        if self.written.load(Ordering::Relaxed) >= self.most {
            return Err(format!(
                "it has reached its bound of {} MiB",
                mib(self.most)
            ));
        }
        if self.text >= MAX_TEXT {
            let bound = mib(MAX_TEXT);
            return Err(format!("it has reached its bound of {bound} MiB of text"));
        }
        Ok(())
    }

    fn send(&mut self, mut bytes: Vec<u8>) -> Result<(), String> {
        bytes.push(b'\n');
        let length = bytes.len() as u64;
        let Some(lines) = &self.lines else {
            return Ok(());
        };
        lines
            .try_send(bytes)
            .map_err(|_| "the disk does not keep up".to_owned())?;
        self.text += length;
        Ok(())
    }

    /// Waits until all lines are written, at most [`LEAVE`].
    pub(crate) async fn leave(mut self) {
        self.lines = None;
        let _ = tokio::time::timeout(LEAVE, self.writer).await;
    }
}

/// Counts the bytes that are written to the file.
struct Counted {
    file: File,
    written: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes lines and flushes each as a block that can be decompressed without the next, so that the recording survives
/// a killed console.
fn write(file: Counted, mut lines: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(file, LEVEL)?;
    encoder.window_log(WINDOW_LOG)?;
    while let Some(line) = lines.blocking_recv() {
        encoder.write_all(&line)?;
        while let Ok(line) = lines.try_recv() {
            encoder.write_all(&line)?;
        }
        encoder.flush()?;
    }
    let mut counted = encoder.finish()?;
    counted.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::recording::format::Recording;

    fn down(second: i64) -> Event {
        Event::Down {
            source: crate::tui::connection::Source::Loki,
            reason: "gone".into(),
            retry_ms: second,
        }
    }

    #[tokio::test]
    async fn events_are_recorded_and_read_back_up_to_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sale.jsonl");
        let recording = RecordingFile::create(&path).unwrap();
        assert!(
            RecordingFile::create(&path)
                .unwrap_err()
                .contains("remove it")
        );
        let (events, _told) = mpsc::channel(8);
        let mut recorder = Recorder::start(recording, "here:1", events);
        assert_eq!(
            recorder.note(1, &Event::Tick),
            None,
            "a tick is not recorded"
        );
        let shown = recorder.note(1_000, &down(1));
        assert!(matches!(shown, Some(RecordingState::Recording(_))));
        recorder.text = MAX_TEXT;
        let shown = recorder.note(2_000, &down(2));
        assert!(
            matches!(&shown, Some(RecordingState::Stopped(why)) if why.contains("bound")),
            "{shown:?}"
        );
        assert_eq!(recorder.note(3_000, &down(3)), None, "it has ended");
        recorder.leave().await;
        let recording = Recording::read(&path).unwrap();
        assert_eq!(recording.head.target, "here:1");
        assert_eq!(recording.span(), (1_000, 2_000));
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_recording_only() {
        let full = Path::new("/dev/full");
        let file = File::options().write(true).open(full).unwrap();
        let path = full.to_owned();
        let (events, mut received) = mpsc::channel(8);
        let recorder = Recorder::start(RecordingFile { path, file }, "here:1", events);
        let event = tokio::time::timeout(Duration::from_secs(10), received.recv()).await;
        assert!(
            matches!(event.unwrap(), Some(Event::Recording(RecordingState::Stopped(why))) if why.contains("/dev/full"))
        );
        recorder.leave().await;
    }

    #[tokio::test]
    async fn a_disk_that_does_not_keep_up_ends_the_recording_only() {
        let (reader, mut stuck) = std::io::pipe().unwrap();
        // Fills the pipe, because nothing reads it.
        stuck.write_all(&[0; 64 * 1024]).unwrap();
        let recording = RecordingFile {
            path: "stuck".into(),
            file: std::os::fd::OwnedFd::from(stuck).into(),
        };
        let (events, _told) = mpsc::channel(8);
        let mut recorder = Recorder::start(recording, "here:1", events);
        // Compression does not shorten random text.
        let random = || Event::LogsRefused {
            reason: (0..200).map(|_| rand::random::<char>()).collect(),
        };
        let shown = (0..10_000).map(|second| recorder.note(second, &random()));
        let stopped = shown.into_iter().find_map(|shown| match shown {
            Some(RecordingState::Stopped(why)) => Some(why),
            _ => None,
        });
        assert_eq!(stopped.as_deref(), Some("stuck: the disk does not keep up"));
        // Quitting does not wait for a stuck thread.
        recorder.leave().await;
        drop(reader);
    }

    #[tokio::test]
    async fn a_recording_is_bounded_and_only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sale.jsonl");
        let recording = RecordingFile::create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (events, _told) = mpsc::channel(8);
        let mut recorder = Recorder::start(recording, "here:1", events);
        recorder.written.store(MAX_BYTES, Ordering::Relaxed);
        let shown = recorder.note(1, &down(1));
        assert!(
            matches!(&shown, Some(RecordingState::Stopped(why)) if why.contains("64 MiB")),
            "{shown:?}"
        );
        recorder.leave().await;
    }
}
