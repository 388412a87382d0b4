//! What a run leaves behind: the report on standard output, JSON and a page in files, the comparison
//! with an earlier run, the exit code.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use super::Failure;
use super::args::OutputArgs;
use crate::load::baseline::compare;
use crate::load::report::{self, Colours};
use crate::load::summary::write_whole;
use crate::load::{Summary, Verdict};

/// Files that are read before the run, and looked at whether they can be written after it: a run for
/// nothing is worse than an error.
pub(super) struct Outputs<'a> {
    args: &'a OutputArgs,
    baseline: Option<Summary>,
}

impl<'a> Outputs<'a> {
    pub(super) fn check(args: &'a OutputArgs) -> Result<Outputs<'a>, Failure> {
        can_be_written("--out", args.out.as_deref())?;
        can_be_written("--html", args.html.as_deref())?;
        let baseline = match &args.baseline {
            None => None,
            Some(path) => Some(
                Summary::read(path)
                    .map_err(|error| Failure::usage(format!("--baseline {error}")))?,
            ),
        };
        Ok(Outputs { args, baseline })
    }

    /// Shows and writes the summary; what the process exits with.
    pub(super) fn finish(&self, mut summary: Summary) -> Result<u8, Failure> {
        let args = self.args;
        let compared = self.compare(&mut summary);
        if args.json {
            print(&format!("{}\n", summary.to_json()));
        } else {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let ansi = std::io::stdout().is_terminal() && !plain;
            let colours = if ansi { Colours::Ansi } else { Colours::None };
            print(&report::text(&summary, colours));
        }
        if let Some(path) = &args.out {
            wrote(path, summary.write(path))?;
        }
        if let Some(path) = &args.html {
            wrote(path, write_whole(path, &report::html(&summary)))?;
        }
        // Last: what was measured is there either way.
        compared?;
        Ok(summary.verdict.exit_code())
    }

    fn compare(&self, summary: &mut Summary) -> Result<(), Failure> {
        let Some(before) = &self.baseline else {
            return Ok(());
        };
        let noise = f64::from(self.args.noise) / 100.0;
        let compared = compare(summary, before, noise).map_err(Failure::usage)?;
        let worse = compared.worse();
        if self.args.fail_on_regression && !worse.is_empty() {
            let reason = format!("worse than the baseline: {}", worse.join(", "));
            summary.reasons.push(reason);
            // What could not be told before cannot be told now.
            if summary.verdict == Verdict::Passed {
                summary.verdict = Verdict::Failed;
            }
        }
        summary.baseline = Some(compared);
        Ok(())
    }
}

fn wrote(path: &Path, written: std::io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| {
        let path = path.display();
        Failure::could_not(format!(
            "the report could not be written to {path}: {error}"
        ))
    })
}

fn can_be_written(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Failure::usage(format!(
            "{flag} {}: there is no directory {}",
            path.display(),
            parent.display()
        )));
    }
    if path.is_dir() || path.file_name().is_none() {
        return Err(Failure::usage(format!(
            "{flag} {}: is a directory, name a file",
            path.display()
        )));
    }
    Ok(())
}

/// To standard output; a reader that went away is no failure of the run.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_written_is_refused_before_the_run() {
        let of = |path: &str| can_be_written("--out", Some(Path::new(path)));
        let missing = of("/no/such/place/x.json").unwrap_err();
        let told = "there is no directory /no/such/place";
        assert!(missing.message.contains(told), "{}", missing.message);
        assert!(of("/").is_err());
        assert!(of("x.json").is_ok());
    }
}
