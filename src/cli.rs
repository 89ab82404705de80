//! The command line.

pub mod crds;
pub mod simulate;

use clap::{Parser, Subcommand};

use crate::ops::args::RunArgs;
use crate::ops::{supervise, telemetry};

/// Tells machine-learning teams when their jobs, notebooks, pipeline steps and models change state.
#[derive(Parser, Debug)]
#[command(name = "pai-notification", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the operator.
    Run(Box<RunArgs>),
    /// Print the `CustomResourceDefinitions` as YAML.
    Crds(crds::CrdsArgs),
    /// Show, without a cluster, which Notices objects in files would make and what would be sent.
    Simulate(simulate::SimulateArgs),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command could not do, for people.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => {
                telemetry::init(args.log_format());
                Ok(supervise::run(*args).await?)
            }
            Command::Crds(args) => crds::run(&args),
            Command::Simulate(args) => simulate::run(&args),
        }
    }
}
