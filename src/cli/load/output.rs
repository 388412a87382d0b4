//! The outputs of a run: the report on standard output, JSON and a page in files, the comparison with a baseline, and
//! the exit code.

use std::path::Path;

use super::Failure;
use super::args::OutputArgs;
use crate::cli::stdout;
use crate::files::{self, Access, is_stdout};
use crate::load::baseline::compare;
use crate::load::report::{self, Colours};
use crate::load::{Summary, Verdict};

/// The document on standard output. There can be only one, because a program cannot read two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printed {
    Report,
    Json,
    Page,
}

/// The destinations of a run's outcome. They are checked before the run, so that no report is lost.
pub(super) struct Outputs<'a> {
    args: &'a OutputArgs,
    printed: Printed,
    baseline: Option<Summary>,
}

impl<'a> Outputs<'a> {
    pub(super) fn check(args: &'a OutputArgs) -> Result<Outputs<'a>, Failure> {
        let printed = printed(args)?;
        can_be_written("--out", args.out.as_deref())?;
        can_be_written("--html", args.html.as_deref())?;
        if let (Some(out), Some(html)) = (&args.out, &args.html)
            && files::is_same_file(out, html)
        {
            let out = out.display();
            return Err(Failure::usage(format!(
                "--out and --html lead to one file, {out}: name another for one of them"
            )));
        }
        let baseline = match &args.baseline {
            None => None,
            Some(path) => Some(
                Summary::read(path)
                    .map_err(|error| Failure::usage(format!("--baseline {error}")))?,
            ),
        };
        Ok(Outputs {
            args,
            printed,
            baseline,
        })
    }

    /// Prints and writes the summary. Returns the exit code of the verdict.
    ///
    /// # Errors
    /// An output that cannot be written (exit code 1; the others are still written), or a baseline of a different run
    /// (exit code 2).
    pub(super) fn finish(&self, mut summary: Summary) -> Result<u8, Failure> {
        let compared = self.compare(&mut summary);
        let mut failed: Vec<String> = Vec::new();
        failed.extend(stdout::print(&self.text(&summary)).err());
        let page = || report::html(&summary);
        failed.extend(self.write(self.args.out.as_deref(), || summary.to_json() + "\n"));
        failed.extend(self.write(self.args.html.as_deref(), page));
        if !failed.is_empty() {
            let verdict = format!("the verdict was {}", summary.verdict.as_str());
            failed.push(verdict);
            return Err(Failure::could_not(failed.join("; ")));
        }
        // The comparison comes last, because the measurements are written in any case.
        compared?;
        Ok(summary.verdict.exit_code())
    }

    fn text(&self, summary: &Summary) -> String {
        match self.printed {
            Printed::Json => summary.to_json() + "\n",
            Printed::Page => report::html(summary),
            Printed::Report => {
                let colours = match stdout::takes_colours() {
                    true => Colours::Ansi,
                    false => Colours::None,
                };
                report::text(summary, colours)
            }
        }
    }

    /// Writes a document to its file, if it has one. Returns the reason for a failure.
    fn write(&self, path: Option<&Path>, text: impl FnOnce() -> String) -> Option<String> {
        let path = path.filter(|path| !is_stdout(path))?;
        let written = files::replace(path, text().as_bytes(), Access::Umask);
        let error = written.err()?;
        let path = path.display();
        Some(format!("{path} could not be written: {error}"))
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
            // An inconclusive run stays inconclusive.
            if summary.verdict == Verdict::Passed {
                summary.verdict = Verdict::Failed;
            }
        }
        summary.baseline = Some(compared);
        Ok(())
    }
}

/// The document for standard output.
fn printed(args: &OutputArgs) -> Result<Printed, Failure> {
    let names_stdout = |path: &Option<std::path::PathBuf>| path.as_deref().is_some_and(is_stdout);
    let json = args.json || names_stdout(&args.out);
    match (json, names_stdout(&args.html)) {
        (true, true) => Err(Failure::usage(
            "standard output takes one document: name a file for --out or --html",
        )),
        (true, false) => Ok(Printed::Json),
        (false, true) => Ok(Printed::Page),
        (false, false) => Ok(Printed::Report),
    }
}

fn can_be_written(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path.filter(|path| !is_stdout(path)) else {
        return Ok(());
    };
    files::check(path)
        .map_err(|error| Failure::usage(format!("{flag} {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_written_is_refused_before_the_run() {
        let of = |path: &str| can_be_written("--out", Some(Path::new(path)));
        let missing = of("/no/such/place/x.json").unwrap_err();
        let expected = "there is no directory /no/such/place";
        assert!(missing.message.contains(expected), "{}", missing.message);
        assert!(of("/").is_err());
        assert!(of("x.json").is_ok());
    }
}
