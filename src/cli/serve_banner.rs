//! The text that `serve` prints on its terminal at the start. Programs read the log and `server.json` instead.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use crate::serve::Running;
use crate::settings::{OPS_ADDR, ops_token_file};

/// Prints the addresses and the next commands, if standard error is a terminal.
pub(super) fn show(running: &Running, data_dir: &Path) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A closed terminal must not stop the server.
        drop(stderr.write_all(text(running, data_dir).as_bytes()));
    }
}

fn text(running: &Running, data_dir: &Path) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (api, ops) = (running.api_url(), running.ops_url());
    let dir = data_dir.display();
    let token = ops_token_file(data_dir);
    let token = token.display();
    // Commands find the server by its data directory. The console tries the default address first.
    let on = match *data_dir == crate::settings::data_dir() {
        true => String::new(),
        false => format!(" --data-dir {dir}"),
    };
    let console = match running.ops_addr == OPS_ADDR {
        true => on.clone(),
        false => format!("{on} --ops-addr {}", running.ops_addr),
    };
    format!(
        "\n  concertctl {version} is serving; Ctrl-C stops it\n\
         \n  ticketing API    {api}   described at {api}/openapi.json\
         \n  operations API   {ops}   token in {token}\
         \n  data             {dir}\n\
         \n  next, in another terminal:\
         \n    concertctl seed demo{on}   10,000 seats to sell\
         \n    concertctl tui{console}   the console\
         \n    concertctl load{on}   rehearse an on-sale\n\n"
    )
}
