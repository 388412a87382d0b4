//! The loop of the console: takes keys first, then signals, then events of the tasks; draws after a change.

pub(crate) mod screen;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event as TermEvent, EventStream, KeyEventKind, MouseEventKind};
use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::tui::app::screen::Screen;
use crate::tui::audit::AuditFile;
use crate::tui::connection::{Link, Source};
use crate::tui::effects::Effects;
use crate::tui::event::{Effect, Event};
use crate::tui::load_generator::LoadGenerator;
use crate::tui::model::Model;
use crate::tui::recording::format::Recording;
use crate::tui::recording::record::Recorder;
use crate::tui::recording::replay;
use crate::tui::recording::replay::Player;
use crate::tui::recording::view::RecordingState;
use crate::tui::sources;
use crate::tui::sources::Refresh;
use crate::tui::sources::clients::{Clients, now_ms};
use crate::tui::sources::plan::Plan;
use crate::tui::terminal::Session;
use crate::tui::update::update;
use crate::tui::{Exit, Failure, Options, screens, terminal};

/// The shortest interval between two frames that new data cause.
const FRAME: Duration = Duration::from_millis(100);
/// The shortest interval between two frames that answer a key. A key that is held down repeats about every 33 ms.
const KEY_FRAME: Duration = Duration::from_millis(30);
/// The interval at which ages on the screen advance: they are in seconds.
const TICK: Duration = Duration::from_secs(1);
/// The number of further rounds of queries that `--once` makes, because earlier answers make new queries possible.
const MORE_ROUNDS: usize = 3;
/// Capacity of the channel of events.
const EVENTS: usize = 256;

/// An effect on the loop itself.
enum After {
    Quit,
    Suspend,
}

/// A running console: the model, and the tasks between it and the sources.
pub(crate) struct App {
    /// Boxed: it is large, and futures hold it.
    pub(super) model: Box<Model>,
    events: mpsc::Receiver<Event>,
    plan: watch::Sender<Plan>,
    effects: Effects,
    tasks: tokio::task::JoinSet<()>,
    recorder: Option<Recorder>,
    /// Plays a recording. While it is present, no source is asked.
    player: Option<Player>,
    panic_after_start: bool,
}

impl App {
    /// Starts to ask the sources, or to play a recording.
    pub(crate) fn start(options: Options, clients: Clients, load: Arc<dyn LoadGenerator>) -> App {
        let mut model = Box::new(options.model(&clients));
        model.load.scenarios = load.scenarios();
        let (sender, events) = mpsc::channel(EVENTS);
        let recorder = options.record.map(|file| {
            model.recording = RecordingState::Recording(0);
            Recorder::start(file, &model.settings.target, sender.clone())
        });
        let player = options.replay.map(|recording| {
            let player = Player::new(recording);
            model.recording = player.view();
            player
        });
        let (plan, follow) = watch::channel(model.plan());
        let refresh = Refresh::default();
        let tasks = match &player {
            None => sources::spawn(&clients, &follow, &refresh, &sender),
            Some(_) => Default::default(),
        };
        let audit = AuditFile::new(options.audit_log, options.who);
        App {
            model,
            events,
            plan,
            effects: Effects::new(clients, load, refresh, sender, options.token, audit),
            tasks,
            recorder,
            player,
            panic_after_start: options.panic_after_start,
        }
    }

    /// Runs until the user, a signal or a failure ends it.
    pub(crate) async fn run(
        &mut self,
        screen: &mut impl Screen,
        mut input: impl Stream<Item = io::Result<TermEvent>> + Unpin,
        mut ended: impl Future<Output = Exit> + Unpin,
    ) -> Result<Exit, Failure> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut drawn = Instant::now() - FRAME;
        let mut dirty = Some(KEY_FRAME);
        loop {
            if let Some(pause) = dirty
                && drawn.elapsed() >= pause
            {
                self.draw(screen)?;
                drawn = Instant::now();
                dirty = None;
            }
            let next_frame = drawn + dirty.unwrap_or(FRAME);
            let event = tokio::select! {
                biased;
                key = input.next() => {
                    let Some(event) = translate(key)? else { continue };
                    dirty = Some(KEY_FRAME);
                    event
                }
                exit = &mut ended => return Ok(exit),
                () = screen.continued() => {
                    screen.take_back().map_err(Failure::Terminal)?;
                    Event::Resize
                }
                Some(event) = self.events.recv() => event,
                () = Player::due(self.player.as_ref()) => match self.played() {
                    Some(event) => event,
                    None => continue,
                },
                () = tokio::time::sleep_until(next_frame), if dirty.is_some() => continue,
                _ = tick.tick() => terminal::take_broken().map_or(Event::Tick, Event::Broken),
            };
            dirty = dirty.or(Some(FRAME));
            match self.take(event, screen)? {
                Some(After::Quit) => return Ok(Exit::Asked),
                Some(After::Suspend) => {
                    screen.suspend().await.map_err(Failure::Terminal)?;
                    dirty = Some(KEY_FRAME);
                }
                None => {}
            }
        }
    }

    fn draw(&mut self, screen: &mut impl Screen) -> Result<(), Failure> {
        if !terminal::is_ours() && cfg!(not(test)) {
            return Err(Failure::Broken);
        }
        self.model.now = self.now();
        let mut size = self.model.size;
        let painted = screen.draw(|buffer| {
            size = (buffer.area.width, buffer.area.height);
            screens::draw(&self.model, buffer);
        });
        painted.map_err(Failure::Terminal)?;
        // The size of the screen decides what to fetch.
        if std::mem::replace(&mut self.model.size, size) != size {
            self.publish();
        }
        assert!(
            !self.panic_after_start,
            "asked to break after the first frame"
        );
        Ok(())
    }

    /// The time that is shown: the recorded time while a recording plays.
    fn now(&self) -> i64 {
        self.player.as_ref().map_or_else(now_ms, Player::now)
    }

    /// The next line of the recording.
    fn played(&mut self) -> Option<Event> {
        let player = self.player.as_mut()?;
        let event = player.next(&self.model)?;
        let view = player.view();
        if view != self.model.recording {
            let now = player.now();
            update(&mut self.model, now, Event::Recording(view));
        }
        Some(event)
    }

    fn take(&mut self, event: Event, screen: &mut impl Screen) -> Result<Option<After>, Failure> {
        let now = self.now();
        let view = self
            .recorder
            .as_mut()
            .and_then(|recorder| recorder.note(now, &event));
        if let Some(view) = view {
            update(&mut self.model, now, Event::Recording(view));
        }
        for effect in update(&mut self.model, now, event) {
            match effect {
                Effect::Quit => return Ok(Some(After::Quit)),
                Effect::Suspend => return Ok(Some(After::Suspend)),
                Effect::Bell => screen.bell().map_err(Failure::Terminal)?,
                Effect::Redraw => screen.clear().map_err(Failure::Terminal)?,
                Effect::Play(speed) => {
                    if let Some(player) = &mut self.player {
                        player.set_speed(speed);
                    }
                }
                // A recording asks no source.
                _ if self.player.is_some() => {}
                effect => self.effects.carry_out(effect, &self.model),
            }
        }
        let again = self.player.as_mut().map(|player| player.again(&self.model));
        for event in again.into_iter().flatten() {
            update(&mut self.model, now, event);
        }
        self.publish();
        Ok(None)
    }

    fn publish(&self) {
        let plan = self.model.plan();
        self.plan.send_if_modified(|old| {
            let changed = *old != plan;
            *old = plan;
            changed
        });
    }

    /// Stops all tasks.
    pub(crate) async fn leave(mut self) {
        self.tasks.abort_all();
        if let Some(recorder) = self.recorder.take() {
            recorder.leave().await;
        }
        drop(self.events);
        let seeding = self.model.is_seeding() && self.model.settings.embedded;
        self.effects.leave(seeding).await;
    }
}

/// Translates a terminal event; `None` for one that the console ignores.
fn translate(event: Option<io::Result<TermEvent>>) -> Result<Option<Event>, Failure> {
    match event {
        None => Err(Failure::Terminal(io::ErrorKind::UnexpectedEof.into())),
        Some(Err(error)) => Err(Failure::Terminal(error)),
        Some(Ok(TermEvent::Key(key))) if key.kind != KeyEventKind::Release => {
            Ok(Some(Event::Key(key)))
        }
        Some(Ok(TermEvent::Mouse(mouse))) if mouse.kind != MouseEventKind::Moved => {
            Ok(Some(Event::Mouse(mouse)))
        }
        Some(Ok(TermEvent::Paste(text))) => Ok(Some(Event::Paste(text))),
        Some(Ok(TermEvent::Resize(..))) => Ok(Some(Event::Resize)),
        Some(Ok(_)) => Ok(None),
    }
}

/// Takes over the terminal, runs the console, restores the terminal.
pub(crate) async fn run(
    mut options: Options,
    clients: Clients,
    load: Arc<dyn LoadGenerator>,
) -> Result<Exit, Failure> {
    let ended = Box::pin(ended(options.server_ended.take()));
    let mouse = options.mouse;
    let mut app = App::start(options, clients, load);
    let mut session = Session::start(mouse).map_err(Failure::Terminal)?;
    let result = app.run(&mut session, EventStream::new(), ended).await;
    // Restore the terminal first: the rest may take seconds.
    drop(session);
    Box::pin(app.leave()).await;
    result
}

/// Resolves at a signal or at the end of the embedded server.
async fn ended(server: Option<crate::tui::ServerEnded>) -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = |kind: SignalKind, number: u8| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
                Exit::Signal(number)
            }
            // Without a handler the signal ends the process by default.
            Err(_) => std::future::pending().await,
        }
    };
    let server = async {
        match server {
            Some(ended) => Exit::ServerEnded(ended.await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        exit = caught(SignalKind::terminate(), 15) => exit,
        exit = caught(SignalKind::hangup(), 1) => exit,
        exit = caught(SignalKind::interrupt(), 2) => exit,
        exit = server => exit,
    }
}

/// One screen as text, and whether any source answered.
pub(crate) async fn once(
    options: &Options,
    clients: &Clients,
    load: &dyn LoadGenerator,
    size: (u16, u16),
) -> (String, bool) {
    let mut model = Box::new(options.model_of_once(clients, size));
    model.load.scenarios = load.scenarios();
    model.drills.take(load.drills());
    let mut plan = model.plan();
    for event in Box::pin(sources::once(clients, &plan)).await {
        update(&mut model, now_ms(), event);
    }
    // The first answers name instances and label values, which other queries need.
    for _ in 0..MORE_ROUNDS {
        let next = model.plan();
        if next == plan {
            break;
        }
        for event in sources::again(clients, &next).await {
            update(&mut model, now_ms(), event);
        }
        plan = next;
    }
    model.notice = None;
    let answered = Source::ALL
        .iter()
        .any(|source| model.source(*source).link == Link::Up);
    (as_text(&model, size), answered)
}

/// One screen at the end of a recording, as text.
pub(crate) fn replayed(mut model: Model, recording: &Recording) -> String {
    for entry in &recording.entries {
        let event = replay::fitted_event(entry, &model);
        update(&mut model, entry.t, event);
    }
    model.recording = RecordingState::Playing(replay::at_end(recording));
    model.notice = None;
    as_text(&model, model.size)
}

pub(crate) fn as_text(model: &Model, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height))
        .expect("a buffer in memory has no way to fail");
    terminal
        .draw(|frame| screens::draw(model, frame.buffer_mut()))
        .expect("a buffer in memory has no way to fail");
    let mut text = screens::as_lines(terminal.backend().buffer()).join("\n");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
