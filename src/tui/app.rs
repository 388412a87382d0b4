//! The loop: keys first, then signals, then what the tasks learned; drawn when something changed.

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
use crate::tui::effects::Outside;
use crate::tui::event::{Effect, Event};
use crate::tui::load_port::LoadPort;
use crate::tui::model::{Model, Settings};
use crate::tui::recording::record::Recorder;
use crate::tui::recording::replay;
use crate::tui::recording::replay::Player;
use crate::tui::recording::tape::Tape;
use crate::tui::recording::view::TapeView;
use crate::tui::screens::board::Board;
use crate::tui::sources::fetch;
use crate::tui::sources::fetch::{Clients, Nudges, now_ms};
use crate::tui::sources::plan::Plan;
use crate::tui::terminal::Session;
use crate::tui::update::update;
use crate::tui::{Exit, Failure, Options, screens, terminal};

/// Pause between two frames that new data cause: ten a second.
const FRAME: Duration = Duration::from_millis(100);
/// The same for a frame that answers a key. A key that is held down repeats about every 33 ms.
const KEY_FRAME: Duration = Duration::from_millis(30);
/// Ages on the screen are in seconds.
const TICK: Duration = Duration::from_secs(1);
/// How often `--once` asks again for what the answers made known.
const MORE_ROUNDS: usize = 3;
/// Events on their way to the loop.
const EVENTS: usize = 256;

/// What the loop itself is to do after an event.
enum After {
    Quit,
    Suspend,
}

/// All between the terminal and the sources.
pub(crate) struct App {
    /// On the heap: it is large, and futures hold it.
    pub(super) model: Box<Model>,
    events: mpsc::Receiver<Event>,
    plan: watch::Sender<Plan>,
    outside: Outside,
    tasks: tokio::task::JoinSet<()>,
    recorder: Option<Recorder>,
    /// Plays a recording; then nobody is asked.
    player: Option<Player>,
    panic_after_start: bool,
}

impl App {
    /// A console that has begun to fetch, or to play a recording.
    pub(crate) fn new(
        settings: Settings,
        clients: Clients,
        load: Arc<dyn LoadPort>,
        options: &mut Options,
    ) -> App {
        let mut model = Model {
            settings,
            now: now_ms(),
            screen: options.screen,
            ..Model::default()
        };
        model.load.scenarios = load.scenarios();
        model.board = Board::of(options.dashboard.as_ref());
        let (sender, events) = mpsc::channel(EVENTS);
        let start = |file| Recorder::start(file, &model.settings.target, sender.clone());
        let recorder = options.record.take().map(start);
        if recorder.is_some() {
            model.tape = TapeView::Recording(0);
        }
        let player = options.replay.take().map(Player::new);
        if let Some(player) = &player {
            model.tape = player.view();
        }
        let (plan, follow) = watch::channel(model.plan());
        let nudges = Nudges::default();
        let tasks = match &player {
            None => fetch::spawn(&clients, &follow, &nudges, &sender),
            Some(_) => Default::default(),
        };
        // Without a password: it is told to the load generator and to people.
        let ops_url = clients.ops.source().base().to_owned();
        let outside = Outside::new(
            clients,
            load,
            nudges,
            sender,
            ops_url,
            options.token.clone(),
            AuditFile::new(options.audit_log.clone(), options.who.clone()),
        );
        App {
            model: Box::new(model),
            events,
            plan,
            outside,
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
        // How much is seen decides what is asked.
        if std::mem::replace(&mut self.model.size, size) != size {
            self.publish();
        }
        assert!(
            !self.panic_after_start,
            "asked to break after the first frame"
        );
        Ok(())
    }

    /// The time that is shown: of the recording while one is played.
    fn now(&self) -> i64 {
        self.player.as_ref().map_or_else(now_ms, Player::now)
    }

    /// The next line of the recording.
    fn played(&mut self) -> Option<Event> {
        let player = self.player.as_mut()?;
        let event = player.next(&self.model)?;
        let view = player.view();
        if view != self.model.tape {
            let now = player.now();
            update(&mut self.model, now, Event::Tape(view));
        }
        Some(event)
    }

    fn take(&mut self, event: Event, screen: &mut impl Screen) -> Result<Option<After>, Failure> {
        let now = self.now();
        let view = self
            .recorder
            .as_mut()
            .and_then(|tape| tape.note(now, &event));
        if let Some(view) = view {
            update(&mut self.model, now, Event::Tape(view));
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
                // Whatever a screen wants to ask: of a recording nobody is asked.
                _ if self.player.is_some() => {}
                effect => self.outside.carry_out(effect, &self.model),
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

    /// Stops what is under way.
    pub(crate) async fn leave(mut self) {
        self.tasks.abort_all();
        if let Some(recorder) = self.recorder.take() {
            recorder.leave().await;
        }
        drop(self.events);
        let seeding = self.model.is_seeding() && self.model.settings.embedded;
        self.outside.leave(seeding).await;
    }
}

/// What the terminal said, as an event; nothing for what is of no interest.
fn translate(said: Option<io::Result<TermEvent>>) -> Result<Option<Event>, Failure> {
    match said {
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

/// Takes the terminal over, runs, gives it back.
pub(crate) async fn attached(
    settings: Settings,
    clients: Clients,
    load: Arc<dyn LoadPort>,
    mut options: Options,
) -> Result<Exit, Failure> {
    let server = options.server_ended.take();
    let mut app = App::new(settings, clients, load, &mut options);
    let mut session = Session::start(options.mouse).map_err(Failure::Terminal)?;
    let ended = Box::pin(ended(server));
    let result = app.run(&mut session, EventStream::new(), ended).await;
    // The terminal first: what follows may take seconds.
    drop(session);
    Box::pin(app.leave()).await;
    result
}

/// A signal, or the end of the embedded server.
async fn ended(server: Option<crate::tui::ServerEnded>) -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = |kind: SignalKind, number: u8| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
                Exit::Signal(number)
            }
            // Without a handler the signal ends the process as it always did.
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
    settings: Settings,
    clients: &Clients,
    load: &dyn LoadPort,
    options: &Options,
    size: (u16, u16),
) -> (String, bool) {
    let settings = Settings {
        once: true,
        colour: false,
        ..settings
    };
    let mut model = Box::new(Model {
        settings,
        now: now_ms(),
        screen: options.screen,
        size,
        ..Model::default()
    });
    model.load.scenarios = load.scenarios();
    model.board = Board::of(options.dashboard.as_ref());
    let mut plan = model.plan();
    for event in fetch::once(clients, &plan).await {
        update(&mut model, now_ms(), event);
    }
    // Which instances and values there are is known now: what they are asked may be new.
    for _ in 0..MORE_ROUNDS {
        let next = model.plan();
        if next == plan {
            break;
        }
        for event in fetch::again(clients, &next).await {
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

/// The end of a recording, one screen of it as text.
pub(crate) fn replayed(
    settings: Settings,
    tape: &Tape,
    screen: crate::tui::model::Screen,
    board: Board,
    size: (u16, u16),
) -> String {
    let mut model = Model {
        settings: Settings {
            once: true,
            colour: false,
            ..settings
        },
        screen,
        board,
        size,
        ..Model::default()
    };
    for entry in &tape.entries {
        if let Some(event) = replay::fitted_event(entry, &model) {
            update(&mut model, entry.t, event);
        }
    }
    model.tape = TapeView::Playing(replay::at_end(tape));
    model.notice = None;
    as_text(&model, size)
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
