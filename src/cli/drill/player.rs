//! The player of a blind drill: a file with a script, or standard input with one action in each line.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::drill::blind::action::Action;
use crate::drill::blind::plan::Sealed;
use crate::drill::blind::script::Script;
use crate::drill::blind::{Blind, MOST_ACTIONS};
use crate::drill::progress::Progress;
use crate::files;

/// The longest line on standard input, in bytes.
const MAX_LINE: u64 = 4_096;

/// Prepares a blind drill with the player that `from` names. `None`: a drill without a player.
///
/// # Errors
/// The file cannot be read, or is not a player's script.
pub(super) fn prepare(sealed: Sealed, from: Option<&Path>) -> Result<Arc<Blind>, String> {
    let file = from.filter(|path| !files::is_stdout(path));
    let script = file.map(Script::read).transpose();
    let script = script.map_err(|error| format!("--player {error}"))?;
    let blind = Blind::new(sealed, script);
    if from.is_some() && file.is_none() {
        let player = blind.player();
        // The thread ends with standard input, or with the process.
        std::thread::spawn(move || read_actions(&player));
    }
    Ok(blind)
}

fn read_actions(player: &mpsc::Sender<Action>) {
    let mut lines = std::io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if !read.is_ok_and(|count| count > 0) {
            return;
        }
        match action(&line).map(|action| player.blocking_send(action)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                let problem = format!("no more actions: the drill is over, or took {MOST_ACTIONS}");
                drop(writeln!(std::io::stderr(), "--player -: {problem}"));
                return;
            }
            Err(problem) => drop(writeln!(std::io::stderr(), "--player -: {problem}")),
        }
    }
}

fn action(line: &[u8]) -> Result<Action, String> {
    let action = crate::yaml::from_json(line).map_err(|error| error.to_string());
    let action = action.and_then(|value| Action::from_value(&value));
    let action = action.map_err(|problem| {
        format!("not an action: {problem}; write one such as {{\"acknowledge\":\"SlowBuying\"}}")
    })?;
    action.check()?;
    Ok(action)
}

/// Prints the command that watches the drill's server, as soon as the server answers.
pub(super) async fn print_watch_command(mut progress: watch::Receiver<Progress>) {
    let found = progress.wait_for(|now| now.blind.is_some()).await;
    let Ok(Some(board)) = found.map(|now| now.blind.clone()) else {
        return;
    };
    let token = board
        .token_file
        .map(|path| format!(" --ops-token-file {path}"));
    let (url, token) = (board.ops_url, token.unwrap_or_default());
    drop(writeln!(
        std::io::stderr(),
        "watch it: concertctl tui --ops-url {url}{token}"
    ));
}
