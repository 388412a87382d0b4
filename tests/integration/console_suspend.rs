//! Ctrl-Z and fg: the shell gets the terminal, and the console takes it over again.

use rustix::process::Signal;

use crate::terminal::{Console, cells};

fn embedded(dir: &std::path::Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let args = [
        "--ops-addr",
        "127.0.0.1:0",
        "--api-addr",
        "127.0.0.1:0",
        "--data-dir",
        dir,
    ];
    args.map(str::to_owned).to_vec()
}

#[test]
fn ctrl_z_gives_the_shell_its_terminal_and_fg_brings_the_console_back() {
    let dir = tempfile::tempdir().unwrap();
    // A shell with job control, which continues when the console has stopped.
    let script = "set -m; \"$0\" tui \"$@\"; echo \"stopped with $?\"; read -r line; \
                  fg > /dev/null; echo \"ended with $?\"";
    let mut console = Console::script(script, &embedded(dir.path()), (80, 24));
    console.see("press s to seed demo data");
    console.press("a");
    console.see("Raise an alert");
    console.press("half typed");
    console.see("half typed");
    console.press("\x1a");
    // 148 is 128 plus the number of SIGTSTP.
    console.see("stopped with 148");
    {
        let screen = console.screen.lock();
        assert!(
            !screen.screen().alternate_screen(),
            "the shell's own screen"
        );
        assert!(!screen.screen().hide_cursor(), "the cursor is visible");
        assert!(!screen.screen().bracketed_paste());
    }
    assert_eq!(
        console.line_discipline(),
        console.before,
        "the shell's terminal settings are restored"
    );
    console.press("\r");
    console.see("half typed");
    {
        let screen = console.screen.lock();
        assert!(screen.screen().alternate_screen() && screen.screen().bracketed_paste());
    }
    assert_ne!(
        console.line_discipline(),
        console.before,
        "the terminal must be in raw mode again"
    );
    console.press("\x1b");
    console.until("the form closed", |text| !text.contains("Raise an alert"));
    console.press("q");
    console.see("ended with 0");
    let (status, _) = console.ended_with_the_terminal_restored();
    assert!(status.success());
}

#[test]
fn a_console_that_another_process_stopped_draws_its_whole_screen_when_it_continues() {
    let dir = tempfile::tempdir().unwrap();
    let args = embedded(dir.path());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut console = Console::run(&args, &[], (80, 24));
    console.see("press s to seed demo data");
    console.signal(Signal::STOP);
    // An empty screen stands for one that other programs have overwritten.
    *console.screen.lock() = vt100::Parser::new(cells(24), cells(80), 0);
    console.signal(Signal::CONT);
    console.see("press s to seed demo data");
    console.see("Overview");
    assert!(console.screen.lock().screen().alternate_screen());
    console.press("q");
    assert!(console.ended_with_the_terminal_restored().0.success());
}

/// No shell could continue the console, so the system ignores the signal, and the console continues.
#[test]
fn ctrl_z_without_a_shell_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    let args = embedded(dir.path());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut console = Console::run(&args, &[], (80, 24));
    console.see("press s to seed demo data");
    console.press("\x1a?");
    console.see("Actions, from any screen");
    console.press("\x1b");
    console.until("the help closed", |text| {
        !text.contains("Actions, from any screen")
    });
    console.press("q");
    assert!(console.ended_with_the_terminal_restored().0.success());
}
