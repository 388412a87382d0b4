//! The loop with sources that hang, a server that ends, and a rehearsal under way when the console quits.

use std::path::Path;
use std::pin::Pin;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::drill::blind::action::Action;
use crate::load::{Command, ScenarioInfo};
use crate::tui::drill_runner::DrillRun;
use crate::tui::load_generator::{NoLoad, Run, StartRequest};

/// Frames kept in memory, the newest last.
#[derive(Clone)]
struct Frames(mpsc::UnboundedSender<(std::time::Instant, String)>);

impl crate::tui::app::Screen for Frames {
    fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 80, 24));
        paint(&mut buffer);
        let text = buffer.content.iter().map(|cell| cell.symbol()).collect();
        let _ = self.0.send((std::time::Instant::now(), text));
        Ok(())
    }

    fn bell(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn continued(&mut self) {
        std::future::pending().await
    }

    fn take_back(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Input = Pin<Box<dyn Stream<Item = io::Result<TermEvent>> + Send>>;

/// A keyboard that the test types on.
fn keyboard() -> (mpsc::UnboundedSender<KeyCode>, Input) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::unfold(receiver, |mut keys| async move {
        let code: KeyCode = keys.recv().await?;
        Some((
            Ok(TermEvent::Key(KeyEvent::new(code, KeyModifiers::NONE))),
            keys,
        ))
    });
    (sender, Box::pin(stream))
}

fn options(url: &str) -> Options {
    Options {
        ops_url: url.into(),
        prometheus_url: url.into(),
        loki_url: url.into(),
        tempo_url: url.into(),
        alertmanager_url: url.into(),
        token: None,
        credentials: Default::default(),
        source_timeout: crate::clients::TIMEOUT,
        read_only: false,
        who: "mona".into(),
        audit_log: None,
        colour: true,
        ascii: false,
        light: false,
        zone: Default::default(),
        mouse: false,
        screen: Default::default(),
        dashboard: None,
        embedded: false,
        server_ended: None,
        record: None,
        replay: None,
        panic_after_start: false,
    }
}

fn app(url: &str, load: Arc<dyn LoadGenerator>) -> App {
    let options = options(url);
    let clients = options.clients().unwrap();
    App::start(options, clients, load)
}

/// Accepts every connection and never answers.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_answered_at_once_while_every_source_hangs() {
    let mut app = app(&silent().await, Arc::new(NoLoad));
    let (frames, mut drawn) = mpsc::unbounded_channel();
    let (keys, input) = keyboard();
    let never = Box::pin(std::future::pending());
    let console = tokio::spawn(async move {
        let exit = app.run(&mut Frames(frames), input, never).await;
        (exit.map_err(|failure| failure.to_string()), app)
    });
    let mut waits = Vec::new();
    for round in 0..10 {
        let (code, wanted) = match round % 2 {
            0 => (KeyCode::Char('?'), "Actions, from any screen"),
            _ => (KeyCode::Esc, "5xx rate"),
        };
        let pressed = std::time::Instant::now();
        keys.send(code).unwrap();
        let answered = async {
            while let Some((at, text)) = drawn.recv().await {
                let help = text.contains("Actions, from any screen");
                if at > pressed && text.contains(wanted) && help == (round % 2 == 0) {
                    return at - pressed;
                }
            }
            panic!("the console ended")
        };
        let wait = tokio::time::timeout(Duration::from_secs(10), answered).await;
        waits.push(wait.expect("a frame that answers the key"));
    }
    waits.sort();
    // A console that waited for a source would wait for its time-out. The test uses the median, because a machine under
    // load may delay any single key.
    assert!(waits[5] < crate::clients::TIMEOUT / 2, "{waits:?}");
    keys.send(KeyCode::Char('q')).unwrap();
    let (exit, app) = console.await.unwrap();
    assert_eq!(exit, Ok(Exit::Asked));
    assert!(
        app.model
            .sources
            .iter()
            .all(|source| source.last_ok.is_none()),
        "no source ever answered"
    );
}

#[tokio::test]
async fn a_replay_asks_no_source_and_shows_the_recorded_time() {
    use crate::tui::recording::format::Recording;
    use crate::tui::recording::format::tests::recorded;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let down = Event::Down {
        source: Source::Loki,
        reason: "as recorded".into(),
        retry_ms: 1,
    };
    let mut options = options(&format!("http://{}", listener.local_addr().unwrap()));
    options.replay = Some(Recording::parse(&recorded(&[down])).unwrap());
    let clients = options.clients().unwrap();
    let mut app = App::start(options, clients, Arc::new(NoLoad));
    let (frames, mut drawn) = mpsc::unbounded_channel();
    let (keys, input) = keyboard();
    let never = Box::pin(std::future::pending());
    let console = tokio::spawn(async move {
        let exit = app.run(&mut Frames(frames), input, never).await;
        (exit.map_err(|failure| failure.to_string()), app)
    });
    let shown = async {
        while let Some((_, text)) = drawn.recv().await {
            if text.contains("REPLAY end") && text.contains("12:00:00 UTC") {
                return;
            }
        }
        panic!("the console ended")
    };
    let shown = tokio::time::timeout(Duration::from_secs(10), shown).await;
    shown.expect("a frame with the end of the recording and its time");
    // Actions that change something are off, and dialogs do not open.
    for key in ['s', 'p', 'o', '3', '6', 'q'] {
        keys.send(KeyCode::Char(key)).unwrap();
    }
    let (exit, app) = console.await.unwrap();
    assert_eq!(exit, Ok(Exit::Asked));
    assert!(app.model.settings.read_only);
    assert!(
        listener.accept().is_err(),
        "the replay connected to a source"
    );
}

#[tokio::test]
async fn the_end_of_the_server_and_of_the_terminal_end_the_console() {
    let (frames, _drawn) = mpsc::unbounded_channel();
    let (_keys, input) = keyboard();
    let gone = Box::pin(std::future::ready(Exit::ServerEnded("disk full".into())));
    let url = silent().await;
    let exit = app(&url, Arc::new(NoLoad))
        .run(&mut Frames(frames.clone()), input, gone)
        .await;
    assert_eq!(exit.unwrap(), Exit::ServerEnded("disk full".into()));

    let (keys, input) = keyboard();
    drop(keys);
    let never = Box::pin(std::future::pending());
    let exit = app(&url, Arc::new(NoLoad))
        .run(&mut Frames(frames), input, never)
        .await;
    assert!(matches!(exit, Err(Failure::Terminal(_))), "{exit:?}");
}

/// A load generator that runs until it is stopped.
struct FakeGenerator(CancellationToken);

impl LoadGenerator for FakeGenerator {
    fn scenarios(&self) -> Vec<ScenarioInfo> {
        vec![ScenarioInfo {
            name: "fake".into(),
            title: String::new(),
            dataset: String::new(),
            users: 0,
            file: None,
        }]
    }

    fn read_scenario(&self, _: &Path) -> Result<ScenarioInfo, String> {
        Err("a puppet reads nothing".into())
    }

    fn read_profile(&self, _: &Path) -> Result<String, String> {
        Err("a puppet reads nothing".into())
    }

    fn start(&self, request: StartRequest) -> Result<Run, String> {
        assert_eq!(request.scenario, "fake");
        let (progress, seen) = watch::channel(crate::load::Progress::default());
        let (stop, stopped) = (self.0.clone(), self.0.clone());
        Ok(Run {
            progress: seen,
            control: Box::new(move |command| {
                if command == Command::Stop {
                    stop.cancel();
                }
                true
            }),
            ended: Box::pin(async move {
                let running = crate::load::Progress {
                    requests: 77,
                    ..Default::default()
                };
                progress.send_replace(running);
                stopped.cancelled().await;
                Err("stopped by the command".into())
            }),
        })
    }
}

/// Starts a drill that runs until it is stopped.
struct FakeDrill;

impl LoadGenerator for FakeDrill {
    fn scenarios(&self) -> Vec<ScenarioInfo> {
        NoLoad.scenarios()
    }

    fn read_scenario(&self, path: &Path) -> Result<ScenarioInfo, String> {
        NoLoad.read_scenario(path)
    }

    fn read_profile(&self, path: &Path) -> Result<String, String> {
        NoLoad.read_profile(path)
    }

    fn start(&self, request: StartRequest) -> Result<Run, String> {
        NoLoad.start(request)
    }

    fn start_drill(&self, _: &str) -> Result<DrillRun, String> {
        let (_, progress) = watch::channel(crate::drill::progress::Progress::default());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        Ok(DrillRun {
            progress,
            stop: Box::new(move || stop.cancel()),
            send_player_action: Box::new(|_| true),
            ended: Box::pin(async move {
                stopped.cancelled().await;
                Err("stopped".into())
            }),
        })
    }
}

#[tokio::test]
async fn the_audit_log_names_the_drills_own_server_for_each_action_on_a_drill() {
    let mut app = app(&silent().await, Arc::new(FakeDrill));
    for effect in [
        Effect::StartDrill("blind".into()),
        Effect::PlayDrill(Action::Acknowledge("SlowBuying".into())),
        Effect::StopDrill,
    ] {
        app.effects.carry_out(effect, &app.model);
    }
    let audited = async {
        let mut found = std::collections::BTreeSet::new();
        // The start, the action, the stop, and the end.
        while found.len() < 4 {
            match app.events.recv().await {
                Some(Event::Audited { entry, .. }) => {
                    assert_eq!(entry.target, "a server of its own", "{entry:?}");
                    found.insert((entry.action, entry.detail));
                }
                Some(_) => {}
                None => panic!("the tasks ended"),
            }
        }
        found
    };
    let found = tokio::time::timeout(Duration::from_secs(10), audited)
        .await
        .unwrap();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(action, detail)| (action.as_str(), detail.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("acknowledged SlowBuying", ""),
            ("drill blind", "began"),
            ("drill blind", "stopped"),
            ("stop of the drill", "asked"),
        ]
    );
}

#[tokio::test]
async fn the_console_follows_a_rehearsal_and_stops_it_when_it_quits() {
    let stop = CancellationToken::new();
    let mut app = app(&silent().await, Arc::new(FakeGenerator(stop.clone())));
    app.model.status = Some(crate::api::ops::Status {
        version: String::new(),
        api_addr: "127.0.0.1:1".into(),
        dataset: None,
        queue: Default::default(),
        admission: crate::api::ops::AdmissionState {
            batch: 1,
            every_ms: 1_000,
            paused: false,
            opens_at_ms: None,
            open: true,
            follow: Default::default(),
            rate: 0.0,
        },
        consoles: 1,
        memory_bytes: None,
    });
    let effect = Effect::StartLoad {
        scenario: "fake".into(),
        file: None,
        phase: None,
        reseed: false,
    };
    app.effects.carry_out(effect, &app.model);
    let followed = async {
        loop {
            match app.events.recv().await {
                Some(Event::LoadProgress(progress)) if progress.requests == 77 => return,
                Some(_) => {}
                None => panic!("the tasks ended"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), followed)
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(10), Box::pin(app.leave()))
        .await
        .unwrap();
    assert!(stop.is_cancelled());
}
