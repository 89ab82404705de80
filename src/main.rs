//! `pai-notification`: the operator and its commands.

use std::process::ExitCode;

use clap::Parser as _;
use pai_notification::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    // kube and reqwest are built with this one provider; the first TLS client would fail without it.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("error: TLS was set up twice");
        return ExitCode::FAILURE;
    }
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
