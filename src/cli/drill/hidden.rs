//! The command line of a blind drill, hidden from the process list. The program replaces itself, and hands its
//! arguments over through a pipe.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

/// The arguments that the process list shows instead, before the number of the pipe.
const SHOWN: [&str; 3] = ["drill", "--blind", "--arguments-from"];
/// The most bytes of arguments: as many as a pipe holds on every system before its reader begins.
const MAX_BYTES: usize = 16 * 1024;

/// The arguments of this process, and whether they came through a pipe.
///
/// # Errors
/// The pipe cannot be read.
pub(in crate::cli) fn arguments() -> Result<(Vec<OsString>, bool), String> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let Some(number) = given.get(4).filter(|_| given[1..4] == SHOWN) else {
        return Ok((given, false));
    };
    let path = std::path::Path::new("/dev/fd").join(number);
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&path)
        .and_then(|file| file.take(MAX_BYTES as u64).read_to_end(&mut bytes));
    read.map_err(|error| format!("--arguments-from {}: {error}", path.display()))?;
    let arguments = bytes.split(|byte| *byte == 0);
    let arguments = arguments.map(|bytes| OsString::from_vec(bytes.to_vec()));
    let program = given.into_iter().take(1);
    Ok((program.chain(arguments).collect(), true))
}

/// Replaces this process by one with the same arguments, which the process list does not show. Returns only if that
/// fails, with the reason.
pub(super) fn hide() -> String {
    let Err(error) = replace();
    format!("the command line cannot be hidden from the process list: {error}")
}

fn replace() -> std::io::Result<Infallible> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let bytes = arguments.join(OsStr::new("\0"));
    if bytes.len() > MAX_BYTES {
        return Err(std::io::Error::other("it is too long"));
    }
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(bytes.as_bytes())?;
    drop(writer);
    // Without the flag "close on exec" the next program inherits the pipe.
    fcntl_setfd(&reader, FdFlags::empty())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(SHOWN).arg(reader.as_raw_fd().to_string());
    Err(command.exec())
}
