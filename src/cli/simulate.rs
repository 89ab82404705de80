//! `pai-notification simulate`: which Notices objects in files would make, and the exact requests that would be sent.
//!
//! Needs no cluster. What the operator decides is decided by the operator's own code, be it what is in force
//! ([`crate::controller::offline`]), what is notified or what is sent; only what an API server would bring is made up.
//! From [`read`] (files to documents) over [`input`] (documents to objects) to [`simulation`] and its [`report`].

mod input;
mod problem;
mod read;
mod redact;
mod report;
mod simulation;

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::cluster::clock::{Clock as _, SystemClock};
use crate::detect::declared::{Catalog, CatalogError};
use problem::Problem;
use redact::Secrecy;

/// Flags of `simulate`.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// A file with objects in YAML or JSON; - for the standard input; or a directory, for its *.yaml, *.yml and *.json.
    /// One -f may name several, as a shell's *.yaml does, and may be given several times.
    #[arg(short = 'f', long = "file", required = true, num_args = 1.., value_name = "FILE")]
    files: Vec<String>,
    /// The time of the simulation in RFC 3339, such as 2026-01-01T00:00:00Z: events that are more than 24 hours old then
    /// are not notified. Default: the clock's, and nothing is too old.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Directory with files of more kinds, as for `run`.
    #[arg(long, value_name = "DIR")]
    catalog: Option<std::path::PathBuf>,
    /// Print secrets instead of ***.
    #[arg(long)]
    reveal: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For programs.
    Json,
    /// For people.
    Text,
}

/// Simulates and prints.
///
/// # Errors
/// If a file cannot be read, or holds what cannot be an object of its kind.
pub fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    let text = simulate(args)?;
    match std::io::stdout().write_all(text.as_bytes()) {
        // Nobody reads on, as in `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("the result cannot be written"),
    }
}

fn simulate(args: &SimulateArgs) -> anyhow::Result<String> {
    let moment = args.now.map_or_else(|| simulation::Moment::Now(SystemClock.now()), simulation::Moment::At);
    let (catalog, errors) = match &args.catalog {
        Some(dir) => Catalog::built_in().with_dir(dir),
        None => (Catalog::built_in(), Vec::new()),
    };
    let mut input = input::sort(read::documents(&args.files)?, &catalog)?;
    let problem = |error: CatalogError| Problem::new("catalog", error.to_string());
    input.problems.splice(0..0, errors.into_iter().map(problem));
    let report = simulation::simulate(input, moment, if args.reveal { Secrecy::Reveal } else { Secrecy::Hide });
    match args.output {
        Output::Json => {
            Ok(serde_json::to_string_pretty(&report).context("the result cannot be written as JSON")? + "\n")
        }
        Output::Text => Ok(report.to_string()),
    }
}

#[cfg(test)]
mod tests;
