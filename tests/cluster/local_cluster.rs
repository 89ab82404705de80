//! A local cluster to play with: `cargo run --example local-cluster -- up` and `... -- down`.
//!
//! It is the cluster of the integration tests, left running. Everything about it is in `target/cluster`.

#[path = "../support/cluster.rs"]
mod cluster;

use std::{
    env,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use cluster::{Cluster, ClusterOptions, Lifetime};

#[tokio::main]
async fn main() -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster");
    match env::args().nth(1).as_deref() {
        Some("up") => up(dir).await,
        Some("down") => down(&dir),
        _ => bail!("usage: local-cluster up | down"),
    }
}

async fn up(dir: PathBuf) -> Result<()> {
    if cluster::runs_detached(&dir) {
        println!("The local cluster runs already.");
        print_usage(&dir);
        return Ok(());
    }
    // What a cluster that ended by itself (say, with the machine) has left.
    cluster::stop_detached(&dir)?;
    let started = Instant::now();
    let options = ClusterOptions { lifetime: Lifetime::Detached { dir: dir.clone() }, ..ClusterOptions::default() };
    if let Err(error) = Cluster::start(options).await {
        cluster::stop_detached(&dir).context("clearing up after a failed start")?;
        return Err(error);
    }
    println!("The local cluster is up, after {:.1} s.", started.elapsed().as_secs_f32());
    print_usage(&dir);
    Ok(())
}

fn down(dir: &Path) -> Result<()> {
    cluster::stop_detached(dir)?;
    println!("The local cluster is down and its data is removed.");
    Ok(())
}

fn print_usage(dir: &Path) {
    println!(
        "\n  export KUBECONFIG={kubeconfig}\n  export PATH={bin}:$PATH\n\nLogs: {logs}/*.log\nStop it with: cargo run --example local-cluster -- down",
        kubeconfig = dir.join("kubeconfig").display(),
        bin = dir.join("bin").display(),
        logs = dir.join("data").display(),
    );
}
