//! The running programs of a cluster: how they are started, watched and ended.
//!
//! Each runs in a process group of its own (so that Ctrl-C reaches the test first), writes to a log of its own, and
//! leaves its pid in a file. All ending of programs at the end of a cluster is done by `tests/cluster/stop.sh`;
//! the watchdog is that script waiting for a pipe to close.

use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{
    Lifetime,
    programs::{self, Layout, PROGRAMS, Program},
};

/// For a program that is ended alone. The API server waits for its watchers to leave, which they do not.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
/// For the watchdog, which has deadlines of its own for each program.
const WATCHDOG_DEADLINE: Duration = Duration::from_secs(15);
const LOG_LINES_SHOWN: usize = 15;

/// What was started. Dropping it ends the programs, unless they are detached.
pub struct Processes {
    data: PathBuf,
    run: PathBuf,
    children: Vec<(&'static str, Child)>,
    watchdog: Option<Child>,
}

impl Processes {
    /// Nothing runs yet but the watchdog, if the programs are to end with this process.
    pub fn new(layout: &Layout, lifetime: &Lifetime) -> Result<Self> {
        let watchdog = match lifetime {
            Lifetime::Process => Some(start_watchdog(layout)?),
            Lifetime::Detached { .. } => None,
        };
        Ok(Self { data: layout.data.clone(), run: layout.run.clone(), children: Vec::new(), watchdog })
    }

    pub fn spawn(&mut self, Program { name, args }: Program) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_of(name))?;
        // The program writes its own pid before it becomes itself: there is no moment without a pid file.
        let child = Command::new("sh")
            .args(["-c", "echo $$ >\"$0\" && exec \"$@\""])
            .arg(self.run.join(format!("{name}.pid")))
            .arg(programs::bin(name))
            .args(args)
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        self.children.push((name, child));
        Ok(())
    }

    /// Ends one program with SIGTERM, or SIGKILL if it does not listen, and returns once it is gone.
    pub fn stop(&mut self, name: &str) -> Result<()> {
        let Some(at) = self.children.iter().position(|(other, _)| *other == name) else {
            bail!("{name} is not running");
        };
        let (_, mut child) = self.children.remove(at);
        Command::new("sh").args(["-c", "kill -TERM \"$0\""]).arg(child.id().to_string()).status()?;
        if !exits_within(&mut child, STOP_DEADLINE)? {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// An error if a program has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended by itself: {status}");
            }
        }
        Ok(())
    }

    /// Adds the ends of the logs to an error, because the logs go away with the cluster.
    pub fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let mut text = format!("{error:#}");
        for (name, _) in &self.children {
            let log = fs::read_to_string(self.log_of(name)).unwrap_or_default();
            let before = log.lines().count().saturating_sub(LOG_LINES_SHOWN);
            let _ = write!(text, "\n--- the end of {name}.log");
            log.lines().skip(before).for_each(|line| {
                let _ = write!(text, "\n{line}");
            });
        }
        anyhow!(text)
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.data.join(format!("{name}.log"))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let Some(mut watchdog) = self.watchdog.take() else {
            return;
        };
        drop(watchdog.stdin.take());
        // The children are collected while the watchdog ends them: one that has ended but was not waited for
        // keeps its pid.
        for (_, child) in &mut self.children {
            let _ = exits_within(child, WATCHDOG_DEADLINE);
        }
        let _ = exits_within(&mut watchdog, WATCHDOG_DEADLINE);
    }
}

/// Starts the script that ends the programs once this process, which holds the other end of its stdin, is gone.
fn start_watchdog(layout: &Layout) -> Result<Child> {
    Command::new("sh")
        .args(["-c", "trap '' INT HUP TERM QUIT; read -r _; exec sh \"$@\""])
        .arg("cluster-watchdog")
        .arg(programs::source_dir().join("stop.sh"))
        .args([&layout.data, &layout.run])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting the watchdog of the cluster")
}

/// Whether one of the programs of a detached cluster runs.
pub fn any_runs(layout: &Layout) -> bool {
    PROGRAMS.iter().any(|name| {
        let Ok(pid) = fs::read_to_string(layout.run.join(format!("{name}.pid"))) else {
            return false;
        };
        let command = fs::read(Path::new("/proc").join(pid.trim()).join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&*layout.data.to_string_lossy())
    })
}

fn exits_within(child: &mut Child, deadline: Duration) -> Result<bool> {
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}
